//! What whoever watches a process asks: does it live, can it work, and its numbers. Every role answers the same on an address of its
//! own, as nobody else is to read it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    middleware,
    routing::get,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};
use serde_json::{Value, json};
use store::{Connections, Store};
use tokio_util::sync::CancellationToken;

use crate::{
    health,
    problem::{Kind, Problem},
    request,
};

/// What a connection to the database is used for, and who has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Connection {
    Used,
    Idle,
    /// It is not there yet: somebody waits for it.
    Awaited,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectionsOf {
    state: Connection,
}

/// The numbers of one process, and what every process has.
#[derive(Debug)]
pub(crate) struct Numbers {
    /// One who looks after the other: what is shown was counted in one go.
    registry: Mutex<Registry>,
    connections: Family<ConnectionsOf, Gauge<u64, AtomicU64>>,
}

/// Where a process puts what it counts.
pub fn registry() -> Registry {
    Registry::with_prefix("rampart")
}

impl Numbers {
    pub(crate) fn new(mut registry: Registry) -> Numbers {
        let connections = Family::default();
        let database = "Connections of this process to PostgreSQL";
        registry.register("database_connections", database, connections.clone());
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What runs", version);
        Numbers { registry: Mutex::new(registry), connections }
    }

    /// Where more is shown.
    pub(crate) fn registry(&mut self) -> &mut Registry {
        self.registry.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// As they are once `look` has set what changes.
    pub(crate) fn told(
        &self,
        connections: Option<Connections>,
        look: impl FnOnce(),
    ) -> Result<String, fmt::Error> {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Connections { open, idle, waiting }) = connections {
            let used = open.saturating_sub(idle);
            for (state, count) in
                [(Connection::Used, used), (Connection::Idle, idle), (Connection::Awaited, waiting)]
            {
                self.connections.get_or_create(&ConnectionsOf { state }).set(count as u64);
            }
        }
        look();
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

/// Numbers as they are sent.
pub(crate) fn page(text: Result<String, fmt::Error>) -> Result<(HeaderMap, String), Problem> {
    let text = text.map_err(|error| {
        tracing::error!(%error, "the metrics cannot be written");
        Problem::new(Kind::Internal, "the metrics cannot be written")
    })?;
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok((HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]), text))
}

/// A process that answers nobody but those who watch it.
pub struct Watched {
    numbers: Numbers,
    store: Option<Store>,
    trouble: Box<dyn Fn() -> Option<&'static str> + Send + Sync>,
    ending: CancellationToken,
}

impl Watched {
    /// Counts in `registry`, works with `store` if it does with any, says by `trouble` why it cannot work, and takes nothing new from the end of `ending` on.
    pub fn new(
        registry: Registry,
        store: Option<Store>,
        trouble: impl Fn() -> Option<&'static str> + Send + Sync + 'static,
        ending: CancellationToken,
    ) -> Watched {
        Watched { numbers: Numbers::new(registry), store, trouble: Box::new(trouble), ending }
    }

    pub(crate) fn routes(self) -> Router {
        Router::new()
            .route("/metrics", get(show))
            .route("/health", get(health::alive))
            .route("/ready", get(ready))
            .layer(middleware::map_response(request::hardened))
            .with_state(Arc::new(self))
    }
}

async fn show(State(watched): State<Arc<Watched>>) -> Result<(HeaderMap, String), Problem> {
    page(watched.numbers.told(watched.store.as_ref().and_then(Store::connections), || {}))
}

async fn ready(State(watched): State<Arc<Watched>>) -> Result<Json<Value>, Problem> {
    if watched.ending.is_cancelled() {
        return Err(Problem::new(Kind::Unavailable, health::ENDING));
    }
    match (watched.trouble)() {
        Some(trouble) => Err(Problem::new(Kind::Unavailable, trouble)),
        None => Ok(Json(json!({ "status": "ready" }))),
    }
}
