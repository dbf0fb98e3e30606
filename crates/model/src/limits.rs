//! What a scan may use, and what a profile means.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that several processes count together, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedCount {
    /// What is counted.
    pub name: String,
    /// How much is added.
    pub add: u64,
    /// How long after the first was added it begins anew.
    pub window: Duration,
}

/// Hard caps. Nothing in a template or a response raises one of them, and no option raises what the scope's
/// [`Ceilings`](crate::scope::Ceilings) say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Requests (HTTP, TCP dialogues, TLS probes) a second, in all.
    pub requests_per_second: u32,
    /// The same, for one address.
    pub requests_per_second_per_host: u32,
    /// Port probes (connection attempts of the ports stage) a second, in all.
    pub probes_per_second: u32,
    /// DNS queries a second, in all.
    pub queries_per_second: u32,
    /// Open connections, in all.
    pub connections: u32,
    /// Open connections to one address.
    pub connections_per_host: u32,
    /// Until a connection stands, or a port counts as filtered.
    pub connect_timeout: Duration,
    /// One request, from the first byte of the connection to the last byte of the response.
    pub request_deadline: Duration,
    /// Everything on one host.
    pub host_deadline: Duration,
    /// The whole scan.
    pub scan_deadline: Duration,
    /// Body bytes kept of one response, before and after decompression.
    pub response_bytes: usize,
    /// Header bytes of one response.
    pub header_bytes: usize,
    /// Bytes of what targets send that one unit may hold at once.
    pub held_bytes: u64,
    /// Findings, assets, names and remarks that one unit may give back, of each.
    pub result_items: u32,
    /// Bytes of all of them together.
    pub result_bytes: u64,
    /// Redirect hops followed, whatever a template asks for.
    pub redirects: u32,
    /// Attempts on a port, a query or a connection that was not answered.
    pub attempts: u32,
    /// Failures in a row after which a site or service is left alone: it does not answer any more.
    pub failures_in_a_row: u32,
    /// Pages crawled on one site.
    pub crawl_pages: u32,
    /// Links followed from the start page.
    pub crawl_depth: u32,
    /// Body bytes read by the crawler on one site.
    pub crawl_bytes: u64,
    /// Time for one site.
    pub crawl_deadline: Duration,
    /// Names found in pages, certificates and records that are followed up.
    pub discovered_names: u32,
}

/// Units on one address at once: its connections are shared between them, so that none waits for another's.
const UNITS_PER_HOST: u32 = 4;
/// Units at once, in all.
const UNITS: u32 = 256;

impl Limits {
    /// Units that work on one address at once.
    pub fn units_per_host(&self) -> u32 {
        UNITS_PER_HOST.min(self.connections_per_host.max(1))
    }

    /// Connections that one unit may use: the host's cap shared between the units that work on it at once.
    pub fn connections_per_unit(&self) -> u32 {
        (self.connections_per_host.max(1) / self.units_per_host()).max(1)
    }

    /// Units that work at once, in all.
    pub fn units_at_once(&self) -> u32 {
        (self.connections / self.connections_per_unit()).clamp(1, UNITS)
    }
}

/// What whoever runs a worker set for each task; like the scope's [`Ceilings`](crate::scope::Ceilings) they raise nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskCeilings {
    /// Bytes of what targets send that it may hold at once.
    pub held_bytes: Option<u64>,
    /// Bytes that it may give back.
    pub result_bytes: Option<u64>,
}

impl TaskCeilings {
    /// The limits, lowered to the ceilings.
    pub fn lower(&self, limits: &Limits) -> Limits {
        let lowest = |value: u64, ceiling: Option<u64>| ceiling.map_or(value, |ceiling| value.min(ceiling));
        Limits {
            held_bytes: lowest(limits.held_bytes, self.held_bytes),
            result_bytes: lowest(limits.result_bytes, self.result_bytes),
            ..limits.clone()
        }
    }
}

/// A named set of limits and ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// The most common ports, a short word list, a shallow crawl.
    Quick,
    /// What most people want.
    Standard,
    /// Every port, the long word list, a deep crawl.
    Deep,
}

impl Profile {
    /// Every profile, smallest first.
    pub const ALL: [Profile; 3] = [Profile::Quick, Profile::Standard, Profile::Deep];

    /// The word used in options and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Profile::Quick => "quick",
            Profile::Standard => "standard",
            Profile::Deep => "deep",
        }
    }

    /// The caps of the profile.
    pub fn limits(self) -> Limits {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let standard = Limits {
            requests_per_second: 1_000,
            requests_per_second_per_host: 200,
            probes_per_second: 10_000,
            queries_per_second: 2_000,
            connections: 1_000,
            connections_per_host: 16,
            connect_timeout: Duration::from_millis(1_500),
            request_deadline: Duration::from_secs(10),
            host_deadline: minutes(30),
            scan_deadline: minutes(24 * 60),
            response_bytes: 4 << 20,
            header_bytes: 64 << 10,
            held_bytes: 64 << 20,
            result_items: 100_000,
            result_bytes: 32 << 20,
            redirects: 10,
            attempts: 3,
            failures_in_a_row: 30,
            crawl_pages: 500,
            crawl_depth: 5,
            crawl_bytes: 128 << 20,
            crawl_deadline: minutes(10),
            discovered_names: 10_000,
        };
        match self {
            Profile::Quick => Limits {
                host_deadline: minutes(5),
                scan_deadline: minutes(60),
                request_deadline: Duration::from_secs(5),
                attempts: 2,
                held_bytes: 32 << 20,
                result_items: 20_000,
                result_bytes: 16 << 20,
                crawl_pages: 50,
                crawl_depth: 2,
                crawl_bytes: 16 << 20,
                crawl_deadline: minutes(1),
                discovered_names: 500,
                ..standard
            },
            Profile::Standard => standard,
            Profile::Deep => Limits {
                host_deadline: minutes(4 * 60),
                scan_deadline: minutes(7 * 24 * 60),
                request_deadline: Duration::from_secs(20),
                attempts: 4,
                held_bytes: 256 << 20,
                result_items: 500_000,
                result_bytes: 128 << 20,
                crawl_pages: 20_000,
                crawl_depth: 16,
                crawl_bytes: 2 << 30,
                crawl_deadline: minutes(120),
                discovered_names: 200_000,
                ..standard
            },
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The word is not a profile.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a profile: use quick, standard or deep")]
pub struct ProfileError(String);

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(word: &str) -> Result<Profile, ProfileError> {
        Profile::ALL
            .into_iter()
            .find(|profile| profile.as_str() == word)
            .ok_or_else(|| ProfileError(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_of_tasks_lower_and_never_raise() {
        let limits = Profile::Standard.limits();
        assert_eq!(TaskCeilings::default().lower(&limits), limits);
        let high = TaskCeilings { held_bytes: Some(u64::MAX), result_bytes: Some(u64::MAX) };
        assert_eq!(high.lower(&limits), limits);
        let low = TaskCeilings { held_bytes: Some(2), result_bytes: Some(3) }.lower(&limits);
        assert_eq!(low, Limits { held_bytes: 2, result_bytes: 3, ..limits });
    }
}
