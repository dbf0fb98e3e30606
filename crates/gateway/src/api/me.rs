//! Who asks.

use std::collections::BTreeSet;

use axum::Json;
use model::{Access, Permission, Role};
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
    #[schema(value_type = Vec<Permission>)]
    permissions: BTreeSet<Permission>,
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
    let Access { role, permissions, .. } = caller.access().clone();
    let (key, user) = match caller.who() {
        Who::Key(key) => (Some(key.record.clone()), None),
        Who::Person { session, .. } => (None, Some(session.record.user.clone())),
    };
    Json(Me { role, permissions, key, user })
}
