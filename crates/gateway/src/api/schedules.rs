//! Schedules: the rules that begin scans.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use model::{Permission, ScheduleId};
use serde::{Deserialize, Serialize};
use store::{NewSchedule, ScheduleChange, ScheduleFilter, ScheduleRecord};
use utoipa::{IntoParams, ToSchema};

use super::{
    body::{Body, InPath, InQuery},
    once::{Made, Once},
    page, scans,
    version::{Versioned, expected},
    words,
};
use crate::{
    Gateway,
    caller::Caller,
    problem::{AboutOne, Anywhere, BringsBody, HasQuery, MayConflict, MayHaveChanged, Problem},
};

/// Which schedules.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only those that begin scans, or only those that do not.
    enabled: Option<bool>,
    /// Only those whose last run began nothing, or only the others.
    refused: Option<bool>,
    /// How many, at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Only those whose names come after that one: `next` of the answer before.
    after: Option<String>,
}

/// Some schedules.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Schedules {
    /// By name.
    schedules: Vec<ScheduleRecord>,
    /// There may be more: `after` that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Lists schedules.
#[utoipa::path(
    get,
    path = "/schedules",
    tag = "schedules",
    operation_id = "list_schedules",
    params(Which),
    responses((status = OK, body = Schedules, description = "some schedules, by name"), Anywhere, HasQuery),
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(which): InQuery<Which>,
) -> Result<Json<Schedules>, Problem> {
    let tenant = caller.may(Permission::SchedulesRead)?;
    let limit = page::limit(which.limit)?;
    let Which { enabled, refused, limit: _, after } = which;
    let filter = ScheduleFilter { enabled, refused, after };
    let schedules = gateway.store.list_schedules(tenant, filter, limit).await?;
    let next = page::next(&schedules, limit, |schedule| schedule.name.clone());
    Ok(Json(Schedules { schedules, next }))
}

/// Shows a schedule: its rule, and how far it has come. Its `ETag` goes into the `If-Match` of who changes it.
#[utoipa::path(
    get,
    path = "/schedules/{schedule}",
    tag = "schedules",
    operation_id = "show_schedule",
    params(("schedule" = ScheduleId, Path, description = "which")),
    responses((status = OK, body = ScheduleRecord, description = "as it stands"), Anywhere, AboutOne),
)]
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(id): InPath<ScheduleId>,
) -> Result<Versioned<ScheduleRecord>, Problem> {
    let tenant = caller.may(Permission::SchedulesRead)?;
    Ok(Versioned(gateway.store.schedule(tenant, id).await?))
}

/// Makes a schedule. It begins its first scan when its rule says so, counted from now.
#[utoipa::path(
    post,
    path = "/schedules",
    tag = "schedules",
    operation_id = "create_schedule",
    params(Once),
    request_body = NewSchedule,
    responses(
        (status = CREATED, body = ScheduleRecord, description = "as it stands", headers(
            ("Location" = String, description = "where it is"),
            ("Idempotency-Replayed" = String, description = "`true` when an earlier request under the same key made it"),
        )),
        Anywhere,
        BringsBody,
        MayConflict,
    ),
)]
pub(super) async fn create(
    State(gateway): State<Gateway>,
    caller: Caller,
    once: Once,
    Body(new): Body<NewSchedule>,
) -> Result<Made<ScheduleRecord>, Problem> {
    let tenant = caller.may(Permission::SchedulesManage)?;
    // What it begins could be asked for by whoever makes it.
    caller.may(Permission::ScansSubmit)?;
    words::name(&new.name)?;
    scans::check(&gateway, &new.targets, &new.request)?;
    let made = gateway.store.create_schedule_once(tenant, new, caller.by(), once.key).await;
    let store::Made { record: body, is_new } = made.map_err(scans::refused)?;
    let place = Some(format!("/api/v1/schedules/{}", body.id));
    Ok(Made { status: StatusCode::CREATED, place, is_new, body })
}

/// Changes a schedule: its rule, what it asks for, of what, and whether it begins scans. With `If-Match`, only when it is as somebody has
/// seen it.
#[utoipa::path(
    patch,
    path = "/schedules/{schedule}",
    tag = "schedules",
    operation_id = "change_schedule",
    params(
        ("schedule" = ScheduleId, Path, description = "which"),
        ("If-Match" = Option<String>, Header, description = "the ETag of the schedule that is to be changed"),
    ),
    request_body = ScheduleChange,
    responses((status = OK, body = ScheduleRecord, description = "as it stands then"), Anywhere, AboutOne, BringsBody, MayHaveChanged),
)]
pub(super) async fn change(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(id): InPath<ScheduleId>,
    headers: HeaderMap,
    Body(change): Body<ScheduleChange>,
) -> Result<Versioned<ScheduleRecord>, Problem> {
    let tenant = caller.may(Permission::SchedulesManage)?;
    let there = gateway.store.schedule(tenant, id).await?;
    let targets = change.targets.as_ref().unwrap_or(&there.targets);
    let request = change.request.as_ref().unwrap_or(&there.request);
    if change != (ScheduleChange { enabled: Some(false), ..ScheduleChange::default() }) {
        // What it begins from then on could be asked for by whoever changes it.
        caller.may(Permission::ScansSubmit)?;
        scans::check(&gateway, targets, request)?;
    }
    let seen = expected(&headers, Some(there.clone()))?.flatten();
    let changed = gateway.store.change_schedule(tenant, id, change, seen, caller.by()).await;
    changed.map(Versioned).map_err(scans::refused)
}

/// Forgets a schedule. The scans that it began stay. With `If-Match`, only when nobody has changed it since.
#[utoipa::path(
    delete,
    path = "/schedules/{schedule}",
    tag = "schedules",
    operation_id = "delete_schedule",
    params(
        ("schedule" = ScheduleId, Path, description = "which"),
        ("If-Match" = Option<String>, Header, description = "the ETag of the schedule that is to be forgotten"),
    ),
    responses((status = NO_CONTENT, description = "it begins nothing any more"), Anywhere, AboutOne, MayHaveChanged),
)]
pub(super) async fn delete(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(id): InPath<ScheduleId>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let tenant = caller.may(Permission::SchedulesManage)?;
    let there = gateway.store.schedule(tenant, id).await?;
    let seen = expected(&headers, Some(there))?.flatten();
    gateway.store.delete_schedule(tenant, id, seen, caller.by()).await?;
    Ok(StatusCode::NO_CONTENT)
}
