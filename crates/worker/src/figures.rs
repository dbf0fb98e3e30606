//! What whoever watches a worker or an orchestrator sees of it: numbers, by the names that OpenMetrics gives them.
//!
//! Labels are of closed sets: stages and words. No tenant, no target, no id.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::{Duration, Instant},
};

use model::Stage;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric},
    metrics::{
        MetricType,
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::{Registry, Unit},
};
use tokio::sync::watch;

use crate::held::Permission;

/// In seconds: a look at one host takes less than the first, a crawl of everything more than the last.
const TASK_TAKES: [f64; 10] = [0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0];
/// In seconds: a round with nothing to do takes less than the first.
const ROUND_TAKES: [f64; 8] = [0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0];
/// An orchestrator that could look after nothing for so long is not able to: three terms of office.
const UNABLE_AFTER: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    stage: &'static str,
    end: End,
}

/// How a try ended, as far as this process knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum End {
    /// It has a result.
    Completed,
    /// It has none, and counts as a try.
    Failed,
    /// It was cut short, by a stop, a cancellation or the end of the process, and counts as none.
    HandedBack,
}

/// The figures of the workers of one process.
#[derive(Debug)]
pub struct PoolFigures {
    permission: watch::Receiver<Permission>,
    tries: Family<Ended, Counter>,
    took: Family<Of, Histogram>,
    at_work: Family<Of, Gauge>,
    places: Gauge<u64, AtomicU64>,
    hears: Gauge<u64, AtomicU64>,
}

impl PoolFigures {
    pub(crate) fn new(concurrency: usize, permission: watch::Receiver<Permission>) -> PoolFigures {
        let places = Gauge::<u64, AtomicU64>::default();
        places.set(concurrency as u64);
        PoolFigures {
            permission,
            tries: Family::default(),
            took: Family::new_with_constructor(|| Histogram::new(TASK_TAKES)),
            at_work: Family::default(),
            places,
            hears: Gauge::default(),
        }
    }

    /// Shows them with what else this process counts.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("worker_tries", "Tries of tasks that ended here", self.tries.clone());
        let took = "How long tries of tasks took";
        registry.register_with_unit("worker_try_duration", took, Unit::Seconds, self.took.clone());
        registry.register("worker_tasks_at_work", "Tasks that are worked on now", self.at_work.clone());
        registry.register("worker_places", "Tasks that can be worked on at once", self.places.clone());
        let hears = "Whether the doorbell is heard: 1, or 0 where the database is looked at instead";
        registry.register("worker_hears_doorbell", hears, self.hears.clone());
    }

    /// Why nothing can be worked on, if so. A stop is none: it is heard, and that is what a worker is to be able to.
    pub fn trouble(&self) -> Option<&'static str> {
        match *self.permission.borrow() {
            Permission::Granted(_) => None,
            Permission::Unknown => Some("the database does not say whether there is a stop"),
        }
    }

    pub(crate) fn hears(&self, hears: bool) {
        self.hears.set(u64::from(hears));
    }

    pub(crate) fn begun(&self, stage: Stage) -> AtWork<'_> {
        let of = Of { stage: stage.as_str() };
        self.at_work.get_or_create(&of).inc();
        AtWork { figures: self, of, begun: Instant::now() }
    }
}

/// A task that is worked on, for as long as this is there.
pub(crate) struct AtWork<'a> {
    figures: &'a PoolFigures,
    of: Of,
    begun: Instant,
}

impl AtWork<'_> {
    pub(crate) fn ended(self, end: End) {
        self.figures.tries.get_or_create(&Ended { stage: self.of.stage, end }).inc();
        self.figures.took.get_or_create(&self.of).observe(self.begun.elapsed().as_secs_f64());
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.figures.at_work.get_or_create(&self.of).dec();
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Looked {
    result: Round,
}

/// What became of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Round {
    Done,
    Failed,
}

/// Until when this process leads, as far as it knows. Who cannot ask any more whether it still does, does not from then on: another one
/// may have taken over.
#[derive(Debug, Clone, Default)]
struct Office(Arc<Mutex<Option<Instant>>>);

impl Office {
    fn is_held(&self) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}

impl Collector for Office {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let leads = "Whether this process leads: 1, or 0 where it stands by";
        let gauge = encoder.encode_descriptor("orchestrator_leads", leads, None, MetricType::Gauge)?;
        ConstGauge::new(i64::from(self.is_held())).encode(gauge)
    }
}

/// The figures of an orchestrator.
#[derive(Debug)]
pub struct OrchestratorFigures {
    office: Office,
    rounds: Family<Looked, Counter>,
    took: Histogram,
    reclaimed: Counter,
    /// When a round was done last; the beginning counts as one.
    done_at: Mutex<Instant>,
}

impl Default for OrchestratorFigures {
    fn default() -> OrchestratorFigures {
        OrchestratorFigures {
            office: Office::default(),
            rounds: Family::default(),
            took: Histogram::new(ROUND_TAKES),
            reclaimed: Counter::default(),
            done_at: Mutex::new(Instant::now()),
        }
    }
}

impl OrchestratorFigures {
    /// Shows them with what else this process counts.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.office.clone()));
        registry.register("orchestrator_rounds", "Rounds of looking after everything", self.rounds.clone());
        let took = "How long rounds took";
        registry.register_with_unit("orchestrator_round_duration", took, Unit::Seconds, self.took.clone());
        let lost = "Tasks that were taken from workers who were silent";
        registry.register("orchestrator_tasks_reclaimed", lost, self.reclaimed.clone());
    }

    /// Why nothing is looked after, if so. To stand by is none.
    pub fn trouble(&self) -> Option<&'static str> {
        let done_at = *self.done_at.lock().unwrap_or_else(PoisonError::into_inner);
        (done_at.elapsed() > UNABLE_AFTER).then_some("no round of looking after everything was done for 30 s")
    }

    /// Whether this process leads.
    pub fn leads(&self) -> bool {
        self.office.is_held()
    }

    /// It leads until then without being heard of; or it does not.
    pub(crate) fn holds(&self, until: Option<Instant>) {
        *self.office.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    pub(crate) fn round(&self, took: Duration, is_done: bool) {
        self.took.observe(took.as_secs_f64());
        let result = if is_done { Round::Done } else { Round::Failed };
        self.rounds.get_or_create(&Looked { result }).inc();
        if is_done {
            *self.done_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }

    pub(crate) fn reclaimed(&self, tasks: usize) {
        self.reclaimed.inc_by(tasks as u64);
    }
}
