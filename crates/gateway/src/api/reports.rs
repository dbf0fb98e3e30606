//! Reports of scans.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
};
use futures_util::stream::try_unfold;
use model::{Permission, ScanId, ScanLife};
use report::Format;
use serde::Deserialize;
use store::{ObjectKey, StoreError};
use utoipa::ToSchema;

use super::{attachment::attachment, body::InPath};
use crate::{
    Gateway,
    caller::Caller,
    problem::{AboutOne, Anywhere, Kind, MayConflict, Problem},
};

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
pub(super) async fn download(
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
