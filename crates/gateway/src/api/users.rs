//! People who may log in.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use jiff::Timestamp;
use model::{
    Permission, Role, Token, UserId,
    list::{ListOrder, UserCursor},
    user::Standing,
};
use serde::{Deserialize, Serialize};
use store::{FirstPassword, NewUser, UserFilter, UserRecord};
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
    problem::{AboutOne, Anywhere, BringsBody, HasQuery, MayConflict, MayHaveChanged, Problem},
};

/// Which people.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only those of that role.
    role: Option<Role>,
    /// Only those who stand so.
    #[param(inline)]
    standing: Option<Standing>,
    /// Only those who have not logged in since then.
    away_since: Option<Timestamp>,
    /// In which order.
    #[serde(default)]
    #[param(inline)]
    order: ListOrder,
    /// How many, at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Only who comes behind that place: `next` of the answer before, in the same order.
    after: Option<UserCursor>,
}

/// Some of those who may log in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Users {
    /// In the order that was asked for.
    users: Vec<UserRecord>,
    /// There may be more: `after` that place.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<UserCursor>,
}

/// Somebody who was invited now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvitedUser {
    /// Goes to them alone, this once: with it they choose a password within 72 hours. It is not kept: an answer to the same request
    /// under the same `Idempotency-Key` is without it, and whoever never got it is invited again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{64}$")]
    invitation: Option<String>,
    #[serde(flatten)]
    user: UserRecord,
}

impl InvitedUser {
    pub(super) fn of(made: store::Made<UserRecord>, invitation: &Token) -> InvitedUser {
        let invitation = made.is_new.then(|| invitation.expose().to_owned());
        InvitedUser { invitation, user: made.record }
    }
}

/// What is to be another way. What is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserChange {
    /// What they may do.
    #[serde(default)]
    role: Option<Role>,
    /// May they not log in?
    #[serde(default)]
    disabled: Option<bool>,
}

/// Lists people.
#[utoipa::path(
    get,
    path = "/users",
    tag = "users",
    operation_id = "list_users",
    params(Which),
    responses((status = OK, body = Users, description = "some people"), Anywhere, HasQuery),
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(which): InQuery<Which>,
) -> Result<Json<Users>, Problem> {
    let tenant = caller.may(Permission::UsersRead)?;
    let limit = page::limit(which.limit)?;
    let Which { role, standing, away_since, order, limit: _, after } = which;
    let filter = UserFilter { role, standing, away_since, order, after };
    let users = gateway.store.list_users(tenant, filter, limit).await?;
    let place =
        |user: &UserRecord| UserCursor { id: user.id, time: user.created_at, name: user.name.to_string() };
    let next = page::next(&users, limit, place);
    Ok(Json(Users { users, next }))
}

/// Shows somebody. Their `ETag` goes into the `If-Match` of who changes them.
#[utoipa::path(
    get,
    path = "/users/{user}",
    tag = "users",
    operation_id = "show_user",
    params(("user" = UserId, Path, description = "their id")),
    responses((status = OK, body = UserRecord, description = "who they are"), Anywhere, AboutOne),
)]
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(user): InPath<UserId>,
) -> Result<Versioned<UserRecord>, Problem> {
    let tenant = caller.may(Permission::UsersRead)?;
    Ok(Versioned(gateway.store.user(tenant, user).await?))
}

/// Invites somebody: with what is answered they choose a password, and log in with that.
#[utoipa::path(
    post,
    path = "/users",
    tag = "users",
    operation_id = "invite_user",
    params(Once),
    request_body = NewUser,
    responses(
        (status = CREATED, body = InvitedUser, description = "they are invited", headers(
            ("Location" = String, description = "where it is"),
            ("Idempotency-Replayed" = String, description = "`true` when an earlier request under the same key made it"),
        )),
        Anywhere,
        BringsBody,
        MayConflict,
    ),
)]
pub(super) async fn invite(
    State(gateway): State<Gateway>,
    caller: Caller,
    once: Once,
    Body(asked): Body<NewUser>,
) -> Result<Made<InvitedUser>, Problem> {
    let caller = caller.anew(&gateway).await?;
    let tenant = caller.may(Permission::UsersManage)?;
    caller.may_give_role(&gateway, &asked.role).await?;
    caller.may_let_in()?;
    let invitation = Token::from_random(rand::random());
    let first = FirstPassword::Invited(invitation.clone());
    let made = gateway.store.create_user_once(tenant, asked, first, caller.by(), once.key).await?;
    let is_new = made.is_new;
    let place = Some(format!("/api/v1/users/{}", made.record.id));
    let body = InvitedUser::of(made, &invitation);
    Ok(Made { status: StatusCode::CREATED, place, is_new, body })
}

/// Says what somebody may do, or that they may not log in any more. Their sessions end. With `If-Match`, only when they are as somebody
/// has seen them.
#[utoipa::path(
    patch,
    path = "/users/{user}",
    tag = "users",
    operation_id = "change_user",
    params(
        ("user" = UserId, Path, description = "their id"),
        ("If-Match" = Option<String>, Header, description = "the ETag of who is to be changed"),
    ),
    request_body = UserChange,
    responses((status = OK, body = UserRecord, description = "as they are now"), Anywhere, AboutOne, BringsBody, MayConflict, MayHaveChanged),
)]
pub(super) async fn change(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(user): InPath<UserId>,
    headers: HeaderMap,
    Body(asked): Body<UserChange>,
) -> Result<Versioned<UserRecord>, Problem> {
    let caller = caller.anew(&gateway).await?;
    let tenant = caller.may(Permission::UsersManage)?;
    let seen = gateway.store.user(tenant, user).await?;
    expected(&headers, Some(&seen))?;
    let before = caller.may_give_role(&gateway, &seen.role).await?;
    let after = match &asked.role {
        Some(role) => caller.may_give_role(&gateway, role).await?,
        None => before.clone(),
    };
    // Whoever may do more by it, or may come again, is let in as if anew.
    if asked.disabled == Some(false) || !before.may_give(&after) {
        caller.may_let_in()?;
    }
    let (role, disabled, by) = (asked.role, asked.disabled, caller.by());
    let changed = gateway.store.change_user(tenant, user, Some(seen), role, disabled, by).await?;
    gateway.forget_sessions_of(user);
    Ok(Versioned(changed))
}

/// Invites somebody again, who has lost their password or let an invitation pass. What they logged in with is good for nothing any more,
/// and their sessions end.
#[utoipa::path(
    post,
    path = "/users/{user}/invitation",
    tag = "users",
    operation_id = "invite_user_again",
    params(("user" = UserId, Path, description = "their id"), Once),
    responses(
        (status = CREATED, body = InvitedUser, description = "they are invited", headers(
            ("Idempotency-Replayed" = String, description = "`true` when an earlier request under the same key invited them"),
        )),
        // Of the key.
        HasQuery,
        Anywhere,
        AboutOne,
        MayConflict,
        MayHaveChanged,
    ),
)]
pub(super) async fn invite_again(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(user): InPath<UserId>,
    once: Once,
) -> Result<Made<InvitedUser>, Problem> {
    let caller = caller.anew(&gateway).await?;
    let tenant = caller.may(Permission::UsersManage)?;
    let seen = gateway.store.user(tenant, user).await?;
    caller.may_give_role(&gateway, &seen.role).await?;
    caller.may_let_in()?;
    let invitation = Token::from_random(rand::random());
    let by = caller.by();
    let store::Made { record, is_new } =
        gateway.store.invite_again_once(tenant, user, Some(seen), &invitation, by, once.key).await?;
    gateway.forget_sessions_of(user);
    let invitation = is_new.then(|| invitation.expose().to_owned());
    Ok(Made {
        status: StatusCode::CREATED,
        place: None,
        is_new,
        body: InvitedUser { invitation, user: record },
    })
}

/// Forgets somebody. Their sessions end; the audit still tells what they did. With `If-Match`, only when nobody has changed them since.
#[utoipa::path(
    delete,
    path = "/users/{user}",
    tag = "users",
    operation_id = "delete_user",
    params(
        ("user" = UserId, Path, description = "their id"),
        ("If-Match" = Option<String>, Header, description = "the ETag of the person that is to be forgotten"),
    ),
    responses((status = NO_CONTENT, description = "they are forgotten"), Anywhere, AboutOne, MayConflict, MayHaveChanged),
)]
pub(super) async fn delete(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(user): InPath<UserId>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let caller = caller.anew(&gateway).await?;
    let tenant = caller.may(Permission::UsersManage)?;
    let seen = gateway.store.user(tenant, user).await?;
    expected(&headers, Some(&seen))?;
    caller.may_give_role(&gateway, &seen.role).await?;
    gateway.store.delete_user(tenant, user, Some(seen), caller.by()).await?;
    gateway.forget_sessions_of(user);
    Ok(StatusCode::NO_CONTENT)
}
