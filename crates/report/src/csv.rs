//! CSV (RFC 4180): findings as rows, for spreadsheets.
//!
//! - Begins with a UTF-8 byte order mark. Spreadsheets take CSV without one for the machine's old code page and garble every
//!   other script; readers made for programs skip it. Programs are better off with JSON Lines anyway.
//! - Every cell is quoted, lines end in CRLF.
//! - A cell that a spreadsheet would take for a formula gets a leading apostrophe. The same goes for a later place in a cell where
//!   a spreadsheet with another separator (`;` or tab, a matter of its language) would begin a new cell.
//! - Characters that act are made visible ([`crate::visible`]); longer cells than spreadsheets take are cut, and say so.
//! - Several values in one cell stand on a line each.

use std::io;

use model::{Evidence, Finding, Location};

use crate::{
    ReportError, Source,
    digest::host_of,
    visible::{Shape, beginning, visible},
};

/// Spreadsheets hold 32,767 characters in a cell.
const CELL: usize = 32_000;

const HEADER: [&str; 21] = [
    "severity",
    "confidence",
    "name",
    "host",
    "location",
    "location_kind",
    "addresses",
    "check",
    "matcher",
    "extracted",
    "matched",
    "description",
    "impact",
    "remediation",
    "references",
    "cve",
    "cwe",
    "cvss_score",
    "reproduce",
    "found_at",
    "fingerprint",
];

pub(crate) fn write(source: &Source<'_>, out: &mut dyn io::Write) -> Result<(), ReportError> {
    out.write_all("\u{feff}".as_bytes())?;
    row(&HEADER.map(str::to_owned), out)?;
    for finding in (source.findings)()? {
        row(&cells(&finding?), out)?;
    }
    Ok(())
}

fn cells(finding: &Finding) -> [String; HEADER.len()] {
    let kind = match finding.location {
        Location::Domain(_) => "domain",
        Location::Service(_) => "service",
        Location::Url(_) => "url",
    };
    let extracted = finding.extracted.iter().flat_map(|(name, values)| {
        values
            .iter()
            .map(move |value| if name.is_empty() { value.clone() } else { format!("{name}: {value}") })
    });
    let matched = finding.evidence.iter().flat_map(|Evidence { matched, .. }| matched.iter().cloned());
    [
        finding.severity.to_string(),
        finding.confidence.to_string(),
        finding.name.clone(),
        host_of(&finding.location),
        finding.location.to_string(),
        kind.to_owned(),
        lines(finding.addresses.iter().map(ToString::to_string)),
        finding.check.to_string(),
        finding.matcher.clone().unwrap_or_default(),
        lines(extracted),
        lines(matched),
        finding.description.clone(),
        finding.impact.clone(),
        finding.remediation.clone(),
        lines(finding.references.iter().cloned()),
        lines(finding.classification.cve.iter().cloned()),
        lines(finding.classification.cwe.iter().cloned()),
        finding.classification.cvss_score.map(|score| score.to_string()).unwrap_or_default(),
        finding.reproduce.clone(),
        finding.found_at.to_string(),
        finding.fingerprint.to_string(),
    ]
}

fn lines(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join("\n")
}

fn row(cells: &[String; HEADER.len()], out: &mut dyn io::Write) -> io::Result<()> {
    for (index, cell) in cells.iter().enumerate() {
        out.write_all(if index == 0 { b"\"" } else { b",\"" })?;
        out.write_all(harmless(cell).replace('"', "\"\"").as_bytes())?;
        out.write_all(b"\"")?;
    }
    out.write_all(b"\r\n")
}

/// The text as it may stand in a cell.
fn harmless(text: &str) -> String {
    let (kept, left_out) = beginning(text, CELL);
    let shown = visible(kept, Shape::Block);
    let mut cell = String::with_capacity(shown.len() + 8);
    let mut at_start = true;
    for character in shown.chars() {
        if at_start && starts_formula(character) {
            cell.push('\'');
        }
        at_start = match character {
            ';' | '\t' | '\n' => true,
            // Some importers trim before they look for a formula, and take quotes off.
            blank if blank.is_whitespace() || matches!(blank, '"' | '\'') => at_start,
            _ => false,
        };
        cell.push(character);
    }
    if left_out > 0 {
        cell.push_str(&format!("… ({left_out} characters left out)"));
    }
    cell
}

/// The characters of a formula, and the full-width forms that some spreadsheets fold to them.
fn starts_formula(character: char) -> bool {
    matches!(
        character,
        '=' | '+'
            | '-'
            | '@'
            | '\t'
            | '\u{ff1d}'
            | '\u{ff0b}'
            | '\u{ff0d}'
            | '\u{ff20}'
            | '\u{2212}'
            | '|'
            | '%'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_in_any_language() {
        let table = [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t'=1"),
            ("\r=1", "\\r=1"),
            ("  =1", "  '=1"),
            ("\"=1", "\"'=1"),
            ("＝1", "'＝1"),
            ("a;=1", "a;'=1"),
            ("a\r\n=1", "a\n'=1"),
            ("a=1, b-2", "a=1, b-2"),
            ("\u{200b}=1", "\\u{200b}=1"),
        ];
        for (given, cell) in table {
            assert_eq!(harmless(given), cell, "{given:?}");
        }
    }

    #[test]
    fn a_long_cell_is_cut_and_says_so() {
        assert!(harmless(&"x".repeat(40_000)).ends_with("x… (8000 characters left out)"));
    }
}
