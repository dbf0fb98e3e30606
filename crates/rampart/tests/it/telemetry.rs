//! What is said to whoever watches: which request a line is about, and no secrets.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Instant,
};

use model::ApiKey;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::http::{HttpServer, Seen, ok, response};

use crate::{
    platform::{PATIENCE, run},
    remote::Careless,
    run::{assert_exit, rampart, send, text},
    traces::Collector,
};

/// A platform that says everything into a file: however much that is, it waits for no reader.
pub(crate) struct Logged {
    child: Child,
    log: PathBuf,
    pub(crate) url: String,
    pub(crate) key: String,
}

impl Logged {
    pub(crate) fn start(directory: &Path, words: &[&str]) -> Logged {
        let log = directory.join("log");
        let child = rampart(directory)
            .args(["up", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--log-format", "json"])
            .args(words)
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let said =
            until(|| Some(std::fs::read_to_string(&log).unwrap()).filter(|said| said.contains("  try ")));
        // What it says to people stands between the lines of the log.
        let told: Vec<&str> = said.lines().filter(|line| !line.starts_with('{')).collect();
        let told = told.join("\n");
        let after =
            |mark: &str| told.split(mark).nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
        let url = format!("http://{}", after("http://").split('/').next().unwrap());
        Logged { child, log, url, key: after("administrator ").to_owned() }
    }

    /// Tells it to read its configuration again, and waits until it says this about it.
    pub(crate) fn hang_up(&self, words: &str) {
        let before = self.said().len();
        send(Signal::SIGHUP, &self.child);
        until(|| self.said()[before..].contains(words).then_some(()));
    }

    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// By curl, with these further words: the answer's headers and its body.
    pub(crate) fn ask(&self, path: &str, words: &[&str]) -> String {
        curl(&format!("{}{path}", self.url), words)
    }

    /// What is shown to those who watch.
    fn metrics(&self) -> String {
        let at = until(|| {
            let said = self.said();
            let (at, _) = said.split_once("the metrics are at ")?.1.split_once('\n')?;
            Some(at.to_owned())
        });
        curl(&at, &[])
    }

    pub(crate) fn end(mut self) -> String {
        send(Signal::SIGTERM, &self.child);
        assert!(self.child.wait().unwrap().success());
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        // It is gone already when the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn curl(url: &str, words: &[&str]) -> String {
    let asked =
        Command::new("curl").args(["-sS", "-i", "--max-time", "20", url]).args(words).output().unwrap();
    assert!(asked.status.success(), "curl {url}: {}", text(&asked.stderr));
    text(&asked.stdout)
}

pub(crate) fn until<T>(mut there: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match there() {
            Some(found) => return found,
            None => assert!(Instant::now() < deadline, "it does not come"),
        }
        std::thread::yield_now();
    }
}

pub(crate) fn body(answer: &str) -> Value {
    serde_json::from_str(answer.split("\r\n\r\n").last().unwrap())
        .unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[test]
fn a_request_is_found_in_every_line_about_it() {
    let (directory, careless) = (tempfile::tempdir().unwrap(), Careless::start());
    let up = Logged::start(directory.path(), &["--log", "info,worker=debug"]);
    let key = format!("Authorization: Bearer {}", up.key);
    let submission =
        json!({ "targets": [careless.url], "request": { "scope": "loopback", "stages": ["check"] } })
            .to_string();
    let asked = [
        "-H",
        &key,
        "-H",
        "X-Request-Id: of-the-test",
        "-H",
        "Content-Type: application/json",
        "-d",
        &submission,
    ];
    let submitted = up.ask("/api/v1/scans", &asked);
    assert!(submitted.to_lowercase().contains("x-request-id: of-the-test"), "{submitted}");
    let scan = body(&submitted)["id"].as_str().unwrap_or_else(|| panic!("{submitted}")).to_owned();
    let record = until(|| {
        let record = body(&up.ask(&format!("/api/v1/scans/{scan}"), &["-H", &key]));
        (record["state"] == "ended").then_some(record)
    });
    assert_eq!(record["request_id"], "of-the-test");
    // Its report is a task, too, and comes last.
    let tasks = until(|| {
        let tasks = body(&up.ask(&format!("/api/v1/tasks?scan={scan}"), &["-H", &key]));
        let tasks = tasks["tasks"].as_array().unwrap().clone();
        tasks.iter().all(|task| task["life"]["state"] == "completed").then_some(tasks)
    });
    assert!(tasks.len() >= 2 && tasks.iter().all(|task| task["request_id"] == "of-the-test"), "{tasks:#?}");
    let audit = body(&up.ask("/api/v1/audit?action=scan.submit", &["-H", &key]));
    assert_eq!(audit["entries"][0]["request"], "of-the-test");

    let log = up.end();
    let lines: Vec<Value> = log
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        let time: jiff::Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(
            time.duration_since(jiff::Timestamp::now()).abs() < jiff::SignedDuration::from_hours(1),
            "{line}"
        );
        assert!(line["level"].is_string() && line["fields"]["message"].is_string(), "{line}");
    }
    let about = |name: &str| -> Vec<&Value> {
        let wanted =
            |line: &&Value| line["span"]["name"] == name && line["span"]["request_id"] == "of-the-test";
        lines.iter().filter(wanted).collect()
    };
    let requests = about("request");
    assert!(matches!(&requests[..], [line] if line["fields"]["status"] == 202), "{requests:#?}");
    // Every task that the request led to, the report among them.
    let told = about("task");
    for task in &tasks {
        assert!(
            told.iter().any(|line| line["span"]["task"] == task["id"] && line["span"]["scan"] == scan),
            "{task}: {told:#?}"
        );
    }
}

/// Makes two webhooks whose URLs have tokens of their receiver, of which one is answered well and the other is not, and waits until both
/// were told something. Gives the token and the secret of each.
fn tell_webhooks(up: &Logged, receiver: &HttpServer, key: &str) -> Vec<(String, String)> {
    let json_type = "Content-Type: application/json";
    let made: Vec<(String, String)> = ["hook", "fails"]
        .map(|path| {
            let token = format!("token-for-the-receiver-that-{path}");
            let url = format!("http://{}/{path}?token={token}", receiver.address());
            let new = json!({ "name": path, "url": url }).to_string();
            let made = body(&up.ask("/api/v1/webhooks", &["-H", key, "-H", json_type, "-d", &new]));
            let secret = made["secret"].as_str().unwrap_or_else(|| panic!("{made}"));
            (token, secret.strip_prefix("whsec_").unwrap().to_owned())
        })
        .into();
    let submission = r#"{"targets":["127.0.0.1:9"],"request":{"scope":"loopback","stages":["ports"]}}"#;
    let submitted = up.ask("/api/v1/scans", &["-H", key, "-H", json_type, "-d", submission]);
    assert!(submitted.starts_with("HTTP/1.1 202"), "{submitted}");
    until(|| {
        let seen = receiver.seen();
        let is_told = |token: &String| seen.iter().any(|seen| seen.target().contains(token.as_str()));
        made.iter().all(|(token, _)| is_told(token)).then_some(())
    });
    until(|| up.said().contains("a message did not arrive").then_some(()));
    made
}

#[test]
fn no_secret_is_in_anything_that_is_said() {
    let (directory, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let receiver = runtime.block_on(HttpServer::start(|seen: &Seen| match seen.target() {
        target if target.starts_with("/fails") => response("500 Internal Server Error", &[], ""),
        _ => ok(""),
    }));
    let (webhook_key, key_file) =
        ("of-this-all-the-secrets-of-webhooks-are-made", directory.path().join("webhook.key"));
    std::fs::write(&key_file, webhook_key).unwrap();
    let traced =
        ["--log", "trace", "--traces", &collector.url(), "--traces-headers", "x-key=collectors-secret"];
    let told = ["--webhook-receivers", "127.0.0.0/8:*", "--webhook-key", key_file.to_str().unwrap()];
    let providers = "[[provider]]\nname = 'company'\nissuer = 'http://127.0.0.1:1'\nclient_id = 'rampart'\n\
                     client_secret_file = 'company.secret'\n[provider.roles]\nadmins = 'administrator'\n";
    std::fs::write(directory.path().join("company.secret"), "secret-of-the-company").unwrap();
    std::fs::write(directory.path().join("providers.toml"), providers).unwrap();
    let vouched = ["--identity-providers", "providers.toml", "--public-url", "http://127.0.0.1:1"];
    let up = Logged::start(directory.path(), &[&traced[..], &told, &vouched].concat());
    let json_type = "Content-Type: application/json";
    let (password, wrong, bad_key) = (
        "zyxw-vuts-rqpo-nmlk",
        "wrong-abcd-efgh-ijkl",
        "rampart_00000000_deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbe",
    );
    let unknown = ApiKey::from_random(rand::random(), rand::random());
    let key = format!("Authorization: Bearer {}", up.key);
    // What is answered to whoever is not to be shown a secret with it.
    let mut answers = Vec::new();
    let mut ask = |path: &str, words: &[&str]| -> String {
        let answer = up.ask(path, words);
        answers.push(answer.clone());
        answer
    };

    let invited = up.ask(
        "/api/v1/users",
        &["-H", &key, "-H", json_type, "-d", r#"{"name":"ann@acme.test","role":"viewer"}"#],
    );
    let invitation = body(&invited)["invitation"].as_str().unwrap().to_owned();
    let accept = json!({ "invitation": invitation, "password": password }).to_string();
    let accepted = ask("/api/v1/invitations/accept", &["-H", json_type, "-d", &accept]);
    assert!(accepted.starts_with("HTTP/1.1 20"), "{accepted}");
    let log_in = |password: &str| {
        json!({ "tenant": "default", "name": "ann@acme.test", "password": password }).to_string()
    };
    let refused = ask("/api/v1/session", &["-H", json_type, "-d", &log_in(wrong)]);
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let session = up.ask("/api/v1/session", &["-H", json_type, "-d", &log_in(password)]);
    let token =
        session.split("__Host-rampart=").nth(1).and_then(|rest| rest.split(';').next()).unwrap().to_owned();
    let forgery_token = body(&session)["forgery_token"].as_str().unwrap().to_owned();
    let cookie = format!("Cookie: __Host-rampart={token}");
    let forgery = format!("X-Forgery-Token: {forgery_token}");
    let secret = up.ask("/api/v1/me/second-factor", &["-H", &cookie, "-H", &forgery, "-X", "POST"]);
    let second_factor = body(&secret)["secret"].as_str().unwrap_or_else(|| panic!("{secret}")).to_owned();
    let made =
        up.ask("/api/v1/keys", &["-H", &key, "-H", json_type, "-d", r#"{"name":"made","role":"viewer"}"#]);
    let made = body(&made)["secret"].as_str().unwrap().to_owned();
    // What is wrong, in places where somebody may put it by mistake, in both versions of the protocol.
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        for words in [
            &["-H", &format!("Authorization: Bearer {bad_key}")][..],
            &["-H", &format!("Authorization: Bearer {}", unknown.expose())],
            &["-H", &format!("Authorization: Bearer {made}")],
            &["-H", &format!("Authorization: Basic {wrong}")],
            &["-H", &cookie, "-X", "PATCH", "-H", json_type, "-d", "{}"],
            &["-H", &key, "-H", json_type, "-d", &json!({ "password": wrong }).to_string()],
        ] {
            ask("/api/v1/users", &[&[version], words].concat());
        }
    }
    // A code that comes back to nobody who went, and a provider that is away.
    for path in ["company", "company/callback?code=code-of-the-company&state=made-up-by-somebody"] {
        let answer = ask(&format!("/api/v1/session/providers/{path}"), &[]);
        assert!(answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5"), "{answer}");
    }
    let webhooks = tell_webhooks(&up, &receiver, &key);
    for what in ["audit", "keys", "me", "settings", "tasks", "users", "webhooks"] {
        let answer = ask(&format!("/api/v1/{what}"), &["-H", &key]);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let metrics = up.metrics();
    assert!(metrics.contains("rampart_http_requests_total{"), "{metrics}");
    let audit = run(directory.path(), &["audit", "export"]);
    assert_exit(&audit, 0);
    let doctor = rampart(directory.path())
        .args(["doctor", "--doorbell", "redis://:doorbell-secret@127.0.0.1:1"])
        .args(["--objects", "s3://key:object-storage-secret@evidence?endpoint=http://127.0.0.1:1"])
        .env("RAMPART_DATABASE", "postgres://rampart:database-secret@127.0.0.1:1/rampart")
        .output()
        .unwrap();
    let unreachable = rampart(directory.path())
        .args(["gateway", "--listen", "127.0.0.1:0", "--log", "trace"])
        .env("RAMPART_DATABASE", "postgres://rampart:database-secret@127.0.0.1:1/rampart")
        .output()
        .unwrap();
    assert!(!doctor.status.success() && !unreachable.status.success());
    let administrator = up.key.clone();
    let log = up.end();
    assert!(log.contains("\"TRACE\""), "it says everything");
    // It says the key that it makes first, once, to whoever starts it.
    let said = log.replacen(&administrator, "", 1);
    let traces = collector.bodies().concat();
    assert!(traces.windows(13).any(|window| window == b"/api/v1/users"), "they tell of requests");
    assert!(traces.windows(12).any(|window| window == b"task deliver"), "they tell of messages");
    let database = std::fs::read(directory.path().join("rampart-data/rampart.db")).unwrap();
    let everything = [
        ("the log", said.into_bytes()),
        ("the audit", audit.stdout),
        ("doctor", [doctor.stdout, doctor.stderr].concat()),
        ("a process without a database", [unreachable.stdout, unreachable.stderr].concat()),
        ("the database", database),
        ("the traces", traces),
        ("the metrics", metrics.into_bytes()),
        ("what was answered", answers.concat().into_bytes()),
    ];
    let unnamed = |key: &str| key.rsplit('_').next().unwrap().to_owned();
    let secrets = [
        ("the administrator's key", unnamed(&administrator)),
        ("a key", unnamed(&made)),
        ("a key that is none", unnamed(bad_key)),
        ("a key that is not known", unnamed(unknown.expose())),
        ("a password", password.to_owned()),
        ("a wrong password", wrong.to_owned()),
        ("an invitation", invitation),
        ("a session", token),
        ("its token against forgery", forgery_token),
        ("a second factor", second_factor),
        ("the database's password", "database-secret".to_owned()),
        ("the doorbell's password", "doorbell-secret".to_owned()),
        ("what the collector is told", "collectors-secret".to_owned()),
        ("the key of all webhooks", webhook_key.to_owned()),
        ("what the provider of identities knows us by", "secret-of-the-company".to_owned()),
        ("a code of that provider", "code-of-the-company".to_owned()),
        ("the key of object storage", "object-storage-secret".to_owned()),
        ("a webhook's secret", webhooks[0].1.clone()),
        ("another webhook's secret", webhooks[1].1.clone()),
    ];
    for (what, secret) in &secrets {
        for (place, said) in &everything {
            require_without(said, secret, &format!("{what} is in {place}"));
        }
    }
    // Whoever may read webhooks reads where they lead, and nobody else does.
    for (token, _) in &webhooks {
        for (place, said) in &everything {
            if ["the log", "the metrics", "the traces"].contains(place) {
                require_without(said, token, &format!("a receiver's token is in {place}"));
            }
        }
    }
}

#[track_caller]
fn require_without(said: &[u8], secret: &str, otherwise: &str) {
    assert!(secret.len() > 12, "{otherwise}: {secret}");
    let found = said.windows(secret.len()).position(|window| window == secret.as_bytes());
    let around = found.map(|at| text(&said[at.saturating_sub(200)..at]));
    assert_eq!(around, None, "{otherwise}");
}
