//! Markdown, for tickets and chats: what matters, evidence of one place a check, the account.

mod inline;

use std::{collections::BTreeSet, io};

use model::{Account, Asset, Finding, Severity, Summary};
use url::Url;

pub(crate) use self::inline::prose;
use self::inline::{block, code, phrase, sentence};
use crate::{
    ReportError, Source,
    digest::{Digest, Group},
    evidence::plain_excerpt,
    verdict::verdict,
    visible::beginning,
    words::{between, counted, grouped, moment},
};

/// Problems named on top.
const TOP: usize = 5;
/// Places listed of one check.
const PLACES: u64 = 20;
/// Bytes of a request and of a response.
const EVIDENCE: usize = 1_500;
/// Characters of a value.
const VALUE: usize = 300;
/// Services listed.
const SERVICES: usize = 50;
/// Entries of any other list.
const ENTRIES: usize = 50;

pub(crate) fn write(source: &Source<'_>, out: &mut dyn io::Write) -> Result<(), ReportError> {
    let digest = Digest::of(source)?;
    head(source.summary, &digest, out)?;
    if digest.findings > 0 {
        overview(&digest, out)?;
        findings(source, &digest, out)?;
    }
    services(source, out)?;
    account(source.summary, out)?;
    frame(source.summary, out)?;
    Ok(())
}

fn head(summary: &Summary, digest: &Digest, out: &mut dyn io::Write) -> io::Result<()> {
    let verdict = verdict(summary, digest);
    let number = verdict.number.map(|number| number + " ").unwrap_or_default();
    writeln!(out, "# {number}{}\n\n{}\n", verdict.headline, phrase(&verdict.explanation))?;
    for reservation in &verdict.reservations {
        writeln!(out, "- **Note:** {}", phrase(reservation))?;
    }
    writeln!(
        out,
        "\nScan {} by {}, {}, took {}. Targets: {}.\n",
        code(&summary.scan.to_string(), false),
        phrase(&summary.tool),
        moment(summary.started_at),
        between(summary.started_at, summary.ended_at),
        some_of(&summary.targets, summary.target_count),
    )
}

fn some_of(values: &[String], total: u64) -> String {
    let shown: Vec<String> = values.iter().take(10).map(|value| short(value, false)).collect();
    let more = total.saturating_sub(shown.len() as u64);
    let more = if more > 0 { format!(" and {} more", grouped(more)) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

fn short(text: &str, in_table: bool) -> String {
    match beginning(text, VALUE) {
        (whole, 0) => code(whole, in_table),
        (kept, left_out) => format!("{} ({left_out} more characters)", code(kept, in_table)),
    }
}

fn overview(digest: &Digest, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "| Severity | Findings |\n| --- | ---: |")?;
    for severity in Severity::DESCENDING.into_iter().filter(|severity| digest.count(*severity) > 0) {
        writeln!(out, "| {severity} | {} |", grouped(digest.count(severity)))?;
    }
    writeln!(out, "\n## What matters first\n")?;
    for (index, group) in digest.groups.iter().take(TOP).enumerate() {
        let more =
            if group.places > 1 { format!(" and {} more", grouped(group.places - 1)) } else { String::new() };
        let remedy =
            if group.remedy.is_empty() { String::new() } else { format!(" {}", sentence(&group.remedy)) };
        let place = short(&group.first_place, false);
        writeln!(
            out,
            "{}. **{}**: {} at {place}{more}.{remedy}",
            index + 1,
            group.severity,
            phrase(&group.name)
        )?;
    }
    Ok(())
}

fn findings(source: &Source<'_>, digest: &Digest, out: &mut dyn io::Write) -> Result<(), ReportError> {
    writeln!(out, "\n## Findings")?;
    let mut groups = digest.groups.iter().peekable();
    let mut place = 0;
    let mut exhibit: Option<Finding> = None;
    for finding in (source.findings)()? {
        let finding = finding?;
        if place > 0 && groups.peek().is_some_and(|group| group.holds(&finding)) {
            place += 1;
        } else {
            if place > 0
                && let Some(group) = groups.next()
            {
                end_group(group, exhibit.take(), out)?;
            }
            let Some(group) = groups.peek() else { break };
            place = 1;
            begin_group(group, &finding, out)?;
        }
        if place <= PLACES {
            let fingerprint = &finding.fingerprint;
            writeln!(
                out,
                "- {}{}{} (fingerprint `{fingerprint}`)",
                short(&finding.location.to_string(), false),
                addresses(&finding),
                extracted(&finding)
            )?;
        }
        if place == 1 {
            exhibit = Some(finding);
        }
    }
    if let Some(group) = groups.next() {
        end_group(group, exhibit.take(), out)?;
    }
    Ok(())
}

fn begin_group(group: &Group, finding: &Finding, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "\n### {}: {}\n", group.severity, phrase(&finding.name))?;
    let class = &finding.classification;
    let mut facts =
        vec![format!("Check {}", code(finding.check.as_str(), false)), finding.confidence.to_string()];
    facts.extend(class.cve.iter().chain(&class.cwe).map(|number| phrase(number)));
    facts.extend(class.cvss_score.map(|score| format!("CVSS {score:.1}")));
    writeln!(out, "{}\n", facts.join(", "))?;
    let parts = [
        ("", &finding.description),
        ("**Leads to:** ", &finding.impact),
        ("**How to fix:** ", &finding.remediation),
    ];
    for (label, text) in parts.iter().filter(|(_, text)| !text.trim().is_empty()) {
        writeln!(out, "{label}{}\n", prose(text))?;
    }
    let links: BTreeSet<&str> =
        finding.references.iter().map(String::as_str).filter(|text| is_link(text)).collect();
    for link in links.into_iter().take(ENTRIES) {
        // In angle brackets: what is left after the URL standard's encoding cannot end the link.
        if let Ok(url) = link.parse::<Url>() {
            writeln!(out, "- <{}>", String::from(url).replace(['<', '>', ' ', '\\', '`'], ""))?;
        }
    }
    writeln!(out, "\n**Where** ({}):\n", counted(group.places, "place", "places"))
}

fn is_link(text: &str) -> bool {
    text.parse::<Url>().is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

fn extracted(finding: &Finding) -> String {
    let values: Vec<String> = finding
        .extracted
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
        .take(6)
        .map(|(name, value)| match name.as_str() {
            "" => short(value, false),
            name => format!("{} {}", short(name, false), short(value, false)),
        })
        .collect();
    if values.is_empty() { String::new() } else { format!(": {}", values.join(", ")) }
}

fn end_group(group: &Group, exhibit: Option<Finding>, out: &mut dyn io::Write) -> io::Result<()> {
    if group.places > PLACES {
        writeln!(
            out,
            "\n{} of {} places are shown; all are in the JSON and CSV reports.",
            PLACES,
            grouped(group.places)
        )?;
    }
    let Some(finding) = exhibit else { return Ok(()) };
    writeln!(
        out,
        "\n**See it again** ({}):\n\n{}",
        short(&finding.location.to_string(), false),
        block(&finding.reproduce, "sh")
    )?;
    for evidence in finding.evidence.iter().take(2) {
        for (label, text, matched) in
            [("Request", &evidence.request, &[][..]), ("Response", &evidence.response, &evidence.matched[..])]
        {
            if !text.trim().is_empty() {
                writeln!(out, "{label}:\n\n{}", block(&plain_excerpt(text, matched, EVIDENCE), "text"))?;
            }
        }
        if !evidence.matched.is_empty() {
            writeln!(out, "Matched: {}\n", some_of(&evidence.matched, evidence.matched.len() as u64))?;
        }
    }
    Ok(())
}

/// The machines, where there are several.
fn addresses(finding: &Finding) -> String {
    match finding.addresses.as_slice() {
        [] | [_] => String::new(),
        several => {
            let shown: Vec<String> = several.iter().take(8).map(ToString::to_string).collect();
            format!(" at {}", shown.join(", "))
        }
    }
}

fn services(source: &Source<'_>, out: &mut dyn io::Write) -> Result<(), ReportError> {
    let mut listed = BTreeSet::new();
    let mut count = 0_u64;
    for asset in (source.assets)()? {
        if let Asset::Service(service) = asset? {
            count += 1;
            let product = [&service.product, &service.version].into_iter().flatten().map(|text| phrase(text));
            let tls = service.tls.as_ref().map(|tls| phrase(&tls.version)).unwrap_or_default();
            listed.insert((
                service.endpoint.clone(),
                format!(
                    "| {} | {} | {} | {tls} |",
                    code(&service.endpoint.to_string(), true),
                    phrase(&service.protocol.to_string()),
                    product.collect::<Vec<_>>().join(" "),
                ),
            ));
            if listed.len() > SERVICES {
                listed.pop_last();
            }
        }
    }
    if count > 0 {
        writeln!(
            out,
            "\n## Services ({})\n\n| Where | Protocol | Product | TLS |\n| --- | --- | --- | --- |",
            grouped(count)
        )?;
        for (_, row) in &listed {
            writeln!(out, "{row}")?;
        }
        if count > listed.len() as u64 {
            writeln!(out, "\n{} of {} are shown.", listed.len(), grouped(count))?;
        }
    }
    Ok(())
}

fn account(summary: &Summary, out: &mut dyn io::Write) -> io::Result<()> {
    let total: Account = summary.ledger.total();
    writeln!(out, "\n## What was looked at, and what was not\n\n| Looks | |\n| --- | ---: |")?;
    writeln!(out, "| planned | {} |\n| matched | {} |", grouped(total.planned), grouped(total.matched))?;
    writeln!(out, "| not matched | {} |", grouped(total.not_matched))?;
    for (reason, count) in &total.failed {
        writeln!(out, "| failed: {reason} | {} |", grouped(*count))?;
    }
    for (reason, count) in &total.skipped {
        writeln!(out, "| skipped: {reason} | {} |", grouped(*count))?;
    }
    let balance = if summary.ledger.balances() {
        "Every planned look ended exactly once."
    } else {
        "**The account does not balance:** some planned looks did not end."
    };
    writeln!(out, "\n{balance}\n")?;
    entries("could not be found out", &summary.undetermined, summary.undetermined_count, out)?;
    entries("were left out by the limits or the scope", &summary.left_out, summary.left_out_count, out)?;
    entries("checks could not be loaded", &summary.refused_checks, summary.refused_checks.len() as u64, out)
}

fn entries(what: &str, list: &[String], count: u64, out: &mut dyn io::Write) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    writeln!(out, "{} {what}:\n", grouped(count))?;
    for entry in list.iter().take(ENTRIES) {
        writeln!(out, "- {}", short(entry, false))?;
    }
    let more = count.saturating_sub(list.len().min(ENTRIES) as u64);
    if more > 0 {
        writeln!(out, "- and {} more", grouped(more))?;
    }
    writeln!(out)
}

fn frame(summary: &Summary, out: &mut dyn io::Write) -> io::Result<()> {
    let stages: Vec<&str> = summary.stages.iter().map(|stage| stage.as_str()).collect();
    writeln!(out, "## Scope\n")?;
    let authority = match &summary.authorised_by {
        Some(who) => format!("authorised by {}", short(who, false)),
        None => "no scope file: loopback only".to_owned(),
    };
    writeln!(out, "- {authority}\n- {}", short(&summary.scope, false))?;
    writeln!(
        out,
        "- profile {}, stages {}, {}; {} ({} shared), {}, {}",
        summary.profile,
        stages.join(", "),
        counted(summary.checks as u64, "check", "checks"),
        counted(summary.traffic.requests, "request", "requests"),
        grouped(summary.traffic.shared_requests),
        counted(summary.traffic.probes, "port probe", "port probes"),
        counted(summary.traffic.queries, "DNS query", "DNS queries"),
    )
}
