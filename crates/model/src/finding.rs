//! What somebody should act on.

mod evidence;
mod history;

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;
use utoipa::ToSchema;

pub use self::{
    evidence::{EvidenceId, EvidenceIdError, EvidenceKind, EvidenceRecord},
    history::{Decision, History, Life, Look, Verdict},
};
use crate::{CheckId, Confidence, DomainName, Endpoint, Severity, id::digest_id};

/// Where a finding is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", content = "at", rename_all = "snake_case")]
#[schema(as = FindingLocation)]
pub enum Location {
    /// A name and its records.
    Domain(DomainName),
    /// A port.
    Service(Endpoint),
    /// A page or other web resource.
    Url(Url),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Domain(name) => name.fmt(f),
            Location::Service(endpoint) => endpoint.fmt(f),
            Location::Url(url) => url.fmt(f),
        }
    }
}

digest_id!(
    /// Makes the same thing seen again the same finding: over check, matcher and location.
    Fingerprint,
    FingerprintError,
    "a fingerprint"
);

impl Fingerprint {
    /// Deliberately without anything that changes between two looks at the same fault: no time, no evidence, no
    /// version, no query order, no severity.
    pub fn of(check: &CheckId, matcher: Option<&str>, location: &Location) -> Fingerprint {
        let mut hash = Sha256::new();
        for part in [check.as_str(), matcher.unwrap_or_default(), &location.to_string()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Fingerprint::from_stored(bytes)
    }
}

/// What was sent and what came back, lossily decoded to text and capped; hostile text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// What Rampart sent.
    pub request: String,
    /// What the target answered.
    pub response: String,
    /// The pieces of the response that made the check match, literally as they stand in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matched: Vec<String>,
    /// The response was longer than what is kept here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// Public catalogues a finding belongs to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Classification {
    /// `CVE-2024-1234`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cve: Vec<String>,
    /// `CWE-200`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cwe: Vec<String>,
    /// `CVSS:3.1/AV:N/…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cvss_metrics: Option<String>,
    /// 0.0 to 10.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cvss_score: Option<f64>,
}

/// An observation that somebody should act on, with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// The same thing seen again has the same.
    pub fingerprint: Fingerprint,
    /// The template that matched.
    pub check: CheckId,
    /// The template's title.
    pub name: String,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// Where.
    pub location: Location,
    /// The addresses at which it was seen: a name may lead to several machines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
    /// The matcher inside the template, when it has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matcher: Option<String>,
    /// Values that the template extracted, by extractor name (empty for nameless ones). Hostile text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extracted: BTreeMap<String, Vec<String>>,
    /// At least one exchange.
    pub evidence: Vec<Evidence>,
    /// What it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it leads to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub impact: String,
    /// How to mend it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remediation: String,
    /// Where to read on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// Catalogue numbers.
    #[serde(default)]
    pub classification: Classification,
    /// The template's tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// One command that shows it again.
    pub reproduce: String,
    /// When it was seen.
    pub found_at: jiff::Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_depends_on_each_part_and_on_nothing_else() {
        let check = CheckId::new("git-config-exposed");
        let at = |url: &str| Location::Url(url.parse().unwrap());
        let first = Fingerprint::of(&check, None, &at("http://a.test/.git/config"));
        assert_eq!(first, Fingerprint::of(&check, None, &at("http://a.test/.git/config")));
        assert_ne!(first, Fingerprint::of(&check, Some("x"), &at("http://a.test/.git/config")));
        assert_ne!(first, Fingerprint::of(&check, None, &at("http://b.test/.git/config")));
        assert_ne!(first, Fingerprint::of(&CheckId::new("other"), None, &at("http://a.test/.git/config")));
        assert_eq!(first.to_string().parse::<Fingerprint>().unwrap(), first);
        assert!("+0000000000000000000000000000000".parse::<Fingerprint>().is_err());
    }
}
