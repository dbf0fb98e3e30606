//! Checks: what can be looked for. They belong to nobody.

use axum::{Json, extract::State};
use model::{CheckId, Permission, Severity, record::CheckRecord};
use serde::{Deserialize, Serialize};
use store::StoreError;
use utoipa::{IntoParams, ToSchema};

use super::{
    body::{InPath, InQuery},
    page,
};
use crate::{
    Gateway,
    caller::Caller,
    problem::{AboutOne, Anywhere, HasQuery, Problem},
};

/// Which checks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only those whose matches are as severe as this, or more.
    severity: Option<Severity>,
    /// Only with this tag.
    tag: Option<String>,
    /// Only with this in the id or the name, in upper or lower case.
    search: Option<String>,
    /// How many, at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Only those after that one: `next` of the answer before.
    #[param(value_type = Option<String>)]
    after: Option<CheckId>,
}

/// Some checks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Checks {
    /// By id.
    checks: Vec<CheckRecord>,
    /// There may be more: `after` that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<CheckId>,
}

impl Which {
    fn names(&self, check: &CheckRecord) -> bool {
        let has = |wanted: &String| {
            let wanted = wanted.to_lowercase();
            [check.id.as_str(), &check.name].iter().any(|text| text.to_lowercase().contains(&wanted))
        };
        self.after.as_ref().is_none_or(|after| check.id > *after)
            && self.severity.is_none_or(|least| check.severity >= least)
            && self.tag.as_ref().is_none_or(|tag| check.tags.contains(tag))
            && self.search.as_ref().is_none_or(has)
    }
}

/// Lists checks.
#[utoipa::path(
    get,
    path = "/checks",
    tag = "checks",
    operation_id = "list_checks",
    params(Which),
    responses((status = OK, body = Checks, description = "some checks, by id"), Anywhere, HasQuery),
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(which): InQuery<Which>,
) -> Result<Json<Checks>, Problem> {
    caller.may(Permission::ChecksRead)?;
    let limit = page::limit(which.limit)?;
    let named = gateway.around.checks.values().filter(|check| which.names(check));
    let checks: Vec<CheckRecord> = named.take(limit).cloned().collect();
    let next = page::next(&checks, limit, |check| check.id.clone());
    Ok(Json(Checks { checks, next }))
}

/// Shows a check.
#[utoipa::path(
    get,
    path = "/checks/{check}",
    tag = "checks",
    operation_id = "show_check",
    params(("check" = CheckId, Path, description = "its id")),
    responses((status = OK, body = CheckRecord, description = "what it looks for"), Anywhere, AboutOne),
)]
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(id): InPath<CheckId>,
) -> Result<Json<CheckRecord>, Problem> {
    caller.may(Permission::ChecksRead)?;
    let missing = || StoreError::Missing { kind: "check", name: id.to_string() };
    Ok(Json(gateway.around.checks.get(&id).ok_or_else(missing)?.clone()))
}
