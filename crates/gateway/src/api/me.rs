//! Who asks.

use axum::Json;
use model::{Permission, Role};
use serde::Serialize;
use store::{KeyRecord, UserRecord};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, Who},
    problem::Anywhere,
};

/// Who asks, and what they may.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    /// What they are.
    role: Role,
    /// What that lets them do.
    permissions: Vec<Permission>,
    /// The key that they have shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyRecord>,
    /// Who has logged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserRecord>,
}

/// Says who asks, and what they may.
#[utoipa::path(
    get,
    path = "/me",
    tag = "me",
    operation_id = "show_me",
    responses((status = OK, body = Me, description = "who asks"), Anywhere),
)]
pub(super) async fn show(caller: Caller) -> Json<Me> {
    let permissions = caller.role().permissions().into_iter().collect();
    let (key, user) = match caller.who() {
        Who::Key(key) => (Some((**key).clone()), None),
        Who::Person { session, .. } => (None, Some(session.user.clone())),
    };
    Json(Me { role: caller.role(), permissions, key, user })
}
