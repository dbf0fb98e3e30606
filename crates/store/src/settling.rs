//! How tries end: the result, the end of the task, the account of its scan and the tasks that follow, in one transaction.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{
    Happening, PackageUrl, ScanId, Stage, TaskId, Traffic, Unit, UnitResult, Work,
    scan::ScanEnd,
    stage::add_counts,
    task::{Command, LeaseNumber, Life, Refused, Retry, TaskFailure},
};

use crate::{
    Lease, ObjectKey, Store, StoreError, TaskFilter, TaskRecord,
    looks::Moment,
    packages::{PackageResult, too_large},
    results::Kept,
    scans::RunningScan,
    session::TenantTx,
    sweeps::{LeftDead, TASKS_NAMED},
    tasks::{Change, begun, dice, write_changes},
};

/// How a try ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// There is nothing to be kept of it.
    Completed,
    /// A unit of a scan, and what came of it.
    Unit(Box<UnitResult>),
    /// An analysis of a package, and what it says.
    Package(PackageResult),
    /// There is no result.
    Failed(TaskFailure),
    /// The worker shuts down, the task was stopped, or nobody can do it now: it has not been tried.
    HandedBack {
        /// Until when nobody can do it.
        not_before: Option<Timestamp>,
    },
}

/// The end of a try, and the right to say so.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The claim.
    pub lease: Lease,
    /// How it ended.
    pub ending: Ending,
    /// What was sent for it, and for others of its scan that have not told yet: that counts however it ended.
    pub sent: Traffic,
}

impl Settlement {
    /// Of a try for which nothing was sent.
    pub fn silent(lease: Lease, ending: Ending) -> Settlement {
        Settlement { lease, ending, sent: Traffic::default() }
    }
}

/// What became of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Where it stands now: `queued`, `completed`, `cancelled` or `dead`.
    pub state: &'static str,
    /// The lease was over, and this same claim had been settled before: an answer that got lost, asked for again.
    pub again: bool,
    /// Tasks that follow from it, by stage: somebody should be woken for them.
    pub follow_ups: BTreeMap<Stage, usize>,
}

/// A unit that came to its end.
pub(crate) struct EndedUnit {
    pub(crate) task: TaskId,
    /// When the try began: what it saw was there from then on at the earliest, whenever that is committed.
    pub(crate) looked_at: Timestamp,
    pub(crate) unit: Unit,
    pub(crate) result: UnitResult,
    /// Where its evidence lies, when not in the database.
    pub(crate) evidence: Option<ObjectKey>,
}

impl EndedUnit {
    pub(crate) fn moment(&self) -> Moment {
        Moment { at: self.looked_at, task: self.task }
    }
}

/// What a command to many tasks did.
#[derive(Debug, Default)]
pub(crate) struct Commanded {
    pub(crate) changed: u64,
    /// Of these, the ones that are dead now.
    pub(crate) died: Vec<TaskId>,
    /// The first of those, for the audit.
    pub(crate) first: Vec<TaskId>,
    /// Dead ones that were to be brought back.
    pub(crate) left: BTreeMap<ScanId, LeftDead>,
}

impl TenantTx<'_> {
    /// Settlements of one scan, or of none.
    async fn settle(
        &mut self,
        scan: Option<ScanId>,
        settlements: Vec<(Settlement, Option<ObjectKey>)>,
    ) -> Result<Vec<Result<Settled, Refused>>, StoreError> {
        // Always the scan first and then its tasks in order: two transactions that wait for each other never end.
        let mut running = match scan {
            Some(scan) => Some(self.hold_scan(scan).await?),
            None => None,
        };
        let filter = TaskFilter {
            ids: settlements.iter().map(|(settlement, _)| settlement.lease.task).collect(),
            ..TaskFilter::default()
        };
        let held = self.hold_tasks(&filter, settlements.len()).await?;
        let mut held: BTreeMap<TaskId, TaskRecord> =
            held.into_iter().map(|record| (record.id, record)).collect();
        let mut answers = Vec::with_capacity(settlements.len());
        let (mut changes, mut ended, mut analyses) = (Vec::new(), Vec::new(), Vec::new());
        let mut dead = Dead::default();
        for (settlement, evidence) in settlements {
            let number = settlement.lease.number;
            // Which scan is held was said by the lease; the result must not go to another's account, nor to none.
            let found = held.get_mut(&settlement.lease.task).filter(|record| record.scan == scan);
            let Some(record) = found else {
                answers.push(Err(Refused::Wrong("purged")));
                continue;
            };
            let command = command(&record.work, &settlement.ending, number);
            let applied = record.task.apply(&command, &record.policy, self.now, dice());
            let task = match applied {
                Ok((task, _)) => task,
                Err(Refused::Fenced { shown, current, state })
                    if shown == current
                        && state == "completed"
                        && matches!(command, Command::Complete { .. }) =>
                {
                    answers.push(Ok(Settled { state, again: true, follow_ups: BTreeMap::new() }));
                    continue;
                }
                Err(refused) => {
                    answers.push(Err(refused));
                    continue;
                }
            };
            if let (Work::Package { purl }, Ending::Package(result), Life::Completed) =
                (&record.work, &settlement.ending, &task.life)
            {
                analyses.push((record.id, purl.clone(), result.clone()));
            }
            if let (Some(running), Work::Unit(unit)) = (&mut running, &record.work) {
                if let Ending::Unit(result) = settlement.ending {
                    let (task, looked_at, unit) = (record.id, begun(record)?, unit.clone());
                    let unit = EndedUnit { task, looked_at, unit, result: *result, evidence };
                    ended.push((answers.len(), unit));
                } else if let Life::Dead { .. } = task.life {
                    let why = task.last_failure.clone().unwrap_or_default();
                    self.commit_failure(running, record, unit, why).await?;
                }
            }
            if let Some(running) = &mut running {
                running.traffic += settlement.sent;
                running.changes(record, &task.life, self.now);
            }
            answers.push(Ok(Settled { state: task.life.word(), again: false, follow_ups: BTreeMap::new() }));
            dead.count_if(record, &task.life);
            // The same may be said twice in one batch.
            record.task = task.clone();
            changes.push(Change { tenant: record.tenant, id: record.id, before: record.due, task });
        }
        // First of all: what is planned below may find the budget spent, and cancels what waits.
        write_changes(self.session, &changes, self.now).await?;
        self.tell_of_dead(dead);
        for (task, purl, result) in analyses {
            self.keep_analysis(task, &purl, &result).await?;
            self.tell(Happening::PackageAnalyzed { task, purl });
        }
        if let Some(running) = &mut running {
            let (places, ended): (Vec<usize>, Vec<EndedUnit>) = ended.into_iter().unzip();
            self.commit_units(running, &ended).await?;
            for (place, EndedUnit { unit, result, .. }) in places.into_iter().zip(&ended) {
                let follow_ups = self.learn(running, unit, &result.learned).await?;
                if let Ok(settled) = &mut answers[place] {
                    settled.follow_ups = follow_ups;
                }
            }
        }
        if let Some(mut running) = running {
            let more = self.go_on(&mut running).await?;
            if let Some(Ok(last)) = answers.last_mut() {
                add_counts(&mut last.follow_ups, more);
            }
        }
        Ok(answers)
    }

    /// What came of these units, in as few statements as can be: each costs a round trip, and a batch holds its scan meanwhile.
    async fn commit_units(
        &mut self,
        running: &mut RunningScan,
        ended: &[EndedUnit],
    ) -> Result<(), StoreError> {
        self.hold_units(ended).await?;
        let seen = self.record(running, ended).await?;
        self.remember_visits(running, ended, &seen).await?;
        let kept = ended.iter().map(|EndedUnit { task, looked_at, unit, result, .. }| Kept {
            task: *task,
            unit,
            result,
            looked_at: Some(*looked_at),
        });
        self.keep_results(running.id, kept).await
    }

    /// What units leave that nobody will do any more: nobody knows what they would have found.
    pub(crate) async fn tell_gone(&mut self, running: &mut RunningScan) -> Result<(), StoreError> {
        let why = match running.stopping {
            None | Some(ScanEnd::Complete | ScanEnd::Failures { .. }) => "its task was cancelled",
            Some(ScanEnd::Cancelled) => "the scan was cancelled before it was done",
            Some(ScanEnd::Deadline) => "the scan's deadline passed before it was done",
            Some(ScanEnd::Budget { .. }) => "the scan's budget was used up before it was done",
        };
        let gone = std::mem::take(&mut running.gone);
        let result = UnitResult { undetermined: vec![why.to_owned()], ..UnitResult::default() };
        let kept =
            gone.iter().map(|(task, unit)| Kept { task: *task, unit, result: &result, looked_at: None });
        self.keep_results(running.id, kept).await
    }

    /// What a unit that failed for good leaves: nobody knows what it would have found.
    async fn commit_failure(
        &mut self,
        running: &mut RunningScan,
        record: &TaskRecord,
        unit: &Unit,
        why: String,
    ) -> Result<(), StoreError> {
        let result = UnitResult { undetermined: vec![why], ..UnitResult::default() };
        self.keep_result(running.id, record.id, unit, &result).await
    }

    /// Asks the same of many tasks; those that it does not fit stay as they are.
    pub(crate) async fn command_ids(
        &mut self,
        ids: &[TaskId],
        command: &Command,
    ) -> Result<Commanded, StoreError> {
        let mut commanded = Commanded::default();
        if ids.is_empty() {
            return Ok(commanded);
        }
        let filter = TaskFilter { ids: ids.to_vec(), ..TaskFilter::default() };
        // Which scans they are of is known before they are held: it never changes.
        let scans: std::collections::BTreeSet<ScanId> = self.peek_scans(&filter).await?.into_iter().collect();
        let mut running = BTreeMap::new();
        for scan in scans {
            running.insert(scan, self.hold_scan(scan).await?);
        }
        let held = self.hold_tasks(&filter, ids.len()).await?;
        let (mut changes, mut dead) = (Vec::new(), Dead::default());
        for record in &held {
            let Ok((task, _)) = record.task.apply(command, &record.policy, self.now, dice()) else {
                continue;
            };
            if let Life::Dead { .. } = task.life {
                commanded.died.push(record.id);
            }
            if let Some(running) = record.scan.and_then(|scan| running.get_mut(&scan)) {
                if let (Command::Redrive, Work::Unit(_), Some(why)) =
                    (command, &record.work, running.leaves_dead(self.now))
                {
                    commanded.left.entry(running.id).or_insert(LeftDead { tasks: 0, why }).tasks += 1;
                    continue;
                }
                if let (Work::Unit(unit), Life::Dead { .. }) = (&record.work, &task.life) {
                    let why = task.last_failure.clone().unwrap_or_default();
                    self.commit_failure(running, record, unit, why).await?;
                }
                running.changes(record, &task.life, self.now);
            }
            dead.count_if(record, &task.life);
            changes.push(Change { tenant: record.tenant, id: record.id, before: record.due, task });
        }
        write_changes(self.session, &changes, self.now).await?;
        self.tell_of_dead(dead);
        for running in running.values_mut() {
            self.go_on(running).await?;
        }
        commanded.changed = changes.len() as u64;
        commanded.first = changes.iter().take(TASKS_NAMED).map(|change| change.id).collect();
        Ok(commanded)
    }

    fn tell_of_dead(&mut self, dead: Dead) {
        let Dead { count, packages } = dead;
        if count > 0 {
            self.tell(Happening::TasksDead { count });
        }
        for (task, purl) in packages {
            self.tell(Happening::PackageFailed { task, purl });
        }
    }

    async fn peek_scans(&mut self, filter: &TaskFilter) -> Result<Vec<ScanId>, StoreError> {
        let mut values = vec![self.tenant()];
        values.extend(filter.ids.iter().map(|id| crate::value::Value::from(id.as_uuid())));
        let sql = format!(
            "SELECT DISTINCT scan_id FROM tasks WHERE tenant_id = $1 AND scan_id IS NOT NULL AND task_id IN ({})",
            crate::value::places(2, filter.ids.len())
        );
        self.query(&sql, &values).await?.iter().map(|row| row.word(0)).collect()
    }
}

/// What of some tasks is told that are dead.
#[derive(Default)]
struct Dead {
    count: u64,
    packages: Vec<(TaskId, PackageUrl)>,
}

impl Dead {
    /// That a message is dead is told to nobody: it would be one more for who takes none.
    fn count_if(&mut self, record: &TaskRecord, life: &Life) {
        if !matches!(life, Life::Dead { .. }) || matches!(record.work, Work::Deliver(_)) {
            return;
        }
        self.count += 1;
        if let Work::Package { purl } = &record.work {
            self.packages.push((record.id, purl.clone()));
        }
    }
}

/// What the end of a try means for its task.
fn command(work: &Work, ending: &Ending, lease_number: LeaseNumber) -> Command {
    let fail = |message: String| {
        let failure = TaskFailure { message, retry: Retry::Never };
        Command::Fail { lease_number, failure }
    };
    match (work, ending) {
        // Nobody is to believe that there is a result when there is none.
        (Work::Package { .. }, Ending::Completed | Ending::Unit(_)) => {
            fail("it ended without an analysis of the package".to_owned())
        }
        (Work::Package { .. }, Ending::Package(result)) => match too_large(result) {
            Some(why) => fail(why),
            None => Command::Complete { lease_number },
        },
        (_, Ending::Package(_)) => fail("it ended with an analysis of a package, and is none".to_owned()),
        (_, Ending::Completed | Ending::Unit(_)) => Command::Complete { lease_number },
        (_, Ending::Failed(failure)) => Command::Fail { lease_number, failure: failure.clone() },
        (_, Ending::HandedBack { not_before }) => Command::HandBack { lease_number, not_before: *not_before },
    }
}

impl Store {
    /// Commits how tries ended: one answer for each, in order. What is refused has changed nothing: somebody else has the task by now.
    pub async fn settle(
        &self,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<Result<Settled, Refused>>, StoreError> {
        let mut groups = BTreeMap::<_, Vec<(usize, Settlement)>>::new();
        let total = settlements.len();
        for (place, settlement) in settlements.into_iter().enumerate() {
            let group = (settlement.lease.tenant, settlement.lease.scan);
            groups.entry(group).or_default().push((place, settlement));
        }
        let mut answers: Vec<Option<Result<Settled, Refused>>> = (0..total).map(|_| None).collect();
        for ((tenant, scan), group) in groups {
            let (places, settlements): (Vec<usize>, Vec<Settlement>) = group.into_iter().unzip();
            let kept = self.keep_evidence(&settlements).await?;
            let settlements = settlements.into_iter().zip(kept).collect();
            let settled = self
                .of_tenant(tenant, move |tx| Box::pin(async move { tx.settle(scan, settlements).await }))
                .await?;
            for (place, answer) in places.into_iter().zip(settled) {
                answers[place] = Some(answer);
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }
}
