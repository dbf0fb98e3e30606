//! Logging in by a provider of identities: a browser is sent there and comes back with what proves who it is.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Html,
};
use model::{By, Identity, TenantId, Token};
use serde::{Deserialize, Serialize};
use store::StoreError;
use utoipa::{IntoParams, ToSchema};

use super::body::{InPath, InQuery};
use crate::{
    Gateway, ProviderName, Rules,
    caller::Refusal,
    cookies::Cookie,
    identity::{Attempt, Provider, ProviderError},
    metrics::Authentication,
    problem::{AboutOne, Anywhere, HasQuery, Kind, MayConflict, Problem},
    shares::Scarce,
    visitor::Visitor,
};

/// By whom people may be let in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Providers {
    /// By name.
    providers: Vec<ProviderRecord>,
}

/// A provider of identities.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProviderRecord {
    name: ProviderName,
    /// Whose people it knows.
    tenant: String,
}

/// What a provider sends back by the browser.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Answered {
    /// For this the provider says who it was.
    #[serde(default)]
    code: Option<String>,
    /// What was sent to it.
    #[serde(default)]
    state: Option<String>,
    /// Who answers (RFC 9207), from those that say so.
    #[serde(default)]
    iss: Option<String>,
    /// Why there is no code.
    #[serde(default)]
    error: Option<String>,
}

/// A session belongs to this site alone: a browser that comes from another one sends it with the next page that this one names.
const LET_IN: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Rampart</title>\
    <meta http-equiv=\"refresh\" content=\"0; url=../../../session\"></head>\
    <body><p>You are logged in. <a href=\"../../../session\">Go on</a></p></body></html>";

/// Lists by whom people may be let in.
#[utoipa::path(
    get,
    path = "/session/providers",
    tag = "session",
    operation_id = "list_providers",
    security(()),
    responses((status = OK, body = Providers, description = "the providers of identities"), Anywhere),
)]
pub(super) async fn list(State(gateway): State<Gateway>) -> Json<Providers> {
    let of = |provider: &Provider| ProviderRecord {
        name: provider.settings().name.clone(),
        tenant: provider.settings().tenant.clone(),
    };
    Json(Providers { providers: gateway.rules.load().identity_providers.iter().map(of).collect() })
}

/// Sends a browser to a provider of identities to log in there.
#[utoipa::path(
    get,
    path = "/session/providers/{provider}",
    tag = "session",
    operation_id = "begin_provider_login",
    security(()),
    params(("provider" = ProviderName, Path, description = "its name")),
    responses((status = SEE_OTHER, description = "where they log in"), Anywhere, AboutOne),
)]
pub(super) async fn begin(
    State(gateway): State<Gateway>,
    InPath(name): InPath<ProviderName>,
) -> Result<(StatusCode, HeaderMap), Problem> {
    let rules = gateway.rules.load_full();
    let provider = provider(&rules, &name)?;
    let token = Token::from_random(rand::random());
    let attempt = Attempt { token: &token, provider: &name };
    let url = provider.begin(&attempt).await.map_err(away)?;
    let mut headers = Cookie::Attempt.given(&token)?;
    let place =
        HeaderValue::try_from(url.as_str()).map_err(|error| away(ProviderError::Away(error.to_string())))?;
    headers.insert(header::LOCATION, place);
    Ok((StatusCode::SEE_OTHER, headers))
}

/// Where a browser comes back to. Who is in a group that has a role is logged in.
#[utoipa::path(
    get,
    path = "/session/providers/{provider}/callback",
    tag = "session",
    operation_id = "complete_provider_login",
    security(()),
    params(("provider" = ProviderName, Path, description = "its name"), Answered),
    responses(
        (status = OK, content_type = "text/html; charset=utf-8", body = String, description = "logged in"),
        Anywhere,
        AboutOne,
        HasQuery,
        MayConflict,
    ),
)]
pub(super) async fn complete(
    State(gateway): State<Gateway>,
    visitor: Visitor,
    headers: HeaderMap,
    InPath(name): InPath<ProviderName>,
    InQuery(answered): InQuery<Answered>,
) -> Result<(HeaderMap, Html<&'static str>), Problem> {
    let rules = gateway.rules.load_full();
    let provider = provider(&rules, &name)?;
    let unknown = |detail: &str| {
        gateway.metrics.authenticated(Authentication::Unknown);
        Problem::new(Kind::Unauthenticated, detail)
            .hint("begin anew: GET /api/v1/session/providers/{provider}")
    };
    let token = Cookie::Attempt.brought(&headers);
    let token = token.ok_or_else(|| unknown("this browser did not begin to log in, or too long ago"))?;
    let attempt = Attempt { token: &token, provider: &name };
    let state = answered.state.and_then(|state| state.parse::<Token>().ok());
    // Digests: how long it takes to compare them tells nothing of it.
    if state.is_none_or(|state| state.digest() != attempt.state().digest()) {
        return Err(unknown("what came back is not the answer to what this browser asked"));
    }
    if answered.iss.is_some_and(|issuer| !provider.is(&issuer)) {
        return Err(unknown("what came back is the answer of another identity provider"));
    }
    if let Some(error) = answered.error {
        let error: String = error.chars().filter(|character| character.is_ascii_graphic()).take(64).collect();
        return Err(unknown(&format!("the identity provider let nobody in: {error}")));
    }
    let code = answered.code.ok_or_else(|| unknown("there is no code in what came back"))?;
    // Not before: any page can make a browser come here, and it costs nothing so far.
    visitor.take(&gateway, Scarce::Return).await?;
    let tenant =
        gateway.store.tenant_named(&provider.settings().tenant).await.map_err(|error| match error {
            StoreError::Missing { .. } => {
                Problem::new(Kind::Conflict, "the tenant of this identity provider is not there")
            }
            error => error.into(),
        })?;
    let vouched = match provider.complete(&attempt, code).await {
        Ok(vouched) => vouched,
        Err(error @ ProviderError::Away(_)) => return Err(away(error)),
        Err(error @ ProviderError::Unproven(_)) => {
            tracing::warn!(provider = %name, %error, "somebody was not let in");
            return Err(unknown("the identity provider did not confirm who logs in"));
        }
        Err(ProviderError::NoRole { identity, name, groups }) => {
            let by = visitor.by(&name);
            turn_away(&gateway, tenant.id, identity.clone(), by.clone()).await?;
            let error = ProviderError::NoRole { identity, name, groups };
            return Err(refused(tenant.id, by, error.to_string()));
        }
    };
    let (session, who) = (Token::from_random(rand::random()), visitor.by(&vouched.name));
    let identity = vouched.identity.clone();
    let begun =
        gateway.store.begin_vouched_session(tenant.id, vouched, &session, visitor.origin, who.clone()).await;
    let begun = match begun {
        Ok(begun) => begun,
        Err(error @ StoreError::Missing { kind: "role", .. }) => {
            turn_away(&gateway, tenant.id, identity, who.clone()).await?;
            return Err(refused(tenant.id, who, format!("{error}, which their groups give them")));
        }
        Err(StoreError::Changed { .. }) => {
            return Err(refused(tenant.id, who, "they may not log in here any more".to_owned()));
        }
        Err(error @ StoreError::Exists { .. }) => {
            return Err(Problem::new(Kind::Conflict, error.to_string()).hint(
                "somebody else has that name here: an administrator deletes them, or it is changed at the provider",
            ));
        }
        Err(error) => return Err(error.into()),
    };
    // What they were let in as until now they may not be any more.
    gateway.forget_sessions_of(begun.user.id);
    gateway.metrics.authenticated(Authentication::Known);
    let mut headers = Cookie::Session.given(&session)?;
    for cookie in Cookie::Attempt.taken()?.values() {
        headers.append(header::SET_COOKIE, cookie.clone());
    }
    Ok((headers, Html(LET_IN)))
}

/// As what they came before they may not come any more.
async fn turn_away(gateway: &Gateway, tenant: TenantId, identity: Identity, by: By) -> Result<(), Problem> {
    gateway.metrics.authenticated(Authentication::Unknown);
    if let Some(id) = gateway.store.end_vouched_sessions(tenant, identity, by).await? {
        gateway.forget_sessions_of(id);
    }
    Ok(())
}

fn refused(tenant: TenantId, by: By, detail: String) -> Problem {
    let refused = Some(Box::new(Refusal { tenant, by }));
    Problem { refused, ..Problem::new(Kind::Forbidden, detail) }
}

fn provider<'r>(rules: &'r Rules, name: &ProviderName) -> Result<&'r Provider, Problem> {
    let missing = || Problem::new(Kind::Missing, format!("there is no identity provider `{name}`"));
    rules.identity_providers.get(name).ok_or_else(missing)
}

/// What a provider says of itself is for whoever runs the platform.
fn away(error: ProviderError) -> Problem {
    tracing::error!(%error, "nobody can log in by it");
    Problem::new(Kind::Unavailable, "the identity provider does not answer as it should")
}
