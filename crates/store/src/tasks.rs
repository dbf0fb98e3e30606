//! Tasks: asking for them, and looking at them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use model::{
    LeaseNumber, NewTask, Priority, ScanId, Stage, Task, TaskId, TenantId, TraceParent, Work, WorkerId,
    list::TimeOrder,
    record::TaskRecord,
    task::{Death, Life, RetryPolicy},
};
use uuid::Uuid;

use crate::{
    Store, StoreError,
    list::{Question, direction},
    scans::KNOWN,
    session::{Session, TenantTx},
    value::{Row, Value, json, places, rows_of_places},
};

/// How long a key of idempotency is remembered.
pub(crate) const KEYS_LIVE: Duration = Duration::from_secs(24 * 60 * 60);

/// The columns that [`read_task`] reads.
pub(crate) const COLUMNS: &str = "tasks.tenant_id, tasks.task_id, scan_id, work, priority, state, not_before, lease_number, \
     worker, lease_until, cancelling, death, attempts, redriven, most_attempts, backoff_base, backoff_cap, deadline, \
     last_failure, created_at, started_at, ended_at, request_id";
/// What comes behind them, for who goes on with the trace.
pub(crate) const TRACE: usize = 23;

pub(crate) fn read_task(row: &Row) -> Result<TaskRecord, StoreError> {
    let damaged = |what: &str| StoreError::Damaged(format!("a task has no {what}"));
    let state = row.text(5)?;
    let life = match state {
        "queued" => Life::Queued { not_before: row.time(6)? },
        "running" => Life::Running {
            worker: WorkerId::from_random(row.maybe_id(8)?.ok_or_else(|| damaged("worker"))?.as_u128()),
            until: row.maybe_time(9)?.ok_or_else(|| damaged("lease"))?,
            cancelling: row.bool(10)?,
        },
        "completed" => Life::Completed,
        "cancelled" => Life::Cancelled,
        "dead" => Life::Dead {
            why: row
                .maybe_text(11)?
                .and_then(Death::from_word)
                .ok_or_else(|| damaged("reason for its death"))?,
        },
        other => return Err(StoreError::Damaged(format!("`{other}` is not a state of a task"))),
    };
    let level = u8::try_from(row.int(4)?).ok().and_then(Priority::from_level);
    Ok(TaskRecord {
        tenant: TenantId::new(row.id(0)?),
        id: TaskId::new(row.id(1)?),
        scan: row.maybe_text(2)?.map(|_| row.word(2)).transpose()?,
        work: row.json(3)?,
        priority: level.ok_or_else(|| damaged("priority"))?,
        task: Task {
            life,
            lease: LeaseNumber::from_stored(row.count(7)?),
            attempts: row.small(12)?,
            redriven: row.small(13)?,
            last_failure: row.maybe_text(18)?.map(str::to_owned),
        },
        policy: RetryPolicy {
            attempts: row.small(14)?,
            base: Duration::from_millis(row.count(15)?),
            cap: Duration::from_millis(row.count(16)?),
        },
        deadline: Duration::from_millis(row.count(17)?),
        due: row.time(6)?,
        created_at: row.time(19)?,
        started_at: row.maybe_time(20)?,
        ended_at: row.maybe_time(21)?,
        request_id: row.maybe_text(22)?.map(str::to_owned),
    })
}

/// Where in a trace something was asked for, in that column.
pub(crate) fn trace(row: &Row, column: usize) -> Result<Option<TraceParent>, StoreError> {
    row.maybe_text(column)?.map(|_| row.word(column)).transpose()
}

/// When the try began that a worker is at.
pub(crate) fn begun(task: &TaskRecord) -> Result<Timestamp, StoreError> {
    task.started_at.ok_or_else(|| StoreError::Damaged(format!("task {} runs and was never begun", task.id)))
}

/// The same for whoever looks at tasks. They may not be allowed to know of everything that happens: that is for the worker.
fn look_at_task(row: &Row) -> Result<TaskRecord, StoreError> {
    let mut record = read_task(row)?;
    if let Work::Deliver(delivery) = &mut record.work {
        delivery.happening = None;
    }
    Ok(record)
}

/// A change of one task, decided by [`Task::apply`].
pub(crate) struct Change {
    pub(crate) tenant: TenantId,
    pub(crate) id: TaskId,
    pub(crate) before: Timestamp,
    pub(crate) task: Task,
}

/// Writes changes down, all of them in few statements.
pub(crate) async fn write_changes(
    session: &mut dyn Session,
    changes: &[Change],
    now: Timestamp,
) -> Result<(), StoreError> {
    const COLUMNS: usize = 15;
    for chunk in changes.chunks(1_000) {
        let mut values: Vec<Value> = Vec::with_capacity(chunk.len() * COLUMNS);
        for change in chunk {
            let task = &change.task;
            let (not_before, worker, until, cancelling, death) = match &task.life {
                Life::Queued { not_before } => (*not_before, None, None, false, None),
                Life::Running { worker, until, cancelling } => {
                    (change.before, Some(Uuid::from_u128(worker.bits())), Some(*until), *cancelling, None)
                }
                Life::Completed | Life::Cancelled => (change.before, None, None, false, None),
                Life::Dead { why } => (change.before, None, None, false, Some(why.word())),
            };
            let claimed = matches!(task.life, Life::Running { .. });
            values.extend([
                change.tenant.as_uuid().into(),
                change.id.as_uuid().into(),
                task.life.word().into(),
                not_before.into(),
                task.lease.number().into(),
                worker.into(),
                until.into(),
                cancelling.into(),
                death.into(),
                task.attempts.into(),
                task.redriven.into(),
                task.last_failure.as_deref().into(),
                claimed.into(),
                task.is_begun().into(),
                task.life.has_ended().then_some(now).into(),
            ]);
        }
        // A heartbeat keeps the time at which the try began: its lease number is the one that is there.
        let sql = format!(
            "WITH changed (tenant_id, task_id, state, not_before, lease_number, worker, lease_until, cancelling, death, \
             attempts, redriven, last_failure, claimed, begun, ended_at) AS (VALUES {}) \
             UPDATE tasks SET state = changed.state, not_before = changed.not_before, lease_number = changed.lease_number, \
             worker = changed.worker, lease_until = changed.lease_until, cancelling = changed.cancelling, \
             death = changed.death, attempts = changed.attempts, redriven = changed.redriven, \
             last_failure = changed.last_failure, begun = changed.begun, ended_at = changed.ended_at, \
             started_at = CASE WHEN changed.claimed AND changed.lease_number <> tasks.lease_number THEN ${} \
             ELSE started_at END \
             FROM changed WHERE tasks.tenant_id = changed.tenant_id AND tasks.task_id = changed.task_id",
            rows_of_places(chunk.len(), COLUMNS),
            chunk.len() * COLUMNS + 1,
        );
        values.push(now.into());
        session.execute(&sql, &values).await?;
    }
    Ok(())
}

/// A fair throw of the dice for backoff.
pub(crate) fn dice() -> u32 {
    rand::random()
}

/// Which tasks somebody means. Without anything, all of the tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Only these.
    pub ids: Vec<TaskId>,
    /// Only of this scan.
    pub scan: Option<ScanId>,
    /// Only of this stage.
    pub stage: Option<Stage>,
    /// Only in this state: `queued`, `running`, `completed`, `cancelled` or `dead`.
    pub state: Option<&'static str>,
    /// Only whose last failure contains this.
    pub failure: Option<String>,
}

impl TaskFilter {
    /// One task.
    pub fn one(id: TaskId) -> TaskFilter {
        TaskFilter { ids: vec![id], ..TaskFilter::default() }
    }

    /// Every task of a scan.
    pub fn of_scan(scan: ScanId) -> TaskFilter {
        TaskFilter { scan: Some(scan), ..TaskFilter::default() }
    }

    /// Those of a tenant in an order, from after one on.
    fn listed(
        &self,
        tenant: TenantId,
        order: TimeOrder,
        after: Option<TaskId>,
        at_most: usize,
    ) -> (String, Vec<Value>) {
        let mut wanted = self.question(tenant.as_uuid().into());
        // By their ids, which begin with a time.
        let beyond = match order {
            TimeOrder::OldestFirst => "task_id > #",
            TimeOrder::NewestFirst => "task_id < #",
        };
        wanted.with_any(beyond, after.map(|task| task.as_uuid()));
        let (Question { condition, values }, way) = (wanted, direction(order));
        let sql =
            format!("SELECT {COLUMNS} FROM tasks WHERE {condition} ORDER BY task_id {way} LIMIT {at_most}");
        (sql, values)
    }

    /// With the tenant as the first value.
    pub(crate) fn question(&self, tenant: Value) -> Question {
        let mut wanted = Question::of(tenant);
        wanted.with_any("scan_id = #", self.scan.map(|scan| scan.to_string()));
        wanted.with_any("stage = #", self.stage.map(Stage::as_str));
        wanted.with_any("state = #", self.state);
        if let Some(failure) = &self.failure {
            wanted.containing("last_failure", failure);
        }
        if !self.ids.is_empty() {
            wanted.also(&format!("task_id IN ({})", places(wanted.values.len() + 1, self.ids.len())));
            wanted.values.extend(self.ids.iter().map(|id| Value::from(id.as_uuid())));
        }
        wanted
    }
}

/// Tasks by stage and state.
pub type TaskCounts = BTreeMap<(Stage, String), u64>;

/// A task that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// Which.
    pub id: TaskId,
    /// It is new; otherwise somebody had asked for it with the same key.
    pub is_new: bool,
}

impl TenantTx<'_> {
    pub(crate) async fn enqueue(&mut self, tasks: &[NewTask]) -> Result<Vec<Enqueued>, StoreError> {
        let mut rows = Vec::with_capacity(tasks.len());
        let mut enqueued = Vec::with_capacity(tasks.len());
        for task in tasks {
            let id = TaskId::new(Uuid::now_v7());
            if let Some(key) = &task.idempotency_key
                && let Some(earlier) = self.take_key(key, id).await?
            {
                enqueued.push(Enqueued { id: earlier, is_new: false });
                continue;
            }
            enqueued.push(Enqueued { id, is_new: true });
            let unit = match &task.work {
                Work::Unit(unit) => Some(unit.to_string()),
                Work::Package { purl } => Some(purl.to_string()),
                Work::Deliver(delivery) => Some(delivery.webhook.to_string()),
                Work::Report | Work::Exercise { .. } => None,
            };
            let not_before = self.now.saturating_add(task.delay).unwrap_or(Timestamp::MAX);
            rows.push(vec![
                self.tenant(),
                id.as_uuid().into(),
                task.scan.map(|scan| scan.to_string()).into(),
                task.work.stage().as_str().into(),
                json(&task.work)?,
                unit.into(),
                task.priority.level().into(),
                "queued".into(),
                not_before.into(),
                task.policy.attempts.into(),
                milliseconds(task.policy.base).into(),
                milliseconds(task.policy.cap).into(),
                milliseconds(task.deadline).into(),
                self.now.into(),
                task.request_id.as_deref().into(),
                task.trace.map(|trace| trace.to_string()).into(),
            ]);
        }
        let head = "INSERT INTO tasks (tenant_id, task_id, scan_id, stage, work, unit, priority, state, not_before, \
                    most_attempts, backoff_base, backoff_cap, deadline, created_at, request_id, \
                    traceparent)";
        self.session.insert(head, &rows, "").await?;
        Ok(enqueued)
    }

    /// The task that has the key already; otherwise the key is the new one's.
    async fn take_key(&mut self, key: &str, id: TaskId) -> Result<Option<TaskId>, StoreError> {
        let expires = self.now.saturating_add(KEYS_LIVE).unwrap_or(Timestamp::MAX);
        let values = [self.tenant(), key.into(), id.as_uuid().into(), expires.into(), self.now.into()];
        let taken = self
            .execute(
                "INSERT INTO task_keys (tenant_id, idempotency_key, task_id, expires_at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (tenant_id, idempotency_key) DO UPDATE SET task_id = excluded.task_id, \
                 expires_at = excluded.expires_at WHERE task_keys.expires_at <= $5",
                &values,
            )
            .await?;
        if taken > 0 {
            return Ok(None);
        }
        let sql = "SELECT task_id FROM task_keys WHERE tenant_id = $1 AND idempotency_key = $2";
        let row = self.one(sql, &values[..2], ("idempotency key", key)).await?;
        Ok(Some(TaskId::new(row.id(0)?)))
    }

    /// Reads tasks and holds them until the transaction ends.
    pub(crate) async fn hold_tasks(
        &mut self,
        filter: &TaskFilter,
        at_most: usize,
    ) -> Result<Vec<TaskRecord>, StoreError> {
        let lock = self.dialect().for_update();
        let (sql, values) = filter.listed(self.tenant, TimeOrder::OldestFirst, None, at_most);
        self.query(&format!("{sql}{lock}"), &values).await?.iter().map(read_task).collect()
    }

    pub(crate) async fn read_tasks(
        &mut self,
        filter: &TaskFilter,
        order: TimeOrder,
        after: Option<TaskId>,
        at_most: usize,
    ) -> Result<Vec<TaskRecord>, StoreError> {
        let (sql, values) = filter.listed(self.tenant, order, after, at_most);
        self.query(&sql, &values).await?.iter().map(look_at_task).collect()
    }

    pub(crate) async fn one_task(&mut self, id: TaskId) -> Result<TaskRecord, StoreError> {
        let found = self.read_tasks(&TaskFilter::one(id), TimeOrder::OldestFirst, None, 1).await?;
        found.into_iter().next().ok_or(StoreError::Missing { kind: "task", name: id.to_string() })
    }

    pub(crate) async fn task_counts(&mut self) -> Result<TaskCounts, StoreError> {
        let sql = "SELECT stage, state, count(*) FROM tasks WHERE tenant_id = $1 GROUP BY stage, state";
        let rows = self.query(sql, &[self.tenant()]).await?;
        let count = |row: &Row| Ok(((row.word(0)?, row.text(1)?.to_owned()), row.count(2)?));
        rows.iter().map(count).collect()
    }
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// None when the clock went backwards.
pub(crate) fn since(begun: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(begun)).unwrap_or_default()
}

impl Store {
    /// Asks for tasks, all of them or none.
    pub async fn enqueue(&self, tenant: TenantId, tasks: Vec<NewTask>) -> Result<Vec<Enqueued>, StoreError> {
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let scans: BTreeSet<ScanId> = tasks.iter().filter_map(|task| task.scan).collect();
                for scan in scans {
                    let sql =
                        format!("SELECT 1 FROM scans WHERE tenant_id = $1 AND scan_id = $2 AND {KNOWN}");
                    tx.one(&sql, &[tx.tenant(), scan.to_string().into()], ("scan", scan)).await?;
                }
                tx.enqueue(&tasks).await
            })
        })
        .await
    }

    /// Tasks in the order in which they were asked for, from after one on.
    pub async fn tasks(
        &self,
        tenant: TenantId,
        filter: TaskFilter,
        after: Option<TaskId>,
        at_most: usize,
    ) -> Result<Vec<TaskRecord>, StoreError> {
        self.list_tasks(tenant, filter, TimeOrder::OldestFirst, after, at_most).await
    }

    /// The same in either order, from after one on in that order.
    pub async fn list_tasks(
        &self,
        tenant: TenantId,
        filter: TaskFilter,
        order: TimeOrder,
        after: Option<TaskId>,
        at_most: usize,
    ) -> Result<Vec<TaskRecord>, StoreError> {
        let (sql, values) = filter.listed(tenant, order, after, at_most);
        self.rows_of_tenant(tenant, sql, values).await?.iter().map(look_at_task).collect()
    }

    /// One task.
    pub async fn task(&self, tenant: TenantId, id: TaskId) -> Result<TaskRecord, StoreError> {
        self.read_tenant(tenant, move |tx| Box::pin(async move { tx.one_task(id).await })).await
    }

    /// How many tasks there are, by stage and state.
    pub async fn task_counts(&self, tenant: TenantId) -> Result<TaskCounts, StoreError> {
        self.read_tenant(tenant, |tx| Box::pin(async move { tx.task_counts().await })).await
    }

    /// How many tasks wait for a person, by stage. Whatever else there is, it does not count.
    pub async fn dead_tasks(&self, tenant: TenantId) -> Result<BTreeMap<Stage, u64>, StoreError> {
        self.read_tenant(tenant, |tx| {
            Box::pin(async move {
                let sql = "SELECT stage, count(*) FROM tasks WHERE tenant_id = $1 AND state = 'dead' GROUP BY stage";
                let rows = tx.query(sql, &[tx.tenant()]).await?;
                rows.iter().map(|row| Ok((row.word(0)?, row.count(1)?))).collect()
            })
        })
        .await
    }
}
