//! Ends of scans before everything had its turn: somebody's wish, or no time or money left.

use std::{collections::BTreeMap, time::Duration};

use model::{
    ScanId, TenantId, Work,
    scan::{Exhausted, ScanEnd},
    task::Command,
};

use crate::{
    Store, StoreError, TaskFilter,
    scans::RunningScan,
    session::{QueueTx, TenantTx},
    tasks::{Change, dice, since, write_changes},
};

impl TenantTx<'_> {
    /// What waits is gone; what is at work hears of it.
    pub(crate) async fn cancel_waiting(&mut self, scan: &mut RunningScan) -> Result<(), StoreError> {
        const ALL: usize = 1_000_000;
        for state in ["queued", "running"] {
            let filter = TaskFilter { state: Some(state), ..TaskFilter::of_scan(scan.id) };
            let mut changes = Vec::new();
            for record in self.hold_tasks(&filter, ALL).await? {
                let applied = record.task.apply(&Command::Cancel, &record.policy, self.now, dice());
                let (Ok((task, _)), Work::Unit(_)) = (applied, &record.work) else { continue };
                scan.changes(&record, &task.life, self.now);
                changes.push(Change { tenant: record.tenant, id: record.id, before: record.due, task });
            }
            write_changes(self.session, &changes, self.now).await?;
        }
        Ok(())
    }

    async fn stop_scan(&mut self, id: ScanId, end: ScanEnd) -> Result<bool, StoreError> {
        let mut scan = self.hold_scan(id).await?;
        if !scan.plans() {
            return Ok(false);
        }
        scan.stopping = Some(end);
        self.cancel_waiting(&mut scan).await?;
        self.go_on(&mut scan).await?;
        Ok(true)
    }
}

impl QueueTx<'_> {
    /// Scans that somebody must look after, with why they are to end, if they are.
    async fn scans_to_tend(&mut self) -> Result<Vec<(TenantId, ScanId, Option<ScanEnd>)>, StoreError> {
        let now = self.now;
        let sql = "SELECT tenant_id, scan_id, deadline FROM scans WHERE state = 'running' \
                   AND (deadline <= $1 OR open_tasks = 0) ORDER BY deadline LIMIT 1000";
        let mut scans = Vec::new();
        for row in self.session.query(sql, &[now.into()]).await? {
            let end = (row.time(2)? <= now).then_some(ScanEnd::Deadline);
            scans.push((TenantId::new(row.id(0)?), row.word(1)?, end));
        }
        // Time passes in tries that have not ended, too: one that takes long must not spend what nobody wants to pay.
        let sql = "SELECT scans.tenant_id, scans.scan_id, scans.worked, scans.most_worked, tasks.started_at FROM scans \
                   JOIN tasks ON tasks.tenant_id = scans.tenant_id AND tasks.scan_id = scans.scan_id \
                   WHERE scans.state = 'running' AND scans.most_worked IS NOT NULL AND tasks.state = 'running' LIMIT 1000000";
        let mut paid: BTreeMap<(TenantId, ScanId), (Duration, Duration)> = BTreeMap::new();
        for row in self.session.query(sql, &[]).await? {
            let (worked, most) = (Duration::from_micros(row.count(2)?), Duration::from_micros(row.count(3)?));
            let (paid, _) = paid.entry((TenantId::new(row.id(0)?), row.word(1)?)).or_insert((worked, most));
            *paid += row.maybe_time(4)?.map_or(Duration::ZERO, |begun| since(begun, now));
        }
        let end = ScanEnd::Budget { exhausted: Exhausted::Cost };
        let over = paid.into_iter().filter(|(_, (paid, most))| paid >= most);
        scans.extend(over.map(|((tenant, scan), _)| (tenant, scan, Some(end))));
        Ok(scans)
    }
}

impl Store {
    /// Nobody wants it any more. Whether it was still going on.
    pub async fn cancel_scan(&self, tenant: TenantId, id: ScanId, by: String) -> Result<bool, StoreError> {
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                tx.audit(&by, "scan.cancel", &id.to_string(), "").await?;
                tx.stop_scan(id, ScanEnd::Cancelled).await
            })
        })
        .await
    }

    /// Ends the scans whose time or money is up, and goes on with those that have room for further targets. How many it ended.
    pub async fn tend_scans(&self) -> Result<usize, StoreError> {
        let running = self.of_queue(|tx| Box::pin(async move { tx.scans_to_tend().await })).await?;
        let (mut ended, mut failed) = (0, None);
        for (tenant, id, end) in running {
            let tended = self
                .of_tenant(tenant, move |tx| {
                    Box::pin(async move {
                        if let Some(end) = end {
                            return tx.stop_scan(id, end).await;
                        }
                        let mut scan = tx.hold_scan(id).await?;
                        tx.go_on(&mut scan).await.map(|_| false)
                    })
                })
                .await;
            // What is wrong with one scan holds up no other.
            match tended {
                Ok(is_over) => ended += usize::from(is_over),
                Err(reason) => failed = failed.or(Some(reason)),
            }
        }
        failed.map_or(Ok(ended), Err)
    }
}
