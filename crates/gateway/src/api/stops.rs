//! The emergency stop, as far as a tenant reaches: all of it, or one scan.

use axum::{Json, extract::State, http::StatusCode};
use model::{Authority, Permission, Reach, ScanId, Stop, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    body::Body,
    once::{Made, Once},
    words,
};
use crate::{
    Gateway, News,
    caller::Caller,
    problem::{AboutOne, Anywhere, BringsBody, MayConflict, Problem},
};

/// What is stopped.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stops {
    /// Every stop that concerns the tenant.
    stops: Vec<Stop>,
}

/// What to stop, or to let go on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StopOrder {
    /// Only this scan; everything of the tenant without one.
    scan: Option<ScanId>,
    /// Why.
    #[schema(min_length = 1, max_length = 4096)]
    reason: String,
}

impl StopOrder {
    async fn reach(&self, gateway: &Gateway, tenant: TenantId) -> Result<Reach, Problem> {
        let Some(scan) = self.scan else { return Ok(Reach::Tenant { tenant }) };
        gateway.store.scan(tenant, scan).await?;
        Ok(Reach::Scan { tenant, scan })
    }
}

/// Lists what is stopped.
#[utoipa::path(
    get,
    path = "/stops",
    tag = "emergency stop",
    operation_id = "list_stops",
    responses((status = OK, body = Stops, description = "every stop that concerns the tenant"), Anywhere),
)]
pub(super) async fn list(State(gateway): State<Gateway>, caller: Caller) -> Result<Json<Stops>, Problem> {
    let tenant = caller.may(Permission::StopsRead)?;
    let concerns = |reach: &Reach| match reach {
        Reach::Everything | Reach::Stage { .. } => true,
        Reach::Tenant { tenant: whose } | Reach::Scan { tenant: whose, .. } => *whose == tenant,
    };
    let mut stops = gateway.store.stops().await?;
    stops.retain(|stop| concerns(&stop.reach));
    Ok(Json(Stops { stops }))
}

/// Stops everything of the tenant, or one scan: nothing is sent for it two seconds later. It holds until a person lifts it.
#[utoipa::path(
    post,
    path = "/stops",
    tag = "emergency stop",
    operation_id = "order_stop",
    params(Once),
    request_body = StopOrder,
    responses(
        (status = CREATED, body = Stop, description = "it holds", headers(
            ("Idempotency-Replayed" = String, description = "`true` when an earlier request under the same key made it"),
        )),
        Anywhere,
        AboutOne,
        BringsBody,
        MayConflict,
    ),
)]
pub(super) async fn order(
    State(gateway): State<Gateway>,
    caller: Caller,
    once: Once,
    Body(order): Body<StopOrder>,
) -> Result<Made<Stop>, Problem> {
    let tenant = caller.may(Permission::StopsOrder)?;
    let (reason, reach) = (words::reason(&order.reason)?, order.reach(&gateway, tenant).await?);
    let (authority, by) = (Authority::Tenant, caller.by());
    let store::Made { record: body, is_new } =
        gateway.store.order_stop_once(authority, reach, reason, by, once.key).await?;
    (gateway.around.tell)(News::Ended);
    Ok(Made { status: StatusCode::CREATED, place: None, is_new, body })
}

/// Lifts what was stopped in the same way, as far as the tenant ordered it: work goes on unless something else stops it.
#[utoipa::path(
    post,
    path = "/stops/lift",
    tag = "emergency stop",
    operation_id = "lift_stops",
    request_body = StopOrder,
    responses((status = OK, body = Stops, description = "what was lifted; nothing if nothing was stopped so"), Anywhere, AboutOne, BringsBody),
)]
pub(super) async fn lift(
    State(gateway): State<Gateway>,
    caller: Caller,
    Body(order): Body<StopOrder>,
) -> Result<Json<Stops>, Problem> {
    let tenant = caller.may(Permission::StopsLift)?;
    let (reason, reach) = (words::reason(&order.reason)?, order.reach(&gateway, tenant).await?);
    let held = gateway.store.stops().await?.into_iter().filter(|stop| stop.reach == reach);
    if held.into_iter().map(|stop| stop.authority).eq([Authority::Installation]) {
        let detail = "who runs the installation ordered this stop, and nobody else lifts it";
        return Err(caller.refuse(detail.to_owned()));
    }
    let stops = gateway.store.lift_stops(Authority::Tenant, Some(reach), reason, caller.by()).await?;
    (gateway.around.tell)(News::Ended);
    Ok(Json(Stops { stops }))
}
