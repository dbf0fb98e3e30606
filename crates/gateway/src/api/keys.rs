//! Keys: for programs, and for people who use the API without a browser.

use axum::{Json, extract::State, http::StatusCode};
use ipnet::IpNet;
use jiff::Timestamp;
use model::{
    ApiKey, KeyPrefix, Permission, Role,
    list::{KeyCursor, ListOrder},
};
use serde::{Deserialize, Serialize};
use store::{KeyFilter, KeyRecord, NewKey};
use utoipa::{IntoParams, ToSchema};

use super::{
    body::{Body, InPath, InQuery},
    once::{Made, Once},
    page, words,
};
use crate::{
    Gateway,
    caller::{Caller, Who},
    problem::{AboutOne, Anywhere, BringsBody, HasQuery, Kind, MayConflict, Problem},
};

/// Networks of one key, at most.
const MOST_NETWORKS: usize = 64;
/// How long a key that was rotated goes on.
const DAY: u32 = 24 * 60 * 60;
/// And at most.
const LONGEST_OVERLAP: u32 = 30 * DAY;

/// Which keys.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only those of that role.
    role: Option<Role>,
    /// Only those that are good for nothing any more, or only those that are.
    expired: Option<bool>,
    /// Only those that nobody has used since then.
    unused_since: Option<Timestamp>,
    /// In which order.
    #[serde(default)]
    #[param(inline)]
    order: ListOrder,
    /// How many, at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Only what comes behind that place: `next` of the answer before, in the same order.
    after: Option<KeyCursor>,
}

/// Some keys.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Keys {
    /// In the order that was asked for.
    keys: Vec<KeyRecord>,
    /// There may be more: `after` that place.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<KeyCursor>,
}

/// A key that was made now.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeKey {
    /// The key itself: it is shown this once. It is not kept: an answer to the same request under the same `Idempotency-Key` is
    /// without it, and whoever never got it rotates the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^rampart_[0-9a-f]{8}_[0-9a-f]{54}$")]
    secret: Option<String>,
    #[serde(flatten)]
    key: KeyRecord,
}

/// The answer to who made it.
fn made(secret: &ApiKey, made: store::Made<KeyRecord>) -> Made<MadeKey> {
    let store::Made { record: key, is_new } = made;
    let place = Some(format!("/api/v1/keys/{}", key.prefix));
    let body = MadeKey { secret: is_new.then(|| secret.expose().to_owned()), key };
    Made { status: StatusCode::CREATED, place, is_new, body }
}

/// How a key is to be followed by another.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateRequest {
    /// How many seconds the old one goes on; a day without.
    #[schema(maximum = 2_592_000)]
    #[serde(default)]
    overlap_seconds: Option<u32>,
}

fn random() -> ApiKey {
    ApiKey::from_random(rand::random(), rand::random())
}

/// No key makes one that reaches further than itself: from more networks, or for longer.
fn may_reach(caller: &Caller, networks: &[IpNet], expires_at: Option<Timestamp>) -> Result<(), Problem> {
    let Who::Key(own) = caller.who() else { return Ok(()) };
    let own = &own.record;
    let within = |network: &IpNet| own.networks.iter().any(|wider| wider.contains(network));
    if !own.networks.is_empty() && (networks.is_empty() || !networks.iter().all(within)) {
        let detail = format!("the key {} is for some networks, and makes none for others", own.prefix);
        return Err(caller.refuse(detail).hint("name networks that are within its own"));
    }
    if own.expires_at.is_some_and(|end| expires_at.is_none_or(|at| at > end)) {
        let detail = format!("the key {} ends, and makes none that goes on after it", own.prefix);
        return Err(caller.refuse(detail).hint("give expires_at, and none that is later than its own"));
    }
    Ok(())
}

async fn named(gateway: &Gateway, caller: &Caller, prefix: &KeyPrefix) -> Result<KeyRecord, Problem> {
    let tenant = caller.may(Permission::KeysRead)?;
    Ok(gateway.store.key(tenant, prefix.clone()).await?)
}

/// Lists the keys of the tenant, never the keys themselves.
#[utoipa::path(
    get,
    path = "/keys",
    tag = "keys",
    operation_id = "list_keys",
    params(Which),
    responses((status = OK, body = Keys, description = "some keys"), Anywhere, HasQuery),
)]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(which): InQuery<Which>,
) -> Result<Json<Keys>, Problem> {
    let tenant = caller.may(Permission::KeysRead)?;
    let limit = page::limit(which.limit)?;
    let Which { role, expired, unused_since, order, limit: _, after } = which;
    let filter = KeyFilter { role, expired, unused_since, order, after };
    let keys = gateway.store.list_keys(tenant, filter, limit).await?;
    let place =
        |key: &KeyRecord| KeyCursor { id: key.prefix.clone(), time: key.created_at, name: key.name.clone() };
    let next = page::next(&keys, limit, place);
    Ok(Json(Keys { keys, next }))
}

/// Shows what is known of a key.
#[utoipa::path(
    get,
    path = "/keys/{prefix}",
    tag = "keys",
    operation_id = "show_key",
    params(("prefix" = String, Path, description = "the eight digits that the key begins with")),
    responses(
        (status = OK, body = KeyRecord, description = "what is known of it"),
        Anywhere,
        AboutOne,
    ),
)]
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(prefix): InPath<String>,
) -> Result<Json<KeyRecord>, Problem> {
    caller.may(Permission::KeysRead)?;
    named(&gateway, &caller, &prefix_of(&prefix)?).await.map(Json)
}

/// Makes a key. It is shown this once.
#[utoipa::path(
    post,
    path = "/keys",
    tag = "keys",
    operation_id = "create_key",
    params(Once),
    request_body = NewKey,
    responses(
        (status = CREATED, body = MadeKey, description = "the key, this once", headers(
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
    Body(asked): Body<NewKey>,
) -> Result<Made<MadeKey>, Problem> {
    let caller = caller.anew(&gateway).await?;
    let tenant = caller.may(Permission::KeysManage)?;
    caller.may_give_role(&gateway, &asked.role).await?;
    let NewKey { name, networks, expires_at, .. } = &asked;
    words::name(name)?;
    if networks.len() > MOST_NETWORKS {
        return Err(Problem::new(Kind::Invalid, format!("a key has at most {MOST_NETWORKS} networks")));
    }
    if expires_at.is_some_and(|at| at <= Timestamp::now()) {
        return Err(Problem::new(Kind::Invalid, "expires_at has passed"));
    }
    may_reach(&caller, networks, *expires_at)?;
    let secret = random();
    let by = caller.by();
    let key = gateway.store.create_key_once(tenant, secret.clone(), asked, by, once.key).await?;
    Ok(made(&secret, key))
}

/// Makes another key in the place of one, which goes on for a while.
#[utoipa::path(
    post,
    path = "/keys/{prefix}/rotate",
    tag = "keys",
    operation_id = "rotate_key",
    params(("prefix" = String, Path, description = "the eight digits that the key begins with"), Once),
    request_body = RotateRequest,
    responses(
        (status = CREATED, body = MadeKey, description = "the key that takes its place, this once", headers(
            ("Location" = String, description = "where it is"),
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
    InPath(prefix): InPath<String>,
    once: Once,
    Body(asked): Body<RotateRequest>,
) -> Result<Made<MadeKey>, Problem> {
    let caller = caller.anew(&gateway).await?;
    let tenant = caller.may(Permission::KeysManage)?;
    let prefix = prefix_of(&prefix)?;
    let old = named(&gateway, &caller, &prefix).await?;
    caller.may_give_role(&gateway, &old.role).await?;
    may_reach(&caller, &old.networks, old.end_of_next(Timestamp::now()))?;
    let overlap = asked.overlap_seconds.unwrap_or(DAY);
    if overlap > LONGEST_OVERLAP {
        return Err(Problem::new(Kind::Invalid, format!("overlap_seconds is at most {LONGEST_OVERLAP}")));
    }
    let overlap = std::time::Duration::from_secs(overlap.into());
    let secret = random();
    let (old, by) = (prefix.clone(), caller.by());
    let key = gateway.store.rotate_key_once(tenant, old, secret.clone(), overlap, by, once.key).await?;
    gateway.keys.forget(|_, known| known.is_none_or(|known| known.record.prefix == prefix));
    Ok(made(&secret, key))
}

/// Takes a key back: from the next request on it is not known.
#[utoipa::path(
    delete,
    path = "/keys/{prefix}",
    tag = "keys",
    operation_id = "revoke_key",
    params(("prefix" = String, Path, description = "the eight digits that the key begins with")),
    responses(
        (status = NO_CONTENT, description = "it is not known any more"),
        Anywhere,
        AboutOne,
    ),
)]
pub(super) async fn revoke(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(prefix): InPath<String>,
) -> Result<StatusCode, Problem> {
    let caller = caller.anew(&gateway).await?;
    let tenant = caller.may(Permission::KeysManage)?;
    let prefix = prefix_of(&prefix)?;
    let key = named(&gateway, &caller, &prefix).await?;
    caller.may_give_role(&gateway, &key.role).await?;
    gateway.store.revoke_key(tenant, prefix.clone(), caller.by()).await?;
    gateway.keys.forget(|_, known| known.is_none_or(|known| known.record.prefix == prefix));
    Ok(StatusCode::NO_CONTENT)
}

/// What is no prefix is that of no key.
fn prefix_of(text: &str) -> Result<KeyPrefix, Problem> {
    text.parse().map_err(|error: model::key::KeyPrefixError| Problem::new(Kind::Missing, error.to_string()))
}
