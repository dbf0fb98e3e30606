//! What people say about findings and scans: read, said, said in other words, and taken back.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use model::{
    CommentId, CommentText, Fingerprint, Permission, ScanId, Topic,
    comment::{CommentEdit, CommentRecord, NewComment, page_of_text},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    body::{Body, InPath, InQuery},
    once::{Made, Once},
    page,
    version::{Versioned, expected},
};
use crate::{
    Gateway,
    caller::Caller,
    problem::{AboutOne, Anywhere, BringsBody, HasQuery, Kind, MayConflict, MayHaveChanged, Problem},
};

/// Which comments, or earlier texts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// How many, at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Only those after the one with that number: `next` of the answer before.
    after: Option<u64>,
}

impl Which {
    /// After which number, and how many.
    fn page(&self) -> Result<(u64, usize), Problem> {
        let after = self.after.unwrap_or_default();
        if i64::try_from(after).is_err() {
            return Err(Problem::new(
                Kind::Malformed,
                "after is no number that a comment or a text of it has",
            ));
        }
        Ok((after, page::limit(self.limit)?))
    }
}

/// The number to go on from, when there may be more than these: there are as many as were asked for, or their texts fill a page.
fn next<T>(
    found: &[T],
    limit: usize,
    number: impl Fn(&T) -> u64,
    text: impl Fn(&T) -> Option<&CommentText>,
) -> Option<u64> {
    let is_full = page_of_text(found.iter().map(text)).is_some();
    page::next(found, if is_full { found.len() } else { limit }, number)
}

/// Some of what was said.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Comments {
    /// The oldest first. What was taken back is there without its text.
    comments: Vec<CommentRecord>,
    /// There may be more: `after` that number.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
    /// How many of all of them the person who asks has not read; nothing for a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<u64>,
    /// Up to which number they have.
    #[serde(skip_serializing_if = "Option::is_none")]
    read_up_to: Option<u64>,
}

/// What a comment said before.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CommentEdits {
    /// The first text first; the last one is in the comment.
    edits: Vec<CommentEdit>,
    /// There may be more: `after` that number.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// In other words.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommentChange {
    /// What it is to say.
    #[schema(value_type = String, min_length = 1, max_length = 10000)]
    text: CommentText,
}

async fn list(gateway: Gateway, caller: Caller, on: Topic, which: Which) -> Result<Json<Comments>, Problem> {
    let tenant = caller.may(Permission::CommentsRead)?;
    let (after, limit) = which.page()?;
    let comments = gateway.store.comments(tenant, on, after, limit).await?;
    let next = next(&comments, limit, |comment| comment.number, |comment| comment.text.as_ref());
    let reading = match caller.person() {
        Some(user) => Some(gateway.store.reading(tenant, user, on).await?),
        None => None,
    };
    let (unread, read_up_to) = reading.map(|reading| (reading.unread, reading.read_up_to)).unzip();
    Ok(Json(Comments { comments, next, unread, read_up_to }))
}

async fn add(
    gateway: Gateway,
    caller: Caller,
    on: Topic,
    once: Once,
    new: NewComment,
) -> Result<Made<Versioned<CommentRecord>>, Problem> {
    let tenant = caller.may(Permission::CommentsWrite)?;
    let (author, by) = (caller.author(), caller.by());
    let made = gateway.store.add_comment_once(tenant, on, new, author, by, once.key).await?;
    let place = Some(format!("/api/v1/comments/{}", made.record.id));
    Ok(Made { status: StatusCode::CREATED, place, is_new: made.is_new, body: Versioned(made.record) })
}

/// Lists what was said about a finding, the oldest first.
#[utoipa::path(
    get,
    path = "/findings/{finding}/comments",
    tag = "comments",
    operation_id = "list_finding_comments",
    params(("finding" = Fingerprint, Path, description = "which"), Which),
    responses((status = OK, body = Comments, description = "some of it"), Anywhere, AboutOne, HasQuery),
)]
pub(super) async fn of_finding(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(finding): InPath<Fingerprint>,
    InQuery(which): InQuery<Which>,
) -> Result<Json<Comments>, Problem> {
    list(gateway, caller, Topic::Finding(finding), which).await
}

/// Lists what was said about a scan, the oldest first.
#[utoipa::path(
    get,
    path = "/scans/{scan}/comments",
    tag = "comments",
    operation_id = "list_scan_comments",
    params(("scan" = ScanId, Path, description = "which"), Which),
    responses((status = OK, body = Comments, description = "some of it"), Anywhere, AboutOne, HasQuery),
)]
pub(super) async fn of_scan(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(scan): InPath<ScanId>,
    InQuery(which): InQuery<Which>,
) -> Result<Json<Comments>, Problem> {
    list(gateway, caller, Topic::Scan(scan), which).await
}

/// Says something about a finding. `@name` mentions somebody of the tenant who may read it.
#[utoipa::path(
    post,
    path = "/findings/{finding}/comments",
    tag = "comments",
    operation_id = "comment_on_finding",
    params(("finding" = Fingerprint, Path, description = "which"), Once),
    request_body = NewComment,
    responses(
        (status = CREATED, body = CommentRecord, description = "it is said", headers(
            ("Location" = String, description = "where it is"),
            ("Idempotency-Replayed" = String, description = "`true` when an earlier request under the same key made it"),
        )),
        Anywhere,
        AboutOne,
        BringsBody,
        MayConflict,
    ),
)]
pub(super) async fn add_to_finding(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(finding): InPath<Fingerprint>,
    once: Once,
    Body(new): Body<NewComment>,
) -> Result<Made<Versioned<CommentRecord>>, Problem> {
    add(gateway, caller, Topic::Finding(finding), once, new).await
}

/// Says something about a scan. `@name` mentions somebody of the tenant who may read it.
#[utoipa::path(
    post,
    path = "/scans/{scan}/comments",
    tag = "comments",
    operation_id = "comment_on_scan",
    params(("scan" = ScanId, Path, description = "which"), Once),
    request_body = NewComment,
    responses(
        (status = CREATED, body = CommentRecord, description = "it is said", headers(
            ("Location" = String, description = "where it is"),
            ("Idempotency-Replayed" = String, description = "`true` when an earlier request under the same key made it"),
        )),
        Anywhere,
        AboutOne,
        BringsBody,
        MayConflict,
    ),
)]
pub(super) async fn add_to_scan(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(scan): InPath<ScanId>,
    once: Once,
    Body(new): Body<NewComment>,
) -> Result<Made<Versioned<CommentRecord>>, Problem> {
    add(gateway, caller, Topic::Scan(scan), once, new).await
}

/// Shows a comment. Its `ETag` goes into the `If-Match` of who changes it.
#[utoipa::path(
    get,
    path = "/comments/{comment}",
    tag = "comments",
    operation_id = "show_comment",
    params(("comment" = CommentId, Path, description = "which")),
    responses((status = OK, body = CommentRecord, description = "as it stands"), Anywhere, AboutOne),
)]
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(id): InPath<CommentId>,
) -> Result<Versioned<CommentRecord>, Problem> {
    let tenant = caller.may(Permission::CommentsRead)?;
    Ok(Versioned(gateway.store.comment(tenant, id).await?))
}

/// Says it in other words; what was said before is kept. Only who wrote it may. With `If-Match`, only when it is what somebody has seen.
#[utoipa::path(
    patch,
    path = "/comments/{comment}",
    tag = "comments",
    operation_id = "change_comment",
    params(
        ("comment" = CommentId, Path, description = "which"),
        ("If-Match" = Option<String>, Header, description = "the ETag of the comment that is to be changed"),
    ),
    request_body = CommentChange,
    responses(
        (status = OK, body = CommentRecord, description = "as it stands then"),
        Anywhere,
        AboutOne,
        BringsBody,
        MayConflict,
        MayHaveChanged,
    ),
)]
pub(super) async fn change(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(id): InPath<CommentId>,
    headers: HeaderMap,
    Body(change): Body<CommentChange>,
) -> Result<Versioned<CommentRecord>, Problem> {
    let tenant = caller.may(Permission::CommentsWrite)?;
    let there = gateway.store.comment(tenant, id).await?;
    if !there.by.is(&caller.author()) {
        let detail = format!("the comment {id} was written by {}, who alone may change it", there.by);
        return Err(caller.refuse(detail).hint("answer it"));
    }
    let seen = expected(&headers, Some(there))?.flatten();
    Ok(Versioned(gateway.store.edit_comment(tenant, id, seen, change.text, caller.by()).await?))
}

/// Takes back what was said: its text and its earlier texts are gone, its place stays. Who wrote it may, and who may manage comments. With
/// `If-Match`, only when it is what somebody has seen.
#[utoipa::path(
    delete,
    path = "/comments/{comment}",
    tag = "comments",
    operation_id = "delete_comment",
    params(
        ("comment" = CommentId, Path, description = "which"),
        ("If-Match" = Option<String>, Header, description = "the ETag of the comment that is to be taken back"),
    ),
    responses((status = NO_CONTENT, description = "it says nothing any more"), Anywhere, AboutOne, MayHaveChanged),
)]
pub(super) async fn delete(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(id): InPath<CommentId>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let tenant = caller.may(Permission::CommentsWrite)?;
    let there = gateway.store.comment(tenant, id).await?;
    if !there.by.is(&caller.author()) {
        caller.may(Permission::CommentsManage)?;
    }
    let seen = expected(&headers, Some(there))?.flatten();
    gateway.store.delete_comment(tenant, id, seen, caller.by()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists what a comment said before it was said in other words.
#[utoipa::path(
    get,
    path = "/comments/{comment}/edits",
    tag = "comments",
    operation_id = "list_comment_edits",
    params(("comment" = CommentId, Path, description = "which"), Which),
    responses((status = OK, body = CommentEdits, description = "its earlier texts"), Anywhere, AboutOne, HasQuery),
)]
pub(super) async fn edits(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(id): InPath<CommentId>,
    InQuery(which): InQuery<Which>,
) -> Result<Json<CommentEdits>, Problem> {
    let tenant = caller.may(Permission::CommentsRead)?;
    let (after, limit) = which.page()?;
    let edits = gateway.store.comment_edits(tenant, id, after, limit).await?;
    let next = next(&edits, limit, |edit| edit.number, |edit| Some(&edit.text));
    Ok(Json(CommentEdits { edits, next }))
}
