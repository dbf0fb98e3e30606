//! Who did what.

use jiff::Timestamp;
use model::{AuditEntry, audit::Checkpoint, list::TimeOrder};
use serde::Deserialize;

use crate::{Client, ClientError, Page};

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only this action, such as `scan.submit`, or every one that begins with it and a dot.
    pub action: Option<String>,
    /// Only of those whose name contains this.
    pub by: Option<String>,
    /// Only from then on.
    pub since: Option<Timestamp>,
    /// And only before then.
    pub until: Option<Timestamp>,
    /// Only what was done in that request.
    pub request: Option<String>,
    /// Only what was refused, or only what was not.
    pub refused: Option<bool>,
    /// In which order.
    pub order: TimeOrder,
    /// How many, at most; as many as the server usually gives without.
    pub limit: Option<usize>,
    /// Only older than that one.
    pub before: Option<u64>,
    /// Only newer than that one.
    pub after: Option<u64>,
    /// Of what was done to all tenants at once, instead of the tenant's own; for who runs the platform.
    pub installation: bool,
}

#[derive(Deserialize)]
struct Entries {
    entries: Vec<AuditEntry>,
    next: Option<u64>,
}

#[derive(Deserialize)]
struct Checkpoints {
    checkpoints: Vec<Checkpoint>,
    next: Option<u64>,
}

impl Client {
    /// What was done to the tenant, or to all at once.
    pub async fn audit(&self, query: &AuditQuery) -> Result<Page<AuditEntry, u64>, ClientError> {
        let request = self
            .get(&["audit"])
            .query_if("action", query.action.as_ref())
            .query_if("by", query.by.as_ref())
            .query_if("since", query.since)
            .query_if("until", query.until)
            .query_if("request", query.request.as_ref())
            .query_if("refused", query.refused)
            .query("order", query.order)
            .query_if("limit", query.limit)
            .query_if("before", query.before)
            .query_if("after", query.after)
            .query_if("installation", query.installation.then_some(true));
        request.answer().await.map(|Entries { entries, next }| Page { items: entries, next })
    }

    /// The signed checkpoints of the tenant's audit, or of that of what was done to all at once, the newest first; only those before the
    /// one with this number.
    pub async fn audit_checkpoints(
        &self,
        installation: bool,
        limit: Option<usize>,
        before: Option<u64>,
    ) -> Result<Page<Checkpoint, u64>, ClientError> {
        let request = self
            .get(&["audit", "checkpoints"])
            .query_if("installation", installation.then_some(true))
            .query_if("limit", limit)
            .query_if("before", before);
        request.answer().await.map(|Checkpoints { checkpoints, next }| Page { items: checkpoints, next })
    }
}
