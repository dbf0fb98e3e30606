//! Findings.

use std::collections::BTreeSet;

use jiff::Timestamp;
use model::{
    CheckId, Evidence, Fingerprint, ScanId, Severity,
    finding::{EvidenceId, EvidenceRecord},
    list::FindingCursor,
    record::KnownFinding,
};
use serde::{Deserialize, Serialize};

use crate::{Client, ClientError, Page};

/// In which order findings are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FindingOrder {
    /// The most severe first, and of these the newest.
    #[default]
    WorstFirst,
    /// By fingerprint: nothing that is added or changes while somebody turns the pages is told twice.
    Fingerprint,
}

/// Which findings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingQuery {
    /// Only those that this scan saw.
    pub scan: Option<ScanId>,
    /// Only as severe as this, or more.
    pub severity: Option<Severity>,
    /// Only of this check.
    pub check: Option<CheckId>,
    /// Only those that stand somewhere among these, in [`model::finding::Life::WORDS`]; anywhere without any.
    pub states: Vec<&'static str>,
    /// In which order.
    pub order: FindingOrder,
    /// How many, at most; as many as the server usually gives without.
    pub limit: Option<usize>,
    /// Only those after that one.
    pub after: Option<FindingCursor>,
}

/// What a finding can be said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingVerdict {
    /// It is true, and somebody takes care of it.
    Triaged,
    /// It is true, and stays for a while.
    Accepted,
    /// It is not true.
    FalsePositive,
    /// An earlier verdict is taken back.
    Withdrawn,
}

/// What somebody makes of findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingDecision {
    /// Of which: of each of them, or of none.
    pub findings: BTreeSet<Fingerprint>,
    /// What: accepted with `until`.
    pub verdict: FindingVerdict,
    /// Until when it is accepted.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
}

/// What became of findings that somebody decided about.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DecidedFindings {
    /// As they stand then, without evidence.
    pub findings: Vec<KnownFinding>,
    /// Of these somebody had decided later: nothing changed.
    pub decided_later: BTreeSet<Fingerprint>,
}

#[derive(Deserialize)]
struct Findings {
    findings: Vec<KnownFinding>,
    next: Option<FindingCursor>,
}

#[derive(Deserialize)]
struct EvidenceOfFinding {
    evidence: Vec<EvidenceRecord>,
}

impl Client {
    /// Findings, without evidence.
    pub async fn findings(
        &self,
        query: &FindingQuery,
    ) -> Result<Page<KnownFinding, FindingCursor>, ClientError> {
        let order = match query.order {
            FindingOrder::WorstFirst => "worst_first",
            FindingOrder::Fingerprint => "fingerprint",
        };
        let states = query.states.join(",").replace('-', "_");
        let request = self
            .get(&["findings"])
            .query("order", order)
            .query_if("scan", query.scan)
            .query_if("severity", query.severity)
            .query_if("check", query.check.as_ref())
            .query_if("state", (!states.is_empty()).then_some(states))
            .query_if("limit", query.limit)
            .query_if("after", query.after);
        request.answer().await.map(|Findings { findings, next }| Page { items: findings, next })
    }

    /// A finding and its history; its evidence if who asks may read it.
    pub async fn finding(&self, fingerprint: Fingerprint) -> Result<KnownFinding, ClientError> {
        self.get(&["findings", &fingerprint.to_string()]).answer().await
    }

    /// What is known of the evidence that the latest look at a finding has left.
    pub async fn evidence(&self, finding: Fingerprint) -> Result<Vec<EvidenceRecord>, ClientError> {
        let request = self.get(&["findings", &finding.to_string(), "evidence"]);
        request.answer().await.map(|EvidenceOfFinding { evidence }| evidence)
    }

    /// What was sent and what came back: hostile text.
    pub async fn one_evidence(&self, id: EvidenceId) -> Result<Evidence, ClientError> {
        self.get(&["evidence", &id.to_string()]).answer().await
    }

    /// Says what is made of findings.
    pub async fn decide(&self, decision: &FindingDecision) -> Result<DecidedFindings, ClientError> {
        self.post(&["findings", "decide"]).body(decision).answer().await
    }
}
