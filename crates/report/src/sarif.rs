//! SARIF 2.1.0 (OASIS, errata 01): one run, a rule for each check that matched, a result for each finding.
//!
//! Results are written before the tool's description, so that one pass suffices: members of a JSON object have no order, and the
//! rules are known once the last finding is.

mod place;
mod rule;

use std::{collections::BTreeMap, io};

use model::{CheckId, Finding, Severity, Summary};
use serde_json::{Value, json};

use self::{place::locations, rule::rule};
use crate::{
    ReportError, Source,
    json::{pretty, value},
    visible::{Shape, beginning, visible},
};

/// Characters of a request or a response that go into a result. Whole ones are in the JSON report.
const EVIDENCE: usize = 4_000;
/// Characters of any other text.
const TEXT: usize = 8_000;
/// Entries of the lists of what could not be found out.
const NOTIFICATIONS: usize = 1_000;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

pub(crate) fn write(source: &Source<'_>, out: &mut dyn io::Write) -> Result<(), ReportError> {
    write!(out, "{{\n\"$schema\": \"{SCHEMA}\",\n\"version\": \"2.1.0\",\n\"runs\": [{{\n\"results\": [")?;
    let mut indices: BTreeMap<CheckId, usize> = BTreeMap::new();
    let mut rules = Vec::new();
    let mut separator = "\n";
    for finding in (source.findings)()? {
        let finding = finding?;
        let index = match indices.get(&finding.check) {
            Some(index) => *index,
            None => {
                indices.insert(finding.check.clone(), rules.len());
                rules.push(rule(&finding));
                rules.len() - 1
            }
        };
        out.write_all(separator.as_bytes())?;
        value(&result(&finding, index), out)?;
        separator = ",\n";
    }
    out.write_all(b"\n],\n\"tool\": ")?;
    pretty(&json!({ "driver": driver(source.summary, rules) }), out)?;
    out.write_all(b",\n\"invocations\": ")?;
    pretty(&json!([invocation(source.summary)]), out)?;
    out.write_all(b",\n\"automationDetails\": ")?;
    value(&json!({ "id": format!("rampart/{}", source.summary.scan) }), out)?;
    out.write_all(b",\n\"columnKind\": \"unicodeCodePoints\",\n\"properties\": ")?;
    pretty(&json!({ "summary": source.summary }), out)?;
    out.write_all(b"\n}]\n}\n")?;
    Ok(())
}

fn driver(summary: &Summary, rules: Vec<Value>) -> Value {
    let version = summary.tool.split_whitespace().next_back().unwrap_or_default();
    json!({
        "name": "Rampart",
        "fullName": line(&summary.tool),
        "version": if version.is_empty() { "unknown".into() } else { line(version) },
        "rules": rules,
        "notifications": [
            { "id": "undetermined", "shortDescription": { "text": "Something could not be found out." } },
            { "id": "failed-checks", "shortDescription": { "text": "Checks that could not find out, by reason." } },
            { "id": "skipped-checks", "shortDescription": { "text": "Checks that did not look, by reason." } },
            { "id": "refused-check", "shortDescription": { "text": "A check could not be loaded." } },
            { "id": "incomplete", "shortDescription": { "text": "The scan did not finish." } },
        ],
    })
}

fn result(finding: &Finding, index: usize) -> Value {
    let name = visible(&finding.name, Shape::Line);
    let evidence: Vec<Value> = finding
        .evidence
        .iter()
        .map(|evidence| {
            json!({
                "request": cut(&evidence.request, EVIDENCE),
                "response": cut(&evidence.response, EVIDENCE),
                "matched": evidence.matched.iter().take(20).map(|piece| cut(piece, TEXT)).collect::<Vec<_>>(),
                "truncated": evidence.truncated,
            })
        })
        .collect();
    json!({
        "ruleId": rule::id(&finding.check),
        "ruleIndex": index,
        "kind": "fail",
        "level": level(finding.severity),
        "rank": rank(finding),
        "message": { "text": message(&format!("{name} at {}.", visible(&finding.location.to_string(), Shape::Line))) },
        "locations": locations(&finding.location),
        "partialFingerprints": { "rampart/v1": finding.fingerprint.to_string() },
        "properties": {
            "severity": finding.severity,
            "confidence": finding.confidence,
            "addresses": finding.addresses,
            "matcher": finding.matcher,
            "extracted": finding.extracted,
            "foundAt": finding.found_at,
            "reproduce": finding.reproduce,
            "evidence": evidence,
        },
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info | Severity::Unknown => "note",
    }
}

/// 0 to 100, for viewers that sort by it: severity first, confidence within.
fn rank(finding: &Finding) -> f64 {
    let severity = match finding.severity {
        Severity::Critical => 90.0,
        Severity::High => 70.0,
        Severity::Medium => 50.0,
        Severity::Low => 30.0,
        Severity::Info => 10.0,
        Severity::Unknown => 0.0,
    };
    severity
        + match finding.confidence {
            model::Confidence::Certain => 10.0,
            model::Confidence::Firm => 5.0,
            model::Confidence::Tentative => 0.0,
        }
}

fn invocation(summary: &Summary) -> Value {
    let note = |id: &str, level: &str, text: String| json!({ "descriptor": { "id": id }, "level": level, "message": { "text": message(&text) } });
    let total = summary.ledger.total();
    let mut execution = Vec::new();
    if !summary.complete {
        let because = summary.incomplete_because.as_deref().unwrap_or("no reason was noted");
        execution.push(note("incomplete", "error", format!("The scan did not finish: {}.", line(because))));
    }
    for (reason, count) in &total.failed {
        execution.push(note(
            "failed-checks",
            "warning",
            format!("{count} looks could not find out: {reason}."),
        ));
    }
    for (reason, count) in &total.skipped {
        execution.push(note("skipped-checks", "note", format!("{count} looks were skipped: {reason}.")));
    }
    for entry in summary.undetermined.iter().take(NOTIFICATIONS) {
        execution.push(note("undetermined", "warning", line(entry)));
    }
    let listed = summary.undetermined.len().min(NOTIFICATIONS) as u64;
    if summary.undetermined_count > listed {
        let more = summary.undetermined_count - listed;
        execution.push(note(
            "undetermined",
            "warning",
            format!("{more} more things could not be found out."),
        ));
    }
    let configuration: Vec<Value> = summary
        .refused_checks
        .iter()
        .take(NOTIFICATIONS)
        .map(|refused| note("refused-check", "warning", line(refused)))
        .collect();
    json!({
        "executionSuccessful": summary.complete,
        "startTimeUtc": summary.started_at,
        "endTimeUtc": summary.ended_at,
        "toolExecutionNotifications": execution,
        "toolConfigurationNotifications": configuration,
    })
}

/// A plain message (3.11): braces are placeholders and brackets links unless they are escaped.
fn message(text: &str) -> String {
    let (kept, left_out) = beginning(text, TEXT);
    let mut escaped = String::with_capacity(kept.len() + 8);
    for character in visible(kept, Shape::Block).chars() {
        match character {
            '{' => escaped.push_str("{{"),
            '}' => escaped.push_str("}}"),
            '[' | ']' | '\\' => escaped.extend(['\\', character]),
            character => escaped.push(character),
        }
    }
    if left_out > 0 {
        escaped.push('…');
    }
    escaped
}

fn line(text: &str) -> String {
    visible(beginning(text, TEXT).0, Shape::Line).into_owned()
}

fn cut(text: &str, characters: usize) -> String {
    match beginning(text, characters) {
        (whole, 0) => whole.to_owned(),
        (kept, left_out) => format!("{kept}… ({left_out} characters left out)"),
    }
}
