//! The one sentence on top.

use model::{Severity, Summary};

use crate::{
    digest::Digest,
    words::{counted, grouped},
};

/// Exposes data or access by itself: today.
pub(crate) const URGENT: [Severity; 2] = [Severity::Critical, Severity::High];
/// Hardening and helpers: plan it.
pub(crate) const PLANNED: [Severity; 2] = [Severity::Medium, Severity::Low];
/// Nothing to mend.
pub(crate) const FACTS: [Severity; 2] = [Severity::Info, Severity::Unknown];

/// What a report opens with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The number in front of the headline, when it starts with one.
    pub(crate) number: Option<String>,
    /// The rest of the headline.
    pub(crate) headline: &'static str,
    /// One or two sentences under it.
    pub(crate) explanation: String,
    /// What keeps the verdict from being the whole truth, one sentence each.
    pub(crate) reservations: Vec<String>,
}

/// Weighs the findings. Never says that anything is safe: a scan knows only what its checks saw.
pub(crate) fn verdict(summary: &Summary, digest: &Digest) -> Verdict {
    let [urgent, planned, facts] = [URGENT, PLANNED, FACTS].map(|severities| digest.problems(&severities));
    let places = |severities: &[Severity]| counted(digest.places(severities), "place", "places");
    let later = match (planned, facts) {
        (0, 0) => String::new(),
        (planned, 0) => format!(" {} more to plan for.", grouped(planned)),
        (0, facts) => format!(" {}.", counted(facts, "fact worth knowing", "facts worth knowing")),
        (planned, facts) => format!(
            " {} more to plan for, and {}.",
            grouped(planned),
            counted(facts, "fact worth knowing", "facts worth knowing")
        ),
    };
    let hosts = counted(digest.hosts.len() as u64, "host", "hosts");
    let (number, headline, explanation) = if urgent > 0 {
        let headline = if urgent == 1 { "thing to fix today" } else { "things to fix today" };
        (Some(grouped(urgent)), headline, format!("Seen in {}.{later}", places(&URGENT)))
    } else if planned > 0 {
        let headline = if planned == 1 { "thing to plan for" } else { "things to plan for" };
        let facts = match facts {
            0 => String::new(),
            facts => format!(" {} besides.", counted(facts, "fact worth knowing", "facts worth knowing")),
        };
        let explanation = format!(
            "Nothing of high or critical severity was found. Seen in {} on {hosts}.{facts}",
            places(&PLANNED)
        );
        (Some(grouped(planned)), headline, explanation)
    } else if facts > 0 {
        let headline = if facts == 1 { "fact worth knowing" } else { "facts worth knowing" };
        let explanation =
            format!("No check that asks for action matched. Seen in {} on {hosts}.", places(&FACTS));
        (Some(grouped(facts)), headline, explanation)
    } else {
        (None, "Nothing found", empty_explanation(summary))
    };
    Verdict { number, headline, explanation, reservations: reservations(summary) }
}

fn empty_explanation(summary: &Summary) -> String {
    let looked = summary.ledger.total();
    format!(
        "No check matched in {} looks by {}. That is what these checks could see at that time, not proof that nothing is \
         wrong: below is what was looked at, and what was not.",
        grouped(looked.matched + looked.not_matched),
        counted(summary.checks as u64, "check", "checks"),
    )
}

fn reservations(summary: &Summary) -> Vec<String> {
    let mut list = Vec::new();
    if !summary.complete {
        let because = summary.incomplete_because.as_deref().unwrap_or("no reason was noted");
        list.push(format!("The scan did not finish: {because}."));
    }
    let total = summary.ledger.total();
    if total.failed_total() > 0 {
        list.push(format!("{} could not find out.", counted(total.failed_total(), "look", "looks")));
    }
    if total.skipped_total() > 0 {
        list.push(format!("{} skipped.", counted(total.skipped_total(), "look was", "looks were")));
    }
    if summary.undetermined_count > 0 {
        let units = counted(summary.undetermined_count, "thing stays", "things stay");
        list.push(format!("{units} undetermined."));
    }
    if !summary.refused_checks.is_empty() {
        list.push(format!(
            "{} not loaded.",
            counted(summary.refused_checks.len() as u64, "check was", "checks were")
        ));
    }
    if !summary.ledger.balances() {
        list.push("The account does not balance: some planned looks did not end.".to_owned());
    }
    list
}
