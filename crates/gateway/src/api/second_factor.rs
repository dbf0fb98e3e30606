//! One's own second factor: codes of an application, which are asked for beside the password.

use axum::{Json, extract::State, http::StatusCode};
use model::Password;
use serde::{Deserialize, Serialize};
use store::{Credentials, SecondFactor};
use utoipa::ToSchema;

use super::{
    body::Body,
    session::{Proven, own, proven},
};
use crate::{
    Gateway,
    caller::Caller,
    problem::{Anywhere, BringsBody, Kind, MayConflict, MayHaveChanged, Problem},
    second_factor::{self, Secret, kept, now},
};

/// What an application makes codes of.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewSecret {
    /// To be typed into an application.
    #[schema(pattern = "^[A-Z2-7]{32}$")]
    secret: String,
    /// The same with all that belongs to it, as the picture has it that an application reads.
    #[schema(example = "otpauth://totp/Rampart:j.doe%40acme.test?secret=…&issuer=Rampart")]
    address: String,
}

/// That an application makes the right codes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Setup {
    /// One's password.
    password: Password,
    /// What the application makes codes of.
    secret: String,
    /// The code that it shows.
    code: String,
    /// Of who has a second factor already: a code of that, or one for recovery.
    #[serde(default)]
    current_code: Option<String>,
}

/// For whoever loses what shows the codes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecoveryCodes {
    /// Each lets in once, in the place of a code. They are shown this once.
    #[schema(min_items = 10, max_items = 10)]
    recovery_codes: Vec<String>,
}

/// Who wants to do without.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ending {
    /// One's password.
    password: Password,
    /// A code of now, or one for recovery.
    code: String,
}

/// Makes something that an application can make codes of. Nothing is kept of it: it becomes one's second factor by `PUT`.
#[utoipa::path(
    post,
    path = "/me/second-factor",
    tag = "session",
    operation_id = "make_second_factor",
    responses((status = OK, body = NewSecret, description = "what codes are made of"), Anywhere, MayConflict),
)]
pub(super) async fn make(caller: Caller) -> Result<Json<NewSecret>, Problem> {
    let user = &own(&caller)?.0.user;
    let secret = Secret::from_random(rand::random());
    Ok(Json(NewSecret { secret: secret.written(), address: secret.address(&user.name)? }))
}

/// Asks for codes beside the password from now on, also at the next login. Who has a second factor already shows a code of that, too. Other
/// sessions end.
#[utoipa::path(
    put,
    path = "/me/second-factor",
    tag = "session",
    operation_id = "set_second_factor",
    request_body = Setup,
    responses(
        (status = OK, body = RecoveryCodes, description = "codes are asked for from now on"),
        Anywhere,
        BringsBody,
        MayConflict,
        MayHaveChanged,
    ),
)]
pub(super) async fn set(
    State(gateway): State<Gateway>,
    caller: Caller,
    Body(setup): Body<Setup>,
) -> Result<Json<RecoveryCodes>, Problem> {
    let invalid = |detail: &str| Problem::new(Kind::Invalid, detail);
    let secret = Secret::read(&setup.secret);
    let secret =
        secret.ok_or_else(|| invalid("the secret is none: POST /api/v1/me/second-factor makes one"))?;
    let step = secret.step(&setup.code, now());
    let step =
        step.ok_or_else(|| invalid("that is not the code of now: is the clock of the application right?"))?;
    let session = own(&caller)?.0.id;
    let Proven { account, kept: hash, counted } = proven(&gateway, &caller, setup.password.clone()).await?;
    if let Some(factor) = &account.second_factor {
        require_code(&caller, factor, &setup.password, setup.current_code).await?;
    }
    gateway.guesses.forget(counted);
    let (factor, recovery_codes) = kept(secret, step, setup.password).await?;
    let (user, by) = (account.user, caller.by());
    let seen = Credentials { password: hash, second_factor: account.second_factor };
    gateway.store.set_second_factor(user.tenant, user.id, seen, Some(factor), session, by).await?;
    gateway.forget_sessions_of(user.id);
    Ok(Json(RecoveryCodes { recovery_codes }))
}

/// Asks for no codes any more.
#[utoipa::path(
    post,
    path = "/me/second-factor/end",
    tag = "session",
    operation_id = "end_second_factor",
    request_body = Ending,
    responses(
        (status = NO_CONTENT, description = "the password is enough"),
        Anywhere,
        BringsBody,
        MayConflict,
        MayHaveChanged,
    ),
)]
pub(super) async fn end(
    State(gateway): State<Gateway>,
    caller: Caller,
    Body(ending): Body<Ending>,
) -> Result<StatusCode, Problem> {
    let session = own(&caller)?.0.id;
    let Proven { account, kept: hash, counted } = proven(&gateway, &caller, ending.password.clone()).await?;
    let Some(factor) = account.second_factor else {
        return Err(Problem::new(Kind::Conflict, "there is no second factor to do without"));
    };
    require_code(&caller, &factor, &ending.password, Some(ending.code)).await?;
    gateway.guesses.forget(counted);
    let (user, by) = (account.user, caller.by());
    let seen = Credentials { password: hash, second_factor: Some(factor) };
    gateway.store.set_second_factor(user.tenant, user.id, seen, None, session, by).await?;
    gateway.forget_sessions_of(user.id);
    Ok(StatusCode::NO_CONTENT)
}

/// Whoever has the password and somebody's browser has not what shows the codes. A try that was wrong stays counted.
async fn require_code(
    caller: &Caller,
    factor: &SecondFactor,
    password: &Password,
    code: Option<String>,
) -> Result<(), Problem> {
    let shown = match code {
        Some(code) => second_factor::shown(factor.clone(), password.clone(), code).await?,
        None => None,
    };
    let refused = || {
        caller
            .refuse("the code of the second factor is missing, not one of now, or was used before".to_owned())
    };
    shown.map(drop).ok_or_else(refused)
}
