//! Tenants, as who runs the platform sees them.

use hyper::Method;
use model::Role;
use serde_json::{Value, json};

use crate::ground::{Ground, named};

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_made_with_an_owner_who_can_come_in() {
    let ground = Ground::start().await;
    let owner = ground.key(Role::Owner).await;
    let body = json!({ "name": "acme", "weight": 3, "owner": "j.doe" });
    let made = ground.post_once("/api/v1/tenants", &owner, "first", &body).await;
    assert_eq!(made.status.as_u16(), 201, "{made:?}");
    let id = made.body["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), format!("/api/v1/tenants/{id}"));
    assert_eq!((&made.body["weight"], &made.body["most_in_flight"]), (&json!(3), &json!(10_000)));
    let replayed = ground.post_once("/api/v1/tenants", &owner, "first", &body).await;
    assert_eq!(replayed.header("idempotency-replayed"), "true");
    assert_eq!(replayed.body["id"], id);
    assert!(replayed.body["owner"].get("invitation").is_none(), "it is shown once: {replayed:?}");
    for other in [
        json!({ "name": "zenith", "owner": "j.doe" }),
        json!({ "name": "acme", "weight": 3, "owner": "somebody.else" }),
        json!({ "name": "acme", "weight": 9, "owner": "j.doe" }),
    ] {
        ground.post_once("/api/v1/tenants", &owner, "first", &other).await.problem(409, "conflict");
    }
    let users =
        ground.store.users(id.parse::<uuid::Uuid>().map(model::TenantId::new).unwrap()).await.unwrap();
    assert_eq!((users.len(), users[0].name.as_str()), (1, "j.doe"));
    assert!(users[0].created_by.ends_with(" of tenant own"), "{}", users[0].created_by);
    let taken = ground.ask(Method::POST, "/api/v1/tenants", Some(owner.expose()), Some(body)).await;
    taken.problem(409, "conflict");

    let invitation = &made.body["owner"]["invitation"];
    let accept = json!({ "invitation": invitation, "password": "correct horse battery staple" });
    let accepted = ground.ask(Method::POST, "/api/v1/invitations/accept", None, Some(accept)).await;
    assert!(accepted.status.is_success(), "{accepted:?}");
    let log_in = json!({ "tenant": "acme", "name": "j.doe", "password": "correct horse battery staple" });
    let session = ground.ask(Method::POST, "/api/v1/session", None, Some(log_in)).await;
    assert!(session.status.is_success(), "{session:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_may_take_is_changed_by_who_has_seen_it() {
    let ground = Ground::start().await;
    let owner = ground.key(Role::Owner).await;
    let id = ground.another_tenant().await.to_string();
    let path = format!("/api/v1/tenants/{id}");
    let seen = ground.get(&path, &owner).await;
    let tag = seen.header("etag").to_owned();
    let changed = ground.patch(&path, &owner, Some(&tag), json!({ "weight": 5 })).await;
    assert_eq!((changed.status.as_u16(), &changed.body["weight"]), (200, &json!(5)));
    assert_eq!(changed.body["most_in_flight"], seen.body["most_in_flight"]);
    ground.patch(&path, &owner, Some(&tag), json!({ "weight": 6 })).await.problem(412, "changed");
    for body in [json!({ "weight": 0 }), json!({ "most_in_flight": 1_000_001 })] {
        ground.patch(&path, &owner, None, body).await.problem(422, "invalid");
    }
    let nowhere = "/api/v1/tenants/00000000-0000-7000-8000-000000000000";
    ground.patch(nowhere, &owner, None, json!({ "weight": 2 })).await.problem(404, "not-found");
    assert_eq!(ground.get(&path, &owner).await.body, changed.body);

    // Who is told of it sees that it was none of theirs.
    let other = id.parse::<uuid::Uuid>().map(model::TenantId::new).unwrap();
    for tenant in [other, ground.tenant] {
        let told = ground.store.audit(tenant, store::AuditFilter::default(), 100).await.unwrap();
        let set: Vec<_> = told.iter().filter(|entry| entry.action == "tenant.set").collect();
        assert_eq!(set.len(), 1, "{told:?}");
        assert!(set[0].by.ends_with(" of tenant own"), "{}", set[0].by);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_becomes_owner_of_a_tenant_that_was_made_without_one() {
    let ground = Ground::start().await;
    let owner = ground.key(Role::Owner).await;
    let made = ground.post_once("/api/v1/tenants", &owner, "deploy", &json!({ "name": "acme" })).await;
    let id = made.body["id"].as_str().unwrap().parse::<uuid::Uuid>().map(model::TenantId::new).unwrap();
    let with_owner = json!({ "name": "acme", "owner": "me" });
    ground.post_once("/api/v1/tenants", &owner, "deploy", &with_owner).await.problem(409, "conflict");
    ground.post_once("/api/v1/tenants", &owner, "another", &with_owner).await.problem(409, "conflict");
    assert_eq!(ground.store.users(id).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tenant_is_listed_once_while_others_are_made() {
    let ground = Ground::start().await;
    let auditor = ground.key(Role::Auditor).await;
    for name in ["b", "d", "f", "h"] {
        ground.store.create_tenant(store::NewTenant::named(name), "test").await.unwrap();
    }
    let (mut names, mut place) = (Vec::new(), String::new());
    for further in ["e", "a", "z"] {
        let page = ground.get(&format!("/api/v1/tenants?limit=2{place}"), &auditor).await;
        names.extend(page.body["tenants"].as_array().unwrap().iter().map(|tenant| tenant["name"].clone()));
        let Some(next) = page.body["next"].as_str() else { break };
        place = format!("&after={next}");
        ground.store.create_tenant(store::NewTenant::named(further), "test").await.unwrap();
    }
    assert_eq!(names, ["b", "d", "e", "f", "h", "own"], "what comes in behind is seen, and nothing twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_permission_is_worth_nothing_in_any_other_tenant() {
    let ground = Ground::start().await;
    let other = ground.another_tenant().await;
    let owner = ground.key_of(other, named("other")).await;
    let own = format!("/api/v1/tenants/{other}");
    for (method, path, body) in [
        (Method::GET, "/api/v1/tenants", None),
        (Method::POST, "/api/v1/tenants", Some(json!({ "name": "acme" }))),
        (Method::GET, own.as_str(), None),
        (Method::PATCH, own.as_str(), Some(json!({ "weight": 1000 }))),
    ] {
        let refused = ground.ask(method, path, Some(owner.expose()), body).await;
        assert!(refused.problem(403, "forbidden").contains("does not run the platform"));
    }
    assert_eq!(ground.store.tenant(other).await.unwrap().weight, 1);
    let told = ground.store.audit(other, store::AuditFilter::default(), 10).await.unwrap();
    assert!(told.iter().any(|entry| entry.refused), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_runs_the_platform_stops_everybody_and_nobody_else_lifts_it() {
    let ground = Ground::start().await;
    let (owner, operator) = (ground.key(Role::Owner).await, ground.key(Role::Operator).await);
    let other = ground.another_tenant().await;
    let theirs = ground.key_of(other, named("theirs")).await;
    let own = ground.post("/api/v1/stops", &theirs, json!({ "reason": "our own" })).await;
    let nowhere = "00000000-0000-7000-8000-000000000000";
    let reaches = [
        (json!({ "everything": true }), json!({ "reach": "everything" })),
        (json!({ "tenant": other }), json!({ "reach": "tenant", "tenant": other })),
        (json!({ "stage": "ports" }), json!({ "reach": "stage", "stage": "ports" })),
    ];
    let with_reason = |reach: &Value| {
        let mut order = reach.clone();
        order["reason"] = json!("a drill");
        order
    };
    for (named, reach) in &reaches {
        let order = with_reason(named);
        let key = named.to_string();
        let stopped = ground.post_once("/api/v1/stops", &owner, &key, &order).await;
        assert_eq!((stopped.status.as_u16(), &stopped.body["reach"]), (201, &reach["reach"]), "{stopped:?}");
        assert_eq!(stopped.body["authority"], "installation");
        let again = ground.post_once("/api/v1/stops", &owner, &key, &order).await;
        assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &stopped.body));
        // Whom it stops learns who did, and lifts it neither as their own nor as that.
        let seen = ground.get("/api/v1/stops", &theirs).await;
        assert!(seen.body["stops"].as_array().unwrap().contains(&stopped.body), "{seen:?}");
        // Who may stop their own tenant was not asked to look after the others either.
        for path in ["/api/v1/stops", "/api/v1/stops/lift"] {
            for key in [&theirs, &operator] {
                ground.post(path, key, order.clone()).await.problem(403, "forbidden");
            }
        }
    }
    let unknown = json!({ "tenant": nowhere, "reason": "x" });
    ground.post("/api/v1/stops", &owner, unknown.clone()).await.problem(404, "not-found");
    // To who may not, one that is there is as one that is not.
    ground.post("/api/v1/stops", &theirs, unknown).await.problem(403, "forbidden");
    let listed = async |path: &str, key| {
        let answer = ground.get(path, key).await;
        answer.body["stops"].as_array().unwrap().len()
    };
    assert_eq!(listed("/api/v1/stops", &owner).await, 2, "the other tenant's is none of its own");
    assert_eq!(listed("/api/v1/stops?all=true", &owner).await, 4);
    for key in [&theirs, &operator] {
        ground.get("/api/v1/stops?all=true", key).await.problem(403, "forbidden");
    }

    for (named, _) in &reaches {
        let lifted = ground.post("/api/v1/stops/lift", &owner, with_reason(named)).await;
        assert_eq!(lifted.body["stops"].as_array().unwrap().len(), 1, "{lifted:?}");
    }
    let left = ground.get("/api/v1/stops?all=true", &owner).await;
    assert_eq!(left.body["stops"], json!([own.body]), "what they have ordered themselves is theirs");
    let again = ground.post("/api/v1/stops/lift", &owner, with_reason(&reaches[1].0)).await;
    assert_eq!(again.body["stops"], json!([]));
    let lifted = ground.post("/api/v1/stops/lift", &theirs, json!({ "reason": "over" })).await;
    assert_eq!(lifted.body["stops"], json!([own.body]));
    let told = async |tenant| {
        let entries = ground.store.audit(tenant, store::AuditFilter::default(), 100).await.unwrap();
        let of_stops = entries.into_iter().filter(|entry| entry.action.starts_with("stop."));
        let mut told: Vec<_> = of_stops.map(|entry| (entry.action, entry.subject)).collect();
        told.sort();
        told
    };
    let both =
        |subject: &str| ["stop.lift", "stop.order"].map(|action| (action.to_owned(), subject.to_owned()));
    let twice: Vec<_> =
        both(&format!("tenant {other}")).into_iter().flat_map(|told| [told.clone(), told]).collect();
    assert_eq!(told(other).await, twice, "theirs, and the one that was ordered for them");
    let of_all = ["everything", "stage ports", &format!("tenant {other}")];
    let mut wanted: Vec<_> = of_all.iter().flat_map(|subject| both(subject)).collect();
    wanted.sort();
    assert_eq!(told(ground.tenant).await, wanted, "a replay is told nobody");
}
