//! What came of it.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    START, Scenario, WINDOW, between,
    engine::cost,
    in_seconds,
    pool::Pool,
    queue::{Entry, Queue},
};
use crate::{Priority, task::Life};

/// What came of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// What was asked for.
    pub scenario: Scenario,
    /// How long requests waited for a worker.
    pub waiting: Waiting,
    /// How many workers there were.
    pub workers: Workers,
    /// How the tasks ended.
    pub tasks: Ended,
    /// Minute by minute.
    pub minutes: Vec<Sample>,
    /// Requests that came, minute by minute, without the flood.
    pub arrivals: Vec<u64>,
    /// Waiting times over the day.
    pub windows: Vec<WindowWait>,
}

/// How long requests waited, from when they were made until a worker began.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Waiting {
    /// Of all tenants but the one that floods.
    pub others: Wait,
    /// The same by priority, the most urgent first.
    pub others_by_priority: Vec<PriorityWait>,
    /// The tenant among the others whose 95th percentile is highest.
    pub slowest_tenant: Option<TenantWait>,
    /// Of the tenant that floods.
    pub flood: Option<Wait>,
    /// Of all.
    pub all: Wait,
}

/// Waiting times of some requests. A percentile is the time of a request (nearest rank), never something in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// How many requests.
    pub requests: u64,
    /// On average.
    #[serde(rename = "mean_seconds", serialize_with = "in_seconds")]
    pub mean: Duration,
    /// Half of them waited less.
    #[serde(rename = "p50_seconds", serialize_with = "in_seconds")]
    pub p50: Duration,
    /// 19 of 20 waited less.
    #[serde(rename = "p95_seconds", serialize_with = "in_seconds")]
    pub p95: Duration,
    /// 99 of 100 waited less.
    #[serde(rename = "p99_seconds", serialize_with = "in_seconds")]
    pub p99: Duration,
    /// The longest.
    #[serde(rename = "max_seconds", serialize_with = "in_seconds")]
    pub max: Duration,
}

/// Waiting times of one priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PriorityWait {
    /// Which.
    pub priority: Priority,
    /// How long.
    #[serde(flatten)]
    pub wait: Wait,
}

/// Waiting times of one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TenantWait {
    /// From 1; the lower, the more requests it makes.
    pub tenant: u32,
    /// How long.
    #[serde(flatten)]
    pub wait: Wait,
}

/// How many workers there were.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Workers {
    /// Ready at once.
    pub most: u64,
    /// Over the whole time, those that start or drain included.
    pub mean: f64,
    /// From the first request until the first worker was ready.
    #[serde(rename = "first_ready_seconds", serialize_with = "in_seconds")]
    pub first_ready: Duration,
    /// Hours that are paid for.
    pub hours: f64,
    /// The part of them in which there was work.
    pub at_work: f64,
    /// What they cost.
    pub cost: f64,
    /// The same for one request.
    pub cost_of_request: f64,
}

/// How the tasks ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ended {
    /// How many there were.
    pub requests: u64,
    /// With a result.
    pub completed: u64,
    /// After too many tries.
    pub given_up: u64,
    /// Not at all.
    pub lost: u64,
    /// With more than one result.
    pub doubled: u64,
    /// Results that came when somebody else had the task: they count for nothing.
    pub late_results_refused: u64,
    /// Those whose worker was lost with its node, from then until another one began; without the flood.
    pub others_again: Option<Wait>,
    /// The same of the flood.
    pub flood_again: Option<Wait>,
    /// From the beginning of the day until the last one ended.
    #[serde(rename = "last_seconds", serialize_with = "in_seconds")]
    pub last: Duration,
    /// From then until there was nobody to pay any more.
    #[serde(rename = "over_seconds", serialize_with = "in_seconds")]
    pub over: Duration,
}

/// What there was to be seen at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sample {
    /// Since the beginning of the day.
    pub at_seconds: f64,
    /// Tasks that wait, without the flood's.
    pub others_waiting: u64,
    /// Tasks of the flood that wait.
    pub flood_waiting: u64,
    /// Tasks at work.
    pub running: u64,
    /// Tasks that have ended until then.
    pub ended: u64,
    /// Workers that the queue wants.
    pub workers_wanted: u64,
    /// Workers that the autoscaler has asked for.
    pub workers_asked_for: u64,
    /// Workers that take tasks.
    pub workers_ready: u64,
    /// What they have cost until then.
    pub cost: f64,
}

/// Waiting times of those that were begun within [`WINDOW`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WindowWait {
    /// When it begins.
    pub from_seconds: f64,
    /// 95th percentile without the flood, in seconds.
    pub others_p95_seconds: Option<f64>,
    /// 95th percentile of the flood, in seconds.
    pub flood_p95_seconds: Option<f64>,
}

impl Outcome {
    pub(super) fn new(
        scenario: &Scenario,
        queue: &Queue,
        pool: &Pool,
        minutes: Vec<Sample>,
        first_ready: Option<Timestamp>,
        now: Timestamp,
    ) -> Outcome {
        let floods = |entry: &Entry| entry.request.tenant == scenario.tenants;
        let (flood, others): (Vec<&Entry>, Vec<&Entry>) =
            queue.entries.iter().partition(|entry| floods(entry));
        let first = queue.entries.iter().map(|entry| entry.request.at).min().unwrap_or(START);
        let length = between(START, now).as_secs_f64();
        let total = queue.entries.len();
        let price = cost(pool.paid, scenario);
        Outcome {
            scenario: scenario.clone(),
            waiting: Waiting {
                others: Wait::of(&others).unwrap_or(Wait::NONE),
                others_by_priority: by_priority(&others),
                slowest_tenant: slowest_tenant(&others),
                flood: Wait::of(&flood),
                all: Wait::of(&queue.entries.iter().collect::<Vec<_>>()).unwrap_or(Wait::NONE),
            },
            workers: Workers {
                most: minutes.iter().map(|minute| minute.workers_ready).max().unwrap_or(0),
                mean: rounded(pool.paid as f64 / 1_000.0 / length.max(1.0)),
                first_ready: first_ready.map_or(Duration::ZERO, |ready| between(first, ready)),
                hours: rounded(pool.paid as f64 / 3_600_000.0),
                at_work: (pool.worked as f64 / pool.paid.max(1) as f64 * 10_000.0).round() / 10_000.0,
                cost: price,
                cost_of_request: price / total.max(1) as f64,
            },
            tasks: ended(queue, &others, &flood, now),
            arrivals: arrivals(&others),
            windows: windows(&others, &flood),
            minutes,
        }
    }
}

impl Wait {
    const NONE: Wait = Wait {
        requests: 0,
        mean: Duration::ZERO,
        p50: Duration::ZERO,
        p95: Duration::ZERO,
        p99: Duration::ZERO,
        max: Duration::ZERO,
    };

    /// Until they were begun for the first time.
    fn of(entries: &[&Entry]) -> Option<Wait> {
        Wait::of_lengths(entries.iter().filter_map(|entry| waited(entry)).collect())
    }

    fn of_lengths(mut lengths: Vec<Duration>) -> Option<Wait> {
        lengths.sort_unstable();
        Some(Wait {
            requests: lengths.len() as u64,
            mean: lengths.iter().sum::<Duration>() / u32::try_from(lengths.len()).unwrap_or(u32::MAX).max(1),
            p50: percentile(&lengths, 50)?,
            p95: percentile(&lengths, 95)?,
            p99: percentile(&lengths, 99)?,
            max: *lengths.last()?,
        })
    }
}

/// Nearest rank.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

fn waited(entry: &Entry) -> Option<Duration> {
    entry.begun.map(|begun| between(entry.request.at, begun))
}

fn by_priority(entries: &[&Entry]) -> Vec<PriorityWait> {
    let of = |priority| {
        let asked: Vec<&Entry> =
            entries.iter().copied().filter(|entry| entry.request.priority == priority).collect();
        Wait::of(&asked).map(|wait| PriorityWait { priority, wait })
    };
    Priority::ALL.into_iter().rev().filter_map(of).collect()
}

fn slowest_tenant(entries: &[&Entry]) -> Option<TenantWait> {
    let mut tenants: BTreeMap<u32, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        tenants.entry(entry.request.tenant).or_default().push(entry);
    }
    let waits = tenants.into_iter().filter_map(|(tenant, entries)| {
        Wait::of(&entries).map(|wait| TenantWait { tenant: tenant + 1, wait })
    });
    waits.max_by_key(|tenant| tenant.wait.p95)
}

fn ended(queue: &Queue, others: &[&Entry], flood: &[&Entry], now: Timestamp) -> Ended {
    let count = |is: fn(&Entry) -> bool| queue.entries.iter().filter(|entry| is(entry)).count() as u64;
    let last = queue.entries.iter().filter_map(|entry| entry.ended).max().unwrap_or(START);
    let again =
        |entries: &[&Entry]| Wait::of_lengths(entries.iter().filter_map(|entry| entry.again).collect());
    Ended {
        requests: queue.entries.len() as u64,
        completed: count(|entry| entry.task.life == Life::Completed),
        given_up: count(|entry| matches!(entry.task.life, Life::Dead { .. })),
        lost: count(|entry| !entry.task.life.has_ended()),
        doubled: count(|entry| entry.results > 1),
        late_results_refused: queue.refused,
        others_again: again(others),
        flood_again: again(flood),
        last: between(START, last),
        over: between(last, now),
    }
}

fn arrivals(entries: &[&Entry]) -> Vec<u64> {
    let mut minutes = Vec::new();
    for entry in entries {
        let minute = (between(START, entry.request.at).as_secs() / 60) as usize;
        if minutes.len() <= minute {
            minutes.resize(minute + 1, 0);
        }
        minutes[minute] += 1;
    }
    minutes
}

fn windows(others: &[&Entry], flood: &[&Entry]) -> Vec<WindowWait> {
    let sorted = |entries: &[&Entry]| {
        let mut windows: BTreeMap<u64, Vec<Duration>> = BTreeMap::new();
        for entry in entries {
            let Some(begun) = entry.begun else { continue };
            let window = between(START, begun).as_secs() / WINDOW.as_secs();
            windows.entry(window).or_default().push(between(entry.request.at, begun));
        }
        windows.values_mut().for_each(|lengths| lengths.sort_unstable());
        windows
    };
    let (others, flood) = (sorted(others), sorted(flood));
    let last = others.keys().chain(flood.keys()).max().copied();
    let p95 = |windows: &BTreeMap<u64, Vec<Duration>>, window: u64| {
        windows.get(&window).and_then(|lengths| percentile(lengths, 95)).map(|wait| wait.as_secs_f64())
    };
    last.map_or(0..0, |last| 0..last + 1)
        .map(|window| WindowWait {
            from_seconds: (window * WINDOW.as_secs()) as f64,
            others_p95_seconds: p95(&others, window),
            flood_p95_seconds: p95(&flood, window),
        })
        .collect()
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
