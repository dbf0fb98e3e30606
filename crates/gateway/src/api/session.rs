//! Logging in with a name and a password, and out again. A browser holds the session in a cookie that no script reads.

use std::{net::IpAddr, time::Instant};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use model::{Password, SessionId, Token, UserName};
use serde::{Deserialize, Serialize};
use store::{Account, Credentials, Expected, SessionRecord, StoreError};
use utoipa::ToSchema;

use super::body::{Body, InPath};
use crate::{
    Gateway,
    caller::{Caller, Refusal, Who},
    cookies::Cookie,
    guesses::Guessed,
    limits::Machine,
    metrics::Authentication,
    password,
    problem::{AboutOne, Anywhere, BringsBody, Kind, MayConflict, MayHaveChanged, Problem},
    second_factor,
    shares::Scarce,
    visitor::Visitor,
};

/// Who logs in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    /// Whose people they are; `default` without.
    #[serde(default = "usual_tenant")]
    tenant: String,
    /// Their name.
    #[schema(value_type = String)]
    name: String,
    password: Password,
    /// Of those who have a second factor: the code of now, or one for recovery.
    #[serde(default)]
    code: Option<String>,
}

fn usual_tenant() -> String {
    "default".to_owned()
}

/// A session that goes on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Session {
    /// What goes into the `X-Forgery-Token` of every request with the cookie that changes something.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    forgery_token: String,
    #[serde(flatten)]
    session: SessionRecord,
}

/// Sessions of who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sessions {
    /// The latest first.
    sessions: Vec<SessionRecord>,
}

/// Another password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordChange {
    /// The one that is good so far.
    current: Password,
    /// The one that is to be good from now on: at least 15 characters.
    password: Password,
}

/// An invitation that somebody takes up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Acceptance {
    /// What they were given.
    invitation: String,
    /// The password that they choose: at least 15 characters.
    password: Password,
}

const WRONG: &str = "the name, the password or the code is wrong, or not known any more";

/// Logs in. The session is in a cookie that the browser sends by itself; whatever is changed with it also brings `X-Forgery-Token`.
#[utoipa::path(
    post,
    path = "/session",
    tag = "session",
    operation_id = "log_in",
    security(()),
    request_body = Login,
    responses((status = CREATED, body = Session, description = "logged in"), Anywhere, BringsBody),
)]
pub(super) async fn log_in(
    State(gateway): State<Gateway>,
    visitor: Visitor,
    Body(login): Body<Login>,
) -> Result<(StatusCode, HeaderMap, Json<Session>), Problem> {
    visitor.take(&gateway, Scarce::Login).await.map_err(Problem::of_a_stranger)?;
    let Login { tenant, name, password, code } = login;
    let account = match name.parse::<UserName>() {
        Ok(name) if tenant.len() <= LONGEST_TENANT => gateway.store.account(tenant.clone(), name).await?,
        _ => None,
    };
    let whose =
        Guessed::of(&tenant, &name, visitor.origin.and_then(|origin| known_at(account.as_ref(), origin)));
    let refused = || {
        account.as_ref().map(|account| {
            Box::new(Refusal { tenant: account.user.tenant, by: visitor.by(&account.user.name) })
        })
    };
    let counted = gateway.guesses.begin(whose, Instant::now()).map_err(|wait| {
        gateway.metrics.limited();
        Problem { refused: refused(), ..Problem::too_many("whoever tries this name", wait).of_a_stranger() }
    })?;
    let may = account.as_ref().filter(|account| account.user.disabled_at.is_none());
    let kept = may.and_then(|account| account.password.clone());
    let fits = password::fits(password.clone(), kept.clone()).await?;
    let wrong = || {
        gateway.metrics.authenticated(Authentication::Unknown);
        Problem { refused: refused(), ..Problem::new(Kind::Unauthenticated, WRONG) }
    };
    let (Some(account), Some(kept), true) = (&account, kept, fits) else { return Err(wrong()) };
    let shown = match (account.second_factor.clone(), code) {
        (None, _) => None,
        // It was counted as a guess: who has the password alone comes no further than who has none.
        (Some(_), None) => {
            gateway.metrics.authenticated(Authentication::Unknown);
            let problem = Problem::new(Kind::SecondFactor, "the code of the second factor is missing");
            return Err(Problem { refused: refused(), ..problem.hint("log in with it as `code`") });
        }
        (Some(factor), Some(code)) => {
            Some(second_factor::shown(factor, password, code).await?.ok_or_else(wrong)?)
        }
    };
    let token = Token::from_random(rand::random());
    let (origin, who) = (visitor.origin, visitor.by(&account.user.name));
    let begun = gateway.store.begin_session(&account.user, &kept, shown, &token, origin, who).await;
    let session = match begun {
        Err(StoreError::Changed { .. }) => return Err(wrong()),
        begun => begun?,
    };
    gateway.guesses.forget(counted);
    gateway.metrics.authenticated(Authentication::Known);
    let forgery_token = token.against_forgery().expose().to_owned();
    Ok((StatusCode::CREATED, Cookie::Session.given(&token)?, Json(Session { forgery_token, session })))
}

/// Where they are, if they have logged in from there.
fn known_at(account: Option<&Account>, address: IpAddr) -> Option<Machine> {
    let networks = &account?.networks;
    networks.iter().any(|network| network.contains(&address)).then(|| Machine::at(address))
}

/// The longest name of a tenant that is looked for.
const LONGEST_TENANT: usize = 256;

/// Who asks, when it is a person with a session.
pub(super) fn own(caller: &Caller) -> Result<(&SessionRecord, &Token), Problem> {
    match caller.who() {
        Who::Person { session, token } => Ok((&session.record, token)),
        Who::Key(key) => Err(Problem::new(
            Kind::Conflict,
            format!("the key {} is of a program: only people have sessions and passwords", key.record.prefix),
        )),
    }
}

/// Shows the session that somebody has, with what they need to change something.
#[utoipa::path(
    get,
    path = "/session",
    tag = "session",
    operation_id = "show_session",
    responses((status = OK, body = Session, description = "the session"), Anywhere, MayConflict),
)]
pub(super) async fn show(caller: Caller) -> Result<Json<Session>, Problem> {
    let (session, token) = own(&caller)?;
    let forgery_token = token.against_forgery().expose().to_owned();
    Ok(Json(Session { forgery_token, session: session.clone() }))
}

/// Logs out.
#[utoipa::path(
    delete,
    path = "/session",
    tag = "session",
    operation_id = "log_out",
    responses((status = NO_CONTENT, description = "logged out"), Anywhere, MayConflict),
)]
pub(super) async fn log_out(
    State(gateway): State<Gateway>,
    caller: Caller,
) -> Result<(StatusCode, HeaderMap), Problem> {
    let id = own(&caller)?.0.id;
    end(&gateway, &caller, id).await?;
    Ok((StatusCode::NO_CONTENT, Cookie::Session.taken()?))
}

async fn end(gateway: &Gateway, caller: &Caller, id: SessionId) -> Result<(), Problem> {
    let ended = gateway.store.end_session(caller.tenant_of_own(), id, caller.by()).await;
    gateway.sessions.forget(|_, known| known.is_none_or(|known| known.record.id == id));
    Ok(ended?)
}

/// Lists the sessions of who asks.
#[utoipa::path(
    get,
    path = "/sessions",
    tag = "session",
    operation_id = "list_sessions",
    responses((status = OK, body = Sessions, description = "the sessions that go on"), Anywhere, MayConflict),
)]
pub(super) async fn list(State(gateway): State<Gateway>, caller: Caller) -> Result<Json<Sessions>, Problem> {
    let user = &own(&caller)?.0.user;
    Ok(Json(Sessions { sessions: gateway.store.sessions(user.tenant, user.id).await? }))
}

/// Ends one of one's own sessions, such as that of a machine that was lost.
#[utoipa::path(
    delete,
    path = "/sessions/{session}",
    tag = "session",
    operation_id = "end_session",
    params(("session" = SessionId, Path, description = "its id")),
    responses((status = NO_CONTENT, description = "it has ended"), Anywhere, AboutOne, MayConflict),
)]
pub(super) async fn end_one(
    State(gateway): State<Gateway>,
    caller: Caller,
    InPath(id): InPath<SessionId>,
) -> Result<StatusCode, Problem> {
    let user = &own(&caller)?.0.user;
    let owned = gateway.store.sessions(user.tenant, user.id).await?;
    if !owned.iter().any(|session| session.id == id) {
        return Err(StoreError::Missing { kind: "session", name: id.to_string() }.into());
    }
    end(&gateway, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes one's own password. All sessions end, also this one: whoever knew the old one may have some.
#[utoipa::path(
    put,
    path = "/me/password",
    tag = "session",
    operation_id = "change_password",
    request_body = PasswordChange,
    responses(
        (status = NO_CONTENT, description = "changed; log in with it"),
        Anywhere,
        BringsBody,
        MayConflict,
        MayHaveChanged,
    ),
)]
pub(super) async fn change_password(
    State(gateway): State<Gateway>,
    caller: Caller,
    Body(change): Body<PasswordChange>,
) -> Result<(StatusCode, HeaderMap), Problem> {
    let user = own(&caller)?.0.user.clone();
    require_good(&change.password, &user.name)?;
    let Proven { account, kept, counted } = proven(&gateway, &caller, change.current.clone()).await?;
    gateway.guesses.forget(counted);
    let seen = account.second_factor;
    let sealed_anew = match seen.clone() {
        Some(factor) => {
            Some(second_factor::sealed_anew(factor, change.current, change.password.clone()).await?)
        }
        None => None,
    };
    let hash = password::hashed(change.password).await?;
    let seen = Credentials { password: kept, second_factor: seen };
    let expected = Expected::Password { seen, sealed_anew };
    gateway.store.set_password(user.tenant, user.id, expected, hash, caller.by()).await?;
    gateway.forget_sessions_of(user.id);
    Ok((StatusCode::NO_CONTENT, Cookie::Session.taken()?))
}

/// Somebody who has just said their password.
pub(super) struct Proven {
    pub(super) account: Account,
    /// What is kept of the password.
    pub(super) kept: String,
    /// Where the try was counted, until all that they say has turned out right.
    pub(super) counted: Guessed,
}

/// Who asks, when they have just said their password.
pub(super) async fn proven(
    gateway: &Gateway,
    caller: &Caller,
    password: Password,
) -> Result<Proven, Problem> {
    let user = &own(caller)?.0.user;
    if let Some(issuer) = &user.issuer {
        let detail = format!("they log in at {issuer}, and have no password here");
        return Err(Problem::new(Kind::Conflict, detail));
    }
    caller.visitor().take(gateway, Scarce::Login).await?;
    let account = gateway.store.account_of(user.tenant, user.id).await?;
    // Whoever has the session of somebody else must not find the password by it.
    let counted = gateway.guesses.begin(Guessed::again(user.id), Instant::now()).map_err(|wait| {
        gateway.metrics.limited();
        Problem::too_many("whoever tries this password", wait)
    })?;
    let kept = account.as_ref().and_then(|account| account.password.clone());
    match (account, kept.clone(), password::fits(password, kept).await?) {
        (Some(account), Some(kept), true) => Ok(Proven { account, kept, counted }),
        _ => Err(caller.refuse("the current password is another one".to_owned())),
    }
}

fn require_good(password: &Password, name: &UserName) -> Result<(), Problem> {
    password.require_good(name).map_err(|error| Problem::new(Kind::Invalid, error.to_string()))
}

/// Takes up an invitation: whoever has it chooses the password with which they log in from then on.
#[utoipa::path(
    post,
    path = "/invitations/accept",
    tag = "session",
    operation_id = "accept_invitation",
    security(()),
    request_body = Acceptance,
    responses((status = NO_CONTENT, description = "log in with the password"), Anywhere, BringsBody),
)]
pub(super) async fn accept(
    State(gateway): State<Gateway>,
    visitor: Visitor,
    Body(acceptance): Body<Acceptance>,
) -> Result<StatusCode, Problem> {
    visitor.take(&gateway, Scarce::SignUp).await.map_err(Problem::of_a_stranger)?;
    let unknown = || Problem::new(Kind::Unauthenticated, "the invitation is not known, or not any more");
    let token: Token = acceptance.invitation.parse().map_err(|_| unknown())?;
    let account = gateway.store.invited(&token).await?.ok_or_else(unknown)?;
    require_good(&acceptance.password, &account.user.name)?;
    let hash = password::hashed(acceptance.password).await?;
    let who = visitor.by(&account.user.name);
    let (user, expected) = (account.user, Expected::Invitation(token));
    match gateway.store.set_password(user.tenant, user.id, expected, hash, who).await {
        // Somebody else took it up meanwhile, or it is over.
        Err(StoreError::Changed { .. }) => Err(unknown()),
        set => Ok(set.map(|()| StatusCode::NO_CONTENT)?),
    }
}
