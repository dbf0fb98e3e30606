//! Who works on what: claims, heartbeats, and leases that have run out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use model::{
    LeaseNumber, Priority, Reach, ScanId, Stage, Stop, TaskId, TenantId, TraceParent, Work, WorkerId,
    fairness::{Lane, Share, Turns},
    scaling::Backlog,
    task::{Answer, Command, Refused},
};

use crate::{
    Store, StoreError, TaskRecord,
    session::{Dialect, QueueTx},
    tasks::{COLUMNS, Change, TRACE, TaskCounts, dice, read_task, since, trace, write_changes},
    value::{Row, Value, places, rows_of_places},
};

/// What a worker wants.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Who.
    pub worker: WorkerId,
    /// Work of these stages.
    pub stages: Vec<Stage>,
    /// As many tasks as it has room for.
    pub most: usize,
    /// How long it may be silent.
    pub lease: Duration,
    /// Whom this process has served.
    pub turns: Arc<Mutex<Turns>>,
}

/// How much there is to do, and what keeps from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workload {
    /// Tasks that have not ended well, by stage and by where they stand: `queued`, `running` or `dead`. For others there is
    /// [`Store::ended_tasks`].
    pub tasks: TaskCounts,
    /// For how long the task that is due for longest has waited, by stage.
    pub waiting: BTreeMap<Stage, Duration>,
    /// Sessions of people that go on.
    pub sessions: u64,
    /// Emergency stops that hold.
    pub stops: usize,
    /// Entries of the audit.
    pub audited: u64,
    /// Of these, how many no checkpoint is of yet.
    pub unsigned: u64,
}

/// The right to work on a task, for as long as the worker is heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease {
    /// Whose task.
    pub tenant: TenantId,
    /// Which.
    pub task: TaskId,
    /// Which claim of it.
    pub number: LeaseNumber,
    /// Of which scan.
    pub scan: Option<ScanId>,
}

/// What a worker must know all the time.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    /// Which stops hold.
    pub stops: Vec<Stop>,
    /// How many processes work on each of its scans.
    pub at_work: BTreeMap<(TenantId, ScanId), u32>,
    /// Claims of its own that nobody wants any more.
    pub unwanted: Vec<Lease>,
}

/// A task that a worker has got.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// To be shown with whatever comes of it.
    pub lease: Lease,
    /// What to do.
    pub work: Work,
    /// How urgent it is.
    pub priority: Priority,
    /// How long the worker may take.
    pub deadline: Duration,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// Since when it was due.
    pub due: Timestamp,
    /// The request of which it comes, if of any.
    pub request_id: Option<String>,
    /// Where in a trace it was asked for, if somewhere.
    pub trace: Option<TraceParent>,
}

/// What a heartbeat brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// Go on.
    Extended,
    /// Somebody does not want it any more: stop, and hand it back.
    StopWork,
    /// Somebody else has it, or it has ended: stop, and say nothing.
    Lost,
}

/// Where tasks of one kind wait: stage, tenant, priority, begun before or not.
type LaneKey = (Stage, TenantId, Priority, bool);

/// How many lanes one process looks at: a bound, for a database full of tenants.
const LANES: usize = 10_000;

/// What became of the tasks of silent workers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// How many there were.
    pub tasks: usize,
    /// Those that were tried too often: they wait for a person.
    pub dead: Vec<TaskId>,
}

impl QueueTx<'_> {
    /// The first task of each lane in which one is due.
    async fn lanes(&mut self, stage: Stage) -> Result<Vec<Lane<LaneKey>>, StoreError> {
        let rows = match self.session.dialect() {
            // Jumps from lane to lane in the index; reads one entry of each, however many wait in it.
            Dialect::Postgres => {
                let first = "SELECT tenant_id, priority, begun, not_before FROM tasks WHERE state = 'queued' AND stage = $1";
                let order = "ORDER BY tenant_id, priority, begun, not_before LIMIT 1";
                let sql = format!(
                    "WITH RECURSIVE lane AS ((({first} {order})) UNION ALL SELECT next.* FROM lane, LATERAL \
                     ({first} AND (tasks.tenant_id, tasks.priority, tasks.begun) > (lane.tenant_id, lane.priority, lane.begun) {order}) AS next) \
                     SELECT tenant_id, priority, begun, not_before FROM lane LIMIT {LANES}"
                );
                self.session.query(&sql, &[stage.as_str().into()]).await?
            }
            Dialect::Sqlite => {
                let mut rows: Vec<Row> = Vec::new();
                let mut last: Option<(Value, Value, Value)> = None;
                while rows.len() < LANES {
                    let mut values = vec![Value::from(stage.as_str())];
                    let beyond = match &last {
                        None => "",
                        Some((tenant, priority, begun)) => {
                            // With the end of time, or SQLite would walk through the whole of the lane.
                            values.extend([
                                tenant.clone(),
                                priority.clone(),
                                begun.clone(),
                                Timestamp::MAX.into(),
                            ]);
                            "AND (tenant_id, priority, begun, not_before) > ($2, $3, $4, $5)"
                        }
                    };
                    let sql = format!(
                        "SELECT tenant_id, priority, begun, not_before FROM tasks WHERE state = 'queued' AND stage = $1 {beyond} \
                         ORDER BY tenant_id, priority, begun, not_before LIMIT 1"
                    );
                    let Some(row) = self.session.query(&sql, &values).await?.into_iter().next() else {
                        break;
                    };
                    last = Some((row.id(0)?.into(), row.int(1)?.into(), row.bool(2)?.into()));
                    rows.push(row);
                }
                rows
            }
        };
        let mut lanes = Vec::with_capacity(rows.len());
        for row in rows {
            let (tenant, begun, due) = (TenantId::new(row.id(0)?), row.bool(2)?, row.time(3)?);
            let priority = u8::try_from(row.int(1)?).ok().and_then(Priority::from_level).unwrap_or_default();
            if due <= self.now {
                lanes.push(Lane { key: (stage, tenant, priority, begun), tenant, priority, begun, due });
            }
        }
        Ok(lanes)
    }

    /// What the tenants of the lanes have at work in the stages, and may have; somebody is about to take at most so many.
    async fn shares(
        &mut self,
        stages: &[Stage],
        tenants: &BTreeSet<TenantId>,
        most: usize,
    ) -> Result<BTreeMap<TenantId, Share>, StoreError> {
        let ids: Vec<Value> = tenants.iter().map(|tenant| tenant.as_uuid().into()).collect();
        let sql = format!(
            "SELECT tenant_id, weight, most_in_flight FROM tenants WHERE tenant_id IN ({})",
            places(1, ids.len())
        );
        let mut shares = BTreeMap::new();
        for row in self.session.query(&sql, &ids).await? {
            let share = Share { weight: row.small(1)?, in_flight: 0, most_in_flight: row.count(2)? };
            shares.insert(TenantId::new(row.id(0)?), share);
        }
        self.count_in_flight(stages, &mut shares).await?;
        // In SQLite nobody else claims at the same time.
        if self.session.dialect() == Dialect::Postgres {
            let near: Vec<TenantId> = shares
                .iter()
                .filter(|(_, share)| share.is_near_its_most(most))
                .map(|(tenant, _)| *tenant)
                .collect();
            if !near.is_empty() {
                // One after the other, in order, until the transaction ends; then count what the others took.
                for tenant in near {
                    let sql = "SELECT pg_advisory_xact_lock(hashtextextended('claim ' || $1, 0))::text";
                    self.session.query(sql, &[tenant.to_string().into()]).await?;
                }
                self.count_in_flight(stages, &mut shares).await?;
            }
        }
        Ok(shares)
    }

    async fn count_in_flight(
        &mut self,
        stages: &[Stage],
        shares: &mut BTreeMap<TenantId, Share>,
    ) -> Result<(), StoreError> {
        // Left to itself SQLite walks through everything that waits.
        let index = match self.session.dialect() {
            Dialect::Sqlite => "INDEXED BY tasks_running",
            Dialect::Postgres => "",
        };
        let sql = format!(
            "SELECT tenant_id, count(*) FROM tasks {index} WHERE state = 'running' AND tenant_id IN ({}) AND stage IN ({}) \
             GROUP BY tenant_id",
            places(1, shares.len()),
            places(1 + shares.len(), stages.len()),
        );
        let tenants = shares.keys().map(|tenant| Value::from(tenant.as_uuid()));
        let values: Vec<Value> = tenants.chain(stages.iter().map(|stage| stage.as_str().into())).collect();
        let counted = self.session.query(&sql, &values).await?;
        for share in shares.values_mut() {
            share.in_flight = 0;
        }
        for row in counted {
            if let Some(share) = shares.get_mut(&TenantId::new(row.id(0)?)) {
                share.in_flight = row.count(1)?;
            }
        }
        Ok(())
    }

    async fn claim(&mut self, request: &ClaimRequest) -> Result<Vec<Claimed>, StoreError> {
        let stops: Vec<Reach> = self.stops_in_force().await?.into_iter().map(|stop| stop.reach).collect();
        if stops.contains(&Reach::Everything) {
            return Ok(Vec::new());
        }
        let stopped_stage = |stage: &Stage| stops.contains(&Reach::Stage { stage: *stage });
        let stages: Vec<Stage> =
            request.stages.iter().copied().filter(|stage| !stopped_stage(stage)).collect();
        let mut lanes = Vec::new();
        for stage in &stages {
            lanes.extend(self.lanes(*stage).await?);
        }
        lanes.retain(|lane| !stops.contains(&Reach::Tenant { tenant: lane.tenant }));
        if lanes.is_empty() {
            return Ok(Vec::new());
        }
        let tenants: BTreeSet<TenantId> = lanes.iter().map(|lane| lane.tenant).collect();
        let mut shares = self.shares(&stages, &tenants, request.most).await?;
        let mut claimed = Vec::new();
        while claimed.len() < request.most && !lanes.is_empty() {
            let wanted = request.most - claimed.len();
            let picked = {
                let mut turns = request.turns.lock().unwrap_or_else(PoisonError::into_inner);
                turns.pick(&lanes, &shares, wanted)
            };
            if picked.is_empty() {
                break;
            }
            for (lane, count) in picked {
                let taken = self.take(lane, count, &stops).await?;
                let mut changes = Vec::new();
                for (record, trace) in &taken {
                    let command = Command::Claim { worker: request.worker, lease: request.lease };
                    let applied = record.task.apply(&command, &record.policy, self.now, dice());
                    let Ok((task, Answer::Leased(number))) = applied else { continue };
                    claimed.push(Claimed {
                        lease: Lease { tenant: record.tenant, task: record.id, number, scan: record.scan },
                        work: record.work.clone(),
                        priority: record.priority,
                        deadline: record.deadline,
                        attempt: task.attempts,
                        due: record.due,
                        request_id: record.request_id.clone(),
                        trace: *trace,
                    });
                    changes.push(Change { tenant: record.tenant, id: record.id, before: record.due, task });
                }
                let got = changes.len();
                write_changes(self.session, &changes, self.now).await?;
                if let Some(share) = shares.get_mut(&lane.1) {
                    share.in_flight += got as u64;
                    let mut turns = request.turns.lock().unwrap_or_else(PoisonError::into_inner);
                    turns.served(lane.1, share.weight, got);
                }
                // There may be more in it, but nothing that this transaction could take.
                if got < count {
                    lanes.retain(|other| other.key != lane);
                }
            }
        }
        Ok(claimed)
    }

    /// The first tasks of a lane that nobody else is about to take.
    async fn take(
        &mut self,
        (stage, tenant, priority, begun): LaneKey,
        count: usize,
        stops: &[Reach],
    ) -> Result<Vec<(TaskRecord, Option<TraceParent>)>, StoreError> {
        let mut values = vec![
            stage.as_str().into(),
            tenant.as_uuid().into(),
            priority.level().into(),
            self.now.into(),
            begun.into(),
        ];
        let stopped: Vec<Value> = stops
            .iter()
            .filter_map(|reach| match reach {
                Reach::Scan { tenant: owner, scan } if *owner == tenant => Some(scan.to_string().into()),
                _ => None,
            })
            .collect();
        let passing = match stopped.len() {
            0 => String::new(),
            count => format!("AND (scan_id IS NULL OR scan_id NOT IN ({}))", places(6, count)),
        };
        values.extend(stopped);
        let lock = self.session.dialect().for_update_skip_locked();
        let sql = format!(
            "SELECT {COLUMNS}, traceparent FROM tasks WHERE state = 'queued' AND stage = $1 AND tenant_id = $2 AND priority = $3 \
             AND begun = $5 AND not_before <= $4 AND attempts < most_attempts {passing} ORDER BY not_before, task_id LIMIT {count}{lock}"
        );
        let rows = self.session.query(&sql, &values).await?;
        rows.iter().map(|row| Ok((read_task(row)?, trace(row, TRACE)?))).collect()
    }

    async fn heartbeat(&mut self, leases: &[Lease], length: Duration) -> Result<Vec<Beat>, StoreError> {
        let mut found: BTreeMap<(TenantId, TaskId), TaskRecord> = BTreeMap::new();
        for chunk in leases.chunks(1_000) {
            let mut values = Vec::with_capacity(chunk.len() * 2);
            for lease in chunk {
                values.extend([Value::from(lease.tenant.as_uuid()), lease.task.as_uuid().into()]);
            }
            let lock = match self.session.dialect() {
                Dialect::Sqlite => "",
                Dialect::Postgres => " FOR UPDATE OF tasks",
            };
            let sql = format!(
                "WITH held (tenant_id, task_id) AS (VALUES {}) SELECT {COLUMNS} FROM held JOIN tasks ON \
                 tasks.tenant_id = held.tenant_id AND tasks.task_id = held.task_id ORDER BY tasks.task_id{lock}",
                rows_of_places(chunk.len(), 2),
            );
            for row in self.session.query(&sql, &values).await? {
                let record = read_task(&row)?;
                found.insert((record.tenant, record.id), record);
            }
        }
        let mut changes = Vec::new();
        let beats = leases
            .iter()
            .map(|lease| {
                let Some(record) = found.get(&(lease.tenant, lease.task)) else { return Beat::Lost };
                let command = Command::Heartbeat { lease_number: lease.number, lease: length };
                match record.task.apply(&command, &record.policy, self.now, 0) {
                    Ok((_, Answer::StopWork)) => Beat::StopWork,
                    Ok((task, _)) => {
                        changes.push(Change {
                            tenant: lease.tenant,
                            id: lease.task,
                            before: record.due,
                            task,
                        });
                        Beat::Extended
                    }
                    Err(
                        Refused::Fenced { .. } | Refused::NotDue(_) | Refused::Leased(_) | Refused::Wrong(_),
                    ) => Beat::Lost,
                }
            })
            .collect();
        write_changes(self.session, &changes, self.now).await?;
        Ok(beats)
    }

    /// Who has tasks of these scans at work: how many processes.
    pub(crate) async fn at_work(
        &mut self,
        scans: &[(TenantId, ScanId)],
    ) -> Result<BTreeMap<(TenantId, ScanId), u32>, StoreError> {
        let mut at_work = BTreeMap::new();
        for chunk in scans.chunks(1_000) {
            let mut values = Vec::with_capacity(chunk.len() * 2);
            for (tenant, scan) in chunk {
                values.extend([Value::from(tenant.as_uuid()), scan.to_string().into()]);
            }
            let sql = format!(
                "WITH asked (tenant_id, scan_id) AS (VALUES {}) SELECT asked.tenant_id, asked.scan_id, count(DISTINCT worker) \
                 FROM asked JOIN tasks ON tasks.tenant_id = asked.tenant_id AND tasks.scan_id = asked.scan_id \
                 WHERE state = 'running' GROUP BY asked.tenant_id, asked.scan_id",
                rows_of_places(chunk.len(), 2),
            );
            for row in self.session.query(&sql, &values).await? {
                at_work.insert((TenantId::new(row.id(0)?), row.word(1)?), row.small(2)?);
            }
        }
        Ok(at_work)
    }

    /// What this worker has that nobody wants any more.
    async fn unwanted(&mut self, worker: WorkerId) -> Result<Vec<Lease>, StoreError> {
        let sql = "SELECT tenant_id, task_id, lease_number, scan_id FROM tasks \
                   WHERE worker = $1 AND state = 'running' AND cancelling";
        let rows = self.session.query(sql, &[uuid::Uuid::from_u128(worker.bits()).into()]).await?;
        rows.iter()
            .map(|row| {
                Ok(Lease {
                    tenant: TenantId::new(row.id(0)?),
                    task: TaskId::new(row.id(1)?),
                    number: LeaseNumber::from_stored(row.count(2)?),
                    scan: row.maybe_text(3)?.map(|_| row.word(3)).transpose()?,
                })
            })
            .collect()
    }

    /// Tasks whose workers are silent, or that were tried too often while they waited.
    async fn lapsed(&mut self, at_most: usize) -> Result<Vec<(TenantId, TaskId)>, StoreError> {
        let sql = format!(
            "SELECT tenant_id, task_id FROM tasks WHERE state = 'running' AND lease_until <= $1 \
             ORDER BY lease_until LIMIT {at_most}"
        );
        let rows = self.session.query(&sql, &[self.now.into()]).await?;
        rows.iter().map(|row| Ok((TenantId::new(row.id(0)?), TaskId::new(row.id(1)?)))).collect()
    }

    /// What workers are scaled by.
    async fn backlog(&mut self) -> Result<Backlog, StoreError> {
        let sql = "SELECT stage, tenant_id, count(*) FROM tasks \
                   WHERE state = 'running' OR (state = 'queued' AND not_before <= $1) GROUP BY stage, tenant_id";
        let rows = self.session.query(sql, &[self.now.into()]).await?;
        let tasks = rows.iter().map(|row| Ok((row.word(0)?, TenantId::new(row.id(1)?), row.count(2)?)));
        let tasks = tasks.collect::<Result<_, StoreError>>()?;
        let stops = self.stops_in_force().await?.into_iter().map(|stop| stop.reach).collect();
        Ok(Backlog { tasks, stops })
    }
}

impl Store {
    /// Takes tasks to work on: fair between tenants, by priority and age within one, none that a stop covers.
    pub async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claimed>, StoreError> {
        self.of_queue(move |tx| Box::pin(async move { tx.claim(&request).await })).await
    }

    /// How much there is to do, of all tenants together.
    pub async fn workload(&self) -> Result<Workload, StoreError> {
        self.read_queue(|tx| {
            Box::pin(async move {
                let sql = "SELECT stage, state, count(*) FROM tasks WHERE state IN ('queued', 'running', 'dead') \
                           GROUP BY stage, state";
                let rows = tx.session.query(sql, &[]).await?;
                let tasks = rows.iter().map(|row| Ok(((row.word(0)?, row.text(1)?.to_owned()), row.count(2)?)));
                let tasks = tasks.collect::<Result<_, StoreError>>()?;
                let sql = "SELECT stage, min(not_before) FROM tasks WHERE state = 'queued' AND not_before <= $1 GROUP BY stage";
                let rows = tx.session.query(sql, &[tx.now.into()]).await?;
                let waiting = rows.iter().map(|row| Ok((row.word(0)?, since(row.time(1)?, tx.now))));
                Ok(Workload {
                    tasks,
                    waiting: waiting.collect::<Result<_, StoreError>>()?,
                    sessions: tx.sessions_that_go_on().await?,
                    stops: tx.stops_in_force().await?.len(),
                    audited: tx.audited().await?,
                    unsigned: tx.unsigned().await?,
                })
            })
        })
        .await
    }

    /// How many tasks of all tenants have ended well, or were cancelled, and are still kept: all of them are counted, which takes its time.
    pub async fn ended_tasks(&self) -> Result<TaskCounts, StoreError> {
        self.read_queue(|tx| {
            Box::pin(async move {
                let sql = "SELECT stage, state, count(*) FROM tasks WHERE state IN ('completed', 'cancelled') \
                           GROUP BY stage, state";
                let rows = tx.session.query(sql, &[]).await?;
                rows.iter().map(|row| Ok(((row.word(0)?, row.text(1)?.to_owned()), row.count(2)?))).collect()
            })
        })
        .await
    }

    /// How many processes have tasks of a scan at work, whoever asks among them.
    pub async fn at_work(&self, tenant: TenantId, scan: ScanId) -> Result<u32, StoreError> {
        let at_work =
            self.read_queue(move |tx| Box::pin(async move { tx.at_work(&[(tenant, scan)]).await })).await?;
        Ok(at_work.get(&(tenant, scan)).copied().unwrap_or_default())
    }

    /// What a worker that works on these scans must know all the time.
    pub async fn watch(&self, worker: WorkerId, scans: Vec<(TenantId, ScanId)>) -> Result<Watch, StoreError> {
        self.watch_queue(move |tx| {
            Box::pin(async move {
                Ok(Watch {
                    stops: tx.stops_in_force().await?,
                    at_work: tx.at_work(&scans).await?,
                    unwanted: tx.unwanted(worker).await?,
                })
            })
        })
        .await
    }

    /// The worker is alive and at all of these; one answer for each, in order.
    pub async fn heartbeat(&self, leases: Vec<Lease>, length: Duration) -> Result<Vec<Beat>, StoreError> {
        self.of_queue(move |tx| Box::pin(async move { tx.heartbeat(&leases, length).await })).await
    }

    /// Gives back to the queue, or buries, what silent workers had: at most so many at once.
    pub async fn reclaim(&self, at_most: usize) -> Result<Reclaimed, StoreError> {
        let lapsed = self.of_queue(move |tx| Box::pin(async move { tx.lapsed(at_most).await })).await?;
        let mut of_tenants: BTreeMap<TenantId, Vec<TaskId>> = BTreeMap::new();
        for (tenant, task) in lapsed {
            of_tenants.entry(tenant).or_default().push(task);
        }
        let (mut reclaimed, mut failed) = (Reclaimed::default(), None);
        for (tenant, tasks) in of_tenants {
            let outcome = self
                .of_tenant(tenant, move |tx| {
                    Box::pin(async move { tx.command_ids(&tasks, &Command::Reclaim).await })
                })
                .await;
            // What is wrong with one tenant's rows holds up no other.
            match outcome {
                Ok(commanded) => {
                    reclaimed.tasks += commanded.changed as usize;
                    reclaimed.dead.extend(commanded.died);
                }
                Err(reason) => failed = failed.or(Some(reason)),
            }
        }
        failed.map_or(Ok(reclaimed), Err)
    }

    /// What there is to do for workers, over all tenants.
    pub async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.read_queue(|tx| Box::pin(async move { tx.backlog().await })).await
    }
}
