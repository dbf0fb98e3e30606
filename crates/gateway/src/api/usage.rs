//! What the tenant has used.

use axum::{Json, extract::State};
use jiff::{SignedDuration, Timestamp};
use model::{Permission, usage::Usage};
use serde::Deserialize;
use utoipa::IntoParams;

use super::body::InQuery;
use crate::{
    Gateway,
    caller::Caller,
    problem::{Anywhere, HasQuery, Kind, MayBeInvalid, Problem},
};

/// The longest time that is counted at once.
const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Of which time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Within {
    /// From then on; 30 days before the end without. A year at once, at most.
    since: Option<Timestamp>,
    /// Until then, without it; until now without.
    until: Option<Timestamp>,
}

/// Says what the tenant has used: of the scans that were submitted within a time and are still kept, and of the findings that were new.
#[utoipa::path(
    get,
    path = "/usage",
    tag = "tenant",
    operation_id = "show_usage",
    params(Within),
    responses((status = OK, body = Usage, description = "what is known for certain"), Anywhere, HasQuery, MayBeInvalid),
)]
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(within): InQuery<Within>,
) -> Result<Json<Usage>, Problem> {
    let tenant = caller.may(Permission::UsageRead)?;
    let until = match within.until {
        Some(until) => until,
        None => gateway.store.clock().await?,
    };
    let since = within.since.unwrap_or_else(|| Usage::usually_since(until));
    let length = until.duration_since(since);
    if length <= SignedDuration::ZERO || length > LONGEST {
        return Err(Problem::new(Kind::Invalid, "since is before until, and not more than 366 days"));
    }
    // It walks through all that is kept of that time: one after the other, so that it takes from nobody else what they need.
    let _turn = gateway
        .counting
        .try_acquire()
        .map_err(|_| Problem::new(Kind::Overloaded, "what was used is being counted for somebody else"))?;
    Ok(Json(gateway.store.usage(tenant, since, until).await?))
}
