//! Scans, from a request to what came of it.

use axum::body::Body;
use gateway::News;
use hyper::Request;
use model::{ApiKey, Role, Scope};
use serde_json::{Value, json};

use crate::ground::{Answer, Ground};

fn submission() -> Value {
    json!({ "targets": ["127.0.0.1"], "request": { "scope": "loopback", "budget": { "time": "PT2H" } } })
}

async fn ground() -> (Ground, ApiKey) {
    let ground = Ground::start().await;
    ground.store.put_scope(ground.tenant, "loopback", Scope::loopback(), "test".to_owned()).await.unwrap();
    let key = ground.key(Role::Operator).await;
    (ground, key)
}

async fn submit_once(ground: &Ground, key: &ApiKey, once: &str, body: Value) -> Answer {
    let asked = Request::post("/api/v1/scans")
        .header("authorization", format!("Bearer {}", key.expose()))
        .header("content-type", "application/json")
        .header("idempotency-key", once)
        .body(Body::from(body.to_string()));
    ground.send(asked.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_is_begun_told_of_looked_at_and_ended() {
    let (ground, key) = ground().await;
    let begun = ground.post("/api/v1/scans", &key, submission()).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let id = begun.body["id"].as_str().unwrap();
    assert_eq!(begun.header("location"), format!("/api/v1/scans/{id}"));
    assert_eq!((&begun.body["state"], &begun.body["targets"]), (&"running".into(), &1.into()));
    assert_eq!(begun.body["request"]["budget"]["time"], "PT2H");
    assert_eq!(begun.body["submitted_by"], format!("test (key {})", key.prefix()));
    let news = std::mem::take(&mut *ground.told.lock().unwrap());
    assert!(matches!(&news[..], [News::Planned(stages)] if !stages.is_empty()), "{news:?}");

    let path = format!("/api/v1/scans/{id}");
    assert_eq!(ground.get(&path, &key).await.body, begun.body);
    let first = ground.get(&format!("{path}/difference"), &key).await;
    assert!(first.problem(409, "conflict").contains("first of its kind"), "{first:?}");
    let ended = ground.post(&format!("{path}/cancel"), &key, Value::Null).await;
    assert_eq!((ended.status.as_u16(), &ended.body["end"]), (202, &"cancelled".into()), "{ended:?}");
    assert_eq!(*ground.told.lock().unwrap(), [News::Ended]);

    let second = ground.scan().await;
    let compared = ground.get(&format!("{path}/difference?with={second}"), &key).await;
    assert_eq!(compared.body["baseline"], second.to_string(), "{compared:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_cannot_be_is_refused_with_what_is_wrong() {
    let (ground, key) = ground().await;
    for (change, says) in [
        (json!({ "targets": [] }), "no targets"),
        (json!({ "targets": ["127.0.0.1", "192.0.2.1"] }), "192.0.2.1"),
        (json!({ "targets": ["not a target"] }), "not a target"),
        (json!({ "request": { "scope": "nowhere" } }), "`nowhere`"),
        (json!({ "request": { "scope": "loopback", "only": ["unknown-check"] } }), "`unknown-check`"),
        (json!({ "request": { "scope": "loopback", "profile": "loud" } }), "loud"),
        (json!({ "request": { "scope": "loopback", "budget": { "cost": "5" } } }), "price"),
        (json!({ "target": ["127.0.0.1"] }), "target"),
    ] {
        let mut body = submission();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = ground.post("/api/v1/scans", &key, body).await;
        assert!(answer.problem(422, "invalid").contains(says), "{says}: {answer:?}");
    }
    assert_eq!(ground.get("/api/v1/scans", &key).await.body["scans"], json!([]));
    assert!(ground.told.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_gets_no_answer_asks_again_under_the_same_key() {
    let (ground, key) = ground().await;
    let first = submit_once(&ground, &key, "nightly-1", submission()).await;
    let again = submit_once(&ground, &key, "nightly-1", submission()).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (202, 202));
    assert_eq!(first.body["id"], again.body["id"]);
    let mut other = submission();
    other["targets"] = json!(["127.0.0.2"]);
    let refused = submit_once(&ground, &key, "nightly-1", other).await;
    assert!(refused.problem(409, "conflict").contains("nightly-1"), "{refused:?}");
    submit_once(&ground, &key, &"k".repeat(129), submission()).await.problem(400, "malformed");
    assert_eq!(ground.get("/api/v1/scans", &key).await.body["scans"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_stay_right_while_scans_are_added() {
    let (ground, key) = ground().await;
    let mut wanted = Vec::new();
    for _ in 0..5 {
        wanted.insert(0, ground.scan().await.to_string());
    }
    let (mut seen, mut path) = (Vec::new(), "/api/v1/scans?limit=2".to_owned());
    loop {
        let page = ground.get(&path, &key).await;
        let scans = page.body["scans"].as_array().unwrap().iter();
        seen.extend(scans.map(|scan| scan["id"].as_str().unwrap().to_owned()));
        let Some(next) = page.body["next"].as_str() else { break };
        path = format!("/api/v1/scans?limit=2&after={next}");
        ground.scan().await;
    }
    assert_eq!(seen, wanted);
    for wrong in ["limit=0", "limit=501", "limit=many", "after=nobody", "color=red"] {
        ground.get(&format!("/api/v1/scans?{wrong}"), &key).await.problem(400, "malformed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_and_what_is_not_known_of_it_is_listed() {
    let (ground, key) = ground().await;
    let targets: Vec<String> = (1..=3).map(|last| format!("127.0.0.{last}")).collect();
    let request = json!({ "scope": "loopback", "stages": ["ports"] });
    let begun = ground.post("/api/v1/scans", &key, json!({ "targets": targets, "request": request })).await;
    let path = format!("/api/v1/scans/{}", begun.body["id"].as_str().unwrap());
    let first = ground.get(&format!("{path}/targets?limit=2"), &key).await;
    assert_eq!(
        first.body,
        json!({ "targets": [
            { "position": 0, "target": "127.0.0.1", "begun": true },
            { "position": 1, "target": "127.0.0.2", "begun": true },
        ], "next": 1 })
    );
    let rest = ground.get(&format!("{path}/targets?limit=2&after=1"), &key).await;
    assert_eq!(rest.body["targets"][0]["target"], "127.0.0.3");
    assert_eq!((rest.body["targets"].as_array().unwrap().len(), &rest.body["next"]), (1, &Value::Null));

    let gaps = async |query: &str| ground.get(&format!("{path}/gaps{query}"), &key).await.body;
    assert_eq!(gaps("").await, json!({ "undetermined_count": 0, "units": [] }));
    ground.ends_with(&begun.body["id"], &["the cable is cut"], &["port 25 is fragile"]).await;
    ground.ends_with(&begun.body["id"], &[], &["port 9100 is fragile"]).await;
    let all = gaps("").await;
    let words = |answer: &Value, what: &str| {
        let units = answer["units"].as_array().unwrap().iter();
        units.map(|unit| unit[what].to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(all["undetermined_count"], 1);
    assert_eq!(words(&all, "undetermined"), r#"["the cable is cut"] []"#);
    assert_eq!(words(&all, "left_out"), r#"["port 25 is fragile"] ["port 9100 is fragile"]"#);
    assert_eq!(gaps("?only=undetermined").await["units"].as_array().unwrap().len(), 1);
    let one = gaps("?only=left_out&limit=1").await;
    let next = one["next"].as_str().unwrap();
    let last = gaps(&format!("?limit=1&after={next}")).await;
    assert_eq!(words(&last, "left_out"), r#"["port 9100 is fragile"]"#);
    for wrong in ["/targets?after=-1", "/targets?limit=0", "/gaps?only=all", "/gaps?after=x"] {
        ground.get(&format!("{path}{wrong}"), &key).await.problem(400, "malformed");
    }
    let viewer = ground.key(Role::Viewer).await;
    assert_eq!(ground.get(&format!("{path}/gaps"), &viewer).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn some_scans_are_ended_by_their_ids_by_their_scope_or_all() {
    let ground = Ground::start().await;
    let operator = ground.key(Role::Operator).await;
    let (first, second, third) = (ground.scan().await, ground.scan().await, ground.scan().await);
    ground.store.put_scope(ground.tenant, "other", model::Scope::loopback(), "test").await.unwrap();
    let body = json!({ "targets": ["127.0.0.1"], "request": { "scope": "other" } });
    let of_other = ground.post("/api/v1/scans", &operator, body).await.body["id"].clone();
    let cancel = async |which: Value| ground.post("/api/v1/scans/cancel", &operator, which).await;
    let running = async || {
        let listed = ground.get("/api/v1/scans?running=true&order=oldest_first", &operator).await;
        let scans = listed.body["scans"].as_array().unwrap().clone();
        scans.into_iter().map(|scan| scan["id"].clone()).collect::<Vec<_>>()
    };
    let elsewhere = json!("0123456789abcdef");
    let ended = cancel(json!({ "scans": [first, first, elsewhere] })).await;
    assert_eq!(
        (ended.status.as_u16(), &ended.body),
        (202, &json!({ "ended": 1, "more": false })),
        "{ended:?}"
    );
    assert_eq!(running().await, [json!(second), json!(third), of_other.clone()]);
    assert_eq!(cancel(json!({ "scope": "other" })).await.body, json!({ "ended": 1, "more": false }));
    assert_eq!(running().await, [json!(second), json!(third)]);
    for which in [
        json!({}),
        json!({ "all": true, "scope": "other" }),
        json!({ "all": true, "scans": [second] }),
        json!({ "scope": "loopback", "scans": [second] }),
        json!({ "scans": vec![second; 501] }),
    ] {
        cancel(which).await.problem(422, "invalid");
    }
    assert_eq!(cancel(json!({ "all": true })).await.body, json!({ "ended": 2, "more": false }));
    assert_eq!(running().await, [json!(null); 0]);
    assert_eq!(cancel(json!({ "all": true })).await.body, json!({ "ended": 0, "more": false }));
    assert_eq!(cancel(json!({ "scans": [first] })).await.body, json!({ "ended": 0, "more": false }));
    let auditor = ground.key(Role::Auditor).await;
    let told = ground.get("/api/v1/audit?action=scan.cancel", &auditor).await;
    assert_eq!(told.body["entries"].as_array().unwrap().len(), 4, "each once: {told:?}");
}
