//! What whoever watches the gateway sees of it: numbers, in the OpenMetrics format.
//!
//! Labels are of closed sets: routes as templates, roles, words. No tenant, no path, no address.

use std::{
    sync::{Mutex, PoisonError, atomic::AtomicU64},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware,
    routing::get,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};
use store::{Connections, TaskCounts, Workload};

use crate::{AT_ONCE, Gateway, health, problem::Problem, request};

/// What stands in the place of a status when whoever asked went away: no answer has it, and proxies write the same.
const GONE: u16 = 499;
/// Whoever watches waits so long for the database, and sees without it what there is to see.
const WITHIN: Duration = Duration::from_secs(3);
/// There is much that has ended: it is not counted each time.
const ENDED_EVERY: Duration = Duration::from_secs(60);
/// In seconds: a read from memory takes less than the first, what is slow more than the last.
const LATENCIES: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// A method of HTTP that some route has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
    /// Whoever asks may write anything there.
    Other,
}

impl EncodeLabelValue for Verb {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let word = match self {
            Verb::Get => "GET",
            Verb::Post => "POST",
            Verb::Put => "PUT",
            Verb::Patch => "PATCH",
            Verb::Delete => "DELETE",
            Verb::Other => "other",
        };
        word.encode(encoder)
    }
}

impl From<&Method> for Verb {
    fn from(method: &Method) -> Verb {
        match *method {
            Method::GET => Verb::Get,
            Method::POST => Verb::Post,
            Method::PUT => Verb::Put,
            Method::PATCH => Verb::Patch,
            Method::DELETE => Verb::Delete,
            _ => Verb::Other,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    method: Verb,
    /// As it is written in the document; nothing for what is no route.
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: Verb,
    route: String,
    status: u16,
}

/// Whom a request said to be from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Authentication {
    /// Somebody who is known.
    Known,
    /// A key that is not known, not any more, or not from there; or nothing that could be one.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Authenticated {
    result: Authentication,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TasksOf {
    stage: &'static str,
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WaitingOf {
    stage: &'static str,
}

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

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// One who looks after the other: what is shown was counted in one go.
    registry: Mutex<Registry>,
    database: Gauge<u64, AtomicU64>,
    answering: Gauge<u64, AtomicU64>,
    requests: Family<Answered, Counter>,
    latencies: Family<Asked, Histogram>,
    authentications: Family<Authenticated, Counter>,
    limited: Counter,
    /// When it was counted how many tasks have ended, and how many had.
    ended: tokio::sync::Mutex<(Option<Instant>, TaskCounts)>,
    tasks: Family<TasksOf, Gauge<u64, AtomicU64>>,
    waiting: Family<WaitingOf, Gauge<f64, AtomicU64>>,
    connections: Family<ConnectionsOf, Gauge<u64, AtomicU64>>,
    sessions: Gauge<u64, AtomicU64>,
    stops: Gauge<u64, AtomicU64>,
    audited: Gauge<u64, AtomicU64>,
    unsigned: Gauge<u64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::with_prefix("rampart");
        let metrics = Metrics {
            registry: Mutex::default(),
            database: Gauge::default(),
            answering: Gauge::default(),
            requests: Family::default(),
            latencies: Family::new_with_constructor(|| Histogram::new(LATENCIES)),
            authentications: Family::default(),
            limited: Counter::default(),
            ended: tokio::sync::Mutex::default(),
            tasks: Family::default(),
            waiting: Family::default(),
            connections: Family::default(),
            sessions: Gauge::default(),
            stops: Gauge::default(),
            audited: Gauge::default(),
            unsigned: Gauge::default(),
        };
        registry.register("http_requests", "Requests that were answered", metrics.requests.clone());
        let answering = "Requests that are being answered now";
        registry.register("http_requests_at_once", answering, metrics.answering.clone());
        let took = "How long answers took, until their heads were sent";
        registry.register_with_unit("http_request_duration", took, Unit::Seconds, metrics.latencies.clone());
        let whose = "Requests by whether it is known who asks";
        registry.register("authentications", whose, metrics.authentications.clone());
        let limited = "Requests that came too fast for an address, a key or a tenant";
        registry.register("http_requests_limited", limited, metrics.limited.clone());
        registry.register("tasks", "Tasks of all tenants that are kept", metrics.tasks.clone());
        let longest = "For how long the task has waited that is due for longest";
        registry.register_with_unit("tasks_waiting", longest, Unit::Seconds, metrics.waiting.clone());
        let answers = "Whether the database answers: 1, or 0, and then what it tells is as it was before";
        registry.register("database_answers", answers, metrics.database.clone());
        let database = "Connections of this process to PostgreSQL";
        registry.register("database_connections", database, metrics.connections.clone());
        registry.register("sessions", "Sessions of people that go on", metrics.sessions.clone());
        registry.register("emergency_stops", "Emergency stops that hold", metrics.stops.clone());
        registry.register("audit_entries", "Entries of the audit", metrics.audited.clone());
        let unsigned = "Entries of the audit after the last checkpoints";
        registry.register("audit_unsigned_entries", unsigned, metrics.unsigned.clone());
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What runs", version);
        Metrics { registry: Mutex::new(registry), ..metrics }
    }
}

impl Metrics {
    /// A request was answered; without a status nobody waited for the answer.
    pub(crate) fn answered(&self, method: &Method, route: &str, status: Option<StatusCode>, took: Duration) {
        let (method, route) = (Verb::from(method), route.to_owned());
        let status = status.map_or(GONE, |status| status.as_u16());
        let answered = Answered { method, route: route.clone(), status };
        self.requests.get_or_create(&answered).inc();
        self.latencies.get_or_create(&Asked { method, route }).observe(took.as_secs_f64());
    }

    /// Somebody said who they are.
    pub(crate) fn authenticated(&self, result: Authentication) {
        self.authentications.get_or_create(&Authenticated { result }).inc();
    }

    /// Somebody came too fast.
    pub(crate) fn limited(&self) {
        self.limited.inc();
    }

    /// Without a workload the database does not answer: what is known without it is told all the same.
    fn told(
        &self,
        workload: Option<Workload>,
        connections: Option<Connections>,
        answering: usize,
    ) -> Result<String, std::fmt::Error> {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        self.answering.set(answering as u64);
        self.database.set(u64::from(workload.is_some()));
        if let Some(workload) = workload {
            self.working(workload);
        }
        if let Some(Connections { open, idle, waiting }) = connections {
            let used = open.saturating_sub(idle);
            for (state, count) in
                [(Connection::Used, used), (Connection::Idle, idle), (Connection::Awaited, waiting)]
            {
                self.connections.get_or_create(&ConnectionsOf { state }).set(count as u64);
            }
        }
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }

    fn working(&self, workload: Workload) {
        // What is not there any more is nothing, and not what it was.
        self.tasks.clear();
        for ((stage, state), count) in workload.tasks {
            self.tasks.get_or_create(&TasksOf { stage: stage.as_str(), state }).set(count);
        }
        self.waiting.clear();
        for (stage, waits) in workload.waiting {
            self.waiting.get_or_create(&WaitingOf { stage: stage.as_str() }).set(waits.as_secs_f64());
        }
        self.sessions.set(workload.sessions);
        self.stops.set(workload.stops as u64);
        self.audited.set(workload.audited);
        self.unsigned.set(workload.unsigned);
    }
}

/// What is asked for by those who watch, not by those who work with it: on an address of its own.
pub(crate) fn routes(gateway: Gateway) -> Router {
    Router::new()
        .route("/metrics", get(show))
        .route("/health", get(health::alive))
        .layer(middleware::map_response(request::hardened))
        .with_state(gateway)
}

/// Tasks that have ended well, or were cancelled, as they were within the last minute.
async fn ended(gateway: &Gateway) -> TaskCounts {
    let mut known = gateway.metrics.ended.lock().await;
    if known.0.is_none_or(|at| at.elapsed() >= ENDED_EVERY) {
        match tokio::time::timeout(WITHIN, gateway.store.ended_tasks()).await {
            Ok(Ok(counts)) => *known = (Some(Instant::now()), counts),
            Ok(Err(error)) => tracing::warn!(%error, "the database does not tell how many tasks have ended"),
            Err(_) => {
                tracing::warn!(within = ?WITHIN, "the database does not tell in time how many tasks have ended");
            }
        }
    }
    known.1.clone()
}

async fn show(State(gateway): State<Gateway>) -> Result<(HeaderMap, String), Problem> {
    let mut workload = match tokio::time::timeout(WITHIN, gateway.store.workload()).await {
        Ok(Ok(workload)) => Some(workload),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the database does not tell what there is to do");
            None
        }
        Err(_) => {
            tracing::warn!(within = ?WITHIN, "the database does not tell in time what there is to do");
            None
        }
    };
    if let Some(workload) = &mut workload {
        workload.tasks.extend(ended(&gateway).await);
    }
    let answering = AT_ONCE - gateway.room.available_permits();
    let text = gateway.metrics.told(workload, gateway.store.connections(), answering).map_err(|error| {
        tracing::error!(%error, "the metrics cannot be written");
        Problem::new(crate::problem::Kind::Internal, "the metrics cannot be written")
    })?;
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok((HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]), text))
}
