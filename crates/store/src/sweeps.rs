//! Many tasks at once: cancelling, redriving and purging them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{By, Happening, ScanId, TaskId, TenantId, scan::ScanEnd, task::Command};

use crate::{Store, StoreError, audit::Act, list::Question, session::TenantTx, tasks::TaskFilter};

/// So many are looked at in one transaction that are to be cancelled or brought back.
const SWEPT_AT_ONCE: usize = 1_000;
/// So many are purged in one transaction.
const PURGED_AT_ONCE: u64 = 5_000;

/// What came of bringing dead tasks back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redriven {
    /// So many wait to be tried again.
    pub tasks: u64,
    /// Units of scans that give up what is planned: they stay dead.
    pub left: BTreeMap<ScanId, LeftDead>,
}

/// Units of one scan that nobody can bring back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftDead {
    /// So many.
    pub tasks: u64,
    /// Why they would be cancelled at once.
    pub why: ScanEnd,
}

impl Redriven {
    /// Both.
    pub fn add(&mut self, other: Redriven) {
        self.tasks += other.tasks;
        for (scan, left) in other.left {
            self.left.entry(scan).or_insert(LeftDead { tasks: 0, why: left.why }).tasks += left.tasks;
        }
    }
}

impl TenantTx<'_> {
    /// The oldest that are meant, behind that one; without those that are on their way to what is wanted.
    async fn sweepable(
        &mut self,
        sweep: Sweep,
        filter: &TaskFilter,
        after: Option<TaskId>,
    ) -> Result<Vec<TaskId>, StoreError> {
        let mut wanted = filter.question(self.tenant());
        if sweep == Sweep::Cancel {
            wanted.also("NOT cancelling");
        }
        wanted.with_any("task_id > #", after.map(|task| task.as_uuid()));
        let Question { condition, values } = wanted;
        let sql =
            format!("SELECT task_id FROM tasks WHERE {condition} ORDER BY task_id LIMIT {SWEPT_AT_ONCE}");
        self.query(&sql, &values).await?.iter().map(|row| Ok(TaskId::new(row.id(0)?))).collect()
    }

    async fn purge_tasks(
        &mut self,
        filter: &TaskFilter,
        ended_before: Timestamp,
        at_most: u64,
        by: &By,
    ) -> Result<u64, StoreError> {
        let mut wanted = filter.question(self.tenant());
        wanted.also("state IN ('completed', 'cancelled', 'dead')");
        wanted.with("ended_at < #", ended_before);
        let Question { condition, values } = wanted;
        let sql = format!(
            "DELETE FROM tasks WHERE tenant_id = $1 AND task_id IN \
             (SELECT task_id FROM tasks WHERE {condition} LIMIT {at_most})"
        );
        let purged = self.execute(&sql, &values).await?;
        if purged > 0 {
            let which = [filter_words(filter), format!("ended before {ended_before}")];
            let which: Vec<String> = which.into_iter().filter(|words| !words.is_empty()).collect();
            let act = Act::new(by, "task.purge", format!("{purged} tasks"));
            self.audit(act.detail(which.join(", ")));
        }
        let expired = "DELETE FROM task_keys WHERE tenant_id = $1 AND expires_at <= $2";
        self.execute(expired, &[self.tenant(), self.now.into()]).await?;
        Ok(purged)
    }
}

impl Store {
    /// Nobody wants them any more, at most so many of them: what waits is gone at once, the workers of what is at work hear of it at
    /// their next look. How many that were.
    pub async fn cancel_tasks(
        &self,
        tenant: TenantId,
        filter: TaskFilter,
        at_most: u64,
        by: impl Into<By>,
    ) -> Result<u64, StoreError> {
        let by = by.into();
        let states = ["queued", "running"].to_vec();
        let reached = self.command_all(tenant, filter, states, Sweep::Cancel, at_most, by).await?;
        Ok(reached.tasks)
    }

    /// Dead tasks are tried again, from the beginning: at most so many of them. Units of a scan that was cancelled, whose time is
    /// up or whose budget is spent stay dead.
    pub async fn redrive_tasks(
        &self,
        tenant: TenantId,
        filter: TaskFilter,
        at_most: u64,
        by: impl Into<By>,
    ) -> Result<Redriven, StoreError> {
        let by = by.into();
        self.command_all(tenant, filter, vec!["dead"], Sweep::Redrive, at_most, by).await
    }

    async fn command_all(
        &self,
        tenant: TenantId,
        filter: TaskFilter,
        states: Vec<&'static str>,
        sweep: Sweep,
        at_most: u64,
        by: impl Into<By>,
    ) -> Result<Redriven, StoreError> {
        let by = by.into();
        let mut total = Redriven::default();
        for state in states.iter().filter(|state| filter.state.is_none_or(|wanted| wanted == **state)) {
            let mut after = None;
            while total.tasks < at_most {
                let filter = TaskFilter { state: Some(state), ..filter.clone() };
                let by = by.clone();
                let limit = usize::try_from(at_most - total.tasks).unwrap_or(usize::MAX);
                let (read, commanded, last) = self
                    .of_tenant(tenant, move |tx| {
                        Box::pin(async move {
                            let mut ids = tx.sweepable(sweep, &filter, after).await?;
                            let read = ids.len();
                            ids.truncate(limit);
                            let last = ids.last().copied();
                            let commanded = tx.command_ids(&ids, &sweep.command()).await?;
                            if commanded.changed > 0 {
                                let subject = format!("{} tasks", commanded.changed);
                                let act = Act::new(&by, sweep.word(), subject);
                                // Those that changed, and not those that were asked for.
                                let named = TaskFilter { ids: commanded.first.clone(), ..filter };
                                tx.audit(act.detail(filter_words(&named)));
                                let count = commanded.changed;
                                tx.tell(sweep.happening(count));
                            }
                            Ok((read, commanded, last))
                        })
                    })
                    .await?;
                total.add(Redriven { tasks: commanded.changed, left: commanded.left });
                after = last;
                if read < SWEPT_AT_ONCE {
                    break;
                }
            }
        }
        Ok(total)
    }

    /// Forgets tasks that have ended before a time, at most so many of them, and keys that nobody remembers any more. How many
    /// tasks that were.
    pub async fn purge_tasks(
        &self,
        tenant: TenantId,
        filter: TaskFilter,
        ended_before: Timestamp,
        at_most: u64,
        by: impl Into<By>,
    ) -> Result<u64, StoreError> {
        let by = by.into();
        let mut all = 0;
        // However many there are, nobody waits behind one statement, and what is done is done when somebody stops in between.
        loop {
            let (filter, by, limit) =
                (filter.clone(), by.clone(), PURGED_AT_ONCE.min(at_most.saturating_sub(all)));
            let purging = self.of_tenant(tenant, move |tx| {
                Box::pin(async move { tx.purge_tasks(&filter, ended_before, limit, &by).await })
            });
            let purged = purging.await?;
            all += purged;
            if purged < limit || all >= at_most {
                return Ok(all);
            }
        }
    }
}

/// What a person wants of many tasks at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sweep {
    Cancel,
    Redrive,
}

impl Sweep {
    fn command(self) -> Command {
        match self {
            Sweep::Cancel => Command::Cancel,
            Sweep::Redrive => Command::Redrive,
        }
    }

    /// The action in the audit.
    fn word(self) -> &'static str {
        match self {
            Sweep::Cancel => "task.cancel",
            Sweep::Redrive => "task.redrive",
        }
    }

    fn happening(self, count: u64) -> Happening {
        match self {
            Sweep::Cancel => Happening::TasksCancelled { count },
            Sweep::Redrive => Happening::TasksRedriven { count },
        }
    }
}

/// Tasks that one entry of the audit names.
pub(crate) const TASKS_NAMED: usize = 10;

fn filter_words(filter: &TaskFilter) -> String {
    let mut words: Vec<String> = filter.ids.iter().take(TASKS_NAMED).map(ToString::to_string).collect();
    words.extend(filter.scan.map(|scan| format!("scan {scan}")));
    words.extend(filter.stage.map(|stage| format!("stage {stage}")));
    words.extend(filter.state.map(|state| format!("state {state}")));
    words.extend(filter.failure.as_ref().map(|failure| format!("failure `{failure}`")));
    words.join(", ")
}
