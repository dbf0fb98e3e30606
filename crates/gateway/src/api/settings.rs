//! What the tenant says for itself.

use axum::{extract::State, http::HeaderMap};
use model::{Permission, record::TenantSettings};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::{
    body::Body,
    version::{Versioned, expected},
};
use crate::{
    Gateway,
    caller::Caller,
    problem::{Anywhere, BringsBody, Kind, MayHaveChanged, Problem},
};

/// What is to be another way. What is not given stays; null takes back what was said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SettingsChange {
    /// For so many days after their end scans are kept, if the installation keeps them for so long.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 3650)]
    keep_scans_days: Option<Option<u32>>,
}

/// Whoever says null says something.
fn said<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(input).map(Some)
}

/// Shows what the tenant says for itself. Its `ETag` goes into the `If-Match` of who changes it.
#[utoipa::path(
    get,
    path = "/settings",
    tag = "tenant",
    operation_id = "show_settings",
    responses((status = OK, body = TenantSettings, description = "as they are"), Anywhere),
)]
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
) -> Result<Versioned<TenantSettings>, Problem> {
    let tenant = caller.may(Permission::TenantRead)?;
    Ok(Versioned(gateway.store.settings(tenant).await?))
}

/// Says something for the tenant. With `If-Match`, only when nobody has said something else since.
#[utoipa::path(
    patch,
    path = "/settings",
    tag = "tenant",
    operation_id = "change_settings",
    params(("If-Match" = Option<String>, Header, description = "the ETag of the settings that are to be changed")),
    request_body = SettingsChange,
    responses((status = OK, body = TenantSettings, description = "as they are then"), Anywhere, BringsBody, MayHaveChanged),
)]
pub(super) async fn change(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    Body(change): Body<SettingsChange>,
) -> Result<Versioned<TenantSettings>, Problem> {
    let tenant = caller.may(Permission::SettingsManage)?;
    if let Some(Some(days)) = change.keep_scans_days
        && !(1..=TenantSettings::MOST_DAYS).contains(&days)
    {
        let detail = format!("keep_scans_days is a number from 1 to {}", TenantSettings::MOST_DAYS);
        return Err(Problem::new(Kind::Invalid, detail));
    }
    let there = gateway.store.settings(tenant).await?;
    let seen = expected(&headers, Some(there))?.flatten();
    let after = move |before: TenantSettings| TenantSettings {
        keep_scans_days: change.keep_scans_days.unwrap_or(before.keep_scans_days),
    };
    Ok(Versioned(gateway.store.change_settings(tenant, seen, after, caller.by()).await?))
}
