//! One event after the other.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    DECISION_EVERY, FROZEN_FOR, HEARTBEAT_EVERY, Outcome, RECLAIM_EVERY, START, Sample, Scenario, Staffing,
    between, demand,
    generator::{Generator, Stream},
    pool::Pool,
    queue::{Claim, Queue},
};
use crate::scaling::{Decision, Pace, paced_workers, wanted_workers};

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A request comes.
    Arrive { task: usize },
    /// A worker has started.
    Ready { worker: usize },
    /// A worker is done with a task.
    Finish { worker: usize, claim: Claim },
    /// Nodes are lost.
    Lose,
    /// Workers that were on them start elsewhere.
    Replace { count: u64 },
    /// A worker that is not expected any more hands in what it has.
    HandIn { claim: Claim },
    /// Somebody looks for leases that have run out.
    Reclaim,
    /// A task that was given back is due.
    Due,
    /// The autoscaler looks at the queue.
    Decide,
    /// What there is to be seen is written down.
    Look,
}

pub(super) struct Engine<'a> {
    scenario: &'a Scenario,
    now: Timestamp,
    events: BinaryHeap<Reverse<(Timestamp, u64, Event)>>,
    /// Of what happens at the same time, what was planned first happens first.
    planned: u64,
    queue: Queue,
    pool: Pool,
    backoff: Generator,
    nodes: Generator,
    reclaim_planned: bool,
    /// Since when there has been nothing to do.
    idle_since: Option<Timestamp>,
    past: VecDeque<Decision>,
    wanted: u64,
    first_ready: Option<Timestamp>,
    samples: Vec<Sample>,
}

impl<'a> Engine<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Engine<'a> {
        let requests = demand::requests(scenario);
        let mut engine = Engine {
            scenario,
            now: START,
            events: BinaryHeap::new(),
            planned: 0,
            queue: Queue::new(requests, scenario.tenants + 1),
            pool: Pool::new(scenario.workers_a_node),
            backoff: Generator::new(scenario.seed, Stream::Backoff),
            nodes: Generator::new(scenario.seed, Stream::Nodes),
            reclaim_planned: false,
            idle_since: None,
            past: VecDeque::new(),
            wanted: 0,
            first_ready: None,
            samples: Vec::new(),
        };
        match scenario.workers {
            Staffing::Fixed { workers } => {
                engine.wanted = u64::from(workers);
                for worker in engine.pool.scale(engine.wanted) {
                    engine.plan(START, Event::Ready { worker });
                }
            }
            // There was nothing to do before the day began.
            Staffing::Scaled(pace) => {
                engine.idle_since = START.saturating_sub(pace.cooldown()).ok();
                engine.plan(START, Event::Decide);
            }
        }
        for task in 0..engine.queue.entries.len() {
            engine.plan(engine.queue.entries[task].request.at, Event::Arrive { task });
        }
        if let Some(loss) = scenario.loss {
            engine.plan(START + loss.at, Event::Lose);
        }
        engine.plan(START + MINUTE, Event::Look);
        engine
    }

    fn plan(&mut self, at: Timestamp, event: Event) {
        self.events.push(Reverse((at, self.planned, event)));
        self.planned += 1;
    }

    pub(super) fn run(mut self) -> Outcome {
        while !self.is_over() {
            let Some(Reverse((at, _, event))) = self.events.pop() else { break };
            self.pool.count_until(at);
            self.now = at;
            self.happen(event);
            if self.queue.depth() == 0 {
                self.idle_since.get_or_insert(self.now);
            }
        }
        self.look();
        Outcome::new(self.scenario, &self.queue, &self.pool, self.samples, self.first_ready, self.now)
    }

    fn is_over(&self) -> bool {
        let scales = matches!(self.scenario.workers, Staffing::Scaled(_));
        self.queue.all_ended() && (!scales || self.pool.is_empty())
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { task } => {
                self.queue.arrive(task);
                self.idle_since = None;
                self.wake();
            }
            Event::Ready { worker } => {
                if self.pool.become_ready(worker) {
                    self.first_ready.get_or_insert(self.now);
                    self.claim(worker);
                }
            }
            Event::Finish { worker, claim } => {
                if let Some(goes_on) = self.pool.finish(worker, claim) {
                    self.queue.complete(claim, self.now);
                    if goes_on {
                        self.claim(worker);
                    }
                }
            }
            Event::Lose => self.lose_nodes(),
            Event::Replace { count } => {
                let started = self.pool.replace(count);
                self.started(started);
            }
            Event::HandIn { claim } => self.queue.complete(claim, self.now),
            Event::Reclaim => {
                self.reclaim_planned = false;
                let backoff = &mut self.backoff;
                for due in self.queue.reclaim(self.now, || (backoff.next() >> 32) as u32) {
                    self.plan(due, Event::Due);
                }
                self.plan_reclaim();
            }
            Event::Due => self.wake(),
            Event::Decide => {
                if let Staffing::Scaled(pace) = self.scenario.workers {
                    self.decide(&pace);
                }
            }
            Event::Look => {
                self.look();
                self.plan(self.now + MINUTE, Event::Look);
            }
        }
    }

    /// The doorbell: one worker that has nothing to do looks.
    fn wake(&mut self) {
        if let Some(worker) = self.pool.first_idle() {
            self.claim(worker);
        }
    }

    fn claim(&mut self, worker: usize) {
        let claimant = &mut self.pool.workers[worker];
        let Some(claim) = self.queue.claim(claimant.id, &mut claimant.turns, self.now) else { return };
        self.pool.begin(worker, claim, self.now);
        let service = self.queue.entries[claim.task].request.service;
        self.plan(self.now + service, Event::Finish { worker, claim });
    }

    fn lose_nodes(&mut self) {
        let Some(loss) = self.scenario.loss else { return };
        let before = self.pool.wanted();
        let casualties = self.pool.lose_nodes(loss.count, &mut self.nodes);
        debug_assert_eq!(self.pool.wanted(), before, "what is lost is missing");
        let count = casualties.len() as u64;
        for casualty in casualties {
            let Some((claim, begun)) = casualty.work else { continue };
            let beats = between(begun, self.now).as_millis() / HEARTBEAT_EVERY.as_millis();
            let last = begun + HEARTBEAT_EVERY * u32::try_from(beats).unwrap_or(u32::MAX);
            self.queue.last_heartbeat(claim, last, self.now);
            if casualty.comes_back {
                let service = self.queue.entries[claim.task].request.service;
                self.plan(begun + service + FROZEN_FOR, Event::HandIn { claim });
            }
        }
        self.plan(self.now + self.scenario.replaced_after, Event::Replace { count });
        self.plan_reclaim();
    }

    fn plan_reclaim(&mut self) {
        if !self.reclaim_planned && self.queue.has_silent() {
            self.reclaim_planned = true;
            self.plan(next_multiple(self.now, RECLAIM_EVERY), Event::Reclaim);
        }
    }

    fn decide(&mut self, pace: &Pace) {
        let idle = self.idle_since.is_some_and(|since| between(since, self.now) >= pace.cooldown());
        let wanted = wanted_workers(self.queue.depth(), idle);
        let from = self.pool.wanted();
        let to = paced_workers(from, wanted, self.past.make_contiguous(), self.now, pace);
        self.past.push_back(Decision { at: self.now, wanted, from, to });
        while self.past.front().is_some_and(|oldest| between(oldest.at, self.now) > pace.memory()) {
            self.past.pop_front();
        }
        self.wanted = wanted;
        let started = self.pool.scale(to);
        self.started(started);
        self.plan(self.now + DECISION_EVERY, Event::Decide);
    }

    fn started(&mut self, workers: Vec<usize>) {
        for worker in workers {
            self.plan(self.now + self.scenario.start, Event::Ready { worker });
        }
    }

    fn look(&mut self) {
        let flood_waiting = self.queue.waiting_of(self.scenario.tenants);
        self.samples.push(Sample {
            at_seconds: between(START, self.now).as_secs_f64(),
            others_waiting: self.queue.waiting - flood_waiting,
            flood_waiting,
            running: self.queue.running,
            ended: self.queue.ended,
            workers_wanted: self.wanted,
            workers_asked_for: self.pool.wanted(),
            workers_ready: self.pool.ready(),
            cost: cost(self.pool.paid, self.scenario),
        });
    }
}

/// What so many milliseconds of workers cost.
pub(super) fn cost(milliseconds: u128, scenario: &Scenario) -> f64 {
    let exact = milliseconds as f64 / 3_600_000.0 * scenario.price_of_worker_hour;
    (exact * 10_000.0).round() / 10_000.0
}

/// The next time that is a whole number of lengths from the beginning.
fn next_multiple(now: Timestamp, length: Duration) -> Timestamp {
    let (passed, length) = (between(START, now).as_millis() as u64, length.as_millis() as u64);
    START + Duration::from_millis((passed / length + 1) * length)
}
