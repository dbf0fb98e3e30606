//! Findings: looked at, and decided about.

use std::{collections::BTreeSet, fmt, str::FromStr};

use axum::{Json, extract::State};
use jiff::Timestamp;
use model::{
    CheckId, Fingerprint, Permission, ScanId, Severity,
    finding::{Decision, Life, Verdict},
    list::FindingCursor,
};
use serde::{Deserialize, Serialize};
use store::{FindingFilter, KnownFinding};
use utoipa::{IntoParams, ToSchema};

use super::{
    body::{Body, InPath, InQuery},
    page, words,
};
use crate::{
    Gateway,
    caller::Caller,
    problem::{AboutOne, Anywhere, BringsBody, HasQuery, Kind, Problem},
};

/// Findings of one decision, at most.
const MOST_AT_ONCE: usize = 1_000;
/// Findings that are looked at for one answer: a tenant may have a million, and none that stands where it is asked for.
const MOST_LOOKED_AT: usize = 20_000;

/// Where a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum FindingState {
    Open,
    Reopened,
    Triaged,
    Accepted,
    FalsePositive,
    Fixed,
}

impl FindingState {
    /// In the order of [`Life::WORDS`].
    const ALL: [FindingState; 6] = [
        FindingState::Open,
        FindingState::Reopened,
        FindingState::Triaged,
        FindingState::Accepted,
        FindingState::FalsePositive,
        FindingState::Fixed,
    ];

    fn word(self) -> &'static str {
        Life::WORDS[self as usize]
    }
}

/// It is none of them.
#[derive(Debug)]
pub(super) struct StateError(String);

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = Life::WORDS.join(", ").replace('-', "_");
        write!(f, "`{}` is not where a finding stands: use {words}", self.0)
    }
}

impl FromStr for FindingState {
    type Err = StateError;

    fn from_str(word: &str) -> Result<FindingState, StateError> {
        let named = |state: &FindingState| state.word().replace('-', "_") == word;
        FindingState::ALL.into_iter().find(named).ok_or_else(|| StateError(word.to_owned()))
    }
}

/// In which order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum FindingOrder {
    /// The most severe first, and of these the newest.
    #[default]
    WorstFirst,
    /// By fingerprint: nothing that is added or changes while somebody turns the pages is told twice.
    Fingerprint,
}

/// Which findings.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only those that this scan saw.
    scan: Option<ScanId>,
    /// Only as severe as this, or more.
    severity: Option<Severity>,
    /// Only of this check.
    #[param(value_type = Option<String>)]
    check: Option<CheckId>,
    /// Only those that stand there: one word or several.
    #[serde(default, deserialize_with = "page::separated")]
    #[param(inline, style = Form, explode = false, min_items = 1)]
    state: Vec<FindingState>,
    /// In which order.
    #[serde(default)]
    #[param(inline)]
    order: FindingOrder,
    /// How many, at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Only those after that one: `next` of the answer before.
    after: Option<FindingCursor>,
}

/// Some findings.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Findings {
    /// In the order that was asked for, without evidence. Where much has to be looked at for few, a page may have none.
    findings: Vec<KnownFinding>,
    /// There may be more: `after` that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<FindingCursor>,
}

/// What somebody makes of findings.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FindingDecision {
    /// Of which: of each of them, or of none.
    #[schema(min_items = 1, max_items = 1000)]
    findings: BTreeSet<Fingerprint>,
    /// What: `accepted` with `until`.
    verdict: FindingVerdict,
    /// Until when it is accepted.
    until: Option<Timestamp>,
    /// Why.
    #[schema(min_length = 1, max_length = 4096)]
    reason: String,
}

/// What a finding can be said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum FindingVerdict {
    /// It is true, and somebody takes care of it.
    Triaged,
    /// It is true, and stays for a while.
    Accepted,
    /// It is not true.
    FalsePositive,
    /// An earlier verdict is taken back.
    Withdrawn,
}

/// What became of findings that somebody decided about.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DecidedFindings {
    /// As they stand then, without evidence.
    findings: Vec<KnownFinding>,
    /// Of these somebody had decided later: nothing changed.
    decided_later: BTreeSet<Fingerprint>,
}

/// Lists findings, without evidence.
#[utoipa::path(
    get,
    path = "/findings",
    tag = "findings",
    operation_id = "list_findings",
    params(Which),
    responses((status = OK, body = Findings, description = "some findings"), Anywhere, HasQuery, AboutOne),
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(which): InQuery<Which>,
) -> Result<Json<Findings>, Problem> {
    let tenant = caller.may(Permission::FindingsRead)?;
    let limit = page::limit(which.limit)?;
    if let Some(scan) = which.scan {
        // Of a scan that is not there nothing is listed, which looks as if it had found nothing.
        gateway.store.scan(tenant, scan).await?;
    }
    let filter = FindingFilter {
        scan: which.scan,
        at_least: which.severity,
        check: which.check,
        states: which.state.into_iter().map(FindingState::word).collect(),
        worst_first: which.order == FindingOrder::WorstFirst,
        after: which.after,
    };
    let (findings, next) = gateway.store.look_for_findings(tenant, filter, limit, MOST_LOOKED_AT).await?;
    Ok(Json(Findings { findings, next }))
}

/// Shows a finding and its history; its evidence to who may read evidence.
#[utoipa::path(
    get,
    path = "/findings/{finding}",
    tag = "findings",
    operation_id = "show_finding",
    params(("finding" = Fingerprint, Path, description = "which")),
    responses((status = OK, body = KnownFinding, description = "as it stands"), Anywhere, AboutOne),
)]
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(fingerprint): InPath<Fingerprint>,
) -> Result<Json<KnownFinding>, Problem> {
    let tenant = caller.may(Permission::FindingsRead)?;
    let mut known = gateway.store.finding(tenant, fingerprint).await?;
    if caller.may(Permission::EvidenceRead).is_err() {
        known.finding.evidence.clear();
    }
    Ok(Json(known))
}

/// Says what is made of findings: of each of them, or of none when one is not there.
#[utoipa::path(
    post,
    path = "/findings/decide",
    tag = "findings",
    operation_id = "decide_findings",
    request_body = FindingDecision,
    responses((status = OK, body = DecidedFindings, description = "as they stand then"), Anywhere, AboutOne, BringsBody),
)]
pub(super) async fn decide(
    State(gateway): State<Gateway>,
    caller: Caller,
    Body(asked): Body<FindingDecision>,
) -> Result<Json<DecidedFindings>, Problem> {
    let tenant = caller.may(Permission::FindingsDecide)?;
    let invalid = |detail: &str| Err(Problem::new(Kind::Invalid, detail));
    if !(1..=MOST_AT_ONCE).contains(&asked.findings.len()) {
        return invalid(&format!("a decision is about 1 to {MOST_AT_ONCE} findings"));
    }
    let reason = words::reason(&asked.reason)?;
    let at = gateway.store.clock().await?;
    let verdict = match (asked.verdict, asked.until) {
        (FindingVerdict::Accepted, Some(until)) if until > at => Verdict::Accepted { until },
        (FindingVerdict::Accepted, Some(_)) => return invalid("until has passed"),
        (FindingVerdict::Accepted, None) => return invalid("until says how long a finding is accepted"),
        (_, Some(_)) => return invalid("until is only for findings that are accepted"),
        (FindingVerdict::Triaged, None) => Verdict::Triaged,
        (FindingVerdict::FalsePositive, None) => Verdict::FalsePositive,
        (FindingVerdict::Withdrawn, None) => Verdict::Withdrawn,
    };
    let decision = Decision { at, verdict };
    let findings = gateway.store.decide(tenant, asked.findings, decision, caller.by(), reason).await?;
    let later = findings.iter().filter(|known| known.history.decision != Some(decision));
    let decided_later = later.map(|known| known.finding.fingerprint).collect();
    Ok(Json(DecidedFindings { findings, decided_later }))
}
