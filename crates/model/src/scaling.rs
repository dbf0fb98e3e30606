//! How many workers a queue wants, and how fast they come and go: two functions, for whoever scales, draws or simulates.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::{Reach, Stage, TenantId};

/// Workers that are never exceeded.
pub const MOST_WORKERS: u64 = 1_000;

/// Workers wanted for so many tasks that wait or run. `idle`: there has been nothing to do for a while.
///
/// A short queue is worked off by one; the longer it is, the fewer tasks stand behind each worker.
pub fn wanted_workers(depth: u64, idle: bool) -> u64 {
    let wanted = match depth {
        0 if idle => return 0,
        0..10 => 1,
        10..50 => depth / 10,
        50..200 => depth / 5,
        _ => depth / 2,
    };
    wanted.clamp(1, MOST_WORKERS)
}

/// What there is to do for workers, and what keeps them from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many tasks run or are due, by stage and tenant. What waits for its time, such as another try, wants nobody yet.
    pub tasks: Vec<(Stage, TenantId, u64)>,
    /// The emergency stops that hold.
    pub stops: Vec<Reach>,
}

impl Backlog {
    /// Tasks of these stages that somebody could work on: a stop leaves nothing to do for those whom it reaches.
    pub fn depth(&self, stages: &[Stage]) -> u64 {
        let can = |stage, tenant| {
            stages.contains(&stage) && !self.stops.iter().any(|reach| reach.covers(tenant, None, stage))
        };
        self.tasks.iter().filter(|(stage, tenant, _)| can(*stage, *tenant)).map(|(.., tasks)| tasks).sum()
    }

    /// Workers wanted for these stages, none when there is nothing to do: for how long that must have been so before the last ones go
    /// is for the autoscaler ([`Pace::cooldown`]).
    pub fn wanted_workers(&self, stages: &[Stage]) -> u64 {
        wanted_workers(self.depth(stages), true)
    }
}

/// How fast workers come and go. The autoscaler's manifest has the same figures (`behavior` of a HorizontalPodAutoscaler, and
/// KEDA's `cooldownPeriod`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pace {
    /// So many may come within [`Pace::up_seconds`], however few there are.
    pub up_workers: u64,
    /// Or so many for each hundred that there were before, if that is more.
    pub up_percent: u64,
    /// The period that both are meant for.
    pub up_seconds: u32,
    /// So many may go within [`Pace::down_seconds`].
    pub down_workers: u64,
    /// The period that this is meant for.
    pub down_seconds: u32,
    /// Nobody goes before the queue wanted fewer for so long.
    pub hold_seconds: u32,
    /// All go at once when there was nothing to do for so long.
    pub cooldown_seconds: u32,
    /// Never more than these.
    pub most: u64,
}

/// Ten or a doubling each minute, whichever is more: 10 become 1,000 in seven minutes, where ten a minute alone would take 99. One in
/// ten minutes goes: what is asked for again within the hour finds its workers there.
pub const PACE: Pace = Pace {
    up_workers: 10,
    up_percent: 100,
    up_seconds: 60,
    down_workers: 1,
    down_seconds: 600,
    hold_seconds: 300,
    cooldown_seconds: 300,
    most: MOST_WORKERS,
};

/// Ten a minute and no more, for nodes that come slowly and bursts that are to cost less: none to 1,000 in 100 minutes. The component
/// `autoscaling-slow` has the same figures.
pub const SLOW_PACE: Pace = Pace { up_percent: 0, ..PACE };

/// What was decided some time ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// When.
    pub at: Timestamp,
    /// How many the queue wanted.
    pub wanted: u64,
    /// How many there were.
    pub from: u64,
    /// How many there were to be from then on.
    pub to: u64,
}

impl Pace {
    /// How long a decision has an influence on later ones.
    pub fn memory(&self) -> Duration {
        seconds(self.up_seconds.max(self.down_seconds).max(self.hold_seconds))
    }

    /// For how long there must have been nothing to do for the queue to count as idle.
    pub fn cooldown(&self) -> Duration {
        seconds(self.cooldown_seconds)
    }
}

/// How many workers there are to be now that there are `current` and the queue wants `wanted`. `past` are the decisions of at least
/// the last [`Pace::memory`].
///
/// As a HorizontalPodAutoscaler does it: a period's limit is about the number there was when it began, so that what came within
/// the period may go within it. From none, and back to none, it is KEDA's: the first one comes alone, and when the queue is idle
/// the last ones go together.
pub fn paced_workers(current: u64, wanted: u64, past: &[Decision], now: Timestamp, pace: &Pace) -> u64 {
    let wanted = wanted.min(pace.most);
    if current == 0 || wanted == 0 {
        return wanted.min(1);
    }
    if wanted > current {
        let before = workers_before(current, past, now, pace.up_seconds);
        let by_percent = before.saturating_add(before.saturating_mul(pace.up_percent).div_ceil(100));
        let limit = before.saturating_add(pace.up_workers).max(by_percent);
        return wanted.min(limit.max(current));
    }
    let held = since(past, now, pace.hold_seconds).map(|decision| decision.wanted).max().unwrap_or(0);
    let limit =
        workers_before(current, past, now, pace.down_seconds).saturating_sub(pace.down_workers).max(1);
    wanted.max(held).max(limit).min(current).min(pace.most)
}

/// How many there were when the period began that ends now.
fn workers_before(current: u64, past: &[Decision], now: Timestamp, period: u32) -> u64 {
    since(past, now, period).next().map_or(current, |first| first.from)
}

fn since(past: &[Decision], now: Timestamp, period: u32) -> impl Iterator<Item = &Decision> {
    let begin = now.saturating_sub(seconds(period)).unwrap_or(Timestamp::MIN);
    past.iter().filter(move |decision| decision.at > begin)
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(u64::from(count))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An autoscaler with a decision each half minute, and what it decided.
    fn decided(wanted: &[u64], pace: &Pace) -> Vec<Decision> {
        let mut past: Vec<Decision> = Vec::new();
        for (step, wanted) in wanted.iter().enumerate() {
            let at = Timestamp::from_second(30 * step as i64).unwrap();
            let from = past.last().map_or(0, |last| last.to);
            let to = paced_workers(from, *wanted, &past, at, pace);
            past.push(Decision { at, wanted: *wanted, from, to });
        }
        past
    }

    fn counts(past: &[Decision]) -> Vec<u64> {
        past.iter().map(|decision| decision.to).collect()
    }

    #[test]
    fn the_first_comes_alone_then_they_double() {
        let past = decided(&[1_000; 20], &PACE);
        let expected = [
            1, 10, 11, 20, 22, 40, 44, 80, 88, 160, 176, 320, 352, 640, 704, 1_000, 1_000, 1_000, 1_000,
            1_000,
        ];
        assert_eq!(counts(&past), expected);
        let past = decided(&[1_000; 20], &Pace { most: 30, ..PACE });
        assert_eq!(counts(&past)[5..], [30; 15], "never more than the most");
    }

    #[test]
    fn one_in_ten_minutes_goes_and_all_at_once_when_idle() {
        let mut wanted = vec![40; 40];
        wanted.extend([3; 60]);
        wanted.push(0);
        let counts = counts(&decided(&wanted, &PACE));
        assert_eq!(counts[39], 40);
        assert_eq!(counts[40..49], [40; 9], "held for five minutes");
        assert_eq!((counts[49], counts[69], counts[89]), (39, 38, 37));
        assert_eq!(counts[100], 0);
    }

    #[test]
    fn what_came_within_the_period_may_go_within_it() {
        let mut wanted = vec![200; 12];
        wanted.extend([5; 10]);
        let counts = counts(&decided(&wanted, &PACE));
        assert_eq!((counts[11], counts[20], counts[21]), (200, 200, 9), "ten there were ten minutes ago");
    }

    proptest! {
        #[test]
        fn neither_the_ceiling_nor_the_rate_is_exceeded(
            wanted in proptest::collection::vec(0_u64..3_000, 1..200),
            most in 1_u64..1_200,
            up_workers in 0_u64..30,
            up_percent in 0_u64..150,
            down_workers in 0_u64..10,
        ) {
            let pace = Pace { most, up_workers, up_percent, down_workers, ..PACE };
            let past = decided(&wanted, &pace);
            for (step, decision) in past.iter().enumerate() {
                prop_assert!(decision.to <= most);
                prop_assert!((decision.wanted == 0) == (decision.to == 0));
                let before = |steps: usize| if step >= steps { past[step - steps].to } else { 0 };
                let up = before(2);
                let limit = (up + up_workers).max(up + (up * up_percent).div_ceil(100)).max(1);
                prop_assert!(decision.to <= limit.max(decision.from), "step {step}: {decision:?}");
                let down = before(20).saturating_sub(down_workers).min(decision.from);
                prop_assert!(decision.to == 0 || decision.to >= down, "step {step}: {decision:?}");
            }
        }

        #[test]
        fn whoever_stays_with_what_is_wanted_changes_nothing(current in 1_u64..=1_000) {
            prop_assert_eq!(paced_workers(current, current, &[], Timestamp::UNIX_EPOCH, &PACE), current);
        }
    }

    #[test]
    fn the_table_of_the_design_holds() {
        for (depth, idle, workers) in [
            (0, true, 0),
            (0, false, 1),
            (1, true, 1),
            (9, false, 1),
            (10, false, 1),
            (19, false, 1),
            (20, false, 2),
            (49, false, 4),
            (50, false, 10),
            (199, false, 39),
            (200, false, 100),
            (1_999, false, 999),
            (2_000, false, 1_000),
            (u64::MAX, false, 1_000),
        ] {
            assert_eq!(wanted_workers(depth, idle), workers, "depth {depth}, idle {idle}");
        }
    }

    #[test]
    fn nobody_is_wanted_for_what_is_stopped() {
        let (amy, bob) = (TenantId::new(uuid::Uuid::from_u128(1)), TenantId::new(uuid::Uuid::from_u128(2)));
        let scan = crate::ScanId::from_random(3);
        let tasks = vec![(Stage::Ports, amy, 100), (Stage::Check, amy, 30), (Stage::Check, bob, 20)];
        for (stops, ports, check, both) in [
            (vec![], 20, 10, 30),
            (vec![Reach::Everything], 0, 0, 0),
            (vec![Reach::Stage { stage: Stage::Check }], 20, 0, 20),
            (vec![Reach::Tenant { tenant: amy }], 0, 2, 2),
            (vec![Reach::Tenant { tenant: amy }, Reach::Tenant { tenant: bob }], 0, 0, 0),
            (vec![Reach::Scan { tenant: amy, scan }], 20, 10, 30),
        ] {
            let backlog = Backlog { tasks: tasks.clone(), stops: stops.clone() };
            let wanted = |stages: &[Stage]| backlog.wanted_workers(stages);
            assert_eq!(
                (wanted(&[Stage::Ports]), wanted(&[Stage::Check]), wanted(&[Stage::Ports, Stage::Check])),
                (ports, check, both),
                "{stops:?}"
            );
            assert_eq!(wanted(&[Stage::Crawl]), 0, "{stops:?}");
        }
    }

    #[test]
    fn more_work_never_wants_fewer_workers() {
        let wanted: Vec<u64> = (0..5_000).map(|depth| wanted_workers(depth, true)).collect();
        assert!(wanted.is_sorted());
    }
}
