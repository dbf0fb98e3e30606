//! Scans: asked for, looked at, ended and compared.

use std::collections::BTreeSet;

use axum::{Json, extract::State, http::StatusCode};
use jiff::Timestamp;
use model::{
    By, Permission, ScanId, ScanRequest, Target, TenantId,
    list::{ScanCursor, TimeOrder},
    scan::Difference,
};
use serde::{Deserialize, Serialize};
use store::{NewScan, ScanFilter, ScanRecord, Store, StoreError, Submission};
use utoipa::{IntoParams, ToSchema};

use super::{
    body::{Body, InPath, InQuery},
    once::{Made, Once},
    page,
};
use crate::{
    Gateway, News,
    caller::Caller,
    problem::{AboutOne, Anywhere, BringsBody, HasQuery, Kind, MayConflict, Problem},
};

/// Scans that one request ends, at most.
const MOST_CANCELLED: usize = 500;

/// Which scans.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only those that run.
    #[serde(default)]
    running: bool,
    /// Only within that scope.
    scope: Option<String>,
    /// Only those that were submitted from then on.
    since: Option<Timestamp>,
    /// And only those that were submitted before then.
    until: Option<Timestamp>,
    /// In which order.
    #[serde(default)]
    #[param(inline)]
    order: TimeOrder,
    /// How many, at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Only what comes behind that place: `next` of the answer before, in the same order.
    after: Option<ScanCursor>,
}

/// Some scans.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Scans {
    /// In the order that was asked for.
    scans: Vec<ScanRecord>,
    /// There may be more: `after` that place.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<ScanCursor>,
}

/// A scan to be begun.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScanSubmission {
    /// Of what: names, addresses, networks, URLs. Each must be in scope.
    #[schema(min_items = 1)]
    targets: Vec<Target>,
    /// How.
    request: ScanRequest,
}

/// Which scans to end: something has to be said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScanChoice {
    /// These.
    #[serde(default)]
    #[schema(max_items = 500)]
    scans: Vec<ScanId>,
    /// Those that run within that scope.
    scope: Option<String>,
    /// All that run.
    #[serde(default)]
    all: bool,
}

/// What became of scans that were to be ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CancelledScans {
    /// So many went on until then.
    ended: u64,
    /// There are others that go on: asked again, they are ended, too.
    more: bool,
}

/// With which scan to compare.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct With {
    /// That one, instead of the one before it with the same question.
    with: Option<ScanId>,
}

/// What two scans saw differently.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Compared {
    /// Which.
    scan: ScanId,
    /// With which.
    baseline: ScanId,
    /// What appeared, what disappeared, what changed.
    difference: Difference,
}

/// Lists scans.
#[utoipa::path(
    get,
    path = "/scans",
    tag = "scans",
    operation_id = "list_scans",
    params(Which),
    responses((status = OK, body = Scans, description = "some scans"), Anywhere, HasQuery),
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(which): InQuery<Which>,
) -> Result<Json<Scans>, Problem> {
    let tenant = caller.may(Permission::ScansRead)?;
    let limit = page::limit(which.limit)?;
    let Which { running, scope, since, until, order, limit: _, after } = which;
    let filter = ScanFilter { running, scope, since, until, order, after };
    let scans = gateway.store.scans(tenant, filter, limit).await?;
    let place = |scan: &ScanRecord| ScanCursor { id: scan.id, time: scan.submitted_at, name: String::new() };
    let next = page::next(&scans, limit, place);
    Ok(Json(Scans { scans, next }))
}

/// Shows a scan: where it stands, and what it has done so far.
#[utoipa::path(
    get,
    path = "/scans/{scan}",
    tag = "scans",
    operation_id = "show_scan",
    params(("scan" = ScanId, Path, description = "which")),
    responses((status = OK, body = ScanRecord, description = "as it stands"), Anywhere, AboutOne),
)]
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(scan): InPath<ScanId>,
) -> Result<Json<ScanRecord>, Problem> {
    let tenant = caller.may(Permission::ScansRead)?;
    Ok(Json(gateway.store.scan(tenant, scan).await?))
}

/// Begins a scan.
#[utoipa::path(
    post,
    path = "/scans",
    tag = "scans",
    operation_id = "submit_scan",
    params(Once),
    request_body = ScanSubmission,
    responses(
        (status = ACCEPTED, body = ScanRecord, description = "it was begun", headers(
            ("Location" = String, description = "where it is"),
            ("Idempotency-Replayed" = String, description = "`true` when an earlier request under the same key made it"),
        )),
        Anywhere,
        BringsBody,
        MayConflict,
    ),
)]
pub(super) async fn submit(
    State(gateway): State<Gateway>,
    caller: Caller,
    once: Once,
    Body(asked): Body<ScanSubmission>,
) -> Result<Made<ScanRecord>, Problem> {
    let tenant = caller.may(Permission::ScansSubmit)?;
    check(&gateway, &asked.targets, &asked.request)?;
    let new = NewScan {
        request: asked.request,
        targets: asked.targets,
        by: caller.by(),
        checks: gateway.around.terms.checks.clone(),
        price: gateway.around.terms.price,
    };
    let begun = gateway.store.submit_scan_once(tenant, new, once.key).await;
    let Submission { scan, is_new, planned } = begun.map_err(refused)?;
    (gateway.around.tell)(News::Planned(planned));
    let place = Some(format!("/api/v1/scans/{scan}"));
    let body = gateway.store.scan(tenant, scan).await?;
    Ok(Made { status: StatusCode::ACCEPTED, place, is_new, body })
}

/// What can be said of a scan before the store is asked.
pub(super) fn check(gateway: &Gateway, targets: &[Target], request: &ScanRequest) -> Result<(), Problem> {
    if targets.is_empty() {
        return Err(Problem::new(Kind::Invalid, "there are no targets"));
    }
    if let Some(unknown) = request.only.iter().find(|id| !gateway.around.checks.contains_key(id)) {
        return Err(Problem::new(Kind::Invalid, format!("there is no check `{unknown}`")));
    }
    Ok(())
}

/// Why a scan is not to be.
pub(super) fn refused(error: StoreError) -> Problem {
    match error {
        // The scan is not what is missing.
        StoreError::Missing { kind: "scope", .. } => Problem::new(Kind::Invalid, error.to_string()),
        error => error.into(),
    }
}

/// Ends a scan: what waits is cancelled, what runs is asked to stop.
#[utoipa::path(
    post,
    path = "/scans/{scan}/cancel",
    tag = "scans",
    operation_id = "cancel_scan",
    params(("scan" = ScanId, Path, description = "which")),
    responses((status = ACCEPTED, body = ScanRecord, description = "as it stands then"), Anywhere, AboutOne),
)]
pub(super) async fn cancel(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(scan): InPath<ScanId>,
) -> Result<(StatusCode, Json<ScanRecord>), Problem> {
    let tenant = caller.may(Permission::ScansCancel)?;
    gateway.store.cancel_scan(tenant, scan, caller.by()).await?;
    gateway
        .tasks
        .forget(|(owner, _), task| *owner == tenant && task.is_none_or(|task| task.scan == Some(scan)));
    (gateway.around.tell)(News::Ended);
    Ok((StatusCode::ACCEPTED, Json(gateway.store.scan(tenant, scan).await?)))
}

/// Ends scans: what waits is cancelled, what runs is asked to stop. What is none, or has ended, is left as it is.
#[utoipa::path(
    post,
    path = "/scans/cancel",
    tag = "scans",
    operation_id = "cancel_scans",
    request_body = ScanChoice,
    responses((status = ACCEPTED, body = CancelledScans, description = "how many were ended"), Anywhere, BringsBody),
)]
pub(super) async fn cancel_many(
    State(gateway): State<Gateway>,
    caller: Caller,
    Body(which): Body<ScanChoice>,
) -> Result<(StatusCode, Json<CancelledScans>), Problem> {
    let tenant = caller.may(Permission::ScansCancel)?;
    let (store, by) = (&gateway.store, caller.by());
    let ended = match which {
        ScanChoice { scans, scope: None, all: false } if (1..=MOST_CANCELLED).contains(&scans.len()) => {
            cancel_each(store, tenant, scans.into_iter().collect(), &by).await.map(|ended| (ended, false))
        }
        ScanChoice { scans, scope, all } if scans.is_empty() && scope.is_some() != all => {
            store.cancel_scans(tenant, scope, MOST_CANCELLED, by).await
        }
        _ => {
            let detail =
                format!("either scans names 1 to {MOST_CANCELLED}, or scope names one, or all is true");
            return Err(Problem::new(Kind::Invalid, detail));
        }
    };
    // Also when not all of it was done: some may have ended.
    gateway.tasks.forget(|(owner, _), _| *owner == tenant);
    (gateway.around.tell)(News::Ended);
    let (ended, more) = ended?;
    Ok((StatusCode::ACCEPTED, Json(CancelledScans { ended, more })))
}

async fn cancel_each(
    store: &Store,
    tenant: TenantId,
    scans: BTreeSet<ScanId>,
    by: &By,
) -> Result<u64, StoreError> {
    let mut ended = 0;
    for scan in scans {
        match store.cancel_scan(tenant, scan, by.clone()).await {
            Ok(is_new) => ended += u64::from(is_new),
            // As with one that has ended already.
            Err(StoreError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ended)
}

/// Compares a scan with another: what appeared, what disappeared, what changed.
#[utoipa::path(
    get,
    path = "/scans/{scan}/difference",
    tag = "scans",
    operation_id = "compare_scans",
    params(("scan" = ScanId, Path, description = "which"), With),
    responses((status = OK, body = Compared, description = "what two scans saw differently"), Anywhere, AboutOne, HasQuery, MayConflict),
)]
pub(super) async fn difference(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(scan): InPath<ScanId>,
    InQuery(With { with }): InQuery<With>,
) -> Result<Json<Compared>, Problem> {
    let tenant = caller.may(Permission::ScansRead)?;
    let record = gateway.store.scan(tenant, scan).await?;
    let first = || {
        let detail = format!("scan {scan} is the first of its kind");
        Problem::new(Kind::Conflict, detail).hint("`with` names one to compare with")
    };
    let baseline = with.or(record.baseline).ok_or_else(first)?;
    gateway.store.scan(tenant, baseline).await?;
    let difference = gateway.store.difference(tenant, scan, baseline).await?;
    Ok(Json(Compared { scan, baseline, difference }))
}
