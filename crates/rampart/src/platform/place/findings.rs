//! Findings, wherever they are.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Context;
use client::{DecidedFindings, FindingDecision, FindingOrder, FindingQuery, FindingVerdict};
use jiff::SignedDuration;
use model::{
    Fingerprint,
    finding::{Decision, Verdict},
    list::FindingCursor,
    record::KnownFinding,
};
use store::FindingFilter;

use super::{Place, on_behalf_of, refuse_person, some_pages};

impl Place {
    pub(in crate::platform) async fn findings(
        &self,
        filter: FindingFilter,
        at_most: usize,
    ) -> anyhow::Result<Vec<KnownFinding>> {
        Ok(self.some_findings(filter, at_most).await?.0)
    }

    /// The same, and behind which there may be more.
    pub(in crate::platform) async fn some_findings(
        &self,
        filter: FindingFilter,
        at_most: usize,
    ) -> anyhow::Result<(Vec<KnownFinding>, Option<FindingCursor>)> {
        match self {
            Place::Here(desk) => {
                let tenant = desk.tenant().await?;
                Ok(desk.store.look_for_findings(tenant, filter, at_most, usize::MAX).await?)
            }
            Place::There(client) => {
                let FindingFilter { scan, at_least, check, states, worst_first, after } = filter;
                let order = if worst_first { FindingOrder::WorstFirst } else { FindingOrder::Fingerprint };
                let query = FindingQuery {
                    scan,
                    severity: at_least,
                    check,
                    states,
                    order,
                    ..FindingQuery::default()
                };
                let ask = async |limit, after| {
                    client.findings(&FindingQuery { limit: Some(limit), after, ..query.clone() }).await
                };
                some_pages(at_most, after, ask).await
            }
        }
    }

    pub(in crate::platform) async fn finding(&self, which: Fingerprint) -> anyhow::Result<KnownFinding> {
        Ok(match self {
            Place::Here(desk) => desk.store.finding(desk.tenant().await?, which).await?,
            Place::There(client) => client.finding(which).await?,
        })
    }

    /// Says what is made of findings: `length` is how long they are accepted.
    pub(in crate::platform) async fn decide(
        &self,
        findings: BTreeSet<Fingerprint>,
        verdict: FindingVerdict,
        length: Option<Duration>,
        by: Option<&str>,
        reason: &str,
    ) -> anyhow::Result<DecidedFindings> {
        let at = self.clock().await?;
        let until = match length {
            Some(length) => Some(at.saturating_add(SignedDuration::try_from(length)?)?),
            None => None,
        };
        let decided = match self {
            Place::Here(desk) => {
                let verdict = match verdict {
                    FindingVerdict::Triaged => Verdict::Triaged,
                    FindingVerdict::Accepted => Verdict::Accepted { until: until.unwrap_or(at) },
                    FindingVerdict::FalsePositive => Verdict::FalsePositive,
                    FindingVerdict::Withdrawn => Verdict::Withdrawn,
                };
                let (tenant, by, reason) = (desk.tenant().await?, on_behalf_of(by), reason.to_owned());
                let decision = Decision { at, verdict };
                let decided = desk.store.decide(tenant, findings, decision, by, reason).await;
                decided.map_err(anyhow::Error::from).map(|findings| {
                    let later = findings.iter().filter(|known| known.history.decision != Some(decision));
                    let decided_later = later.map(|known| known.finding.fingerprint).collect();
                    DecidedFindings { findings, decided_later }
                })
            }
            Place::There(client) => {
                refuse_person(by)?;
                let decision = FindingDecision { findings, verdict, until, reason: reason.to_owned() };
                client.decide(&decision).await.map_err(Into::into)
            }
        };
        decided.context("nothing is decided")
    }
}
