//! `info`: what people read about a check.

use std::collections::BTreeMap;

use model::{Confidence, Severity, finding::Classification};

use super::{
    Info,
    fields::{Fields, Report},
};
use crate::{
    diagnostic::{DiagnosticCode, Position},
    yaml::{Kind, Node},
};

pub(super) fn read(template: &Fields<'_>, report: &Report) -> Option<Info> {
    let Some(node) = template.get("info") else {
        template.missing("info");
        return None;
    };
    let fields = Fields::new(node, "`info`", report)?;
    let name = fields.required_text("name");
    let severity = severity(&fields, report);
    let metadata = metadata(&fields, report);
    let confidence = confidence(&metadata, fields.position_of("metadata"), report);
    let references = fields.texts("reference").into_iter().map(|(text, _)| text.trim().to_owned());
    let info = Info {
        name: name.unwrap_or_default(),
        author: words(&fields, "author"),
        severity: severity.unwrap_or(Severity::Unknown),
        confidence,
        description: fields.text("description").unwrap_or_default().trim().to_owned(),
        impact: fields.text("impact").unwrap_or_default().trim().to_owned(),
        remediation: fields.text("remediation").unwrap_or_default().trim().to_owned(),
        references: references.filter(|text| !text.is_empty()).collect(),
        tags: words(&fields, "tags").into_iter().map(|tag| tag.to_ascii_lowercase()).collect(),
        classification: classification(&fields, report),
        metadata,
    };
    fields.finish();
    Some(info)
}

fn severity(fields: &Fields<'_>, report: &Report) -> Option<Severity> {
    let word = fields.required_text("severity")?;
    if word.trim().eq_ignore_ascii_case("undefined") {
        return Some(Severity::Unknown);
    }
    match word.parse() {
        Ok(severity) => Some(severity),
        Err(error) => {
            report.add(fields.position_of("severity"), DiagnosticCode::InvalidValue, error.to_string());
            None
        }
    }
}

/// A list, or one text with commas.
fn words(fields: &Fields<'_>, name: &str) -> Vec<String> {
    let split = |(text, _): (&str, Position)| -> Vec<String> {
        text.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
    };
    fields.texts(name).into_iter().flat_map(split).collect()
}

/// Anything may stand there; lists become text with commas.
fn metadata(fields: &Fields<'_>, report: &Report) -> BTreeMap<String, String> {
    let Some(node) = fields.get("metadata") else { return BTreeMap::new() };
    let Kind::Mapping(entries) = &node.kind else {
        report.wrong_type(node, "`metadata`", "a mapping of names to values");
        return BTreeMap::new();
    };
    entries.iter().map(|(key, value)| (key.text.clone(), flat(value))).collect()
}

fn flat(node: &Node) -> String {
    match &node.kind {
        Kind::Scalar { text, .. } => text.trim().to_owned(),
        Kind::Sequence(items) => items.iter().map(flat).collect::<Vec<_>>().join(", "),
        Kind::Mapping(entries) => {
            let pair = |(key, value): &(crate::yaml::Key, Node)| format!("{}: {}", key.text, flat(value));
            entries.iter().map(pair).collect::<Vec<_>>().join(", ")
        }
    }
}

fn confidence(metadata: &BTreeMap<String, String>, at: Position, report: &Report) -> Confidence {
    let Some(word) = metadata.get("confidence") else { return Confidence::Firm };
    for confidence in [Confidence::Tentative, Confidence::Firm, Confidence::Certain] {
        if word.eq_ignore_ascii_case(confidence.as_str()) {
            return confidence;
        }
    }
    let message = format!("`metadata.confidence` cannot be `{word}`");
    let hint = "use tentative, firm or certain";
    report.add_with_hint(at, DiagnosticCode::InvalidValue, message, hint);
    Confidence::Firm
}

fn classification(info: &Fields<'_>, report: &Report) -> Classification {
    let Some(node) = info.get("classification") else { return Classification::default() };
    let Some(fields) = Fields::new(node, "`classification`", report) else {
        return Classification::default();
    };
    let upper = |words: Vec<String>| words.into_iter().map(|word| word.to_ascii_uppercase()).collect();
    let score = fields.text("cvss-score").filter(|text| !text.trim().is_empty());
    let cvss_score = score.and_then(|text| match text.trim().parse::<f64>() {
        Ok(score) if (0.0..=10.0).contains(&score) => Some(score),
        _ => {
            let message = format!("`cvss-score` must be a number from 0 to 10, not `{text}`");
            report.add(fields.position_of("cvss-score"), DiagnosticCode::InvalidValue, message);
            None
        }
    });
    let classification = Classification {
        cve: upper(words(&fields, "cve-id")),
        cwe: upper(words(&fields, "cwe-id")),
        cvss_metrics: fields.text("cvss-metrics").filter(|text| !text.trim().is_empty()),
        cvss_score,
    };
    // They change daily or are no concern of a finding.
    for name in ["epss-score", "epss-percentile", "cpe"] {
        fields.accept(name);
    }
    fields.finish();
    classification
}
