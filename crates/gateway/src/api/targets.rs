//! What a scan was asked to look at, and of what it knows nothing.

use axum::{Json, extract::State};
use model::{
    Permission, ScanId, TaskId,
    record::{ScanTarget, UnitGaps},
};
use serde::{Deserialize, Serialize};
use store::Remarks;
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

/// Which targets.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// How many, at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Only those after that place: `next` of the answer before.
    #[param(value_type = Option<u64>, maximum = 4_294_967_295_u64)]
    after: Option<u32>,
}

/// Some targets.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Targets {
    /// In the order in which they were given.
    targets: Vec<ScanTarget>,
    /// There may be more: `after` that place.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// Of which units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum GapKind {
    /// Of those that could not find something out.
    Undetermined,
    /// Of those that left something out on purpose.
    LeftOut,
}

/// Which gaps.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichGaps {
    /// Only of some units; of all of which there is something to be said without.
    #[param(inline)]
    only: Option<GapKind>,
    /// Of how many units, at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Only of those after that one: `next` of the answer before.
    after: Option<TaskId>,
}

/// What a scan does not know.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Gaps {
    /// So many things could not be found out in all, so far.
    undetermined_count: u64,
    /// Some of the units of which there is something to be said.
    units: Vec<UnitGaps>,
    /// There may be more: `after` that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<TaskId>,
}

/// Lists what a scan was asked to look at.
#[utoipa::path(
    get,
    path = "/scans/{scan}/targets",
    tag = "scans",
    operation_id = "list_targets",
    params(("scan" = ScanId, Path, description = "of which scan"), Which),
    responses((status = OK, body = Targets, description = "some targets"), Anywhere, AboutOne, HasQuery),
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(scan): InPath<ScanId>,
    InQuery(which): InQuery<Which>,
) -> Result<Json<Targets>, Problem> {
    let tenant = caller.may(Permission::ScansRead)?;
    let limit = page::limit(which.limit)?;
    let record = gateway.store.scan(tenant, scan).await?;
    let from = which.after.map_or(0, |after| u64::from(after) + 1);
    let found = gateway.store.targets(tenant, scan, from, limit).await?;
    let placed = (from..).zip(found);
    let targets: Vec<ScanTarget> = placed
        .map(|(position, target)| ScanTarget { position, target, begun: position < record.begun })
        .collect();
    let next = page::next(&targets, limit, |target| target.position);
    Ok(Json(Targets { targets, next }))
}

/// Lists what a scan could not find out, and what it left out, by units of its work.
#[utoipa::path(
    get,
    path = "/scans/{scan}/gaps",
    tag = "scans",
    operation_id = "list_gaps",
    params(("scan" = ScanId, Path, description = "of which scan"), WhichGaps),
    responses((status = OK, body = Gaps, description = "some gaps"), Anywhere, AboutOne, HasQuery),
)]
pub(super) async fn gaps(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(scan): InPath<ScanId>,
    InQuery(which): InQuery<WhichGaps>,
) -> Result<Json<Gaps>, Problem> {
    let tenant = caller.may(Permission::ScansRead)?;
    let limit = page::limit(which.limit)?;
    gateway.store.scan(tenant, scan).await?;
    let (undetermined_count, _) = gateway.store.gaps(tenant, scan, 0).await?;
    let remarks = match which.only {
        Some(GapKind::Undetermined) => Remarks::Undetermined,
        Some(GapKind::LeftOut) => Remarks::LeftOut,
        None => Remarks::All,
    };
    let found = gateway.store.remarks(tenant, scan, remarks, which.after, limit).await?;
    let units: Vec<UnitGaps> = found
        .into_iter()
        .map(|mut unit| {
            let left_out = std::mem::take(&mut unit.left_out);
            let (task, stage, name) = (unit.task, unit.stage, std::mem::take(&mut unit.unit));
            UnitGaps { task, stage, unit: name, undetermined: unit.gaps().collect(), left_out }
        })
        .collect();
    let next = page::next(&units, limit, |unit| unit.task);
    Ok(Json(Gaps { undetermined_count, units, next }))
}
