//! Scale on paper: a day of requests against the functions that production runs, as a discrete-event simulation.
//!
//! Who is next is decided by [`Turns`](crate::fairness::Turns), how many workers there are by
//! [`wanted_workers`](crate::scaling::wanted_workers) and [`paced_workers`](crate::scaling::paced_workers), what becomes of a task
//! by [`Task::apply`](crate::Task::apply). Only what surrounds them is made up: when requests come, how long they take, how
//! long a worker needs to start, which nodes are lost. The same scenario has the same outcome.
//!
//! What it leaves out: the time that the store and the doorbell take (a worker that is free has the next task at once), and tasks
//! that fail by themselves.

mod demand;
mod engine;
mod generator;
mod outcome;
mod pool;
mod queue;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

pub use self::outcome::{
    Ended, Outcome, PriorityWait, Sample, TenantWait, Wait, Waiting, WindowWait, Workers,
};
use crate::{
    scaling::{MOST_WORKERS, PACE, Pace},
    task::{RECLAIM_EVERY, RetryPolicy},
};

/// What happens, and to whom.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scenario {
    /// Requests of the day, besides the flood.
    pub requests: u32,
    /// How long requests come.
    #[serde(rename = "day_seconds", serialize_with = "in_seconds")]
    pub day: Duration,
    /// Requests an hour when most of them come. It is in the middle of the day; the less it stands out, the flatter the day.
    pub peak_an_hour: u32,
    /// Tenants that they come from. Some ask more than others: the second half as often as the first, the third a third (Zipf).
    pub tenants: u32,
    /// Requests of each priority, from the least to the most urgent, as parts of their sum.
    pub priorities: [u32; 4],
    /// How long a task takes a worker.
    pub service: Service,
    /// No task takes longer: this is when a worker gives up.
    #[serde(rename = "longest_service_seconds", serialize_with = "in_seconds")]
    pub longest_service: Duration,
    /// Workers.
    pub workers: Staffing,
    /// From the decision until a worker is there.
    #[serde(rename = "start_seconds", serialize_with = "in_seconds")]
    pub start: Duration,
    /// Workers that a node has room for; nodes are filled one after the other.
    pub workers_a_node: u32,
    /// Nodes that are lost at a time.
    pub loss: Option<Burst>,
    /// From the loss of a node until what was on it is started elsewhere.
    #[serde(rename = "replaced_after_seconds", serialize_with = "in_seconds")]
    pub replaced_after: Duration,
    /// Requests that one more tenant makes at a time, all of them urgent.
    pub flood: Option<Burst>,
    /// What an hour of a worker costs, in whatever money.
    pub price_of_worker_hour: f64,
    /// Everything that is left to chance follows from it.
    pub seed: u64,
}

/// So many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Burst {
    /// How many.
    pub count: u32,
    /// When, from the beginning of the day.
    #[serde(rename = "at_seconds", serialize_with = "in_seconds")]
    pub at: Duration,
}

/// How long tasks take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "distribution", rename_all = "snake_case")]
pub enum Service {
    /// Most are short, a few are long: packages and images are.
    LogNormal {
        /// Half of them are shorter.
        #[serde(rename = "median_seconds", serialize_with = "in_seconds")]
        median: Duration,
        /// One in twenty is longer.
        #[serde(rename = "p95_seconds", serialize_with = "in_seconds")]
        p95: Duration,
    },
    /// Without memory, for which queues have formulas.
    Exponential {
        /// On average.
        #[serde(rename = "mean_seconds", serialize_with = "in_seconds")]
        mean: Duration,
    },
}

/// How many workers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "staffing", rename_all = "snake_case")]
pub enum Staffing {
    /// As many as the queue wants, at this pace.
    Scaled(Pace),
    /// Always these.
    Fixed {
        /// How many.
        workers: u32,
    },
}

impl Staffing {
    /// Never more than these.
    pub fn most(&self) -> u64 {
        match self {
            Staffing::Scaled(pace) => pace.most,
            Staffing::Fixed { workers } => u64::from(*workers),
        }
    }
}

/// Autoscalers look at the queue this often (KEDA's `pollingInterval`).
pub const DECISION_EVERY: Duration = Duration::from_secs(30);
/// How long a worker may be silent.
pub const LEASE: Duration = Duration::from_secs(30);
/// How often it is heard of.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(10);
/// Every second node that is lost comes back after so long, and its workers hand in what they have, as if nothing had happened.
pub const FROZEN_FOR: Duration = Duration::from_secs(60);
/// Waiting times are summed up over these.
pub const WINDOW: Duration = Duration::from_secs(300);

/// The day begins here.
const START: Timestamp = Timestamp::UNIX_EPOCH;

impl Default for Scenario {
    fn default() -> Scenario {
        let at = |minutes: u64| Duration::from_secs(minutes * 60);
        Scenario {
            requests: 20_000,
            day: at(8 * 60),
            peak_an_hour: 5_000,
            tenants: 20,
            priorities: [20, 60, 15, 5],
            service: Service::LogNormal { median: Duration::from_secs(90), p95: Duration::from_secs(600) },
            longest_service: at(60),
            workers: Staffing::Scaled(PACE),
            start: Duration::from_secs(25),
            workers_a_node: 20,
            loss: Some(Burst { count: 3, at: at(4 * 60 + 30) }),
            // Kubernetes gives a node 40 s to answer and its pods 300 s to come back, unless told otherwise.
            replaced_after: Duration::from_secs(340),
            flood: Some(Burst { count: 50_000, at: at(3 * 60) }),
            price_of_worker_hour: 0.05,
            seed: 1,
        }
    }
}

/// Why a scenario cannot be simulated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScenarioError {
    /// One figure is out of its range.
    #[error("{what} cannot be {given}: give {least} to {most}")]
    Range {
        /// Which figure.
        what: &'static str,
        /// What it is.
        given: String,
        /// The least.
        least: &'static str,
        /// The most.
        most: &'static str,
    },
    /// The average would be above the peak.
    #[error(
        "{requests} requests in {hours:.1} hours are {mean:.0} an hour: give a peak of {mean:.0} or more, not {peak}"
    )]
    PeakTooLow {
        /// Requests of the day.
        requests: u32,
        /// Its hours.
        hours: f64,
        /// Requests an hour on average, rounded up.
        mean: f64,
        /// The peak that was given.
        peak: u32,
    },
    /// The day would be empty but for a moment.
    #[error(
        "a peak of {peak} an hour is {times:.0} times the average of {mean:.1}: give a peak of {most:.0} or less, or more requests"
    )]
    PeakTooHigh {
        /// The peak that was given.
        peak: u32,
        /// Against the average.
        times: f64,
        /// Requests an hour on average.
        mean: f64,
        /// The highest possible peak.
        most: f64,
    },
    /// One in twenty cannot be shorter than half of all.
    #[error(
        "the 95th percentile of the time that a task takes, {p95} s, is less than the median, {median} s: give more"
    )]
    Percentiles {
        /// In seconds.
        median: f64,
        /// In seconds.
        p95: f64,
    },
    /// It would take weeks.
    #[error(
        "{workers} workers would take about {days:.0} days for {tasks} tasks, more than {}: give more workers, or less to do",
        Scenario::MOST_DAYS
    )]
    TooLong {
        /// How many there are at most.
        workers: u64,
        /// What they would take.
        days: f64,
        /// How much there is to do.
        tasks: u64,
    },
    /// What is to happen is not on that day.
    #[error(
        "{what} at {at} h is after the end of the day, which has {hours} h: give an earlier time, or none"
    )]
    AfterTheDay {
        /// What.
        what: &'static str,
        /// In hours.
        at: f64,
        /// In hours.
        hours: f64,
    },
}

impl Scenario {
    /// Longer than that nobody looks at.
    pub const MOST_DAYS: u32 = 28;
    /// The peak against the average.
    const STEEPEST: f64 = 100.0;

    /// Whether it can be simulated.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let range = |what,
                     given: f64,
                     (least, least_word): (f64, &'static str),
                     (most, most_word): (f64, &'static str)| {
            if (least..=most).contains(&given) {
                Ok(())
            } else {
                Err(ScenarioError::Range {
                    what,
                    given: given.to_string(),
                    least: least_word,
                    most: most_word,
                })
            }
        };
        let one = (1.0, "1");
        let million = (1e6, "1000000");
        let hours = self.day.as_secs_f64() / 3_600.0;
        range("the number of requests", f64::from(self.requests), one, million)?;
        range("the number of hours", hours, one, (168.0, "168"))?;
        range("the number of tenants", f64::from(self.tenants), one, (1_000.0, "1000"))?;
        range("the number of workers", self.workers.most() as f64, one, (MOST_WORKERS as f64, "1000"))?;
        range("the number of workers on a node", f64::from(self.workers_a_node), one, (1_000.0, "1000"))?;
        range("the price of a worker's hour", self.price_of_worker_hour, (0.0, "0"), million)?;
        range(
            "the sum of the priorities",
            self.priorities.iter().map(|part| f64::from(*part)).sum(),
            one,
            million,
        )?;
        let day = (86_400.0, "1 day in seconds");
        for (what, length) in [
            ("the time that a worker needs to start", self.start),
            ("the time until a node is replaced", self.replaced_after),
        ] {
            range(what, length.as_secs_f64(), (0.0, "0"), day)?;
        }
        range(
            "the longest time that a task takes, in seconds,",
            self.longest_service.as_secs_f64(),
            one,
            day,
        )?;
        if let Service::LogNormal { median, p95 } = self.service {
            range(
                "the median of the time that a task takes, in seconds,",
                median.as_secs_f64(),
                (0.001, "0.001"),
                day,
            )?;
            if p95 < median {
                let (median, p95) = (median.as_secs_f64(), p95.as_secs_f64());
                return Err(ScenarioError::Percentiles { median, p95 });
            }
        }
        for (what, burst) in [("the flood", self.flood), ("the loss of nodes", self.loss)] {
            let Some(burst) = burst else { continue };
            range(
                if what == "the flood" { "the flood" } else { "the number of nodes lost" },
                f64::from(burst.count),
                one,
                million,
            )?;
            if burst.at > self.day {
                return Err(ScenarioError::AfterTheDay { what, at: burst.at.as_secs_f64() / 3_600.0, hours });
            }
        }
        self.check_peak(hours)?;
        self.check_length()
    }

    fn check_peak(&self, hours: f64) -> Result<(), ScenarioError> {
        let (peak, requests) = (self.peak_an_hour, self.requests);
        let mean = f64::from(requests) / hours;
        if f64::from(peak) < mean {
            return Err(ScenarioError::PeakTooLow { requests, hours, mean: mean.ceil(), peak });
        }
        let times = f64::from(peak) / mean;
        if times > Scenario::STEEPEST {
            let most = (mean * Scenario::STEEPEST).floor();
            return Err(ScenarioError::PeakTooHigh { peak, times, mean, most });
        }
        Ok(())
    }

    fn check_length(&self) -> Result<(), ScenarioError> {
        let tasks = u64::from(self.requests) + self.flood.map_or(0, |flood| u64::from(flood.count));
        let workers = self.workers.most();
        let mean = self.service.mean().min(self.longest_service).as_secs_f64();
        let days = tasks as f64 * mean / workers as f64 / 86_400.0;
        if days > f64::from(Scenario::MOST_DAYS) {
            return Err(ScenarioError::TooLong { workers, days, tasks });
        }
        Ok(())
    }
}

/// What comes of a scenario.
pub fn run(scenario: &Scenario) -> Result<Outcome, ScenarioError> {
    scenario.check()?;
    Ok(engine::Engine::new(scenario).run())
}

/// How tasks are tried again, as by default.
fn retries() -> RetryPolicy {
    RetryPolicy::default()
}

/// Nothing when time went backwards.
fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

fn in_seconds<S: Serializer>(length: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(length.as_secs_f64())
}

#[cfg(test)]
mod tests;
