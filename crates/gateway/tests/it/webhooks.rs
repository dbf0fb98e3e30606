//! Webhooks are kept as somebody asks for them, where who runs the installation allows it.

use hyper::Method;
use model::{Role, WebhookId, webhook::WebhookKeys};
use serde_json::json;
use store::Told;

use crate::ground::{Ground, WEBHOOK_KEY};

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_made_changed_and_forgotten() {
    let ground = Ground::start().await;
    let owner = ground.key(Role::Owner).await;
    let new = json!({ "name": "chat", "url": "https://hooks.acme.test/x", "events": ["finding_new"] });
    let made = ground.post_once("/api/v1/webhooks", &owner, "first", &new).await;
    assert_eq!(made.status.as_u16(), 201, "{made:?}");
    let path = made.header("location").to_owned();
    let id: WebhookId = made.body["id"].as_str().unwrap().parse().unwrap();
    let secret = |number| WebhookKeys::new(WEBHOOK_KEY).unwrap().secret(ground.tenant, id, number).expose();
    assert_eq!(made.body["secret"], secret(0));
    let again = ground.post_once("/api/v1/webhooks", &owner, "first", &new).await;
    assert_eq!((again.header("idempotency-replayed"), &again.body["id"]), ("true", &made.body["id"]));
    assert_eq!(again.body["secret"], json!(null), "it is shown once");
    ground.post("/api/v1/webhooks", &owner, new.clone()).await.problem(409, "conflict");

    let seen = ground.get(&path, &owner).await;
    let tag = seen.header("etag").to_owned();
    assert_eq!((&seen.body["secret"], &seen.body["enabled"]), (&json!(null), &json!(true)));
    let listed = ground.get("/api/v1/webhooks", &owner).await;
    assert_eq!(listed.body, json!({ "webhooks": [seen.body] }));
    // That a message arrives meanwhile is no change that somebody would overwrite.
    ground.store.webhook_was_told(ground.tenant, id, Told::Arrived).await.unwrap();
    let off = json!({ "enabled": false, "events": [] });
    let changed = ground.patch(&path, &owner, Some(&tag), off.clone()).await;
    assert_eq!((changed.status.as_u16(), &changed.body["events"]), (200, &json!([])), "{changed:?}");
    ground.patch(&path, &owner, Some(&tag), off).await.problem(412, "changed");
    let (another, overlap) = (format!("{path}/rotate"), json!({ "overlap_seconds": 60 }));
    let rotated = ground.post_once(&another, &owner, "second", &overlap).await;
    assert_eq!((rotated.status.as_u16(), &rotated.body["secret"]), (200, &json!(secret(1))), "{rotated:?}");
    assert_eq!(rotated.body["old_secrets"][0]["number"], 0, "{rotated:?}");
    let again = ground.post_once(&another, &owner, "second", &overlap).await;
    assert_eq!((again.header("idempotency-replayed"), &again.body["secret_number"]), ("true", &json!(1)));
    assert_eq!(again.body["secret"], json!(null), "it is shown once");
    let too_long = json!({ "overlap_seconds": 2_592_001 });
    ground.post(&format!("{path}/rotate"), &owner, too_long).await.problem(422, "invalid");
    assert_eq!(ground.ask(Method::DELETE, &path, Some(owner.expose()), None).await.status, 204);
    ground.get(&path, &owner).await.problem(404, "not-found");

    let told = ground.get("/api/v1/audit?action=webhook&order=oldest_first", &owner).await;
    let actions: Vec<&str> = told.body["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["webhook.create", "webhook.change", "webhook.rotate", "webhook.delete"]);
    assert!(!told.body.to_string().contains("whsec_"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_allowed_it_no_webhook_leads() {
    let ground = Ground::start().await;
    let owner = ground.key(Role::Owner).await;
    for (url, says) in [
        ("https://elsewhere.test/", "--webhook-receivers"),
        ("https://127.0.0.1/", "--webhook-receivers"),
        ("https://169.254.169.254/latest/meta-data", "--webhook-receivers"),
        ("http://hooks.acme.test/", "https://"),
        ("https://me:secret@hooks.acme.test/", "a name or a password"),
        ("not a url", "url"),
    ] {
        let new = json!({ "name": "chat", "url": url });
        let refused = ground.post("/api/v1/webhooks", &owner, new).await;
        assert!(refused.problem(422, "invalid").contains(says), "{url}: {refused:?}");
    }
    let new = json!({ "name": "chat", "url": "https://hooks.acme.test/" });
    let made = ground.post("/api/v1/webhooks", &owner, new).await;
    let path = made.header("location").to_owned();
    let elsewhere = json!({ "url": "https://elsewhere.test/" });
    ground.patch(&path, &owner, None, elsewhere).await.problem(422, "invalid");
}
