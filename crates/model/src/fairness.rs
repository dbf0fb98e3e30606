//! Whose task is next: a pure decision over what waits, for whoever claims, simulates or explains.
//!
//! Between tenants, who was away goes first: it may have at once what it could have had meanwhile, up to [`AHEAD`] tasks. So a few
//! tasks do not wait for the many of another, however few the places, and nobody is ahead for ever. Between those who are always
//! there, each has its part of what is at work, by weight (max-min fairness); where that is no whole number, who was served least for
//! its weight goes first (stride scheduling; Waldspurger and Weihl, 1995). Within a tenant, who was due first, where each step of
//! priority counts like [`AGEING`] of waiting: what is urgent goes first, and what is not goes all the same, after a bounded time.
//!
//! Tenants come before priorities: nobody gets ahead of other tenants by calling everything urgent.
//!
//! Turns are counted, not seconds: how long a task will take is not known when it begins. What takes long shows as being at work. And
//! nothing is taken from who has it: where every place is in somebody's long task, the first to be free is waited for.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    str::FromStr,
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::TenantId;

/// How long a task waits until it counts as much as one that is a step more urgent and came just now.
pub const AGEING: Duration = Duration::from_secs(5 * 60);

/// What was begun before goes first: like so much waiting.
const BEGUN: Duration = Duration::from_secs(24 * 60 * 60);

/// Tasks that a tenant has first when it comes back, or comes at all: its part of what was begun while it was away, but not more than
/// these. Nor does it go first with so many at work: with that many it has a share.
pub const AHEAD: u64 = 32;

/// One turn of a tenant of weight 1.
const STRIDE: u64 = 1 << 20;

/// Of more tenants, those are forgotten of whom there is nothing to remember.
const REMEMBERED: usize = 10_000;

/// How urgent something is to its tenant.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize, ToSchema,
)]
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

/// Who was served how often and who was away, as far as one process knows. That is enough, since a sum of fair processes is fair, and
/// what the others have begun is seen in what is at work. A process that has just begun takes all who wait for equals.
#[derive(Debug, Clone, Default)]
pub struct Turns {
    standings: HashMap<TenantId, Standing>,
    /// Who waited when somebody looked last.
    waiting: HashSet<TenantId>,
    /// Their weights in all.
    waiting_weight: u64,
    /// What a weight of 1 was given, of whom something waited all the time.
    clock: u64,
    /// No tenant that comes (back) begins before this: what it was away for is in its credit.
    floor: u64,
}

/// What one process knows of a tenant.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    /// What a task costs it.
    cost: u64,
    /// What it was given for its weight, but for what it had ahead of the others.
    pass: u64,
    /// What it may have ahead of the others.
    credit: u64,
    /// Since when nothing of it waits, when nothing does.
    left: u64,
}

impl Standing {
    /// The most that being away saves up.
    fn most_credit(&self) -> u64 {
        AHEAD * self.cost
    }

    /// Its credit, if it comes back now.
    fn credit_at(&self, clock: u64) -> u64 {
        (self.credit + clock.saturating_sub(self.left)).min(self.most_credit())
    }
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
        let mut first_of: BTreeMap<TenantId, (&Lane<K>, &Share)> = BTreeMap::new();
        for lane in lanes {
            let Some(share) = shares.get(&lane.tenant) else { continue };
            let (first, _) = first_of.entry(lane.tenant).or_insert((lane, share));
            if (virtual_due(lane), lane.key) < (virtual_due(first), first.key) {
                *first = lane;
            }
        }
        self.meet(first_of.iter().map(|(tenant, (_, share))| (*tenant, share.weight)));
        let mut candidates: Vec<Candidate<K>> = Vec::new();
        for (tenant, (lane, share)) in first_of {
            let room = share.room();
            if room > 0
                && let Some(&standing) = self.standings.get(&tenant)
            {
                let (key, in_flight) = (lane.key, share.in_flight);
                let weight = u64::from(share.weight.max(1));
                candidates.push(Candidate { key, weight, in_flight, room, standing, picked: 0 });
            }
        }
        self.floor = candidates.iter().map(|candidate| candidate.standing.pass).min().unwrap_or(self.floor);
        let mut order = Vec::new();
        for _ in 0..wanted {
            let able = || candidates.iter().filter(|candidate| candidate.room > 0);
            // With the place that is to be given away.
            let places = able().map(|candidate| candidate.in_flight).sum::<u64>() + 1;
            let weights = able().map(|candidate| candidate.weight).sum();
            let next = candidates
                .iter_mut()
                .filter(|candidate| candidate.room > 0)
                .min_by_key(|candidate| (candidate.claim(places, weights), candidate.key));
            let Some(next) = next else { break };
            if next.picked == 0 {
                order.push(next.key);
            }
            next.take();
        }
        let picked: BTreeMap<K, usize> =
            candidates.iter().map(|candidate| (candidate.key, candidate.picked)).collect();
        order.into_iter().map(|key| (key, picked[&key])).collect()
    }

    /// Something of these waits now, and of nobody else.
    fn meet(&mut self, tenants: impl Iterator<Item = (TenantId, u32)>) {
        let nobody_was_known = self.standings.is_empty();
        let mut waiting = HashSet::new();
        self.waiting_weight = 0;
        for (tenant, weight) in tenants {
            waiting.insert(tenant);
            self.waiting_weight += u64::from(weight.max(1));
            let waited = self.waiting.remove(&tenant);
            let cost = cost(weight);
            let credit = if nobody_was_known { 0 } else { AHEAD * cost };
            let unknown = Standing { cost, pass: self.floor, credit, left: self.clock };
            let standing = self.standings.entry(tenant).or_insert(unknown);
            standing.cost = cost;
            if !waited {
                standing.credit = standing.credit_at(self.clock);
            }
            standing.pass = standing.pass.max(self.floor);
        }
        for tenant in std::mem::replace(&mut self.waiting, waiting) {
            if let Some(standing) = self.standings.get_mut(&tenant) {
                standing.left = self.clock;
            }
        }
    }

    /// So many tasks of the tenant were taken.
    pub fn served(&mut self, tenant: TenantId, weight: u32, tasks: usize) {
        let (cost, tasks) = (cost(weight), tasks as u64);
        let unknown = Standing { cost, pass: self.floor, credit: 0, left: self.clock };
        let standing = self.standings.entry(tenant).or_insert(unknown);
        let ahead = tasks.min(standing.credit / cost);
        standing.credit -= ahead * cost;
        standing.pass += (tasks - ahead) * cost;
        self.clock += STRIDE * tasks / self.waiting_weight.max(u64::from(weight)).max(1);
        // Who may have all that anybody may have ahead is like who was never seen.
        if self.standings.len() > REMEMBERED {
            let (clock, waiting) = (self.clock, &self.waiting);
            self.standings.retain(|tenant, standing| {
                waiting.contains(tenant) || standing.credit_at(clock) < standing.most_credit()
            });
        }
    }
}

/// What one task costs a tenant of this weight.
fn cost(weight: u32) -> u64 {
    (STRIDE / u64::from(weight.max(1))).max(1)
}

struct Candidate<K> {
    key: K,
    weight: u64,
    in_flight: u64,
    room: u64,
    standing: Standing,
    picked: usize,
}

/// What a tenant has to say for itself when a place is to be given away; the least goes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// It was away: who has least at work, then who was away longest.
    Ahead { load: u64, credit: Reverse<u64> },
    /// It has less than its part, by a whole place.
    Below { load: u64, pass: u64 },
    /// It has its part, but for a fraction of a place: who had least so far.
    Almost { pass: u64 },
    /// It has its part, and nobody who has less can take the place.
    Above { load: u64, pass: u64 },
}

impl<K> Candidate<K> {
    /// When tenants of these weights are at work in so many places.
    fn claim(&self, places: u64, weights: u64) -> Claim {
        let &Candidate { weight, in_flight, standing: Standing { pass, credit, .. }, .. } = self;
        let load = in_flight.saturating_mul(1_000) / weight;
        let part = places.saturating_mul(weight);
        if self.is_ahead() {
            Claim::Ahead { load, credit: Reverse(credit) }
        } else if in_flight < part / weights {
            Claim::Below { load, pass }
        } else if in_flight < part.div_ceil(weights) {
            Claim::Almost { pass }
        } else {
            Claim::Above { load, pass }
        }
    }

    fn is_ahead(&self) -> bool {
        self.standing.credit >= self.standing.cost && self.in_flight < AHEAD
    }

    fn take(&mut self) {
        match self.standing.credit.checked_sub(self.standing.cost) {
            Some(left) => self.standing.credit = left,
            None => self.standing.pass += self.standing.cost,
        }
        self.picked += 1;
        self.in_flight += 1;
        self.room -= 1;
    }
}

/// When the lane was due, as if everything were of the lowest priority.
fn virtual_due<K>(lane: &Lane<K>) -> Timestamp {
    let begun = if lane.begun { BEGUN } else { Duration::ZERO };
    let head_start = AGEING * u32::from(lane.priority.level()) + begun;
    lane.due.saturating_sub(head_start).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
