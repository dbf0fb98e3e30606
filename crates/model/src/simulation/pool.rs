//! Workers and the nodes they are on.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{between, generator::Generator, queue::Claim};
use crate::{WorkerId, fairness::Turns};

pub(super) struct Worker {
    pub(super) id: WorkerId,
    node: usize,
    /// Whom it has served: each worker knows of itself only.
    pub(super) turns: Turns,
    /// What it is at, and since when.
    pub(super) work: Option<(Claim, Timestamp)>,
}

/// Where workers stand. Each one is in one of these, or gone.
#[derive(Default)]
pub(super) struct Pool {
    pub(super) workers: Vec<Worker>,
    starting: BTreeSet<usize>,
    idle: BTreeSet<usize>,
    busy: BTreeSet<usize>,
    /// They end what they are at, and take nothing new.
    draining: BTreeSet<usize>,
    /// Lost with their nodes and not replaced yet.
    missing: u64,
    nodes: Vec<Node>,
    workers_a_node: u32,
    counted_until: Timestamp,
    /// Time of workers that are paid for, and that are at work, in milliseconds.
    pub(super) paid: u128,
    pub(super) worked: u128,
}

struct Node {
    workers: u32,
    lost: bool,
}

/// A worker that was lost.
pub(super) struct Casualty {
    pub(super) work: Option<(Claim, Timestamp)>,
    /// Its node comes back when nobody expects it any more.
    pub(super) comes_back: bool,
}

impl Pool {
    pub(super) fn new(workers_a_node: u32) -> Pool {
        Pool { workers_a_node, ..Pool::default() }
    }

    /// Workers that are to be there: those that are not draining, and those that will be replaced.
    pub(super) fn wanted(&self) -> u64 {
        self.ready_or_starting() + self.missing
    }

    /// Workers that take tasks.
    pub(super) fn ready(&self) -> u64 {
        (self.idle.len() + self.busy.len()) as u64
    }

    fn ready_or_starting(&self) -> u64 {
        self.ready() + self.starting.len() as u64
    }

    /// Nobody is there and nobody will be.
    pub(super) fn is_empty(&self) -> bool {
        self.wanted() == 0 && self.draining.is_empty()
    }

    /// Adds up what workers cost until now; to be called before their number changes.
    pub(super) fn count_until(&mut self, now: Timestamp) {
        let passed = between(self.counted_until, now).as_millis();
        self.paid += passed * u128::from(self.ready_or_starting() + self.draining.len() as u64);
        self.worked += passed * (self.busy.len() + self.draining.len()) as u128;
        self.counted_until = now;
    }

    /// More or fewer workers; those that start.
    pub(super) fn scale(&mut self, to: u64) -> Vec<usize> {
        let current = self.wanted();
        if to >= current {
            return self.start(to - current);
        }
        for _ in to..current {
            // As Kubernetes does it: first those that are not ready, then those at which there is least to lose, the newest first.
            if self.missing > 0 {
                self.missing -= 1;
            } else if let Some(worker) = self.starting.pop_last().or_else(|| self.idle.pop_last()) {
                self.leave(worker);
            } else if let Some(worker) = self.busy.pop_last() {
                self.draining.insert(worker);
            }
        }
        Vec::new()
    }

    /// Starts what was lost with its nodes, as far as it is still wanted.
    pub(super) fn replace(&mut self, count: u64) -> Vec<usize> {
        let count = count.min(self.missing);
        self.missing -= count;
        self.start(count)
    }

    fn start(&mut self, count: u64) -> Vec<usize> {
        let begin = self.workers.len();
        for number in begin..begin + count as usize {
            let node = self.place();
            let id = WorkerId::from_random(number as u128);
            self.workers.push(Worker { id, node, turns: Turns::default(), work: None });
            self.starting.insert(number);
        }
        (begin..self.workers.len()).collect()
    }

    /// The first node with room.
    fn place(&mut self) -> usize {
        let room = |node: &Node| !node.lost && node.workers < self.workers_a_node;
        let node = self.nodes.iter().position(room).unwrap_or_else(|| {
            self.nodes.push(Node { workers: 0, lost: false });
            self.nodes.len() - 1
        });
        self.nodes[node].workers += 1;
        node
    }

    fn leave(&mut self, worker: usize) {
        self.nodes[self.workers[worker].node].workers -= 1;
    }

    /// A worker has started, unless it was not wanted any more.
    pub(super) fn become_ready(&mut self, worker: usize) -> bool {
        self.starting.remove(&worker) && self.idle.insert(worker)
    }

    /// One that has nothing to do.
    pub(super) fn first_idle(&self) -> Option<usize> {
        self.idle.first().copied()
    }

    pub(super) fn begin(&mut self, worker: usize, claim: Claim, now: Timestamp) {
        self.idle.remove(&worker);
        self.busy.insert(worker);
        self.workers[worker].work = Some((claim, now));
    }

    /// A worker is done with what it was at; whether it takes something new. Nothing when it was lost before.
    pub(super) fn finish(&mut self, worker: usize, claim: Claim) -> Option<bool> {
        let work = &mut self.workers[worker].work;
        if work.is_none_or(|(held, _)| held != claim) {
            return None;
        }
        *work = None;
        if self.busy.remove(&worker) {
            self.idle.insert(worker);
            return Some(true);
        }
        self.draining.remove(&worker);
        self.leave(worker);
        Some(false)
    }

    /// Some nodes are gone, and what was on them.
    pub(super) fn lose_nodes(&mut self, count: u32, chance: &mut Generator) -> Vec<Casualty> {
        let mut lost = BTreeSet::new();
        let mut comes_back = BTreeSet::new();
        for turn in 0..count {
            let used: Vec<usize> = (0..self.nodes.len())
                .filter(|node| !self.nodes[*node].lost && self.nodes[*node].workers > 0)
                .collect();
            if used.is_empty() {
                break;
            }
            let node = used[(chance.fraction() * used.len() as f64) as usize];
            self.nodes[node].lost = true;
            lost.insert(node);
            if turn % 2 == 0 {
                comes_back.insert(node);
            }
        }
        let mut casualties = Vec::new();
        for (number, worker) in self.workers.iter_mut().enumerate() {
            if !lost.contains(&worker.node) {
                continue;
            }
            let was_wanted = [&mut self.starting, &mut self.idle, &mut self.busy]
                .into_iter()
                .any(|place| place.remove(&number));
            if was_wanted {
                self.missing += 1;
            }
            if was_wanted || self.draining.remove(&number) {
                let comes_back = comes_back.contains(&worker.node);
                casualties.push(Casualty { work: worker.work.take(), comes_back });
            }
        }
        casualties
    }
}
