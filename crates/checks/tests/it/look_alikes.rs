//! Servers that answer everything alike: no built-in check may take one of them for what it looks for.

use std::{sync::Arc, time::Duration};

use checks::{
    Run, RunOptions, RunTarget, Step, Template,
    exchange::{
        DnsResponse, HttpForm, HttpRequest, HttpResponse, Request, Response, TcpRequest, TcpResponse,
    },
    template::ProtocolKind,
};
use model::Outcome;

use crate::builtin::{self, Builtin};

/// Headers of a careful site, so that checks for missing ones have nothing to say.
const CAREFUL: [(&str, &str); 8] = [
    ("Strict-Transport-Security", "max-age=31536000"),
    ("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Permissions-Policy", "camera=()"),
    ("Server", "web"),
    ("Vary", "Accept-Encoding"),
];

/// A page, and how it depends on the request.
struct Site {
    name: &'static str,
    answer: fn(&HttpRequest) -> (u16, &'static str, String),
}

const SITES: [Site; 10] = [
    Site {
        name: "one page for every path",
        answer: |_| (200, "text/html", page("Shop", "Welcome to the shop")),
    },
    Site { name: "an error page with status 200", answer: |_| (200, "text/html", page("Not found", "404")) },
    Site {
        name: "a page that repeats the path",
        answer: |request| {
            (200, "text/html", page("Search", &format!("Nothing found for {}", target(request))))
        },
    },
    Site {
        name: "a text that repeats the request line",
        answer: |request| (200, "text/plain", format!("you asked for {}", target(request))),
    },
    Site { name: "an empty answer", answer: |_| (200, "text/plain", String::new()) },
    Site { name: "OK for everything", answer: |_| (200, "text/plain", "OK".to_owned()) },
    Site { name: "a JSON object", answer: |_| (200, "application/json", r#"{"status":"ok"}"#.to_owned()) },
    Site { name: "an empty JSON list", answer: |_| (200, "application/json", "[]".to_owned()) },
    Site { name: "nobody may look", answer: |_| (403, "text/html", page("Forbidden", "403")) },
    Site { name: "an error for everything", answer: |_| (500, "text/html", page("Error", "500")) },
];

fn page(title: &str, text: &str) -> String {
    format!(
        "<!doctype html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>"
    )
}

fn target(request: &HttpRequest) -> String {
    match &request.form {
        HttpForm::Structured { target, .. } => target.clone(),
        HttpForm::Verbatim(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn web(site: &Site, request: &HttpRequest) -> HttpResponse {
    let (status, content_type, body) = (site.answer)(request);
    let mut headers: Vec<(String, Vec<u8>)> = vec![("Content-Type".to_owned(), content_type.into())];
    headers.extend(CAREFUL.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())));
    let mut head = format!("HTTP/1.1 {status} \r\n").into_bytes();
    for (name, value) in &headers {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    HttpResponse {
        status,
        head,
        headers,
        body: body.into_bytes(),
        duration: Duration::ZERO,
        ..HttpResponse::default()
    }
}

fn outcome(template: &Arc<Template>, target: &RunTarget, answer: impl Fn(&Request) -> Response) -> Outcome {
    let mut run = Run::new(Arc::clone(template), target, &RunOptions::default());
    for _ in 0..100 {
        match run.next() {
            Step::Send(request) => run.receive(Ok(answer(&request))),
            Step::Done(verdict) => return verdict.outcome,
        }
    }
    panic!("{} does not end", template.id);
}

fn of_protocol(protocol: ProtocolKind) -> impl Iterator<Item = Builtin> {
    builtin::load().into_iter().filter(move |check| check.template.protocol_kinds().contains(&protocol))
}

#[test]
fn no_web_check_matches_a_site_that_answers_everything_alike() {
    let sites = ["http://target.test", "https://target.test"]
        .map(|base| RunTarget::web(base.parse().expect("a URL"), None));
    let mut complaints = Vec::new();
    for check in of_protocol(ProtocolKind::Http) {
        for site in &SITES {
            for target in &sites {
                let outcome = outcome(&check.template, target, |request| match request {
                    Request::Http(request) => Response::Http(Arc::new(web(site, request))),
                    other => panic!("not a web request: {other:?}"),
                });
                if outcome != Outcome::NotMatched {
                    complaints.push(format!("{}: {}: {outcome:?}", check.template.id, site.name));
                }
            }
        }
    }
    builtin::assert_none(complaints);
}

#[test]
fn no_service_check_matches_a_service_of_another_kind() {
    type Service = (&'static str, fn(&[u8]) -> Vec<u8>);
    let services: [Service; 6] = [
        ("silence", |_| Vec::new()),
        ("an echo", <[u8]>::to_vec),
        ("a web server", |_| b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("a text service", |sent| [b"ERR unknown command ".as_slice(), sent].concat()),
        ("a TLS server", |_| vec![0x15, 3, 1, 0, 2, 2, 0x28]),
        ("zeros", |_| vec![0; 64]),
    ];
    let reply = |service: fn(&[u8]) -> Vec<u8>, request: &TcpRequest| {
        let mut reads: Vec<_> =
            request.inputs.iter().map(|input| (input.name.clone(), service(&input.data))).collect();
        let last = request.inputs.last().map_or_else(Vec::new, |input| input.data.clone());
        // What an input did not read is still there at the end.
        reads.push((None, service(&last)));
        TcpResponse { reads, ..TcpResponse::default() }
    };
    let mut complaints = Vec::new();
    for check in of_protocol(ProtocolKind::Tcp) {
        let port = check.template.tcp_ports().into_iter().next().expect("a service check names its port");
        let target = RunTarget::service("target.test", port, false, None);
        for (name, service) in services {
            let outcome = outcome(&check.template, &target, |request| match request {
                Request::Tcp(request) => Response::Tcp(Arc::new(reply(service, request))),
                other => panic!("not a dialogue: {other:?}"),
            });
            if outcome != Outcome::NotMatched {
                complaints.push(format!("{}: {name}: {outcome:?}", check.template.id));
            }
        }
    }
    builtin::assert_none(complaints);
}

#[test]
fn no_dns_check_matches_a_name_server_that_fails() {
    let target = RunTarget::domain("target.test".parse().expect("a name"), None);
    let mut complaints = Vec::new();
    for check in of_protocol(ProtocolKind::Dns) {
        for rcode in ["SERVFAIL", "REFUSED", "NOTIMP", "NXDOMAIN", "NOERROR"] {
            let answer = |_: &Request| {
                Response::Dns(Arc::new(DnsResponse { rcode: rcode.to_owned(), ..DnsResponse::default() }))
            };
            let outcome = outcome(&check.template, &target, answer);
            if outcome != Outcome::NotMatched {
                complaints.push(format!("{}: {rcode}: {outcome:?}", check.template.id));
            }
        }
    }
    builtin::assert_none(complaints);
}
