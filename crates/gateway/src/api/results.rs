//! What came of a scan: what it saw, and its reports.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
};
use futures_util::stream::try_unfold;
use model::{Asset, Permission, ScanId, ScanLife};
use report::Format;
use serde::{Deserialize, Serialize};
use store::{ObjectKey, StoreError};
use utoipa::{IntoParams, ToSchema};

use super::{
    attachment::attachment,
    body::{InPath, InQuery},
    page,
};
use crate::{
    Gateway,
    caller::Caller,
    problem::{AboutOne, Anywhere, HasQuery, Kind, MayConflict, Problem},
};

/// Which assets.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// How many, at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Only those after that place: `next` of the answer before.
    #[param(value_type = Option<String>, pattern = "^[0-9a-f]{32}$")]
    after: Option<Place>,
}

/// A place in a list of assets: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) struct Place(u128);

impl From<Place> for String {
    fn from(place: Place) -> String {
        format!("{:032x}", place.0)
    }
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Place, String> {
        let place = u128::from_str_radix(&text, 16).ok().filter(|_| text.len() == 32);
        place.map(Place).ok_or_else(|| format!("`{text}` is no place in a list of assets"))
    }
}

/// Some assets.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Assets {
    /// In no particular order, each once.
    assets: Vec<Asset>,
    /// There may be more: `after` that place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{32}$")]
    next: Option<Place>,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ReportFormat {
    /// A page for people.
    Html,
    /// One document with everything.
    Json,
}

impl ReportFormat {
    fn file_name(self) -> &'static str {
        match self {
            ReportFormat::Html => Format::Html.file_name(),
            ReportFormat::Json => Format::Json.file_name(),
        }
    }

    fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            ReportFormat::Html => "text/html; charset=utf-8",
            ReportFormat::Json => "application/json",
        })
    }
}

/// Lists what a scan saw: names, hosts, services, pages, forms.
#[utoipa::path(
    get,
    path = "/scans/{scan}/assets",
    tag = "assets",
    operation_id = "list_assets",
    params(("scan" = ScanId, Path, description = "of which scan"), Which),
    responses((status = OK, body = Assets, description = "some assets"), Anywhere, AboutOne, HasQuery),
)]
pub(super) async fn assets(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(scan): InPath<ScanId>,
    InQuery(which): InQuery<Which>,
) -> Result<Json<Assets>, Problem> {
    let tenant = caller.may(Permission::AssetsRead)?;
    let limit = page::limit(which.limit)?;
    gateway.store.scan(tenant, scan).await?;
    let after = which.after.map(|place| place.0.to_be_bytes());
    let (assets, last) = gateway.store.assets(tenant, scan, after, limit).await?;
    let next = last.filter(|_| assets.len() == limit).map(|key| Place(u128::from_be_bytes(key)));
    Ok(Json(Assets { assets, next }))
}

/// Downloads the report of a scan that has ended.
#[utoipa::path(
    get,
    path = "/scans/{scan}/reports/{format}",
    tag = "reports",
    operation_id = "download_report",
    params(
        ("scan" = ScanId, Path, description = "of which scan"),
        ("format" = inline(ReportFormat), Path, description = "how it is written"),
    ),
    responses(
        (status = OK, description = "the report", content(
            (String = "text/html; charset=utf-8"),
            (serde_json::Value = "application/json"),
        )),
        Anywhere,
        AboutOne,
        MayConflict,
    ),
)]
pub(super) async fn report(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath((scan, format)): InPath<(ScanId, ReportFormat)>,
) -> Result<(HeaderMap, Body), Problem> {
    let tenant = caller.may(Permission::ReportsRead)?;
    let not_yet = || {
        let detail = format!("there is no report of scan {scan} yet");
        Problem::new(Kind::Conflict, detail).hint("it is written when the scan has ended")
    };
    if gateway.store.scan(tenant, scan).await?.life == ScanLife::Running {
        return Err(not_yet());
    }
    let name = format.file_name();
    let download = gateway.around.reports.download(&ObjectKey::report(tenant, scan, name)).await;
    let download = download.map_err(|error| match error {
        StoreError::Missing { .. } => not_yet(),
        error => error.into(),
    })?;
    let mut headers = attachment(&format!("{scan}-{name}"))?;
    headers.insert(header::CONTENT_TYPE, format.media_type());
    let pieces = try_unfold(download, |mut download| async move {
        download.next().await.map(|piece| piece.map(|piece| (piece, download)))
    });
    Ok((headers, Body::from_stream(pieces)))
}
