//! What follows from a result: the frontier of a scan, made for a moment from what is stored of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::{
    Frontier, Learned, NewTask, Stage, Target, TaskId, Unit, UnitResult, Work,
    frontier::{Fact, Piece, Subject, pieces},
    scan::ScanEnd,
    stage::add_counts,
    task::RetryPolicy,
};
use uuid::Uuid;

use crate::{
    StoreError,
    scans::RunningScan,
    session::TenantTx,
    value::{Value, json, places},
    visits::Visit,
};

/// Targets are taken while a scan has fewer tasks than this: a list of a million, or a network of millions, never stands in the
/// queue as a whole.
const OPEN_TASKS: u64 = 512;
/// Pieces of targets looked at in one transaction, whether in scope or not.
const PIECES: usize = 2_048;

/// A unit is tried again when its worker dies; what targets do is no failure of a task.
const POLICY: RetryPolicy =
    RetryPolicy { attempts: 4, base: Duration::from_secs(2), cap: Duration::from_secs(120) };

impl TenantTx<'_> {
    /// Plans what follows from a unit. How many tasks that are, by stage.
    pub(crate) async fn learn(
        &mut self,
        running: &mut RunningScan,
        unit: &Unit,
        learned: &Learned,
    ) -> Result<BTreeMap<Stage, usize>, StoreError> {
        let mut frontier = running.frontier();
        let subjects = Frontier::subjects(unit, learned);
        let known = self.recall(running, &mut frontier, &subjects).await?;
        let lookups: Vec<Value> =
            Frontier::lookups(learned).into_iter().map(|key| Value::from(key.0)).collect();
        for chunk in lookups.chunks(1_000) {
            let sql = format!(
                "SELECT unit_key FROM scan_units WHERE tenant_id = $1 AND scan_id = $2 AND unit_key IN ({})",
                places(3, chunk.len())
            );
            let mut values = vec![self.tenant(), running.id.to_string().into()];
            values.extend_from_slice(chunk);
            for row in self.query(&sql, &values).await? {
                frontier.has_planned(model::UnitKey(row.key(0)?));
            }
        }
        frontier.learn(unit, learned);
        self.plan(running, frontier, &subjects, &known).await
    }

    /// Takes further targets as long as there is room, gives up what waits when it is not to be done any more, and ends the scan
    /// when nothing is left. Writes the scan down.
    pub(crate) async fn go_on(
        &mut self,
        running: &mut RunningScan,
    ) -> Result<BTreeMap<Stage, usize>, StoreError> {
        let mut planned = BTreeMap::new();
        let mut looked_at = 0;
        if running.has_more()
            && !running.gives_up()
            && let Some(exhausted) = running.request.budget.spent(&running.used())
        {
            self.begin_to_stop(running, ScanEnd::Budget { exhausted });
        }
        while running.plans()
            && running.open_tasks < OPEN_TASKS
            && running.next_target < running.targets
            && looked_at < PIECES
        {
            let sql =
                "SELECT target FROM scan_targets WHERE tenant_id = $1 AND scan_id = $2 AND position = $3";
            let values = [self.tenant(), running.id.to_string().into(), running.next_target.into()];
            let row = self.one(sql, &values, ("target of scan", running.id)).await?;
            let target: Target = row.word(0)?;
            let mut whole = true;
            for piece in pieces(target, &running.scope.clone(), running.within) {
                if running.open_tasks >= OPEN_TASKS || looked_at >= PIECES {
                    whole = false;
                    break;
                }
                looked_at += 1;
                let more = match piece {
                    Piece::Nothing(address) => {
                        running.within = Some(address);
                        continue;
                    }
                    Piece::Whole(target) => self.add_target(running, &target).await?,
                    Piece::OfNetwork(address) => {
                        running.within = Some(address);
                        self.add_address(running, address).await?
                    }
                };
                add_counts(&mut planned, more);
            }
            if whole {
                running.next_target += 1;
                running.within = None;
            }
        }
        if running.gives_up() {
            self.cancel_waiting(running).await?;
        }
        self.tell_gone(running).await?;
        if running.is_open() && running.open_tasks == 0 {
            let all_taken = running.next_target >= running.targets;
            match running.stopping {
                Some(end) => self.end_scan(running, end).await?,
                None if all_taken => {
                    let end = match running.dead_tasks + running.cancelled_tasks {
                        0 => ScanEnd::Complete,
                        units => ScanEnd::Failures { units },
                    };
                    self.end_scan(running, end).await?;
                }
                // A network most of which no scope allows: whoever reaps goes on with it.
                None => {}
            }
        }
        self.write_scan(running).await?;
        Ok(planned)
    }

    async fn add_target(
        &mut self,
        running: &mut RunningScan,
        target: &Target,
    ) -> Result<BTreeMap<Stage, usize>, StoreError> {
        let mut frontier = running.frontier();
        let mut subjects = BTreeSet::new();
        let mut known = BTreeMap::new();
        loop {
            let more = frontier.subjects_of(target);
            let new: BTreeSet<Subject> = more.difference(&subjects).cloned().collect();
            if new.is_empty() {
                break;
            }
            known.extend(self.recall(running, &mut frontier, &new).await?);
            subjects.extend(new);
        }
        frontier.add_target(target);
        self.plan(running, frontier, &subjects, &known).await
    }

    async fn add_address(
        &mut self,
        running: &mut RunningScan,
        address: std::net::IpAddr,
    ) -> Result<BTreeMap<Stage, usize>, StoreError> {
        let mut frontier = running.frontier();
        let subjects = BTreeSet::from([Subject::Host(address)]);
        let known = self.recall(running, &mut frontier, &subjects).await?;
        frontier.add_address_of_network(address);
        self.plan(running, frontier, &subjects, &known).await
    }

    async fn recall(
        &mut self,
        running: &RunningScan,
        frontier: &mut Frontier,
        subjects: &BTreeSet<Subject>,
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let by_key: BTreeMap<String, &Subject> =
            subjects.iter().map(|subject| (subject.to_string(), subject)).collect();
        let keys: Vec<Value> = by_key.keys().map(|key| key.as_str().into()).collect();
        let mut known = BTreeMap::new();
        for chunk in keys.chunks(1_000) {
            let sql = format!(
                "SELECT subject, fact FROM scan_knowledge WHERE tenant_id = $1 AND scan_id = $2 AND subject IN ({})",
                places(3, chunk.len())
            );
            let mut values = vec![self.tenant(), running.id.to_string().into()];
            values.extend_from_slice(chunk);
            for row in self.query(&sql, &values).await? {
                let subject = row.text(0)?;
                let fact: Fact = row.json(1)?;
                known.insert(subject.to_owned(), row.text(1)?.to_owned());
                if let Some(subject) = by_key.get(subject) {
                    frontier.recall((*subject).clone(), fact);
                }
            }
        }
        Ok(known)
    }

    /// Writes down what the frontier knows now, and asks for the units that are new.
    async fn plan(
        &mut self,
        running: &mut RunningScan,
        mut frontier: Frontier,
        subjects: &BTreeSet<Subject>,
        known: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<Stage, usize>, StoreError> {
        let scan = Value::from(running.id.to_string());
        let mut gone: BTreeSet<String> =
            subjects.iter().map(ToString::to_string).filter(|subject| known.contains_key(subject)).collect();
        let mut rows = Vec::new();
        for (subject, fact) in frontier.knowledge() {
            let (subject, fact) = (subject.to_string(), json(&fact)?);
            gone.remove(&subject);
            if !matches!(&fact, Value::Text(text) if known.get(&subject) == Some(text)) {
                rows.push(vec![self.tenant(), scan.clone(), subject.into(), fact]);
            }
        }
        let head = "INSERT INTO scan_knowledge (tenant_id, scan_id, subject, fact)";
        let tail = "ON CONFLICT (tenant_id, scan_id, subject) DO UPDATE SET fact = excluded.fact";
        self.session.insert(head, &rows, tail).await?;
        for subject in gone {
            let sql = "DELETE FROM scan_knowledge WHERE tenant_id = $1 AND scan_id = $2 AND subject = $3";
            self.execute(sql, &[self.tenant(), scan.clone(), subject.into()]).await?;
        }
        running.names_left = frontier.names_left();
        let units: Vec<Unit> = std::iter::from_fn(|| frontier.next_unit()).collect();
        let (mut planned, spared) = self.enqueue_units(running, units).await?;
        // After what this step asked for: that was asked while the unit still counted as planned.
        for unit in frontier.forgotten() {
            let sql = "DELETE FROM scan_units WHERE tenant_id = $1 AND scan_id = $2 AND unit_key = $3";
            self.execute(sql, &[self.tenant(), scan.clone(), unit.0.into()]).await?;
        }
        for (unit, visit) in spared {
            self.see_again(running, &visit).await?;
            let result = UnitResult { left_out: vec![visit.told], ..UnitResult::default() };
            self.keep_result(running.id, TaskId::new(Uuid::now_v7()), &unit, &result).await?;
            // What it taught may spare further units.
            add_counts(&mut planned, Box::pin(self.learn(running, &unit, &visit.learned)).await?);
        }
        Ok(planned)
    }

    async fn enqueue_units(
        &mut self,
        running: &mut RunningScan,
        units: Vec<Unit>,
    ) -> Result<(BTreeMap<Stage, usize>, Vec<(Unit, Visit)>), StoreError> {
        let mut planned: BTreeMap<Stage, usize> = BTreeMap::new();
        let mut spared = Vec::new();
        let mut tasks = Vec::new();
        for unit in units {
            if !running.plans() {
                break;
            }
            if let Some(exhausted) = running.request.budget.exhausted(&running.used()) {
                self.begin_to_stop(running, ScanEnd::Budget { exhausted });
                break;
            }
            let sql = "INSERT INTO scan_units (tenant_id, scan_id, unit_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            let values = [self.tenant(), running.id.to_string().into(), unit.key().0.into()];
            if self.execute(sql, &values).await? == 0 {
                continue;
            }
            running.units += 1;
            if let Some(visit) = self.visit(running, &unit).await? {
                spared.push((unit, visit));
                continue;
            }
            running.open_tasks += 1;
            *planned.entry(unit.stage()).or_default() += 1;
            tasks.push(NewTask {
                scan: Some(running.id),
                priority: running.request.priority,
                policy: POLICY,
                deadline: running.limits.host_deadline,
                request_id: running.request_id.clone(),
                trace: running.trace,
                ..NewTask::new(Work::Unit(unit))
            });
        }
        self.enqueue(&tasks).await?;
        Ok((planned, spared))
    }
}
