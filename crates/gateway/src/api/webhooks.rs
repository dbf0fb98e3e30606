//! Webhooks: where the tenant is told what happens to it, as far as who runs the installation allows.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use model::{
    Permission, TenantId, WebhookId,
    webhook::{NewWebhook, WebhookChange, WebhookRecord},
};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::{
    body::{Body, InPath, InQuery},
    once::{Made, Once},
    page::{self, ByName},
    version::{Versioned, expected},
    words,
};
use crate::{
    Gateway,
    caller::Caller,
    problem::{AboutOne, Anywhere, BringsBody, HasQuery, Kind, MayConflict, MayHaveChanged, Problem},
};

/// How long the secret before goes on.
const DAY: u32 = 24 * 60 * 60;

/// Some webhooks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Webhooks {
    /// By name.
    webhooks: Vec<WebhookRecord>,
    /// There may be more: `after` that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A webhook with a secret that was made now.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeWebhook {
    /// By this the receiver knows that a message is from here: it is shown this once. An answer to the same request under the same
    /// `Idempotency-Key` is without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^whsec_[A-Za-z0-9+/]{43}=$")]
    secret: Option<String>,
    #[serde(flatten)]
    webhook: WebhookRecord,
}

/// How a secret is to be followed by another.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretRequest {
    /// For how many seconds what is sent is signed with those before, too; a day without.
    #[schema(maximum = 2_592_000)]
    #[serde(default)]
    overlap_seconds: Option<u32>,
}

/// Only where somebody allowed it something is sent.
fn permit(gateway: &Gateway, url: &Url) -> Result<(), Problem> {
    let rules = gateway.rules.load();
    let Some(allowed) = &rules.webhooks else {
        let problem = Problem::new(Kind::Invalid, "this installation sends nothing to webhooks");
        return Err(
            problem.hint("who runs it says to whom, by --webhook-receivers, and signs with --webhook-key")
        );
    };
    allowed.receivers.permit(url).map_err(|why| Problem::new(Kind::Invalid, why.to_string()))
}

/// With its secret, when that was made by this request.
fn shown(gateway: &Gateway, tenant: TenantId, made: store::Made<WebhookRecord>) -> MadeWebhook {
    let store::Made { record: webhook, is_new } = made;
    let rules = gateway.rules.load();
    let allowed = rules.webhooks.as_ref().filter(|_| is_new);
    let secret =
        allowed.map(|allowed| allowed.keys.secret(tenant, webhook.id, webhook.secret_number).expose());
    MadeWebhook { secret, webhook }
}

/// Lists webhooks, never their secrets.
#[utoipa::path(
    get,
    path = "/webhooks",
    tag = "webhooks",
    operation_id = "list_webhooks",
    params(ByName),
    responses((status = OK, body = Webhooks, description = "some webhooks, by name"), Anywhere, HasQuery),
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(which): InQuery<ByName>,
) -> Result<Json<Webhooks>, Problem> {
    let tenant = caller.may(Permission::WebhooksRead)?;
    let limit = page::limit(which.limit)?;
    let webhooks = gateway.store.list_webhooks(tenant, which.after, limit).await?;
    let next = page::next(&webhooks, limit, |webhook| webhook.name.clone());
    Ok(Json(Webhooks { webhooks, next }))
}

/// Shows a webhook: where to, what of, and whether it arrives. Its `ETag` goes into the `If-Match` of who changes it.
#[utoipa::path(
    get,
    path = "/webhooks/{webhook}",
    tag = "webhooks",
    operation_id = "show_webhook",
    params(("webhook" = WebhookId, Path, description = "which")),
    responses((status = OK, body = WebhookRecord, description = "as it is"), Anywhere, AboutOne),
)]
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(webhook): InPath<WebhookId>,
) -> Result<Versioned<WebhookRecord>, Problem> {
    let tenant = caller.may(Permission::WebhooksRead)?;
    Ok(Versioned(gateway.store.webhook(tenant, webhook).await?))
}

/// Makes a webhook: from now on it is told what happens, each thing in a message of its own, signed as Standard Webhooks has it.
#[utoipa::path(
    post,
    path = "/webhooks",
    tag = "webhooks",
    operation_id = "create_webhook",
    params(Once),
    request_body = NewWebhook,
    responses(
        (status = CREATED, body = MadeWebhook, description = "the webhook, with its secret this once", headers(
            ("Location" = String, description = "where it is"),
            ("Idempotency-Replayed" = String, description = "`true` when an earlier request under the same key made it"),
        )),
        Anywhere,
        BringsBody,
        MayConflict,
    ),
)]
pub(super) async fn create(
    State(gateway): State<Gateway>,
    caller: Caller,
    once: Once,
    Body(new): Body<NewWebhook>,
) -> Result<Made<MadeWebhook>, Problem> {
    let tenant = caller.may(Permission::WebhooksManage)?;
    words::name(&new.name)?;
    permit(&gateway, &new.url)?;
    let made = gateway.store.create_webhook_once(tenant, new, caller.by(), once.key).await?;
    let (place, is_new) = (Some(format!("/api/v1/webhooks/{}", made.record.id)), made.is_new);
    Ok(Made { status: StatusCode::CREATED, place, is_new, body: shown(&gateway, tenant, made) })
}

/// Changes a webhook: where to, what of, and whether anything is sent. With `If-Match`, only when nobody has changed it since.
#[utoipa::path(
    patch,
    path = "/webhooks/{webhook}",
    tag = "webhooks",
    operation_id = "change_webhook",
    params(
        ("webhook" = WebhookId, Path, description = "which"),
        ("If-Match" = Option<String>, Header, description = "the ETag of the webhook that is to be changed"),
    ),
    request_body = WebhookChange,
    responses((status = OK, body = WebhookRecord, description = "as it is then"), Anywhere, AboutOne, BringsBody, MayHaveChanged),
)]
pub(super) async fn change(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(webhook): InPath<WebhookId>,
    headers: HeaderMap,
    Body(change): Body<WebhookChange>,
) -> Result<Versioned<WebhookRecord>, Problem> {
    let tenant = caller.may(Permission::WebhooksManage)?;
    let there = gateway.store.webhook(tenant, webhook).await?;
    if let Some(url) = &change.url {
        permit(&gateway, url)?;
    }
    let seen = expected(&headers, Some(there))?.flatten();
    let changed = gateway.store.change_webhook(tenant, webhook, change, seen, caller.by()).await?;
    Ok(Versioned(changed))
}

/// Gives a webhook another secret. For a while what is sent is signed with those before, too.
#[utoipa::path(
    post,
    path = "/webhooks/{webhook}/rotate",
    tag = "webhooks",
    operation_id = "rotate_webhook",
    params(("webhook" = WebhookId, Path, description = "which"), Once),
    request_body = SecretRequest,
    responses(
        (status = OK, body = MadeWebhook, description = "the secret that takes its place, this once", headers(
            ("Idempotency-Replayed" = String, description = "`true` when an earlier request under the same key made it"),
        )),
        Anywhere,
        AboutOne,
        BringsBody,
        MayConflict,
    ),
)]
pub(super) async fn rotate(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(webhook): InPath<WebhookId>,
    once: Once,
    Body(asked): Body<SecretRequest>,
) -> Result<Made<MadeWebhook>, Problem> {
    let tenant = caller.may(Permission::WebhooksManage)?;
    let there = gateway.store.webhook(tenant, webhook).await?;
    permit(&gateway, &there.url)?;
    let overlap = Duration::from_secs(asked.overlap_seconds.unwrap_or(DAY).into());
    let made = gateway.store.rotate_webhook_once(tenant, webhook, overlap, caller.by(), once.key).await?;
    let is_new = made.is_new;
    Ok(Made { status: StatusCode::OK, place: None, is_new, body: shown(&gateway, tenant, made) })
}

/// Forgets a webhook. Messages that are on their way are not sent any more. With `If-Match`, only when nobody has changed it since.
#[utoipa::path(
    delete,
    path = "/webhooks/{webhook}",
    tag = "webhooks",
    operation_id = "delete_webhook",
    params(
        ("webhook" = WebhookId, Path, description = "which"),
        ("If-Match" = Option<String>, Header, description = "the ETag of the webhook that is to be forgotten"),
    ),
    responses((status = NO_CONTENT, description = "it is told nothing any more"), Anywhere, AboutOne, MayHaveChanged),
)]
pub(super) async fn delete(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(webhook): InPath<WebhookId>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let tenant = caller.may(Permission::WebhooksManage)?;
    let there = gateway.store.webhook(tenant, webhook).await?;
    let seen = expected(&headers, Some(there))?.flatten();
    gateway.store.delete_webhook(tenant, webhook, seen, caller.by()).await?;
    Ok(StatusCode::NO_CONTENT)
}
