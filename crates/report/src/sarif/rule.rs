//! A check as a SARIF rule.

use std::{collections::BTreeSet, fmt::Write as _};

use model::{CheckId, Confidence, Finding, Severity};
use serde_json::{Value, json};
use url::Url;

use super::{level, line, message, place::uri};
use crate::{
    markdown::prose,
    visible::{Shape, visible},
};

/// Rule ids must not be empty and are shown in one line.
pub(super) fn id(check: &CheckId) -> String {
    match line(check.as_str()) {
        id if id.is_empty() => "unnamed".to_owned(),
        id => id,
    }
}

/// What the finding's check says about itself.
pub(super) fn rule(finding: &Finding) -> Value {
    let description = if finding.description.is_empty() { &finding.name } else { &finding.description };
    let mut rule = json!({
        "id": id(&finding.check),
        "name": line(&finding.name),
        "shortDescription": { "text": message(&finding.name) },
        "fullDescription": { "text": message(description) },
        "help": { "text": help_text(finding), "markdown": help_markdown(finding) },
        "defaultConfiguration": { "level": level(finding.severity) },
        "properties": {
            "tags": tags(finding),
            "precision": match finding.confidence {
                Confidence::Certain => "very-high",
                Confidence::Firm => "high",
                Confidence::Tentative => "medium",
            },
            "security-severity": score(finding),
            "severity": finding.severity,
        },
    });
    if let Some(reference) = links(finding).next() {
        rule["helpUri"] = uri(&reference).into();
    }
    rule
}

fn links(finding: &Finding) -> impl Iterator<Item = Url> {
    finding
        .references
        .iter()
        .filter_map(|reference| reference.parse::<Url>().ok())
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Code hosts sort by it: the CVSS score where the check has one, else the middle of the severity's CVSS band.
fn score(finding: &Finding) -> String {
    let band = match finding.severity {
        Severity::Critical => 9.5,
        Severity::High => 8.0,
        Severity::Medium => 5.5,
        Severity::Low => 3.0,
        Severity::Info | Severity::Unknown => 0.0,
    };
    let score =
        finding.classification.cvss_score.filter(|score| (0.0..=10.0).contains(score)).unwrap_or(band);
    format!("{score:.1}")
}

fn tags(finding: &Finding) -> BTreeSet<String> {
    let cwe = finding
        .classification
        .cwe
        .iter()
        .map(|cwe| format!("external/cwe/{}", line(cwe).to_ascii_lowercase()));
    let cve = finding.classification.cve.iter().map(|cve| line(cve));
    let own = finding.tags.iter().map(|tag| line(tag));
    std::iter::once("security".to_owned())
        .chain(own)
        .chain(cwe)
        .chain(cve)
        .filter(|tag| !tag.is_empty())
        .collect()
}

fn help_text(finding: &Finding) -> String {
    let parts =
        [("", &finding.description), ("Impact: ", &finding.impact), ("How to fix: ", &finding.remediation)];
    let text: Vec<String> = parts
        .iter()
        .filter(|(_, text)| !text.trim().is_empty())
        .map(|(label, text)| format!("{label}{}", visible(text.trim(), Shape::Block)))
        .collect();
    let text = if text.is_empty() { finding.name.clone() } else { text.join("\n\n") };
    message(&text)
}

fn help_markdown(finding: &Finding) -> String {
    let mut text = String::new();
    for (heading, part) in [
        ("What it is", &finding.description),
        ("What it leads to", &finding.impact),
        ("How to fix", &finding.remediation),
    ] {
        if !part.trim().is_empty() {
            let _ = write!(text, "**{heading}**\n\n{}\n\n", prose(part));
        }
    }
    for link in links(finding) {
        let _ = writeln!(text, "- <{}>", uri(&link));
    }
    if text.trim().is_empty() { prose(&finding.name) } else { text.trim_end().to_owned() }
}
