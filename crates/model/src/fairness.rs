//! Whose task is next: a pure decision over what waits, for whoever claims, simulates or explains.
//!
//! Between tenants, who has least at work for its weight goes first (max-min fairness), and among equals who was served least so
//! far (stride scheduling; Waldspurger and Weihl, 1995). Within a tenant, who was due first, where each step of priority counts like
//! [`AGEING`] of waiting: what is urgent goes first, and what is not goes all the same, after a bounded time.
//!
//! Tenants come before priorities: nobody gets ahead of other tenants by calling everything urgent.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    str::FromStr,
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::TenantId;

/// How long a task waits until it counts as much as one that is a step more urgent and came just now.
pub const AGEING: Duration = Duration::from_secs(5 * 60);

/// What was begun before goes first: like so much waiting.
const BEGUN: Duration = Duration::from_secs(24 * 60 * 60);

/// One turn of a tenant of weight 1.
const STRIDE: u64 = 1 << 20;

/// How urgent something is to its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// When there is time.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// Before what is usual.
    High,
    /// Somebody waits for it.
    Urgent,
}

impl Priority {
    /// From the least to the most urgent.
    pub const ALL: [Priority; 4] = [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent];

    /// The word used in options and interfaces.
    pub fn as_str(self) -> &'static str {
        match self {
            Priority::Low => "low",
            Priority::Normal => "normal",
            Priority::High => "high",
            Priority::Urgent => "urgent",
        }
    }

    /// How it is stored: 0 for low to 3 for urgent.
    pub fn level(self) -> u8 {
        self as u8
    }

    /// From how it is stored.
    pub fn from_level(level: u8) -> Option<Priority> {
        Priority::ALL.get(usize::from(level)).copied()
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The word is not a priority.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a priority: use low, normal, high or urgent")]
pub struct PriorityError(String);

impl FromStr for Priority {
    type Err = PriorityError;

    fn from_str(word: &str) -> Result<Priority, PriorityError> {
        Priority::ALL
            .into_iter()
            .find(|priority| priority.as_str() == word.trim())
            .ok_or_else(|| PriorityError(word.to_owned()))
    }
}

/// Tasks of one tenant, one stage and one priority that are due, begun before or not. How many there are nobody counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane<K> {
    /// What its owner knows it by.
    pub key: K,
    /// Whose.
    pub tenant: TenantId,
    /// How urgent.
    pub priority: Priority,
    /// They were begun before ([`crate::Task::is_begun`]).
    pub begun: bool,
    /// When the first of them was due.
    pub due: Timestamp,
}

/// What a tenant has, and may have, at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Against the weights of others; at least 1.
    pub weight: u32,
    /// Tasks at work.
    pub in_flight: u64,
    /// Not more than these at once.
    pub most_in_flight: u64,
}

impl Share {
    /// How many more it may have at work.
    pub fn room(&self) -> u64 {
        self.most_in_flight.saturating_sub(self.in_flight)
    }

    /// Could somebody who takes at most so many tasks, while others do the same at this moment, exceed the most that may be at work?
    /// As long as there is room for many such claims, they need not know of each other.
    pub fn is_near_its_most(&self, most: usize) -> bool {
        const CLAIMS_AT_ONCE: u64 = 64;
        self.room() > 0 && self.room() < (most as u64).saturating_mul(CLAIMS_AT_ONCE)
    }
}

/// Who was served how often, as far as one process knows: that is enough, since a sum of fair processes is fair.
#[derive(Debug, Clone, Default)]
pub struct Turns {
    passes: HashMap<TenantId, u64>,
    /// No tenant that comes (back) begins before this: being away saves up no turns.
    floor: u64,
}

impl Turns {
    /// Which lanes to take how many tasks from, at most `wanted` in all, in this order. A lane may turn out to hold fewer: ask again
    /// without it. Tenants without a share are passed over.
    pub fn pick<K: Copy + Ord>(
        &mut self,
        lanes: &[Lane<K>],
        shares: &BTreeMap<TenantId, Share>,
        wanted: usize,
    ) -> Vec<(K, usize)> {
        let mut candidates: Vec<Candidate<K>> = Vec::new();
        let mut first_of: BTreeMap<TenantId, &Lane<K>> = BTreeMap::new();
        for lane in lanes {
            let first = first_of.entry(lane.tenant).or_insert(lane);
            if (virtual_due(lane), lane.key) < (virtual_due(first), first.key) {
                *first = lane;
            }
        }
        for (tenant, lane) in first_of {
            let Some(share) = shares.get(&tenant) else { continue };
            let pass = self.passes.get(&tenant).copied().unwrap_or_default().max(self.floor);
            let weight = u64::from(share.weight.max(1));
            let room = share.room();
            if room > 0 {
                let (key, in_flight) = (lane.key, share.in_flight);
                candidates.push(Candidate { key, tenant, weight, in_flight, room, pass, picked: 0 });
            }
        }
        self.floor = candidates.iter().map(|candidate| candidate.pass).min().unwrap_or(self.floor);
        let mut order = Vec::new();
        for _ in 0..wanted {
            let next = candidates
                .iter_mut()
                .filter(|candidate| candidate.room > 0)
                .min_by(|a, b| a.load().cmp(&b.load()).then(a.pass.cmp(&b.pass)).then(a.key.cmp(&b.key)));
            let Some(next) = next else { break };
            if next.picked == 0 {
                order.push(next.key);
            }
            next.picked += 1;
            next.in_flight += 1;
            next.room -= 1;
            next.pass += STRIDE / next.weight;
        }
        let picked: BTreeMap<K, usize> =
            candidates.iter().map(|candidate| (candidate.key, candidate.picked)).collect();
        order.into_iter().map(|key| (key, picked[&key])).collect()
    }

    /// So many tasks of the tenant were taken.
    pub fn served(&mut self, tenant: TenantId, weight: u32, tasks: usize) {
        let pass = self.passes.entry(tenant).or_default();
        *pass = (*pass).max(self.floor) + STRIDE / u64::from(weight.max(1)) * tasks as u64;
        // Who is not ahead of anybody needs no memory.
        if self.passes.len() > 10_000 {
            let floor = self.floor;
            self.passes.retain(|_, pass| *pass > floor);
        }
    }
}

struct Candidate<K> {
    key: K,
    tenant: TenantId,
    weight: u64,
    in_flight: u64,
    room: u64,
    pass: u64,
    picked: usize,
}

impl<K> Candidate<K> {
    /// At work for the tenant's weight, in thousandths.
    fn load(&self) -> u64 {
        debug_assert!(self.weight > 0, "{} has no weight", self.tenant);
        self.in_flight.saturating_mul(1_000) / self.weight
    }
}

/// When the lane was due, as if everything were of the lowest priority.
fn virtual_due<K>(lane: &Lane<K>) -> Timestamp {
    let begun = if lane.begun { BEGUN } else { Duration::ZERO };
    let head_start = AGEING * u32::from(lane.priority.level()) + begun;
    lane.due.saturating_sub(head_start).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId::new(Uuid::from_u128(number))
    }

    fn lane(key: u32, owner: u128, priority: Priority, due: i64) -> Lane<u32> {
        let due = Timestamp::from_second(1_000_000 + due).unwrap();
        Lane { key, tenant: tenant(owner), priority, begun: false, due }
    }

    fn share(weight: u32, in_flight: u64) -> Share {
        Share { weight, in_flight, most_in_flight: 1_000 }
    }

    #[test]
    fn who_has_least_at_work_goes_first() {
        let lanes = [lane(1, 1, Priority::Urgent, 0), lane(2, 2, Priority::Low, 100)];
        let shares = BTreeMap::from([(tenant(1), share(1, 32)), (tenant(2), share(1, 0))]);
        assert_eq!(Turns::default().pick(&lanes, &shares, 10), [(2, 10)], "a flood waits for the others");
        assert_eq!(Turns::default().pick(&lanes, &shares, 36), [(2, 34), (1, 2)]);
    }

    #[test]
    fn short_tasks_alternate_though_nothing_is_ever_at_work() {
        let lanes = [lane(1, 1, Priority::Normal, 0), lane(2, 2, Priority::Normal, 100)];
        let shares = BTreeMap::from([(tenant(1), share(1, 0)), (tenant(2), share(3, 0))]);
        let mut turns = Turns::default();
        let mut served = [0, 0];
        for _ in 0..400 {
            let picked = turns.pick(&lanes, &shares, 1);
            let (key, count) = picked[0];
            turns.served(tenant(u128::from(key)), [1, 3][key as usize - 1], count);
            served[key as usize - 1] += count;
        }
        assert_eq!(served, [100, 300], "by weight");
    }

    #[test]
    fn being_away_saves_up_no_turns() {
        let (one, two) = (lane(1, 1, Priority::Normal, 0), lane(2, 2, Priority::Normal, 0));
        let shares = BTreeMap::from([(tenant(1), share(1, 0)), (tenant(2), share(1, 0))]);
        let mut turns = Turns::default();
        for _ in 0..1_000 {
            turns.pick(&[one], &shares, 1);
            turns.served(tenant(1), 1, 1);
        }
        let mut served = 0;
        for _ in 0..20 {
            let (key, count) = turns.pick(&[one, two], &shares, 1)[0];
            turns.served(tenant(u128::from(key)), 1, count);
            served += usize::from(key == 2);
        }
        assert!((10..=11).contains(&served), "{served} of 20");
    }

    #[test]
    fn a_tenant_has_no_more_at_work_than_it_may() {
        let lanes = [lane(1, 1, Priority::Normal, 0)];
        let full = Share { weight: 1, in_flight: 8, most_in_flight: 10 };
        let shares = BTreeMap::from([(tenant(1), full)]);
        assert_eq!(Turns::default().pick(&lanes, &shares, 50), [(1, 2)]);
        let shares = BTreeMap::from([(tenant(1), Share { in_flight: 12, ..full })]);
        assert_eq!(Turns::default().pick(&lanes, &shares, 50), []);
        assert_eq!(Turns::default().pick(&lanes, &BTreeMap::new(), 50), [], "whose tenant is gone");
    }

    #[test]
    fn what_is_urgent_goes_first_and_what_is_not_goes_in_time() {
        let shares = BTreeMap::from([(tenant(1), share(1, 0))]);
        let waited = |seconds: i64| {
            let lanes = [lane(1, 1, Priority::High, seconds), lane(2, 1, Priority::Low, 0)];
            Turns::default().pick(&lanes, &shares, 1)[0].0
        };
        assert_eq!(waited(0), 1);
        assert_eq!(waited(599), 1);
        assert_eq!(waited(601), 2, "two steps are ten minutes");
    }

    #[test]
    fn what_was_begun_before_goes_first_within_its_tenant() {
        let begun = Lane { begun: true, ..lane(2, 1, Priority::Low, 5_000) };
        let lanes = [lane(1, 1, Priority::Urgent, 0), begun, lane(3, 2, Priority::Low, 9_000)];
        let shares = BTreeMap::from([(tenant(1), share(1, 0)), (tenant(2), share(1, 0))]);
        assert_eq!(Turns::default().pick(&lanes, &shares, 2), [(2, 1), (3, 1)]);
    }

    proptest! {
        #[test]
        fn nothing_is_invented_and_nobody_is_passed_over(
            owners in proptest::collection::vec((1_u128..6, 0_u8..4, 0_i64..10_000), 1..20),
            loads in proptest::collection::vec((1_u32..5, 0_u64..50, 0_u64..60), 6),
            wanted in 0_usize..100,
        ) {
            let lanes: Vec<Lane<u32>> = owners
                .iter()
                .enumerate()
                .map(|(key, (owner, level, due))| lane(key as u32, *owner, Priority::from_level(*level).unwrap(), *due))
                .collect();
            let shares: BTreeMap<TenantId, Share> = loads
                .iter()
                .enumerate()
                .map(|(number, (weight, in_flight, most))| {
                    (tenant(number as u128), Share { weight: *weight, in_flight: *in_flight, most_in_flight: *most })
                })
                .collect();
            let picked = Turns::default().pick(&lanes, &shares, wanted);
            let total: usize = picked.iter().map(|(_, count)| count).sum();
            let owners: std::collections::BTreeSet<TenantId> = lanes.iter().map(|lane| lane.tenant).collect();
            let room: u64 = owners
                .iter()
                .filter_map(|owner| shares.get(owner))
                .map(|share| share.most_in_flight.saturating_sub(share.in_flight))
                .sum();
            prop_assert_eq!(total as u64, room.min(wanted as u64));
            let mut seen = std::collections::BTreeSet::new();
            for (key, count) in &picked {
                let owner = lanes[*key as usize].tenant;
                prop_assert!(seen.insert(owner), "one lane a tenant");
                let share = shares[&owner];
                prop_assert!(share.in_flight + *count as u64 <= share.most_in_flight);
            }
        }
    }
}
