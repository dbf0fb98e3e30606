//! What was asked for.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{DomainName, name::NameError};

/// A machine as somebody named it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Host {
    /// By address.
    Address(IpAddr),
    /// By name.
    Name(DomainName),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(address) => address.fmt(f),
            Host::Name(name) => name.fmt(f),
        }
    }
}

impl FromStr for Host {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Host, NameError> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        match bare.parse::<IpAddr>() {
            Ok(address) => Ok(Host::Address(address)),
            Err(_) => text.parse().map(Host::Name),
        }
    }
}

/// One thing to scan.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Target {
    /// A name or an address, every stage.
    Host(Host),
    /// One port of a host.
    Service(Host, u16),
    /// Every address of a network.
    Network(IpNet),
    /// A web site or page; http and https only, and always with a host.
    Url(Url),
}

/// Why a text is not a target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Nothing there.
    #[error("a target is empty: give a name, an address, a network or a URL")]
    Empty,
    /// A slash, but no network and no URL.
    #[error("`{text}` is not a network: {why}; write it as 192.0.2.0/24 or 2001:db8::/64")]
    Network {
        /// As given.
        text: String,
        /// The reason.
        why: String,
    },
    /// Has `://` but is no web address.
    #[error("`{text}` is not a web address: {why}")]
    Url {
        /// As given.
        text: String,
        /// The reason.
        why: String,
    },
    /// `fe80::1%eth0`.
    #[error("`{text}` names an interface: link-local addresses are not scanned, give an address without `%`")]
    Interface {
        /// As given.
        text: String,
    },
    /// The part after the colon.
    #[error("`{text}` has no valid port after the colon: ports go from 1 to 65535")]
    Port {
        /// As given.
        text: String,
    },
    /// Neither address nor name.
    #[error("`{text}` is neither an address nor a name: {why}")]
    Name {
        /// As given.
        text: String,
        /// The reason.
        why: NameError,
    },
}

impl Target {
    /// The host, for everything but networks.
    pub fn host(&self) -> Option<Host> {
        match self {
            Target::Host(host) | Target::Service(host, _) => Some(host.clone()),
            Target::Network(_) => None,
            Target::Url(url) => url.host_str().and_then(|host| host.parse().ok()),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(given: &str) -> Result<Target, TargetError> {
        let text = given.trim();
        if text.is_empty() {
            return Err(TargetError::Empty);
        }
        if text.contains("://") {
            return url_target(text);
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Target::Host(Host::Address(address)));
        }
        if let Some((address, _)) = text.trim_start_matches('[').split_once('%')
            && address.parse::<IpAddr>().is_ok()
        {
            return Err(TargetError::Interface { text: text.to_owned() });
        }
        if text.contains('/') {
            return match text.parse::<IpNet>() {
                Ok(network) => Ok(Target::Network(network.trunc())),
                Err(error) => {
                    let is_number =
                        text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains(char::is_alphabetic);
                    if is_number {
                        Err(TargetError::Network { text: text.to_owned(), why: error.to_string() })
                    } else {
                        Err(TargetError::Url {
                            text: text.to_owned(),
                            why: "a path needs http:// or https:// in front".to_owned(),
                        })
                    }
                }
            };
        }
        let name_error = |why| TargetError::Name { text: text.to_owned(), why };
        if let Some((host, port)) = text.rsplit_once(':') {
            let port = match port.parse::<u16>() {
                Ok(port) if port != 0 => port,
                _ => return Err(TargetError::Port { text: text.to_owned() }),
            };
            return host.parse().map(|host| Target::Service(host, port)).map_err(name_error);
        }
        if text.starts_with(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_digit() || c == '.')
        {
            let why = "an address has four numbers from 0 to 255".to_owned();
            return Err(TargetError::Network { text: text.to_owned(), why });
        }
        text.parse().map(|name| Target::Host(Host::Name(name))).map_err(name_error)
    }
}

fn url_target(text: &str) -> Result<Target, TargetError> {
    let refuse = |why: String| TargetError::Url { text: text.to_owned(), why };
    let url = Url::parse(text).map_err(|error| refuse(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse(format!("the scheme `{}` is not supported, only http and https", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("it carries a user name or password; Rampart does not log in".to_owned()));
    }
    match url.host_str().map(str::parse::<Host>) {
        Some(Ok(_)) if url.port() != Some(0) => Ok(Target::Url(url)),
        Some(Ok(_)) => Err(refuse("its port is 0".to_owned())),
        Some(Err(error)) => Err(refuse(error.to_string())),
        None => Err(refuse("it has no host".to_owned())),
    }
}

impl TryFrom<String> for Target {
    type Error = TargetError;

    fn try_from(text: String) -> Result<Target, TargetError> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> String {
        target.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Host(host) => host.fmt(f),
            Target::Service(Host::Address(IpAddr::V6(address)), port) => write!(f, "[{address}]:{port}"),
            Target::Service(host, port) => write!(f, "{host}:{port}"),
            Target::Network(network) => network.fmt(f),
            Target::Url(url) => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_back() {
        for (given, written) in [
            ("Example.com", "example.com"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("[::1]:8080", "[::1]:8080"),
            ("example.com:8443", "example.com:8443"),
            ("192.0.2.77/24", "192.0.2.0/24"),
            ("http://Example.com", "http://example.com/"),
            ("https://127.0.0.1:8443/a?b=c", "https://127.0.0.1:8443/a?b=c"),
        ] {
            let target: Target = given.parse().unwrap();
            assert_eq!(target.to_string(), written);
            assert_eq!(written.parse::<Target>().unwrap(), target);
        }
    }

    #[test]
    fn bad_targets_are_named_with_a_way_out() {
        for (given, says) in [
            ("", "empty"),
            ("10.0.0.0/33", "192.0.2.0/24"),
            ("10.0.0", "four numbers"),
            ("300.1.1.1", "four numbers"),
            ("host:70000", "65535"),
            ("ftp://host/", "only http and https"),
            ("http://", "empty host"),
            ("http://user:secret@host/", "does not log in"),
            ("host/path", "http://"),
            ("a b", "' '"),
            ("FE80::1%eth0", "names an interface"),
            ("[fe80::1%eth0]:80", "names an interface"),
        ] {
            let error = given.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(says), "{given}: {error}");
        }
    }
}
