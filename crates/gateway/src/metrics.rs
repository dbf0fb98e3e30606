//! What whoever watches the gateway sees of it: numbers, in the OpenMetrics format.
//!
//! Labels are of closed sets: routes as templates, roles, words. No tenant, no path, no address.

use std::{
    convert::Infallible,
    fmt,
    sync::atomic::AtomicU64,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode},
    middleware,
    routing::get,
};
use model::{Stage, scaling::Backlog};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use serde_json::{Value, json};
use store::{Connections, StoreError, TaskCounts, Workload};

use crate::{
    AT_ONCE, Gateway, health,
    problem::{Kind, Problem},
    request,
    watch::{self, Numbers},
};

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
struct OfStage {
    stage: &'static str,
}

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    numbers: Numbers,
    database: Gauge<u64, AtomicU64>,
    answering: Gauge<u64, AtomicU64>,
    requests: Family<Answered, Counter>,
    latencies: Family<Asked, Histogram>,
    authentications: Family<Authenticated, Counter>,
    limited: Counter,
    /// When it was counted how many tasks have ended, and how many had.
    ended: tokio::sync::Mutex<(Option<Instant>, TaskCounts)>,
    tasks: Family<TasksOf, Gauge<u64, AtomicU64>>,
    waiting: Family<OfStage, Gauge<f64, AtomicU64>>,
    sessions: Gauge<u64, AtomicU64>,
    stops: Gauge<u64, AtomicU64>,
    audited: Gauge<u64, AtomicU64>,
    unsigned: Gauge<u64, AtomicU64>,
    desired: Family<OfStage, Gauge<u64, AtomicU64>>,
}

impl Metrics {
    /// Counts beside what else the process counts.
    pub(crate) fn new(registry: Registry) -> Metrics {
        let mut metrics = Metrics {
            numbers: Numbers::new(registry),
            database: Gauge::default(),
            answering: Gauge::default(),
            requests: Family::default(),
            latencies: Family::new_with_constructor(|| Histogram::new(LATENCIES)),
            authentications: Family::default(),
            limited: Counter::default(),
            ended: tokio::sync::Mutex::default(),
            tasks: Family::default(),
            waiting: Family::default(),
            sessions: Gauge::default(),
            stops: Gauge::default(),
            audited: Gauge::default(),
            unsigned: Gauge::default(),
            desired: Family::default(),
        };
        let registry = metrics.numbers.registry();
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
        registry.register("sessions", "Sessions of people that go on", metrics.sessions.clone());
        registry.register("emergency_stops", "Emergency stops that hold", metrics.stops.clone());
        registry.register("audit_entries", "Entries of the audit", metrics.audited.clone());
        let unsigned = "Entries of the audit after the last checkpoints";
        registry.register("audit_unsigned_entries", unsigned, metrics.unsigned.clone());
        let desired = "Workers that the tasks of a stage want, stops considered";
        registry.register("desired_workers", desired, metrics.desired.clone());
        metrics
    }

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
        workload: Option<(Workload, Backlog)>,
        connections: Option<Connections>,
        answering: usize,
    ) -> Result<String, fmt::Error> {
        self.numbers.told(connections, || {
            self.answering.set(answering as u64);
            self.database.set(u64::from(workload.is_some()));
            if let Some((workload, backlog)) = workload {
                self.working(workload);
                for stage in Stage::SERVED {
                    let desired = backlog.wanted_workers(&[stage]);
                    self.desired.get_or_create(&OfStage { stage: stage.as_str() }).set(desired);
                }
            }
        })
    }

    fn working(&self, workload: Workload) {
        // What is not there any more is nothing, and not what it was.
        self.tasks.clear();
        for ((stage, state), count) in workload.tasks {
            self.tasks.get_or_create(&TasksOf { stage: stage.as_str(), state }).set(count);
        }
        self.waiting.clear();
        for (stage, waits) in workload.waiting {
            self.waiting.get_or_create(&OfStage { stage: stage.as_str() }).set(waits.as_secs_f64());
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
        .route("/ready", get(health::ready))
        .route("/workers/{stages}", get(desired_workers))
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

/// What there is to do, unless the database does not tell in time.
async fn in_time<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
    match tokio::time::timeout(WITHIN, asked).await {
        Ok(Ok(told)) => Some(told),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the database does not tell what there is to do");
            None
        }
        Err(_) => {
            tracing::warn!(within = ?WITHIN, "the database does not tell in time what there is to do");
            None
        }
    }
}

async fn show(State(gateway): State<Gateway>) -> Result<(HeaderMap, String), Problem> {
    let mut workload = in_time(gateway.store.workload()).await;
    if let Some(workload) = &mut workload {
        workload.tasks.extend(ended(&gateway).await);
    }
    let workload = match workload {
        Some(workload) => in_time(gateway.store.backlog()).await.map(|backlog| (workload, backlog)),
        None => None,
    };
    let answering = AT_ONCE - gateway.room.available_permits();
    watch::page(gateway.metrics.told(workload, gateway.store.connections(), answering))
}

/// How many workers an autoscaler is to keep for stages, with commas between them. However many ask, the store is asked once a second;
/// while it does not answer nobody is told a number, so that the autoscaler falls back on what it was told to.
async fn desired_workers(
    State(gateway): State<Gateway>,
    Path(stages): Path<String>,
) -> Result<Json<Value>, Problem> {
    let served = |word: &str| Stage::SERVED.into_iter().find(|stage| stage.as_str() == word);
    let known: Option<Vec<Stage>> = stages.split(',').map(served).collect();
    let Some(known) = known else {
        let detail = "there is no such stage that workers of this release work for";
        return Err(Problem::new(Kind::Missing, detail));
    };
    let look = async || Ok::<_, Infallible>(in_time(gateway.store.backlog()).await);
    let Ok(seen) = gateway.backlog.get(&(), Instant::now(), look).await;
    let Some(backlog) = seen.as_ref() else {
        return Err(Problem::new(Kind::Unavailable, "the database does not tell what there is to do"));
    };
    let (desired, tasks) = (backlog.wanted_workers(&known), backlog.depth(&known));
    Ok(Json(json!({ "stages": known, "desired_workers": desired, "tasks": tasks })))
}
