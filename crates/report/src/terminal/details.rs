//! One finding, as somebody reads it who is to decide about it.

use std::fmt::Write as _;

use model::Finding;

use super::sanitise;
use crate::{
    evidence::plain_excerpt,
    visible::{Shape, visible},
};

/// Bytes shown of one request or response.
const EVIDENCE: usize = 4_000;

/// What it is, what it leads to, how to mend it, what was sent and what came back. What a target sent is indented: no line of it can
/// pass for one of ours. Ends in a newline.
pub fn finding_details(finding: &Finding) -> String {
    let mut text = String::new();
    let parts =
        [("", &finding.description), ("leads to: ", &finding.impact), ("how to fix: ", &finding.remediation)];
    for (label, part) in parts.iter().filter(|(_, part)| !part.trim().is_empty()) {
        let _ = writeln!(text, "{label}{}", sanitise(part.trim()));
    }
    for reference in &finding.references {
        let _ = writeln!(text, "see {}", sanitise(reference));
    }
    for (name, values) in &finding.extracted {
        for value in values {
            let name = if name.is_empty() { "extracted" } else { name };
            let _ = writeln!(text, "{}:\n{}", sanitise(name), indented(value));
        }
    }
    if !finding.reproduce.is_empty() {
        let _ = writeln!(text, "see it again:\n{}", indented(&finding.reproduce));
    }
    for evidence in &finding.evidence {
        for (label, part, matched) in
            [("request", &evidence.request, &[][..]), ("response", &evidence.response, &evidence.matched[..])]
        {
            if !part.trim().is_empty() {
                let _ = writeln!(text, "{label}:\n{}", indented(&plain_excerpt(part, matched, EVIDENCE)));
            }
        }
        for matched in &evidence.matched {
            let _ = writeln!(text, "matched:\n{}", indented(matched));
        }
        if evidence.truncated {
            text.push_str("only a part of the evidence is kept\n");
        }
    }
    text
}

fn indented(text: &str) -> String {
    let lines: Vec<String> =
        visible(text.trim_end(), Shape::Block).lines().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}
