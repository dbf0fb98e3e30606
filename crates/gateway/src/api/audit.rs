//! Who did what.

use axum::{Json, extract::State};
use jiff::Timestamp;
use model::{AuditEntry, Permission, TenantId, audit::Checkpoint, list::TimeOrder};
use serde::{Deserialize, Serialize};
use store::AuditFilter;
use utoipa::{IntoParams, ToSchema};

use super::{body::InQuery, page};
use crate::{
    Gateway,
    caller::Caller,
    problem::{Anywhere, HasQuery, Kind, Problem},
};

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only this action, such as `scan.submit`, or every one that begins with it and a dot.
    action: Option<String>,
    /// Only of those whose name contains this.
    by: Option<String>,
    /// Only from then on.
    since: Option<Timestamp>,
    /// And only before then.
    until: Option<Timestamp>,
    /// Only what was done in the request with this id.
    request: Option<String>,
    /// Only what was refused, or only what was not.
    refused: Option<bool>,
    /// In which order.
    #[serde(default)]
    #[param(inline)]
    order: TimeOrder,
    /// How many, at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Only older than that one: `next` of the answer before, when that was with the newest first.
    before: Option<u64>,
    /// Only newer than that one: `next` of the answer before, when that was with the oldest first.
    after: Option<u64>,
    /// Of what was done to all tenants at once, instead of the tenant's own; for people and programs of the one that runs the platform.
    #[serde(default)]
    #[param(default = false)]
    installation: bool,
}

/// Some entries.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditEntries {
    /// In the order that was asked for.
    entries: Vec<AuditEntry>,
    /// There may be more: `before` that one, or `after` it with the oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// Whose chain is read: that of the tenant, or that of nobody.
async fn chain(gateway: &Gateway, caller: &Caller, installation: bool) -> Result<Option<TenantId>, Problem> {
    let tenant = caller.may(Permission::AuditRead)?;
    if !installation {
        return Ok(Some(tenant));
    }
    // Whoever may read what was done to their own tenant was not asked to look after all others.
    caller.may_to_all(gateway, Permission::TenantsRead).await?;
    Ok(None)
}

/// Lists what was done to the tenant.
#[utoipa::path(
    get,
    path = "/audit",
    tag = "audit",
    operation_id = "list_audit",
    params(Which),
    responses((status = OK, body = AuditEntries, description = "some entries"), Anywhere, HasQuery),
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(which): InQuery<Which>,
) -> Result<Json<AuditEntries>, Problem> {
    let chain = chain(&gateway, &caller, which.installation).await?;
    let limit = page::limit(which.limit)?;
    let Which { action, by, since, until, request, refused, order, before, after, .. } = which;
    for (word, number) in [("before", before), ("after", after)] {
        if number.is_some_and(|number| i64::try_from(number).is_err()) {
            return Err(Problem::new(Kind::Malformed, format!("{word} is not the number of an entry")));
        }
    }
    let filter = AuditFilter { action, by, since, until, request, refused, before, after, order };
    let entries = match chain {
        Some(tenant) => gateway.store.audit(tenant, filter, limit).await?,
        None => gateway.store.audit_of_nobody(filter, limit).await?,
    };
    let next = page::next(&entries, limit, |entry| entry.id);
    Ok(Json(AuditEntries { entries, next }))
}

/// Which checkpoints.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichCheckpoints {
    /// How many, at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Only those before the one with this number: `next` of the answer before.
    before: Option<u64>,
    /// Of what was done to all tenants at once, instead of the tenant's own; for people and programs of the one that runs the platform.
    #[serde(default)]
    #[param(default = false)]
    installation: bool,
}

/// Some checkpoints.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditCheckpoints {
    /// The newest first.
    checkpoints: Vec<Checkpoint>,
    /// There may be more: `before` that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// Lists what was signed of the tenant's audit, the newest first: whoever keeps it can tell later whether that is still the same.
#[utoipa::path(
    get,
    path = "/audit/checkpoints",
    tag = "audit",
    operation_id = "list_audit_checkpoints",
    params(WhichCheckpoints),
    responses(
        (status = OK, body = AuditCheckpoints, description = "some checkpoints, the newest first"),
        Anywhere,
        HasQuery,
    ),
)]
pub(super) async fn checkpoints(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(which): InQuery<WhichCheckpoints>,
) -> Result<Json<AuditCheckpoints>, Problem> {
    let chain = chain(&gateway, &caller, which.installation).await?;
    let limit = page::limit(which.limit)?;
    if which.before.is_some_and(|before| i64::try_from(before).is_err()) {
        return Err(Problem::new(Kind::Malformed, "before is not the number of a checkpoint"));
    }
    let checkpoints = gateway.store.audit_checkpoints(chain, which.before, limit).await?;
    let next = page::next(&checkpoints, limit, |checkpoint| checkpoint.number);
    Ok(Json(AuditCheckpoints { checkpoints, next }))
}
