//! Tasks and their lanes, as a store keeps them: which is next and what becomes of it is decided elsewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use uuid::Uuid;

use super::{LEASE, demand::Request, retries};
use crate::{
    LeaseNumber, Priority, Task, TenantId, WorkerId,
    fairness::{Lane, Share, Turns},
    task::{Answer, Command, Life, Refused},
};

/// What became of one request.
pub(super) struct Entry {
    pub(super) request: Request,
    pub(super) task: Task,
    /// When a worker began for the first time.
    pub(super) begun: Option<Timestamp>,
    /// Its worker was lost then.
    pub(super) lost: Option<Timestamp>,
    /// From then until another one began.
    pub(super) again: Option<Duration>,
    /// From the request until the end.
    pub(super) ended: Option<Timestamp>,
    /// Results that were committed.
    pub(super) results: u32,
}

/// Which claim of which task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    pub(super) task: usize,
    pub(super) lease: LeaseNumber,
}

/// Where tasks wait: tenant, priority, begun before or not.
type LaneKey = (u32, Priority, bool);

pub(super) struct Queue {
    pub(super) entries: Vec<Entry>,
    /// Tasks that wait, by when they are due; no lane is empty.
    lanes: BTreeMap<LaneKey, BTreeSet<(Timestamp, usize)>>,
    shares: BTreeMap<TenantId, Share>,
    /// Tasks of silent workers.
    silent: BTreeSet<usize>,
    pub(super) waiting: u64,
    pub(super) running: u64,
    pub(super) ended: u64,
    /// Results that came with a lease that was over.
    pub(super) refused: u64,
}

impl Queue {
    pub(super) fn new(requests: Vec<Request>, tenants: u32) -> Queue {
        // What a new tenant is given.
        let share = Share { weight: 1, in_flight: 0, most_in_flight: 10_000 };
        let entries = requests.into_iter().map(|request| Entry {
            task: Task::new(request.at),
            request,
            begun: None,
            lost: None,
            again: None,
            ended: None,
            results: 0,
        });
        Queue {
            entries: entries.collect(),
            lanes: BTreeMap::new(),
            shares: (0..tenants).map(|tenant| (tenant_id(tenant), share)).collect(),
            silent: BTreeSet::new(),
            waiting: 0,
            running: 0,
            ended: 0,
            refused: 0,
        }
    }

    /// Tasks that wait or run.
    pub(super) fn depth(&self) -> u64 {
        self.waiting + self.running
    }

    /// Tasks of one tenant that wait.
    pub(super) fn waiting_of(&self, tenant: u32) -> u64 {
        let lanes = self.lanes.range((tenant, Priority::Low, false)..=(tenant, Priority::Urgent, true));
        lanes.map(|(_, lane)| lane.len() as u64).sum()
    }

    /// A request is there.
    pub(super) fn arrive(&mut self, task: usize) {
        let due = self.entries[task].request.at;
        self.wait(task, due);
    }

    fn wait(&mut self, task: usize, due: Timestamp) {
        let Entry { request, task: state, .. } = &self.entries[task];
        let lane = (request.tenant, request.priority, state.is_begun());
        self.lanes.entry(lane).or_default().insert((due, task));
        self.waiting += 1;
    }

    /// What a worker with room for one task gets, if anything is due.
    pub(super) fn claim(&mut self, worker: WorkerId, turns: &mut Turns, now: Timestamp) -> Option<Claim> {
        let lanes: Vec<Lane<LaneKey>> = self
            .lanes
            .iter()
            .filter_map(|(key, tasks)| {
                let (due, _) = *tasks.first()?;
                let lane = Lane { key: *key, tenant: tenant_id(key.0), priority: key.1, begun: key.2, due };
                (due <= now).then_some(lane)
            })
            .collect();
        if lanes.is_empty() {
            return None;
        }
        let (key, _) = turns.pick(&lanes, &self.shares, 1).into_iter().next()?;
        let lane = self.lanes.get_mut(&key)?;
        let (_, task) = lane.pop_first()?;
        if lane.is_empty() {
            self.lanes.remove(&key);
        }
        self.waiting -= 1;
        let Ok(Answer::Leased(lease)) = self.apply(task, &Command::Claim { worker, lease: LEASE }, now, 0)
        else {
            return None;
        };
        let tenant = tenant_id(key.0);
        if let Some(share) = self.shares.get_mut(&tenant) {
            share.in_flight += 1;
            turns.served(tenant, share.weight, 1);
        }
        self.running += 1;
        let entry = &mut self.entries[task];
        entry.begun.get_or_insert(now);
        if let Some(lost) = entry.lost.take() {
            let waited = super::between(lost, now);
            entry.again = Some(entry.again.map_or(waited, |before| before.max(waited)));
        }
        Some(Claim { task, lease })
    }

    /// The last that was heard of a worker. Those before it changed nothing but for how long the lease lasts.
    pub(super) fn last_heartbeat(&mut self, claim: Claim, at: Timestamp, now: Timestamp) {
        let command = Command::Heartbeat { lease_number: claim.lease, lease: LEASE };
        if self.apply(claim.task, &command, at, 0).is_ok() {
            self.entries[claim.task].lost = Some(now);
            self.silent.insert(claim.task);
        }
    }

    /// A worker hands in its result.
    pub(super) fn complete(&mut self, claim: Claim, now: Timestamp) {
        match self.apply(claim.task, &Command::Complete { lease_number: claim.lease }, now, 0) {
            Ok(_) => {
                self.entries[claim.task].results += 1;
                self.silent.remove(&claim.task);
                self.stop_running(claim.task);
                self.end(claim.task, now);
            }
            Err(_) => self.refused += 1,
        }
    }

    /// Gives back what silent workers had, as far as their leases are over; when it is due again. `dice` as for [`Task::apply`].
    pub(super) fn reclaim(&mut self, now: Timestamp, mut dice: impl FnMut() -> u32) -> Vec<Timestamp> {
        let mut due_again = Vec::new();
        for task in std::mem::take(&mut self.silent) {
            match self.apply(task, &Command::Reclaim, now, dice()) {
                Ok(_) => self.stop_running(task),
                Err(Refused::Leased(_)) => {
                    self.silent.insert(task);
                    continue;
                }
                Err(_) => continue,
            }
            match self.entries[task].task.life {
                Life::Queued { not_before } => {
                    self.wait(task, not_before);
                    due_again.push(not_before);
                }
                _ => self.end(task, now),
            }
        }
        due_again
    }

    pub(super) fn has_silent(&self) -> bool {
        !self.silent.is_empty()
    }

    pub(super) fn all_ended(&self) -> bool {
        self.ended == self.entries.len() as u64
    }

    fn apply(
        &mut self,
        task: usize,
        command: &Command,
        now: Timestamp,
        dice: u32,
    ) -> Result<Answer, Refused> {
        let entry = &mut self.entries[task];
        let (after, answer) = entry.task.apply(command, &retries(), now, dice)?;
        entry.task = after;
        Ok(answer)
    }

    fn stop_running(&mut self, task: usize) {
        self.running -= 1;
        if let Some(share) = self.shares.get_mut(&tenant_id(self.entries[task].request.tenant)) {
            share.in_flight -= 1;
        }
    }

    fn end(&mut self, task: usize, now: Timestamp) {
        self.entries[task].ended = Some(now);
        self.ended += 1;
    }
}

fn tenant_id(number: u32) -> TenantId {
    TenantId::new(Uuid::from_u128(u128::from(number) + 1))
}
