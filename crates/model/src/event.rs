//! What a running scan tells whoever listens.

use serde::{Deserialize, Serialize};

use crate::{Asset, Finding, Ledger, Stage, Traffic, unit::Learned};

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
        /// What it teaches about further units.
        #[serde(default)]
        learned: Learned,
    },
    /// A unit that was stopped in the middle, or before its turn: its share of the account, for this run's report. On resume it is done again.
    Partial {
        /// Which stage.
        stage: Stage,
        /// The unit.
        unit: String,
        /// Planned and ended pairs of this unit.
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
    /// The scan goes on here after an end: what was said of units that the earlier run did not finish is open again.
    Resumed,
    /// A run came to its end in order.
    RunEnded {
        /// What this run sent.
        traffic: Traffic,
    },
    /// Something was left out on purpose: by a limit, or because it is out of scope or does not exist.
    LeftOut {
        /// Which stage.
        stage: Stage,
        /// The unit.
        unit: String,
        /// By what, and what it was.
        why: String,
    },
}
