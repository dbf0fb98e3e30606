//! What a scan may touch. Pure decisions; the sockets ask here, at connect time, every time.

mod address;
mod file;
mod window;

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::{
    address::{NeverReason, canonical, never_permitted},
    file::{Ceilings, ScopeFile, ScopeFileError},
    window::{DailyWindow, TimeWindow},
};
use crate::{DomainName, Host, NamePattern, PortSet, Target};

/// Ports that break or print when somebody talks to them: raw printing, and industrial controllers.
pub const FRAGILE_PORTS: &[u16] = &[
    102, // Siemens S7
    502, // Modbus
    515, 631, // line printer, IPP
    789, 1911, 1962, 2404, 4840, 4911, 5006, 5007, 5094, 9600, // Red Lion to OMRON controllers
    9100, 9101, 9102, 9103, 9104, 9105, 9106, 9107, // raw printing: what arrives is printed
    18245, 18246, 20000, 20547, 44818, 47808, // GE SRTP, DNP3, ProConOS, EtherNet/IP, BACnet
];

/// What a tenant authorised, and what it excluded. Exclusions win.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Scope {
    /// Who authorised it; none only for the built-in loopback scope.
    pub authorised_by: Option<String>,
    /// Names that may be asked about and connected to.
    pub names: Vec<NamePattern>,
    /// Addresses that may be connected to, by whatever name.
    #[schema(value_type = Vec<String>)]
    pub networks: Vec<IpNet>,
    /// Ports that may be connected to.
    pub ports: PortSet,
    /// Names that must not be touched.
    pub excluded_names: Vec<NamePattern>,
    /// Addresses that must not be touched.
    #[schema(value_type = Vec<String>)]
    pub excluded_networks: Vec<IpNet>,
    /// Ports that must not be touched.
    pub excluded_ports: PortSet,
    /// When.
    pub window: TimeWindow,
    /// Name servers that may be asked, and nothing else of theirs.
    #[schema(value_type = Vec<String>)]
    pub resolvers: Vec<SocketAddr>,
    /// Caps that no option raises.
    pub ceilings: Ceilings,
}

/// Where a socket wants to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination<'a> {
    /// The name that led there, when a name did.
    pub name: Option<&'a DomainName>,
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

/// Why the scope does not allow something. How somebody gets another scope is said by whoever asked them for one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Metadata services, multicast and the like: no scope allows them.
    #[error("{address} is never scanned: it is {reason}")]
    Never {
        /// As given.
        address: IpAddr,
        /// What it is.
        reason: NeverReason,
    },
    /// Not in `networks`, and not reached by an authorised name.
    #[error("{0} is not in scope: `networks` of the scope does not contain it")]
    Address(IpAddr),
    /// An authorised name leads to a private or loopback address that no network of the scope contains.
    #[error("{name} resolves to the non-public address {address}, which is not in `networks` of the scope")]
    PrivateAddress {
        /// The name.
        name: DomainName,
        /// Where it leads.
        address: IpAddr,
    },
    /// Not in `names`.
    #[error("{0} is not in scope: `names` of the scope does not contain it")]
    Name(DomainName),
    /// In an exclusion.
    #[error("{0} is excluded by the scope")]
    Excluded(String),
    /// Not in `ports`, or fragile and not named there.
    #[error(
        "port {0} is not in scope: it is outside `ports`, excluded, or fragile (name a fragile port by itself in `ports` to include it)"
    )]
    Port(u16),
    /// Outside the window.
    #[error("the scope's time window is closed: {0}")]
    Closed(String),
    /// Not one of the scan's name servers.
    #[error("{0} is not one of the scan's name servers")]
    Resolver(SocketAddr),
}

impl Scope {
    /// What holds without a scope file: this machine by its loopback addresses, under any name that leads there.
    pub fn loopback() -> Scope {
        Scope {
            authorised_by: None,
            names: vec![NamePattern::Any],
            networks: vec![
                "127.0.0.0/8".parse().expect("a literal network"),
                "::1/128".parse().expect("a literal network"),
            ],
            ports: PortSet::all().without(&FRAGILE_PORTS.iter().copied().collect()),
            excluded_names: Vec::new(),
            excluded_networks: Vec::new(),
            excluded_ports: PortSet::EMPTY,
            window: TimeWindow::ALWAYS,
            resolvers: Vec::new(),
            ceilings: Ceilings::default(),
        }
    }

    /// May a socket be opened to there, now?
    pub fn permits(&self, destination: Destination<'_>, now: jiff::Timestamp) -> Result<(), Refusal> {
        self.permits_time(now)?;
        if let Some(name) = destination.name {
            self.permits_name(name)?;
        }
        self.permits_address(destination.address, destination.name)?;
        self.permits_port(destination.port)
    }

    /// Is it the time?
    pub fn permits_time(&self, now: jiff::Timestamp) -> Result<(), Refusal> {
        self.window.permits(now).map_err(Refusal::Closed)
    }

    /// May the name be asked about and connected to?
    pub fn permits_name(&self, name: &DomainName) -> Result<(), Refusal> {
        if self.excluded_names.iter().any(|pattern| pattern.matches(name)) {
            return Err(Refusal::Excluded(name.to_string()));
        }
        if self.names.iter().any(|pattern| pattern.matches(name)) {
            Ok(())
        } else {
            Err(Refusal::Name(name.clone()))
        }
    }

    /// May the port be connected to?
    pub fn permits_port(&self, port: u16) -> Result<(), Refusal> {
        if port != 0 && self.ports.contains(port) && !self.excluded_ports.contains(port) {
            Ok(())
        } else {
            Err(Refusal::Port(port))
        }
    }

    /// May the address be connected to? A permitted name brings the public addresses it leads to with it; anything else must
    /// be in a network of the scope, so that a name in somebody else's hands cannot lead a scan inside (DNS rebinding).
    pub fn permits_address(&self, given: IpAddr, through: Option<&DomainName>) -> Result<(), Refusal> {
        if let Some(reason) = never_permitted(given) {
            return Err(Refusal::Never { address: given, reason });
        }
        // An exclusion means the machine, by whatever way it is reached; an authorisation means the packets as they are sent.
        let (sent_to, meant) = (address::as_sent(given), canonical(given));
        if self.excluded_networks.iter().any(|network| network.contains(&sent_to) || network.contains(&meant))
        {
            return Err(Refusal::Excluded(given.to_string()));
        }
        if self.networks.iter().any(|network| network.contains(&sent_to)) {
            return Ok(());
        }
        match through {
            Some(name) if self.authorises_by_name(name) => {
                if address::is_public(sent_to) {
                    Ok(())
                } else {
                    Err(Refusal::PrivateAddress { name: name.clone(), address: given })
                }
            }
            _ => Err(Refusal::Address(given)),
        }
    }

    /// May this name server be asked?
    pub fn permits_resolver(&self, resolver: SocketAddr) -> Result<(), Refusal> {
        if let Some(reason) = never_permitted(resolver.ip()) {
            return Err(Refusal::Never { address: resolver.ip(), reason });
        }
        if self.resolvers.contains(&resolver) { Ok(()) } else { Err(Refusal::Resolver(resolver)) }
    }

    /// Is there anything of the target that may be scanned? Networks count when they touch the scope; each address is asked
    /// again when its turn comes.
    pub fn permits_target(&self, target: &Target) -> Result<(), Refusal> {
        match target {
            Target::Network(network) => {
                // Somebody who wrote a scope may cut a large network down to it; without one that would be a scan of nearly nothing.
                let touches = |allowed: &IpNet| {
                    allowed.contains(network) || self.authorised_by.is_some() && network.contains(allowed)
                };
                if self.excluded_networks.iter().any(|excluded| excluded.contains(network)) {
                    Err(Refusal::Excluded(network.to_string()))
                } else if self.networks.iter().any(touches) {
                    Ok(())
                } else {
                    Err(Refusal::Address(network.addr()))
                }
            }
            Target::Host(host) => self.permits_host(host),
            Target::Service(host, port) => self.permits_host(host).and_then(|()| self.permits_port(*port)),
            Target::Url(url) => {
                if let Some(host) = target.host() {
                    self.permits_host(&host)?;
                }
                self.permits_port(url.port_or_known_default().unwrap_or(0))
            }
        }
    }

    fn permits_host(&self, host: &Host) -> Result<(), Refusal> {
        match host {
            Host::Address(address) => self.permits_address(*address, None),
            Host::Name(name) => self.permits_name(name),
        }
    }

    /// [`NamePattern::Any`] is no authorisation of addresses: it says that names do not matter, addresses do.
    fn authorises_by_name(&self, name: &DomainName) -> bool {
        self.names.iter().any(|pattern| *pattern != NamePattern::Any && pattern.matches(name))
    }

    /// Everything it says, a line each.
    pub fn describe_in_full(&self) -> Vec<String> {
        fn list<T: ToString>(items: &[T]) -> String {
            match items {
                [] => "none".to_owned(),
                items => items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            }
        }
        let mut lines = vec![
            format!("names {}", list(&self.names)),
            format!("networks {}", list(&self.networks)),
            format!("ports {}", self.ports),
            format!("without the names {}", list(&self.excluded_names)),
            format!("without the networks {}", list(&self.excluded_networks)),
            format!(
                "without the ports {}",
                if self.excluded_ports.is_empty() {
                    "none".to_owned()
                } else {
                    self.excluded_ports.to_string()
                }
            ),
            self.window.describe(),
        ];
        lines.extend(self.ceilings.describe());
        lines
    }

    /// One line for the report.
    pub fn describe(&self) -> String {
        let list = |items: Vec<String>| match items.len() {
            0 => "none".to_owned(),
            1..=6 => items.join(", "),
            count => format!("{}, and {} more", items[..5].join(", "), count - 5),
        };
        let names = list(self.names.iter().map(ToString::to_string).collect());
        let networks = list(self.networks.iter().map(ToString::to_string).collect());
        format!("names {names}; networks {networks}; {}", self.window.describe())
    }
}

#[cfg(test)]
mod tests;
