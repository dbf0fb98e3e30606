//! Schedules: rules that begin scans, kept and followed.

use std::collections::BTreeMap;

use model::{
    By, ScanLife, ScanRequest, ScheduleId, Stage, Target, TenantId, WorkerPrice,
    record::{NewSchedule, RefusedRun, ScheduleChange, ScheduleRecord},
    schedule::Progress,
    stage::add_counts,
};
use uuid::Uuid;

use crate::{
    NewScan, Store, StoreError,
    audit::Act,
    list::Question,
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

/// Which schedules somebody means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleFilter {
    /// Only those that begin scans, or only those that do not.
    pub enabled: Option<bool>,
    /// Only those whose last run began nothing, or only the others.
    pub refused: Option<bool>,
    /// Only those whose names come after this.
    pub after: Option<String>,
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
        self.schedule(id, lock).await
    }

    async fn schedule(&mut self, id: ScheduleId, lock: &str) -> Result<ScheduleRecord, StoreError> {
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
        let all = Question::of(self.tenant());
        self.read_schedules(all, "").await
    }

    async fn read_schedules(
        &mut self,
        wanted: Question,
        limit: &str,
    ) -> Result<Vec<ScheduleRecord>, StoreError> {
        let Question { condition, values } = wanted;
        let sql = format!("SELECT {SCHEDULE} FROM schedules WHERE {condition} ORDER BY name {limit}");
        self.query(&sql, &values).await?.iter().map(read).collect()
    }

    /// What it is to begin is within its scope now. When its time comes that is asked again.
    async fn require_in_scope(
        &mut self,
        request: &ScanRequest,
        targets: &[Target],
    ) -> Result<(), StoreError> {
        let scope = self.scope(&request.scope).await?;
        let out = |refusal| StoreError::OutOfScope { scope: request.scope.clone(), refusal };
        targets.iter().try_for_each(|target| scope.permits_target(target).map_err(out))
    }
}

/// It says what somebody has seen: that it has begun a scan meanwhile changes nothing.
fn require_seen(schedule: &ScheduleRecord, seen: Option<ScheduleRecord>) -> Result<(), StoreError> {
    let is_as_seen = seen.is_none_or(|seen| seen.settings() == schedule.settings());
    StoreError::changed_unless(is_as_seen, "schedule", &schedule.name)
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
                tx.require_in_scope(&new.request, &new.targets).await?;
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

    /// So many schedules of a tenant, by name.
    pub async fn list_schedules(
        &self,
        tenant: TenantId,
        filter: ScheduleFilter,
        at_most: usize,
    ) -> Result<Vec<ScheduleRecord>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let mut wanted = Question::of(tx.tenant());
                wanted.with_any("enabled = #", filter.enabled);
                match filter.refused {
                    Some(true) => wanted.also("refused IS NOT NULL"),
                    Some(false) => wanted.also("refused IS NULL"),
                    None => {}
                }
                wanted.with_any("name > #", filter.after);
                tx.read_schedules(wanted, &format!("LIMIT {at_most}")).await
            })
        })
        .await
    }

    /// One of them.
    pub async fn schedule(&self, tenant: TenantId, id: ScheduleId) -> Result<ScheduleRecord, StoreError> {
        self.read_tenant(tenant, move |tx| Box::pin(async move { tx.schedule(id, "").await })).await
    }

    /// Every schedule of a tenant, by name.
    pub async fn schedules(&self, tenant: TenantId) -> Result<Vec<ScheduleRecord>, StoreError> {
        self.read_tenant(tenant, |tx| Box::pin(async move { tx.schedules().await })).await
    }

    /// Changes a schedule, if it is what somebody has seen. With another rule, or begun again, it counts from now: what was missed is
    /// not caught up on. What is the same already is left as it is, and the audit is told nothing.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is not what they have seen.
    pub async fn change_schedule(
        &self,
        tenant: TenantId,
        id: ScheduleId,
        change: ScheduleChange,
        seen: Option<ScheduleRecord>,
        by: impl Into<By>,
    ) -> Result<ScheduleRecord, StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let before = tx.hold_schedule(id).await?;
                require_seen(&before, seen)?;
                let mut after = before.clone();
                let ScheduleChange { rule, request, targets, enabled } = change;
                after.rule = rule.unwrap_or(after.rule);
                after.request = request.unwrap_or(after.request);
                after.targets = targets.unwrap_or(after.targets);
                after.enabled = enabled.unwrap_or(after.enabled);
                if after == before {
                    return Ok(before);
                }
                if (&after.request, &after.targets) != (&before.request, &before.targets) {
                    tx.require_in_scope(&after.request, &after.targets).await?;
                }
                if (&after.rule, after.enabled) != (&before.rule, before.enabled) {
                    after.progress = Progress::since(tx.now);
                    after.look_again = after.rule.due(&after.progress, tx.now, false, seed(id)).look_again;
                }
                after.refused = None;
                let values = [
                    tx.tenant(),
                    id.as_uuid().into(),
                    json(&after.rule)?,
                    json(&after.request)?,
                    json(&after.targets)?,
                    after.enabled.into(),
                    json(&after.progress)?,
                    after.look_again.into(),
                ];
                let sql = "UPDATE schedules SET rule = $3, request = $4, targets = $5, enabled = $6, progress = $7, \
                           look_again = $8, refused = NULL WHERE tenant_id = $1 AND schedule_id = $2";
                tx.execute(sql, &values).await?;
                tx.audit(Act::new(&by, "schedule.change", id).detail(&after.name).before(&before)?.after(&after)?);
                Ok(after)
            })
        })
        .await
    }

    /// Keeps it no longer; its scans stay.
    pub async fn delete_schedule(
        &self,
        tenant: TenantId,
        id: ScheduleId,
        seen: Option<ScheduleRecord>,
        by: impl Into<By>,
    ) -> Result<(), StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let schedule = tx.hold_schedule(id).await?;
                require_seen(&schedule, seen)?;
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
