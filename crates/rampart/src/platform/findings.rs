//! `rampart finding`.

use std::process::ExitCode;

use anyhow::bail;
use client::{DecidedFindings, FindingVerdict};
use model::{
    CheckId, Finding, Topic,
    finding::{Decision, Life, Verdict},
};
use report::terminal;
use store::{FindingFilter, KnownFinding};

use super::{comments, operate, place::Place, print_json, print_table, put, short_time};
use crate::{
    cli::{self, FindingCommand, FindingDecideArguments, FindingListArguments, say},
    configuration::Whereabouts,
};

pub(super) fn finding(whereabouts: &Whereabouts, command: &FindingCommand) -> anyhow::Result<ExitCode> {
    operate(whereabouts, async |place| {
        match command {
            FindingCommand::List(asked) => list(&place, asked).await?,
            FindingCommand::Show { fingerprint, json } => {
                let known = place.finding(*fingerprint).await?;
                if *json { print_json(&known)? } else { show(&known)? }
            }
            FindingCommand::Decide(asked) => decide(&place, asked).await?,
            FindingCommand::Comment { fingerprint, comment } => {
                comments::comment(&place, Topic::Finding(*fingerprint), comment).await?;
            }
            FindingCommand::Comments { fingerprint, list } => {
                comments::list(&place, Topic::Finding(*fingerprint), list).await?;
            }
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

async fn list(place: &Place, asked: &FindingListArguments) -> anyhow::Result<()> {
    if let Some(scan) = asked.scan {
        // Of a scan that is not there nothing is listed, which looks as if it had found nothing.
        place.scan(scan).await?;
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
    let (found, next) = place.some_findings(filter, asked.limit).await?;
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
    if let Some(next) = next {
        say(&format!("there may be more: --after {next}\n"));
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

async fn decide(place: &Place, asked: &FindingDecideArguments) -> anyhow::Result<()> {
    let verdict = match (asked.verdict, asked.accepted_for) {
        (cli::Verdict::Accepted, Some(_)) => FindingVerdict::Accepted,
        (cli::Verdict::Triaged, None) => FindingVerdict::Triaged,
        (cli::Verdict::FalsePositive, None) => FindingVerdict::FalsePositive,
        (cli::Verdict::Withdrawn, None) => FindingVerdict::Withdrawn,
        (_, Some(_)) => bail!("--for says how long a finding is accepted: leave it out with another verdict"),
        (cli::Verdict::Accepted, None) => bail!("--for says how long they are accepted, such as --for 90d"),
    };
    let wanted = asked.fingerprints.iter().copied().collect();
    let decided =
        place.decide(wanted, verdict, asked.accepted_for, asked.by.as_deref(), &asked.reason).await?;
    let DecidedFindings { findings, decided_later } = decided;
    if asked.json {
        return print_json(&findings);
    }
    for known in findings {
        let (fingerprint, stands) = (known.finding.fingerprint, standing(&known.life));
        say(&match decided_later.contains(&fingerprint) {
            false => format!("{fingerprint}: {stands}\n"),
            true => format!("{fingerprint}: {stands}: somebody decided later than this\n"),
        });
    }
    Ok(())
}
