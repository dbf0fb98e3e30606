//! The stages of a scan, and of the work around it.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of work: each stage has workers of its own. Those of a scan feed one another: names found by `Ports`, `Crawl` and
/// `Check` go back to `Discover`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Names and their records.
    Discover,
    /// Open ports and the services behind them.
    Ports,
    /// Pages, links, forms, technologies.
    Crawl,
    /// Check templates.
    Check,
    /// Packages of other people's software.
    Package,
    /// The reports of a scan that has ended.
    Report,
    /// Messages to webhooks.
    Deliver,
    /// Nothing but waiting: what a queue and its workers can do is measured with it.
    Exercise,
}

impl Stage {
    /// Those of a scan, in the order in which they feed one another.
    pub const SCANNING: [Stage; 4] = [Stage::Discover, Stage::Ports, Stage::Crawl, Stage::Check];
    /// Those that the workers of this release can work for.
    pub const SERVED: [Stage; 7] = [
        Stage::Discover,
        Stage::Ports,
        Stage::Crawl,
        Stage::Check,
        Stage::Report,
        Stage::Deliver,
        Stage::Exercise,
    ];
    /// All of them.
    pub const ALL: [Stage; 8] = [
        Stage::Discover,
        Stage::Ports,
        Stage::Crawl,
        Stage::Check,
        Stage::Package,
        Stage::Report,
        Stage::Deliver,
        Stage::Exercise,
    ];

    /// The word used in options and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Discover => "discover",
            Stage::Ports => "ports",
            Stage::Crawl => "crawl",
            Stage::Check => "check",
            Stage::Package => "package",
            Stage::Report => "report",
            Stage::Deliver => "deliver",
            Stage::Exercise => "exercise",
        }
    }
}

/// Adds numbers of tasks, by stage, to others.
pub fn add_counts(total: &mut BTreeMap<Stage, usize>, more: BTreeMap<Stage, usize>) {
    for (stage, count) in more {
        *total.entry(stage).or_default() += count;
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The word is not a stage.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a stage: use discover, ports, crawl, check, package, report, deliver or exercise")]
pub struct StageError(String);

impl FromStr for Stage {
    type Err = StageError;

    fn from_str(word: &str) -> Result<Stage, StageError> {
        Stage::ALL
            .into_iter()
            .find(|stage| stage.as_str() == word.trim())
            .ok_or_else(|| StageError(word.to_owned()))
    }
}
