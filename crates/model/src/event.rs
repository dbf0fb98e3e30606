//! What a running scan tells whoever listens.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Asset, Finding, Ledger, Stage};

/// One thing that happened. The journal is a list of these; the report is made from the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Something exists.
    Asset {
        /// What.
        asset: Asset,
    },
    /// Somebody should act on this.
    Finding {
        /// What and where, with evidence.
        finding: Box<Finding>,
    },
    /// One unit (a name, a host, a service, a web site) is done for a stage: on resume it is not done again. Carries its share
    /// of the account.
    Done {
        /// Which stage.
        stage: Stage,
        /// The unit, as the pipeline names it.
        unit: String,
        /// Planned and ended pairs of this unit.
        #[serde(default)]
        ledger: Ledger,
    },
    /// Something could not be found out; the scan is undetermined there.
    Undetermined {
        /// Which stage.
        stage: Stage,
        /// The unit.
        unit: String,
        /// What failed, on which value, what to do.
        reason: String,
    },
    /// Worth saying, changes nothing.
    Note {
        /// Which stage.
        stage: Stage,
        /// What.
        text: String,
    },
    /// Counters, a few times a second; not kept.
    #[serde(skip)]
    Progress(Progress),
}

/// Counters of a running scan.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// HTTP requests, TCP dialogues and TLS probes sent.
    pub requests: u64,
    /// Requests that templates asked for and another template's answer served.
    pub shared: u64,
    /// Port probes sent.
    pub probes: u64,
    /// DNS queries sent.
    pub queries: u64,
    /// Connections opened.
    pub connections: u64,
    /// Units planned, over all stages.
    pub planned: u64,
    /// Units done, over all stages.
    pub done: u64,
    /// Targets taken from the list so far.
    pub targets: u64,
    /// The host that was looked at last.
    pub latest: Option<IpAddr>,
}
