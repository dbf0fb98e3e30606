//! Tasks.

use std::{collections::BTreeMap, time::Duration};

use model::{ScanId, Stage, TaskId, list::TimeOrder, record::TaskRecord};
use serde::{Deserialize, Serialize};

use crate::{Client, ClientError, Page};

/// Which tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskQuery {
    /// Only of this scan.
    pub scan: Option<ScanId>,
    /// Only of this stage.
    pub stage: Option<Stage>,
    /// Only those that stand there: `queued`, `running`, `completed`, `cancelled` or `dead`.
    pub state: Option<&'static str>,
    /// Only whose last failure contains this.
    pub failure: Option<String>,
    /// How many, at most; as many as the server usually gives without.
    pub limit: Option<usize>,
    /// In which order.
    pub order: TimeOrder,
    /// Only what comes behind that one in that order.
    pub after: Option<TaskId>,
}

/// Which tasks to do something with: something has to be said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TaskChoice {
    /// These.
    pub tasks: Vec<TaskId>,
    /// Of this scan.
    pub scan: Option<ScanId>,
    /// Of this stage.
    pub stage: Option<Stage>,
    /// Whose last failure contains this.
    pub failure: Option<String>,
    /// All of the tenant.
    pub all: bool,
}

/// How many tasks there are, by stage and by where they stand.
pub type TaskTotals = BTreeMap<Stage, BTreeMap<String, u64>>;

/// What became of dead tasks that were to be brought back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct RedrivenTasks {
    /// So many wait to be tried again.
    pub redriven: u64,
    /// There may be more, which are brought back when it is asked for again.
    pub more: bool,
    /// So many stay dead by scan, as it gives up what is planned.
    pub left: BTreeMap<ScanId, u64>,
}

#[derive(Deserialize)]
struct Tasks {
    tasks: Vec<TaskRecord>,
    next: Option<TaskId>,
}

#[derive(Deserialize)]
struct Totals {
    stages: TaskTotals,
}

/// What became of tasks that were to be cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CancelledTasks {
    /// So many were reached: those that waited have ended, those at work end when their workers hear of it.
    pub reached: u64,
    /// There may be more, which are reached when it is asked for again.
    pub more: bool,
}

/// What became of tasks that were to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PurgedTasks {
    /// So many are.
    pub purged: u64,
    /// There may be more, which are forgotten when it is asked for again.
    pub more: bool,
}

#[derive(Serialize)]
struct Purge<'p> {
    which: &'p TaskChoice,
    #[serde(with = "jiff::fmt::serde::unsigned_duration::required")]
    older_than: Duration,
}

impl Client {
    /// Tasks.
    pub async fn tasks(&self, query: &TaskQuery) -> Result<Page<TaskRecord, TaskId>, ClientError> {
        let request = self
            .get(&["tasks"])
            .query_if("scan", query.scan)
            .query_if("stage", query.stage)
            .query_if("state", query.state)
            .query_if("failure", query.failure.as_ref())
            .query("order", query.order)
            .query_if("limit", query.limit)
            .query_if("after", query.after);
        request.answer().await.map(|Tasks { tasks, next }| Page { items: tasks, next })
    }

    /// A task, as it was within the last second.
    pub async fn task(&self, id: TaskId) -> Result<TaskRecord, ClientError> {
        self.get(&["tasks", &id.to_string()]).answer().await
    }

    /// How many tasks there are.
    pub async fn task_totals(&self) -> Result<TaskTotals, ClientError> {
        self.get(&["tasks", "totals"]).answer().await.map(|Totals { stages }| stages)
    }

    /// Cancels tasks, as many as the server does at once: those that wait end at once, those at work when their workers hear of it.
    pub async fn cancel_tasks(&self, which: &TaskChoice) -> Result<CancelledTasks, ClientError> {
        self.post(&["tasks", "cancel"]).body(which).answer().await
    }

    /// Brings dead tasks back, the oldest first, as many as the server does at once.
    pub async fn redrive_tasks(&self, which: &TaskChoice) -> Result<RedrivenTasks, ClientError> {
        self.post(&["tasks", "redrive"]).body(which).answer().await
    }

    /// Forgets tasks that ended longer ago than that, as many as the server does at once.
    pub async fn purge_tasks(
        &self,
        which: &TaskChoice,
        older_than: Duration,
    ) -> Result<PurgedTasks, ClientError> {
        let purge = Purge { which, older_than };
        self.post(&["tasks", "purge"]).body(&purge).answer().await
    }
}
