//! Scans: asked for, gone on with, ended, looked at and compared.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use jiff::Timestamp;
use model::{
    By, Frontier, Happening, Limits, Money, NewTask, Refusal, ScanId, ScanLife, ScanRequest, Scope, Stage,
    Target, TaskId, TenantId, TraceParent, Traffic, Unit, Work, WorkerPrice,
    list::{ScanCursor, TimeOrder},
    record::{ScanRecord, TaskRecord},
    scan::{ScanEnd, Used},
    task::Life,
};
use sha2::{Digest, Sha256};

use crate::{
    Store, StoreError,
    audit::Act,
    list::{Columns, Question},
    once::{Made, Once},
    session::TenantTx,
    tasks::{microseconds, trace},
    value::{Row, Value, json},
};

/// A scan to be begun.
#[derive(Debug, Clone)]
pub struct NewScan {
    /// What is asked for.
    pub request: ScanRequest,
    /// Of what; each must be in scope.
    pub targets: Vec<Target>,
    /// Who asks.
    pub by: By,
    /// Which version of which checks: what was looked at with others is looked at again.
    pub checks: String,
    /// What the time of workers costs at the moment, if somebody said: it holds for the whole of the scan.
    pub price: Option<WorkerPrice>,
}

/// A scan that was asked for under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Which.
    pub scan: ScanId,
    /// It was begun now; otherwise the same was asked for with the same key before.
    pub is_new: bool,
    /// Which stages to wake, and for how many tasks.
    pub planned: BTreeMap<Stage, usize>,
}

/// Targets that the audit names of one scan.
const TARGETS_NAMED: usize = 10;

/// Which scans somebody means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanFilter {
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
    /// Only what comes behind that place.
    pub after: Option<ScanCursor>,
}

const COLUMNS: Columns = Columns { name: "scan_id", time: "submitted_at", id: "scan_id" };

/// A scan that is held for as long as its transaction.
pub(crate) struct RunningScan {
    pub(crate) id: ScanId,
    pub(crate) request: ScanRequest,
    pub(crate) scope: Scope,
    pub(crate) limits: Limits,
    pub(crate) life: ScanLife,
    pub(crate) checks: String,
    /// Why nothing more is planned, when nothing is.
    pub(crate) stopping: Option<ScanEnd>,
    pub(crate) targets: u64,
    pub(crate) next_target: u64,
    /// The last address of a network that was taken.
    pub(crate) within: Option<IpAddr>,
    pub(crate) open_tasks: u64,
    pub(crate) dead_tasks: u64,
    /// Units that were cancelled: their tasks may be forgotten before the scan ends.
    pub(crate) cancelled_tasks: u64,
    pub(crate) names_left: u32,
    pub(crate) units: u64,
    pub(crate) assets: u64,
    pub(crate) findings: u64,
    pub(crate) traffic: Traffic,
    pub(crate) worked: Duration,
    pub(crate) price: Option<WorkerPrice>,
    pub(crate) deadline: Timestamp,
    /// In which request it was submitted, if in one.
    pub(crate) request_id: Option<String>,
    /// Where in a trace that was, if somewhere.
    pub(crate) trace: Option<TraceParent>,
    /// Units that were cancelled in this transaction, and of which nothing is told yet.
    pub(crate) gone: Vec<(TaskId, Unit)>,
}

impl RunningScan {
    pub(crate) fn frontier(&self) -> Frontier {
        Frontier::new(self.request.stages.clone(), self.scope.clone(), self.names_left)
    }

    pub(crate) fn used(&self) -> Used {
        Used {
            packets: packets(&self.traffic),
            assets: self.assets,
            units: self.units,
            worked: self.worked,
            cost: self.price.map(|price| price.cost(self.worked)),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.life == ScanLife::Running
    }

    /// May further units be planned?
    pub(crate) fn plans(&self) -> bool {
        self.is_open() && self.stopping.is_none()
    }

    /// Is something planned or to be planned?
    pub(crate) fn has_more(&self) -> bool {
        self.open_tasks > 0 || self.plans() && self.next_target < self.targets
    }

    /// Is not even what is planned done any more?
    pub(crate) fn gives_up(&self) -> bool {
        self.is_open() && self.stopping.is_some_and(ScanEnd::gives_up)
    }

    /// Why units that are brought back from the dead would be given up at once, if so.
    pub(crate) fn leaves_dead(&self, now: Timestamp) -> Option<ScanEnd> {
        let spent = || self.request.budget.spent(&self.used());
        self.stopping
            .filter(|end| end.gives_up())
            .or_else(|| spent().map(|exhausted| ScanEnd::Budget { exhausted }))
            .or_else(|| (self.deadline <= now).then_some(ScanEnd::Deadline))
    }

    /// One of its tasks goes from one state to another.
    pub(crate) fn changes(&mut self, task: &TaskRecord, after: &Life, now: Timestamp) {
        let running = |life: &Life| matches!(life, Life::Running { .. });
        let dead = |life: &Life| matches!(life, Life::Dead { .. });
        let before = &task.task.life;
        if running(before) && !running(after) {
            // Whatever came of the try: its worker did nothing else in that place.
            self.worked += task.held_for(now);
        }
        let Work::Unit(unit) = &task.work else { return };
        if !before.has_ended() && after.has_ended() {
            self.open_tasks = self.open_tasks.saturating_sub(1);
        }
        if !before.has_ended() && *after == Life::Cancelled {
            self.cancelled_tasks += 1;
            self.gone.push((task.id, unit.clone()));
        }
        if !dead(before) && dead(after) {
            self.dead_tasks += 1;
        }
        if dead(before) && !dead(after) {
            // Brought back: the scan goes on.
            self.dead_tasks = self.dead_tasks.saturating_sub(1);
            self.open_tasks += 1;
            self.life = ScanLife::Running;
        }
    }
}

fn packets(traffic: &Traffic) -> u64 {
    traffic.requests + traffic.probes + traffic.queries
}

/// What makes two scans comparable: the same question.
fn purpose(request: &ScanRequest, targets: &[Target]) -> [u8; 16] {
    let mut names: Vec<String> = targets.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    names.dedup();
    let ScanRequest { scope, profile, stages, ports, only, .. } = request;
    let ports = ports.as_ref().map(ToString::to_string);
    digest(&format!("{scope:?} {profile} {stages:?} {ports:?} {only:?} {names:?}"))
}

pub(crate) fn digest(text: &str) -> [u8; 16] {
    let digest = Sha256::digest(text.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

const SCAN: &str = "scan_id, request, life, submitted_by, submitted_at, deadline, baseline, targets, next_target, \
                    open_tasks, dead_tasks, units, assets, findings, traffic, worked, price, request_id";

/// Those that are forgotten are not there, also while something of them is left.
pub(crate) const KNOWN: &str = "state <> 'forgotten'";

/// Of a scan that has ended: it looked at everything, so that a later one can be compared with it.
pub(crate) fn looked_at_everything(scan: &str) -> String {
    format!("({scan}.stopping IS NULL AND {scan}.dead_tasks = 0 AND {scan}.cancelled_tasks = 0)")
}

/// What the time of workers costs, as it stands in a row.
pub(crate) fn price(row: &Row, column: usize) -> Result<Option<WorkerPrice>, StoreError> {
    Ok(row.maybe_count(column)?.map(Money::from_millionths).and_then(WorkerPrice::an_hour))
}

fn read(row: &Row) -> Result<ScanRecord, StoreError> {
    let (worked, price) = (Duration::from_micros(row.count(15)?), price(row, 16)?);
    Ok(ScanRecord {
        id: row.word(0)?,
        request: row.json(1)?,
        life: row.json(2)?,
        submitted_by: row.text(3)?.to_owned(),
        submitted_at: row.time(4)?,
        request_id: row.maybe_text(17)?.map(str::to_owned),
        deadline: row.time(5)?,
        baseline: row.maybe_text(6)?.map(|_| row.word(6)).transpose()?,
        targets: row.count(7)?,
        begun: row.count(8)?,
        open_tasks: row.count(9)?,
        dead_tasks: row.count(10)?,
        units: row.count(11)?,
        assets: row.count(12)?,
        findings: row.count(13)?,
        traffic: row.json(14)?,
        worked,
        price,
        cost: price.map(|price| price.cost(worked)),
    })
}

impl TenantTx<'_> {
    /// Holds a scan until the transaction ends.
    pub(crate) async fn hold_scan(&mut self, id: ScanId) -> Result<RunningScan, StoreError> {
        let lock = self.dialect().for_update();
        let sql = format!(
            "SELECT request, scope_body, limits, life, stopping, targets, next_target, within, open_tasks, dead_tasks, \
             names_left, units, assets, findings, traffic, checks, worked, price, deadline, \
             cancelled_tasks, request_id, traceparent FROM scans WHERE tenant_id = $1 AND scan_id = $2 AND {KNOWN}{lock}"
        );
        let row = self.one(&sql, &[self.tenant(), id.to_string().into()], ("scan", id)).await?;
        Ok(RunningScan {
            id,
            request: row.json(0)?,
            scope: row.json(1)?,
            limits: row.json(2)?,
            life: row.json(3)?,
            checks: row.text(15)?.to_owned(),
            stopping: row.maybe_json(4)?,
            targets: row.count(5)?,
            next_target: row.count(6)?,
            within: row.maybe_text(7)?.map(|_| row.word(7)).transpose()?,
            open_tasks: row.count(8)?,
            dead_tasks: row.count(9)?,
            names_left: row.small(10)?,
            units: row.count(11)?,
            assets: row.count(12)?,
            findings: row.count(13)?,
            traffic: row.json(14)?,
            worked: Duration::from_micros(row.count(16)?),
            price: price(&row, 17)?,
            deadline: row.time(18)?,
            cancelled_tasks: row.count(19)?,
            request_id: row.maybe_text(20)?.map(str::to_owned),
            trace: trace(&row, 21)?,
            gone: Vec::new(),
        })
    }

    pub(crate) async fn write_scan(&mut self, scan: &RunningScan) -> Result<(), StoreError> {
        let (state, ended_at) = match scan.life {
            ScanLife::Running => ("running", None),
            ScanLife::Ended { at, .. } => ("ended", Some(at)),
        };
        let values = [
            self.tenant(),
            scan.id.to_string().into(),
            state.into(),
            json(&scan.life)?,
            ended_at.into(),
            scan.stopping.as_ref().map(json).transpose()?.unwrap_or(Value::Null(crate::value::Kind::Text)),
            scan.next_target.into(),
            scan.within.map(|address| address.to_string()).into(),
            scan.open_tasks.into(),
            scan.dead_tasks.into(),
            scan.names_left.into(),
            scan.units.into(),
            scan.assets.into(),
            scan.findings.into(),
            json(&scan.traffic)?,
            microseconds(scan.worked).into(),
            scan.cancelled_tasks.into(),
        ];
        let sql = "UPDATE scans SET state = $3, life = $4, ended_at = $5, stopping = $6, next_target = $7, within = $8, \
                   open_tasks = $9, dead_tasks = $10, names_left = $11, units = $12, assets = $13, findings = $14, \
                   traffic = $15, worked = $16, cancelled_tasks = $17 WHERE tenant_id = $1 AND scan_id = $2";
        self.execute(sql, &values).await.map(drop)
    }

    pub(crate) async fn end_scan(&mut self, scan: &mut RunningScan, end: ScanEnd) -> Result<(), StoreError> {
        scan.life = ScanLife::Ended { at: self.now, end };
        self.tell(Happening::ScanEnded { scan: scan.id, end });
        let report = NewTask {
            scan: Some(scan.id),
            priority: scan.request.priority,
            request_id: scan.request_id.clone(),
            trace: scan.trace,
            ..NewTask::new(Work::Report)
        };
        self.enqueue(&[report]).await.map(drop)
    }

    pub(crate) async fn submit(
        &mut self,
        new: &NewScan,
    ) -> Result<(ScanId, BTreeMap<Stage, usize>), StoreError> {
        let id = ScanId::from_random(rand::random());
        Ok((id, self.submit_as(id, new).await?))
    }

    /// By that name, which is nobody else's.
    pub(crate) async fn submit_as(
        &mut self,
        id: ScanId,
        new: &NewScan,
    ) -> Result<BTreeMap<Stage, usize>, StoreError> {
        let scope = self.scope(&new.request.scope).await?;
        if new.targets.is_empty() {
            return Err(StoreError::Invalid("there is no target: name at least one".to_owned()));
        }
        if scope.window.next_open(self.now).is_none()
            && let Err(why) = scope.window.permits(self.now)
        {
            return Err(StoreError::OutOfScope {
                scope: new.request.scope.clone(),
                refusal: Refusal::Closed(why),
            });
        }
        for target in &new.targets {
            let out = |refusal| StoreError::OutOfScope { scope: new.request.scope.clone(), refusal };
            scope.permits_target(target).map_err(out)?;
        }
        let most_worked = match (new.request.budget.cost, new.price) {
            (None, _) => None,
            (Some(cost), Some(price)) => Some(microseconds(price.buys(cost))),
            (Some(_), None) => return Err(StoreError::NoPrice),
        };
        let limits = scope.ceilings.lower(&new.request.profile.limits());
        let purpose = purpose(&new.request, &new.targets);
        let sql = format!(
            "SELECT scan_id FROM scans WHERE tenant_id = $1 AND purpose = $2 AND state = 'ended' AND {} \
             ORDER BY submitted_at DESC LIMIT 1",
            looked_at_everything("scans")
        );
        let baseline = self.query(&sql, &[self.tenant(), purpose.into()]).await?;
        let baseline = baseline.first().map(|row| row.text(0).map(str::to_owned)).transpose()?;
        let deadline = self.now.saturating_add(new.request.deadline(&limits)).unwrap_or(Timestamp::MAX);
        let values = [
            self.tenant(),
            id.to_string().into(),
            new.request.scope.as_str().into(),
            json(&scope)?,
            json(&new.request)?,
            json(&limits)?,
            new.by.name.as_str().into(),
            self.now.into(),
            deadline.into(),
            "running".into(),
            json(&ScanLife::Running)?,
            purpose.into(),
            baseline.into(),
            new.targets.len().into(),
            limits.discovered_names.into(),
            json(&Traffic::default())?,
            new.checks.as_str().into(),
            new.price.map(|price| price.of_hour().millionths()).into(),
            most_worked.into(),
            new.by.request.as_deref().into(),
            new.by.trace.map(|trace| trace.to_string()).into(),
        ];
        let sql = "INSERT INTO scans (tenant_id, scan_id, scope, scope_body, request, limits, submitted_by, submitted_at, \
                   deadline, state, life, purpose, baseline, targets, names_left, traffic, checks, price, most_worked, request_id, \
                   traceparent) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)";
        self.execute(sql, &values).await?;
        let rows = new.targets.iter().enumerate().map(|(position, target)| {
            vec![self.tenant(), id.to_string().into(), position.into(), target.to_string().into()]
        });
        let head = "INSERT INTO scan_targets (tenant_id, scan_id, position, target)";
        let rows: Vec<Vec<Value>> = rows.collect();
        self.session.insert(head, &rows, "").await?;
        let named: Vec<String> = new.targets.iter().take(TARGETS_NAMED).map(ToString::to_string).collect();
        let targets = format!("{} targets: {}", new.targets.len(), named.join(", "));
        self.audit(Act::new(&new.by, "scan.submit", id).detail(targets).after(&new.request)?);
        self.tell(Happening::ScanBegun { scan: id });
        let mut running = self.hold_scan(id).await?;
        self.go_on(&mut running).await
    }

    pub(crate) async fn one_scan(&mut self, id: ScanId) -> Result<ScanRecord, StoreError> {
        let sql = format!("SELECT {SCAN} FROM scans WHERE tenant_id = $1 AND scan_id = $2 AND {KNOWN}");
        read(&self.one(&sql, &[self.tenant(), id.to_string().into()], ("scan", id)).await?)
    }

    pub(crate) async fn latest_scans(
        &mut self,
        filter: &ScanFilter,
        at_most: usize,
    ) -> Result<Vec<ScanRecord>, StoreError> {
        let ScanFilter { running, scope, since, until, order, after } = filter;
        let mut wanted = Question::of(self.tenant());
        wanted.also(KNOWN);
        wanted.with_any("scope = #", scope.as_deref());
        wanted.with_any("submitted_at >= #", *since);
        wanted.with_any("submitted_at < #", *until);
        if *running {
            wanted.also("state = 'running'");
        }
        let order = wanted.ordered(&COLUMNS, (*order).into(), after.clone());
        let Question { condition, values } = wanted;
        let sql = format!("SELECT {SCAN} FROM scans WHERE {condition} {order} LIMIT {at_most}");
        self.query(&sql, &values).await?.iter().map(read).collect()
    }
}

impl Store {
    /// Begins a scan. Its first tasks wait when this returns: which stages to wake, and for how many.
    pub async fn submit_scan(
        &self,
        tenant: TenantId,
        new: NewScan,
    ) -> Result<(ScanId, BTreeMap<Stage, usize>), StoreError> {
        self.of_tenant(tenant, move |tx| Box::pin(async move { tx.submit(&new).await })).await
    }

    /// The same; under a key the same request of the same asker is the same scan for a day.
    pub async fn submit_scan_once(
        &self,
        tenant: TenantId,
        new: NewScan,
        key: Option<String>,
    ) -> Result<Submission, StoreError> {
        let once = Once::of(key, &new.by, "scan.submit", &(&new.request, &new.targets))?;
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let id = ScanId::from_random(rand::random());
                if let Some((once, before)) = tx.made_before(once.as_ref(), &id).await? {
                    let Made { record, is_new } = once.as_it_is(tx.one_scan(before).await)?;
                    return Ok(Submission { scan: record.id, is_new, planned: BTreeMap::new() });
                }
                let planned = tx.submit_as(id, &new).await?;
                Ok(Submission { scan: id, is_new: true, planned })
            })
        })
        .await
    }

    /// One scan.
    pub async fn scan(&self, tenant: TenantId, id: ScanId) -> Result<ScanRecord, StoreError> {
        self.read_tenant(tenant, move |tx| Box::pin(async move { tx.one_scan(id).await })).await
    }

    /// What a worker must know of a scan besides its tasks: the request, its scope and its limits.
    pub async fn scan_settings(
        &self,
        tenant: TenantId,
        id: ScanId,
    ) -> Result<(ScanRequest, Scope, Limits, Timestamp), StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let sql = format!(
                    "SELECT request, scope_body, limits, deadline FROM scans WHERE tenant_id = $1 AND scan_id = $2 AND {KNOWN}"
                );
                let row = tx.one(&sql, &[tx.tenant(), id.to_string().into()], ("scan", id)).await?;
                Ok((row.json(0)?, row.json(1)?, row.json(2)?, row.time(3)?))
            })
        })
        .await
    }

    /// The targets of a scan in the order in which they were given, from this place on.
    pub async fn targets(
        &self,
        tenant: TenantId,
        scan: ScanId,
        from: u64,
        at_most: usize,
    ) -> Result<Vec<Target>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let sql = format!(
                    "SELECT target FROM scan_targets WHERE tenant_id = $1 AND scan_id = $2 AND position >= $3 \
                     ORDER BY position LIMIT {at_most}"
                );
                let rows = tx.query(&sql, &[tx.tenant(), scan.to_string().into(), from.into()]).await?;
                rows.iter().map(|row| row.word(0)).collect()
            })
        })
        .await
    }

    /// Scans, the latest first.
    pub async fn scans(
        &self,
        tenant: TenantId,
        filter: ScanFilter,
        at_most: usize,
    ) -> Result<Vec<ScanRecord>, StoreError> {
        self.read_tenant(tenant, move |tx| Box::pin(async move { tx.latest_scans(&filter, at_most).await }))
            .await
    }
}
