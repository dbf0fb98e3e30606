//! Lists: in the order that was asked for, of what was asked for, and each thing once, whatever is added meanwhile.

use hyper::Method;
use model::{ApiKey, Role, Scope};
use serde_json::{Value, json};

use crate::ground::Ground;

/// Turns all pages, two at a time, and does something before each.
async fn turned(
    ground: &Ground,
    key: &ApiKey,
    (list, of): (&str, &str),
    next: &str,
    meanwhile: impl AsyncFn(),
) -> Vec<Value> {
    let (mut found, mut place) = (Vec::new(), String::new());
    for _ in 0..32 {
        meanwhile().await;
        let page = ground.get(&format!("{list}&limit=2{place}"), key).await;
        assert_eq!(page.status.as_u16(), 200, "{page:?}");
        found.extend(page.body[of].as_array().unwrap().iter().cloned());
        match &page.body["next"] {
            Value::Null => return found,
            Value::String(at) => place = format!("&{next}={at}"),
            at => place = format!("&{next}={at}"),
        }
    }
    panic!("there is no end of {list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn scans_are_listed_in_either_order_and_by_scope_and_time() {
    let ground = Ground::start().await;
    let key = ground.key(Role::Viewer).await;
    let owner = ground.key(Role::Owner).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(json!(ground.scan().await.to_string()));
    }
    let other = Scope::loopback();
    ground.store.put_scope(ground.tenant, "other", other, "test".to_owned()).await.unwrap();
    let body = json!({ "targets": ["127.0.0.1"], "request": { "scope": "other" } });
    let begun = ground.ask(Method::POST, "/api/v1/scans", Some(owner.expose()), Some(body)).await;
    let of_other = begun.body["id"].clone();
    let ids_of = |scans: Vec<Value>| scans.into_iter().map(|scan| scan["id"].clone()).collect::<Vec<_>>();

    // Going backwards nothing that comes is seen; going forwards all of it is, and nothing twice.
    let newest =
        turned(&ground, &key, ("/api/v1/scans?order=newest_first", "scans"), "before", async || {}).await;
    let mut all = ids.clone();
    all.push(of_other.clone());
    let mut backwards = all.clone();
    backwards.reverse();
    assert_eq!(ids_of(newest), backwards);
    let oldest =
        turned(&ground, &key, ("/api/v1/scans?order=oldest_first", "scans"), "after", async || {}).await;
    assert_eq!(ids_of(oldest), all);

    let listed = async |what: &str| {
        let answer = ground.get(&format!("/api/v1/scans?{what}"), &key).await;
        ids_of(answer.body["scans"].as_array().unwrap().clone())
    };
    assert_eq!(listed("scope=other").await, std::slice::from_ref(&of_other));
    assert_eq!(listed("scope=nowhere").await, [json!(null); 0]);
    let third = ground.get(&format!("/api/v1/scans/{}", ids[2].as_str().unwrap()), &key).await;
    let at = third.body["submitted_at"].as_str().unwrap();
    assert_eq!(listed(&format!("order=oldest_first&until={at}")).await, ids[..2]);
    assert_eq!(listed(&format!("order=oldest_first&since={at}")).await, all[2..]);
    let between = format!("after={}&before={}", ids[0].as_str().unwrap(), ids[3].as_str().unwrap());
    assert_eq!(listed(&format!("order=oldest_first&{between}")).await, ids[1..3]);
    let unknown = ground.get("/api/v1/scans?order=by_weight", &key).await;
    unknown.problem(400, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_is_read_in_either_order_by_request_and_by_refusal() {
    let ground = Ground::start().await;
    let (auditor, owner) = (ground.key(Role::Auditor).await, ground.key(Role::Owner).await);
    let change = async || {
        let body = json!({ "keep_scans_days": rand::random_range(1..3_000) });
        let answer = ground.ask(Method::PATCH, "/api/v1/settings", Some(owner.expose()), Some(body)).await;
        assert_eq!(answer.status.as_u16(), 200);
        answer.header("x-request-id").to_owned()
    };
    let mut requests = Vec::new();
    for _ in 0..3 {
        requests.push(json!(change().await));
    }
    let of_settings = "/api/v1/audit?action=settings.change";
    let added = std::sync::atomic::AtomicUsize::new(0);
    let one_more = async || {
        if added.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2 {
            change().await;
        }
    };
    let list = format!("{of_settings}&order=oldest_first");
    let oldest = turned(&ground, &auditor, (&list, "entries"), "after", &one_more).await;
    let ids: Vec<u64> = oldest.iter().map(|entry| entry["id"].as_u64().unwrap()).collect();
    assert!(ids.is_sorted_by(|one, other| one < other), "{ids:?}");
    assert_eq!(ids.len(), 5, "what came meanwhile stands behind, and is seen");
    let of_three: Vec<Value> = oldest[..3].iter().map(|entry| entry["request"].clone()).collect();
    assert_eq!(of_three, requests);
    let list = format!("{of_settings}&order=newest_first");
    let mut newest = turned(&ground, &auditor, (&list, "entries"), "before", async || {}).await;
    newest.reverse();
    assert_eq!(newest, oldest);

    let listed = async |what: &str| {
        let answer = ground.get(&format!("/api/v1/audit?{what}"), &auditor).await;
        answer.body["entries"].as_array().unwrap().clone()
    };
    assert_eq!(listed(&format!("request={}", requests[1].as_str().unwrap())).await, oldest[1..2]);
    assert_eq!(listed("refused=true").await, [json!(null); 0]);
    let refused =
        ground.ask(Method::PATCH, "/api/v1/settings", Some(auditor.expose()), Some(json!({}))).await;
    refused.problem(403, "forbidden");
    let found = listed("refused=true").await;
    assert_eq!((found.len(), &found[0]["action"]), (1, &json!("access.refuse")));
    assert!(listed("refused=false&limit=500").await.iter().all(|entry| entry["action"] != "access.refuse"));
    ground.get("/api/v1/audit?after=18446744073709551615", &auditor).await.problem(400, "malformed");
}
