//! `rampart finding`.

use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::SignedDuration;
use model::{
    CheckId, Finding,
    finding::{Decision, Life, Verdict},
};
use report::terminal;
use store::{FindingFilter, KnownFinding};

use super::{Desk, on_behalf_of, operate, print_json, print_table, put, short_time};
use crate::{
    cli::{self, FindingCommand, FindingDecideArguments, FindingListArguments, say},
    configuration::Configuration,
};

pub(super) fn finding(configuration: &Configuration, command: &FindingCommand) -> anyhow::Result<ExitCode> {
    operate(configuration, async |desk| {
        match command {
            FindingCommand::List(asked) => list(&desk, asked).await?,
            FindingCommand::Show { fingerprint, json } => {
                let known = desk.store.finding(desk.tenant().await?, *fingerprint).await?;
                if *json { print_json(&known)? } else { show(&known)? }
            }
            FindingCommand::Decide(asked) => decide(&desk, asked).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Where it stands, and until or since when.
pub(super) fn standing(life: &Life) -> String {
    let word = life.word();
    match life {
        Life::Open | Life::Triaged | Life::FalsePositive => word.to_owned(),
        Life::Accepted { until } => format!("{word} until {}", short_time(*until)),
        Life::Fixed { since } => format!("{word} since {}", short_time(*since)),
        Life::Reopened { after } => format!("{word}, was gone on {}", short_time(*after)),
    }
}

async fn list(desk: &Desk, asked: &FindingListArguments) -> anyhow::Result<()> {
    let tenant = desk.tenant().await?;
    if let Some(scan) = asked.scan {
        // Of a scan that is not there nothing is listed, which looks as if it had found nothing.
        desk.store.scan(tenant, scan).await?;
    }
    let states = Life::WORDS.into_iter().filter(|word| asked.states.iter().any(|asked| asked == word));
    let filter = FindingFilter {
        scan: asked.scan,
        at_least: asked.severity,
        check: asked.check.as_deref().map(CheckId::new),
        states: states.collect(),
        worst_first: true,
        after: asked.after,
    };
    let found = desk.store.findings(tenant, filter, asked.limit).await?;
    if asked.json {
        return print_json(&found);
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|known| {
            let Finding { fingerprint, severity, check, location, .. } = &known.finding;
            vec![
                fingerprint.to_string(),
                severity.to_string(),
                known.life.word().to_owned(),
                short_time(known.history.last_seen),
                check.to_string(),
                location.to_string(),
            ]
        })
        .collect();
    print_table(&["FINGERPRINT", "SEVERITY", "STATE", "LAST SEEN", "CHECK", "WHERE"], &rows)?;
    if let Some(last) = found.last().filter(|_| found.len() == asked.limit) {
        say(&format!("there may be more: --after {}\n", last.finding.fingerprint));
    }
    Ok(())
}

fn show(known: &KnownFinding) -> anyhow::Result<()> {
    let (finding, history) = (&known.finding, &known.history);
    let class = &finding.classification;
    let machines: Vec<String> = finding.addresses.iter().map(ToString::to_string).collect();
    let mut rows = vec![
        ("finding", finding.name.clone()),
        ("fingerprint", finding.fingerprint.to_string()),
        ("severity", format!("{}, {}", finding.severity, finding.confidence)),
        ("check", finding.check.to_string()),
        ("where", finding.location.to_string()),
        ("machines", machines.join(" ")),
        ("known as", class.cve.iter().chain(&class.cwe).cloned().collect::<Vec<_>>().join(" ")),
        ("state", standing(&known.life)),
        ("first seen", short_time(history.first_seen)),
        ("last seen", short_time(history.last_seen)),
        ("last missed", history.last_missed.map(short_time).unwrap_or_default()),
    ];
    if let Some(Decision { at, verdict }) = history.decision {
        let by = known.decided_by.as_deref().unwrap_or("somebody");
        rows.push(("decided", format!("{} on {} by {by}", word(verdict), short_time(at))));
        rows.push(("because", known.decided_because.clone().unwrap_or_default()));
    }
    let rows = rows.into_iter().filter(|(_, value)| !value.is_empty());
    let rows: Vec<Vec<String>> = rows.map(|(name, value)| vec![name.to_owned(), value]).collect();
    print_table(&["", ""], &rows)?;
    put(&terminal::finding_details(finding))
}

fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Accepted { until } => format!("accepted until {}", short_time(until)),
        other => other.to_string(),
    }
}

async fn decide(desk: &Desk, asked: &FindingDecideArguments) -> anyhow::Result<()> {
    let tenant = desk.tenant().await?;
    let at = desk.store.clock().await?;
    let verdict = match (asked.verdict, asked.accepted_for) {
        (cli::Verdict::Accepted, Some(length)) => {
            Verdict::Accepted { until: at.saturating_add(SignedDuration::try_from(length)?)? }
        }
        (cli::Verdict::Triaged, None) => Verdict::Triaged,
        (cli::Verdict::FalsePositive, None) => Verdict::FalsePositive,
        (cli::Verdict::Withdrawn, None) => Verdict::Withdrawn,
        (_, Some(_)) => bail!("--for says how long a finding is accepted: leave it out with another verdict"),
        (cli::Verdict::Accepted, None) => bail!("--for says how long they are accepted, such as --for 90d"),
    };
    let decision = Decision { at, verdict };
    let (by, reason) = (on_behalf_of(asked.by.as_deref()), asked.reason.clone());
    let wanted = asked.fingerprints.iter().copied().collect();
    let decided = desk.store.decide(tenant, wanted, decision, by, reason).await;
    let decided = decided.context("nothing is decided")?;
    if asked.json {
        return print_json(&decided);
    }
    for known in decided {
        let (fingerprint, stands) = (known.finding.fingerprint, standing(&known.life));
        say(&match known.history.decision == Some(decision) {
            true => format!("{fingerprint}: {stands}\n"),
            false => format!("{fingerprint}: {stands}: somebody decided later than this\n"),
        });
    }
    Ok(())
}
