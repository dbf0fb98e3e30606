//! Webhooks, wherever they are.

use std::time::Duration;

use anyhow::{Context, bail};
use client::MadeWebhook;
use model::{
    WebhookId,
    webhook::{NewWebhook, WebhookChange, WebhookRecord},
};
use url::Url;

use super::{Place, pages};
use crate::platform::{Desk, operator};

/// As a server does it.
fn permit(desk: &Desk, url: &Url) -> anyhow::Result<gateway::Webhooks> {
    let Some(allowed) = desk.configuration.webhooks()? else {
        bail!(
            "this installation sends nothing to webhooks: --webhook-receivers says to whom it may, and --webhook-key with what it is signed"
        )
    };
    allowed.receivers.permit(url)?;
    Ok(allowed)
}

fn shown(allowed: &gateway::Webhooks, desk_tenant: model::TenantId, webhook: WebhookRecord) -> MadeWebhook {
    let secret = allowed.keys.secret(desk_tenant, webhook.id, webhook.secret_number).expose();
    MadeWebhook { secret, webhook }
}

impl Place {
    pub(in crate::platform) async fn webhooks(&self) -> anyhow::Result<Vec<WebhookRecord>> {
        match self {
            Place::Here(desk) => {
                let tenant = desk.tenant().await?;
                Ok(desk.store.list_webhooks(tenant, None, store::MOST_WEBHOOKS as usize).await?)
            }
            Place::There(client) => {
                pages(usize::MAX, None, async |limit, after| client.webhooks(limit, after).await).await
            }
        }
    }

    pub(in crate::platform) async fn create_webhook(&self, new: NewWebhook) -> anyhow::Result<MadeWebhook> {
        match self {
            Place::Here(desk) => {
                let (allowed, tenant) = (permit(desk, &new.url)?, desk.tenant().await?);
                let made = desk.store.create_webhook_once(tenant, new, operator(), None).await?;
                Ok(shown(&allowed, tenant, made.record))
            }
            Place::There(client) => Ok(client.create_webhook(&new).await?),
        }
    }

    pub(in crate::platform) async fn change_webhook(
        &self,
        id: WebhookId,
        change: WebhookChange,
    ) -> anyhow::Result<WebhookRecord> {
        match self {
            Place::Here(desk) => {
                if let Some(url) = &change.url {
                    permit(desk, url)?;
                }
                let tenant = desk.tenant().await?;
                Ok(desk.store.change_webhook(tenant, id, change, None, operator()).await?)
            }
            Place::There(client) => Ok(client.change_webhook(id, &change).await?),
        }
    }

    pub(in crate::platform) async fn rotate_webhook(
        &self,
        webhook: &WebhookRecord,
        overlap: Duration,
    ) -> anyhow::Result<MadeWebhook> {
        match self {
            Place::Here(desk) => {
                let (allowed, tenant) = (permit(desk, &webhook.url)?, desk.tenant().await?);
                let rotated =
                    desk.store.rotate_webhook_once(tenant, webhook.id, overlap, operator(), None).await?;
                Ok(shown(&allowed, tenant, rotated.record))
            }
            Place::There(client) => {
                // Not shorter than was asked for; what is too long the server refuses.
                let seconds = overlap.as_secs() + u64::from(overlap.subsec_nanos() > 0);
                let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
                Ok(client.rotate_webhook(webhook.id, Some(seconds)).await?)
            }
        }
    }

    pub(in crate::platform) async fn delete_webhook(&self, id: WebhookId) -> anyhow::Result<()> {
        match self {
            Place::Here(desk) => {
                desk.store.delete_webhook(desk.tenant().await?, id, None, operator()).await?
            }
            Place::There(client) => client.delete_webhook(id).await?,
        }
        Ok(())
    }

    pub(in crate::platform) async fn webhook_named(&self, name: &str) -> anyhow::Result<WebhookRecord> {
        let found = self.webhooks().await?.into_iter().find(|webhook| webhook.name == name);
        found.with_context(|| format!("there is no webhook `{name}`: `rampart webhook list` shows them"))
    }
}
