//! The emergency stop, as far as a tenant reaches: all of it, or one scan. Who runs the platform reaches everything.

use axum::{Json, extract::State, http::StatusCode};
use model::{Authority, By, Permission, Reach, ScanId, Stage, Stop, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    body::{Body, InQuery},
    once::{Made, Once},
    words,
};
use crate::{
    Gateway, News,
    caller::{Caller, Caretaker},
    problem::{AboutOne, Anywhere, BringsBody, HasQuery, Kind, MayConflict, Problem},
};

/// What is stopped.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stops {
    /// In the order in which they were ordered.
    stops: Vec<Stop>,
}

/// Which stops.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Of all tenants, for people and programs of the one that runs the platform.
    #[serde(default)]
    all: bool,
}

/// What to stop, or to let go on: everything of the tenant, unless something is named. Only people and programs of the tenant that runs
/// the platform, who manage tenants, may name a tenant, a stage or everything: then it is in the name of who runs the installation. No
/// other tenant lifts that, and with it nothing is lifted that a tenant has ordered itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StopOrder {
    /// Only this scan.
    scan: Option<ScanId>,
    /// Only what is this tenant's.
    tenant: Option<TenantId>,
    /// Only this stage.
    stage: Option<Stage>,
    /// Everything of everybody.
    #[serde(default)]
    everything: bool,
    /// Why.
    #[schema(min_length = 1, max_length = 4096)]
    reason: String,
}

/// Somebody's order.
struct Order {
    authority: Authority,
    reach: Reach,
    by: By,
    /// To which tenant they belong.
    of: TenantId,
}

impl StopOrder {
    /// How far it reaches and in whose name, for who may do that.
    async fn of(&self, gateway: &Gateway, caller: &Caller, permission: Permission) -> Result<Order, Problem> {
        let of = caller.may(permission)?;
        let beyond = match (self.scan, self.tenant, self.stage, self.everything) {
            (None, None, None, false) => {
                let reach = Reach::Tenant { tenant: of };
                return Ok(Order { authority: Authority::Tenant, reach, by: caller.by(), of });
            }
            (Some(scan), None, None, false) => {
                gateway.store.scan(of, scan).await?;
                let reach = Reach::Scan { tenant: of, scan };
                return Ok(Order { authority: Authority::Tenant, reach, by: caller.by(), of });
            }
            (None, Some(tenant), None, false) => Reach::Tenant { tenant },
            (None, None, Some(stage), false) => Reach::Stage { stage },
            (None, None, None, true) => Reach::Everything,
            _ => {
                let detail = "at most one of scan, tenant, stage and everything is named";
                return Err(Problem::new(Kind::Invalid, detail));
            }
        };
        // Whoever may stop their own tenant was not asked to look after all others.
        let Caretaker { tenant: of, by } = caller.may_to_all(gateway, Permission::TenantsManage).await?;
        if let Reach::Tenant { tenant } = beyond {
            gateway.store.tenant(tenant).await?;
        }
        Ok(Order { authority: Authority::Installation, reach: beyond, by, of })
    }
}

/// Lists what is stopped.
#[utoipa::path(
    get,
    path = "/stops",
    tag = "emergency stop",
    operation_id = "list_stops",
    params(Which),
    responses((status = OK, body = Stops, description = "every stop that concerns the tenant, or every one"), Anywhere, HasQuery),
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(Which { all }): InQuery<Which>,
) -> Result<Json<Stops>, Problem> {
    let tenant = caller.may(Permission::StopsRead)?;
    if all {
        caller.may_to_all(&gateway, Permission::TenantsRead).await?;
    }
    let concerns = |reach: &Reach| match reach {
        Reach::Everything | Reach::Stage { .. } => true,
        Reach::Tenant { tenant: whose } | Reach::Scan { tenant: whose, .. } => *whose == tenant,
    };
    let mut stops = gateway.store.stops().await?;
    stops.retain(|stop| all || concerns(&stop.reach));
    Ok(Json(Stops { stops }))
}

/// Stops everything of the tenant, or one scan, or what else who runs the platform names: nothing is sent for it two seconds later. It holds until a person lifts it.
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
    let Order { authority, reach, by, of } = order.of(&gateway, &caller, Permission::StopsOrder).await?;
    let reason = words::reason(&order.reason)?;
    let store::Made { record: body, is_new } =
        gateway.store.order_stop_once(authority, reach, reason, by, Some(of), once.key).await?;
    (gateway.around.tell)(News::Ended);
    Ok(Made { status: StatusCode::CREATED, place: None, is_new, body })
}

/// Lifts what was stopped in the same way and in the same name: work goes on unless something else stops it.
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
    let Order { authority, reach, by, of } = order.of(&gateway, &caller, Permission::StopsLift).await?;
    let reason = words::reason(&order.reason)?;
    let held = gateway.store.stops().await?.into_iter().filter(|stop| stop.reach == reach);
    if authority == Authority::Tenant
        && held.into_iter().map(|stop| stop.authority).eq([Authority::Installation])
    {
        let detail = "who runs the installation ordered this stop, and nobody else lifts it";
        return Err(caller.refuse(detail.to_owned()));
    }
    let stops = gateway.store.lift_stops(authority, Some(reach), reason, by, Some(of)).await?;
    (gateway.around.tell)(News::Ended);
    Ok(Json(Stops { stops }))
}
