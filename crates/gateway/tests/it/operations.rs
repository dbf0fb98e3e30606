//! What keeps scans going: scopes, schedules, tasks, stops, and who did what.

use std::time::Duration;

use axum::body::Body;
use gateway::News;
use hyper::{Method, Request};
use model::{ApiKey, Authority, NewTask, Reach, Role, Work};
use serde_json::{Value, json};

use crate::ground::{Answer, Ground};

async fn put(ground: &Ground, key: &ApiKey, condition: Option<(&str, &str)>, author: &str) -> Answer {
    let body = json!({ "authorised_by": author, "names": ["*.acme.test"], "ports": "80,443" });
    let mut asked = Request::put("/api/v1/scopes/office")
        .header("authorization", format!("Bearer {}", key.expose()))
        .header("content-type", "application/json");
    if let Some((name, value)) = condition {
        asked = asked.header(name, value);
    }
    ground.send(asked.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_says_for_itself_how_long_scans_are_kept() {
    let ground = Ground::start().await;
    let (owner, viewer) = (ground.key(Role::Owner).await, ground.key(Role::Viewer).await);
    let first = ground.get("/api/v1/settings", &viewer).await;
    assert_eq!(first.body, json!({ "keep_scans_days": null }));
    let change =
        async |seen: Option<&str>, body: Value| ground.patch("/api/v1/settings", &owner, seen, body).await;
    let seen = first.header("etag").to_owned();
    let changed = change(Some(&seen), json!({ "keep_scans_days": 30 })).await;
    assert_eq!((changed.status.as_u16(), &changed.body), (200, &json!({ "keep_scans_days": 30 })));
    change(Some(&seen), json!({ "keep_scans_days": 3 })).await.problem(412, "changed");
    assert_eq!(change(None, json!({})).await.body["keep_scans_days"], 30, "what is not given stays");
    let again = ground.get("/api/v1/settings", &viewer).await;
    assert_eq!(again.header("etag"), changed.header("etag"));
    assert_eq!(change(Some("*"), json!({ "keep_scans_days": null })).await.body, first.body);
    for wrong in [json!({ "keep_scans_days": 0 }), json!({ "keep_scans_days": 3651 }), json!({ "keep": 1 })] {
        change(None, wrong).await.problem(422, "invalid");
    }
    let path = "/api/v1/settings";
    let refused = ground.ask(Method::PATCH, path, Some(viewer.expose()), Some(json!({}))).await;
    refused.problem(403, "forbidden");
    let filter = store::AuditFilter { action: Some("settings".to_owned()), ..Default::default() };
    assert_eq!(ground.store.audit(ground.tenant, filter, 10).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_is_told_of_a_time() {
    let ground = Ground::start().await;
    ground.finding().await;
    let key = ground.key(Role::Analyst).await;
    let usage = ground.get("/api/v1/usage", &key).await;
    assert_eq!(
        (&usage.body["scans"], &usage.body["new_findings"]),
        (&1.into(), &json!({ "high": 1 })),
        "{usage:?}"
    );
    assert_eq!((&usage.body["unpriced_scans"], &usage.body["cost"]), (&1.into(), &json!(null)));
    let before =
        ground.get("/api/v1/usage?since=2024-01-01T00:00:00Z&until=2024-02-01T00:00:00Z", &key).await;
    assert_eq!((&before.body["scans"], &before.body["units"]), (&0.into(), &json!({})), "{before:?}");
    for (wrong, status, code) in [
        ("since=2024-02-01T00:00:00Z&until=2024-01-01T00:00:00Z", 422, "invalid"),
        ("since=2020-01-01T00:00:00Z&until=2024-01-01T00:00:00Z", 422, "invalid"),
        ("since=yesterday", 400, "malformed"),
        ("stage=ports", 400, "malformed"),
    ] {
        ground.get(&format!("/api/v1/usage?{wrong}"), &key).await.problem(status, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_is_written_replaced_by_who_has_seen_it_and_forgotten() {
    let ground = Ground::start().await;
    let owner = ground.key(Role::Owner).await;
    let made = put(&ground, &owner, Some(("if-none-match", "*")), "a").await;
    assert_eq!((made.status.as_u16(), &made.body["scope"]["ports"]), (200, &"80,443".into()), "{made:?}");
    assert_eq!(made.body["scope"]["resolvers"], json!(["127.0.0.53:53"]));
    put(&ground, &owner, Some(("if-none-match", "*")), "b").await.problem(412, "changed");
    let seen = made.header("etag").to_owned();
    let shown = ground.get("/api/v1/scopes/office", &owner).await;
    assert_eq!((shown.header("etag"), &shown.body), (&seen[..], &made.body));
    let changed = put(&ground, &owner, Some(("if-match", &seen)), "b").await;
    assert_eq!(changed.body["scope"]["authorised_by"], "b", "{changed:?}");
    assert_ne!(changed.header("etag"), seen);
    put(&ground, &owner, Some(("if-match", &seen)), "c").await.problem(412, "changed");
    put(&ground, &owner, Some(("if-match", "not a tag")), "c").await.problem(412, "changed");
    assert_eq!(put(&ground, &owner, None, "c").await.status, 200, "who does not ask overwrites");

    let path = "/api/v1/scopes/office";
    for (body, says) in [
        (json!({ "authorised_by": " ", "names": ["acme.test"] }), "authorised"),
        (json!({ "authorised_by": "a" }), "names nothing"),
        (json!({ "authorised_by": "a", "netwroks": ["10.0.0.0/8"] }), "netwroks"),
        (json!({ "authorised_by": "a", "networks": ["10.0.0.0/99"] }), "10.0.0.0/99"),
    ] {
        let answer = ground.ask(Method::PUT, path, Some(owner.expose()), Some(body)).await;
        assert!(answer.problem(422, "invalid").contains(says), "{says}: {answer:?}");
    }
    assert_eq!(ground.get("/api/v1/scopes", &owner).await.body["scopes"][0]["name"], "office");
    assert_eq!(ground.ask(Method::DELETE, path, Some(owner.expose()), None).await.status, 204);
    ground.get(path, &owner).await.problem(404, "not-found");

    let entries = ground.get("/api/v1/audit?action=scope&limit=2", &owner).await;
    let first = &entries.body["entries"][0];
    assert_eq!((&first["action"], &first["subject"]), (&"scope.delete".into(), &"office".into()));
    assert_eq!(first["by"], format!("test (key {})", owner.prefix()));
    let next = entries.body["next"].as_u64().unwrap();
    let older = ground.get(&format!("/api/v1/audit?action=scope&before={next}"), &owner).await;
    assert_eq!(older.body["entries"].as_array().unwrap().len(), 2, "{older:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_signed_of_the_audit_is_read_by_whoever_reads_the_audit() {
    let ground = Ground::start().await;
    let auditor = ground.key(Role::Auditor).await;
    let key = std::sync::Arc::new(model::audit::AuditKey::from_random([1; 32]));
    for _ in 0..3 {
        ground.key(Role::Viewer).await;
        ground.store.sign_audit(Some(ground.tenant), &key, None).await.unwrap().unwrap().unwrap();
    }
    let listed = ground.get("/api/v1/audit/checkpoints?limit=2", &auditor).await;
    let read = |body: &Value| -> Vec<model::audit::Checkpoint> {
        serde_json::from_value(body["checkpoints"].clone()).unwrap()
    };
    let known = ground.store.audit_checkpoints(Some(ground.tenant), None, 10).await.unwrap();
    assert_eq!((read(&listed.body), listed.body["next"].as_u64()), (known[..2].to_vec(), Some(2)));
    let older = ground.get("/api/v1/audit/checkpoints?before=2", &auditor).await;
    assert_eq!((read(&older.body), older.body.get("next")), (known[2..].to_vec(), None));
    assert!(known.iter().all(|checkpoint| checkpoint.is_signed_by(&key.public())));
    let viewer = ground.key(Role::Viewer).await;
    ground.get("/api/v1/audit/checkpoints", &viewer).await.problem(403, "forbidden");
    let beyond = format!("/api/v1/audit/checkpoints?before={}", u64::MAX);
    ground.get(&beyond, &auditor).await.problem(400, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_made_stopped_and_forgotten() {
    let ground = Ground::start().await;
    ground.scan().await;
    let operator = ground.key(Role::Operator).await;
    let wanted = || {
        json!({
            "name": "nightly",
            "rule": { "cron": "0 3 * * *", "zone": "Europe/Berlin", "jitter": "10m" },
            "request": { "scope": "loopback", "unchanged_for": "PT24H" },
            "targets": ["127.0.0.1"],
        })
    };
    let made = ground.post("/api/v1/schedules", &operator, wanted()).await;
    assert_eq!((made.status.as_u16(), &made.body["enabled"]), (201, &true.into()), "{made:?}");
    let path = made.header("location").to_owned();
    assert_eq!(path, format!("/api/v1/schedules/{}", made.body["id"].as_str().unwrap()));
    assert_eq!(ground.get(&path, &operator).await.body, made.body);
    ground.post("/api/v1/schedules", &operator, wanted()).await.problem(409, "conflict");
    for (change, says) in [
        (json!({ "name": "" }), "name"),
        (json!({ "rule": {} }), "when"),
        (json!({ "rule": { "every": "1h", "zone": "Nowhere/City" } }), "Nowhere/City"),
        (json!({ "targets": ["192.0.2.1"] }), "192.0.2.1"),
        (json!({ "targets": [] }), "no targets"),
        (json!({ "request": { "scope": "nowhere" } }), "`nowhere`"),
    ] {
        let mut body = wanted();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = ground.post("/api/v1/schedules", &operator, body).await;
        assert!(answer.problem(422, "invalid").contains(says), "{says}: {answer:?}");
    }
    let patch = async |body: Value, tag: &str| ground.patch(&path, &operator, Some(tag), body).await;
    let seen = ground.get(&path, &operator).await;
    let tag = seen.header("etag");
    let change = json!({ "rule": { "every": "6h" }, "targets": ["127.0.0.2"] });
    let changed = patch(change.clone(), tag).await;
    let mut wanted_then = seen.body.clone();
    wanted_then["rule"] = changed.body["rule"].clone();
    wanted_then["progress"] = changed.body["progress"].clone();
    wanted_then["look_again"] = changed.body["look_again"].clone();
    wanted_then["targets"] = json!(["127.0.0.2"]);
    assert_eq!((changed.status.as_u16(), &changed.body), (200, &wanted_then), "{changed:?}");
    assert_eq!(changed.body["rule"]["every"], "6h", "{changed:?}");
    assert_eq!(ground.get(&path, &operator).await.body, changed.body);
    patch(change, tag).await.problem(412, "changed");
    let last = ground.get("/api/v1/audit?action=schedule.change", &ground.key(Role::Auditor).await).await;
    assert_eq!(last.body["entries"][0]["before"], seen.body);
    assert_eq!(last.body["entries"][0]["after"], changed.body);
    for (change, says) in [
        (json!({ "targets": ["192.0.2.1"] }), "192.0.2.1"),
        (json!({ "targets": [] }), "no targets"),
        (json!({ "request": { "scope": "nowhere" } }), "`nowhere`"),
        (json!({ "rule": { "every": "1h", "zone": "Nowhere/City" } }), "Nowhere/City"),
        (json!({ "name": "other" }), "name"),
    ] {
        let answer = patch(change, "*").await;
        assert!(answer.problem(422, "invalid").contains(says), "{says}: {answer:?}");
    }
    assert_eq!(ground.get(&path, &operator).await.body, changed.body, "nothing of it was kept");
    let change = json!({ "enabled": false });
    let stopped = ground.ask(Method::PATCH, &path, Some(operator.expose()), Some(change)).await;
    assert_eq!((stopped.status.as_u16(), &stopped.body["enabled"]), (200, &false.into()), "{stopped:?}");
    let listed = ground.get("/api/v1/schedules", &operator).await;
    assert_eq!(listed.body["schedules"], json!([stopped.body]));
    assert_eq!(ground.ask(Method::DELETE, &path, Some(operator.expose()), None).await.status, 204);
    ground.get(&path, &operator).await.problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_counted_listed_cancelled_and_forgotten() {
    let ground = Ground::start().await;
    let operator = ground.key(Role::Operator).await;
    let (first, second) = (ground.task().await.to_string(), ground.task().await.to_string());
    let totals = ground.get("/api/v1/tasks/totals", &operator).await;
    assert_eq!(totals.body, json!({ "stages": { "exercise": { "queued": 2 } } }));
    let page =
        ground.get("/api/v1/tasks?stage=exercise&state=queued&limit=1&order=oldest_first", &operator).await;
    assert_eq!((&page.body["tasks"][0]["id"], &page.body["next"]), (&first[..].into(), &first[..].into()));
    let rest = ground.get(&format!("/api/v1/tasks?order=oldest_first&after={first}"), &operator).await;
    assert_eq!(rest.body["tasks"][0]["id"], second);
    ground.get("/api/v1/tasks?state=asleep", &operator).await.problem(400, "malformed");

    let chosen = json!({ "tasks": [first] });
    let cancelled = ground.post("/api/v1/tasks/cancel", &operator, chosen).await;
    assert_eq!((cancelled.status.as_u16(), &cancelled.body), (202, &json!({ "reached": 1, "more": false })));
    assert_eq!(*ground.told.lock().unwrap(), [News::Ended]);
    let shown = ground.get(&format!("/api/v1/tasks/{first}"), &operator).await;
    assert_eq!(shown.body["life"]["state"], "cancelled", "{shown:?}");
    for which in [json!({}), json!({ "all": true, "stage": "exercise" }), json!({ "tasks": ["x"] })] {
        ground.post("/api/v1/tasks/cancel", &operator, which).await.problem(422, "invalid");
    }
    let redriven = ground.post("/api/v1/tasks/redrive", &operator, json!({ "all": true })).await;
    assert_eq!(redriven.body, json!({ "redriven": 0, "more": false, "left": {} }));
    let purge = async |older_than: &str| {
        let asked = json!({ "which": { "tasks": [first, second] }, "older_than": older_than });
        ground.post("/api/v1/tasks/purge", &operator, asked).await
    };
    assert_eq!(purge("PT1H").await.body, json!({ "purged": 0, "more": false }));
    assert_eq!(purge("PT0S").await.body, json!({ "purged": 1, "more": false }));
    purge("an hour").await.problem(422, "invalid");
    ground.get(&format!("/api/v1/tasks/{first}"), &operator).await.problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_very_many_tasks_a_request_takes_some_and_says_that_there_are_more() {
    let ground = Ground::start().await;
    let operator = ground.key(Role::Operator).await;
    let task = || NewTask::new(Work::Exercise { hold: Duration::ZERO });
    for count in [2_500, 2_501] {
        let tasks = std::iter::repeat_with(task).take(count).collect();
        ground.store.enqueue(ground.tenant, tasks).await.unwrap();
    }
    for (count, more) in [(5_000, true), (1, false)] {
        let cancelled = ground.post("/api/v1/tasks/cancel", &operator, json!({ "all": true })).await;
        assert_eq!(cancelled.body, json!({ "reached": count, "more": more }));
    }
    for (count, more) in [(5_000, true), (1, false)] {
        let asked = json!({ "which": { "all": true }, "older_than": "PT0S" });
        let purged = ground.post("/api/v1/tasks/purge", &operator, asked).await;
        assert_eq!(purged.body, json!({ "purged": count, "more": more }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_stops_what_is_its_own_and_sees_what_stops_it() {
    let ground = Ground::start().await;
    let operator = ground.key(Role::Operator).await;
    let (scan, other) = (ground.scan().await, ground.another_tenant().await);
    for reach in [Reach::Everything, Reach::Tenant { tenant: other }] {
        ground
            .store
            .order_stop(Authority::Installation, reach, "an exercise".to_owned(), "test".to_owned())
            .await
            .unwrap();
    }
    let ordered =
        ground.post("/api/v1/stops", &operator, json!({ "scan": scan, "reason": "too loud" })).await;
    assert_eq!((ordered.status.as_u16(), &ordered.body["reach"]), (201, &"scan".into()), "{ordered:?}");
    assert_eq!(*ground.told.lock().unwrap(), [News::Ended]);
    let reaches = async || -> Vec<Value> {
        let listed = ground.get("/api/v1/stops", &operator).await;
        listed.body["stops"].as_array().unwrap().iter().map(|stop| stop["reach"].clone()).collect()
    };
    assert_eq!(reaches().await, ["everything", "scan"]);
    let lift = async |body| ground.post("/api/v1/stops/lift", &operator, body).await;
    // Only what reaches just as far: a tenant lifts neither its scan's stop by accident nor everybody's at all.
    assert_eq!(lift(json!({ "reason": "done" })).await.body, json!({ "stops": [] }));
    let lifted = lift(json!({ "scan": scan, "reason": "done" })).await;
    assert_eq!(lifted.body["stops"], json!([ordered.body]));
    assert_eq!(reaches().await, ["everything"]);
    assert_eq!(ground.store.stops().await.unwrap().len(), 2);
    // Who runs the installation stops the tenant, too: then it cannot lift that, but what it ordered itself.
    let own = Reach::Tenant { tenant: ground.tenant };
    let why = || "it attacks others".to_owned();
    ground.store.order_stop(Authority::Installation, own, why(), "test").await.unwrap();
    let everything = || json!({ "reason": "all of it" });
    lift(everything()).await.problem(403, "forbidden");
    let first = ground.post("/api/v1/stops", &operator, everything()).await;
    assert_eq!((first.status.as_u16(), &first.body["authority"]), (201, &"tenant".into()), "{first:?}");
    // Who orders it again gets the one that holds.
    assert_eq!(ground.post("/api/v1/stops", &operator, everything()).await.body, first.body);
    assert_eq!(reaches().await, ["everything", "tenant", "tenant"]);
    assert_eq!(lift(everything()).await.body["stops"], json!([first.body]));
    lift(everything()).await.problem(403, "forbidden");
    assert_eq!(reaches().await, ["everything", "tenant"]);
    ground.post("/api/v1/stops", &operator, json!({ "reason": " " })).await.problem(422, "invalid");
    let nowhere = json!({ "scan": "0000000000000000", "reason": "x" });
    ground.post("/api/v1/stops", &operator, nowhere).await.problem(404, "not-found");

    for two in [json!({ "scan": scan, "everything": true }), json!({ "stage": "ports", "tenant": other })] {
        let mut order = json!({ "reason": "x" });
        order.as_object_mut().unwrap().extend(two.as_object().unwrap().clone());
        ground.post("/api/v1/stops", &operator, order).await.problem(422, "invalid");
    }

    let tenant = ground.get("/api/v1/tenant", &operator).await;
    assert_eq!((&tenant.body["name"], &tenant.body["weight"]), (&"own".into(), &1.into()), "{tenant:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_stands_in_the_audit() {
    let ground = Ground::start().await;
    let (owner, viewer) = (ground.key(Role::Owner).await, ground.key(Role::Viewer).await);
    let refused = ground.get("/api/v1/keys", &viewer).await;
    refused.problem(403, "forbidden");
    let administrator = ground.key(Role::Administrator).await;
    let made = ground
        .post("/api/v1/keys", &administrator, json!({ "name": "more than its maker", "role": "owner" }))
        .await;
    made.problem(403, "forbidden");
    let told = ground.get("/api/v1/audit?action=access", &owner).await;
    let entries = told.body["entries"].as_array().unwrap();
    let facts = |entry: &Value| {
        ["by", "origin", "request", "subject", "detail"]
            .map(|name| entry[name].as_str().unwrap_or_default().to_owned())
    };
    let key = |key: &ApiKey| format!("test (key {})", key.prefix());
    assert_eq!(entries.len(), 2, "{told:?}");
    for (entry, caller, answer, subject) in [
        (&entries[1], key(&viewer), &refused, "GET /api/v1/keys"),
        (&entries[0], key(&administrator), &made, "POST /api/v1/keys"),
    ] {
        let detail = answer.body["detail"].as_str().unwrap();
        assert_eq!(entry["refused"], true);
        assert_eq!(
            facts(entry),
            [&caller, "127.0.0.1", answer.header("x-request-id"), subject, detail].map(str::to_owned)
        );
    }

    // Whoever is not known is told of once, and then in a sum: no file is filled by asking.
    for _ in 0..20 {
        ground
            .ask(Method::GET, "/api/v1/me", Some("rampart_guess"), None)
            .await
            .problem(401, "unauthenticated");
    }
    let strangers = async || ground.store.audit_of_nobody(Default::default(), 10).await.unwrap();
    let first = strangers().await;
    let told = |entry: &model::AuditEntry| (entry.subject.clone(), entry.detail.clone(), entry.refused);
    let requests = |count: u32| format!("{count} requests without a key that is known");
    assert_eq!(
        first.iter().map(told).collect::<Vec<_>>(),
        [("127.0.0.1".to_owned(), requests(1), true)],
        "{first:?}"
    );
    ground.closed.cancel();
    ground.answering.await.unwrap();
    let all = ground.store.audit_of_nobody(Default::default(), 10).await.unwrap();
    assert_eq!(told(&all[0]), ("127.0.0.1".to_owned(), requests(19), true), "{all:?}");
    for chain in [Some(ground.tenant), None] {
        assert!(ground.store.verify_audit(chain, &[], None).await.unwrap().is_ok());
    }
}
