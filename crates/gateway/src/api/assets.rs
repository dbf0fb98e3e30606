//! What exists: names, hosts, services, pages, forms; of one scan, and of all that the tenant's scans have seen.

use axum::{Json, extract::State};
use jiff::Timestamp;
use model::{
    Asset, AssetId, AssetKind, Permission, ScanId,
    list::{AssetCursor, TimeOrder},
};
use serde::{Deserialize, Serialize};
use store::{AssetFilter, KnownAsset};
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

/// Assets that are looked at for one answer: an inventory may have millions, and what is asked for be none of them.
const MOST_LOOKED_AT: usize = 20_000;

/// Which assets of a scan.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichOfScan {
    /// How many, at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Only those after that one: `next` of the answer before.
    after: Option<AssetId>,
}

/// Some assets of a scan.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AssetsOfScan {
    /// In no particular order, each once.
    assets: Vec<Asset>,
    /// There may be more: `after` that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<AssetId>,
}

/// Which assets.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only what is that.
    #[param(inline)]
    kind: Option<AssetKind>,
    /// Only what was seen for the first time from then on.
    new_since: Option<Timestamp>,
    /// Only what was seen from then on.
    seen_since: Option<Timestamp>,
    /// Only what nobody has seen since then.
    gone_since: Option<Timestamp>,
    /// Only what has this in it: a name, an address, a part of a URL.
    containing: Option<String>,
    /// In which order, by when it was seen for the first time.
    #[serde(default)]
    #[param(inline)]
    order: TimeOrder,
    /// How many, at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Only what comes behind that place: `next` of the answer before, in the same order.
    after: Option<AssetCursor>,
}

/// Some of what exists.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Assets {
    /// In the order that was asked for.
    assets: Vec<KnownAsset>,
    /// There may be more: `after` that place.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<AssetCursor>,
}

/// Lists what a scan saw: names, hosts, services, pages, forms.
#[utoipa::path(
    get,
    path = "/scans/{scan}/assets",
    tag = "assets",
    operation_id = "list_assets_of_scan",
    params(("scan" = ScanId, Path, description = "of which scan"), WhichOfScan),
    responses((status = OK, body = AssetsOfScan, description = "some assets"), Anywhere, AboutOne, HasQuery),
)]
pub(super) async fn of_scan(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(scan): InPath<ScanId>,
    InQuery(which): InQuery<WhichOfScan>,
) -> Result<Json<AssetsOfScan>, Problem> {
    let tenant = caller.may(Permission::AssetsRead)?;
    let limit = page::limit(which.limit)?;
    gateway.store.scan(tenant, scan).await?;
    let (assets, last) = gateway.store.assets(tenant, scan, which.after, limit).await?;
    let next = last.filter(|_| assets.len() == limit);
    Ok(Json(AssetsOfScan { assets, next }))
}

/// Lists what exists, as all scans of the tenant have seen it. A page may have less than was asked for, or nothing, while there is more:
/// as long as there is a `next`. What a scan that still runs has seen may come in before what was told already.
#[utoipa::path(
    get,
    path = "/assets",
    tag = "assets",
    operation_id = "list_assets",
    params(Which),
    responses((status = OK, body = Assets, description = "some assets"), Anywhere, HasQuery),
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(which): InQuery<Which>,
) -> Result<Json<Assets>, Problem> {
    let tenant = caller.may(Permission::AssetsRead)?;
    let limit = page::limit(which.limit)?;
    let Which { kind, new_since, seen_since, gone_since, containing, order, limit: _, after } = which;
    let filter = AssetFilter { kind, new_since, seen_since, gone_since, containing, order, after };
    let (assets, next) = gateway.store.inventory(tenant, filter, limit, MOST_LOOKED_AT).await?;
    Ok(Json(Assets { assets, next }))
}

/// Shows something that exists, as it was seen last.
#[utoipa::path(
    get,
    path = "/assets/{asset}",
    tag = "assets",
    operation_id = "show_asset",
    params(("asset" = AssetId, Path, description = "which")),
    responses((status = OK, body = KnownAsset, description = "as it was seen last"), Anywhere, AboutOne),
)]
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(asset): InPath<AssetId>,
) -> Result<Json<KnownAsset>, Problem> {
    let tenant = caller.may(Permission::AssetsRead)?;
    Ok(Json(gateway.store.asset(tenant, asset).await?))
}
