//! Units of work of a scan, and what they teach about further ones.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;
use utoipa::ToSchema;

use crate::{DomainName, Endpoint, Service, Stage};

/// One web site to look at: an origin, the page to begin with, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Site {
    /// Root page, or the page that was the target.
    pub base: Url,
    /// Address, port, and the name to ask for.
    pub endpoint: Endpoint,
}

/// What DNS checks look at in a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameAspect {
    /// The whole zone: it begins here, or somebody named it as a target. That `www` has no SPF record is no finding.
    Zone,
    /// An alias, that may lead nowhere or to somebody else.
    Alias,
}

/// The smallest piece of work that is planned, journalled and resumed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Find out about a name; with `brute_force` also what is below it.
    Discover {
        /// The name.
        name: DomainName,
        /// Where it was learnt.
        source: Source,
        /// Try the word list below it.
        brute_force: bool,
    },
    /// Find the open ports of an address.
    Ports {
        /// The address.
        address: IpAddr,
        /// A name that leads there.
        name: Option<DomainName>,
        /// Somebody named it, or a name that leads there: that nothing there answers is no answer. In a network that is gone
        /// through silence is usual.
        expected: bool,
    },
    /// Find out what listens on a port that is open, or that somebody named.
    Identify(Endpoint),
    /// Find out whether something listens on a usual web port: nobody said so, and that nothing does is an answer.
    Knock(Endpoint),
    /// Follow the links of a site.
    Crawl(Site),
    /// Run the DNS checks on a name.
    CheckName {
        /// The name.
        name: DomainName,
        /// Which of them.
        aspect: NameAspect,
    },
    /// Run the TCP and TLS checks on a service.
    CheckService(Service),
    /// Run the HTTP checks on a site.
    CheckSite(Site),
}

impl Unit {
    /// The stage it belongs to.
    pub fn stage(&self) -> Stage {
        match self {
            Unit::Discover { .. } => Stage::Discover,
            Unit::Ports { .. } | Unit::Identify(_) | Unit::Knock(_) => Stage::Ports,
            Unit::Crawl(_) => Stage::Crawl,
            Unit::CheckName { .. } | Unit::CheckService(_) | Unit::CheckSite(_) => Stage::Check,
        }
    }

    /// The host it sends to, when it is known: what deadlines and fairness go by.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Unit::Discover { .. } | Unit::CheckName { .. } => None,
            Unit::Ports { address, .. } => Some(*address),
            Unit::Identify(endpoint) | Unit::Knock(endpoint) => Some(endpoint.address),
            Unit::Crawl(site) | Unit::CheckSite(site) => Some(site.endpoint.address),
            Unit::CheckService(service) => Some(service.endpoint.address),
        }
    }
}

/// What a unit is known by where there may be millions of them: 128 bits of SHA-256 over its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitKey(pub [u8; 16]);

impl Unit {
    /// The same work has the same key.
    pub fn key(&self) -> UnitKey {
        let digest = Sha256::digest(self.to_string().as_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        UnitKey(key)
    }
}

/// The unit's name: the same work has the same, in the visited set and in the journal.
impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unit::Discover { name, brute_force: true, .. } => write!(f, "names below {name}"),
            Unit::Discover { name, .. } => write!(f, "name {name}"),
            Unit::Ports { address, .. } => write!(f, "ports of {address}"),
            Unit::Identify(endpoint) | Unit::Knock(endpoint) => {
                write!(f, "service {}:{}", endpoint.address, endpoint.port)
            }
            Unit::Crawl(site) => write!(f, "pages of {} at {}", site.base, site.endpoint.address),
            Unit::CheckName { name, aspect: NameAspect::Zone } => write!(f, "checks of name {name}"),
            Unit::CheckName { name, aspect: NameAspect::Alias } => write!(f, "checks of alias {name}"),
            Unit::CheckService(service) => {
                write!(f, "checks of service {}:{}", service.endpoint.address, service.endpoint.port)
            }
            Unit::CheckSite(site) => write!(f, "checks of {} at {}", site.base, site.endpoint.address),
        }
    }
}

/// Where a name was learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Somebody asked for it.
    Target,
    /// Guessed from the word list.
    WordList,
    /// Stands in another name's records.
    Record,
    /// An address in scope points back at it (PTR).
    Pointer,
    /// Stands in a certificate.
    Certificate,
    /// Stands in a page.
    Page,
}

impl Source {
    /// A few words for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Target => "target",
            Source::WordList => "word list",
            Source::Record => "record",
            Source::Pointer => "pointer",
            Source::Certificate => "certificate",
            Source::Page => "page",
        }
    }
}

/// A name that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundName {
    /// The name.
    pub name: DomainName,
    /// Where it was learnt.
    pub source: Source,
    /// Where it leads.
    pub addresses: Vec<IpAddr>,
    /// Has NS or SOA records of its own.
    pub apex: bool,
    /// Has a CNAME record.
    pub alias: bool,
}

/// What a finished unit teaches about further work. Journalled with it, so that a resumed scan need not do it again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    /// Names that exist, with their addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<FoundName>,
    /// Names that stand somewhere and were not looked up yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentioned: Vec<(DomainName, Source)>,
    /// Open ports of the unit's address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<u16>,
    /// What listens on the unit's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
}
