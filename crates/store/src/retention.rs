//! Forgetting: what nobody needs any more, a little at a time.

use std::time::Duration;

use jiff::Timestamp;

use crate::{Store, StoreError, session::TenantTx};

/// How long things are kept after their end. Findings, assets, scans and what came of them are kept for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Tasks that were completed or cancelled; dead ones wait for a person.
    pub tasks: Duration,
    /// What planning knows of a scan: it is needed again when one of its dead tasks is redriven.
    pub planning: Duration,
    /// Earlier results of units, for scans that spare what has not changed.
    pub visits: Duration,
    /// Workers that ended without a word.
    pub workers: Duration,
    /// Evidence in object storage that no finding names any more.
    pub unnamed_evidence: Duration,
}

impl Default for Retention {
    /// A week, a month, a quarter of a year, a day, a week.
    fn default() -> Retention {
        const DAY: u64 = 24 * 60 * 60;
        Retention {
            tasks: Duration::from_secs(7 * DAY),
            planning: Duration::from_secs(30 * DAY),
            visits: Duration::from_secs(90 * DAY),
            workers: Duration::from_secs(DAY),
            unnamed_evidence: Duration::from_secs(7 * DAY),
        }
    }
}

/// Rows of one kind that one transaction forgets: others wait for it.
const AT_ONCE: u64 = 5_000;

impl TenantTx<'_> {
    async fn forget(&mut self, retention: &Retention) -> Result<u64, StoreError> {
        let before = |age: Duration| self.now.saturating_sub(age).unwrap_or(Timestamp::MIN);
        let (tasks, planning, visits, now) =
            (before(retention.tasks), before(retention.planning), before(retention.visits), self.now);
        let ended_scans =
            "SELECT scan_id FROM scans WHERE tenant_id = $1 AND state = 'ended' AND ended_at < $2";
        let statements = [
            (
                format!(
                    "DELETE FROM tasks WHERE tenant_id = $1 AND task_id IN (SELECT task_id FROM tasks WHERE tenant_id = $1 \
                     AND ended_at < $2 AND state IN ('completed', 'cancelled') LIMIT {AT_ONCE})"
                ),
                tasks,
            ),
            ("DELETE FROM task_keys WHERE tenant_id = $1 AND expires_at < $2".to_owned(), now),
            (
                format!(
                    "DELETE FROM scan_knowledge WHERE tenant_id = $1 AND (scan_id, subject) IN (SELECT scan_id, subject \
                     FROM scan_knowledge WHERE tenant_id = $1 AND scan_id IN ({ended_scans}) LIMIT {AT_ONCE})"
                ),
                planning,
            ),
            (
                format!(
                    "DELETE FROM scan_units WHERE tenant_id = $1 AND (scan_id, unit_key) IN (SELECT scan_id, unit_key \
                     FROM scan_units WHERE tenant_id = $1 AND scan_id IN ({ended_scans}) LIMIT {AT_ONCE})"
                ),
                planning,
            ),
            (
                format!(
                    "DELETE FROM unit_visits WHERE tenant_id = $1 AND unit_key IN (SELECT unit_key FROM unit_visits \
                     WHERE tenant_id = $1 AND looked_at < $2 LIMIT {AT_ONCE})"
                ),
                visits,
            ),
            (
                format!(
                    "DELETE FROM unit_looks WHERE tenant_id = $1 AND unit_key IN (SELECT unit_key FROM unit_looks \
                     WHERE tenant_id = $1 AND looked_at < $2 LIMIT {AT_ONCE})"
                ),
                visits,
            ),
        ];
        let mut forgotten = 0;
        for (sql, before) in statements {
            forgotten += self.execute(&sql, &[self.tenant(), before.into()]).await?;
        }
        Ok(forgotten)
    }
}

impl Store {
    /// Forgets what is older than it need be, a few thousand rows of each tenant. How many that were; ask again while there are any.
    pub async fn forget(&self, retention: Retention) -> Result<u64, StoreError> {
        let workers = self.of_queue(move |tx| {
            let silent_since = tx.now.saturating_sub(retention.workers).unwrap_or(Timestamp::MIN);
            Box::pin(async move { tx.forget_workers(silent_since).await })
        });
        let (mut forgotten, mut failed) = (workers.await?, None);
        for tenant in self.tenants().await? {
            let done = self
                .of_tenant(tenant.id, move |tx| Box::pin(async move { tx.forget(&retention).await }))
                .await;
            // What is wrong with one tenant's rows holds up no other.
            match done {
                Ok(count) => forgotten += count,
                Err(reason) => failed = failed.or(Some(reason)),
            }
        }
        failed.map_or(Ok(forgotten), Err)
    }
}
