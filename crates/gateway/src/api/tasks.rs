//! Tasks: the queue as operators look at it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json, extract::State, http::StatusCode};
use jiff::{SignedDuration, Timestamp};
use model::{PackageAnalysis, Permission, ScanId, Stage, TaskId, list::TimeOrder};
use serde::{Deserialize, Serialize};
use store::{TaskFilter, TaskRecord};
use utoipa::{IntoParams, ToSchema};

use super::{
    body::{Body, InPath, InQuery},
    page,
};
use crate::{
    Gateway, News,
    caller::Caller,
    problem::{AboutOne, Anywhere, BringsBody, HasQuery, Kind, Problem},
};

/// Tasks that a request names one by one, at most.
const MOST_NAMED: usize = 1_000;
/// Tasks that one request cancels, brings back or forgets, at most: more go by asking again. Nobody waits long for an answer, and
/// workers are not flooded.
const MOST_AT_ONCE: u64 = 5_000;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TaskState {
    /// It waits for a worker.
    Queued,
    /// A worker is at it.
    Running,
    /// There is a result.
    Completed,
    /// Nobody wanted it any more.
    Cancelled,
    /// It failed for good.
    Dead,
}

impl TaskState {
    fn word(self) -> &'static str {
        match self {
            TaskState::Queued => "queued",
            TaskState::Running => "running",
            TaskState::Completed => "completed",
            TaskState::Cancelled => "cancelled",
            TaskState::Dead => "dead",
        }
    }
}

/// Which tasks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only of this scan.
    scan: Option<ScanId>,
    /// Only of this stage.
    stage: Option<Stage>,
    /// Only those that stand there.
    #[param(inline)]
    state: Option<TaskState>,
    /// Only whose last failure contains this.
    failure: Option<String>,
    /// In which order they are told in which they were asked for.
    #[serde(default)]
    #[param(inline)]
    order: TimeOrder,
    /// How many, at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Only what comes behind that one in that order: `next` of the answer before.
    after: Option<TaskId>,
}

/// Some tasks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tasks {
    /// In the order that was asked for.
    tasks: Vec<TaskRecord>,
    /// There may be more: `after` that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<TaskId>,
}

/// A task, with what it is to whoever asked for it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ShownTask {
    #[serde(flatten)]
    #[schema(value_type = TaskRecord)]
    task: Arc<TaskRecord>,
    /// The analysis of a package, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    analysis: Option<PackageAnalysis>,
}

/// How many tasks there are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TaskTotals {
    /// By stage, and by where they stand.
    stages: BTreeMap<Stage, BTreeMap<String, u64>>,
}

/// Which tasks to do something with: something has to be said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TaskChoice {
    /// These.
    #[serde(default)]
    #[schema(max_items = 1000)]
    tasks: Vec<TaskId>,
    /// Of this scan.
    scan: Option<ScanId>,
    /// Of this stage.
    stage: Option<Stage>,
    /// Whose last failure contains this.
    failure: Option<String>,
    /// All of the tenant.
    #[serde(default)]
    all: bool,
}

impl TaskChoice {
    fn filter(self) -> Result<TaskFilter, Problem> {
        let TaskChoice { tasks: ids, scan, stage, failure, all } = self;
        if ids.len() > MOST_NAMED {
            return Err(Problem::new(Kind::Invalid, format!("tasks names at most {MOST_NAMED}")));
        }
        let filter = TaskFilter { ids, scan, stage, state: None, failure };
        if (filter == TaskFilter::default()) != all {
            let detail = "either some tasks are chosen, by tasks, scan, stage or failure, or all";
            return Err(Problem::new(Kind::Invalid, detail));
        }
        Ok(filter)
    }
}

/// Which ended tasks to forget.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PurgeChoice {
    /// Which: those of scans only with their scan.
    which: TaskChoice,
    /// That ended longer ago than this.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::required")]
    #[schema(value_type = String, pattern = "^P", example = "PT168H")]
    older_than: Duration,
}

/// What became of tasks that were to be cancelled.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CancelledTasks {
    /// So many were reached: those that waited have ended, those at work end when their workers hear of it.
    reached: u64,
    /// There may be more, which are reached when it is asked for again.
    more: bool,
}

/// What became of dead tasks that were to be brought back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RedrivenTasks {
    /// So many wait to be tried again.
    redriven: u64,
    /// There may be more, which are brought back when it is asked for again.
    more: bool,
    /// So many stay dead by scan, as it gives up what is planned.
    left: BTreeMap<ScanId, u64>,
}

/// What became of tasks that were to be forgotten.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PurgedTasks {
    /// So many are.
    purged: u64,
    /// There may be more, which are forgotten when it is asked for again.
    more: bool,
}

/// Lists tasks.
#[utoipa::path(
    get,
    path = "/tasks",
    tag = "tasks",
    operation_id = "list_tasks",
    params(Which),
    responses((status = OK, body = Tasks, description = "some tasks"), Anywhere, HasQuery),
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(which): InQuery<Which>,
) -> Result<Json<Tasks>, Problem> {
    let tenant = caller.may(Permission::TasksRead)?;
    let limit = page::limit(which.limit)?;
    let Which { scan, stage, state, failure, order, limit: _, after } = which;
    let filter = TaskFilter { ids: Vec::new(), scan, stage, state: state.map(TaskState::word), failure };
    let tasks = gateway.store.list_tasks(tenant, filter, order, after, limit).await?;
    let next = page::next(&tasks, limit, |task| task.id);
    Ok(Json(Tasks { tasks, next }))
}

/// Says how many tasks there are.
#[utoipa::path(
    get,
    path = "/tasks/totals",
    tag = "tasks",
    operation_id = "count_tasks",
    responses((status = OK, body = TaskTotals, description = "how many there are"), Anywhere),
)]
pub(super) async fn totals(
    State(gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<TaskTotals>, Problem> {
    let tenant = caller.may(Permission::TasksRead)?;
    let mut stages = BTreeMap::<Stage, BTreeMap<String, u64>>::new();
    for ((stage, state), count) in gateway.store.task_counts(tenant).await? {
        stages.entry(stage).or_default().insert(state, count);
    }
    Ok(Json(TaskTotals { stages }))
}

/// Shows a task, as it was within the last second.
#[utoipa::path(
    get,
    path = "/tasks/{task}",
    tag = "tasks",
    operation_id = "show_task",
    params(("task" = TaskId, Path, description = "which")),
    responses((status = OK, body = ShownTask, description = "as it stands"), Anywhere, AboutOne),
)]
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(task): InPath<TaskId>,
) -> Result<Json<ShownTask>, Problem> {
    let tenant = caller.may(Permission::TasksRead)?;
    let read = async || gateway.together.task(&gateway.store, tenant, task).await;
    let task = gateway.tasks.get(&(tenant, task), Instant::now(), read).await?;
    let analysis = PackageAnalysis::of(&task);
    Ok(Json(ShownTask { task, analysis }))
}

/// Cancels tasks: those that wait end at once, those at work when their workers hear of it.
#[utoipa::path(
    post,
    path = "/tasks/cancel",
    tag = "tasks",
    operation_id = "cancel_tasks",
    request_body = TaskChoice,
    responses((status = ACCEPTED, body = CancelledTasks, description = "how many were reached"), Anywhere, BringsBody),
)]
pub(super) async fn cancel(
    State(gateway): State<Gateway>,
    caller: Caller,
    Body(which): Body<TaskChoice>,
) -> Result<(StatusCode, Json<CancelledTasks>), Problem> {
    let tenant = caller.may(Permission::TasksManage)?;
    let reached = gateway.store.cancel_tasks(tenant, which.filter()?, MOST_AT_ONCE, caller.by()).await?;
    gateway.tasks.forget(|(owner, _), _| *owner == tenant);
    if reached > 0 {
        (gateway.around.tell)(News::Ended);
    }
    Ok((StatusCode::ACCEPTED, Json(CancelledTasks { reached, more: reached == MOST_AT_ONCE })))
}

/// Brings dead tasks back, the oldest first.
#[utoipa::path(
    post,
    path = "/tasks/redrive",
    tag = "tasks",
    operation_id = "redrive_tasks",
    request_body = TaskChoice,
    responses((status = ACCEPTED, body = RedrivenTasks, description = "how many are tried again"), Anywhere, BringsBody),
)]
pub(super) async fn redrive(
    State(gateway): State<Gateway>,
    caller: Caller,
    Body(which): Body<TaskChoice>,
) -> Result<(StatusCode, Json<RedrivenTasks>), Problem> {
    let tenant = caller.may(Permission::TasksManage)?;
    let came = gateway.store.redrive_tasks(tenant, which.filter()?, MOST_AT_ONCE, caller.by()).await?;
    gateway.tasks.forget(|(owner, _), _| *owner == tenant);
    let left = came.left.into_iter().map(|(scan, left)| (scan, left.tasks)).collect();
    Ok((
        StatusCode::ACCEPTED,
        Json(RedrivenTasks { redriven: came.tasks, more: came.tasks == MOST_AT_ONCE, left }),
    ))
}

/// Forgets tasks that have ended.
#[utoipa::path(
    post,
    path = "/tasks/purge",
    tag = "tasks",
    operation_id = "purge_tasks",
    request_body = PurgeChoice,
    responses((status = OK, body = PurgedTasks, description = "how many are forgotten"), Anywhere, BringsBody),
)]
pub(super) async fn purge(
    State(gateway): State<Gateway>,
    caller: Caller,
    Body(asked): Body<PurgeChoice>,
) -> Result<Json<PurgedTasks>, Problem> {
    let tenant = caller.may(Permission::TasksManage)?;
    let too_long = || Problem::new(Kind::Invalid, "older_than is longer than anything is kept");
    let age = SignedDuration::try_from(asked.older_than).map_err(|_| too_long())?;
    let before: Timestamp = gateway.store.clock().await?.checked_sub(age).map_err(|_| too_long())?;
    let which = asked.which.filter()?;
    let purged = gateway.store.purge_tasks(tenant, which, before, MOST_AT_ONCE, caller.by()).await?;
    gateway.tasks.forget(|(owner, _), _| *owner == tenant);
    Ok(Json(PurgedTasks { purged, more: purged == MOST_AT_ONCE }))
}
