//! The stages of a scan.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// One stage of a scan. They feed one another: names found by `Ports`, `Crawl` and `Check` go back to `Discover`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
}

impl Stage {
    /// In the order in which they feed one another.
    pub const ALL: [Stage; 4] = [Stage::Discover, Stage::Ports, Stage::Crawl, Stage::Check];

    /// The word used in options and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Discover => "discover",
            Stage::Ports => "ports",
            Stage::Crawl => "crawl",
            Stage::Check => "check",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The word is not a stage.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a stage: use discover, ports, crawl or check")]
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
