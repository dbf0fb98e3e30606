//! Identifiers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Names one scan: in the User-Agent, the report and the journal. 64 random bits, shown as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ScanId(u64);

impl ScanId {
    /// The caller brings the randomness: this crate has none.
    pub fn from_random(bits: u64) -> ScanId {
        ScanId(bits)
    }

    /// Seeds whatever must be repeatable within one scan.
    pub fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ScanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<ScanId> for String {
    fn from(id: ScanId) -> String {
        id.to_string()
    }
}

/// The text is not 16 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a scan id: expected 16 hexadecimal digits")]
pub struct ScanIdError(String);

impl TryFrom<String> for ScanId {
    type Error = ScanIdError;

    fn try_from(text: String) -> Result<ScanId, ScanIdError> {
        if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ScanIdError(text));
        }
        u64::from_str_radix(&text, 16).map(ScanId).map_err(|_| ScanIdError(text))
    }
}

/// The id of a check template, such as `git-config-exposed`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckId(std::sync::Arc<str>);

impl CheckId {
    /// Any text a template carries as its id.
    pub fn new(id: &str) -> CheckId {
        CheckId(id.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
