//! Lines for a terminal. Pure text: whoever prints decides on colours and where to.

mod details;

use std::{borrow::Cow, fmt::Write as _};

use model::{Confidence, Finding, Severity, Summary};

pub use self::details::finding_details;
use crate::{
    verdict::{PLANNED, URGENT},
    visible::{Shape, beginning, visible},
    words::{between, counted, grouped},
};

/// Characters shown of one value that a target sent.
const VALUE: usize = 120;
/// Values shown of one finding.
const VALUES: usize = 6;

/// Makes hostile text harmless on one line of a terminal: control characters, escape sequences, newlines, bidirectional and
/// invisible characters are shown as `\x1b`, `\n`, `\u{202e}`.
pub fn sanitise(text: &str) -> Cow<'_, str> {
    visible(text, Shape::Line)
}

/// Sets of SGR parameters (ECMA-48, 8.3.117); the sixteen colours, so that they follow the user's theme.
#[derive(Clone, Copy)]
struct Paint(&'static str);

const BOLD: Paint = Paint("1");
const DIM: Paint = Paint("2");
const CYAN: Paint = Paint("36");

impl Paint {
    fn of(severity: Severity) -> Paint {
        Paint(match severity {
            Severity::Critical => "1;95",
            Severity::High => "1;91",
            Severity::Medium => "93",
            Severity::Low => "94",
            Severity::Info => "36",
            Severity::Unknown => "90",
        })
    }

    fn on(self, text: &str, color: bool) -> String {
        if color && !text.is_empty() { format!("\x1b[{}m{text}\x1b[0m", self.0) } else { text.to_owned() }
    }
}

/// One finding on one line: severity, where, what, the values it extracted, and the check to ask about.
pub fn finding_line(finding: &Finding, color: bool) -> String {
    let mut line = format!(
        "{} {}  {}",
        Paint::of(finding.severity).on(&format!("{:<8}", finding.severity), color),
        BOLD.on(&value(&finding.location.to_string()), color),
        sanitise(&finding.name),
    );
    let mut values =
        finding.extracted.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    for (name, extracted) in values.by_ref().take(VALUES) {
        let text =
            if name.is_empty() { value(extracted) } else { format!("{}={}", value(name), value(extracted)) };
        let _ = write!(line, "  {}", CYAN.on(&format!("[{text}]"), color));
    }
    let more = values.count();
    if more > 0 {
        let _ = write!(line, "  {}", CYAN.on(&format!("[{more} more]"), color));
    }
    if finding.confidence == Confidence::Tentative {
        line.push_str("  (tentative)");
    }
    let check = match &finding.matcher {
        Some(matcher) => format!("{}:{}", value(finding.check.as_str()), value(matcher)),
        None => value(finding.check.as_str()),
    };
    let _ = write!(line, "  {}", DIM.on(&check, color));
    line
}

fn value(text: &str) -> String {
    let (kept, left_out) = beginning(text, VALUE);
    if left_out > 0 { format!("{}…", sanitise(kept)) } else { sanitise(kept).into_owned() }
}

/// What a scan ends with: findings by severity, what was looked at, and what could not be found out. Ends in a newline.
pub fn summary_table(summary: &Summary, color: bool) -> String {
    let count = |severity: &Severity| summary.findings.get(severity).copied().unwrap_or_default();
    let sum = |severities: &[Severity]| severities.iter().map(count).sum::<u64>();
    let mut text = String::new();
    let headline = match (sum(&URGENT), sum(&PLANNED), summary.findings.values().sum::<u64>()) {
        (0, 0, 0) => "Nothing found by these checks".to_owned(),
        (0, 0, facts) => counted(facts, "fact worth knowing", "facts worth knowing"),
        (0, planned, _) => format!("Nothing urgent; {} to plan for", counted(planned, "finding", "findings")),
        (urgent, ..) => format!("{} to act on today", counted(urgent, "finding", "findings")),
    };
    let _ = writeln!(text, "{}", BOLD.on(&headline, color));
    let by_severity: Vec<String> = Severity::DESCENDING
        .into_iter()
        .filter(|severity| count(severity) > 0)
        .map(|severity| Paint::of(severity).on(&format!("{} {severity}", grouped(count(&severity))), color))
        .collect();
    let mut row = |label: &str, content: &str| {
        if !content.is_empty() {
            let _ = writeln!(text, "  {}  {content}", DIM.on(&format!("{label:<12}"), color));
        }
    };
    row("findings", &by_severity.join("  "));
    let assets: Vec<String> = summary
        .assets
        .iter()
        .map(|(kind, count)| format!("{} {}", grouped(*count), plural(kind, *count)))
        .collect();
    row("seen", &assets.join("  "));
    let total = summary.ledger.total();
    row(
        "looks",
        &format!(
            "{} planned = {} matched + {} not matched + {} failed + {} skipped{}",
            grouped(total.planned),
            grouped(total.matched),
            grouped(total.not_matched),
            grouped(total.failed_total()),
            grouped(total.skipped_total()),
            if summary.ledger.balances() { "" } else { "  (does not balance)" },
        ),
    );
    let reasons = |reasons: Vec<String>| reasons.join(", ");
    row(
        "failed",
        &reasons(total.failed.iter().map(|(why, count)| format!("{} {why}", grouped(*count))).collect()),
    );
    row(
        "skipped",
        &reasons(total.skipped.iter().map(|(why, count)| format!("{} {why}", grouped(*count))).collect()),
    );
    if summary.undetermined_count > 0 {
        let undetermined = counted(summary.undetermined_count, "thing could", "things could");
        row("undetermined", &format!("{undetermined} not be found out"));
    }
    if !summary.refused_checks.is_empty() {
        row(
            "refused",
            &counted(summary.refused_checks.len() as u64, "check was not loaded", "checks were not loaded"),
        );
    }
    row(
        "sent",
        &format!(
            "{} ({} shared), {}, {}",
            counted(summary.traffic.requests, "request", "requests"),
            grouped(summary.traffic.shared_requests),
            counted(summary.traffic.probes, "port probe", "port probes"),
            counted(summary.traffic.queries, "DNS query", "DNS queries"),
        ),
    );
    row("took", &between(summary.started_at, summary.ended_at));
    if !summary.complete {
        let because = summary.incomplete_because.as_deref().unwrap_or("no reason was noted");
        row("unfinished", &Paint::of(Severity::Medium).on(&sanitise(because), color));
    }
    text
}

fn plural(kind: &str, count: u64) -> String {
    let kind = value(kind);
    if count == 1 { kind } else { format!("{kind}s") }
}
