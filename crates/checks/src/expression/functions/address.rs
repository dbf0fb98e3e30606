//! Internet addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Arguments, Arity, Function, Outcome, shown};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "ip_format",
        Arity::exactly(2),
        "the address in another notation: 1 dotted, 2 without zeros, 3 octal, 4 hexadecimal, 5 decimal, 6 binary, 7 mixed, 8 IPv6, 9 percent escapes, 10 padded with zeros, 11 with the last two numbers as one",
        format_address,
    ),
    Function::new("rand_ip", Arity::at_least(1), "an address from one of the networks", random_address),
];

fn format_address<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let text = arguments.text(0);
    let Some(address) = str::from_utf8(&text).ok().and_then(|text| text.parse::<IpAddr>().ok()) else {
        return Err(arguments.error(format!("{} is not an internet address", shown(&text))));
    };
    let mapped = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let number = u128::from(mapped);
    let format = arguments.integer(1)?;
    let notation = match format {
        1 => address.to_canonical().to_string(),
        2 => without_zeros(&address.to_canonical().to_string()),
        // The public language writes the number of the IPv4-mapped IPv6 address here.
        5 => number.to_string(),
        6 => format!("{number:b}"),
        8 => match mapped.to_ipv4_mapped() {
            Some(_) => format!("::ffff:{:04x}:{:04x}", mapped.segments()[6], mapped.segments()[7]),
            None => mapped.to_string(),
        },
        9 => text.iter().map(|byte| format!("%{byte:02X}")).collect(),
        3 | 4 | 7 | 10 | 11 => {
            let Some(address) = mapped.to_ipv4_mapped() else {
                return Err(
                    arguments.error(format!("notation {format} is for IPv4 addresses, not {}", shown(&text)))
                );
            };
            match dotted(address, format) {
                Some(notation) => notation,
                None => return Err(arguments.error(format!("{} does not end in 0", shown(&text)))),
            }
        }
        _ => return Err(arguments.error(format!("there is no notation {format}, only 1 to 11"))),
    };
    Ok(notation.into())
}

fn dotted(address: Ipv4Addr, format: i64) -> Option<String> {
    let [first, second, third, fourth] = address.octets();
    // Go's `%#o`: a leading zero marks octal, and zero is just that.
    let octal = |octet: u8| if octet == 0 { "0".to_owned() } else { format!("0{octet:o}") };
    Some(match format {
        3 => format!("0{first:03o}.{}.{}.{}", octal(second), octal(third), octal(fourth)),
        4 => format!("{first:#x}.{second:#x}.{third:#x}.{fourth:#x}"),
        7 => format!("{first:#x}.{second}.{}.{fourth:#x}", octal(third)),
        10 => format!("{first:03}.{second:03}.{third:03}.{fourth:03}"),
        _ if fourth == 0 => format!("{first}.{second}.{}", u16::from(third) + 255),
        _ => return None,
    })
}

/// `127.0.0.1` as `127.1`.
fn without_zeros(address: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for number in address.split('.') {
        if kept.is_empty() || number != "0" {
            kept.push(number);
        }
    }
    kept.join(".")
}

fn random_address<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let networks: Vec<_> = arguments.spread(0).map(|network| network.text_lossy()).collect();
    let chosen = arguments.ambient.below(networks.len() as u64);
    let chosen = usize::try_from(chosen).ok().and_then(|chosen| networks.get(chosen));
    let network = chosen.map(String::as_str).unwrap_or_default();
    let parsed = network.split_once('/').and_then(|(address, length)| {
        let address: IpAddr = address.parse().ok()?;
        let length: u32 = length.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        Some((address, bits - length.min(bits))).filter(|_| length <= bits)
    });
    let Some((address, free)) = parsed else {
        return Err(
            arguments.error(format!("{} is not a network such as 192.0.2.0/24", shown(network.as_bytes())))
        );
    };
    let hosts = if free == 0 { 0 } else { u128::MAX >> (128 - free) };
    let random = arguments.ambient.bits() & hosts;
    let drawn = match address {
        IpAddr::V4(address) => {
            let drawn = u128::from(u32::from(address)) & !hosts | random;
            IpAddr::V4(Ipv4Addr::from(drawn as u32))
        }
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) & !hosts | random)),
    };
    Ok(drawn.to_string().into())
}
