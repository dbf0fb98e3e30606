//! What a collector of traces is told: a request and everything that was done for it, in whatever process; and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    time::Instant,
};

use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use serde_json::json;
use testkit::{
    http::{HttpServer, Seen, ok, response},
    tcp::TcpServer,
};

use crate::{
    installation::Installation,
    platform::PATIENCE,
    remote::Careless,
    run::{send, text},
    telemetry::{Logged, body, until},
};

const SCOPE: &str = "authorised_by = \"test\"\nnetworks = [\"127.0.0.0/8\"]\n";
/// Of somebody else, who wants it to be recorded.
const THEIRS: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const THEIR_TRACE: u128 = 0x0af7651916cd43dd8448eb211c80319c;

/// Somebody who takes traces.
pub(crate) struct Collector {
    server: HttpServer,
    _runtime: tokio::runtime::Runtime,
}

/// A span, and of which process it is.
#[derive(Debug, Clone)]
struct Told {
    process: BTreeMap<String, String>,
    span: Span,
    attributes: BTreeMap<String, String>,
}

impl Collector {
    pub(crate) fn start() -> Collector {
        Collector::answering(|_| ok(""))
    }

    fn answering(answer: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Collector {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = runtime.block_on(HttpServer::start(answer));
        Collector { server, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// What it was sent, without the heads.
    pub(crate) fn bodies(&self) -> Vec<Vec<u8>> {
        let seen = self.server.seen();
        seen.iter().map(|seen| seen.bytes[head(seen).len()..].to_vec()).collect()
    }

    fn told(&self) -> Vec<Told> {
        let mut told = Vec::new();
        for body in self.bodies() {
            let sent = ExportTraceServiceRequest::decode(&*body).unwrap();
            for of_process in sent.resource_spans {
                let process = texts(&of_process.resource.unwrap().attributes);
                let spans = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
                told.extend(spans.map(|span| Told {
                    process: process.clone(),
                    attributes: texts(&span.attributes),
                    span,
                }));
            }
        }
        told
    }
}

fn head(seen: &Seen) -> String {
    let text = seen.text();
    text.split_inclusive("\r\n\r\n").next().unwrap().to_owned()
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    let value = |attribute: &KeyValue| text(attribute.value.as_ref().unwrap().value.as_ref().unwrap());
    attributes.iter().map(|attribute| (attribute.key.clone(), value(attribute))).collect()
}

/// A process that runs until it is told to end, and where it listens, if it does.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start(mut command: Command, ready: &str) -> Process {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains(ready) {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "it ended");
        }
        std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        Process { child, address: address.unwrap_or_default().to_owned() }
    }

    fn ask(&self, path: &str, words: &[&str]) -> String {
        let url = format!("http://{}{path}", self.address);
        let asked = Command::new("curl").args(["-sS", "-i", "--max-time", "20", &url]).args(words).output();
        text(&asked.unwrap().stdout)
    }

    fn end(mut self) {
        send(Signal::SIGTERM, &self.child);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It is gone already when the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_request_and_the_tasks_that_another_process_does_for_it_are_one_trace() {
    let (installation, careless) = (Installation::start(SCOPE), Careless::start());
    let collector = Collector::start();
    let created = installation.command(&["key", "create", "test", "--role", "owner"]).output().unwrap();
    let key = format!("Authorization: Bearer {}", text(&created.stdout).trim());
    let start = |words: &[&str], ready: &str| {
        let mut command = installation.command(words);
        command.env("RAMPART_TRACES", collector.url());
        command.env("RAMPART_TRACES_HEADERS", "Authorization=Bearer%20of-the-collector,x-team=a%2Cb");
        // What is written and what is traced have nothing to do with each other.
        command.env("RAMPART_LOG", if words[0] == "gateway" { "error" } else { "info" });
        Process::start(command, ready)
    };
    let gateway = start(&["gateway", "--listen", "127.0.0.1:0"], "listens on http://");
    let worker = start(&["worker"], "the worker is ready");
    let submission =
        json!({ "targets": [careless.url], "request": { "scope": "test", "stages": ["check"] } }).to_string();
    let theirs = format!("traceparent: {THEIRS}");
    let asked = ["-H", &key, "-H", &theirs, "-H", "X-Request-Id: of-the-test"];
    let json = ["-H", "Content-Type: application/json", "-d", &submission];
    let submitted = gateway.ask("/api/v1/scans", &[&asked[..], &json].concat());
    let scan = body(&submitted)["id"].as_str().unwrap_or_else(|| panic!("{submitted}")).to_owned();
    let tasks = until(|| {
        let tasks = body(&gateway.ask(&format!("/api/v1/tasks?scan={scan}"), &["-H", &key]));
        let tasks = tasks["tasks"].as_array().unwrap().clone();
        let is_done = tasks.iter().all(|task| task["life"]["state"] == "completed") && tasks.len() > 1;
        is_done.then_some(tasks)
    });
    // Strangers, in whatever they are refused.
    gateway.ask("/api/v1/me", &["-H", &theirs, "-H", "X-Request-Id: of-a-stranger"]);
    gateway.ask("/api/v1/nowhere", &["-H", &theirs, "-X", "S3CRET", "-H", "X-Request-Id: of-a-fool"]);
    gateway.ask("/health", &[]);
    // The last spans are sent at the end.
    worker.end();
    gateway.end();

    let told = collector.told();
    let of_request = |id: &str| -> Vec<Told> {
        let is = |told: &&Told| told.attributes.get("rampart.request.id").is_some_and(|told| told == id);
        told.iter().filter(is).cloned().collect()
    };
    let kind = |told: &Told| told.span.kind();
    let (requests, done): (Vec<Told>, Vec<Told>) =
        of_request("of-the-test").into_iter().partition(|told| kind(told) == SpanKind::Server);
    let [request] = &requests[..] else { panic!("{requests:#?}") };
    assert_eq!(request.span.name, "POST /api/v1/scans");
    assert!(request.span.parent_span_id.is_empty(), "strangers' traces are not gone on with");
    let expected = [
        ("http.request.method", "POST"),
        ("http.route", "/api/v1/scans"),
        ("http.response.status_code", "202"),
        ("rampart.request.id", "of-the-test"),
    ];
    let expected: BTreeMap<String, String> =
        expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(request.attributes, expected);
    let [link] = &request.span.links[..] else { panic!("{:?}", request.span.links) };
    assert_eq!(link.trace_id, THEIR_TRACE.to_be_bytes());
    assert_eq!(link.span_id, 0xb7ad6b7169203331u64.to_be_bytes());
    assert_ne!(request.span.trace_id, link.trace_id);

    let by_task: BTreeMap<&str, &Told> =
        done.iter().map(|told| (told.attributes["rampart.task.id"].as_str(), told)).collect();
    assert_eq!(by_task.len(), done.len(), "each was done once");
    let wanted: BTreeSet<&str> = tasks.iter().map(|task| task["id"].as_str().unwrap()).collect();
    assert_eq!(by_task.keys().copied().collect::<BTreeSet<&str>>(), wanted);
    for task in &tasks {
        let told = by_task[task["id"].as_str().unwrap()];
        assert_eq!(told.span.trace_id, request.span.trace_id);
        assert_eq!(told.span.parent_span_id, request.span.span_id);
        assert_eq!(kind(told), SpanKind::Consumer);
        let stage = &told.attributes["rampart.task.stage"];
        assert_eq!(told.span.name, format!("task {stage}"));
        assert_eq!(told.attributes["rampart.scan.id"], scan);
        assert_eq!(told.attributes["rampart.task.end"], "completed");
        assert_eq!(told.attributes.len(), 5, "{:?}", told.attributes);
        assert!(told.span.start_time_unix_nano >= request.span.start_time_unix_nano);
        assert!(told.span.end_time_unix_nano >= told.span.start_time_unix_nano);
    }
    let stages: BTreeSet<&str> =
        done.iter().map(|told| told.attributes["rampart.task.stage"].as_str()).collect();
    assert_eq!(stages, BTreeSet::from(["check", "report"]));

    let (of_gateway, of_worker) = (&request.process, &done[0].process);
    for (process, name) in [(of_gateway, "rampart-gateway"), (of_worker, "rampart-worker")] {
        assert_eq!(process["service.name"], name);
        assert_eq!(process["service.namespace"], "rampart");
        assert_eq!(process["service.version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(process.len(), 4, "{process:?}");
    }
    assert_ne!(of_gateway["service.instance.id"], of_worker["service.instance.id"]);

    let [stranger] = &of_request("of-a-stranger")[..] else { panic!("one request") };
    let [fool] = &of_request("of-a-fool")[..] else { panic!("one request") };
    for told in [stranger, fool] {
        assert!(told.span.links.is_empty() && told.span.parent_span_id.is_empty(), "{told:?}");
        assert_ne!(told.span.trace_id, THEIR_TRACE.to_be_bytes());
    }
    assert_eq!((stranger.span.name.as_str(), fool.span.name.as_str()), ("GET /api/v1/me", "HTTP"));
    assert_eq!(fool.attributes["http.request.method"], "_OTHER");
    for told in &told {
        assert!(told.attributes.get("http.route").is_none_or(|route| route != "/health"), "{told:?}");
        assert!(told.span.events.is_empty(), "{told:?}");
        assert_ne!(told.span.status.clone().unwrap_or_default().code(), StatusCode::Error);
    }
    for seen in collector.server.seen() {
        let head = head(&seen);
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        let head = head.to_lowercase();
        for line in
            ["authorization: bearer of-the-collector", "x-team: a,b", "content-type: application/x-protobuf"]
        {
            assert!(head.lines().any(|said| said == line), "{head}");
        }
    }
}

#[test]
fn who_does_not_take_traces_is_told_of_once_and_waited_for_by_nobody() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let silent = runtime.block_on(TcpServer::start(async |_stream, _| std::future::pending().await));
    let refuses = Collector::answering(|_| {
        response("503 Service Unavailable", &["Retry-After: 3600"], "Bearer of-the-collector")
    });
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (collector, why) in [
        (format!("http://{nobody}"), "onnection refused"),
        (refuses.url(), "503 Service Unavailable"),
        (format!("http://{}", silent.address()), ""),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let headers = "authorization=Bearer%20of-the-collector";
        let up = Logged::start(directory.path(), &["--traces", &collector, "--traces-headers", headers]);
        let key = format!("Authorization: Bearer {}", up.key);
        let lost = |said: &str| said.matches("traces are lost:").count();
        let mut asked = 0;
        let begun = Instant::now();
        let is_told = || !why.is_empty() && lost(&up.said()) > 0;
        // More than one message of them, over some time.
        while asked < 40 || (!why.is_empty() && !is_told()) {
            assert!(up.ask("/api/v1/me", &["-H", &key]).starts_with("HTTP/1.1 200"));
            asked += 1;
            assert!(begun.elapsed() < PATIENCE, "nothing is said of {collector}: {}", up.said());
        }
        let said = up.end();
        // A silent one may have had its say only at the end.
        let times = lost(&said);
        assert!(times == 1 || (why.is_empty() && times <= 1), "{times} times: {said}");
        assert!(said.contains(why) && !said.contains("of-the-collector"), "{said}");
    }
}

#[test]
fn nobody_from_outside_decides_that_something_is_traced() {
    let (directory, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let up = Logged::start(directory.path(), &["--traces", &collector.url(), "--traces-ratio", "0"]);
    let (key, theirs) = (format!("Authorization: Bearer {}", up.key), format!("traceparent: {THEIRS}"));
    for words in [&["-H", &theirs, "-H", &key][..], &["-H", &theirs]] {
        up.ask("/api/v1/me", words);
    }
    up.end();
    assert!(collector.bodies().is_empty(), "{:?}", collector.told());
}
