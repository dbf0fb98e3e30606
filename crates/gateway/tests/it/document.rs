//! Whether the gateway does what its document says: every answer in these tests is held to it, and whatever schemathesis makes of it.

use std::{
    collections::HashMap,
    process::Command,
    sync::{Arc, LazyLock, Mutex},
};

use axum::body::Body;
use hyper::{Method, Request};
use jsonschema::Validator;
use model::{Permission, Role, Severity, Stage, WorkerId, attendance::HEARD_EVERY};
use serde_json::{Value, json};
use store::{Introduction, NewRole, Store};
use testkit::tools;

use crate::{
    ground::{Answer, Ground},
    sessions::{Browser, PASSWORD, user},
};

pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(gateway::document()).unwrap());

/// The route of the document that a path is one of.
fn route(path: &str) -> Option<&'static str> {
    let path = path.split('?').next().unwrap();
    let fits = |route: &&String| {
        route.split('/').count() == path.split('/').count()
            && route
                .split('/')
                .zip(path.split('/'))
                .all(|(route, path)| route.starts_with('{') || route == path)
    };
    // What is written out goes before what stands for anything.
    let routes = DOCUMENT["paths"].as_object().unwrap().keys().filter(fits);
    routes.min_by_key(|route| route.matches('{').count()).map(String::as_str)
}

/// An answer of the API has a status and a body that the document knows.
#[track_caller]
pub(crate) fn assert_documented(method: &Method, path: &str, answer: &Answer) {
    static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let Some(route) = route(path) else { return };
    let operation = &DOCUMENT["paths"][route][method.as_str().to_lowercase()];
    if operation.is_null() {
        assert_eq!(answer.status, 405, "{method} {route}");
        return;
    }
    let status = answer.status.as_u16();
    let told = &operation["responses"][status.to_string()];
    assert!(!told.is_null(), "{method} {route}: {status} is not documented: {answer:?}");
    let Some(contents) = told["content"].as_object() else {
        assert_eq!(answer.body, Value::Null, "{method} {route}: {status} has no body in the document");
        return;
    };
    let kind = answer.header("content-type");
    let content = contents.get(kind).unwrap_or_else(|| panic!("{method} {route}: {kind} is not documented"));
    let validator = {
        let mut validators = VALIDATORS.lock().unwrap();
        // Most problems have the same one, and it takes a while to read all that a schema may name.
        let known = validators.entry(content["schema"].to_string()).or_insert_with(|| {
            let mut schema = content["schema"].clone();
            schema["components"] = DOCUMENT["components"].clone();
            Arc::new(jsonschema::options().should_validate_formats(true).build(&schema).unwrap())
        });
        Arc::clone(known)
    };
    let wrong: Vec<String> = validator.iter_errors(&answer.body).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{method} {route}: {wrong:#?} in {}", answer.body);
}

/// Semantics that no schema tells are refused with 422, preconditions with 412.
const CONFIGURATION: &str = r#"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "412", "422", "429"]
"#;

/// Somebody whom schemathesis asks for, by the headers that they bring. They are written as in the document: schemathesis leaves out
/// what it knows by that name, to see that nobody is let in without.
struct Asker {
    name: String,
    headers: Vec<(&'static str, String)>,
}

impl Asker {
    async fn with_key(ground: &Ground, role: Role) -> Asker {
        let (name, key) = (format!("a key of the role {role}"), ground.key(role).await);
        Asker { name, headers: vec![("Authorization", format!("Bearer {}", key.expose()))] }
    }

    /// Somebody who has logged in.
    async fn with_session(ground: &Ground, name: &str, role: Role) -> Asker {
        user(ground, name, role.clone()).await;
        let mut browser = Browser::at(ground, "192.0.2.1");
        assert_eq!(browser.log_in(name, PASSWORD).await.status, 201);
        let (cookie, token) = (browser.cookie.unwrap(), browser.forgery_token.unwrap());
        let headers = vec![("Cookie", cookie), ("X-Forgery-Token", token)];
        Asker { name: format!("a person of the role {role}"), headers }
    }

    /// Whoever was asked for as is still somebody: otherwise all that came after was refused alike.
    async fn require_known(&self, ground: &Ground) {
        let mut request = Request::get("/api/v1/me");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let answer = ground.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 200, "{}: {answer:?}", self.name);
    }
}

/// Whatever fits the document, and much that does not, for so many seconds. `RAMPART_SCHEMATHESIS_SEED` begins elsewhere: what one
/// run asks the next one asks again, so that nobody's change fails for what was there before. How many operations were not asked for
/// within that time.
fn try_out(ground: &Ground, asker: &Asker, seconds: u32, which: &[&str]) -> u64 {
    let place = tempfile::tempdir().unwrap();
    let (configuration, report) = (place.path().join("schemathesis.toml"), place.path().join("report.json"));
    std::fs::write(&configuration, CONFIGURATION).unwrap();
    let mut command = Command::new(tools::program("schemathesis/bin/schemathesis"));
    command
        .current_dir(place.path())
        .args(["--config-file", configuration.to_str().unwrap(), "--no-color", "run"])
        .arg(format!("http://{}/api/v1/openapi.json", ground.address))
        .args(["--checks", "all", "--continue-on-failure", "--max-time", &seconds.to_string()])
        .args(["--report-json-path", report.to_str().unwrap()])
        // What it would say of itself beside that is another asker, or nobody.
        .args(["--generation-with-security-parameters", "false"]);
    for (name, value) in &asker.headers {
        command.args(["--header", &format!("{name}: {value}")]);
    }
    for operation in which {
        let (option, operation) = operation.split_at(1);
        command.args([
            if option == "+" { "--include-operation-id" } else { "--exclude-operation-id" },
            operation,
        ]);
    }
    let seed = std::env::var("RAMPART_SCHEMATHESIS_SEED").unwrap_or_else(|_| "1".to_owned());
    command.args(["--seed", &seed]);
    let output = tokio::task::block_in_place(|| command.output().unwrap());
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}\n{errors}", asker.name);
    // Nothing was wrong with what nobody asked, either.
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    for (of, what) in [("test_cases", "generated"), ("operations", "tested")] {
        assert!(report[of][what].as_u64().is_some_and(|count| count > 0), "{}: {report}", asker.name);
    }
    let count = |what: &str| report["operations"][what].as_u64().unwrap();
    count("selected") - count("tested")
}

/// A worker for packages who says that it is there for as long as it takes: otherwise each request for an analysis is refused.
pub(crate) async fn stays(store: Store) {
    let worker = WorkerId::from_random(rand::random());
    let mut again = tokio::time::interval(HEARD_EVERY);
    loop {
        again.tick().await;
        let stages = vec![Stage::Package];
        let who = Introduction { worker, stages, version: "1.2.3", concurrency: 1, machine: None };
        store.worker_is_there(who).await.unwrap();
    }
}

/// These end what whoever asks is known by.
const ENDINGS: [&str; 4] = ["revoke_key", "rotate_key", "log_out", "end_session"];
/// Answers that do not end: tests of their own follow them.
const ENDLESS: [&str; 2] = ["follow_events", "follow_events_by_socket"];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_for_is_answered_as_the_document_says() {
    let ground = Ground::start().await;
    ground.found(Severity::High, "www.acme.test").await;
    ground.schedule().await;
    ground.task().await;
    ground.analysis().await;
    ground.comment().await;
    let here = tokio::spawn(stays(ground.store.clone()));
    let without: Vec<String> = ENDINGS.iter().chain(&ENDLESS).map(|name| format!("-{name}")).collect();
    let without: Vec<&str> = without.iter().map(String::as_str).collect();
    let as_one = async |asker: Asker, seconds: u32| {
        let left_out = try_out(&ground, &asker, seconds, &without);
        asker.require_known(&ground).await;
        left_out
    };
    // In a tenth of that time each was asked for.
    assert_eq!(as_one(Asker::with_key(&ground, Role::Owner).await, 35).await, 0);
    as_one(Asker::with_session(&ground, "owner@acme.test", Role::Owner).await, 30).await;
    // What changes something was let through, too.
    let auditor = ground.key(Role::Auditor).await;
    let done = ground.get("/api/v1/audit?by=owner%40acme.test&action=key.create", &auditor).await;
    assert_ne!(done.body["entries"], json!([]));
    as_one(Asker::with_session(&ground, "analyst@acme.test", Role::Analyst).await, 10).await;
    as_one(Asker::with_key(&ground, Role::Viewer).await, 10).await;
    for role in [Role::Scanner, Role::Administrator, Role::Operator, Role::Auditor] {
        as_one(Asker::with_key(&ground, role).await, 10).await;
    }
    use Permission::{CommentsRead, CommentsWrite, FindingsRead, ScansRead};
    let permissions = [CommentsRead, CommentsWrite, FindingsRead, ScansRead].into();
    let few = NewRole { name: "reviewer".parse().unwrap(), permissions };
    let few = ground.store.create_role(ground.tenant, few, "test").await.unwrap().name;
    as_one(Asker::with_key(&ground, few).await, 10).await;
    try_out(&ground, &Asker::with_key(&ground, Role::Owner).await, 5, &["+revoke_key", "+rotate_key"]);
    let leaver = Asker::with_session(&ground, "leaver@acme.test", Role::Viewer).await;
    try_out(&ground, &leaver, 5, &["+log_out", "+end_session"]);
    for chain in [Some(ground.tenant), None] {
        assert!(ground.store.verify_audit(chain, &[], None).await.unwrap().is_ok());
    }
    here.abort();
    let ready = ground.ask(Method::GET, "/ready", None, None).await;
    assert_eq!(ready.status, 200, "{ready:?}");
}
