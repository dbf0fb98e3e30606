//! Webhooks.

use model::{
    WebhookId,
    webhook::{NewWebhook, WebhookChange, WebhookRecord},
};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::{Client, ClientError, Page};

/// A webhook with a secret that was made now: it is shown this once.
#[derive(Clone, Deserialize)]
pub struct MadeWebhook {
    /// By this the receiver knows that a message is from there.
    pub secret: String,
    /// The webhook.
    #[serde(flatten)]
    pub webhook: WebhookRecord,
}

#[derive(Deserialize)]
struct Webhooks {
    webhooks: Vec<WebhookRecord>,
    next: Option<String>,
}

impl std::fmt::Debug for MadeWebhook {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeWebhook").field("webhook", &self.webhook).finish_non_exhaustive()
    }
}

impl Client {
    /// So many webhooks of the tenant by name, from one on.
    pub async fn webhooks(
        &self,
        limit: usize,
        after: Option<String>,
    ) -> Result<Page<WebhookRecord, String>, ClientError> {
        let request = self.get(&["webhooks"]).query("limit", limit).query_if("after", after);
        request.answer().await.map(|Webhooks { webhooks, next }| Page { items: webhooks, next })
    }

    /// One of them.
    pub async fn webhook(&self, id: WebhookId) -> Result<WebhookRecord, ClientError> {
        self.get(&["webhooks", &id.to_string()]).answer().await
    }

    /// Makes a webhook. Asked once: a secret that is lost is told nobody again.
    pub async fn create_webhook(&self, new: &NewWebhook) -> Result<MadeWebhook, ClientError> {
        self.post(&["webhooks"]).body(new).answer().await
    }

    /// Changes a webhook; what is not given stays.
    pub async fn change_webhook(
        &self,
        id: WebhookId,
        change: &WebhookChange,
    ) -> Result<WebhookRecord, ClientError> {
        self.request(Method::PATCH, &["webhooks", &id.to_string()]).body(change).answer().await
    }

    /// Gives a webhook another secret; for so many seconds what is sent is signed with those before, too; for a day without.
    pub async fn rotate_webhook(
        &self,
        id: WebhookId,
        overlap_seconds: Option<u32>,
    ) -> Result<MadeWebhook, ClientError> {
        let asked = json!({ "overlap_seconds": overlap_seconds });
        self.post(&["webhooks", &id.to_string(), "rotate"]).body(&asked).answer().await
    }

    /// Forgets a webhook.
    pub async fn delete_webhook(&self, id: WebhookId) -> Result<(), ClientError> {
        self.delete(&["webhooks", &id.to_string()]).done().await
    }
}
