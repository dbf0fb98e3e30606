//! Who asks for what, and when.

use std::{f64::consts::PI, time::Duration};

use jiff::Timestamp;

use super::{
    START, Scenario,
    generator::{Generator, Stream, milliseconds},
};
use crate::Priority;

/// One task to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) at: Timestamp,
    /// From 0; whoever floods comes after all others.
    pub(super) tenant: u32,
    pub(super) priority: Priority,
    /// How long it takes a worker, however often it begins.
    pub(super) service: Duration,
}

/// Everything that is asked for, the flood last.
pub(super) fn requests(scenario: &Scenario) -> Vec<Request> {
    let mut times = arrivals(scenario);
    times.sort_unstable();
    let mut chance = Generator::new(scenario.seed, Stream::Requests);
    let tenants = running_sums((1..=scenario.tenants).map(|rank| 1.0 / f64::from(rank)));
    let priorities = running_sums(scenario.priorities.iter().map(|part| f64::from(*part)));
    let mut requests: Vec<Request> = times
        .into_iter()
        .map(|at| Request {
            at,
            tenant: chance.one_of(&tenants) as u32,
            priority: Priority::ALL[chance.one_of(&priorities)],
            service: chance.service(&scenario.service, scenario.longest_service),
        })
        .collect();
    if let Some(flood) = scenario.flood {
        let mut chance = Generator::new(scenario.seed, Stream::Flood);
        requests.extend((0..flood.count).map(|_| Request {
            at: START + flood.at,
            tenant: scenario.tenants,
            priority: Priority::Urgent,
            service: chance.service(&scenario.service, scenario.longest_service),
        }));
    }
    requests
}

/// A Poisson process of which the number of events is known: each one comes at a time of its own, more likely when the rate is
/// higher (Lewis and Shedler, "Simulation of Nonhomogeneous Poisson Processes by Thinning", 1979).
fn arrivals(scenario: &Scenario) -> Vec<Timestamp> {
    let mut chance = Generator::new(scenario.seed, Stream::Arrivals);
    let day = scenario.day.as_secs_f64();
    let mean = f64::from(scenario.requests) / (day / 3_600.0) / f64::from(scenario.peak_an_hour);
    let exponent = exponent(mean);
    (0..scenario.requests)
        .map(|_| {
            loop {
                let at = chance.fraction();
                if chance.fraction() < rate(at, exponent) {
                    return START + milliseconds(at * day);
                }
            }
        })
        .collect()
}

/// Against the peak, at a part of the day: an arc of the sine, more or less narrow.
fn rate(at: f64, exponent: f64) -> f64 {
    (PI * at).sin().max(0.0).powf(exponent)
}

/// What makes the average of the rate what it is to be, between 0 and 1.
fn exponent(mean: f64) -> f64 {
    const STEPS: u32 = 2_000;
    let mean_of = |exponent: f64| {
        let middles = (0..STEPS).map(|step| (f64::from(step) + 0.5) / f64::from(STEPS));
        middles.map(|at| rate(at, exponent)).sum::<f64>() / f64::from(STEPS)
    };
    if mean >= 1.0 {
        return 0.0;
    }
    let (mut flat, mut steep) = (0.0, 1e5);
    for _ in 0..60 {
        let middle = (flat + steep) / 2.0;
        if mean_of(middle) > mean { flat = middle } else { steep = middle }
    }
    flat
}

fn running_sums(parts: impl Iterator<Item = f64>) -> Vec<f64> {
    parts
        .scan(0.0, |sum, part| {
            *sum += part;
            Some(*sum)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_come_as_were_asked_for_and_the_peak_is_in_the_middle() {
        for (requests, peak) in [(20_000_u32, 5_000_u32), (20_000, 2_500), (40_000, 50_000)] {
            let scenario = Scenario { requests, peak_an_hour: peak, ..Scenario::default() };
            let times = arrivals(&scenario);
            assert_eq!(times.len(), requests as usize);
            let minutes = |from: i64, to: i64| {
                times.iter().filter(|at| (from * 60..to * 60).contains(&at.as_second())).count() as f64
            };
            let middle = minutes(237, 243) * 10.0;
            assert!((middle / f64::from(peak) - 1.0).abs() < 0.1, "{middle} an hour of {peak}");
            let (morning, evening) = (minutes(0, 240), minutes(240, 481));
            assert!((morning / evening - 1.0).abs() < 0.05, "{morning} and {evening}");
        }
    }

    #[test]
    fn a_flood_changes_nothing_about_the_others() {
        let calm = requests(&Scenario { flood: None, ..Scenario::default() });
        let flooded = requests(&Scenario::default());
        assert_eq!(flooded[..calm.len()], calm[..]);
        assert!(flooded[calm.len()..].iter().all(|request| request.tenant == 20));
        assert_eq!(flooded.len(), 70_000);
    }
}
