//! How bad, and how sure.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How much a finding matters, ordered from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The template's author did not say.
    Unknown,
    /// A fact worth knowing; nothing to mend.
    Info,
    /// Hardening.
    Low,
    /// Helps an attacker together with something else.
    Medium,
    /// Exposes data or access by itself.
    High,
    /// Direct compromise.
    Critical,
}

impl Severity {
    /// From most to least severe, the order of every listing.
    pub const DESCENDING: [Severity; 6] = [
        Severity::Critical,
        Severity::High,
        Severity::Medium,
        Severity::Low,
        Severity::Info,
        Severity::Unknown,
    ];

    /// The word used in templates, reports and options.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Unknown => "unknown",
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The word is not a severity.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a severity: use info, low, medium, high, critical or unknown")]
pub struct SeverityError(String);

impl FromStr for Severity {
    type Err = SeverityError;

    fn from_str(word: &str) -> Result<Severity, SeverityError> {
        let lower = word.trim().to_ascii_lowercase();
        Severity::DESCENDING
            .into_iter()
            .find(|severity| severity.as_str() == lower)
            .ok_or_else(|| SeverityError(word.to_owned()))
    }
}

/// How sure a check is of what it says, ordered from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// A hint, such as a version in a banner.
    Tentative,
    /// Matched on content; a look-alike is possible.
    Firm,
    /// The evidence is the thing itself.
    Certain,
}

impl Confidence {
    /// The word used in templates and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Confidence::Tentative => "tentative",
            Confidence::Firm => "firm",
            Confidence::Certain => "certain",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
