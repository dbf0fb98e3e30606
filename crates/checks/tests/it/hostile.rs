//! Whatever comes in, nothing panics, everything ends.

use std::sync::Arc;

use checks::{
    RunTarget, Template,
    exchange::{
        Certificate, DnsRecord, DnsResponse, Failure, HttpResponse, Request, Response, TcpResponse,
        TlsResponse,
    },
    run::MAX_EVIDENCE,
    template,
};
use model::{FailReason, Outcome};
use proptest::prelude::*;

use crate::server::{run, web};

const HTTP: &str = "id: t\ninfo: {name: T, author: t, severity: info}\nhttp:\n  - raw:\n      - |\n        GET /{{next}} HTTP/1.1\n        Host: {{Hostname}}\n      - |\n        POST /b HTTP/1.1\n        X: {{next}}\n\n        {{next}}\n    payloads: {next: [a, b]}\n    redirects: true\n    matchers-condition: or\n    matchers:\n      - {type: word, words: [a], name: one}\n      - {type: regex, regex: ['[a-c]+x'], part: header}\n      - {type: dsl, dsl: ['to_number(body) > 3', 'contains(location, \"/\")']}\n      - {type: xpath, xpath: ['//a[@href]/b']}\n      - {type: size, size: [3], negative: true}\n    extractors:\n      - {type: regex, name: next, internal: true, regex: ['[^ ]+'], part: all}\n      - {type: json, json: ['..']}\n      - {type: kval, kval: [location, set_cookie]}\n      - {type: xpath, xpath: ['//@href', '/html/body/a']}\n";
const MANY: &str = "id: t\ninfo: {name: T, author: t, severity: info}\nflow: (dns() || tcp(1)) && !ssl()\ndns:\n  - name: '{{FQDN}}'\n    type: MX\n    matchers: [{type: word, words: [a]}, {type: regex, part: mx, regex: [b]}]\ntcp:\n  - host: ['{{Host}}:25']\n    inputs: [{data: '{{dns_rcode}}', read: 3, name: hello}]\n    matchers: [{type: word, part: hello, words: [a]}, {type: binary, binary: ['00']}]\nssl:\n  - matchers: [{type: dsl, dsl: ['expired', 'len(subject_an) > 1', 'to_unix_time(not_after) < 5']}]\n    extractors: [{type: json, json: ['.subject_an[]']}]\n";

fn parsed(text: &str) -> Arc<Template> {
    Arc::new(template::parse(text, "t.yaml").unwrap())
}

fn hostile_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~\r\n\t]{0,60}",
        "(<[ab/][^>]{0,8}>|&[a-z]{0,4};|\\{\\{[a-z(]{0,6}\\}\\}|[a-c]x?){0,12}",
        "[\\PC]{0,20}",
        Just("{\"a\":[[[1,{\"b\":null}]]],\"c\":\"{{md5('x')}}\"}".to_owned()),
    ]
}

fn headers() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let name = prop_oneof![
        Just("Location".to_owned()),
        Just("set-cookie".to_owned()),
        Just("Content-Length".to_owned()),
        "[a-zA-Z_-]{0,12}",
    ];
    let value = prop_oneof![
        hostile_text().prop_map(String::into_bytes),
        Just(b"/again".to_vec()),
        Just(b"//[::1".to_vec()),
        Just(b"http://u:p@h/".to_vec()),
        Just(b"a=b; Domain=test; Path=/; Max-Age=0".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec((name, value), 0..5)
}

fn http_response() -> impl Strategy<Value = Response> {
    let status = prop_oneof![Just(200), Just(302), Just(307), any::<u16>()];
    let body = prop_oneof![
        hostile_text().prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..80),
        Just(vec![b'a'; 3 * MAX_EVIDENCE]),
    ];
    (status, headers(), body, proptest::collection::vec(any::<u8>(), 0..60)).prop_map(
        |(status, headers, body, head)| {
            Response::Http(Arc::new(HttpResponse { status, headers, body, head, ..HttpResponse::default() }))
        },
    )
}

fn any_response() -> impl Strategy<Value = Response> {
    let record = (hostile_text(), any::<u32>(), hostile_text(), hostile_text()).prop_map(
        |(name, ttl, record_type, data)| DnsRecord { name, ttl, class: "IN".to_owned(), record_type, data },
    );
    let dns = (hostile_text(), proptest::collection::vec(record, 0..4)).prop_map(|(rcode, answers)| {
        Response::Dns(Arc::new(DnsResponse { rcode, answers, ..DnsResponse::default() }))
    });
    let tcp = proptest::collection::vec(
        (proptest::option::of("[a-z]{0,6}"), proptest::collection::vec(any::<u8>(), 0..30)),
        0..4,
    )
    .prop_map(|reads| Response::Tcp(Arc::new(TcpResponse { reads, ..TcpResponse::default() })));
    let tls = (any::<bool>(), any::<i64>(), proptest::collection::vec(hostile_text(), 0..4)).prop_map(
        |(established, not_after, subject_an)| {
            let certificates = vec![Certificate { not_after, subject_an, ..Certificate::default() }];
            Response::Tls(Arc::new(TlsResponse { established, certificates, ..TlsResponse::default() }))
        },
    );
    prop_oneof![dns, tcp, tls, http_response()]
}

/// A run must end with a verdict that agrees with itself.
fn consistent(template: &Arc<Template>, target: &RunTarget, answers: Vec<Result<Response, Failure>>) {
    let mut answers = answers.into_iter().cycle();
    let most = template.max_requests() * 11;
    let mut sent = 0;
    let ran = run(template, target, |_: &Request| {
        sent += 1;
        answers.next().unwrap_or(Err(Failure::OutOfScope(String::new())))
    });
    assert!(sent <= most, "{sent} requests, at most {most} were planned");
    assert_eq!(ran.verdict.outcome == Outcome::Matched, !ran.verdict.matches.is_empty());
    for found in &ran.verdict.matches {
        assert!(!found.evidence.is_empty());
        for evidence in &found.evidence {
            // Lossy decoding may make three bytes of one.
            assert!(
                evidence.response.len() <= 3 * MAX_EVIDENCE && evidence.request.len() <= 3 * MAX_EVIDENCE
            );
        }
    }
}

fn result(response: impl Strategy<Value = Response>) -> impl Strategy<Value = Result<Response, Failure>> {
    prop_oneof![
        8 => response.prop_map(Ok),
        1 => Just(Err(Failure::Failed(FailReason::TimedOut, "late".to_owned()))),
        1 => Just(Err(Failure::OutOfScope("out".to_owned()))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn http_runs_end(answers in proptest::collection::vec(result(http_response()), 1..12)) {
        consistent(&parsed(HTTP), &web("http://site.test/app?x=y"), answers);
    }

    #[test]
    fn runs_of_all_protocols_end(answers in proptest::collection::vec(result(any_response()), 1..8)) {
        consistent(&parsed(MANY), &RunTarget::domain("site.test".parse().unwrap(), None), answers.clone());
        consistent(&parsed(MANY), &RunTarget::service("::1", 25, false, None), answers);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in hostile_text()) {
        let _ = template::parse(&text, "t.yaml");
    }

    #[test]
    fn no_broken_template_makes_the_parser_panic(
        from in any::<prop::sample::Index>(),
        length in 0..40_usize,
        with in "[-a-z:{}\\[\\]'\"|&*\\n #§()$\\\\]{0,20}",
        which in any::<bool>(),
    ) {
        let whole = if which { HTTP } else { MANY };
        let from = from.index(whole.len());
        let to = (from + length).min(whole.len());
        let text = format!("{}{with}{}", &whole[..from], &whole[to..]);
        if let Ok(template) = template::parse(&text, "t.yaml") {
            consistent(&Arc::new(template), &web("http://site.test/"), vec![Ok(Response::Http(Arc::new(HttpResponse {
                status: 302,
                headers: vec![("Location".to_owned(), b"/".to_vec())],
                body: b"{{x}} <a href=b> [1]".to_vec(),
                ..HttpResponse::default()
            })))]);
        }
    }
}
