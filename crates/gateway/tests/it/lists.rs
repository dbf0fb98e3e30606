//! Lists: in the order that was asked for, of what was asked for, and each thing once, whatever is added meanwhile.

use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use model::{ApiKey, Role, Scope, Severity};
use serde_json::{Value, json};
use store::{FirstPassword, NewKey, NewUser};

use crate::ground::{Ground, named};

/// As it is written in a query.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

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
            Value::String(at) => place = format!("&{next}={}", escaped(at)),
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
        turned(&ground, &key, ("/api/v1/scans?order=newest_first", "scans"), "after", async || {}).await;
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
    // One that is gone is a place all the same.
    let micros = at.parse::<Timestamp>().unwrap().as_microsecond();
    let gone = format!("{:016x}_{micros}", 0);
    assert_eq!(listed(&format!("order=oldest_first&after={gone}")).await, all[2..]);
    let gone = format!("{:016x}_{micros}", u64::MAX);
    assert_eq!(listed(&format!("order=oldest_first&after={gone}")).await, all[3..]);
    assert_eq!(listed(&format!("after={gone}")).await, backwards[3..]);
    for place in [ids[2].as_str().unwrap(), "", "0000000000000000_name", "x_1"] {
        ground.get(&format!("/api/v1/scans?after={place}"), &key).await.problem(400, "malformed");
    }
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

/// Somebody's names of things, in the order in which they were told.
fn names(things: &[Value]) -> Vec<&str> {
    things.iter().map(|thing| thing["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_people_are_listed_in_every_order_each_once_whatever_comes_and_goes() {
    let ground = Ground::start().await;
    let owner = ground.key_of(ground.tenant, named("b: the owner's")).await;
    let made = async |path: &str, name: &str, role: &str| {
        let answer = ground.post(path, &owner, json!({ "name": name, "role": role })).await;
        assert_eq!(answer.status.as_u16(), 201, "{answer:?}");
        answer.header("location").to_owned()
    };
    let forget = async |path: &str| {
        let answer = ground.ask(Method::DELETE, path, Some(owner.expose()), None).await;
        assert_eq!(answer.status.as_u16(), 204, "{answer:?}");
    };
    for (path, of, own) in
        [("/api/v1/keys", "keys", &["b: the owner's"][..]), ("/api/v1/users", "users", &[][..])]
    {
        let mut places = Vec::new();
        for name in ["d", "a_n", "c", "e", "d2"] {
            places.push(made(path, name, "viewer").await);
        }
        let told = async |order: &str| {
            let list = format!("{path}?order={order}");
            turned(&ground, &owner, (&list, of), "after", async || {}).await
        };
        let made_in_order = [own, &["d", "a_n", "c", "e", "d2"][..]].concat();
        assert_eq!(names(&told("oldest_first").await), made_in_order, "{path}");
        let backwards: Vec<&str> = made_in_order.iter().rev().copied().collect();
        assert_eq!(names(&told("newest_first").await), backwards, "{path}");
        let mut by_name = made_in_order.clone();
        by_name.sort_unstable();
        assert_eq!(names(&told("name").await), by_name, "{path}");

        // Where one goes on from is forgotten, and another comes before it and one behind.
        let first = ground.get(&format!("{path}?limit=2"), &owner).await;
        assert_eq!(names(first.body[of].as_array().unwrap()), by_name[..2]);
        let last = by_name[1];
        if last == "c" {
            forget(&places[2]).await;
        }
        let (before, behind) = (made(path, "a", "viewer").await, made(path, "f", "viewer").await);
        let place = escaped(first.body["next"].as_str().unwrap());
        let rest = ground.get(&format!("{path}?after={place}"), &owner).await;
        assert_eq!(names(rest.body[of].as_array().unwrap()), [&by_name[2..], &["f"]].concat(), "{path}");
        assert_eq!(rest.body["next"], json!(null));
        // The same place in another order.
        let older = ground.get(&format!("{path}?order=oldest_first&after={place}"), &owner).await;
        let found = names(older.body[of].as_array().unwrap()).join(", ");
        let later = made_in_order.iter().skip_while(|name| **name != last).skip(1);
        let later: Vec<&str> = later.copied().filter(|name| last != "c" || *name != "c").collect();
        assert_eq!(found, [&later[..], &["a", "f"]].concat().join(", "), "{path}");
        for place in [before, behind] {
            forget(&place).await;
        }
        let operators = ground.get(&format!("{path}?role=operator"), &owner).await;
        assert_eq!(operators.body[of], json!([]));
        made(path, "z", "operator").await;
        let operators = ground.get(&format!("{path}?role=operator"), &owner).await;
        assert_eq!(names(operators.body[of].as_array().unwrap()), ["z"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_found_that_are_good_for_nothing_and_that_nobody_uses() {
    let ground = Ground::start().await;
    let owner = ground.key_of(ground.tenant, named("the owner's")).await;
    let past = Timestamp::now() - SignedDuration::from_hours(1);
    ground.key_of(ground.tenant, NewKey { expires_at: Some(past), ..named("over") }).await;
    let later = Timestamp::now() + SignedDuration::from_hours(1);
    ground.key_of(ground.tenant, NewKey { expires_at: Some(later), ..named("good") }).await;
    let listed = async |what: &str| {
        let answer = ground.get(&format!("/api/v1/keys?{what}"), &owner).await;
        names(answer.body["keys"].as_array().unwrap()).join(", ")
    };
    assert_eq!(listed("expired=true").await, "over");
    assert_eq!(listed("expired=false").await, "good, the owner's");
    assert_eq!(listed("").await, "good, over, the owner's");
    assert_eq!(listed(&format!("unused_since={}", past)).await, "good, over");
    assert_eq!(listed(&format!("unused_since={}", later)).await, "good, over, the owner's");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_found_by_how_they_stand() {
    let ground = Ground::start().await;
    let owner = ground.key(Role::Owner).await;
    for name in ["ann", "bob"] {
        ground.post("/api/v1/users", &owner, json!({ "name": name, "role": "viewer" })).await;
    }
    let hashed = FirstPassword::Hashed("kept".to_owned());
    let new = NewUser { name: "cleo".parse().unwrap(), role: Role::Analyst };
    ground.store.create_user(ground.tenant, new, hashed, "test").await.unwrap();
    let listed = async |what: &str| {
        let answer = ground.get(&format!("/api/v1/users?{what}"), &owner).await;
        answer.body["users"].as_array().unwrap().clone()
    };
    let bob = listed("").await[1]["id"].as_str().unwrap().to_owned();
    let shown = ground.get(&format!("/api/v1/users/{bob}"), &owner).await;
    let path = format!("/api/v1/users/{bob}");
    let change = async |tag: &str, body: Value| ground.patch(&path, &owner, Some(tag), body).await;
    let seen = shown.header("etag");
    let disabled = change(seen, json!({ "disabled": true })).await;
    assert_eq!((disabled.status.as_u16(), disabled.header("etag") == seen), (200, false), "{disabled:?}");
    change(seen, json!({ "disabled": false })).await.problem(412, "changed");
    for (what, found) in [
        ("standing=invited", &["ann"][..]),
        ("standing=disabled", &["bob"]),
        ("standing=active", &["cleo"]),
        ("away_since=2020-01-01T00:00:00Z&role=viewer", &["ann", "bob"]),
    ] {
        assert_eq!(names(&listed(what).await), found, "{what}");
    }
    ground.get("/api/v1/users?standing=upright", &owner).await.problem(400, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_and_schedules_are_listed_by_name() {
    let ground = Ground::start().await;
    let owner = ground.key(Role::Owner).await;
    let wanted = ["b_2", "a", "c", "b"];
    let mut paths = Vec::new();
    for name in wanted {
        ground.store.put_scope(ground.tenant, name, Scope::loopback(), "test").await.unwrap();
        let request = json!({ "scope": "a" });
        let body =
            json!({ "name": name, "rule": { "every": "1h" }, "request": request, "targets": ["127.0.0.1"] });
        // The first is within a scope that is not there yet.
        ground.store.put_scope(ground.tenant, "a", Scope::loopback(), "test").await.unwrap();
        let made = ground.post("/api/v1/schedules", &owner, body).await;
        paths.push(made.header("location").to_owned());
    }
    for (list, of) in [("/api/v1/scopes?", "scopes"), ("/api/v1/schedules?", "schedules")] {
        let all = turned(&ground, &owner, (list, of), "after", async || {}).await;
        assert_eq!(names(&all), ["a", "b", "b_2", "c"], "{list}");
        let behind = ground.get(&format!("{list}after=b"), &owner).await;
        assert_eq!(names(behind.body[of].as_array().unwrap()), ["b_2", "c"], "{list}");
        ground.get(&format!("{list}limit=0"), &owner).await.problem(400, "malformed");
    }
    let stop = json!({ "enabled": false });
    ground.ask(Method::PATCH, &paths[2], Some(owner.expose()), Some(stop)).await;
    for (what, found) in [
        ("enabled=true", &["a", "b", "b_2"][..]),
        ("enabled=false", &["c"]),
        ("refused=true", &[]),
        ("refused=false", &["a", "b", "b_2", "c"]),
    ] {
        let answer = ground.get(&format!("/api/v1/schedules?{what}"), &owner).await;
        assert_eq!(names(answer.body["schedules"].as_array().unwrap()), found, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_listed_in_either_order() {
    let ground = Ground::start().await;
    let key = ground.key(Role::Viewer).await;
    let mut asked = Vec::new();
    for _ in 0..5 {
        asked.push(json!(ground.task().await));
    }
    let ids = |tasks: Vec<Value>| tasks.into_iter().map(|task| task["id"].clone()).collect::<Vec<_>>();
    let list = ("/api/v1/tasks?order=oldest_first", "tasks");
    let more = std::sync::atomic::AtomicUsize::new(0);
    let one_more = async || {
        if more.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
            ground.task().await;
        }
    };
    let oldest = ids(turned(&ground, &key, list, "after", &one_more).await);
    assert_eq!((&oldest[..5], oldest.len()), (&asked[..], 6), "what comes meanwhile stands behind");
    let mut newest = ids(turned(&ground, &key, ("/api/v1/tasks?", "tasks"), "after", async || {}).await);
    newest.reverse();
    assert_eq!(newest, oldest);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exists_is_listed_over_all_scans_by_when_it_was_seen() {
    let ground = Ground::start().await;
    let key = ground.key(Role::Viewer).await;
    for name in ["b.test", "a.test", "c.test", "b.test", "d.test"] {
        ground.found(Severity::Low, name).await;
    }
    let told = |assets: &[Value]| {
        assets.iter().map(|known| known["asset"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let oldest =
        turned(&ground, &key, ("/api/v1/assets?order=oldest_first", "assets"), "after", async || {}).await;
    assert_eq!(
        told(&oldest),
        ["b.test", "a.test", "c.test", "d.test"],
        "what is seen again is no newer for it"
    );
    let mut newest = turned(&ground, &key, ("/api/v1/assets?", "assets"), "after", async || {}).await;
    newest.reverse();
    assert_eq!(newest, oldest);
    let first = &oldest[0];
    assert!(first["last_seen"].as_str() > first["first_seen"].as_str(), "{first:?}");
    let id = first["id"].as_str().unwrap();
    assert_eq!(ground.get(&format!("/api/v1/assets/{id}"), &key).await.body, *first);
    let nothing = ground.get(&format!("/api/v1/assets/{:032x}", 7), &key).await;
    nothing.problem(404, "not-found");
    let listed = async |what: &str| {
        let answer = ground.get(&format!("/api/v1/assets?order=oldest_first&{what}"), &key).await;
        told(answer.body["assets"].as_array().unwrap())
    };
    let (last, seen_again) =
        (oldest[3]["first_seen"].as_str().unwrap(), first["last_seen"].as_str().unwrap());
    assert_eq!(listed(&format!("new_since={last}")).await, ["d.test"]);
    assert_eq!(listed(&format!("seen_since={seen_again}")).await, ["b.test", "d.test"]);
    assert_eq!(listed(&format!("gone_since={seen_again}")).await.len(), 2);
    assert_eq!(listed("containing=C.t").await, ["c.test"], "in capitals or not");
    assert_eq!(listed("containing=c%25t").await, [""; 0], "it stands for itself");
    assert_eq!(listed("kind=host").await, [""; 0]);
    assert_eq!(listed("kind=domain").await.len(), 4);
    ground.get("/api/v1/assets?kind=secret", &key).await.problem(400, "malformed");
}
