//! Whether the gateway does what its document says: every answer in these tests is held to it, and whatever schemathesis makes of it.

use std::{
    collections::HashMap,
    path::Path,
    process::Command,
    sync::{Arc, LazyLock, Mutex},
};

use hyper::Method;
use jsonschema::Validator;
use model::{ApiKey, Role, Severity, Stage, WorkerId, attendance::HEARD_EVERY};
use serde_json::Value;
use store::{Introduction, Store};

use crate::ground::{Answer, Ground};

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

/// Whatever fits the document, and much that does not, for so many seconds. `RAMPART_SCHEMATHESIS_SEED` begins elsewhere: what one
/// run asks the next one asks again, so that nobody's change fails for what was there before.
fn try_out(ground: &Ground, key: &ApiKey, seconds: u32, which: &[&str]) {
    let program =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/schemathesis/bin/schemathesis");
    assert!(program.exists(), "schemathesis is not installed: test.sh does that");
    let place = tempfile::tempdir().unwrap();
    let configuration = place.path().join("schemathesis.toml");
    std::fs::write(&configuration, CONFIGURATION).unwrap();
    let mut command = Command::new(program);
    command
        .current_dir(place.path())
        .args(["--config-file", configuration.to_str().unwrap(), "--no-color", "run"])
        .arg(format!("http://{}/api/v1/openapi.json", ground.address))
        .args(["--header", &format!("Authorization: Bearer {}", key.expose())])
        .args(["--checks", "all", "--continue-on-failure", "--max-time", &seconds.to_string()])
        .args(which);
    let seed = std::env::var("RAMPART_SCHEMATHESIS_SEED").unwrap_or_else(|_| "1".to_owned());
    command.args(["--seed", &seed]);
    // Answers that do not end: tests of their own follow them.
    command.args([
        "--exclude-operation-id",
        "follow_events",
        "--exclude-operation-id",
        "follow_events_by_socket",
    ]);
    let output = tokio::task::block_in_place(|| command.output().unwrap());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// A worker for packages who says that it is there for as long as it takes: otherwise each request for an analysis is refused.
pub(crate) async fn stays(store: Store) {
    let worker = WorkerId::from_random(rand::random());
    let mut again = tokio::time::interval(HEARD_EVERY);
    loop {
        again.tick().await;
        let stages = vec![Stage::Package];
        let who = Introduction { worker, stages, version: "1.2.3", concurrency: 1 };
        store.worker_is_there(who).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_for_is_answered_as_the_document_says() {
    let ground = Ground::start().await;
    ground.found(Severity::High, "www.acme.test").await;
    ground.schedule().await;
    ground.task().await;
    ground.analysis().await;
    let here = tokio::spawn(stays(ground.store.clone()));
    // These take keys away: whoever asks would not be known any more.
    let others = ["--exclude-operation-id", "revoke_key", "--exclude-operation-id", "rotate_key"];
    let keys = ["--include-operation-id", "revoke_key", "--include-operation-id", "rotate_key"];
    try_out(&ground, &ground.key(Role::Owner).await, 40, &others);
    try_out(&ground, &ground.key(Role::Viewer).await, 10, &others);
    try_out(&ground, &ground.key(Role::Owner).await, 5, &keys);
    for chain in [Some(ground.tenant), None] {
        assert!(ground.store.verify_audit(chain, &[], None).await.unwrap().is_ok());
    }
    here.abort();
    let ready = ground.ask(Method::GET, "/ready", None, None).await;
    assert_eq!(ready.status, 200, "{ready:?}");
}
