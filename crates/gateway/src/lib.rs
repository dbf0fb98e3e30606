//! The one door for people and programs: who asks, what they may, what they get.
//!
//! A request is given an id, a place and a time within which it is answered; then it is said whose it is, what they may do, and only
//! then anything is read: a tenant's rows cannot be named before a permission was asked for ([`caller::Caller::may`]).

mod api;
mod caller;
mod conversation;
mod cookies;
mod guesses;
mod health;
mod identity;
mod limits;
mod live;
mod metrics;
mod origin;
mod password;
mod problem;
mod recent;
mod reference;
mod refusals;
mod request;
mod rules;
mod second_factor;
mod serve;
mod shared;
mod shares;
#[cfg(test)]
mod tests;
mod tls;
mod together;
mod visitor;
mod watch;

use std::{collections::BTreeMap, mem, net::SocketAddr, ops::Deref, sync::Arc};

use arc_swap::ArcSwap;
use axum::{Router, body::Bytes, middleware, routing::get};
use model::{
    CheckId, Role, Stage, UserId,
    record::CheckRecord,
    webhook::{Receivers, WebhookKeys},
};
use prometheus_client::registry::Registry;
use store::{Objects, Store, Terms};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use utoipa::openapi::OpenApi;

use self::{
    guesses::Guesses,
    limits::{Limits, Parts},
    metrics::Metrics,
    recent::Recent,
    refusals::Refusals,
    shared::Shared,
    shares::Shares,
    together::Together,
};
pub use self::{
    identity::{IdentityProvider, IdentityProviderError, IdentityProviders, ProviderName, ProviderNameError},
    limits::Rates,
    password::hash as hash_password,
    rules::Rules,
    serve::{serve, serve_metrics, serve_watched},
    shares::Counting,
    tls::{Tls, TlsError},
    watch::{Watched, registry},
};

/// Requests that are worked on at once; what comes beside them is told to come again. More would only wait for the database.
const AT_ONCE: usize = 1_024;

/// Who count at once what was used.
const COUNTING: usize = 2;

/// Of one tenant, how many follow at once what happens.
const FOLLOWERS: usize = 256;

/// What others should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// So many tasks wait, by stage.
    Planned(BTreeMap<Stage, usize>),
    /// Something is stopped, or nobody wants it any more: who works looks at once.
    Ended,
}

/// What a gateway needs to know of the rest.
pub struct Surroundings {
    /// On what terms scans are begun.
    pub terms: Terms,
    /// The checks that there are.
    pub checks: BTreeMap<CheckId, CheckRecord>,
    /// The name servers of scopes that are written by the API.
    pub resolvers: Vec<SocketAddr>,
    /// Where reports are kept.
    pub reports: Objects,
    /// Tells the workers; it does not wait, and who was not told looks a little later.
    pub tell: Box<dyn Fn(News) + Send + Sync>,
    /// Where all gateways of the platform count together what they give, if there is such a place.
    pub counting: Option<Counting>,
    /// What else the process counts: [`registry`].
    pub registry: Registry,
    /// Nothing new is taken from its end on: it says that it is not ready.
    pub ending: CancellationToken,
}

/// To whom messages go, and with what they are signed.
#[derive(Clone)]
pub struct Webhooks {
    /// Who may be told.
    pub receivers: Receivers,
    /// Of which the secrets of webhooks are made.
    pub keys: WebhookKeys,
}

/// What answers. Each request has it several times over, so that a copy costs one count.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

impl Deref for Gateway {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Gateway {
    /// Answers from this store.
    pub fn new(store: Store, mut around: Surroundings, rules: Rules) -> Gateway {
        let metrics = Metrics::new(mem::take(&mut around.registry));
        let shares = Arc::new(Shares::new(around.counting.take()));
        Gateway(Arc::new(Shared {
            store,
            limits: ArcSwap::from_pointee(Limits::new(rules.rates, shares)),
            rules: Arc::new(ArcSwap::from_pointee(rules)),
            around,
            room: Semaphore::new(AT_ONCE),
            counting: Semaphore::new(COUNTING),
            refusals: Refusals::default(),
            metrics,
            backlog: Recent::default(),
            keys: Recent::default(),
            tasks: Recent::default(),
            together: Together::default(),
            readiness: Recent::default(),
            sessions: Recent::default(),
            guesses: Guesses::default(),
            telling: TaskTracker::new(),
            closing: CancellationToken::new(),
            feeds: Arc::default(),
            followers: Parts::new(FOLLOWERS),
        }))
    }

    /// What was known of somebody here is not so any more: they are asked for anew, also those of whom nobody knows yet who they are.
    fn forget_sessions_of(&self, user: UserId) {
        self.sessions.forget(|_, known| known.is_none_or(|known| known.record.user.id == user));
    }

    /// Whoever has that role may do something else now.
    fn forget_role(&self, role: &Role) {
        self.keys.forget(|_, known| known.is_none_or(|known| known.access.role == *role));
        self.sessions.forget(|_, known| known.is_none_or(|known| known.access.role == *role));
    }

    /// Every route.
    fn router(self) -> Router {
        let (api, document) = api::routes();
        // It never changes while this program runs: written once, those who read it slowly share it.
        const WRITTEN: &str = "a document has text keys and finite numbers";
        let page = Bytes::from(reference::page(&serde_json::to_value(&document).expect(WRITTEN)));
        let document = Bytes::from(serde_json::to_vec(&document).expect(WRITTEN));
        api.route("/api/v1", get(reference::to_page))
            .route("/api/v1/", get(move || async move { reference::show(page) }))
            .route("/api/v1/reference.css", get(reference::style))
            .route("/api/v1/openapi.json", get(move || async move { reference::document(document) }))
            .route("/health", get(health::alive))
            .route("/ready", get(health::ready))
            .route("/startup", get(health::started))
            .fallback(problem::no_such_route)
            .method_not_allowed_fallback(problem::no_such_method)
            .layer(axum::extract::DefaultBodyLimit::max(request::MOST_BODY))
            .layer(middleware::from_fn_with_state(self.clone(), request::attend))
            .with_state(self)
    }
}

/// What the API promises, as OpenAPI 3.1.
pub fn document() -> OpenApi {
    api::routes().1
}
