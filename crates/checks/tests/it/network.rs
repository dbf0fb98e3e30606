//! DNS, TCP and TLS.

use std::sync::Arc;

use checks::{
    RunTarget,
    exchange::{
        Certificate, DnsRecord, DnsResponse, Failure, Request, Response, TcpRequest, TcpResponse, TlsRequest,
        TlsResponse, TlsVersion,
    },
    run::MatchLocation,
};
use model::{FailReason, Outcome, SkipReason};

use crate::server::{given, run, run_with, template};

fn service(port: u16) -> RunTarget {
    RunTarget::service("127.0.0.1", port, false, None)
}

/// Plays the server of a dialogue: what it says after each input, and at the end.
fn tcp(
    answer: impl Fn(&TcpRequest) -> Vec<&'static str>,
) -> impl FnMut(&Request) -> Result<Response, Failure> {
    move |request| {
        let Request::Tcp(request) = request else { panic!("not TCP: {request:?}") };
        let said = answer(request);
        let names = request.inputs.iter().filter(|input| input.read > 0).map(|input| input.name.clone());
        let names: Vec<Option<String>> = names.chain([None]).collect();
        assert_eq!(names.len(), said.len());
        let reads =
            names.into_iter().zip(said).map(|(name, text)| (name, text.as_bytes().to_vec())).collect();
        let request = request.inputs.iter().flat_map(|input| input.data.clone()).collect();
        Ok(Response::Tcp(Arc::new(TcpResponse { reads, request, ..TcpResponse::default() })))
    }
}

#[test]
fn dialogues_send_text_and_hexadecimal() {
    let basic = template(
        "tcp:\n  - host: ['{{Hostname}}']\n    inputs:\n      - {data: \"PING\\r\\n\"}\n    read-size: 4\n    matchers:\n      - {type: word, words: [PONG]}\n",
    );
    let ran = run(
        &basic,
        &service(6379),
        tcp(|request| {
            assert_eq!(
                (request.inputs[0].data.as_slice(), request.read_size, request.port),
                (&b"PING\r\n"[..], 4, 6379)
            );
            vec!["PONG"]
        }),
    );
    assert_eq!(ran.places(), ["127.0.0.1:6379"]);
    let at = MatchLocation::Service { host: "127.0.0.1".to_owned(), port: 6379, address: None };
    assert_eq!(ran.verdict.matches[0].location, at);
    assert_eq!(ran.verdict.matches[0].evidence[0].response, "PONG");

    let hex = template(
        "network:\n  - host: ['{{Hostname}}', '{{Hostname}}']\n    inputs:\n      - {data: 50494e47, type: hex}\n      - {data: \"\\r\\n\"}\n    matchers:\n      - {type: word, encoding: hex, words: [504f4e47]}\n",
    );
    let ran = run(
        &hex,
        &service(6379),
        tcp(|request| {
            assert_eq!(request.inputs[0].data, b"PING");
            vec!["PONG"]
        }),
    );
    assert_eq!((ran.sent.len(), ran.places().len()), (1, 1), "the same address twice is one dialogue");
}

#[test]
fn parts_of_a_dialogue_have_names() {
    let template = template(
        "tcp:\n  - host: ['{{Hostname}}']\n    inputs:\n      - {data: FIRST, read: 4, name: first}\n      - {data: SECOND, read: 4, name: second}\n    read-all: true\n    matchers-condition: and\n    matchers:\n      - {type: word, part: first, words: [PING]}\n      - {type: word, part: second, words: [PONG]}\n      - {type: word, part: data, words: [NUCLEI]}\n      - {type: word, part: raw, words: [PINGPONGNUCLEI]}\n",
    );
    let ran = run(
        &template,
        &service(1),
        tcp(|request| {
            assert!(request.read_all);
            vec!["PING", "PONG", "NUCLEI"]
        }),
    );
    assert_eq!(ran.verdict.outcome, Outcome::Matched);
}

#[test]
fn words_of_a_dialogue_may_be_variables() {
    let template = template(
        "variables:\n  a1: PING\n  a2: \"{{base64('hello')}}\"\ntcp:\n  - host: ['tls://{{Host}}:443']\n    inputs:\n      - {data: '{{a1}}'}\n    matchers:\n      - {type: word, words: ['{{a2}}']}\n",
    );
    let ran = run(
        &template,
        &service(1),
        tcp(|request| {
            assert_eq!((request.tls, request.port, request.host.as_str()), (true, 443, "127.0.0.1"));
            vec!["aGVsbG8="]
        }),
    );
    assert_eq!(ran.verdict.outcome, Outcome::Matched);
}

#[test]
fn ports_come_from_the_target_or_the_template() {
    let source = "tcp:\n  - host: ['{{Hostname}}']\n    port: 23846,23847\n    exclude-ports: '9100'\n    matchers:\n      - {type: word, words: [x]}\n";
    let template = template(source);
    assert_eq!(template.tcp_ports().into_iter().collect::<Vec<_>>(), [23846, 23847]);
    let ports = |target: &RunTarget| {
        let ran = run(&template, target, tcp(|_| vec![""]));
        let port = |request: &Request| match request {
            Request::Tcp(request) => request.port,
            other => panic!("{other:?}"),
        };
        (ran.sent.iter().map(port).collect::<Vec<_>>(), ran.verdict.outcome)
    };
    assert_eq!(ports(&service(23846)).0, [23846]);
    assert_eq!(ports(&service(8081)).0, [8081], "a port that the target names stays");
    assert_eq!(ports(&RunTarget::domain("host.test".parse().unwrap(), None)).0, [23846, 23847]);
    assert_eq!(ports(&service(9100)), (vec![], Outcome::Skipped(SkipReason::Precondition)));
}

fn record(name: &str, record_type: &str, data: &str) -> DnsRecord {
    let (name, class) = (name.to_owned(), "IN".to_owned());
    DnsRecord { name, ttl: 60, class, record_type: record_type.to_owned(), data: data.to_owned() }
}

fn dns(response: DnsResponse) -> impl FnMut(&Request) -> Result<Response, Failure> {
    move |request| match request {
        Request::Dns(_) => Ok(Response::Dns(Arc::new(response.clone()))),
        other => panic!("not DNS: {other:?}"),
    }
}

#[test]
fn records_are_parts() {
    let dangling = template(
        "dns:\n  - name: '{{FQDN}}'\n    type: A\n    matchers-condition: and\n    matchers:\n      - {type: word, words: [NXDOMAIN]}\n      - {type: regex, part: answer, regex: [\"IN\\tCNAME\\t(.+)$\"]}\n      - {type: dsl, dsl: [\"rcode == 3 && cname == 'gone.cloud.test'\"]}\n    extractors:\n      - {type: dsl, dsl: [cname]}\n",
    );
    let name = RunTarget::domain("www.example.test".parse().unwrap(), None);
    let response = DnsResponse {
        rcode: "NXDOMAIN".to_owned(),
        question: "www.example.test.\tIN\tA".to_owned(),
        answers: vec![record("www.example.test.", "CNAME", "gone.cloud.test.")],
        ..DnsResponse::default()
    };
    let ran = run(&dangling, &name, dns(response));
    assert_eq!(ran.places(), ["www.example.test"]);
    assert_eq!(ran.verdict.matches[0].location, MatchLocation::Domain("www.example.test".parse().unwrap()));
    assert_eq!(ran.verdict.matches[0].extracted[""], ["gone.cloud.test"]);
    assert!(ran.verdict.matches[0].evidence[0].response.contains("NXDOMAIN"));
}

#[test]
fn an_extracted_value_is_a_part_for_the_next_extractor() {
    let spf = template(
        "dns:\n  - name: '{{FQDN}}'\n    type: TXT\n    extractors:\n      - {type: regex, name: spf, internal: true, regex: ['v=spf1[^\"]*']}\n      - {type: regex, name: includes, internal: true, part: spf, regex: ['include:[a-z.]+']}\n    matchers:\n      - {type: dsl, dsl: [len(includes) > 2]}\n",
    );
    let name = RunTarget::domain("example.test".parse().unwrap(), None);
    let outcome = |text: &str| {
        let answers = vec![record("example.test.", "TXT", text)];
        run(&spf, &name, dns(DnsResponse { rcode: "NOERROR".to_owned(), answers, ..DnsResponse::default() }))
            .verdict
            .outcome
    };
    assert_eq!(outcome("\"v=spf1 include:a.test include:b.test include:c.test -all\""), Outcome::Matched);
    assert_eq!(outcome("\"v=spf1 include:a.test include:b.test -all\""), Outcome::NotMatched);
    assert_eq!(outcome("\"nothing\""), Outcome::NotMatched);
}

#[test]
fn dns_payloads_make_names() {
    let template = template(
        "dns:\n  - name: '{{word}}.{{FQDN}}'\n    type: A\n    payloads: {word: [one, two, three]}\n    matchers:\n      - {type: word, words: [NOERROR]}\n",
    );
    let name = RunTarget::domain("example.test".parse().unwrap(), None);
    let noerror = || dns(DnsResponse { rcode: "NOERROR".to_owned(), ..DnsResponse::default() });
    assert_eq!(
        run(&template, &name, noerror()).places(),
        ["one.example.test", "two.example.test", "three.example.test"]
    );
}

fn tls(answer: impl Fn(&TlsRequest) -> TlsResponse) -> impl FnMut(&Request) -> Result<Response, Failure> {
    move |request| match request {
        Request::Tls(request) => Ok(Response::Tls(Arc::new(answer(request)))),
        other => panic!("not TLS: {other:?}"),
    }
}

fn handshake() -> TlsResponse {
    TlsResponse {
        established: true,
        version: Some(TlsVersion::Tls12),
        cipher: "TLS_AES_128_GCM_SHA256".to_owned(),
        certificates: vec![Certificate {
            subject_cn: "*.example.test".to_owned(),
            subject_an: vec!["*.example.test".to_owned(), "example.test".to_owned()],
            issuer_cn: "Own Root".to_owned(),
            serial: "0A:0B".to_owned(),
            not_after: 1_700_000_000,
            ..Certificate::default()
        }],
        expired: true,
        ..TlsResponse::default()
    }
}

#[test]
fn handshakes_show_their_facts() {
    let target = RunTarget::service("example.test", 8443, true, None);
    for expression in [
        "probe_status == true",
        "expired && !self_signed && !mismatched",
        "tls_version == 'tls12'",
        "wildcard_certificate == true",
        "not_after == '2023-11-14T22:13:20Z'",
        "to_unix_time(not_after) == 1700000000",
        "contains(serial, '0A:')",
        "host == 'example.test' && port == 8443",
        "len(domains) == 2",
    ] {
        let template = template(&format!(
            "ssl:\n  - address: '{{{{Host}}}}:{{{{Port}}}}'\n    matchers:\n      - type: dsl\n        dsl:\n          - \"{expression}\"\n"
        ));
        let ran = run(&template, &target, tls(|_| handshake()));
        assert_eq!(ran.verdict.outcome, Outcome::Matched, "{expression}: {:?}", ran.verdict.failure);
    }
    // A certificate that could not be read says nothing, neither yes nor no; the handshake does.
    for (expression, outcome) in [
        ("expired == false", Outcome::Failed(FailReason::Incomplete)),
        ("contains(subject_cn, 'example')", Outcome::Failed(FailReason::Incomplete)),
        ("tls_version == 'tls12'", Outcome::Matched),
        ("tls_version == 'tls10'", Outcome::NotMatched),
    ] {
        let template = template(&format!(
            "ssl:\n  - address: '{{{{Host}}}}:{{{{Port}}}}'\n    matchers:\n      - type: dsl\n        dsl:\n          - \"{expression}\"\n"
        ));
        let unread = || TlsResponse {
            certificates: Vec::new(),
            certificates_unread: true,
            expired: false,
            ..handshake()
        };
        let ran = run(&template, &target, tls(|_| unread()));
        assert_eq!(ran.verdict.outcome, outcome, "{expression}: {:?}", ran.verdict.failure);
    }
    let template = template(
        "ssl:\n  - min_version: tls10\n    max_version: tls12\n    cipher_suites: [TLS_AES_128_GCM_SHA256]\n    matchers:\n      - {type: word, words: [TLS_AES_128_GCM_SHA256, '\"tls_version\":\"tls12\"'], condition: and}\n    extractors:\n      - {type: json, json: [' .issuer_cn']}\n",
    );
    let ran = run(
        &template,
        &target,
        tls(|request| {
            assert_eq!(
                (request.min_version, request.max_version),
                (Some(TlsVersion::Tls10), Some(TlsVersion::Tls12))
            );
            assert_eq!(request.cipher_suites, ["TLS_AES_128_GCM_SHA256"]);
            handshake()
        }),
    );
    assert_eq!(ran.verdict.matches[0].extracted[""], ["Own Root"]);
    assert_eq!(ran.places(), ["example.test:8443"]);
}

#[test]
fn a_refused_offer_matches_only_what_asks_for_it() {
    let target = RunTarget::service("example.test", 8443, true, None);
    let outcome = |matcher: &str| {
        let template = template(&format!("ssl:\n  - max_version: tls10\n    matchers:\n      - {matcher}\n"));
        run(&template, &target, tls(|_| TlsResponse::default())).verdict.outcome
    };
    assert_eq!(outcome("{type: dsl, dsl: ['probe_status == true']}"), Outcome::NotMatched);
    assert_eq!(outcome("{type: word, words: [tls10], negative: true}"), Outcome::NotMatched);
    assert_eq!(outcome("{type: dsl, dsl: ['!expired']}"), Outcome::NotMatched);
    assert_eq!(outcome("{type: dsl, dsl: ['probe_status == false']}"), Outcome::Matched);
}

#[test]
fn values_from_the_command_line_reach_every_protocol() {
    let target = RunTarget::service("example.test", 8443, true, None);
    let template = template("ssl:\n  - matchers:\n      - {type: dsl, dsl: ['test == \"asdasdas\"']}\n");
    let with = run_with(&template, &target, &given(&[("test", "asdasdas")]), tls(|_| handshake()));
    assert_eq!(with.verdict.outcome, Outcome::Matched);
    let without = run(&template, &target, tls(|_| handshake()));
    assert_eq!(without.verdict.outcome, Outcome::NotMatched, "an unknown variable is false");
}

#[test]
fn an_answer_of_another_protocol_is_a_failure() {
    let template = template("ssl:\n  - matchers:\n      - {type: dsl, dsl: ['probe_status']}\n");
    let target = RunTarget::service("example.test", 8443, true, None);
    let ran = run(&template, &target, |_| Ok(Response::Dns(Arc::new(DnsResponse::default()))));
    assert_eq!(ran.verdict.outcome, Outcome::Failed(FailReason::Protocol));
}
