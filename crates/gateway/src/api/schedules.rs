//! Schedules: the rules that begin scans.

use axum::{Json, extract::State, http::StatusCode};
use model::{Permission, ScheduleId, TenantId};
use serde::{Deserialize, Serialize};
use store::{NewSchedule, ScheduleRecord, StoreError};
use utoipa::ToSchema;

use super::{
    body::{Body, InPath},
    once::{Made, Once},
    scans, words,
};
use crate::{
    Gateway,
    caller::Caller,
    problem::{AboutOne, Anywhere, BringsBody, MayConflict, Problem},
};

/// Every schedule of the tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Schedules {
    /// By name.
    schedules: Vec<ScheduleRecord>,
}

/// What of a schedule is to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleChange {
    /// Whether it begins scans. What was missed until then is not caught up on.
    enabled: bool,
}

async fn known(gateway: &Gateway, tenant: TenantId, id: ScheduleId) -> Result<ScheduleRecord, Problem> {
    let schedules = gateway.store.schedules(tenant).await?;
    let missing = || StoreError::Missing { kind: "schedule", name: id.to_string() }.into();
    schedules.into_iter().find(|schedule| schedule.id == id).ok_or_else(missing)
}

/// Lists schedules.
#[utoipa::path(
    get,
    path = "/schedules",
    tag = "schedules",
    operation_id = "list_schedules",
    responses((status = OK, body = Schedules, description = "every schedule, by name"), Anywhere),
)]
pub(super) async fn list(State(gateway): State<Gateway>, caller: Caller) -> Result<Json<Schedules>, Problem> {
    let tenant = caller.may(Permission::SchedulesRead)?;
    Ok(Json(Schedules { schedules: gateway.store.schedules(tenant).await? }))
}

/// Shows a schedule: its rule, and how far it has come.
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
) -> Result<Json<ScheduleRecord>, Problem> {
    let tenant = caller.may(Permission::SchedulesRead)?;
    known(&gateway, tenant, id).await.map(Json)
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

/// Changes a schedule: whether it begins scans.
#[utoipa::path(
    patch,
    path = "/schedules/{schedule}",
    tag = "schedules",
    operation_id = "change_schedule",
    params(("schedule" = ScheduleId, Path, description = "which")),
    request_body = ScheduleChange,
    responses((status = OK, body = ScheduleRecord, description = "as it stands then"), Anywhere, AboutOne, BringsBody),
)]
pub(super) async fn change(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(id): InPath<ScheduleId>,
    Body(change): Body<ScheduleChange>,
) -> Result<Json<ScheduleRecord>, Problem> {
    let tenant = caller.may(Permission::SchedulesManage)?;
    gateway.store.enable_schedule(tenant, id, change.enabled, caller.by()).await?;
    known(&gateway, tenant, id).await.map(Json)
}

/// Forgets a schedule. The scans that it began stay.
#[utoipa::path(
    delete,
    path = "/schedules/{schedule}",
    tag = "schedules",
    operation_id = "delete_schedule",
    params(("schedule" = ScheduleId, Path, description = "which")),
    responses((status = NO_CONTENT, description = "it begins nothing any more"), Anywhere, AboutOne),
)]
pub(super) async fn delete(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(id): InPath<ScheduleId>,
) -> Result<StatusCode, Problem> {
    let tenant = caller.may(Permission::SchedulesManage)?;
    gateway.store.delete_schedule(tenant, id, caller.by()).await?;
    Ok(StatusCode::NO_CONTENT)
}
