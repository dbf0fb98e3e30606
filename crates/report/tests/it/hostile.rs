//! Every format, every text field, hostile text.

use proptest::prelude::*;
use report::{Format, visible};

use crate::{
    csv, html, json, markdown,
    reports::{poisoned, report},
    sarif,
};

/// What targets have been seen to send, or could.
pub(crate) const PAYLOADS: [&str; 16] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</script><svg onload=alert(1)>",
    "</style></title></pre></textarea><iframe src=javascript:alert(1)>",
    "--><!-- ]]>",
    "javascript:alert(1)",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0;=1+1\t=2\r\n+3",
    "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m",
    "\u{202e}gnp.exe\u{2066}\u{200b}\u{feff}\u{2028}",
    "nul\0byte",
    "{{7*7}} ${7*7} <%= 7*7 %> {0}",
    "```\n# heading\n| a | b |\n![x](http://evil.test/x.png) [y](javascript:alert(1)) @everyone",
    "` `` ``` &lt;b&gt; &amp; <b>",
    "% 100%zz %00",
];

#[test]
fn every_text_field_is_tried() {
    let fields = poisoned("payload").fields;
    let expected = [
        "/assets/banner",
        "/assets/content_type",
        "/assets/cpe",
        "/assets/product",
        "/assets/protocol",
        "/assets/records/A",
        "/assets/fields",
        "/assets/method",
        "/assets/technologies",
        "/assets/title",
        "/assets/tls/cipher",
        "/assets/tls/issuer",
        "/assets/tls/names",
        "/assets/tls/subject",
        "/assets/tls/version",
        "/assets/url",
        "/assets/version",
        "/findings/check",
        "/findings/classification/cve",
        "/findings/classification/cvss_metrics",
        "/findings/classification/cwe",
        "/findings/description",
        "/findings/evidence/matched",
        "/findings/evidence/request",
        "/findings/evidence/response",
        "/findings/extracted/(key)",
        "/findings/extracted/version",
        "/findings/impact",
        "/findings/location/at",
        "/findings/matcher",
        "/findings/name",
        "/findings/references",
        "/findings/remediation",
        "/findings/reproduce",
        "/findings/tags",
        "/summary/authorised_by",
        "/summary/incomplete_because",
        "/summary/left_out",
        "/summary/refused_checks",
        "/summary/scope",
        "/summary/targets",
        "/summary/tool",
        "/summary/undetermined",
    ];
    let missing: Vec<_> =
        expected.iter().filter(|field| !fields.iter().any(|found| found == *field)).collect();
    assert!(missing.is_empty(), "not tried: {missing:?}; tried: {fields:?}");
}

#[test]
fn no_field_of_any_format_lets_a_payload_act() {
    for payload in PAYLOADS {
        harmless_everywhere(payload);
    }
    harmless_everywhere(&"long ".repeat(30_000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_text_acts_in_any_format(payload in any_text()) {
        harmless_everywhere(&payload);
    }
}

/// Pieces of markup, formulas and controls, in any order, with anything between.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(PAYLOADS.to_vec()).prop_map(str::to_owned),
        proptest::sample::select(vec![
            "<", ">", "\"", "'", "`", "&", "\n", "\r\n", "=", ";", "|", "\\", "](", "-->", "\u{1b}["
        ])
        .prop_map(str::to_owned),
        any::<String>(),
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

pub(crate) fn harmless_everywhere(payload: &str) {
    let poisoned = poisoned(payload);
    for format in Format::ALL {
        let text = report(format, &poisoned.estate);
        let byte_order_mark = usize::from(format == Format::Csv) * '\u{feff}'.len_utf8();
        let acting = text[byte_order_mark..].chars().find(|character| {
            visible::acts(*character)
                && !matches!(character, '\n' | '\t')
                && !(format == Format::Csv && *character == '\r')
        });
        assert_eq!(acting, None, "{format} with {payload:?}");
        match format {
            Format::Html => html::is_inert(&text),
            Format::Json => json::reads_back(&text, &poisoned.estate),
            Format::JsonLines => json::lines_read_back(&text, &poisoned.estate),
            Format::Sarif => sarif::is_sound(&text, poisoned.estate.findings.len()),
            Format::Csv => csv::reads_back(&text, &poisoned.estate),
            Format::Markdown => markdown::is_inert(&text),
        }
    }
}
