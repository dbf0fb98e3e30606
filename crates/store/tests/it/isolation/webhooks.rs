//! The same of webhooks: nobody is told what happens to another tenant, or sends anybody there.

use std::{collections::BTreeSet, time::Duration};

use model::{
    TenantId, WebhookId,
    webhook::{NewWebhook, WebhookChange},
};
use store::{Store, Told};

use super::{answers::text, things::Things};

fn new(name: &str) -> NewWebhook {
    let url = "https://hooks.acme.test/".parse().unwrap();
    NewWebhook { name: name.to_owned(), url, events: BTreeSet::new() }
}

/// Where the tenant is told what happens to it.
pub(super) async fn webhook(store: &Store, tenant: TenantId) -> WebhookId {
    store.create_webhook_once(tenant, new("chat"), "test", None).await.unwrap().record.id
}

/// Every method about webhooks. One that is missing here fails the test of all methods.
pub(super) async fn ask(store: &Store, method: &str, tenant: TenantId, things: Things) -> String {
    let by = "intruder";
    match method {
        "create_webhook_once" => {
            // The tenant has one of that name; here it is one's own, and the same when it is asked for again.
            let made = store.create_webhook_once(tenant, new("chat"), by, Some(method.to_owned())).await;
            text(&made.map(|made| made.record.name))
        }
        "webhook" => text(&store.webhook(tenant, things.webhook).await),
        "list_webhooks" => {
            let listed = store.list_webhooks(tenant, None, 10).await;
            let others = listed.map(|mut listed| {
                listed.retain(|webhook| webhook.created_by != by);
                listed
            });
            text(&others)
        }
        "change_webhook" => {
            let change = WebhookChange { enabled: Some(false), ..WebhookChange::default() };
            text(&store.change_webhook(tenant, things.webhook, change, None, by).await)
        }
        "rotate_webhook_once" => {
            let (overlap, once) = (Duration::from_secs(60), Some(method.to_owned()));
            text(&store.rotate_webhook_once(tenant, things.webhook, overlap, by, once).await)
        }
        "delete_webhook" => text(&store.delete_webhook(tenant, things.webhook, None, by).await),
        "webhook_was_told" => {
            let told = store
                .webhook_was_told(tenant, things.webhook, Told::Failed("by the intruder".to_owned()))
                .await;
            text(&told)
        }
        other => {
            panic!("{other} is not asked: add it to `ask` of `isolation::{{answers, lists, webhooks}}`")
        }
    }
}
