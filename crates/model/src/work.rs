//! What is to be done in a task, and what came of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Asset, Finding, Learned, Ledger, PackageUrl, Priority, ScanId, Stage, TraceParent, Unit,
    task::RetryPolicy, webhook::Delivery,
};

/// What a task is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all work is units: a box would be one allocation more for each"
)]
pub enum Work {
    /// A unit of a scan.
    Unit(Unit),
    /// An analysis of a package.
    Package {
        /// Which.
        purl: PackageUrl,
    },
    /// The reports of a scan.
    Report,
    /// A message to a webhook.
    Deliver(Box<Delivery>),
    /// Nothing, for so long.
    Exercise {
        /// At least.
        hold: Duration,
    },
}

impl Work {
    /// The stage whose workers do it.
    pub fn stage(&self) -> Stage {
        match self {
            Work::Unit(unit) => unit.stage(),
            Work::Package { .. } => Stage::Package,
            Work::Report => Stage::Report,
            Work::Deliver(_) => Stage::Deliver,
            Work::Exercise { .. } => Stage::Exercise,
        }
    }
}

/// A task as somebody asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// What to do.
    pub work: Work,
    /// Of which scan, if of any.
    pub scan: Option<ScanId>,
    /// How urgent.
    pub priority: Priority,
    /// Not before so long from now, by the store's clock.
    pub delay: Duration,
    /// Asked for twice with the same key, it is one task.
    pub idempotency_key: Option<String>,
    /// How often, and when again.
    pub policy: RetryPolicy,
    /// How long one try may take.
    pub deadline: Duration,
    /// The request of which it comes, if of any: by this the lines of all who work on it are found.
    pub request_id: Option<String>,
    /// Where in a trace it was asked for, if somewhere: what is done for it goes on from there.
    pub trace: Option<TraceParent>,
}

impl NewTask {
    /// As usual, and at once.
    pub fn new(work: Work) -> NewTask {
        NewTask {
            work,
            scan: None,
            priority: Priority::Normal,
            delay: Duration::ZERO,
            idempotency_key: None,
            policy: RetryPolicy::default(),
            deadline: Duration::from_secs(60 * 60),
            request_id: None,
            trace: None,
        }
    }
}

/// What came of a unit. Committed as a whole, with the end of its task and with the tasks that follow from it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitResult {
    /// What exists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assets: Vec<Asset>,
    /// What somebody should act on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// What could not be found out, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undetermined: Vec<String>,
    /// What was left out on purpose, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// How each check ended.
    pub ledger: Ledger,
    /// What it teaches about further units.
    #[serde(default)]
    pub learned: Learned,
}
