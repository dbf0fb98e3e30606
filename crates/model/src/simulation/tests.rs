//! What must hold of every day, and what a formula says about one.

use proptest::prelude::*;

use super::*;

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// Always so many workers, and nothing that disturbs them.
fn fixed(workers: u32) -> Scenario {
    Scenario { workers: Staffing::Fixed { workers }, flood: None, loss: None, ..Scenario::default() }
}

#[track_caller]
fn outcome(scenario: &Scenario) -> Outcome {
    run(scenario).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn assert_all_ended(outcome: &Outcome) {
    let tasks = &outcome.tasks;
    let flood = outcome.scenario.flood.map_or(0, |flood| flood.count);
    assert_eq!(tasks.requests, u64::from(outcome.scenario.requests + flood));
    assert_eq!((tasks.completed, tasks.given_up, tasks.lost, tasks.doubled), (tasks.requests, 0, 0, 0));
    assert_eq!(outcome.waiting.all.requests, tasks.requests, "each one was begun");
    assert_eq!(outcome.minutes.last().map(|minute| minute.ended), Some(tasks.requests));
}

/// Erlang C: the part of the requests that wait at all, with `load` workers' worth of work (Erlang, 1917).
fn part_that_waits(workers: u32, load: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 0.0;
    for at_work in 0..workers {
        sum += term;
        term *= load / f64::from(at_work + 1);
    }
    let full = term * f64::from(workers) / (f64::from(workers) - load);
    full / (sum + full)
}

#[test]
fn waiting_times_are_what_erlang_says() {
    assert!((part_that_waits(10, 8.0) - 0.409_18).abs() < 1e-4, "{}", part_that_waits(10, 8.0));
    let (workers, mean) = (10, 60.0);
    for load in [6.0_f64, 8.0] {
        let hours = 168.0;
        let requests = (load / mean * 3_600.0 * hours) as u32;
        let scenario = Scenario {
            requests,
            day: Duration::from_secs_f64(hours * 3_600.0),
            service: Service::Exponential { mean: Duration::from_secs_f64(mean) },
            // A flat day.
            peak_an_hour: (f64::from(requests) / hours).ceil() as u32,
            tenants: 1,
            priorities: [0, 1, 0, 0],
            ..fixed(workers)
        };
        /// Their average is within 10 % in all but one of a hundred trials; 80 weeks are within 4 %.
        const WEEKS: u32 = 6;
        let weeks: Vec<Wait> = (0..WEEKS)
            .map(|seed| outcome(&Scenario { seed: seed.into(), ..scenario.clone() }).waiting.all)
            .collect();
        let average = |of: fn(&Wait) -> Duration| {
            weeks.iter().map(of).sum::<Duration>().as_secs_f64() / f64::from(WEEKS)
        };
        let pace = (f64::from(workers) - load) / mean;
        let part = part_that_waits(workers, load);
        for (what, simulated, formula) in [
            ("mean", average(|wait| wait.mean), part / pace),
            ("p95", average(|wait| wait.p95), (part / 0.05).ln() / pace),
            ("p99", average(|wait| wait.p99), (part / 0.01).ln() / pace),
        ] {
            let said = format!("load {load}, {what}: {simulated:.2} s, by the formula {formula:.2} s");
            assert!((simulated / formula - 1.0).abs() < 0.1, "{said}");
        }
    }
}

#[test]
fn the_same_seed_has_the_same_outcome_and_another_seed_another() {
    let scenario = Scenario { requests: 1_000, peak_an_hour: 250, ..Scenario::default() };
    let first = outcome(&scenario);
    assert_eq!(outcome(&scenario), first);
    let other = outcome(&Scenario { seed: 2, ..scenario });
    assert_ne!(other.waiting, first.waiting);
    assert_ne!(other.minutes, first.minutes);
}

#[test]
fn on_the_default_day_every_request_ends_once_and_nobody_notices_the_flood() {
    let day = outcome(&Scenario::default());
    assert_all_ended(&day);
    assert!(day.tasks.late_results_refused > 0, "nodes that come back try to hand in what others have");
    assert_eq!(day.workers.most, 1_000);
    let calm = outcome(&Scenario { flood: None, loss: None, ..Scenario::default() });
    assert_all_ended(&calm);
    for (with, without) in day.waiting.others_by_priority.iter().zip(&calm.waiting.others_by_priority) {
        assert_eq!(with.wait.requests, without.wait.requests);
        assert!(with.wait.p95 <= without.wait.p95 + Duration::from_secs(30), "{with:?}, without {without:?}");
    }
}

/// No workers come to help: those that there are must be shared. They are enough for each of the others to need less than its
/// share; whoever needs more waits like the one that floods.
#[test]
fn a_flood_costs_the_others_seconds_when_no_worker_comes() {
    let calm = fixed(400);
    let flood = Some(Burst { count: 20_000, at: minutes(120) });
    let without = outcome(&calm).waiting.others;
    for seed in 1..4 {
        let day = outcome(&Scenario { flood, seed, ..calm.clone() });
        assert_all_ended(&day);
        let with = day.waiting.others;
        assert!(with.p95 <= without.p95 + Duration::from_secs(10), "{with:?}, without {without:?}");
    }
}

#[test]
fn what_was_on_lost_nodes_begins_again_when_the_lease_is_over() {
    // Nine out of ten workers have nothing to do, so that nothing but the lease is waited for.
    let loss = Some(Burst { count: 15, at: minutes(240) });
    for seed in 0..5 {
        let day = Scenario { requests: 2_000, peak_an_hour: 500, loss, seed, ..fixed(400) };
        let day = outcome(&day);
        assert_all_ended(&day);
        let again = day.tasks.others_again.expect("some were on those nodes");
        let bound = LEASE + RECLAIM_EVERY + retries().base;
        assert!(again.max <= bound, "{again:?}, at most {bound:?}");
        assert!(again.p50 > LEASE - HEARTBEAT_EVERY, "{again:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn on_any_day_every_request_ends_once_within_the_ceiling(
        requests in 1_u32..600,
        steepness in 1_u32..20,
        tenants in 1_u32..6,
        priorities in [0_u32..3, 1_u32..3, 0_u32..3, 0_u32..3],
        most in 1_u64..60,
        workers_a_node in 1_u32..10,
        loss in proptest::option::of((1_u32..20, 0_u64..240)),
        flood in proptest::option::of((1_u32..300, 0_u64..240)),
        start in 0_u64..120,
        seed: u64,
    ) {
        let burst = |(count, at)| Burst { count, at: minutes(at) };
        let scenario = Scenario {
            requests,
            day: minutes(240),
            peak_an_hour: requests.div_ceil(4) * steepness,
            tenants,
            priorities,
            workers: Staffing::Scaled(Pace { most, ..PACE }),
            workers_a_node,
            loss: loss.map(burst),
            flood: flood.map(burst),
            start: Duration::from_secs(start),
            seed,
            ..Scenario::default()
        };
        let day = outcome(&scenario);
        assert_all_ended(&day);
        let (mut earlier, mut before) = (&day.minutes[0], &day.minutes[0]);
        for minute in &day.minutes {
            prop_assert!(minute.workers_asked_for <= most && minute.workers_ready <= minute.workers_asked_for);
            // The minute that a rate is about began within the one before this: who went since then may come again.
            let asked = earlier.workers_asked_for.max(before.workers_asked_for);
            prop_assert!(minute.workers_asked_for <= (asked + 10).max(2 * asked), "{before:?} {minute:?}");
            prop_assert!(before.cost <= minute.cost);
            (earlier, before) = (before, minute);
        }
        let last = day.minutes.last().unwrap();
        prop_assert_eq!((last.workers_asked_for, last.others_waiting, last.flood_waiting, last.running), (0, 0, 0, 0));
        prop_assert_eq!(day.arrivals.iter().sum::<u64>(), u64::from(requests));
    }
}

#[test]
fn a_scenario_that_makes_no_sense_is_refused_with_a_way_out() {
    let day = Scenario::default;
    let burst = |count, at| Some(Burst { count, at: minutes(at) });
    let table = [
        (Scenario { requests: 0, ..day() }, "the number of requests cannot be 0: give 1 to 1000000"),
        (
            Scenario { peak_an_hour: 1_000, ..day() },
            "20000 requests in 8.0 hours are 2500 an hour: give a peak of 2500 or more, not 1000",
        ),
        (
            Scenario { requests: 10, ..day() },
            "a peak of 5000 an hour is 4000 times the average of 1.2: give a peak of 125 or less, or more requests",
        ),
        (
            Scenario { flood: burst(1, 600), ..day() },
            "the flood at 10 h is after the end of the day, which has 8 h: give an earlier time, or none",
        ),
        (Scenario { loss: burst(0, 60), ..day() }, "the number of nodes lost cannot be 0: give 1 to 1000000"),
        (
            Scenario { service: Service::LogNormal { median: minutes(2), p95: minutes(1) }, ..day() },
            "the 95th percentile of the time that a task takes, 60 s, is less than the median, 120 s: give more",
        ),
        (
            Scenario { workers: Staffing::Fixed { workers: 1 }, ..day() },
            "1 workers would take about 142 days for 70000 tasks, more than 28: give more workers, or less to do",
        ),
        (
            Scenario { workers: Staffing::Scaled(Pace { most: 1_001, ..PACE }), ..day() },
            "the number of workers cannot be 1001: give 1 to 1000",
        ),
        (
            Scenario { price_of_worker_hour: f64::NAN, ..day() },
            "the price of a worker's hour cannot be NaN: give 0 to 1000000",
        ),
    ];
    for (scenario, said) in table {
        assert_eq!(run(&scenario).map(|_| ()).map_err(|error| error.to_string()), Err(said.to_owned()));
    }
}
