//! Conversations as people follow them: what they have not read, and where they are mentioned.

use axum::{Json, extract::State};
use model::{
    CommentId, Fingerprint, Permission, ScanId, Topic,
    comment::{ConversationRecord, MentionRecord, Older, Reading},
};
use serde::{Deserialize, Serialize};
use store::{ConversationFilter, MentionFilter};
use utoipa::{IntoParams, ToSchema};

use super::{
    body::{Body, InPath, InQuery},
    page,
};
use crate::{
    Gateway,
    caller::Caller,
    problem::{AboutOne, Anywhere, BringsBody, HasQuery, MayConflict, Problem},
};

/// Which conversations, or mentions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only where something is unread by the person who asks.
    #[serde(default)]
    #[param(default = false)]
    unread: bool,
    /// How many, at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Only older than that one: `next` of the answer before.
    before: Option<Older>,
}

/// Some of what is spoken about.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Conversations {
    /// Where something was said last first.
    conversations: Vec<ConversationRecord>,
    /// There may be more: `before` that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Older>,
}

/// Some comments that mention who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Mentions {
    /// The newest first.
    mentions: Vec<MentionRecord>,
    /// There may be more: `before` that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Older>,
}

/// How far somebody has read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadRequest {
    /// The last comment that they have read.
    up_to: CommentId,
}

async fn read(
    gateway: Gateway,
    caller: Caller,
    on: Topic,
    ReadRequest { up_to }: ReadRequest,
) -> Result<Json<Reading>, Problem> {
    // Whoever may read may say so: it changes nothing for anybody else.
    let tenant = caller.may(Permission::CommentsRead)?;
    let user = caller.require_person()?;
    Ok(Json(gateway.store.mark_read(tenant, user, on, up_to).await?))
}

/// Says how far the person who asks has read of what was said about a finding. They never have read less than before.
#[utoipa::path(
    put,
    path = "/findings/{finding}/comments/read",
    tag = "comments",
    operation_id = "read_finding_comments",
    params(("finding" = Fingerprint, Path, description = "which")),
    request_body = ReadRequest,
    responses((status = OK, body = Reading, description = "how far they have"), Anywhere, AboutOne, BringsBody, MayConflict),
)]
pub(super) async fn read_finding(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(finding): InPath<Fingerprint>,
    Body(asked): Body<ReadRequest>,
) -> Result<Json<Reading>, Problem> {
    read(gateway, caller, Topic::Finding(finding), asked).await
}

/// Says how far the person who asks has read of what was said about a scan. They never have read less than before.
#[utoipa::path(
    put,
    path = "/scans/{scan}/comments/read",
    tag = "comments",
    operation_id = "read_scan_comments",
    params(("scan" = ScanId, Path, description = "which")),
    request_body = ReadRequest,
    responses((status = OK, body = Reading, description = "how far they have"), Anywhere, AboutOne, BringsBody, MayConflict),
)]
pub(super) async fn read_scan(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(scan): InPath<ScanId>,
    Body(asked): Body<ReadRequest>,
) -> Result<Json<Reading>, Problem> {
    read(gateway, caller, Topic::Scan(scan), asked).await
}

/// Lists what is spoken about, where something was said last first. What a person has not read of it is counted; only a person may ask
/// for what is unread.
#[utoipa::path(
    get,
    path = "/conversations",
    tag = "comments",
    operation_id = "list_conversations",
    params(Which),
    responses((status = OK, body = Conversations, description = "some conversations"), Anywhere, HasQuery, MayConflict),
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(which): InQuery<Which>,
) -> Result<Json<Conversations>, Problem> {
    let tenant = caller.may(Permission::CommentsRead)?;
    let limit = page::limit(which.limit)?;
    let reader = if which.unread { Some(caller.require_person()?) } else { caller.person() };
    let filter = ConversationFilter { unread: which.unread, before: which.before };
    let conversations = gateway.store.conversations(tenant, reader, filter, limit).await?;
    let next = page::next(&conversations, limit, |last| Older { than: last.last_at, id: last.id.as_uuid() });
    Ok(Json(Conversations { conversations, next }))
}

/// Lists where the person who asks is mentioned, the newest first.
#[utoipa::path(
    get,
    path = "/mentions",
    tag = "comments",
    operation_id = "list_mentions",
    params(Which),
    responses((status = OK, body = Mentions, description = "some mentions"), Anywhere, HasQuery, MayConflict),
)]
pub(super) async fn mentions(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(which): InQuery<Which>,
) -> Result<Json<Mentions>, Problem> {
    let tenant = caller.may(Permission::CommentsRead)?;
    let limit = page::limit(which.limit)?;
    let user = caller.require_person()?;
    let filter = MentionFilter { unread: which.unread, before: which.before };
    let mentions = gateway.store.mentions(tenant, user, filter, limit).await?;
    let next =
        page::next(&mentions, limit, |last| Older { than: last.mentioned_at, id: last.comment.id.as_uuid() });
    Ok(Json(Mentions { mentions, next }))
}
