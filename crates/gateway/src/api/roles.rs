//! Roles: those that every tenant has, and those that the tenant has made.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use model::{Access, Permission, Role, RoleName, TenantId, access::require_useful};
use serde::{Deserialize, Serialize};
use store::{NewRole, RoleRecord};
use utoipa::ToSchema;

use super::{
    body::{Body, InPath},
    once::{Made, Once},
    version::{Versioned, expected},
};
use crate::{
    Gateway,
    caller::Caller,
    problem::{AboutOne, Anywhere, BringsBody, Kind, MayConflict, MayHaveChanged, Problem},
};

/// Every role, and every permission that there is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Roles {
    /// Those that are built in, then those that the tenant has made, by name.
    roles: Vec<RoleRecord>,
    /// Of which roles are made.
    permissions: &'static [Permission],
}

/// What is to be another way.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleChange {
    /// What whoever has it may do from now on, and nothing else.
    #[schema(value_type = Vec<Permission>, min_items = 1)]
    permissions: BTreeSet<Permission>,
}

/// One that the tenant has made, and of which whoever asks may do everything themselves.
async fn own(
    gateway: &Gateway,
    caller: &Caller,
    role: &Role,
) -> Result<(TenantId, RoleName, RoleRecord), Problem> {
    let tenant = caller.may(Permission::RolesManage)?;
    let Err(name) = role.built_in() else {
        let detail = format!("the role `{role}` is built in, and stays as it is");
        return Err(Problem::new(Kind::Conflict, detail).hint("make one of another name: POST /api/v1/roles"));
    };
    let there = gateway.store.role(tenant, role.clone()).await?;
    caller.may_give(&there.clone().into())?;
    Ok((tenant, name.clone(), there))
}

/// Nobody makes a role that may do more than they may themselves.
fn require_within(
    caller: &Caller,
    role: &RoleName,
    permissions: &BTreeSet<Permission>,
) -> Result<(), Problem> {
    require_useful(permissions).map_err(|error| Problem::new(Kind::Invalid, error.to_string()))?;
    let (role, permissions) = (Role::Custom(role.clone()), permissions.clone());
    caller.may_give(&Access { role, permissions, unknown: BTreeSet::new() })
}

/// Lists roles, and what whoever has them may do.
#[utoipa::path(
    get,
    path = "/roles",
    tag = "roles",
    operation_id = "list_roles",
    responses((status = OK, body = Roles, description = "every role"), Anywhere),
)]
pub(super) async fn list(State(gateway): State<Gateway>, caller: Caller) -> Result<Json<Roles>, Problem> {
    let tenant = caller.may(Permission::RolesRead)?;
    Ok(Json(Roles { roles: gateway.store.roles(tenant).await?, permissions: Permission::ALL }))
}

/// Shows a role. Its `ETag` goes into the `If-Match` of who changes it.
#[utoipa::path(
    get,
    path = "/roles/{role}",
    tag = "roles",
    operation_id = "show_role",
    params(("role" = Role, Path, description = "what it is called")),
    responses((status = OK, body = RoleRecord, description = "as it is"), Anywhere, AboutOne),
)]
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(role): InPath<Role>,
) -> Result<Versioned<RoleRecord>, Problem> {
    let tenant = caller.may(Permission::RolesRead)?;
    Ok(Versioned(gateway.store.role(tenant, role).await?))
}

/// Makes a role that may do no more than its maker.
#[utoipa::path(
    post,
    path = "/roles",
    tag = "roles",
    operation_id = "create_role",
    params(Once),
    request_body = NewRole,
    responses(
        (status = CREATED, body = RoleRecord, description = "the role", headers(
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
    Body(asked): Body<NewRole>,
) -> Result<Made<Versioned<RoleRecord>>, Problem> {
    let caller = caller.anew(&gateway).await?;
    let tenant = caller.may(Permission::RolesManage)?;
    require_within(&caller, &asked.name, &asked.permissions)?;
    // A provider of identities may give it to people already.
    caller.may_let_in()?;
    let made = gateway.store.create_role_once(tenant, asked, caller.by(), once.key).await?;
    let store::Made { record, is_new } = made;
    let place = Some(format!("/api/v1/roles/{}", record.name));
    Ok(Made { status: StatusCode::CREATED, place, is_new, body: Versioned(record) })
}

/// Says what whoever has a role may do: at once, also those who have logged in. With `If-Match`, only when nobody has changed it since.
#[utoipa::path(
    patch,
    path = "/roles/{role}",
    tag = "roles",
    operation_id = "change_role",
    params(
        ("role" = Role, Path, description = "what it is called"),
        ("If-Match" = Option<String>, Header, description = "the ETag of the role that is to be changed"),
    ),
    request_body = RoleChange,
    responses((status = OK, body = RoleRecord, description = "as it is then"), Anywhere, AboutOne, BringsBody, MayConflict, MayHaveChanged),
)]
pub(super) async fn change(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(role): InPath<Role>,
    headers: HeaderMap,
    Body(RoleChange { permissions }): Body<RoleChange>,
) -> Result<Versioned<RoleRecord>, Problem> {
    let caller = caller.anew(&gateway).await?;
    let (tenant, name, there) = own(&gateway, &caller, &role).await?;
    expected(&headers, Some(&there))?;
    require_within(&caller, &name, &permissions)?;
    if !permissions.is_subset(&there.permissions) {
        // Whoever has it may do more, from anywhere.
        caller.may_let_in()?;
    }
    let seen = Some(there.permissions);
    let changed = gateway.store.change_role(tenant, name, seen, permissions, caller.by()).await?;
    gateway.forget_role(&role);
    Ok(Versioned(changed))
}

/// Takes a role back that nobody has any more. With `If-Match`, only when nobody has changed it since.
#[utoipa::path(
    delete,
    path = "/roles/{role}",
    tag = "roles",
    operation_id = "delete_role",
    params(
        ("role" = Role, Path, description = "what it is called"),
        ("If-Match" = Option<String>, Header, description = "the ETag of the role that is to be forgotten"),
    ),
    responses((status = NO_CONTENT, description = "there is none of that name any more"), Anywhere, AboutOne, MayConflict, MayHaveChanged),
)]
pub(super) async fn delete(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(role): InPath<Role>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let caller = caller.anew(&gateway).await?;
    let (tenant, name, there) = own(&gateway, &caller, &role).await?;
    expected(&headers, Some(&there))?;
    gateway.store.delete_role(tenant, name, Some(there.permissions), caller.by()).await?;
    Ok(StatusCode::NO_CONTENT)
}
