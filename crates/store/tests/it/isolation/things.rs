//! What a tenant has, and what never was.

use model::{AssetId, CommentId, Fingerprint, ScanId, ScheduleId, SessionId, TaskId, UserId, WebhookId};

use crate::keys::key;

/// Things of a tenant, or of nobody.
#[derive(Debug, Clone, Copy)]
pub(super) struct Things {
    pub(super) scan: ScanId,
    pub(super) other_scan: ScanId,
    pub(super) task: TaskId,
    /// An analysis of [`PACKAGE`] with a result.
    pub(super) analysis: TaskId,
    pub(super) finding: Fingerprint,
    pub(super) asset: AssetId,
    pub(super) webhook: WebhookId,
    pub(super) schedule: ScheduleId,
    /// A key that this number makes.
    pub(super) key: u8,
    pub(super) user: UserId,
    pub(super) session: SessionId,
    /// What was said about the finding.
    pub(super) comment: CommentId,
    /// A scope of that name is the tenant's.
    pub(super) scope: &'static str,
    /// A role of that name is.
    pub(super) role: &'static str,
}

impl Things {
    /// As like these as can be.
    pub(super) fn that_never_were(self) -> Things {
        Things {
            scan: ScanId::from_random(0xabcd),
            other_scan: ScanId::from_random(0xabce),
            task: TaskId::new(uuid::Uuid::from_u128(self.task.as_uuid().as_u128() ^ 1)),
            analysis: TaskId::new(uuid::Uuid::from_u128(self.analysis.as_uuid().as_u128() ^ 1)),
            finding: "00112233445566778899aabbccddeeff".parse().unwrap(),
            asset: AssetId::from_stored([7; 16]),
            webhook: WebhookId::new(uuid::Uuid::from_u128(11)),
            schedule: ScheduleId::new(uuid::Uuid::from_u128(7)),
            key: 0xee,
            user: UserId::new(uuid::Uuid::from_u128(8)),
            session: SessionId::new(uuid::Uuid::from_u128(9)),
            comment: CommentId::new(uuid::Uuid::from_u128(10)),
            scope: "nowhere",
            role: "never",
        }
    }

    /// An answer without their names: whoever asks for them knows those.
    pub(super) fn unnamed(self, answer: String) -> String {
        [
            (self.scan.to_string(), "<scan>"),
            (self.other_scan.to_string(), "<scan>"),
            (self.task.to_string(), "<task>"),
            (self.analysis.to_string(), "<analysis>"),
            (self.finding.to_string(), "<finding>"),
            (self.asset.to_string(), "<asset>"),
            (self.webhook.to_string(), "<webhook>"),
            (self.schedule.to_string(), "<schedule>"),
            (key(self.key).prefix().to_string(), "<key>"),
            (self.user.to_string(), "<user>"),
            (self.session.to_string(), "<session>"),
            (self.comment.to_string(), "<comment>"),
            (format!("\"{}\"", self.scope), "<scope>"),
            (format!("\"{}\"", self.role), "<role>"),
        ]
        .iter()
        .fold(answer, |answer, (id, name)| answer.replace(id, name))
    }
}
