//! Where hostile servers send scanners: 100,000 of those places, the same in every run, and the truth about each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What there is to know about a destination before anybody looks at how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    /// The default scope, with the exclusions of the test, allows it.
    Inside,
    /// It does not.
    Outside,
    /// It depends on the reader whether this is a place at all, or on who asks first.
    Unclear,
}

/// One place.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    /// As a target would write it, in one line of ASCII or UTF-8.
    pub(crate) text: String,
    pub(crate) truth: Truth,
    /// Where that is, when the text says an address.
    pub(crate) address: Option<(IpAddr, u16)>,
}

/// Not in scope although it is on loopback.
pub(crate) const EXCLUDED_NETWORK: &str = "127.66.0.0/16";
pub(crate) const EXCLUDED_PORT: u16 = 8081;
/// What the default scope leaves out by itself.
pub(crate) const FRAGILE_PORT: u16 = 9100;
/// Every port that a destination has; somebody listens on all of them, on every address there is.
pub(crate) const PORTS: [u16; 6] = [80, 443, 8080, 22, EXCLUDED_PORT, FRAGILE_PORT];

/// The same numbers in every run (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn of(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0xd129_0b26_88cc_2d67))
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        let index = self.below(all.len() as u64);
        all[usize::try_from(index).unwrap()]
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

/// By the words of the issue, and not by the code under test: this machine, minus what the test excludes.
pub(crate) fn is_inside(address: IpAddr, port: u16) -> bool {
    let sent_to = address.to_canonical();
    let loopback = match sent_to {
        IpAddr::V4(v4) => v4.octets()[0] == 127 && v4.octets()[1] != 66,
        IpAddr::V6(v6) => v6 == Ipv6Addr::LOCALHOST,
    };
    loopback && port != EXCLUDED_PORT && port != FRAGILE_PORT
}

/// An address of every kind, also of those that no scope ever allows.
pub(crate) fn v4(dice: &mut Dice) -> Ipv4Addr {
    let (a, b, c) = (dice.byte(), dice.byte(), dice.byte());
    match dice.below(16) {
        0..3 => Ipv4Addr::new(127, 0, 0, 1 + a % 8),
        3 => Ipv4Addr::new(127, 66, a, b),
        4 => Ipv4Addr::new(10, a, b, c),
        5 => Ipv4Addr::new(172, 16 + a % 16, b, c),
        6 => Ipv4Addr::new(192, 168, a, b),
        7 => Ipv4Addr::new(169, 254, a, b),
        8 => dice.pick(&[
            Ipv4Addr::new(169, 254, 169, 254),
            Ipv4Addr::new(169, 254, 170, 2),
            Ipv4Addr::new(100, 100, 100, 200),
            Ipv4Addr::new(168, 63, 129, 16),
            Ipv4Addr::new(192, 0, 0, 192),
        ]),
        9 => Ipv4Addr::new(100, 64 + a % 64, b, c),
        10 => dice.pick(&[Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(0, a, b, c), Ipv4Addr::BROADCAST]),
        11 => Ipv4Addr::new(224 + a % 32, b, c, 1),
        _ => Ipv4Addr::new(1 + a % 126, b, c, 1),
    }
}

pub(crate) fn v6(dice: &mut Dice) -> Ipv6Addr {
    let inner = v4(dice).octets();
    let (high, low) = (u16::from_be_bytes([inner[0], inner[1]]), u16::from_be_bytes([inner[2], inner[3]]));
    let tail = u16::from(dice.byte());
    match dice.below(12) {
        0 | 1 => Ipv6Addr::LOCALHOST,
        2 | 3 => Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
        4 => Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        5 => Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
        6 => Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
        7 => Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        8 => Ipv6Addr::new(0xfd12, high, low, 0, 0, 0, 0, tail),
        9 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, high, low),
        10 => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, tail),
        _ => Ipv6Addr::new(0x2001, 0xdb8, high, low, 0, 0, 0, tail),
    }
}

/// One address in a spelling that some parser somewhere takes for it. All of these mean the same to a browser.
fn spelled(address: Ipv4Addr, dice: &mut Dice) -> String {
    let [a, b, c, d] = address.octets();
    let number = u32::from(address);
    let rest = number & 0x00ff_ffff;
    let wide = |text: String, zero: char| -> String {
        let digit = |character: char| {
            character.to_digit(10).and_then(|digit| char::from_u32(u32::from(zero) + digit))
        };
        text.chars().map(|character| digit(character).unwrap_or(character)).collect()
    };
    match dice.below(13) {
        0..3 => address.to_string(),
        3 => number.to_string(),
        4 => format!("{number:#x}"),
        5 => format!("0{number:o}"),
        6 => format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        7 => format!("{a:#x}.{b:#X}.{c}.0{d:o}"),
        8 => format!("{a}.{rest}"),
        9 => format!("{a}.{b}.{}", u16::from_be_bytes([c, d])),
        10 => wide(address.to_string(), '\u{ff10}'),
        11 => address.to_string().replace('.', "\u{3002}"),
        _ => address.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect(),
    }
}

/// The place with that number, with `/x<number>` as its path. Names are those of [`super::internet`]'s name server.
pub(crate) fn destination(number: u64) -> Destination {
    let mut dice = Dice::of(number);
    let (host, address) = match dice.below(20) {
        0..12 => {
            let address = v4(&mut dice);
            (spelled(address, &mut dice), Some(IpAddr::V4(address)))
        }
        12..16 => {
            let address = v6(&mut dice);
            (format!("[{address}]"), Some(IpAddr::V6(address)))
        }
        16 | 17 => (format!("n{}.zone.test", number % 4_000), None),
        18 => (format!("rebind{}.zone.test", number % 500), None),
        _ => (format!("h{number}.elsewhere.test"), None),
    };
    let tls = dice.below(8) == 0;
    let port = if dice.below(3) == 0 { Some(dice.pick(&PORTS)) } else { None };
    let reached = port.unwrap_or(if tls { 443 } else { 80 });
    let written = port.map(|port| format!(":{port}")).unwrap_or_default();
    let scheme = if tls { "https" } else { "http" };
    let address = address.map(|address| (address, reached));
    let mut truth = match address {
        Some((address, port)) if is_inside(address, port) => Truth::Inside,
        Some(_) => Truth::Outside,
        None => Truth::Unclear,
    };
    let text = match dice.below(24) {
        0 => format!("{scheme}:\\\\{host}{written}\\x{number}"),
        1 => format!("{scheme}:\\/{host}{written}/x{number}"),
        2 => format!("{}://{host}{written}/x{number}", scheme.to_uppercase()),
        // As a path of the page itself, to those who know that only // begins a host.
        3 => {
            truth = Truth::Unclear;
            format!("/{host}{written}/x{number}")
        }
        4 => {
            if port.is_none() && tls {
                truth = Truth::Unclear;
            }
            format!("//{host}{written}/x{number}")
        }
        5 if port.is_some() => format!("/\\{host}{written}/x{number}"),
        // What the check language does not follow, and others do without telling whom they are.
        6 => {
            truth = Truth::Unclear;
            format!("{scheme}://127.0.0.1@{host}{written}/x{number}")
        }
        7 => {
            truth = Truth::Unclear;
            format!("{scheme}://{host}{written}@127.0.0.1/x{number}")
        }
        8 => {
            truth = Truth::Unclear;
            format!("{scheme}://127.0.0.1:80%40{host}{written}/x{number}")
        }
        9 => format!("{scheme}://{host}{written}\\@127.0.0.1/x{number}"),
        10 => format!("{scheme}://{host}{written}/x{number}?//127.0.0.1#@127.0.0.1"),
        11 => {
            truth = Truth::Unclear;
            let other = dice.pick(&["ftp", "gopher", "file", "dict", "ldap", "ws", "jar:http", "data"]);
            format!("{other}://{host}{written}/x{number}")
        }
        12 => format!("{scheme}:\t//{host}{written}/x{number}"),
        _ => format!("{scheme}://{host}{written}/x{number}"),
    };
    Destination { text, truth, address }
}
