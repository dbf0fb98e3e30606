//! The scope file: what its author wrote, checked once.

use ipnet::IpNet;
use jiff::{Timestamp, civil::Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DailyWindow, FRAGILE_PORTS, Scope, TimeWindow};
use crate::{Limits, NamePattern, PortSet, name::NameError, ports::PortError};

/// The file as written. Unknown keys fail: a misspelt exclusion must not be ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WrittenScope)]
pub struct ScopeFile {
    /// Who authorised it, for example a name and a ticket.
    #[schema(min_length = 1)]
    authorised_by: String,
    /// Names that may be asked about and connected to.
    #[serde(default)]
    #[schema(value_type = Vec<NamePattern>)]
    names: Vec<WrittenName>,
    /// Networks and addresses that may be connected to.
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["10.0.0.0/8"]))]
    networks: Vec<Network>,
    /// Ports; without them all but the fragile ones.
    #[serde(default)]
    #[schema(value_type = Option<PortSet>)]
    ports: Option<WrittenPorts>,
    /// What must not be touched.
    #[serde(default)]
    exclude: Exclusions,
    /// When.
    #[serde(default)]
    window: Window,
    /// Caps that no option raises.
    #[serde(default)]
    limits: Ceilings,
}

/// Caps that whoever authorised the scan set; no option raises them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ceilings {
    /// Requests a second, in all.
    pub requests_per_second: Option<u32>,
    /// Requests a second, for one address.
    pub requests_per_second_per_host: Option<u32>,
    /// Port probes a second.
    pub probes_per_second: Option<u32>,
    /// DNS queries a second.
    pub queries_per_second: Option<u32>,
    /// Open connections.
    pub connections: Option<u32>,
    /// Open connections to one address.
    pub connections_per_host: Option<u32>,
}

impl Ceilings {
    /// The limits, lowered to the ceilings.
    pub fn lower(&self, limits: &Limits) -> Limits {
        let lowest =
            |value: u32, ceiling: Option<u32>| ceiling.map_or(value, |ceiling| value.min(ceiling.max(1)));
        Limits {
            requests_per_second: lowest(limits.requests_per_second, self.requests_per_second),
            requests_per_second_per_host: lowest(
                limits.requests_per_second_per_host,
                self.requests_per_second_per_host,
            ),
            probes_per_second: lowest(limits.probes_per_second, self.probes_per_second),
            queries_per_second: lowest(limits.queries_per_second, self.queries_per_second),
            connections: lowest(limits.connections, self.connections),
            connections_per_host: lowest(limits.connections_per_host, self.connections_per_host),
            ..limits.clone()
        }
    }
}

impl Ceilings {
    fn by_name(&self) -> [(&'static str, Option<u32>); 6] {
        let Ceilings {
            requests_per_second,
            requests_per_second_per_host,
            probes_per_second,
            queries_per_second,
            connections,
            connections_per_host,
        } = *self;
        [
            ("requests_per_second", requests_per_second),
            ("requests_per_second_per_host", requests_per_second_per_host),
            ("probes_per_second", probes_per_second),
            ("queries_per_second", queries_per_second),
            ("connections", connections),
            ("connections_per_host", connections_per_host),
        ]
    }

    /// A line for each that is set.
    pub(super) fn describe(&self) -> impl Iterator<Item = String> {
        self.by_name()
            .into_iter()
            .filter_map(|(name, cap)| Some(format!("at most {} {}", cap?, name.replace('_', " "))))
    }

    fn require_some(&self) -> Result<(), ScopeFileError> {
        match self.by_name().into_iter().find(|(_, cap)| *cap == Some(0)) {
            Some((name, _)) => Err(ScopeFileError::Zero(name)),
            None => Ok(()),
        }
    }
}

/// What must not be touched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Exclusions {
    /// Names.
    #[serde(default)]
    #[schema(value_type = Vec<NamePattern>)]
    names: Vec<WrittenName>,
    /// Networks and addresses.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    networks: Vec<Network>,
    /// Ports.
    #[serde(default)]
    ports: Option<PortSet>,
}

/// When a scope may be touched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Window {
    /// Not before.
    not_before: Option<Timestamp>,
    /// Not after.
    not_after: Option<Timestamp>,
    /// Only in these hours.
    #[schema(example = "22:00-06:00")]
    daily: Option<String>,
    /// Of these hours.
    #[schema(example = "+02:00")]
    utc_offset: Option<String>,
}

/// A pattern of names as people write it: none means every name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
struct WrittenName(NamePattern);

impl TryFrom<String> for WrittenName {
    type Error = NameError;

    fn try_from(text: String) -> Result<WrittenName, NameError> {
        text.parse().map(WrittenName)
    }
}

/// A network, or one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
struct Network(IpNet);

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Network, String> {
        let address = text.parse::<std::net::IpAddr>().map(IpNet::from).ok();
        address
            .or_else(|| text.parse::<IpNet>().ok())
            .map(|network| Network(without_mapping(network.trunc())))
            .ok_or_else(|| {
                format!("`{text}` is no network: write 192.0.2.0/24, 2001:db8::/64 or one address")
            })
    }
}

/// Mapped addresses are IPv4 on the wire and are compared as such: an exclusion that is written in that form must hold too.
fn without_mapping(network: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    let IpNet::V6(v6) = network else { return network };
    let Some(address) = v6.addr().to_ipv4_mapped().filter(|_| v6.prefix_len() >= MAPPED_BITS) else {
        return network;
    };
    ipnet::Ipv4Net::new(address, v6.prefix_len() - MAPPED_BITS).map_or(network, IpNet::V4)
}

/// A range of more ports than this does not mean each of them.
const SHORT_RANGE: usize = 16;

/// Ports as they were written: whether a fragile one is meant shows in how it stands there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
struct WrittenPorts {
    text: String,
    all: PortSet,
    /// Those that stand there by themselves or in a short range.
    meant: PortSet,
}

impl TryFrom<String> for WrittenPorts {
    type Error = PortError;

    fn try_from(text: String) -> Result<WrittenPorts, PortError> {
        let all: PortSet = text.parse()?;
        let parts = text.split(',').filter_map(|part| part.parse::<PortSet>().ok());
        let short = parts.filter(|part| part.len() <= SHORT_RANGE);
        let meant = short.fold(PortSet::EMPTY, |meant, part| meant.union(&part));
        Ok(WrittenPorts { text, all, meant })
    }
}

impl From<WrittenPorts> for String {
    fn from(written: WrittenPorts) -> String {
        written.text
    }
}

impl WrittenPorts {
    fn without_fragile_ports_that_nobody_meant(self) -> PortSet {
        let fragile: PortSet =
            FRAGILE_PORTS.iter().copied().filter(|port| !self.meant.contains(*port)).collect();
        self.all.without(&fragile)
    }
}

/// What is wrong with a scope file that parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeFileError {
    /// An authorisation without an author.
    #[error("`authorised_by` is empty: say who authorised this scan, for example a name and a ticket")]
    NobodyAuthorised,
    /// Nothing to scan.
    #[error("the scope names nothing: fill `names` or `networks`")]
    Empty,
    /// The daily window.
    #[error("`daily` is `{0}`: write it as 22:00-06:00")]
    Daily(String),
    /// The offset.
    #[error("`utc_offset` is `{0}`: write it as +02:00")]
    Offset(String),
    /// A cap of nothing.
    #[error("`{0}` is 0, which would allow nothing: leave it out, or write at least 1")]
    Zero(&'static str),
    /// The ends of the window.
    #[error("`not_after` is not later than `not_before`")]
    Backwards,
}

impl ScopeFile {
    /// Checks what a type cannot.
    pub fn into_scope(self) -> Result<Scope, ScopeFileError> {
        if self.authorised_by.trim().is_empty() {
            return Err(ScopeFileError::NobodyAuthorised);
        }
        if self.names.is_empty() && self.networks.is_empty() {
            return Err(ScopeFileError::Empty);
        }
        self.limits.require_some()?;
        let ports = match self.ports {
            None => default_ports(),
            Some(written) => written.without_fragile_ports_that_nobody_meant(),
        };
        Ok(Scope {
            authorised_by: Some(self.authorised_by),
            names: self.names.into_iter().map(|name| name.0).collect(),
            networks: self.networks.into_iter().map(|network| network.0).collect(),
            ports,
            excluded_names: self.exclude.names.into_iter().map(|name| name.0).collect(),
            excluded_networks: self.exclude.networks.into_iter().map(|network| network.0).collect(),
            excluded_ports: self.exclude.ports.unwrap_or_default(),
            window: self.window.into_window()?,
            resolvers: Vec::new(),
            ceilings: self.limits,
        })
    }
}

fn default_ports() -> PortSet {
    PortSet::all().without(&FRAGILE_PORTS.iter().copied().collect())
}

impl Window {
    fn into_window(self) -> Result<TimeWindow, ScopeFileError> {
        if let (Some(start), Some(end)) = (self.not_before, self.not_after)
            && end <= start
        {
            return Err(ScopeFileError::Backwards);
        }
        let utc_offset_seconds = match &self.utc_offset {
            None => 0,
            Some(text) => offset_seconds(text).ok_or_else(|| ScopeFileError::Offset(text.clone()))?,
        };
        let daily = match &self.daily {
            None => None,
            Some(text) => {
                let time = |part: &str| part.trim().parse::<Time>().ok();
                let (from, until) = text
                    .split_once('-')
                    .and_then(|(from, until)| Some((time(from)?, time(until)?)))
                    .filter(|(from, until)| from != until)
                    .ok_or_else(|| ScopeFileError::Daily(text.clone()))?;
                Some(DailyWindow { from, until, utc_offset_seconds })
            }
        };
        Ok(TimeWindow { not_before: self.not_before, not_after: self.not_after, daily })
    }
}

fn offset_seconds(text: &str) -> Option<i32> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (hours.parse::<i32>().ok()?, minutes.parse::<i32>().ok()?);
    let in_range = (0..=14).contains(&hours) && (0..60).contains(&minutes);
    in_range.then_some(sign * (hours * 3600 + minutes * 60))
}
