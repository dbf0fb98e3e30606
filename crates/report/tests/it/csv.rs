//! CSV by its own grammar, and by what spreadsheets make of it.

use report::{
    Format,
    visible::{Shape, visible},
};

use crate::{estate::Estate, reports::report};

#[test]
fn a_row_for_each_finding_under_a_header() {
    let estate = Estate::full();
    let text = report(Format::Csv, &estate);
    reads_back(&text, &estate);
    let rows = parse(&text);
    assert_eq!(rows[0][..5], ["severity", "confidence", "name", "host", "location"]);
    assert_eq!(
        rows[1][..5],
        [
            "critical",
            "certain",
            "Redis answers without a password",
            "cache.shop.test",
            "cache.shop.test:6379"
        ]
    );
    assert_eq!(parse(&report(Format::Csv, &Estate::empty())).len(), 1);
}

/// Every cell as it was, but for apostrophes, for characters made visible and for what is cut off; and none a formula.
pub(crate) fn reads_back(text: &str, estate: &Estate) {
    let rows = parse(text);
    let (header, rows) = rows.split_first().unwrap();
    assert_eq!(rows.len(), estate.findings.len());
    let column = |name: &str| header.iter().position(|cell| cell == name).unwrap();
    for (row, finding) in rows.iter().zip(&estate.findings) {
        assert_eq!(row.len(), header.len());
        for (name, value) in [
            ("severity", finding.severity.as_str()),
            ("name", &finding.name),
            ("location", &finding.location.to_string()),
            ("check", finding.check.as_str()),
            ("matcher", finding.matcher.as_deref().unwrap_or_default()),
            ("description", &finding.description),
            ("impact", &finding.impact),
            ("remediation", &finding.remediation),
            ("references", &finding.references.join("\n")),
            ("reproduce", &finding.reproduce),
            ("fingerprint", &finding.fingerprint.to_string()),
        ] {
            let kept: String = value.chars().take(32_000).collect();
            let cell = row[column(name)].split("… (").next().unwrap();
            let plain = |text: &str| text.replace('\'', "");
            let expected = plain(&visible(&kept, Shape::Block));
            assert_eq!(plain(cell), expected.split("… (").next().unwrap(), "{name}");
        }
        for cell in row {
            // Whatever the separator is taken to be, nothing that begins a cell begins a formula.
            for start in cell.split([';', '\t', '\n']) {
                let bare = start.trim_start().trim_start_matches('"').trim_start();
                let formula =
                    bare.starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']);
                assert!(!formula, "{cell:?}");
            }
        }
    }
}

/// RFC 4180, strictly: every cell quoted, every line ended by CRLF, after a byte order mark.
fn parse(text: &str) -> Vec<Vec<String>> {
    let mut rest = text.strip_prefix('\u{feff}').unwrap();
    let mut rows = Vec::new();
    let mut row = Vec::new();
    while !rest.is_empty() {
        rest = rest.strip_prefix('"').unwrap();
        let mut cell = String::new();
        loop {
            let (part, after) = rest.split_once('"').unwrap();
            cell.push_str(part);
            match after.strip_prefix('"') {
                Some(after) => {
                    cell.push('"');
                    rest = after;
                }
                None => {
                    rest = after;
                    break;
                }
            }
        }
        row.push(cell);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => {
                rest = rest.strip_prefix("\r\n").unwrap();
                rows.push(std::mem::take(&mut row));
            }
        }
    }
    rows
}
