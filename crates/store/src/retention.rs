//! Forgetting: what nobody needs any more, a little at a time.

use std::time::Duration;

use jiff::Timestamp;
use model::{ScanId, ScanLife, TenantId};

use crate::{
    Objects, Store, StoreError,
    scans::looked_at_everything,
    session::{Dialect, TenantTx},
};

/// How long things are kept after their end. Findings and assets are kept for good.
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
    /// Emergency stops that were lifted; the audit tells of them.
    pub lifted_stops: Duration,
    /// Scans with all that came of them, but for the last of each question; for good without any. A tenant may have said that its own
    /// are kept for a shorter time.
    pub scans: Option<Duration>,
}

impl Default for Retention {
    /// A week, a month, a quarter of a year, a day, a week, a year; scans for good.
    fn default() -> Retention {
        const DAY: u64 = 24 * 60 * 60;
        Retention {
            tasks: Duration::from_secs(7 * DAY),
            planning: Duration::from_secs(30 * DAY),
            visits: Duration::from_secs(90 * DAY),
            workers: Duration::from_secs(DAY),
            unnamed_evidence: Duration::from_secs(7 * DAY),
            lifted_stops: Duration::from_secs(365 * DAY),
            scans: None,
        }
    }
}

/// Rows of one kind that one transaction forgets: others wait for it.
const AT_ONCE: u64 = 5_000;
/// How often one round forgets some of what happened: others wait for the round to end.
const MOST_TURNS: usize = 100;
/// Scans of a tenant that one round forgets.
const SCANS_AT_ONCE: usize = 100;

/// What a forgotten scan leaves, and by what its rows are told apart.
const OF_A_SCAN: [(&str, &str); 5] = [
    ("unit_results", "task_id"),
    ("observations", "(kind, subject)"),
    ("scan_knowledge", "subject"),
    ("scan_units", "unit_key"),
    ("scan_targets", "position"),
];

/// Scans that ended before a time, and of which the next of the same question needs nothing: another one ended since, and if they
/// could be what it is compared with, another one that can. What is still to be written of them comes first.
fn old_scans() -> String {
    let later = "EXISTS (SELECT 1 FROM scans AS later WHERE later.tenant_id = $1 AND later.purpose = old.purpose \
                 AND later.state = 'ended' AND (later.submitted_at, later.scan_id) > (old.submitted_at, old.scan_id)";
    format!(
        "SELECT scan_id FROM scans AS old WHERE tenant_id = $1 AND submitted_at < $2 AND state = 'ended' AND ended_at < $2 \
         AND {later}) AND (NOT {} OR {later} AND {})) \
         AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.tenant_id = $1 AND tasks.scan_id = old.scan_id \
         AND tasks.state IN ('queued', 'running')) ORDER BY submitted_at LIMIT {SCANS_AT_ONCE}",
        looked_at_everything("old"),
        looked_at_everything("later"),
    )
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    now.saturating_sub(age).unwrap_or(Timestamp::MIN)
}

impl TenantTx<'_> {
    async fn old_scans(&mut self, kept_for: Duration) -> Result<Vec<ScanId>, StoreError> {
        let rows = self.query(&old_scans(), &[self.tenant(), before(self.now, kept_for).into()]).await?;
        rows.iter().map(|row| row.word(0)).collect()
    }

    /// First its tasks, a part of them at a time: as long as there are dead ones somebody may bring it back. Without any it is there
    /// for nobody any more. How many rows that changed.
    async fn forget_scan(&mut self, id: ScanId) -> Result<u64, StoreError> {
        let scan = match self.hold_scan(id).await {
            Ok(scan) => scan,
            // Another one was quicker.
            Err(StoreError::Missing { .. }) => return Ok(0),
            Err(error) => return Err(error),
        };
        if scan.life == ScanLife::Running {
            return Ok(0);
        }
        let values = [self.tenant(), id.to_string().into()];
        let sql = format!(
            "DELETE FROM tasks WHERE tenant_id = $1 AND task_id IN (SELECT task_id FROM tasks WHERE tenant_id = $1 \
             AND scan_id = $2 AND state IN ('completed', 'cancelled', 'dead') LIMIT {AT_ONCE})"
        );
        let tasks = self.execute(&sql, &values).await?;
        let sql = "UPDATE scans SET state = 'forgotten' WHERE tenant_id = $1 AND scan_id = $2 \
                   AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.tenant_id = $1 AND tasks.scan_id = $2)";
        Ok(tasks + self.execute(sql, &values).await?)
    }

    async fn forgotten_scans(&mut self) -> Result<Vec<ScanId>, StoreError> {
        // Left to itself SQLite walks through all scans of the tenant.
        let index = match self.dialect() {
            Dialect::Sqlite => "INDEXED BY scans_forgotten",
            Dialect::Postgres => "",
        };
        let sql = format!(
            "SELECT scan_id FROM scans {index} WHERE tenant_id = $1 AND state = 'forgotten' LIMIT {SCANS_AT_ONCE}"
        );
        self.query(&sql, &[self.tenant()]).await?.iter().map(|row| row.word(0)).collect()
    }

    /// Takes away a part of what a forgotten scan leaves. Was it the last?
    async fn clear_scan(&mut self, id: ScanId) -> Result<bool, StoreError> {
        let values = [self.tenant(), id.to_string().into()];
        for (table, key) in OF_A_SCAN {
            let columns = key.trim_matches(['(', ')']);
            let sql = format!(
                "DELETE FROM {table} WHERE tenant_id = $1 AND scan_id = $2 AND {key} IN (SELECT {columns} FROM {table} \
                 WHERE tenant_id = $1 AND scan_id = $2 LIMIT {AT_ONCE})"
            );
            if self.execute(&sql, &values).await? == AT_ONCE {
                return Ok(false);
            }
        }
        if !self.clear_comments(&values[1], AT_ONCE).await? {
            return Ok(false);
        }
        let sql = "DELETE FROM scans WHERE tenant_id = $1 AND scan_id = $2 AND state = 'forgotten'";
        self.execute(sql, &values).await.map(|_| true)
    }

    async fn forget(&mut self, retention: &Retention) -> Result<u64, StoreError> {
        let before = |age: Duration| before(self.now, age);
        let (tasks, planning, visits, now) =
            (before(retention.tasks), before(retention.planning), before(retention.visits), self.now);
        let ended_scans =
            "SELECT scan_id FROM scans WHERE tenant_id = $1 AND state = 'ended' AND ended_at < $2";
        let statements = [
            (
                format!(
                    "DELETE FROM tasks WHERE tenant_id = $1 AND task_id IN (SELECT task_id FROM tasks WHERE tenant_id = $1 \
                     AND ended_at < $2 AND (state IN ('completed', 'cancelled') OR stage = 'deliver') LIMIT {AT_ONCE})"
                ),
                tasks,
            ),
            ("DELETE FROM task_keys WHERE tenant_id = $1 AND expires_at < $2".to_owned(), now),
            ("DELETE FROM request_keys WHERE tenant_id = $1 AND expires_at < $2".to_owned(), now),
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
    /// Of scans that are forgotten [`Store::sweep_scans`] takes away the rest.
    pub async fn forget(&self, retention: Retention) -> Result<u64, StoreError> {
        let of_nobody = self.of_queue(move |tx| {
            let (workers, stops) =
                (before(tx.now, retention.workers), before(tx.now, retention.lifted_stops));
            Box::pin(async move { Ok(tx.forget_workers(workers).await? + tx.forget_stops(stops).await?) })
        });
        let (mut forgotten, mut failed) = (of_nobody.await?, None);
        self.of_queue(|tx| Box::pin(async move { tx.forget_sessions().await })).await?;
        // They come by the thousand, and nobody asks for how many.
        for _ in 0..MOST_TURNS {
            if !self.of_queue(|tx| Box::pin(async move { tx.forget_happenings().await })).await? {
                break;
            }
        }
        for tenant in self.tenants().await? {
            // What is wrong with one tenant's rows holds up no other.
            match self.forget_of(tenant.id, retention).await {
                Ok(count) => forgotten += count,
                Err(reason) => failed = failed.or(Some(reason)),
            }
        }
        failed.map_or(Ok(forgotten), Err)
    }

    async fn forget_of(&self, tenant: TenantId, retention: Retention) -> Result<u64, StoreError> {
        let mut forgotten =
            self.of_tenant(tenant, move |tx| Box::pin(async move { tx.forget(&retention).await })).await?;
        let settings = self.settings(tenant).await?;
        let Some(kept_for) = settings.keep_scans(retention.scans) else { return Ok(forgotten) };
        let old =
            self.read_tenant(tenant, move |tx| Box::pin(async move { tx.old_scans(kept_for).await })).await?;
        // One at a time: who holds several holds them in an order of their own.
        for scan in old {
            forgotten +=
                self.of_tenant(tenant, move |tx| Box::pin(async move { tx.forget_scan(scan).await })).await?;
        }
        Ok(forgotten)
    }

    /// Takes away what is left of scans that are forgotten: their reports, where it is known where those are, and then their rows, a
    /// few thousand at a time. How many scans; those that it fails at are left to the next time.
    pub async fn sweep_scans(&self, reports: Option<&Objects>) -> Result<u64, StoreError> {
        let (mut swept, mut failed) = (0, None);
        for tenant in self.tenants().await? {
            // What is wrong with one tenant's holds up no other.
            match self.sweep_scans_of(tenant.id, reports).await {
                Ok(count) => swept += count,
                Err(reason) => failed = failed.or(Some(reason)),
            }
        }
        failed.map_or(Ok(swept), Err)
    }

    async fn sweep_scans_of(&self, tenant: TenantId, reports: Option<&Objects>) -> Result<u64, StoreError> {
        let mut swept = 0;
        loop {
            let forgotten =
                self.read_tenant(tenant, |tx| Box::pin(async move { tx.forgotten_scans().await })).await?;
            if forgotten.is_empty() {
                return Ok(swept);
            }
            for scan in forgotten {
                // Before the row: nobody else knows that they are there.
                if let Some(reports) = reports {
                    reports.delete_reports(tenant, scan).await?;
                }
                while !self
                    .of_tenant(tenant, move |tx| Box::pin(async move { tx.clear_scan(scan).await }))
                    .await?
                {}
                swept += 1;
            }
        }
    }
}
