//! Who asks, and what they may.

use std::{net::IpAddr, sync::Arc, time::Instant};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use model::{Access, ApiKey, Author, By, KeyPrefix, Permission, Role, TenantId, Token, UserId};
use store::{KeyRecord, Known, SessionRecord, StoreError};

use crate::{
    Gateway,
    cookies::Cookie,
    metrics::Authentication,
    problem::{Kind, Problem},
    visitor::Visitor,
};

/// How often it is written down that a key was used: a request that changes nothing should write nothing.
const USED_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// What goes beside the cookie of a session when something is to be changed: no page of another origin can know it.
const FORGERY_TOKEN: &str = "x-forgery-token";

/// Where whoever asks is in a trace of their own: <https://www.w3.org/TR/trace-context/>.
const TRACEPARENT: &str = "traceparent";

/// Without it nobody follows what happens.
pub(crate) const FOLLOWS: Permission = Permission::ScansRead;

/// Somebody who is known. Whose tenant that is nobody learns without asking for a permission.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    who: Who,
    visitor: Visitor,
}

/// By what somebody is known.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    /// A program, or a person without a browser, with a key.
    Key(Arc<Known<KeyRecord>>),
    /// A person who has logged in.
    Person {
        /// Their session.
        session: Arc<Known<SessionRecord>>,
        /// What their browser holds.
        token: Token,
    },
}

/// Of whom requests are counted: of a person all their sessions together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Counted {
    Key(KeyPrefix),
    Person(UserId),
}

impl Who {
    fn tenant(&self) -> TenantId {
        match self {
            Who::Key(key) => key.record.tenant,
            Who::Person { session, .. } => session.record.user.tenant,
        }
    }

    fn access(&self) -> &Access {
        match self {
            Who::Key(key) => &key.access,
            Who::Person { session, .. } => &session.access,
        }
    }

    fn counted(&self) -> Counted {
        match self {
            Who::Key(key) => Counted::Key(key.record.prefix.clone()),
            Who::Person { session, .. } => Counted::Person(session.record.user.id),
        }
    }
}

/// Somebody who is known may not do something. It is told in the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) tenant: TenantId,
    pub(crate) by: By,
}

/// Somebody who looks after all tenants.
pub(crate) struct Caretaker {
    /// To which they belong.
    pub(crate) tenant: TenantId,
    /// As they stand in the audit of others, who may have people of the same name.
    pub(crate) by: By,
}

impl Caller {
    /// The tenant, for who may do that.
    pub(crate) fn may(&self, permission: Permission) -> Result<TenantId, Problem> {
        if self.access().may(permission) {
            return Ok(self.who.tenant());
        }
        Err(self.refuse(format!("the role {} has no permission {permission}", self.access().role)))
    }

    /// For who may do that to all tenants: they belong to the one that runs the platform.
    pub(crate) async fn may_to_all(
        &self,
        gateway: &Gateway,
        permission: Permission,
    ) -> Result<Caretaker, Problem> {
        let own = self.may(permission)?;
        let runs_platform = gateway.rules.load().platform_tenant.clone();
        match runs_platform {
            Some(name) if gateway.store.tenant(own).await?.name == name => {
                let by = self.by();
                // No name of a person has a space in it.
                let by = By { name: format!("{} of tenant {name}", by.name), ..by };
                Ok(Caretaker { tenant: own, by })
            }
            _ => {
                let detail = "the tenant does not run the platform, and sees none but itself".to_owned();
                Err(self.refuse(detail).hint("the gateway's --platform-tenant says which tenant does"))
            }
        }
    }

    /// Nobody makes, changes or takes back who may do more than they may themselves.
    pub(crate) fn may_give(&self, access: &Access) -> Result<(), Problem> {
        if self.access().may_give(access) {
            return Ok(());
        }
        let detail = format!("the role {} may not give the role {}", self.access().role, access.role);
        Err(self.refuse(detail).hint("nobody gives more than they have"))
    }

    /// The same, for a role of which only its name is known.
    pub(crate) async fn may_give_role(&self, gateway: &Gateway, role: &Role) -> Result<Access, Problem> {
        let found = gateway.store.role(self.who.tenant(), role.clone()).await;
        let access: Access = found
            .map_err(|error| match error {
                // What is asked about is there: it is what is said of it that names something that is not.
                StoreError::Missing { .. } => {
                    let problem = Problem::new(Kind::Invalid, error.to_string());
                    problem.hint("GET /api/v1/roles says which there are")
                }
                error => error.into(),
            })?
            .into();
        self.may_give(&access).map(|()| access)
    }

    /// A key that is for some networks, or ends, lets nobody in: they would come from anywhere, and stay.
    pub(crate) fn may_let_in(&self) -> Result<(), Problem> {
        match &self.who {
            Who::Key(key) if !key.record.networks.is_empty() || key.record.expires_at.is_some() => {
                let prefix = &key.record.prefix;
                let detail =
                    format!("the key {prefix} has networks or an end, and lets nobody in who has none");
                Err(self.refuse(detail).hint("log in, or use a key without limits"))
            }
            Who::Key(_) | Who::Person { .. } => Ok(()),
        }
    }

    /// Why they may not do something.
    pub(crate) fn refuse(&self, detail: String) -> Problem {
        let refused = Refusal { tenant: self.who.tenant(), by: self.by() };
        Problem { refused: Some(Box::new(refused)), ..Problem::new(Kind::Forbidden, detail) }
    }

    /// The tenant, for who wants to follow what happens: they are told what they may read.
    pub(crate) fn follows(&self) -> Result<TenantId, Problem> {
        self.may(FOLLOWS)
    }

    /// The tenant, for what is about themselves.
    pub(crate) fn tenant_of_own(&self) -> TenantId {
        self.who.tenant()
    }

    /// What they are by now, if they may still come.
    pub(crate) async fn still_is(&self, gateway: &Gateway) -> Result<Option<Access>, StoreError> {
        match &self.who {
            Who::Key(key) => {
                let tenant = key.record.tenant;
                let found = async {
                    let key = gateway.store.key(tenant, key.record.prefix.clone()).await?;
                    let role = gateway.store.role(tenant, key.role.clone()).await?;
                    Ok((key.expires_at, Access::from(role)))
                };
                match found.await {
                    Ok((Some(end), _)) if end <= Timestamp::now() => Ok(None),
                    Ok((_, access)) => Ok(Some(access)),
                    Err(StoreError::Missing { .. }) => Ok(None),
                    Err(error) => Err(error),
                }
            }
            // Whoever follows uses the session.
            Who::Person { token, session: _ } => match gateway.store.known_session(token).await? {
                Some(Known { record, access }) => {
                    if Timestamp::now().duration_since(record.last_used) > USED_EVERY {
                        gateway.store.used_session(record.user.tenant, record.id).await?;
                    }
                    Ok(Some(access))
                }
                None => Ok(None),
            },
        }
    }

    /// As they are now, and not as they were when the request began, which may have taken a while: for whatever lets somebody in, or do
    /// something, for longer than that.
    pub(crate) async fn anew(self, gateway: &Gateway) -> Result<Caller, Problem> {
        let Some(access) = self.still_is(gateway).await? else {
            return Err(Problem::new(Kind::Unauthenticated, "the key or the session is not known any more"));
        };
        let Caller { who, visitor } = self;
        let who = match who {
            Who::Key(key) => Who::Key(Arc::new(Known { record: key.record.clone(), access })),
            Who::Person { session, token } => {
                let session = Arc::new(Known { record: session.record.clone(), access });
                Who::Person { session, token }
            }
        };
        Ok(Caller { who, visitor })
    }

    /// What they are, and what they may do.
    pub(crate) fn access(&self) -> &Access {
        self.who.access()
    }

    /// By what they are known.
    pub(crate) fn who(&self) -> &Who {
        &self.who
    }

    /// From where they ask, and in which request.
    pub(crate) fn visitor(&self) -> &Visitor {
        &self.visitor
    }

    /// As they stand beside what they say.
    pub(crate) fn author(&self) -> Author {
        match &self.who {
            Who::Key(key) => author(&key.record),
            Who::Person { session, .. } => {
                let user = &session.record.user;
                Author::Person { id: user.id, name: user.name.clone() }
            }
        }
    }

    /// Which person asks, if it is one: a key has read nothing, and nobody mentions it.
    pub(crate) fn person(&self) -> Option<UserId> {
        match &self.who {
            Who::Key(_) => None,
            Who::Person { session, .. } => Some(session.record.user.id),
        }
    }

    /// The same, for what only people have.
    pub(crate) fn require_person(&self) -> Result<UserId, Problem> {
        let program = || {
            let detail =
                format!("{} is a program: only people are mentioned, and only people read", self.by().name);
            Problem::new(Kind::Conflict, detail).hint("log in: POST /api/v1/session")
        };
        self.person().ok_or_else(program)
    }

    /// As they stand in the audit.
    pub(crate) fn by(&self) -> By {
        self.visitor.by(self.author())
    }
}

impl FromRequestParts<Gateway> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Caller, Problem> {
        let known = known(parts, gateway).await;
        let result = match &known {
            Ok(_) => Authentication::Known,
            Err(problem) if problem.kind == Kind::Unauthenticated => Authentication::Unknown,
            Err(_) => return known,
        };
        gateway.metrics.authenticated(result);
        let caller = known?;
        if let Err(wait) = gateway.limits.load().take_of(caller.who.counted(), caller.who.tenant()) {
            gateway.metrics.limited();
            return Err(Problem::too_many("this key, person, or their tenant,", wait));
        }
        // Only now: strangers are believed nothing. And only as a link: whether it is recorded is not for who asks to say.
        let theirs = parts.headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
        if let Some(theirs) = theirs.and_then(|text| text.parse().ok()) {
            traces::link(theirs);
        }
        Ok(caller)
    }
}

/// A key, beside what is said with it.
fn author(key: &KeyRecord) -> Author {
    Author::Key { prefix: key.prefix.clone(), name: key.name.clone() }
}

async fn known(parts: &Parts, gateway: &Gateway) -> Result<Caller, Problem> {
    let visitor = Visitor::of(&parts.extensions);
    let token = match parts.headers.contains_key(header::AUTHORIZATION) {
        true => None,
        false => Cookie::Session.brought(&parts.headers),
    };
    let Some(token) = token else {
        let who = Who::Key(known_key(parts, gateway, &visitor).await?);
        return Ok(Caller { who, visitor });
    };
    let session = known_session(gateway, &token).await?;
    let caller = Caller { who: Who::Person { session, token }, visitor };
    require_same_origin(parts, &caller)?;
    Ok(caller)
}

async fn known_session(gateway: &Gateway, token: &Token) -> Result<Arc<Known<SessionRecord>>, Problem> {
    let (digest, begun) = (token.digest(), Instant::now());
    let unknown = || {
        let problem = Problem::new(Kind::Unauthenticated, "the session is over, or never was");
        problem.hint("log in: POST /api/v1/session")
    };
    let read = async || gateway.store.known_session(token).await?.ok_or_else(unknown);
    let session = gateway.sessions.get(&digest, begun, read).await?;
    let now = Timestamp::now();
    if now.duration_since(session.record.last_used) <= USED_EVERY {
        return Ok(session);
    }
    let Known { record, access } = (*session).clone();
    let used = Known { record: SessionRecord { last_used: now, ..record }, access };
    let session = gateway.sessions.replace(digest, &session, used);
    written_down(gateway.store.used_session(session.record.user.tenant, session.record.id).await)?;
    Ok(session)
}

/// A browser sends its cookie along with whatever any page asks for. What changes something must bring what only a page of this origin
/// knows; and what a browser says is asked by another site is refused in any case.
fn require_same_origin(parts: &Parts, caller: &Caller) -> Result<(), Problem> {
    let text = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let foreign = text("sec-fetch-site").is_some_and(|site| !["same-origin", "none"].contains(&site));
    let host = parts.uri.authority().map(|authority| authority.as_str()).or_else(|| text("host"));
    // Behind a proxy the host may be another one than the browser knows; what the browser says of the site no page can make it say.
    let known_same = text("sec-fetch-site") == Some("same-origin");
    let elsewhere = text("origin").is_some_and(|origin| {
        !known_same && (origin.split_once("://").map(|(_, authority)| authority) != host || host.is_none())
    });
    if foreign || elsewhere {
        return Err(caller.refuse("a page of another origin asks with this session".to_owned()));
    }
    let Who::Person { token, .. } = &caller.who else { return Ok(()) };
    let wanted = token.against_forgery();
    let brought = text(FORGERY_TOKEN).and_then(|text| text.parse::<Token>().ok());
    // Digests: how long it takes to compare them tells nothing of the token.
    if parts.method.is_safe() || brought.is_some_and(|brought| brought.digest() == wanted.digest()) {
        return Ok(());
    }
    let problem = caller.refuse(
        "something is to be changed with a session, and X-Forgery-Token is missing or wrong".to_owned(),
    );
    Err(problem.hint("it is in the answer of GET /api/v1/session"))
}

async fn known_key(
    parts: &Parts,
    gateway: &Gateway,
    visitor: &Visitor,
) -> Result<Arc<Known<KeyRecord>>, Problem> {
    let key = bearer(&parts.headers)?;
    let (digest, begun) = (key.digest(), Instant::now());
    // Whether it is unknown, expired or revoked is told to nobody: they have no key.
    let unknown =
        || Problem::new(Kind::Unauthenticated, "the key is not known, not any more, or not from here");
    let read = async || gateway.store.known_key(&key).await?.ok_or_else(unknown);
    let known = gateway.keys.get(&digest, begun, read).await?;
    let record = &known.record;
    let now = Timestamp::now();
    let expired = record.expires_at.is_some_and(|at| at <= now);
    if expired || !permits(&record.networks, visitor.origin) {
        // Its tenant should know that somebody has it who should not.
        let refused = Some(Box::new(Refusal { tenant: record.tenant, by: visitor.by(author(record)) }));
        return Err(Problem { refused, ..unknown() });
    }
    match record.last_used {
        Some(at) if now.duration_since(at) <= USED_EVERY => Ok(known),
        _ => {
            // First it is known here: of many who ask at once, one writes it down.
            let Known { record, access } = (*known).clone();
            let used = Known { record: KeyRecord { last_used: Some(now), ..record }, access };
            let known = gateway.keys.replace(digest, &known, used);
            written_down(gateway.store.used_key(known.record.tenant, known.record.prefix.clone()).await)?;
            Ok(known)
        }
    }
}

/// That somebody was there is not worth so much that nobody reads anything where nothing can be written any more.
fn written_down(written: Result<(), StoreError>) -> Result<(), StoreError> {
    match written {
        Err(error @ StoreError::Full(_)) => {
            tracing::error!(%error, "it is not written down when a key or a session was used last");
            Ok(())
        }
        written => written,
    }
}

/// From one of the networks, when there are any. Somebody of whom nobody knows where they are is in none.
fn permits(networks: &[IpNet], from: Option<IpAddr>) -> bool {
    let from = from.map(|from| from.to_canonical());
    networks.is_empty() || from.is_some_and(|from| networks.iter().any(|network| network.contains(&from)))
}

/// The key of `Authorization: Bearer …` (RFC 6750).
fn bearer(headers: &HeaderMap) -> Result<ApiKey, Problem> {
    const HINT: &str = "send `Authorization: Bearer rampart_…` (`rampart key create` makes a key), or log in: POST /api/v1/session";
    let refused = |detail: &str| Problem::new(Kind::Unauthenticated, detail).hint(HINT);
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return Err(refused("the request has no Authorization, or two"));
    };
    let (scheme, key) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(|| refused("the Authorization is not understood"))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused("the Authorization is of a kind that is not known here"));
    }
    key.trim().parse().map_err(|error: model::key::ApiKeyError| refused(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_somebody_is_counts_when_it_was_said_where_from() {
        let networks: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (from, permitted) in [
            (Some("10.1.2.3"), true),
            (Some("::ffff:10.1.2.3"), true),
            (Some("fd00::1"), true),
            (Some("11.1.2.3"), false),
            (Some("::1"), false),
            (None, false),
        ] {
            let from = from.map(|from| from.parse().unwrap());
            assert_eq!(permits(&networks, from), permitted, "{from:?}");
            assert!(permits(&[], from));
        }
    }
}
