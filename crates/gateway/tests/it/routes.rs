//! Every route, and who may use it. Both are kept as files, so that a change of the API is seen in review.

use std::{collections::BTreeSet, fmt::Write};

use hyper::Method;
use model::{ApiKey, Role};
use serde_json::{Value, json};

use crate::ground::{Ground, named};

/// What is sent to a route, and what stands in its path; each time anew, since some routes take things away.
async fn sample(ground: &Ground, route: &str) -> (String, Option<Value>) {
    let path = route.split_once(' ').unwrap().1;
    let body = match route {
        "GET /api/v1/me"
        | "GET /api/v1/keys"
        | "GET /api/v1/keys/{prefix}"
        | "DELETE /api/v1/keys/{prefix}"
        | "GET /api/v1/scans"
        | "GET /api/v1/scans/{scan}"
        | "POST /api/v1/scans/{scan}/cancel"
        | "GET /api/v1/scans/{scan}/difference" => None,
        "POST /api/v1/scans" => Some(json!({ "targets": ["127.0.0.1"], "request": { "scope": "loopback" } })),
        "POST /api/v1/keys" => Some(json!({ "name": "made", "role": "viewer" })),
        "POST /api/v1/keys/{prefix}/rotate" => Some(json!({})),
        other => panic!("a sample of {other} is needed here"),
    };
    let key = ground.key(Role::Viewer).await;
    let path = path.replace("{prefix}", key.prefix().as_str());
    match path.contains("/scans") {
        true => (path.replace("{scan}", &ground.scan().await.to_string()), body),
        false => (path, body),
    }
}

fn routes() -> Vec<(Method, String)> {
    let document = serde_json::to_value(gateway::document()).unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            routes.push((method.parse().unwrap(), format!("{method} {path}")));
        }
    }
    routes
}

#[track_caller]
fn assert_golden(name: &str, now: &str, golden: &str) {
    assert!(
        now == golden,
        "the API changed: if that is meant, crates/gateway/tests/it/{name} is to be:\n{now}"
    );
}

#[test]
fn the_document_is_as_it_was() {
    let now = serde_json::to_string_pretty(&gateway::document()).unwrap() + "\n";
    assert_golden("openapi.json", &now, include_str!("openapi.json"));
}

#[test]
fn every_operation_has_a_name_of_its_own_and_every_answer_a_description() {
    let document = serde_json::to_value(gateway::document()).unwrap();
    let mut names = BTreeSet::new();
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap());
    for (method, operation) in operations {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{method} {name} is there twice");
        for (status, answer) in operation["responses"].as_object().unwrap() {
            assert!(answer["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}: {status}");
        }
    }
    assert_eq!(names.len(), routes().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_served() {
    let ground = Ground::start().await;
    let served = ground.ask(Method::GET, "/api/v1/openapi.json", None, None).await;
    assert_eq!(served.body, serde_json::to_value(gateway::document()).unwrap());
    assert_eq!(served.body["openapi"], "3.1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_asks_who_may() {
    let ground = Ground::start().await;
    let other = ground.another_tenant().await;
    let mut callers: Vec<(String, Option<ApiKey>)> = vec![("nobody".to_owned(), None)];
    for role in Role::ALL {
        callers.push((role.to_string(), Some(ground.key(role).await)));
    }
    callers.push(("owner of another tenant".to_owned(), Some(ground.key_of(other, named("other")).await)));
    let mut table = String::new();
    for (method, route) in routes() {
        writeln!(table, "{route}").unwrap();
        for (name, key) in &callers {
            let (path, body) = sample(&ground, &route).await;
            let key = key.as_ref().map(ApiKey::expose);
            let answer = ground.ask(method.clone(), &path, key, body).await;
            writeln!(table, "  {name:<24}{}", answer.status.as_u16()).unwrap();
        }
    }
    assert_golden("roles.txt", &table, include_str!("roles.txt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_somebody_else_is_as_if_it_were_not_there() {
    let ground = Ground::start().await;
    let other = ground.another_tenant().await;
    let owner = ground.key_of(other, named("other")).await;
    for (method, route) in routes().into_iter().filter(|(_, route)| route.contains('{')) {
        let (foreign, body) = sample(&ground, &route).await;
        let nowhere = route
            .split_once(' ')
            .unwrap()
            .1
            .replace("{prefix}", "00000000")
            .replace("{scan}", "0000000000000000");
        let mut told = Vec::new();
        for path in [foreign, nowhere] {
            let answer = ground.ask(method.clone(), &path, Some(owner.expose()), body.clone()).await;
            let detail = answer.problem(404, "not-found").to_owned();
            let id = path.split('/').nth(4).unwrap();
            let mut headers: Vec<&str> = answer.headers.keys().map(|name| name.as_str()).collect();
            headers.sort_unstable();
            told.push((detail.replace(id, "ID"), headers.join(" ")));
        }
        assert_eq!(told[0], told[1], "{route}");
    }
}
