//! What is asked for under an `Idempotency-Key` is made once, and a secret is shown once.

use axum::body::Body;
use hyper::Request;
use model::{ApiKey, Role, Scope};
use serde_json::{Value, json};

use crate::ground::{Answer, Ground};

/// Asks twice at once and once more; the answer of whoever made it, and that of whoever came last.
async fn thrice(ground: &Ground, path: &str, key: &ApiKey, body: &Value) -> (Answer, Answer) {
    let ask = || ground.post_once(path, key, "deploy-7", body);
    let (one, other) = tokio::join!(ask(), ask());
    let last = ask().await;
    let [made, before] = match one.header("idempotency-replayed") {
        "" => [one, other],
        _ => [other, one],
    };
    assert_eq!(made.header("idempotency-replayed"), "", "{path}: {made:?}");
    for answer in [&before, &last] {
        assert_eq!(answer.header("idempotency-replayed"), "true", "{path}: {answer:?}");
        assert_eq!(answer.status, made.status, "{path}: {answer:?}");
        assert_eq!(answer.header("location"), made.header("location"));
    }
    assert_eq!(before.body, last.body, "{path}");
    (made, last)
}

/// Whoever got no answer to a login has no cookie either: they log in again. The others make nothing: asked for twice they come to the
/// same.
const NEEDS_NO_KEY: [&str; 5] = [
    "/api/v1/scans/cancel",
    "/api/v1/scans/{scan}/cancel",
    "/api/v1/session",
    "/api/v1/tasks/cancel",
    "/api/v1/tasks/redrive",
];

#[test]
fn whatever_is_made_may_be_asked_for_under_a_key() {
    let document = serde_json::to_value(gateway::document()).unwrap();
    let mut without = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let post = &item["post"];
        let taken = post["parameters"].as_array().into_iter().flatten();
        let takes_key = taken.into_iter().any(|parameter| parameter["name"] == "Idempotency-Key");
        let makes = ["201", "202"].iter().any(|status| !post["responses"][status].is_null());
        if makes && !takes_key {
            without.push(path.as_str());
        }
    }
    assert_eq!(without, NEEDS_NO_KEY);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_made_is_made_once_under_a_key() {
    let ground = Ground::start().await;
    ground.store.put_scope(ground.tenant, "loopback", Scope::loopback(), "test".to_owned()).await.unwrap();
    let rotated = ground.key(Role::Viewer).await.prefix();
    let (seen_by, finding) = ground.finding().await;
    let (user, webhook) = (ground.user().await, ground.webhook().await);
    let comment = json!({ "text": "Is this ours?" });
    let scan = json!({ "targets": ["127.0.0.1"], "request": { "scope": "loopback" } });
    let mut schedule = scan.clone();
    schedule
        .as_object_mut()
        .unwrap()
        .extend([("name".to_owned(), json!("nightly")), ("rule".to_owned(), json!({ "every": "1h" }))]);
    for (path, body, secret) in [
        ("/api/v1/scans".to_owned(), scan, None),
        ("/api/v1/schedules".to_owned(), schedule, None),
        ("/api/v1/stops".to_owned(), json!({ "reason": "a leak" }), None),
        ("/api/v1/users".to_owned(), json!({ "name": "j.doe", "role": "viewer" }), Some("invitation")),
        (format!("/api/v1/users/{}/invitation", user.id), Value::Null, Some("invitation")),
        ("/api/v1/roles".to_owned(), json!({ "name": "triage", "permissions": ["scans.read"] }), None),
        (
            "/api/v1/webhooks".to_owned(),
            json!({ "name": "chat", "url": "https://hooks.acme.test/" }),
            Some("secret"),
        ),
        (format!("/api/v1/webhooks/{webhook}/rotate"), json!({}), Some("secret")),
        ("/api/v1/tenants".to_owned(), json!({ "name": "acme" }), None),
        ("/api/v1/keys".to_owned(), json!({ "name": "pipeline", "role": "viewer" }), Some("secret")),
        (format!("/api/v1/keys/{rotated}/rotate"), json!({}), Some("secret")),
        (format!("/api/v1/findings/{finding}/comments"), comment.clone(), None),
        (format!("/api/v1/scans/{seen_by}/comments"), comment, None),
    ] {
        // Each with a key of its own: under one they would be different requests.
        let owner = ground.key(Role::Owner).await;
        let (made, last) = thrice(&ground, &path, &owner, &body).await;
        let mut shown = made.body.clone();
        if let Some(secret) = secret {
            assert!(shown.as_object_mut().unwrap().remove(secret).is_some(), "{path}: {made:?}");
        }
        assert_eq!(shown, last.body, "{path}: as it is, without what was shown once");
        let place = made.header("location");
        let has_none = ["/stops", "/invitation"].iter().any(|end| path.ends_with(end))
            || path.ends_with("/rotate") && path.contains("/webhooks/");
        assert_eq!(place.is_empty(), has_none, "{path}: {made:?}");
        if !place.is_empty() {
            assert_eq!(ground.get(place, &owner).await.body, last.body, "{place}");
        }
        // Somebody else's key of the same name is their own.
        let other = ground.key(Role::Owner).await;
        let theirs = ground.post_once(&path, &other, "deploy-7", &body).await;
        assert_eq!(theirs.header("idempotency-replayed"), "", "{path}: {theirs:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_request_under_the_same_key_is_refused_whatever_it_is_for() {
    let ground = Ground::start().await;
    let owner = ground.key(Role::Owner).await;
    let pipeline = json!({ "name": "pipeline", "role": "viewer" });
    let made = ground.post_once("/api/v1/keys", &owner, "once", &pipeline).await;
    assert_eq!(made.status, 201, "{made:?}");
    for (path, body) in [
        ("/api/v1/keys", json!({ "name": "another", "role": "viewer" })),
        ("/api/v1/users", pipeline.clone()),
        ("/api/v1/stops", json!({ "reason": "a leak" })),
    ] {
        let refused = ground.post_once(path, &owner, "once", &body).await;
        assert!(refused.problem(409, "conflict").contains("`once` was used for another"), "{refused:?}");
    }
    let prefix = made.body["prefix"].as_str().unwrap();
    ground.store.revoke_key(ground.tenant, prefix.parse().unwrap(), "test").await.unwrap();
    let gone = ground.post_once("/api/v1/keys", &owner, "once", &pipeline).await;
    assert!(gone.problem(409, "conflict").contains("not there any more"), "{gone:?}");
    for wrong in ["", "two words", &"k".repeat(129)] {
        ground.post_once("/api/v1/keys", &owner, wrong, &pipeline).await.problem(400, "malformed");
    }
    let twice = Request::post("/api/v1/stops")
        .header("authorization", format!("Bearer {}", owner.expose()))
        .header("idempotency-key", "one")
        .header("idempotency-key", "two");
    ground.send(twice.body(Body::empty()).unwrap()).await.problem(400, "malformed");
}
