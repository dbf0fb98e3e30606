//! Ends of scans before everything had its turn: somebody's wish, or no time or money left.

use std::{collections::BTreeMap, time::Duration};

use model::{
    By, Happening, ScanId, TenantId,
    scan::{Exhausted, ScanEnd},
    task::Command,
};

use crate::{
    Store, StoreError,
    audit::Act,
    list::Question,
    scans::RunningScan,
    session::{Dialect, QueueTx, TenantTx},
    tasks::{COLUMNS, Change, dice, read_task, since, write_changes},
    value::Row,
};

/// The tasks of a scan, as a statement begins with them: left to itself SQLite walks through all that the tenant ever had.
fn of_scan(columns: &str, dialect: Dialect) -> String {
    let index = match dialect {
        Dialect::Sqlite => "INDEXED BY tasks_of_scan",
        Dialect::Postgres => "",
    };
    format!("SELECT {columns} FROM tasks {index} WHERE tenant_id = $1 AND scan_id = $2")
}

/// Units that are not done, and whose workers have not heard that nobody wants them.
const WANTED: &str = "state IN ('queued', 'running') AND NOT cancelling AND unit IS NOT NULL";

/// Those of them that wait.
const WAITING: &str = "state = 'queued' AND unit IS NOT NULL";

impl TenantTx<'_> {
    /// What waits is gone. It waits for nobody: whoever asks may hold tasks already, and others hold them in order. What somebody
    /// else has in hand, and what is at work, is left to whoever tends scans.
    pub(crate) async fn cancel_waiting(&mut self, scan: &mut RunningScan) -> Result<(), StoreError> {
        let lock = self.dialect().for_update_skip_locked();
        self.cancel_units(scan, WAITING, lock).await
    }

    async fn cancel_units(
        &mut self,
        scan: &mut RunningScan,
        which: &str,
        lock: &str,
    ) -> Result<(), StoreError> {
        let tasks = of_scan(COLUMNS, self.dialect());
        let sql = format!("{tasks} AND {which} ORDER BY task_id{lock}");
        let mut changes = Vec::new();
        for row in self.query(&sql, &[self.tenant(), scan.id.to_string().into()]).await? {
            let record = read_task(&row)?;
            let applied = record.task.apply(&Command::Cancel, &record.policy, self.now, dice());
            let Ok((task, _)) = applied else { continue };
            scan.changes(&record, &task.life, self.now);
            changes.push(Change { tenant: record.tenant, id: record.id, before: record.due, task });
        }
        write_changes(self.session, &changes, self.now).await
    }

    /// From here on it comes to its end.
    pub(crate) fn begin_to_stop(&mut self, scan: &mut RunningScan, end: ScanEnd) {
        scan.stopping = Some(end);
        self.tell(Happening::ScanStopping { scan: scan.id, end });
    }

    /// Those that do not give up already what is planned, the oldest first.
    async fn scans_that_go_on(&mut self, scope: Option<String>) -> Result<Vec<ScanId>, StoreError> {
        let mut wanted = Question::of(self.tenant());
        wanted.also("state = 'running'");
        wanted.with_any("scope = #", scope);
        let Question { condition, values } = wanted;
        let sql =
            format!("SELECT scan_id, stopping FROM scans WHERE {condition} ORDER BY submitted_at, scan_id");
        let mut going_on = Vec::new();
        for row in self.query(&sql, &values).await? {
            let stopping: Option<ScanEnd> = row.maybe_json(1)?;
            if !stopping.is_some_and(ScanEnd::gives_up) {
                going_on.push(row.word(0)?);
            }
        }
        Ok(going_on)
    }

    /// Gives up what is planned: what waits is gone, what is at work hears of it. Whether that is new.
    pub(crate) async fn stop_scan(&mut self, id: ScanId, end: ScanEnd) -> Result<bool, StoreError> {
        let mut scan = self.hold_scan(id).await?;
        if !scan.is_open() {
            return Ok(false);
        }
        let is_new = !scan.gives_up();
        if is_new {
            self.begin_to_stop(&mut scan, end);
        }
        // Here no task is held yet: they are held in order, as everywhere.
        let lock = self.dialect().for_update();
        self.cancel_units(&mut scan, WANTED, lock).await?;
        self.go_on(&mut scan).await?;
        Ok(is_new)
    }
}

/// Scans that may cost so much, with each try of theirs that has not ended. It begins with the scans, which are few: SQLite, left
/// to itself, walks through all tasks that there ever were.
fn unpaid(dialect: Dialect) -> String {
    let (running, at_work) = match dialect {
        Dialect::Sqlite => ("INDEXED BY scans_running CROSS", "INDEXED BY tasks_running"),
        Dialect::Postgres => ("", ""),
    };
    format!(
        "SELECT scans.tenant_id, scans.scan_id, scans.stopping, scans.worked, scans.most_worked, tasks.started_at \
         FROM scans {running} JOIN tasks {at_work} ON tasks.tenant_id = scans.tenant_id AND tasks.scan_id = scans.scan_id \
         WHERE scans.state = 'running' AND scans.most_worked IS NOT NULL AND tasks.state = 'running' LIMIT 1000000"
    )
}

impl QueueTx<'_> {
    /// Scans that somebody must look after, with why they are to end, if they are.
    async fn scans_to_tend(&mut self) -> Result<BTreeMap<(TenantId, ScanId), Option<ScanEnd>>, StoreError> {
        let mut scans = self.stopping_scans().await?;
        let now = self.now;
        // Those that give up already are among them until their workers let go: they must hold up no other.
        let sql = "SELECT tenant_id, scan_id, stopping, deadline, open_tasks FROM scans WHERE state = 'running' \
                   AND (deadline <= $1 OR open_tasks = 0) LIMIT 1000000";
        for row in self.session.query(sql, &[now.into()]).await? {
            if !given_up(&row, 2)? || row.count(4)? == 0 {
                let end = (row.time(3)? <= now).then_some(ScanEnd::Deadline);
                scans.entry((TenantId::new(row.id(0)?), row.word(1)?)).or_insert(end);
            }
        }
        // Time passes in tries that have not ended, too: one that takes long must not spend what nobody wants to pay.
        let mut paid: BTreeMap<(TenantId, ScanId), (Duration, Duration)> = BTreeMap::new();
        for row in self.session.query(&unpaid(self.session.dialect()), &[]).await? {
            if given_up(&row, 2)? {
                continue;
            }
            let (worked, most) = (Duration::from_micros(row.count(3)?), Duration::from_micros(row.count(4)?));
            let (paid, _) = paid.entry((TenantId::new(row.id(0)?), row.word(1)?)).or_insert((worked, most));
            *paid += row.maybe_time(5)?.map_or(Duration::ZERO, |begun| since(begun, now));
        }
        let end = ScanEnd::Budget { exhausted: Exhausted::Cost };
        for (scan, _) in paid.into_iter().filter(|(_, (paid, most))| paid >= most) {
            scans.entry(scan).or_insert(Some(end));
        }
        Ok(scans)
    }

    /// Scans that give up what is planned, of which something waits or is at work as if they did not.
    async fn stopping_scans(&mut self) -> Result<BTreeMap<(TenantId, ScanId), Option<ScanEnd>>, StoreError> {
        let sql = "SELECT tenant_id, scan_id, stopping FROM scans WHERE state = 'running' AND stopping IS NOT NULL LIMIT 1000000";
        let mut unwanted = BTreeMap::new();
        for row in self.session.query(sql, &[]).await? {
            let end: Option<ScanEnd> = row.maybe_json(2)?;
            if !end.is_some_and(ScanEnd::gives_up) {
                continue;
            }
            let (tenant, scan): (TenantId, ScanId) = (TenantId::new(row.id(0)?), row.word(1)?);
            let sql = format!("{} AND {WANTED} LIMIT 1", of_scan("1", self.session.dialect()));
            let values = [tenant.as_uuid().into(), scan.to_string().into()];
            if !self.session.query(&sql, &values).await?.is_empty() {
                unwanted.insert((tenant, scan), end);
            }
        }
        Ok(unwanted)
    }
}

/// Does the scan of a row give up what is planned already?
fn given_up(row: &Row, stopping: usize) -> Result<bool, StoreError> {
    Ok(row.maybe_json::<ScanEnd>(stopping)?.is_some_and(ScanEnd::gives_up))
}

impl Store {
    /// Nobody wants it any more. Whether it was still going on.
    pub async fn cancel_scan(
        &self,
        tenant: TenantId,
        id: ScanId,
        by: impl Into<By>,
    ) -> Result<bool, StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let is_new = tx.stop_scan(id, ScanEnd::Cancelled).await?;
                if is_new {
                    tx.audit(Act::new(&by, "scan.cancel", id));
                }
                Ok(is_new)
            })
        })
        .await
    }

    /// The same for those that still go on, the oldest first, within a scope if one is named: at most so many. How many that were, and
    /// whether there are more.
    pub async fn cancel_scans(
        &self,
        tenant: TenantId,
        scope: Option<String>,
        at_most: usize,
        by: impl Into<By>,
    ) -> Result<(u64, bool), StoreError> {
        let by = by.into();
        let going_on = self
            .read_tenant(tenant, move |tx| Box::pin(async move { tx.scans_that_go_on(scope).await }))
            .await?;
        let mut ended = 0;
        for id in going_on.iter().take(at_most) {
            ended += u64::from(self.cancel_scan(tenant, *id, by.clone()).await?);
        }
        Ok((ended, going_on.len() > at_most))
    }

    /// Ends the scans whose time or money is up, tells the workers of those that give up what is planned, and goes on with those
    /// that have room for further targets. How many it ended.
    pub async fn tend_scans(&self) -> Result<usize, StoreError> {
        let running = self.read_queue(|tx| Box::pin(async move { tx.scans_to_tend().await })).await?;
        let (mut ended, mut failed) = (0, None);
        for ((tenant, id), end) in running {
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

#[cfg(test)]
mod tests {
    use testkit::postgres::Server;
    use uuid::Uuid;

    use super::*;
    use crate::{Location, NewTenant};

    async fn plan(store: &Store, explain: &'static str, statement: fn(Dialect) -> String) -> Vec<String> {
        let told = store.read_queue(move |tx| {
            Box::pin(async move {
                let dialect = tx.session.dialect();
                let sql = format!("{explain} {}", statement(dialect));
                let values = [Uuid::nil().into(), ScanId::from_random(1).to_string().into()];
                let used = if sql.contains("$1") { &values[..] } else { &[] };
                let column = match dialect {
                    Dialect::Sqlite => 3,
                    Dialect::Postgres => 0,
                };
                let rows = tx.session.query(&sql, used).await?;
                rows.iter().map(|row| row.text(column).map(str::to_owned)).collect()
            })
        });
        told.await.unwrap()
    }

    /// Every statement about tasks that is asked each second, or whenever something comes of a scan that gives up.
    const STATEMENTS: [fn(Dialect) -> String; 3] = [
        unpaid,
        |dialect| format!("{} AND {WANTED} ORDER BY task_id", of_scan("unit", dialect)),
        |dialect| format!("{} AND {WAITING} ORDER BY task_id", of_scan("unit", dialect)),
    ];

    #[tokio::test]
    async fn sqlite_looks_for_tasks_of_scans_only() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::Sqlite(directory.path().join("rampart.db"))).await.unwrap();
        for statement in STATEMENTS {
            let plan = plan(&store, "EXPLAIN QUERY PLAN", statement).await;
            let tasks: Vec<_> = plan.iter().filter(|step| step.contains("tasks")).collect();
            let scan = "(tenant_id=? AND scan_id=?";
            assert!(
                matches!(&tasks[..], [step] if step.starts_with("SEARCH tasks USING INDEX") && step.contains(scan)),
                "{plan:?}"
            );
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn postgresql_looks_for_tasks_of_scans_only() {
        let server = || Server::shared();
        let database = tokio::task::spawn_blocking(move || server().create_database_with_user());
        let database = database.await.unwrap();
        let user = std::slice::from_ref(&database.user);
        crate::migrate(&database.owner_url, user).await.unwrap();
        let url = database.url_at(server().address());
        let store = Store::open(&Location::Postgres { url, connections: 1, replica: None }).await.unwrap();
        store.create_tenant(NewTenant::named("acme"), "test".to_owned()).await.unwrap();
        let sql = async |statements: String| {
            let name = database.name.clone();
            tokio::task::spawn_blocking(move || server().sql(&name, &statements)).await.unwrap()
        };
        // Nothing but one scan that has ended, and what it did.
        sql(format!(
            "SET search_path = rampart; \
             INSERT INTO scans (tenant_id, scan_id, scope, scope_body, request, limits, submitted_by, submitted_at, deadline, \
             state, life, purpose, checks, targets, names_left, traffic) SELECT tenant_id, '{}', '', '{{}}', '{{}}', '{{}}', '', \
             now(), now(), 'ended', '{{}}', '', '', 1, 0, '{{}}' FROM tenants; \
             INSERT INTO tasks (tenant_id, task_id, scan_id, stage, work, unit, priority, state, not_before, most_attempts, \
             backoff_base, backoff_cap, deadline, created_at, ended_at) SELECT tenant_id, gen_random_uuid(), scan_id, 'check', \
             '{{}}', 'unit', 1, 'completed', now(), 1, 1, 1, 1, now(), now() FROM scans, generate_series(1, 20000)",
            ScanId::from_random(1)
        ))
        .await;
        for known in ["", "ANALYZE"] {
            sql(known.to_owned()).await;
            for statement in STATEMENTS {
                let plan = plan(&store, "EXPLAIN", statement).await;
                assert!(!plan.iter().any(|step| step.contains("Seq Scan on tasks")), "{known}: {plan:#?}");
            }
        }
    }
}
