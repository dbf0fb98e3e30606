//! Whether what is sent somewhere leaves this machine.

use std::net::IpAddr;

use url::{Host, Url};

/// Does the URL lead to this machine, by its text alone? `localhost` is no other name for anything (RFC 6761, 6.3).
pub fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_certainly_stays_here_is_this_machine() {
        for (url, wanted) in [
            ("http://127.0.0.1:8440", true),
            ("http://127.1.2.3/", true),
            ("http://[::1]:8440", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("https://LOCALHOST", true),
            ("http://localhost.acme.test", false),
            ("http://127.0.0.1.acme.test", false),
            ("http://192.0.2.1", false),
            ("http://[2001:db8::1]", false),
            ("file:///etc/hosts", false),
        ] {
            assert_eq!(is_this_machine(&url.parse().unwrap()), wanted, "{url}");
        }
    }
}
