//! From which address a request comes, and whether anybody on the way could read it: also when a proxy stands in between.
//!
//! What a proxy says is believed if somebody named its network. `X-Forwarded-For` grows at its end: the last address that is of no
//! such proxy is the one that the first of them saw. What stands before it, anybody may have written.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap},
};
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Nobody on the way can read what is asked and answered here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encrypted;

/// Whoever asks: found out once for each request, and kept with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) address: IpAddr,
    pub(crate) encrypted: Option<Encrypted>,
}

impl Origin {
    /// Of a request that came on a connection; nothing without one.
    pub(crate) fn of(extensions: &Extensions, headers: &HeaderMap, proxies: &[IpNet]) -> Option<Origin> {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip().to_canonical();
        let encrypted = extensions.get::<Encrypted>().copied();
        if !is_of(peer, proxies) {
            return Some(Origin { address: peer, encrypted });
        }
        // As the address, the last word is that of the proxy that is nearest.
        let safe =
            words(headers, FORWARDED_PROTO).last().is_some_and(|word| word.eq_ignore_ascii_case("https"));
        Some(Origin {
            address: forwarded(headers, proxies).unwrap_or(peer),
            encrypted: if safe { Some(Encrypted) } else { encrypted },
        })
    }
}

/// Is that the address of a proxy that is believed?
pub(crate) fn is_of(address: IpAddr, proxies: &[IpNet]) -> bool {
    let address = address.to_canonical();
    proxies.iter().any(|network| network.contains(&address))
}

/// The last address that is of no proxy. What is no address ends the search: what stands before it is worth no more.
fn forwarded(headers: &HeaderMap, proxies: &[IpNet]) -> Option<IpAddr> {
    let mut last = None;
    for word in words(headers, FORWARDED_FOR).collect::<Vec<_>>().into_iter().rev() {
        let Some(address) = address(word) else { break };
        last = Some(address);
        if !is_of(address, proxies) {
            break;
        }
    }
    last
}

/// Some write the port behind it.
fn address(word: &str) -> Option<IpAddr> {
    let plain = || word.parse::<IpAddr>().ok();
    let with_port = || word.parse::<SocketAddr>().ok().map(|address| address.ip());
    plain().or_else(with_port).map(|address| address.to_canonical())
}

fn words<'h>(headers: &'h HeaderMap, name: &'static str) -> impl Iterator<Item = &'h str> {
    // By bytes: what somebody wrote before the proxy did may be no text, and must not hide what the proxy wrote.
    let words = headers.get_all(name).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    words.map(|word| std::str::from_utf8(word).unwrap_or_default().trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(peer: &str, headers: &[(&'static str, &str)]) -> (String, bool) {
        let proxies: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let origin = Origin::of(&extensions, &map, &proxies).unwrap();
        (origin.address.to_string(), origin.encrypted.is_some())
    }

    #[test]
    fn only_a_proxy_that_is_known_is_believed() {
        let of = |peer: &str, forwarded: &str| origin(peer, &[(FORWARDED_FOR, forwarded)]).0;
        for (peer, forwarded, wanted) in [
            // Somebody who is no proxy says what they like.
            ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
            ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
            ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),
            // The first was written by whoever asked.
            ("10.0.0.1", "127.0.0.1, 198.51.100.7", "198.51.100.7"),
            ("10.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
            ("fd00::1", "[2001:db8::1]:4711, fd00::2", "2001:db8::1"),
            // Within the house there is nobody else.
            ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("10.0.0.1", "198.51.100.7, unknown", "10.0.0.1"),
            ("10.0.0.1", "198.51.100.7, unknown, 10.0.0.2", "10.0.0.2"),
            ("10.0.0.1", "", "10.0.0.1"),
        ] {
            assert_eq!(of(peer, forwarded), wanted, "{peer} {forwarded}");
        }
        let mut map = HeaderMap::new();
        map.append(FORWARDED_FOR, axum::http::HeaderValue::from_bytes(b"\xff, 198.51.100.7").unwrap());
        assert_eq!(forwarded(&map, &["10.0.0.0/8".parse().unwrap()]), "198.51.100.7".parse().ok());
        let two = [(FORWARDED_FOR, "127.0.0.1"), (FORWARDED_FOR, "198.51.100.7")];
        assert_eq!(origin("10.0.0.1", &two).0, "198.51.100.7");
    }

    #[test]
    fn a_proxy_says_whether_the_way_to_it_was_safe() {
        let of = |peer: &str, proto: &str| origin(peer, &[(FORWARDED_PROTO, proto)]).1;
        assert!(of("10.0.0.1", "https"));
        assert!(of("10.0.0.1", "http, HTTPS"));
        assert!(!of("10.0.0.1", "https, http"));
        assert!(!of("192.0.2.1", "https"));
    }
}
