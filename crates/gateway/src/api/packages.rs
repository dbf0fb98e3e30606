//! Packages of other people's software: their analyses are tasks.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use model::{PackageAnalysis, PackageUrl, Permission, Priority, Stage, TaskId, package::AnalysisStatus};
use serde::Deserialize;
use store::{AskedAnalysis, NewAnalysis};
use utoipa::ToSchema;

use super::{
    attachment::attachment,
    body::{Body, InPath},
    once::{Made, Once},
};
use crate::{
    Gateway, News,
    caller::Caller,
    problem::{AboutOne, Anywhere, BringsBody, Kind, MayConflict, Problem},
};

/// How long one try may take, in minutes.
const USUALLY: u32 = 30;
const LONGEST: u32 = 240;

/// A package to be analysed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AnalysisRequest {
    /// Which.
    purl: PackageUrl,
    /// How urgent.
    #[serde(default)]
    priority: Priority,
    /// How long one try may take.
    #[schema(minimum = 1, maximum = 240, default = 30)]
    #[serde(default)]
    timeout_minutes: Option<u32>,
}

/// Asks for an analysis of a package. One that is known and no older than a day is answered at once; what somebody of the tenant has
/// asked for already is not done twice. When it would have to be made and nobody is there who does that, it is refused with 503 and the
/// code `no-worker`.
#[utoipa::path(
    post,
    path = "/tasks",
    tag = "packages",
    operation_id = "analyze_package",
    params(Once),
    request_body = AnalysisRequest,
    responses(
        (status = OK, body = PackageAnalysis, description = "there is a result", headers(
            ("Location" = String, description = "the task"),
            ("Idempotency-Replayed" = String, description = "`true` when an earlier request under the same key asked for it"),
        )),
        (status = ACCEPTED, body = PackageAnalysis, description = "there will be one", headers(
            ("Location" = String, description = "the task"),
            ("Idempotency-Replayed" = String, description = "`true` when an earlier request under the same key asked for it"),
        )),
        Anywhere,
        BringsBody,
        MayConflict,
    ),
)]
pub(super) async fn analyze(
    State(gateway): State<Gateway>,
    caller: Caller,
    once: Once,
    Body(asked): Body<AnalysisRequest>,
) -> Result<Made<PackageAnalysis>, Problem> {
    let tenant = caller.may(Permission::PackagesAnalyze)?;
    let minutes = asked.timeout_minutes.unwrap_or(USUALLY);
    if !(1..=LONGEST).contains(&minutes) {
        return Err(Problem::new(Kind::Invalid, format!("timeout_minutes is a number from 1 to {LONGEST}")));
    }
    let deadline = Duration::from_secs(u64::from(minutes) * 60);
    let new = NewAnalysis { purl: asked.purl, priority: asked.priority, deadline };
    let AskedAnalysis { task, is_planned } =
        gateway.store.analyze_package(tenant, new, caller.by(), once.key).await?;
    if is_planned {
        (gateway.around.tell)(News::Planned([(Stage::Package, 1)].into()));
    }
    let store::Made { record, is_new } = task;
    let other = || Problem::new(Kind::Internal, format!("task {} analyses no package", record.id));
    let body = PackageAnalysis::of(&record).ok_or_else(other)?;
    let status = match body.status {
        AnalysisStatus::Completed => StatusCode::OK,
        AnalysisStatus::Queued | AnalysisStatus::Running | AnalysisStatus::Failed => StatusCode::ACCEPTED,
    };
    Ok(Made { status, place: Some(format!("/api/v1/tasks/{}", body.task_id)), is_new, body })
}

/// Downloads what the analysis of a package says.
#[utoipa::path(
    get,
    path = "/tasks/{task}/result",
    tag = "packages",
    operation_id = "download_result",
    params(("task" = TaskId, Path, description = "which analysis")),
    responses(
        (status = OK, body = BTreeMap<String, serde_json::Value>, description = "what it says"),
        Anywhere,
        AboutOne,
        MayConflict,
    ),
)]
pub(super) async fn result(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(task): InPath<TaskId>,
) -> Result<Response, Problem> {
    let tenant = caller.may(Permission::TasksRead)?;
    let (analysis, body) = gateway.store.package_result(tenant, task).await?;
    let Some(body) = body else { return Err(no_result(&analysis)) };
    let mut headers = attachment(&format!("{task}.json"))?;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok((headers, Bytes::from(body)).into_response())
}

fn no_result(analysis: &PackageAnalysis) -> Problem {
    let PackageAnalysis { task_id, purl, status, failure, .. } = analysis;
    let (detail, hint) = match status {
        AnalysisStatus::Queued | AnalysisStatus::Running | AnalysisStatus::Completed => (
            format!("the analysis of {purl} has no result yet"),
            "ask for the task until its analysis is completed",
        ),
        AnalysisStatus::Failed => {
            let why = failure.as_deref().unwrap_or("nobody knows why");
            (
                format!("the analysis {task_id} of {purl} failed: {why}"),
                "POST /api/v1/tasks asks for another one",
            )
        }
    };
    Problem::new(Kind::Conflict, detail).hint(hint)
}
