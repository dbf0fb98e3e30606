//! Whoever says what they have seen changes and forgets nothing that has become something else since.

use axum::body::Body;
use hyper::{Method, Request};
use model::{ApiKey, Role};
use serde_json::{Value, json};

use crate::{
    document::DOCUMENT,
    ground::{Answer, Ground},
    routes::{routes, sample},
};

async fn ask(
    ground: &Ground,
    key: &ApiKey,
    (method, path): (&Method, &str),
    tag: &str,
    body: Option<&Value>,
) -> Answer {
    let asked = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {}", key.expose()))
        .header("content-type", "application/json")
        .header("if-match", tag);
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    ground.send(asked.body(body).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_become_something_else_is_neither_changed_nor_forgotten() {
    let ground = Ground::start().await;
    let owner = ground.key(Role::Owner).await;
    let mut tried = Vec::new();
    for (method, route) in routes() {
        let template = route.split_once(' ').unwrap().1;
        let about = &DOCUMENT["paths"][template];
        if ![Method::PATCH, Method::PUT, Method::DELETE].contains(&method) || about["get"].is_null() {
            continue;
        }
        let (mut path, body) = sample(&ground, &route).await;
        if path.starts_with("/api/v1/comments/") {
            // Only who has said something says it in other words.
            let (_, finding) = ground.finding().await;
            let on = format!("/api/v1/findings/{finding}/comments");
            let said = ground.post(&on, &owner, json!({ "text": "seen" })).await;
            path = said.header("location").to_owned();
        }
        let shown = ground.get(&path, &owner).await;
        let tag = shown.header("etag").to_owned();
        let parameters = about[method.as_str().to_lowercase()]["parameters"].as_array();
        let is_said = parameters.into_iter().flatten().any(|parameter| parameter["name"] == "If-Match");
        assert_eq!(is_said, !tag.is_empty(), "{route}: {shown:?}");
        if tag.is_empty() {
            continue;
        }
        let asked = (&method, &path[..]);
        let refused =
            ask(&ground, &owner, asked, "\"00000000000000000000000000000000\"", body.as_ref()).await;
        refused.problem(412, "changed");
        assert_eq!(ground.get(&path, &owner).await.body, shown.body, "{route}");
        let done = ask(&ground, &owner, asked, &tag, body.as_ref()).await;
        assert!(done.status.is_success(), "{route}: {done:?}");
        tried.push(route);
    }
    let forgotten = tried.iter().filter(|route| route.starts_with("DELETE ")).count();
    assert!(tried.len() >= 13 && forgotten >= 6, "{tried:?}");
}
