//! Tenants, for people and programs of the one that runs the platform. To all others there is none but their own
//! ([`tenant`](super::tenant)).

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use model::{Permission, Role, TenantId, Token, UserName};
use serde::{Deserialize, Serialize};
use store::{FirstPassword, NewTenant, NewUser, TenantChange, TenantRecord};
use utoipa::ToSchema;

use super::{
    body::{Body, InPath, InQuery},
    once::{Made, Once},
    page::{self, ByName},
    users::InvitedUser,
    version::{Versioned, expected},
    words,
};
use crate::{
    Gateway,
    caller::{Caller, Caretaker},
    problem::{AboutOne, Anywhere, BringsBody, HasQuery, Kind, MayConflict, MayHaveChanged, Problem},
};

/// Some tenants.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tenants {
    /// By name.
    tenants: Vec<TenantRecord>,
    /// There may be more: `after` that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A tenant to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantRequest {
    /// What it is called: nobody else is.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// Its share against the others'; 1 without.
    #[schema(minimum = 1, maximum = 1000)]
    #[serde(default)]
    weight: Option<u32>,
    /// Not more tasks than these at work at once; 10,000 without.
    #[schema(minimum = 1, maximum = 1_000_000)]
    #[serde(default)]
    most_in_flight: Option<u64>,
    /// Who is invited as its owner; nobody without.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 254, pattern = r"^[!-~]+$")]
    owner: Option<UserName>,
}

/// A tenant that was made now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MadeTenant {
    #[serde(flatten)]
    tenant: TenantRecord,
    /// Its owner, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<InvitedUser>,
}

/// What tenants may take.
fn require_within(change: TenantChange) -> Result<TenantChange, Problem> {
    let TenantChange { weight, most_in_flight } = change;
    if !weight.is_none_or(|weight| (1..=1_000).contains(&weight)) {
        return Err(Problem::new(Kind::Invalid, "weight is a number from 1 to 1000"));
    }
    if !most_in_flight.is_none_or(|most| (1..=1_000_000).contains(&most)) {
        return Err(Problem::new(Kind::Invalid, "most_in_flight is a number from 1 to 1000000"));
    }
    Ok(change)
}

/// Lists tenants.
#[utoipa::path(
    get,
    path = "/tenants",
    tag = "tenants",
    operation_id = "list_tenants",
    params(ByName),
    responses((status = OK, body = Tenants, description = "some tenants, by name"), Anywhere, HasQuery),
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(which): InQuery<ByName>,
) -> Result<Json<Tenants>, Problem> {
    caller.may_to_all(&gateway, Permission::TenantsRead).await?;
    let limit = page::limit(which.limit)?;
    let tenants = gateway.store.tenants_after(which.after, limit).await?;
    let next = page::next(&tenants, limit, |tenant| tenant.name.clone());
    Ok(Json(Tenants { tenants, next }))
}

/// Shows a tenant. Its `ETag` goes into the `If-Match` of who changes it.
#[utoipa::path(
    get,
    path = "/tenants/{tenant}",
    tag = "tenants",
    operation_id = "show_one_tenant",
    params(("tenant" = TenantId, Path, description = "which")),
    responses((status = OK, body = TenantRecord, description = "as it is"), Anywhere, AboutOne),
)]
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(tenant): InPath<TenantId>,
) -> Result<Versioned<TenantRecord>, Problem> {
    caller.may_to_all(&gateway, Permission::TenantsRead).await?;
    Ok(Versioned(gateway.store.tenant(tenant).await?))
}

/// Makes a tenant, and invites its owner. It may touch nothing until its owner gives it a scope.
#[utoipa::path(
    post,
    path = "/tenants",
    tag = "tenants",
    operation_id = "create_tenant",
    params(Once),
    request_body = TenantRequest,
    responses(
        (status = CREATED, body = MadeTenant, description = "the tenant", headers(
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
    Body(asked): Body<TenantRequest>,
) -> Result<Made<MadeTenant>, Problem> {
    let caller = caller.anew(&gateway).await?;
    let Caretaker { tenant: own, by } = caller.may_to_all(&gateway, Permission::TenantsManage).await?;
    let TenantRequest { name, weight, most_in_flight, owner } = asked;
    words::name(&name)?;
    let TenantChange { weight, most_in_flight } = require_within(TenantChange { weight, most_in_flight })?;
    if owner.is_some() {
        caller.may_let_in()?;
    }
    let usual = NewTenant::named(&name);
    let new = NewTenant {
        weight: weight.unwrap_or(usual.weight),
        most_in_flight: most_in_flight.unwrap_or(usual.most_in_flight),
        ..usual
    };
    let (key, store) = (once.key, &gateway.store);
    let made = store.create_tenant_once(new, owner.as_ref(), own, by.clone(), key.clone()).await?;
    let store::Made { record: tenant, is_new } = made;
    let owner = match owner {
        // Where an earlier request broke off in between, the same key goes on from there.
        Some(name) => {
            let invitation = Token::from_random(rand::random());
            let first = FirstPassword::Invited(invitation.clone());
            let new = NewUser { name, role: Role::Owner };
            let made = store.create_user_once(tenant.id, new, first, by, key).await?;
            Some(InvitedUser::of(made, &invitation))
        }
        None => None,
    };
    let place = Some(format!("/api/v1/tenants/{}", tenant.id));
    Ok(Made { status: StatusCode::CREATED, place, is_new, body: MadeTenant { tenant, owner } })
}

/// Says what a tenant may take. With `If-Match`, only when nobody has changed it since.
#[utoipa::path(
    patch,
    path = "/tenants/{tenant}",
    tag = "tenants",
    operation_id = "change_tenant",
    params(
        ("tenant" = TenantId, Path, description = "which"),
        ("If-Match" = Option<String>, Header, description = "the ETag of the tenant that is to be changed"),
    ),
    request_body = TenantChange,
    responses((status = OK, body = TenantRecord, description = "as it is then"), Anywhere, AboutOne, BringsBody, MayHaveChanged),
)]
pub(super) async fn change(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(tenant): InPath<TenantId>,
    headers: HeaderMap,
    Body(change): Body<TenantChange>,
) -> Result<Versioned<TenantRecord>, Problem> {
    let Caretaker { tenant: own, by } = caller.may_to_all(&gateway, Permission::TenantsManage).await?;
    let change = require_within(change)?;
    let there = gateway.store.tenant(tenant).await?;
    let seen = expected(&headers, Some(there))?.flatten();
    let changed = gateway.store.set_tenant(tenant, change, seen, Some(own), by).await?;
    Ok(Versioned(changed))
}
