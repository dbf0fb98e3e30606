//! The tenant that somebody belongs to.

use axum::{Json, extract::State};
use model::Permission;
use store::TenantRecord;

use crate::{
    Gateway,
    caller::Caller,
    problem::{Anywhere, Problem},
};

/// Shows the tenant: what it is called, and what share of the workers it gets.
#[utoipa::path(
    get,
    path = "/tenant",
    tag = "tenant",
    operation_id = "show_tenant",
    responses((status = OK, body = TenantRecord, description = "the tenant"), Anywhere),
)]
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<TenantRecord>, Problem> {
    let tenant = caller.may(Permission::TenantRead)?;
    Ok(Json(gateway.store.tenant(tenant).await?))
}
