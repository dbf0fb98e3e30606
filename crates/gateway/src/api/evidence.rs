//! Evidence: what was sent and what came back. It is hostile, and there may be secrets of the target in it.

use axum::{Json, extract::State, http::HeaderMap};
use model::{
    Evidence, Fingerprint, Permission,
    finding::{EvidenceId, EvidenceRecord},
};
use serde::Serialize;
use store::StoreError;
use utoipa::ToSchema;

use super::{attachment::attachment, body::InPath};
use crate::{
    Gateway,
    caller::Caller,
    problem::{AboutOne, Anywhere, Problem},
};

/// What the latest look at a finding has left.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EvidenceOfFinding {
    /// In the order in which it was taken.
    evidence: Vec<EvidenceRecord>,
}

/// Lists the evidence of a finding: where it is from, and how much.
#[utoipa::path(
    get,
    path = "/findings/{finding}/evidence",
    tag = "evidence",
    operation_id = "list_evidence",
    params(("finding" = Fingerprint, Path, description = "of which finding")),
    responses((status = OK, body = EvidenceOfFinding, description = "of the latest look at it"), Anywhere, AboutOne),
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(finding): InPath<Fingerprint>,
) -> Result<Json<EvidenceOfFinding>, Problem> {
    let tenant = caller.may(Permission::EvidenceRead)?;
    let found = gateway.store.evidence(tenant, finding).await?;
    Ok(Json(EvidenceOfFinding { evidence: found.into_iter().map(|(record, _)| record).collect() }))
}

/// Downloads what was sent and what came back. A later look at the finding leaves other evidence, with other ids.
#[utoipa::path(
    get,
    path = "/evidence/{evidence}",
    tag = "evidence",
    operation_id = "download_evidence",
    params(("evidence" = EvidenceId, Path, description = "which, as it is listed")),
    responses((status = OK, body = Evidence, description = "what it was"), Anywhere, AboutOne),
)]
pub(super) async fn download(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(id): InPath<EvidenceId>,
) -> Result<(HeaderMap, Json<Evidence>), Problem> {
    let tenant = caller.may(Permission::EvidenceRead)?;
    let missing = || StoreError::Missing { kind: "evidence", name: id.to_string() };
    let found = gateway.store.evidence(tenant, id.finding).await.map_err(|error| match error {
        StoreError::Missing { .. } => missing(),
        error => error,
    })?;
    let evidence = found.into_iter().find(|(record, _)| record.id == id).and_then(|(_, evidence)| evidence);
    let evidence = evidence.ok_or_else(missing)?;
    Ok((attachment(&format!("{id}.json"))?, Json(evidence)))
}
