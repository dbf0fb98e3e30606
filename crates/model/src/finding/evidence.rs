//! What was sent and what came back: by which name, from which look, how much.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Evidence, Fingerprint};
use crate::{ScanId, TaskId};

/// One exchange of a finding, as one look took it: `FINGERPRINT.TASK.NUMBER`. A later look takes others, by other names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct EvidenceId {
    /// Of which finding.
    pub finding: Fingerprint,
    /// By which task it was taken.
    pub task: TaskId,
    /// Which of them, from 0 on.
    pub number: u32,
}

impl fmt::Display for EvidenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.finding, self.task, self.number)
    }
}

/// The text names no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the id of evidence: expected the fingerprint, the task and the number, with dots between them"
)]
pub struct EvidenceIdError(String);

impl FromStr for EvidenceId {
    type Err = EvidenceIdError;

    fn from_str(text: &str) -> Result<EvidenceId, EvidenceIdError> {
        let parts: Vec<&str> = text.split('.').collect();
        let read = || match parts[..] {
            [finding, task, number] => Some(EvidenceId {
                finding: finding.parse().ok()?,
                task: task.parse().ok()?,
                number: number.parse().ok()?,
            }),
            _ => None,
        };
        read().ok_or_else(|| EvidenceIdError(text.to_owned()))
    }
}

impl TryFrom<String> for EvidenceId {
    type Error = EvidenceIdError;

    fn try_from(text: String) -> Result<EvidenceId, EvidenceIdError> {
        text.parse()
    }
}

impl From<EvidenceId> for String {
    fn from(id: EvidenceId) -> String {
        id.to_string()
    }
}

/// What is kept of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// What was sent, and what came back.
    Exchange,
    /// What came without being asked for, such as a greeting.
    Answer,
    /// Nothing any more: somebody removed it from where it was kept.
    Gone,
}

/// What is known of one exchange, without what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceRecord {
    /// Which.
    pub id: EvidenceId,
    /// The scan that it was taken for.
    pub scan: ScanId,
    /// When the look began that took it.
    pub taken_at: Timestamp,
    /// What is kept of it.
    pub kind: EvidenceKind,
    /// How much was sent, in bytes as it is kept.
    pub request_bytes: u64,
    /// How much came back, in bytes as it is kept.
    pub response_bytes: u64,
    /// More came back than is kept.
    pub truncated: bool,
}

impl EvidenceRecord {
    /// Of something that is there.
    pub fn of(id: EvidenceId, scan: ScanId, taken_at: Timestamp, evidence: &Evidence) -> EvidenceRecord {
        let kind = match evidence.request.is_empty() {
            true => EvidenceKind::Answer,
            false => EvidenceKind::Exchange,
        };
        let (request_bytes, response_bytes) = (evidence.request.len() as u64, evidence.response.len() as u64);
        EvidenceRecord {
            id,
            scan,
            taken_at,
            kind,
            request_bytes,
            response_bytes,
            truncated: evidence.truncated,
        }
    }

    /// Of something that is not there any more.
    pub fn gone(id: EvidenceId, scan: ScanId, taken_at: Timestamp) -> EvidenceRecord {
        let kind = EvidenceKind::Gone;
        EvidenceRecord { id, scan, taken_at, kind, request_bytes: 0, response_bytes: 0, truncated: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let text = "00112233445566778899aabbccddeeff.0190a0f0-7a5b-7c3d-8e1f-2a3b4c5d6e7f.12";
        let id: EvidenceId = text.parse().unwrap();
        assert_eq!((id.to_string(), id.number), (text.to_owned(), 12));
        for wrong in ["", "1.2.3", &text[..60], &format!("{text}.1"), &text.replace(".12", ".-1")] {
            assert!(wrong.parse::<EvidenceId>().is_err(), "{wrong}");
        }
    }
}
