//! Schedules: rules that begin scans, kept and followed.

use std::collections::BTreeMap;

use model::{
    By, ScanLife, ScheduleId, Stage, TenantId, WorkerPrice,
    record::{NewSchedule, RefusedRun, ScheduleRecord},
    schedule::Progress,
    stage::add_counts,
};
use uuid::Uuid;

use crate::{
    NewScan, Store, StoreError,
    audit::Act,
    once::{Made, Once},
    session::TenantTx,
    value::{Kind, Row, Value, json},
};

/// On what terms scans are begun that nobody is there to ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// As in [`NewScan::checks`].
    pub checks: String,
    /// As in [`NewScan::price`].
    pub price: Option<WorkerPrice>,
}

/// What came of following schedules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Followed {
    /// Which stages to wake, and for how many tasks.
    pub planned: BTreeMap<Stage, usize>,
    /// Runs that began nothing: nobody else is there to be told.
    pub refused: Vec<(TenantId, String, RefusedRun)>,
}

const SCHEDULE: &str =
    "schedule_id, name, rule, request, targets, enabled, progress, look_again, last_scan, refused";

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
        refused: row.maybe_json(9)?,
    })
}

impl Followed {
    fn add(&mut self, other: Followed) {
        add_counts(&mut self.planned, other.planned);
        self.refused.extend(other.refused);
    }
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
    async fn follow(&mut self, id: ScheduleId, terms: &Terms) -> Result<Followed, StoreError> {
        let mut schedule = self.hold_schedule(id).await?;
        let mut followed = Followed::default();
        if !schedule.enabled {
            return Ok(followed);
        }
        let running = match schedule.last_scan {
            Some(scan) => match self.hold_scan(scan).await {
                Ok(scan) => scan.life == ScanLife::Running,
                // Only those that have ended are forgotten.
                Err(StoreError::Missing { .. }) => false,
                Err(error) => return Err(error),
            },
            None => false,
        };
        let due = schedule.rule.due(&schedule.progress, self.now, running, seed(id));
        for _ in &due.start {
            let new = NewScan {
                request: schedule.request.clone(),
                targets: schedule.targets.clone(),
                by: format!("schedule {}", schedule.name).into(),
                checks: terms.checks.clone(),
                price: terms.price,
            };
            match self.submit(&new).await {
                Ok((scan, stages)) => {
                    schedule.last_scan = Some(scan);
                    schedule.refused = None;
                    followed.add(Followed { planned: stages, ..Followed::default() });
                }
                // Its scope is gone, or allows its targets no more.
                Err(
                    error @ (StoreError::OutOfScope { .. }
                    | StoreError::NoPrice
                    | StoreError::Invalid(_)
                    | StoreError::Missing { .. }),
                ) => {
                    let refused = RefusedRun { at: self.now, reason: error.to_string() };
                    let by = By::from(format!("schedule {}", schedule.name));
                    self.audit(Act::new(&by, "schedule.refused", id).detail(&refused.reason));
                    followed.refused.push((self.tenant, schedule.name.clone(), refused.clone()));
                    schedule.refused = Some(refused);
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
            schedule.refused.as_ref().map(json).transpose()?.unwrap_or(Value::Null(Kind::Text)),
        ];
        let sql = "UPDATE schedules SET progress = $3, look_again = $4, last_scan = $5, refused = $6 \
                   WHERE tenant_id = $1 AND schedule_id = $2";
        self.execute(sql, &values).await?;
        Ok(followed)
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
        by: impl Into<By>,
    ) -> Result<ScheduleRecord, StoreError> {
        self.create_schedule_once(tenant, new, by, None).await.map(|made| made.record)
    }

    /// The same; under a key the same request of the same asker is the same schedule for a day.
    pub async fn create_schedule_once(
        &self,
        tenant: TenantId,
        new: NewSchedule,
        by: impl Into<By>,
        key: Option<String>,
    ) -> Result<Made<ScheduleRecord>, StoreError> {
        let by = by.into();
        let once = Once::of(key, &by, "schedule.create", &new)?;
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let id = ScheduleId::new(Uuid::now_v7());
                if let Some((once, before)) = tx.made_before(once.as_ref(), &id).await? {
                    return once.as_it_is(tx.hold_schedule(before).await);
                }
                let scope = tx.scope(&new.request.scope).await?;
                for target in &new.targets {
                    let out = |refusal| StoreError::OutOfScope { scope: new.request.scope.clone(), refusal };
                    scope.permits_target(target).map_err(out)?;
                }
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
                let made = tx.hold_schedule(id).await?;
                tx.audit(Act::new(&by, "schedule.create", id).detail(&made.name).after(&made)?);
                Ok(Made::now(made))
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
        by: impl Into<By>,
    ) -> Result<(), StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let schedule = tx.hold_schedule(id).await?;
                let progress = Progress::since(tx.now);
                let look_again = schedule.rule.due(&progress, tx.now, false, seed(id)).look_again;
                let sql = "UPDATE schedules SET enabled = $3, progress = $4, look_again = $5, refused = NULL \
                           WHERE tenant_id = $1 AND schedule_id = $2";
                let values =
                    [tx.tenant(), id.as_uuid().into(), enabled.into(), json(&progress)?, look_again.into()];
                tx.execute(sql, &values).await?;
                let action = if enabled { "schedule.enable" } else { "schedule.disable" };
                tx.audit(Act::new(&by, action, id).detail(schedule.name));
                Ok(())
            })
        })
        .await
    }

    /// Keeps it no longer; its scans stay.
    pub async fn delete_schedule(
        &self,
        tenant: TenantId,
        id: ScheduleId,
        by: impl Into<By>,
    ) -> Result<(), StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let schedule = tx.hold_schedule(id).await?;
                let sql = "DELETE FROM schedules WHERE tenant_id = $1 AND schedule_id = $2";
                tx.execute(sql, &[tx.tenant(), id.as_uuid().into()]).await?;
                tx.audit(Act::new(&by, "schedule.delete", id).detail(&schedule.name).before(&schedule)?);
                Ok(())
            })
        })
        .await
    }

    /// Follows every schedule whose time has come, each once, however many ask at the same time.
    pub async fn follow_schedules(&self, terms: &Terms) -> Result<Followed, StoreError> {
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
        let (mut followed, mut failed) = (Followed::default(), None);
        for (tenant, id) in ready {
            let terms = terms.clone();
            let one =
                self.of_tenant(tenant, move |tx| Box::pin(async move { tx.follow(id, &terms).await })).await;
            // What is wrong with one schedule holds up no other.
            match one {
                Ok(one) => followed.add(one),
                Err(reason) => failed = failed.or(Some(reason)),
            }
        }
        // Whoever was begun all the same is found by polling.
        failed.map_or(Ok(followed), Err)
    }
}
