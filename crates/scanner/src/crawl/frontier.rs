//! What is known, what waits, and what was passed over: first found, first fetched, so by depth. Bounded in memory.

use std::collections::{HashMap, HashSet, VecDeque};

use model::Allowance;

use super::{
    CrawlOptions, PassedOver,
    folding::{Admission, Entry, Folding},
    sieve::{Candidate, Refusal},
};

/// Distinct targets remembered for each one that may wait: what was refused is remembered too.
const KNOWN_PER_WAITING: usize = 8;

/// The queue, and the memory of what was in it.
pub(super) struct Frontier {
    queue: VecDeque<Entry>,
    known: HashSet<u64>,
    /// For which there was no room when they were found. Found again they have another chance.
    refused: HashSet<u64>,
    /// Distinct queries accepted, by path.
    queries: HashMap<u64, u32>,
    /// Pages accepted, by shape of calendar.
    calendars: HashMap<u64, u32>,
    folding: Folding,
    depth: u32,
    hops: u32,
    capacity: usize,
    queries_per_path: u32,
    pages_per_calendar: u32,
    passed_over: PassedOver,
    accepted: u64,
    allowance: Allowance,
}

impl Frontier {
    pub(super) fn new(depth: u32, hops: u32, options: &CrawlOptions, allowance: Allowance) -> Frontier {
        Frontier {
            allowance,
            queue: VecDeque::new(),
            known: HashSet::new(),
            refused: HashSet::new(),
            queries: HashMap::new(),
            calendars: HashMap::new(),
            folding: Folding::new(options.fold_after),
            depth,
            hops,
            capacity: options.queue.max(1) as usize,
            queries_per_path: options.queries_per_path,
            pages_per_calendar: options.pages_per_calendar,
            passed_over: PassedOver::default(),
            accepted: 0,
        }
    }

    /// Takes in a candidate found at a depth after some redirects. True when it was not known before.
    pub(super) fn offer(&mut self, candidate: Candidate, depth: u32, hops: u32) -> bool {
        let key = candidate.key;
        if self.known.contains(&key) {
            return false;
        }
        let was_refused = self.refused.contains(&key);
        let remembered = self.known.len() + self.refused.len() - usize::from(was_refused);
        if remembered >= self.capacity.saturating_mul(KNOWN_PER_WAITING) {
            self.passed_over.queue_full += 1;
            return false;
        }
        let count = match candidate.refusal {
            Some(Refusal::Disallowed) => &mut self.passed_over.disallowed,
            Some(Refusal::StateChanging) => &mut self.passed_over.state_changing,
            Some(Refusal::Trap) => &mut self.passed_over.traps,
            Some(Refusal::Media) => &mut self.passed_over.media,
            None if depth > self.depth => &mut self.passed_over.too_deep,
            None if hops > self.hops || self.is_endless(&candidate) => &mut self.passed_over.traps,
            None if self.queue.len() >= self.capacity => &mut self.passed_over.queue_full,
            None => {
                let Ok(held) = self.allowance.charge_waiting(Frontier::weight(&candidate.target)) else {
                    return self.refused.insert(key);
                };
                self.note(&candidate);
                let Candidate { target, shape, variable, .. } = candidate;
                self.queue.push_back(Entry { target, depth, hops, shape, variable, _held: held });
                &mut self.accepted
            }
        };
        *count += 1;
        self.refused.remove(&key);
        self.known.insert(key);
        !was_refused
    }

    /// So many more were found where only so many are taken in.
    pub(super) fn pass_over(&mut self, beyond: u64) {
        self.passed_over.queue_full += beyond;
    }

    /// The room that a target takes while it waits.
    pub(super) fn weight(target: &str) -> u64 {
        (size_of::<Entry>() + target.len()) as u64
    }

    /// Calendars and queries without end are cut off by number, whatever the pages look like.
    fn is_endless(&self, candidate: &Candidate) -> bool {
        let count = |counts: &HashMap<u64, u32>, of: u64| counts.get(&of).copied().unwrap_or_default();
        let of_calendar =
            candidate.calendar && count(&self.calendars, candidate.shape) >= self.pages_per_calendar;
        let of_query = |path: u64| count(&self.queries, path) >= self.queries_per_path;
        of_calendar || candidate.queried_path.is_some_and(of_query)
    }

    /// Counts what was accepted.
    fn note(&mut self, candidate: &Candidate) {
        if candidate.calendar {
            *self.calendars.entry(candidate.shape).or_default() += 1;
        }
        if let Some(path) = candidate.queried_path {
            *self.queries.entry(path).or_default() += 1;
        }
    }

    /// The next target to fetch now; none may also mean that all that is left waits for pages under way.
    pub(super) fn next(&mut self) -> Option<Entry> {
        loop {
            match self.folding.admit(self.queue.pop_front()?) {
                Admission::Now(entry) => return Some(entry),
                Admission::Waits => {}
                Admission::Folded => self.passed_over.folded += 1,
            }
        }
    }

    /// Notes how a fetched page looked.
    pub(super) fn settle(&mut self, shape: u64, variable: bool, skeleton: u64) {
        if variable {
            let settled = self.folding.settle(shape, skeleton);
            self.passed_over.folded += settled.folded;
            // To the front: they were found before what stands in the queue now.
            for entry in settled.released.into_iter().rev() {
                self.queue.push_front(entry);
            }
        }
    }

    /// Does anything wait?
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.folding.waiting() == 0
    }

    /// What was not fetched, when `fetched` of the accepted targets answered or failed.
    pub(super) fn close(self, fetched: u64) -> PassedOver {
        let not_reached = self.accepted.saturating_sub(fetched + self.passed_over.folded);
        PassedOver { not_reached, no_room: self.refused.len() as u64, ..self.passed_over }
    }

    /// Distinct targets seen so far.
    pub(super) fn found(&self) -> u64 {
        let PassedOver {
            disallowed,
            state_changing,
            traps,
            media,
            too_deep,
            queue_full,
            folded: _,
            no_room: _,
            not_reached: _,
        } = self.passed_over;
        let refused = self.refused.len() as u64;
        self.accepted + disallowed + state_changing + traps + media + too_deep + queue_full + refused
    }
}

#[cfg(test)]
mod tests;
