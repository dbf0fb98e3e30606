//! Who may be told, as far as who runs the installation allows.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use url::{Host, Url};

use super::LONGEST_URL;
use crate::{DomainName, NamePattern, PortSet, Scope};

/// Names and networks to which something may be sent, each at one port or at all; nobody without any. A name brings the public addresses
/// that it leads to with it: what is private must be in a network, so that nobody's name leads inside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receivers {
    names: Vec<(NamePattern, Port)>,
    networks: Vec<(IpNet, Port)>,
}

/// Where at a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    One(u16),
    Any,
}

/// Where `https://` leads, if nothing else is said.
const USUAL_PORT: u16 = 443;

impl Port {
    fn is(self, port: u16) -> bool {
        match self {
            Port::One(one) => one == port,
            Port::Any => true,
        }
    }

    /// As it stands behind a receiver.
    fn suffix(self) -> String {
        match self {
            Port::One(USUAL_PORT) => String::new(),
            Port::One(port) => format!(":{port}"),
            Port::Any => ":*".to_owned(),
        }
    }
}

/// That is no receiver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither a name, nor `*.` and a name, nor a network; behind it may stand `:` and a port, or `:*` for all"
)]
pub struct ReceiversError(String);

/// Why nothing is sent there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// Of another kind than is sent to.
    #[error("the URL begins with https://; http:// is for loopback addresses")]
    Scheme,
    /// It says more than where to.
    #[error("there is a name or a password in the URL: whoever reads webhooks would read it")]
    Credentials,
    /// Nobody sends it.
    #[error("there is a `#` in the URL, and what comes behind it is never sent")]
    Fragment,
    /// Too long.
    #[error("the URL has {0} bytes, and at most {LONGEST_URL}")]
    TooLong(usize),
    /// Nobody allowed it.
    #[error(
        "{0} is not among those who may be told: who runs the installation says who is, by --webhook-receivers"
    )]
    Nobody(String),
}

impl Receivers {
    /// Is nobody told?
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.networks.is_empty()
    }

    /// May something be sent there? Where a name leads is asked again when it is.
    pub fn permit(&self, url: &Url) -> Result<(), Unreachable> {
        if url.as_str().len() > LONGEST_URL {
            return Err(Unreachable::TooLong(url.as_str().len()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Unreachable::Credentials);
        }
        if url.fragment().is_some() {
            return Err(Unreachable::Fragment);
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        match url.scheme() {
            "https" => {}
            "http" if address.is_some_and(|address| address.is_loopback()) => {}
            _ => return Err(Unreachable::Scheme),
        }
        let port = url.port_or_known_default().unwrap_or(USUAL_PORT);
        let host = url.host_str().unwrap_or_default();
        let permitted = match address {
            Some(address) => self.permit_address(address, None, port),
            None => {
                host.parse::<DomainName>().is_ok_and(|name| self.scope_at(port).permits_name(&name).is_ok())
            }
        };
        match (permitted, port) {
            (true, _) => Ok(()),
            (false, USUAL_PORT) => Err(Unreachable::Nobody(host.to_owned())),
            (false, port) => Err(Unreachable::Nobody(format!("{host}:{port}"))),
        }
    }

    /// May something be sent to that address, to which that name leads, if one does?
    pub fn permit_address(&self, address: IpAddr, name: Option<&DomainName>, port: u16) -> bool {
        self.scope_at(port).permits_address(address, name).is_ok()
    }

    /// Those who have that port.
    fn scope_at(&self, port: u16) -> Scope {
        fn at<T: Clone>(all: &[(T, Port)], port: u16) -> Vec<T> {
            all.iter().filter(|(_, at)| at.is(port)).map(|(one, _)| one.clone()).collect()
        }
        Scope { names: at(&self.names, port), networks: at(&self.networks, port), ..self.scope() }
    }

    /// For sockets, which ask each time that one is opened where it leads. At which ports, [`Receivers::permit`] says.
    pub fn scope(&self) -> Scope {
        Scope {
            authorised_by: Some("--webhook-receivers".to_owned()),
            names: self.names.iter().map(|(name, _)| name.clone()).collect(),
            networks: self.networks.iter().map(|(network, _)| *network).collect(),
            ports: PortSet::all(),
            ..Scope::loopback()
        }
    }
}

/// A network, or one address.
fn network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.ok().map(|network| network.trunc())
}

/// What stands before a port, and that.
fn with_port(text: &str) -> Option<(&str, Port)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = match port {
        "*" => Port::Any,
        port => Port::One(port.parse().ok().filter(|port| *port > 0)?),
    };
    Some((host, port))
}

impl FromStr for Receivers {
    type Err = ReceiversError;

    fn from_str(text: &str) -> Result<Receivers, ReceiversError> {
        let mut receivers = Receivers::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let wrong = || ReceiversError(word.to_owned());
            // What is a network as a whole has colons of its own.
            if let Some(network) = network(word) {
                receivers.networks.push((network, Port::One(USUAL_PORT)));
                continue;
            }
            let (host, port) = with_port(word).unwrap_or((word, Port::One(USUAL_PORT)));
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            match network(bare.unwrap_or(host)).filter(|network| bare.is_some() == network.addr().is_ipv6()) {
                Some(network) => receivers.networks.push((network, port)),
                None => receivers.names.push((host.parse().map_err(|_| wrong())?, port)),
            }
        }
        Ok(receivers)
    }
}

impl fmt::Display for Receivers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names.iter().map(|(name, port)| format!("{name}{}", port.suffix()));
        let networks = self.networks.iter().map(|(network, port)| match (network, port) {
            (IpNet::V6(_), Port::One(USUAL_PORT)) | (IpNet::V4(_), _) => {
                format!("{network}{}", port.suffix())
            }
            (IpNet::V6(_), _) => format!("[{network}]{}", port.suffix()),
        });
        f.write_str(&names.chain(networks).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_named_is_told() {
        let text =
            "hooks.acme.test, *.corp.test,chat.test:8443,10.1.0.0/16,127.0.0.1:*,[fd00::/8]:8443,fd01::1";
        let receivers: Receivers = text.parse().unwrap();
        let written = "hooks.acme.test,*.corp.test,chat.test:8443,10.1.0.0/16,127.0.0.1/32:*,[fd00::/8]:8443,fd01::1/128";
        assert_eq!(receivers.to_string(), written);
        assert_eq!(written.parse::<Receivers>(), Ok(receivers.clone()));
        let permit = |url: &str| receivers.permit(&url.parse().unwrap());
        for url in [
            "https://hooks.acme.test/x?token=1",
            "https://HOOKS.acme.test:443/",
            "https://chat.test:8443/",
            "https://[fd00::1]:8443/",
            "https://[fd01::1]/",
            "https://a.corp.test/",
            "https://10.1.2.3/",
            "https://[::ffff:10.1.2.3]/",
            "http://127.0.0.1:8080/",
        ] {
            assert_eq!(permit(url), Ok(()), "{url}");
        }
        let nobody = |host: &str| Err(Unreachable::Nobody(host.to_owned()));
        for (url, why) in [
            ("https://acme.test/", nobody("acme.test")),
            ("https://corp.test/", nobody("corp.test")),
            ("https://hooks.acme.test:8443/", nobody("hooks.acme.test:8443")),
            ("https://chat.test/", nobody("chat.test")),
            ("https://10.1.2.3:22/", nobody("10.1.2.3:22")),
            ("https://[fd00::1]/", nobody("[fd00::1]")),
            ("https://127.0.0.2/", nobody("127.0.0.2")),
            // As a browser, it takes numbers for addresses.
            ("https://2130706434/", nobody("127.0.0.2")),
            ("https://0x7f.2/", nobody("127.0.0.2")),
            ("https://169.254.169.254/latest", nobody("169.254.169.254")),
            ("https://[::1]/", nobody("[::1]")),
            ("http://hooks.acme.test/", Err(Unreachable::Scheme)),
            ("http://10.1.2.3/", Err(Unreachable::Scheme)),
            ("ftp://hooks.acme.test/", Err(Unreachable::Scheme)),
            ("file:///etc/passwd", Err(Unreachable::Scheme)),
            ("https://me@hooks.acme.test/", Err(Unreachable::Credentials)),
            ("https://:secret@hooks.acme.test/", Err(Unreachable::Credentials)),
            ("https://hooks.acme.test/#there", Err(Unreachable::Fragment)),
        ] {
            assert_eq!(permit(url), why, "{url}");
        }
        let long = format!("https://hooks.acme.test/{}", "x".repeat(LONGEST_URL));
        assert_eq!(permit(&long), Err(Unreachable::TooLong(long.len())));
        let none = Receivers::default();
        assert!(none.is_empty() && none.permit(&"https://hooks.acme.test/".parse().unwrap()).is_err());
        for wrong in [
            "a b",
            "chat.test:0",
            "chat.test:x",
            "chat.test:",
            "[chat.test]:1",
            "[10.0.0.0/8]:1",
            "fd00::/8:1",
        ] {
            let refused = format!("hooks.acme.test,{wrong}").parse::<Receivers>();
            assert_eq!(refused, Err(ReceiversError(wrong.to_owned())));
        }
        // No network makes a metadata service reachable.
        let all: Receivers = "0.0.0.0/0".parse().unwrap();
        assert!(all.permit(&"https://169.254.169.254/".parse().unwrap()).is_err());
    }

    #[test]
    fn a_name_leads_to_public_addresses_and_to_networks_at_its_port_only() {
        let receivers: Receivers = "*.corp.test,10.1.0.0/16,10.3.0.0/16:22".parse().unwrap();
        let name = "hooks.corp.test".parse().unwrap();
        for (address, permitted) in [
            ("9.9.9.9", true),
            ("10.1.2.3", true),
            ("10.2.2.3", false),
            ("10.3.2.3", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("::1", false),
            ("fd00::1", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(receivers.permit_address(address, Some(&name), 443), permitted, "{address}");
        }
    }
}
