//! What must hold for any bytes, as functions of bytes. The targets in `fuzz/` call them for as long as one likes, the tests a few
//! thousand times; built for nothing else.

mod answers;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use memchr::memmem;
use model::Outcome;

use self::answers::Answers;
use crate::{
    Run, RunOptions, RunTarget, Step, Template,
    exchange::Request,
    expression::{Ambient, Expression, Interpolated, Value},
    run::{MAX_EVIDENCE, MAX_MATCHES},
    template::{self, MAX_BLOCK_REQUESTS, MAX_DIAGNOSTICS},
};

/// Requests after which a run is left alone: a template may send thousands, which says no more about it.
const STEPS: usize = 200;

/// Every kind of matcher and extractor, redirects, payloads, values that later requests use.
const WEB: &str = "id: web\ninfo: {name: T, author: t, severity: info}\nhttp:\n  - raw:\n      - |\n        GET /{{next}} HTTP/1.1\n        Host: {{Hostname}}\n      - |\n        POST /b HTTP/1.1\n        Host: {{Hostname}}\n        X: {{next}}\n\n        {{next}}\n    payloads: {next: [a, b]}\n    redirects: true\n    cookie-reuse: true\n    matchers-condition: or\n    matchers:\n      - {type: word, words: [a, '{{next}}'], name: one, case-insensitive: true}\n      - {type: regex, regex: ['(?i)[a-c]+x', '^\\W?$'], part: header}\n      - {type: status, status: [200, 302]}\n      - {type: binary, binary: ['00ff'], part: all}\n      - {type: dsl, dsl: ['to_number(body) > 3', 'contains(location, \"/\")', 'compare_versions(body, \"< 1.2\")', 'body_1 == md5(body_2)']}\n      - {type: xpath, xpath: ['//a[@href]/b', '//*[contains(text(), \"x\")]']}\n      - {type: size, size: [3], negative: true}\n    extractors:\n      - {type: regex, name: next, internal: true, regex: ['([^ ]+) ?'], group: 1, part: all}\n      - {type: json, json: ['..', '.a[] | tostring']}\n      - {type: kval, kval: [location, set_cookie, content_type]}\n      - {type: xpath, xpath: ['//@href', '/html/body/a'], attribute: href}\n      - {type: dsl, dsl: ['len(body)', 'mmh3(base64_py(body))']}\n";
/// The other protocols, and a flow over them.
const OTHERS: &str = "id: others\ninfo: {name: T, author: t, severity: info}\nflow: (dns() || tcp(1)) && !ssl()\ndns:\n  - name: '{{FQDN}}'\n    type: MX\n    matchers: [{type: word, words: [a]}, {type: regex, part: answer, regex: [b]}]\n    extractors: [{type: regex, name: mail, group: 1, regex: ['MX\\s+([^ ]+)']}]\ntcp:\n  - host: ['{{Host}}:25']\n    inputs: [{data: '{{dns_rcode}}', read: 3, name: hello}, {data: '0d0a', type: hex}]\n    read-size: 64\n    matchers: [{type: word, part: hello, words: [a]}, {type: binary, binary: ['00']}]\nssl:\n  - address: '{{Host}}:{{Port}}'\n    matchers: [{type: dsl, dsl: ['expired', 'len(subject_an) > 1', 'to_unix_time(not_after) < 5']}]\n    extractors: [{type: json, json: ['.subject_an[]']}]\n";

/// A template that nobody has looked at: refused with reasons, or it can be run.
pub fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match template::parse(text, "fuzzed.yaml") {
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty() && diagnostics.len() <= MAX_DIAGNOSTICS);
            // A lone carriage return is a line break, too (YAML 1.2, 5.4).
            let lines = text.split(['\n', '\r']).count();
            for diagnostic in &diagnostics {
                let place = (diagnostic.line, diagnostic.column);
                assert!(place >= (1, 1) && diagnostic.line <= lines + 1, "{place:?} of {lines} lines");
                assert_eq!(diagnostic.origin, "fuzzed.yaml");
            }
        }
        Ok(template) => {
            assert!(!template.blocks.is_empty());
            for block in &template.blocks {
                assert!(block.request.count() * block.payloads.count() <= MAX_BLOCK_REQUESTS);
            }
            let template = Arc::new(template);
            let web = RunTarget::web("http://site.test/app/?x=1".parse().expect("a literal URL"), None);
            settle(&template, &web, &mut Answers::new(CANNED));
            settle(&template, &RunTarget::service("127.0.0.1", 25, false, None), &mut Answers::new(CANNED));
            settle(
                &template,
                &RunTarget::domain("site.test".parse().expect("a literal name"), None),
                &mut Answers::new(CANNED),
            );
        }
    }
}

/// Answers for templates that are fuzzed themselves.
const CANNED: &[u8] =
    b"\x00\xc8\x02\x06\x01/\x07\x05a=b;c\x40{\"a\":[1,\"b\"]} <a href=x>1.2.3</a>\x01\x2e\x01\x06\x06/again\x03no";

/// Any answers to templates that look at everything.
pub fn run(data: &[u8]) {
    let Some((&first, data)) = data.split_first() else { return };
    let text = if first & 1 == 0 { WEB } else { OTHERS };
    let template = Arc::new(template::parse(text, "fuzzed.yaml").expect("a literal template"));
    let target = match first >> 1 & 3 {
        0 => RunTarget::web("http://site.test/app?x=y".parse().expect("a literal URL"), None),
        1 => RunTarget::web("https://[::1]:8443/".parse().expect("a literal URL"), None),
        2 => RunTarget::domain("site.test".parse().expect("a literal name"), None),
        _ => RunTarget::service("::1", 25, true, None),
    };
    let requests = settle(&template, &target, &mut Answers::new(data));
    // An expression that stands in an answer may come back in a request, its value may not; unless the answer had that, too.
    let evaluated = |bytes: &[u8]| memmem::find(bytes, answers::PLANTED_VALUE).is_some();
    assert!(evaluated(data) || !evaluated(format!("{requests:?}").as_bytes()), "{requests:?}");
}

/// A run ends with a verdict that agrees with itself, and never leaves its bounds. Gives what was sent.
fn settle(template: &Arc<Template>, target: &RunTarget, answers: &mut Answers<'_>) -> Vec<Request> {
    let mut requests = Vec::new();
    let mut run = Run::new(Arc::clone(template), target, &RunOptions::default());
    for _ in 0..STEPS {
        match run.next() {
            Step::Send(request) => {
                run.receive(answers.next(&request));
                requests.push(request);
            }
            Step::Done(verdict) => {
                assert_eq!(verdict.outcome == Outcome::Matched, !verdict.matches.is_empty());
                assert!(verdict.matches.len() <= MAX_MATCHES);
                for evidence in verdict.matches.iter().flat_map(|found| &found.evidence) {
                    // Lossy decoding may make three bytes of one.
                    assert!(
                        evidence.response.len() <= 3 * MAX_EVIDENCE
                            && evidence.request.len() <= 3 * MAX_EVIDENCE
                    );
                }
                break;
            }
        }
    }
    requests
}

/// An expression, and the same text with marks.
pub fn expression(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    let ambient = || Ambient::new(jiff::Timestamp::UNIX_EPOCH, 7);
    let planted = String::from_utf8_lossy(answers::PLANTED);
    let lookup = |name: &str| {
        Some(match name {
            "body" | "x" => Value::from(planted.as_ref()),
            "status_code" | "n" => Value::Number(200.0),
            "names" => Value::List(vec![Value::from("a"), Value::Number(1.0), Value::Null]),
            "yes" => Value::Bool(true),
            "raw" => Value::from(&b"\xff\x00\xfe"[..]),
            _ => return None,
        })
    };
    if let Ok(expression) = Expression::parse(source) {
        assert_eq!(expression.source(), source);
        let (first, second) =
            (expression.evaluate(&lookup, &ambient()), expression.evaluate(&lookup, &ambient()));
        // Not compared as values, because what is not a number does not equal itself.
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
    }
    if let Ok(text) = Interpolated::parse(source) {
        let rendered = text.render(&lookup, &ambient());
        if let Some(literal) = text.is_literal() {
            assert_eq!(rendered.ok().as_deref(), Some(literal.as_bytes()));
        }
    }
    // Whatever the value, inserting it is all that happens to it.
    let around = Interpolated::parse("<{{value}}>").expect("a literal text");
    let value = |_: &str| Some(Value::from(source));
    let rendered = around.render(&value, &ambient()).ok();
    assert_eq!(rendered, Some(format!("<{source}>").into_bytes()));
}
