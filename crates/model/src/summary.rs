//! What a report says besides findings and assets.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Ledger, Limits, Profile, ScanId, Severity, Stage};

/// The frame of a report: what was asked, what was done, what could not be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// Which scan.
    pub scan: ScanId,
    /// `rampart 0.1.0`.
    pub tool: String,
    /// When it began.
    pub started_at: jiff::Timestamp,
    /// When the last event came.
    pub ended_at: jiff::Timestamp,
    /// Did every unit get its turn? Not after Ctrl-C or a deadline.
    pub complete: bool,
    /// Why not, when not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete_because: Option<String>,
    /// The targets as given, at most 100 of them.
    pub targets: Vec<String>,
    /// How many were given.
    pub target_count: u64,
    /// Who authorised the scan, from the scope file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorised_by: Option<String>,
    /// The scope in one line.
    pub scope: String,
    /// The profile.
    pub profile: Profile,
    /// The caps in force.
    pub limits: Limits,
    /// The stages that ran.
    pub stages: Vec<Stage>,
    /// How many checks were loaded.
    pub checks: usize,
    /// Checks that could not be loaded, with reason, file and line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused_checks: Vec<String>,
    /// The account of every check.
    pub ledger: Ledger,
    /// What could not be found out: `stage unit: reason`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undetermined: Vec<String>,
    /// How many of those there are, when the list above was cut.
    pub undetermined_count: u64,
    /// What was left out on purpose, by limits or by the scope: `stage unit: why`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// How many of those there are, when the list above was cut.
    #[serde(default)]
    pub left_out_count: u64,
    /// Findings by severity.
    pub findings: std::collections::BTreeMap<Severity, u64>,
    /// Assets by kind: `domain`, `host`, `service`, `page`.
    pub assets: std::collections::BTreeMap<String, u64>,
    /// What was sent, in all runs of the scan.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// What was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Traffic {
    /// Requests (HTTP, TCP dialogues, TLS probes).
    pub requests: u64,
    /// Requests saved by sharing identical ones.
    pub shared_requests: u64,
    /// Port probes.
    pub probes: u64,
    /// DNS queries.
    pub queries: u64,
    /// Not sent, but held of what came back: the most bytes that one unit had at once.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub most_held_bytes: u64,
}

fn is_nothing(bytes: &u64) -> bool {
    *bytes == 0
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, more: Traffic) {
        self.requests += more.requests;
        self.shared_requests += more.shared_requests;
        self.probes += more.probes;
        self.queries += more.queries;
        self.most_held_bytes = self.most_held_bytes.max(more.most_held_bytes);
    }
}

impl std::ops::Sub for Traffic {
    type Output = Traffic;

    /// What was sent between two readings of counters that only grow.
    fn sub(self, earlier: Traffic) -> Traffic {
        Traffic {
            requests: self.requests.saturating_sub(earlier.requests),
            shared_requests: self.shared_requests.saturating_sub(earlier.shared_requests),
            probes: self.probes.saturating_sub(earlier.probes),
            queries: self.queries.saturating_sub(earlier.queries),
            most_held_bytes: self.most_held_bytes,
        }
    }
}
