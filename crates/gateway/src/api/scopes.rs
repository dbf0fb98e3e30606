//! Scopes: what the tenant may touch.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use model::{Permission, Scope, scope::ScopeFile};
use serde::Serialize;
use store::StoreError;
use utoipa::ToSchema;

use super::{
    body::{Body, InPath, InQuery},
    page::{self, ByName},
    version::{Changeable, Versioned, expected},
    words,
};
use crate::{
    Gateway,
    caller::Caller,
    problem::{AboutOne, Anywhere, BringsBody, HasQuery, Kind, MayHaveChanged, Problem},
};

/// A scope and what it is called.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NamedScope {
    /// What it is called.
    name: String,
    /// What it allows.
    scope: Scope,
}

impl Changeable for NamedScope {}

/// Some scopes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Scopes {
    /// By name.
    scopes: Vec<NamedScope>,
    /// There may be more: `after` that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Lists scopes.
#[utoipa::path(
    get,
    path = "/scopes",
    tag = "scopes",
    operation_id = "list_scopes",
    params(ByName),
    responses((status = OK, body = Scopes, description = "some scopes, by name"), Anywhere, HasQuery),
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(which): InQuery<ByName>,
) -> Result<Json<Scopes>, Problem> {
    let tenant = caller.may(Permission::ScopesRead)?;
    let limit = page::limit(which.limit)?;
    let scopes = gateway.store.list_scopes(tenant, which.after, limit).await?.into_iter();
    let scopes: Vec<NamedScope> = scopes.map(|(name, scope)| NamedScope { name, scope }).collect();
    let next = page::next(&scopes, limit, |scope| scope.name.clone());
    Ok(Json(Scopes { scopes, next }))
}

/// Shows a scope. Its `ETag` goes into the `If-Match` of who changes it.
#[utoipa::path(
    get,
    path = "/scopes/{name}",
    tag = "scopes",
    operation_id = "show_scope",
    params(("name" = String, Path, description = "what it is called")),
    responses((status = OK, body = NamedScope, description = "what it allows"), Anywhere, AboutOne),
)]
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(name): InPath<String>,
) -> Result<Versioned<NamedScope>, Problem> {
    let tenant = caller.may(Permission::ScopesRead)?;
    let missing = || StoreError::Missing { kind: "scope", name: name.clone() };
    let scope = gateway.store.scope(tenant, &name).await?.ok_or_else(missing)?;
    Ok(Versioned(NamedScope { name, scope }))
}

/// Writes a scope down, in place of the one of that name. With `If-Match`, only in place of the one that somebody has seen; with
/// `If-None-Match: *`, only when there is none.
#[utoipa::path(
    put,
    path = "/scopes/{name}",
    tag = "scopes",
    operation_id = "put_scope",
    params(
        ("name" = String, Path, description = "what it is to be called"),
        ("If-Match" = Option<String>, Header, description = "the ETag of the scope that is to be replaced"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: there must be none of that name"),
    ),
    request_body = ScopeFile,
    responses((status = OK, body = NamedScope, description = "what it allows"), Anywhere, BringsBody, MayHaveChanged),
)]
pub(super) async fn put(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(name): InPath<String>,
    headers: HeaderMap,
    Body(written): Body<ScopeFile>,
) -> Result<Versioned<NamedScope>, Problem> {
    let tenant = caller.may(Permission::ScopesManage)?;
    words::name(&name)?;
    let mut scope = written.into_scope().map_err(|error| Problem::new(Kind::Invalid, error.to_string()))?;
    scope.resolvers.clone_from(&gateway.around.resolvers);
    let there = gateway.store.scope(tenant, &name).await?;
    let there = there.map(|scope| NamedScope { name: name.clone(), scope });
    let expected = expected(&headers, there)?.map(|there| there.map(|there| there.scope));
    match expected {
        None => gateway.store.put_scope(tenant, &name, scope.clone(), caller.by()).await?,
        Some(there) => {
            gateway.store.replace_scope(tenant, &name, there, scope.clone(), caller.by()).await?;
        }
    }
    Ok(Versioned(NamedScope { name, scope }))
}

/// Forgets a scope: what names it is refused from now on. Scans that were begun keep what it allowed then.
#[utoipa::path(
    delete,
    path = "/scopes/{name}",
    tag = "scopes",
    operation_id = "delete_scope",
    params(
        ("name" = String, Path, description = "what it is called"),
        ("If-Match" = Option<String>, Header, description = "the ETag of the scope that is to be forgotten"),
    ),
    responses((status = NO_CONTENT, description = "it is forgotten"), Anywhere, AboutOne, MayHaveChanged),
)]
pub(super) async fn delete(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(name): InPath<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let tenant = caller.may(Permission::ScopesManage)?;
    let there = gateway.store.scope(tenant, &name).await?;
    let missing = || StoreError::Missing { kind: "scope", name: name.clone() };
    let there = NamedScope { name: name.clone(), scope: there.ok_or_else(missing)? };
    let seen = expected(&headers, Some(there))?.flatten().map(|there| there.scope);
    gateway.store.delete_scope(tenant, &name, seen, caller.by()).await?;
    Ok(StatusCode::NO_CONTENT)
}
