//! Keys: made by who may, no more than they may, shown once.

use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use model::{ApiKey, Role};
use serde_json::json;
use store::{AuditFilter, NewKey};

use crate::ground::Ground;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_used_rotated_and_revoked() {
    let ground = Ground::start().await;
    let owner = ground.key(Role::Owner).await;
    let asked = json!({ "name": "pipeline", "role": "scanner", "networks": ["127.0.0.0/8"] });
    let made = ground.post("/api/v1/keys", &owner, asked).await;
    assert_eq!(made.status, 201, "{made:?}");
    let key: ApiKey = made.body["secret"].as_str().unwrap().parse().unwrap();
    let prefix = key.prefix();
    assert_eq!((&made.body["prefix"], &made.body["role"]), (&prefix.as_str().into(), &"scanner".into()));

    let me = ground.get("/api/v1/me", &key).await;
    assert_eq!((&me.body["role"], &me.body["key"]["name"]), (&"scanner".into(), &"pipeline".into()));
    assert!(me.body["permissions"].as_array().unwrap().contains(&"scans.submit".into()), "{me:?}");
    ground.get("/api/v1/keys", &key).await.problem(403, "forbidden");

    let listed = ground.get("/api/v1/keys", &owner).await;
    assert!(!listed.body.to_string().contains(&key.expose()[17..]), "{listed:?}");
    let one = ground.get(&format!("/api/v1/keys/{prefix}"), &owner).await;
    assert_eq!(listed.body["keys"][0], one.body);
    assert!(one.body["last_used"].is_string(), "{one:?}");

    let rotated = ground.post(&format!("/api/v1/keys/{prefix}/rotate"), &owner, json!({})).await;
    let next: ApiKey = rotated.body["secret"].as_str().unwrap().parse().unwrap();
    for key in [&key, &next] {
        assert_eq!(ground.get("/api/v1/me", key).await.status, 200, "both, for a day");
    }
    let twice = ground.post(&format!("/api/v1/keys/{prefix}/rotate"), &owner, json!({})).await;
    assert!(twice.problem(422, "invalid").contains("took its place"), "{twice:?}");
    let revoke = format!("/api/v1/keys/{prefix}");
    assert_eq!(ground.ask(Method::DELETE, &revoke, Some(owner.expose()), None).await.status, 204);
    ground.get("/api/v1/me", &key).await.problem(401, "unauthenticated");
    ground.ask(Method::DELETE, &revoke, Some(owner.expose()), None).await.problem(404, "not-found");

    let of_keys = AuditFilter { action: Some("key".to_owned()), ..AuditFilter::default() };
    let audit = ground.store.audit(ground.tenant, of_keys, 10).await.unwrap();
    let done: Vec<(&str, &str)> =
        audit.iter().take(4).map(|entry| (&entry.action[..], &entry.by[..])).collect();
    let by = format!("test (key {})", owner.prefix());
    let by = by.as_str();
    assert_eq!(done, [("key.revoke", by), ("key.rotate", by), ("key.create", by), ("key.create", by)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_or_takes_back_a_key_that_may_do_more_than_they_may() {
    let ground = Ground::start().await;
    let owner = ground.key(Role::Owner).await;
    for maker in Role::BUILT_IN {
        let key = ground.key(maker.clone()).await;
        for role in Role::BUILT_IN {
            let asked = json!({ "name": "made", "role": role });
            let made = ground.post("/api/v1/keys", &key, asked).await;
            let may =
                matches!(maker, Role::Owner) || (matches!(maker, Role::Administrator) && role != Role::Owner);
            assert_eq!(made.status, if may { 201 } else { 403 }, "{maker} makes {role}: {made:?}");
        }
        if maker != Role::Owner {
            let path = format!("/api/v1/keys/{}", owner.prefix());
            let answer = ground.ask(Method::DELETE, &path, Some(key.expose()), None).await;
            answer.problem(403, "forbidden");
            ground.post(&format!("{path}/rotate"), &key, json!({})).await.problem(403, "forbidden");
        }
    }
    assert_eq!(ground.get("/api/v1/me", &owner).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_makes_none_that_reaches_further_than_itself() {
    let ground = Ground::start().await;
    let end = Timestamp::now() + SignedDuration::from_hours(1);
    let networks = vec!["127.0.0.0/8".parse().unwrap()];
    let narrow = NewKey { networks, expires_at: Some(end), ..crate::ground::named("narrow") };
    let (narrow, owner) = (ground.key_of(ground.tenant, narrow).await, ground.key(Role::Owner).await);
    let before = (end - SignedDuration::from_secs(1)).to_string();
    let after = (end + SignedDuration::from_secs(1)).to_string();
    for (asked, wanted) in [
        (json!({ "networks": ["127.0.0.0/16"], "expires_at": before }), 201),
        (json!({ "networks": ["127.0.0.0/16", "10.0.0.0/8"], "expires_at": before }), 403),
        (json!({ "networks": ["0.0.0.0/0"], "expires_at": before }), 403),
        (json!({ "networks": [], "expires_at": before }), 403),
        (json!({ "networks": ["127.0.0.0/16"], "expires_at": after }), 403),
        (json!({ "networks": ["127.0.0.0/16"] }), 403),
    ] {
        let mut whole = json!({ "name": "made by a key", "role": "viewer" });
        whole.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
        let made = ground.post("/api/v1/keys", &narrow, whole).await;
        assert_eq!(made.status, wanted, "{asked}: {made:?}");
        assert_eq!(made.body["code"] == "forbidden", wanted == 403);
    }
    // Nor does it give itself, or one that reaches further, more time by being rotated.
    for key in [&narrow, &owner] {
        let path = format!("/api/v1/keys/{}/rotate", key.prefix());
        ground.post(&path, &narrow, json!({})).await.problem(403, "forbidden");
    }
    let path = format!("/api/v1/keys/{}/rotate", narrow.prefix());
    assert_eq!(ground.post(&path, &owner, json!({})).await.status, 201);
    // Nor does it let people in, who would come from anywhere and stay.
    let somebody = json!({ "name": "somebody", "role": "viewer" });
    ground.post("/api/v1/users", &narrow, somebody.clone()).await.problem(403, "forbidden");
    let user = format!("/api/v1/users/{}", ground.user().await.id);
    let change = async |change| ground.ask(Method::PATCH, &user, Some(narrow.expose()), Some(change)).await;
    change(json!({ "role": "administrator" })).await.problem(403, "forbidden");
    assert_eq!(change(json!({ "disabled": true })).await.status, 200);
    change(json!({ "disabled": false })).await.problem(403, "forbidden");
    assert_eq!(ground.post("/api/v1/users", &owner, somebody).await.status, 201);
}
