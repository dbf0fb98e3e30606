//! Reading a file of examples.

use std::collections::{BTreeMap, BTreeSet};

use super::{CannedDns, CannedExchange, CannedHttp, CannedTls, Example, Examples, Expectation, NOW};
use crate::{
    diagnostic::{Diagnostic, DiagnosticCode},
    exchange::{Certificate, DnsRecord, TlsVersion},
    operators::decode_hex,
    template::fields::{Fields, Report},
    yaml::{self, Kind, Node},
};

const DAY: i64 = 24 * 60 * 60;

pub(super) fn parse(text: &str, origin: &str) -> Result<Examples, Vec<Diagnostic>> {
    let root = yaml::parse(text).map_err(|mut diagnostic| {
        diagnostic.origin = origin.to_owned();
        vec![diagnostic]
    })?;
    let report = Report::new(origin);
    let examples = examples(&root, &report);
    let diagnostics = report.into_diagnostics();
    match examples {
        Some(examples) if diagnostics.is_empty() => Ok(examples),
        _ => Err(diagnostics),
    }
}

fn examples(root: &Node, report: &Report) -> Option<Examples> {
    let fields = Fields::new(root, "file of examples", report)?;
    let mut names = BTreeSet::new();
    let matches = list(&fields, "matches", report, |node| example(node, &mut names, report));
    let does_not_match = list(&fields, "does_not_match", report, |node| example(node, &mut names, report));
    fields.finish();
    Some(Examples { origin: report.origin().to_owned(), matches, does_not_match })
}

/// Every entry of a list that can be read; what cannot be is reported.
fn list<T>(fields: &Fields<'_>, name: &str, report: &Report, read: impl FnMut(&Node) -> Option<T>) -> Vec<T> {
    match fields.get(name) {
        None => Vec::new(),
        Some(Node { kind: Kind::Sequence(items), .. }) => items.iter().filter_map(read).collect(),
        Some(node) => {
            report.wrong_type(node, &format!("`{name}`"), "a list");
            Vec::new()
        }
    }
}

fn invalid(node: &Node, report: &Report, message: String) {
    report.add(node.position, DiagnosticCode::InvalidValue, message);
}

fn example(node: &Node, names: &mut BTreeSet<String>, report: &Report) -> Option<Example> {
    let fields = Fields::new(node, "example", report)?;
    let name = fields.required_text("name")?;
    if !names.insert(name.clone()) {
        invalid(node, report, format!("two examples are called `{name}`"));
    }
    let exchanges = list(&fields, "exchanges", report, |node| exchange(node, report));
    let example = Example {
        name,
        target: fields.text("target"),
        exchanges,
        expect: fields.get("expect").and_then(|node| expectation(node, report)).unwrap_or_default(),
    };
    fields.finish();
    Some(example)
}

fn expectation(node: &Node, report: &Report) -> Option<Expectation> {
    let fields = Fields::new(node, "expectation", report)?;
    let mut extracted = BTreeMap::new();
    if let Some(node) = fields.get("extracted") {
        let values = Fields::new(node, "mapping of extractors to values", report)?;
        if let Kind::Mapping(entries) = &node.kind {
            for (key, _) in entries {
                let texts = values.texts(&key.text).into_iter().map(|(text, _)| text.to_owned());
                extracted.insert(key.text.clone(), texts.collect());
            }
        }
    }
    let expectation = Expectation { matcher: fields.text("matcher"), extracted };
    fields.finish();
    Some(expectation)
}

/// What an exchange answers follows from its fields: each protocol has its own.
fn exchange(node: &Node, report: &Report) -> Option<CannedExchange> {
    let fields = Fields::new(node, "exchange", report)?;
    let exchange = if let Some(reads) = fields.get("reads") {
        let reads = items(reads).map(|item| latin1(item, report)).collect::<Option<_>>()?;
        Some(CannedExchange::Tcp(reads))
    } else if let Some(reads) = fields.get("read_hex") {
        let reads = items(reads).map(|item| hexadecimal(item, report)).collect::<Option<_>>()?;
        Some(CannedExchange::Tcp(reads))
    } else if let Some(handshake) = fields.get("tls") {
        Some(CannedExchange::Tls(Some(Box::new(tls(handshake, report)?))))
    } else if fields.get("refused").is_some() {
        fields.flag("refused").then_some(CannedExchange::Tls(None))
    } else {
        let request = fields.required_text("request")?;
        match request.split_once(' ') {
            Some((_, target)) if target.starts_with('/') => {
                Some(CannedExchange::Http { request, answer: http(&fields, report)? })
            }
            Some(_) => Some(CannedExchange::Dns { request, answer: dns(&fields, report) }),
            None => {
                let message = format!("the request `{request}` is neither `METHOD /path` nor `TYPE name`");
                report.add(fields.position_of("request"), DiagnosticCode::InvalidValue, message);
                None
            }
        }
    };
    fields.finish();
    exchange
}

fn items(node: &Node) -> std::slice::Iter<'_, Node> {
    match &node.kind {
        Kind::Sequence(items) => items.iter(),
        _ => std::slice::from_ref(node).iter(),
    }
}

/// Text in which every character is the byte of its number, so that a YAML escape `\xHH` is a byte.
fn latin1(node: &Node, report: &Report) -> Option<Vec<u8>> {
    let Some(text) = node.text() else {
        report.wrong_type(node, "what is read", "text");
        return None;
    };
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    if bytes.is_none() {
        invalid(
            node,
            report,
            "the bytes have a character beyond U+00FF; write its bytes as \\xHH".to_owned(),
        );
    }
    bytes
}

fn hexadecimal(node: &Node, report: &Report) -> Option<Vec<u8>> {
    let bytes = node.text().and_then(decode_hex);
    if bytes.is_none() {
        invalid(node, report, "the bytes are not hexadecimal".to_owned());
    }
    bytes
}

fn http(fields: &Fields<'_>, report: &Report) -> Option<CannedHttp> {
    let status = fields.number("status", 100, 999).map_or(200, |status| status as u16);
    let mut headers = Vec::new();
    if let Some(node) = fields.get("headers") {
        let Kind::Mapping(entries) = &node.kind else {
            report.wrong_type(node, "`headers`", "a mapping of names to values");
            return None;
        };
        for (key, value) in entries {
            for value in items(value) {
                headers.push((key.text.clone(), value.text()?.to_owned()));
            }
        }
    }
    let body = match fields.get("body_bytes") {
        Some(node) => latin1(node, report)?,
        None => fields.text("body").unwrap_or_default().into_bytes(),
    };
    Some(CannedHttp { status, headers, body })
}

fn dns(fields: &Fields<'_>, report: &Report) -> CannedDns {
    CannedDns {
        rcode: fields.text("rcode").unwrap_or_else(|| "NOERROR".to_owned()),
        answers: list(fields, "answers", report, |node| record(node, report)),
        authority: list(fields, "authority", report, |node| record(node, report)),
    }
}

/// One record in presentation form: owner, seconds, class, type, data.
fn record(node: &Node, report: &Report) -> Option<DnsRecord> {
    let mut rest = node.text().unwrap_or_default();
    let mut word = || {
        let (word, after) = rest.trim_start().split_once(char::is_whitespace)?;
        rest = after;
        Some(word.to_owned())
    };
    let head = (word(), word().and_then(|ttl| ttl.parse().ok()), word(), word());
    let (Some(name), Some(ttl), Some(class), Some(record_type)) = head else {
        invalid(node, report, "a record is `owner seconds class type data`".to_owned());
        return None;
    };
    Some(DnsRecord { name, ttl, class, record_type, data: rest.trim().to_owned() })
}

fn tls(node: &Node, report: &Report) -> Option<CannedTls> {
    const VERSIONS: [(&str, TlsVersion); 5] = [
        ("ssl30", TlsVersion::Ssl30),
        ("tls10", TlsVersion::Tls10),
        ("tls11", TlsVersion::Tls11),
        ("tls12", TlsVersion::Tls12),
        ("tls13", TlsVersion::Tls13),
    ];
    let fields = Fields::new(node, "handshake", report)?;
    let subject = fields.text("subject_cn").unwrap_or_else(|| "target.test".to_owned());
    let names: Vec<String> =
        fields.texts("subject_an").into_iter().map(|(name, _)| name.to_owned()).collect();
    let issuer = fields.text("issuer_cn").unwrap_or_else(|| "Example CA".to_owned());
    let certificate = Certificate {
        subject_dn: format!("CN={subject}"),
        subject_an: if names.is_empty() { vec![subject.clone()] } else { names },
        subject_cn: subject,
        issuer_dn: format!("CN={issuer}"),
        issuer_cn: issuer,
        serial: "01:02:03".to_owned(),
        not_before: instant(&fields, "not_before", report).unwrap_or(NOW.as_second() - 30 * DAY),
        not_after: instant(&fields, "not_after", report).unwrap_or(NOW.as_second() + 60 * DAY),
        signature_algorithm: fields.text("signature_algorithm").unwrap_or_else(|| "SHA256-RSA".to_owned()),
        key_algorithm: fields.text("key_algorithm").unwrap_or_else(|| "RSA".to_owned()),
        key_bits: fields.number("key_bits", 1, 65_536).map_or(2048, |bits| bits as u32),
        ..Certificate::default()
    };
    let handshake = CannedTls {
        version: fields.word("version", &VERSIONS).unwrap_or(TlsVersion::Tls13),
        cipher: fields.text("cipher").unwrap_or_else(|| "TLS_AES_128_GCM_SHA256".to_owned()),
        certificate,
        self_signed: fields.flag("self_signed"),
        mismatched: fields.flag("mismatched"),
    };
    fields.finish();
    Some(handshake)
}

/// Seconds since 1970 of an RFC 3339 instant.
fn instant(fields: &Fields<'_>, name: &str, report: &Report) -> Option<i64> {
    let node = fields.get(name)?;
    let instant = node.text().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    if instant.is_none() {
        invalid(node, report, format!("`{name}` must be an instant such as 2025-06-01T00:00:00Z"));
    }
    instant.map(jiff::Timestamp::as_second)
}
