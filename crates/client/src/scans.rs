//! Scans.

use jiff::Timestamp;
use model::{
    ScanId, ScanRequest, Target, TaskId,
    list::{ScanCursor, TimeOrder},
    record::{ScanRecord, ScanTarget, UnitGaps},
    scan::Difference,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Client, ClientError, Page};

/// Which scans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanQuery {
    /// Only those that run.
    pub running: bool,
    /// Only within that scope.
    pub scope: Option<String>,
    /// Only those that were submitted from then on.
    pub since: Option<Timestamp>,
    /// And only those that were submitted before then.
    pub until: Option<Timestamp>,
    /// In which order.
    pub order: TimeOrder,
    /// How many, at most; as many as the server usually gives without.
    pub limit: Option<usize>,
    /// Only what comes behind that place in that order.
    pub after: Option<ScanCursor>,
}

/// What two scans saw differently.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Compared {
    /// Which.
    pub scan: ScanId,
    /// With which.
    pub baseline: ScanId,
    /// What appeared, what disappeared, what changed.
    pub difference: Difference,
}

#[derive(Deserialize)]
struct Scans {
    scans: Vec<ScanRecord>,
    next: Option<ScanCursor>,
}

#[derive(Deserialize)]
struct Targets {
    targets: Vec<ScanTarget>,
    next: Option<u64>,
}

#[derive(Deserialize)]
struct Gaps {
    undetermined_count: u64,
    units: Vec<UnitGaps>,
    next: Option<TaskId>,
}

#[derive(Serialize)]
struct Submission<'s> {
    targets: &'s [Target],
    request: &'s ScanRequest,
}

impl Client {
    /// Scans.
    pub async fn scans(&self, query: &ScanQuery) -> Result<Page<ScanRecord, ScanCursor>, ClientError> {
        let request = self.get(&["scans"]).query("running", query.running);
        let request = request
            .query_if("scope", query.scope.as_ref())
            .query_if("since", query.since)
            .query_if("until", query.until)
            .query("order", query.order)
            .query_if("limit", query.limit)
            .query_if("after", query.after.as_ref());
        request.answer().await.map(|Scans { scans, next }| Page { items: scans, next })
    }

    /// A scan as it stands.
    pub async fn scan(&self, id: ScanId) -> Result<ScanRecord, ClientError> {
        self.get(&["scans", &id.to_string()]).answer().await
    }

    /// Begins a scan. Under a key the same request of the same asker is the same scan for a day; without one it gets a key of its own, so
    /// that a connection that breaks neither loses nor doubles it.
    pub async fn submit_scan(
        &self,
        targets: &[Target],
        request: &ScanRequest,
        key: Option<&str>,
    ) -> Result<ScanRecord, ClientError> {
        let own = Uuid::now_v7().to_string();
        let submission = Submission { targets, request };
        self.post(&["scans"]).body(&submission).once(key.unwrap_or(&own))?.answer().await
    }

    /// What a scan was asked to look at, in the order in which it was given, from after a place on.
    pub async fn scan_targets(
        &self,
        id: ScanId,
        limit: Option<usize>,
        after: Option<u64>,
    ) -> Result<Page<ScanTarget, u64>, ClientError> {
        let request = self.get(&["scans", &id.to_string(), "targets"]);
        let Targets { targets, next } =
            request.query_if("limit", limit).query_if("after", after).answer().await?;
        Ok(Page { items: targets, next })
    }

    /// What a scan could not find out: how much in all, and by units, from after one on.
    pub async fn undetermined(
        &self,
        id: ScanId,
        limit: Option<usize>,
        after: Option<TaskId>,
    ) -> Result<(u64, Page<UnitGaps, TaskId>), ClientError> {
        let request = self.get(&["scans", &id.to_string(), "gaps"]).query("only", "undetermined");
        let Gaps { undetermined_count, units, next } =
            request.query_if("limit", limit).query_if("after", after).answer().await?;
        Ok((undetermined_count, Page { items: units, next }))
    }

    /// Ends a scan: what waits is cancelled, what runs is asked to stop.
    pub async fn cancel_scan(&self, id: ScanId) -> Result<ScanRecord, ClientError> {
        self.post(&["scans", &id.to_string(), "cancel"]).answer().await
    }

    /// Compares a scan with another, or with the one before it.
    pub async fn compare_scans(&self, id: ScanId, with: Option<ScanId>) -> Result<Compared, ClientError> {
        self.get(&["scans", &id.to_string(), "difference"]).query_if("with", with).answer().await
    }
}
