//! Schedules: rules that begin scans, kept and followed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{
    ScanId, ScanLife, ScanRequest, Schedule, ScheduleId, Stage, Target, TenantId, WorkerPrice,
    schedule::Progress,
};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    NewScan, Store, StoreError,
    session::TenantTx,
    value::{Row, Value, json},
};

/// A schedule to be kept.
#[derive(Debug, Clone)]
pub struct NewSchedule {
    /// For people; one of the tenant's own.
    pub name: String,
    /// When.
    pub rule: Schedule,
    /// What is asked for each time.
    pub request: ScanRequest,
    /// Of what.
    pub targets: Vec<Target>,
}

/// On what terms scans are begun that nobody is there to ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// As in [`NewScan::checks`].
    pub checks: String,
    /// As in [`NewScan::price`].
    pub price: Option<WorkerPrice>,
}

/// A schedule as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScheduleRecord {
    /// Which.
    pub id: ScheduleId,
    /// For people.
    pub name: String,
    /// When.
    pub rule: Schedule,
    /// What is asked for each time.
    pub request: ScanRequest,
    /// Of what.
    pub targets: Vec<Target>,
    /// Does it begin scans at the moment?
    pub enabled: bool,
    /// How far it has come.
    pub progress: Progress,
    /// When it is looked at next, at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_again: Option<Timestamp>,
    /// The scan that it began last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scan: Option<ScanId>,
}

const SCHEDULE: &str = "schedule_id, name, rule, request, targets, enabled, progress, look_again, last_scan";

fn read(row: &Row) -> Result<ScheduleRecord, StoreError> {
    Ok(ScheduleRecord {
        id: ScheduleId::new(row.id(0)?),
        name: row.text(1)?.to_owned(),
        rule: row.json(2)?,
        request: row.json(3)?,
        targets: row.json(4)?,
        enabled: row.bool(5)?,
        progress: row.json(6)?,
        look_again: row.maybe_time(7)?,
        last_scan: row.maybe_text(8)?.map(|_| row.word(8)).transpose()?,
    })
}

/// Spreads the starts of schedules that have the same rule.
fn seed(id: ScheduleId) -> u64 {
    id.as_uuid().as_u64_pair().1
}

impl TenantTx<'_> {
    async fn hold_schedule(&mut self, id: ScheduleId) -> Result<ScheduleRecord, StoreError> {
        let lock = self.dialect().for_update();
        let sql = format!("SELECT {SCHEDULE} FROM schedules WHERE tenant_id = $1 AND schedule_id = $2{lock}");
        read(&self.one(&sql, &[self.tenant(), id.as_uuid().into()], ("schedule", id)).await?)
    }

    /// Begins what is due, and writes down that it has begun: both or neither.
    async fn follow(&mut self, id: ScheduleId, terms: &Terms) -> Result<BTreeMap<Stage, usize>, StoreError> {
        let mut schedule = self.hold_schedule(id).await?;
        let mut planned = BTreeMap::new();
        if !schedule.enabled {
            return Ok(planned);
        }
        let running = match schedule.last_scan {
            Some(scan) => self.hold_scan(scan).await.map(|scan| scan.life == ScanLife::Running)?,
            None => false,
        };
        let due = schedule.rule.due(&schedule.progress, self.now, running, seed(id));
        for _ in &due.start {
            let new = NewScan {
                request: schedule.request.clone(),
                targets: schedule.targets.clone(),
                by: format!("schedule {}", schedule.name),
                checks: terms.checks.clone(),
                price: terms.price,
            };
            match self.submit(&new).await {
                Ok((scan, stages)) => {
                    schedule.last_scan = Some(scan);
                    for (stage, count) in stages {
                        *planned.entry(stage).or_default() += count;
                    }
                }
                // Its scope is gone, or allows its targets no more: nobody is there to be told but whoever reads the audit.
                Err(
                    error @ (StoreError::OutOfScope { .. }
                    | StoreError::NoPrice
                    | StoreError::Invalid(_)
                    | StoreError::Missing { .. }),
                ) => {
                    let by = format!("schedule {}", schedule.name);
                    self.audit(&by, "schedule.refused", &id.to_string(), &error.to_string()).await?;
                }
                Err(error) => return Err(error),
            }
        }
        let values = [
            self.tenant(),
            id.as_uuid().into(),
            json(&due.progress)?,
            due.look_again.into(),
            schedule.last_scan.map(|scan| scan.to_string()).into(),
        ];
        let sql = "UPDATE schedules SET progress = $3, look_again = $4, last_scan = $5 \
                   WHERE tenant_id = $1 AND schedule_id = $2";
        self.execute(sql, &values).await?;
        Ok(planned)
    }

    pub(crate) async fn schedules(&mut self) -> Result<Vec<ScheduleRecord>, StoreError> {
        let sql = format!("SELECT {SCHEDULE} FROM schedules WHERE tenant_id = $1 ORDER BY name");
        self.query(&sql, &[self.tenant()]).await?.iter().map(read).collect()
    }
}

impl Store {
    /// Keeps a schedule; it begins its first scan when the rule says so, counted from now.
    pub async fn create_schedule(
        &self,
        tenant: TenantId,
        new: NewSchedule,
        by: String,
    ) -> Result<ScheduleRecord, StoreError> {
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let scope = tx.scope(&new.request.scope).await?;
                for target in &new.targets {
                    let out = |refusal| StoreError::OutOfScope { scope: new.request.scope.clone(), refusal };
                    scope.permits_target(target).map_err(out)?;
                }
                let id = ScheduleId::new(Uuid::now_v7());
                let progress = Progress::since(tx.now);
                let look_again = new.rule.due(&progress, tx.now, false, seed(id)).look_again;
                let values = [
                    tx.tenant(),
                    id.as_uuid().into(),
                    new.name.as_str().into(),
                    json(&new.rule)?,
                    json(&new.request)?,
                    json(&new.targets)?,
                    true.into(),
                    json(&progress)?,
                    look_again.into(),
                    tx.now.into(),
                ];
                let sql = "INSERT INTO schedules (tenant_id, schedule_id, name, rule, request, targets, enabled, progress, \
                           look_again, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
                if tx.execute(sql, &values).await? == 0 {
                    return Err(StoreError::Exists { kind: "schedule", name: new.name });
                }
                tx.audit(&by, "schedule.create", &id.to_string(), &new.name).await?;
                tx.hold_schedule(id).await
            })
        })
        .await
    }

    /// A tenant's schedules, by name.
    pub async fn schedules(&self, tenant: TenantId) -> Result<Vec<ScheduleRecord>, StoreError> {
        self.read_tenant(tenant, |tx| Box::pin(async move { tx.schedules().await })).await
    }

    /// Lets a schedule begin scans, or no more. What was missed in between is not caught up on.
    pub async fn enable_schedule(
        &self,
        tenant: TenantId,
        id: ScheduleId,
        enabled: bool,
        by: String,
    ) -> Result<(), StoreError> {
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let schedule = tx.hold_schedule(id).await?;
                let progress = Progress::since(tx.now);
                let look_again = schedule.rule.due(&progress, tx.now, false, seed(id)).look_again;
                let sql = "UPDATE schedules SET enabled = $3, progress = $4, look_again = $5 \
                           WHERE tenant_id = $1 AND schedule_id = $2";
                let values =
                    [tx.tenant(), id.as_uuid().into(), enabled.into(), json(&progress)?, look_again.into()];
                tx.execute(sql, &values).await?;
                let action = if enabled { "schedule.enable" } else { "schedule.disable" };
                tx.audit(&by, action, &id.to_string(), &schedule.name).await
            })
        })
        .await
    }

    /// Keeps it no longer; its scans stay.
    pub async fn delete_schedule(
        &self,
        tenant: TenantId,
        id: ScheduleId,
        by: String,
    ) -> Result<(), StoreError> {
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let schedule = tx.hold_schedule(id).await?;
                let sql = "DELETE FROM schedules WHERE tenant_id = $1 AND schedule_id = $2";
                tx.execute(sql, &[tx.tenant(), id.as_uuid().into()]).await?;
                tx.audit(&by, "schedule.delete", &id.to_string(), &schedule.name).await
            })
        })
        .await
    }

    /// Follows every schedule whose time has come, each once, however many ask at the same time. Which stages to wake, and for how
    /// many tasks.
    pub async fn follow_schedules(&self, terms: &Terms) -> Result<BTreeMap<Stage, usize>, StoreError> {
        let ready: Vec<(TenantId, ScheduleId)> = self
            .read_queue(|tx| {
                Box::pin(async move {
                    let sql = "SELECT tenant_id, schedule_id FROM schedules WHERE enabled AND look_again <= $1 \
                               ORDER BY look_again LIMIT 1000";
                    let rows = tx.session.query(sql, &[Value::from(tx.now)]).await?;
                    rows.iter()
                        .map(|row| Ok((TenantId::new(row.id(0)?), ScheduleId::new(row.id(1)?))))
                        .collect()
                })
            })
            .await?;
        let (mut planned, mut failed) = (BTreeMap::new(), None);
        for (tenant, id) in ready {
            let terms = terms.clone();
            let followed =
                self.of_tenant(tenant, move |tx| Box::pin(async move { tx.follow(id, &terms).await })).await;
            // What is wrong with one schedule holds up no other.
            match followed {
                Ok(stages) => {
                    for (stage, count) in stages {
                        *planned.entry(stage).or_default() += count;
                    }
                }
                Err(reason) => failed = failed.or(Some(reason)),
            }
        }
        // Whoever was begun all the same is found by polling.
        failed.map_or(Ok(planned), Err)
    }
}
