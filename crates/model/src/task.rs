//! The life of a task, as a pure function: what was asked, and what becomes of the task. Stores keep tasks and call this; they
//! decide nothing themselves, so that every store decides the same.
//!
//! A task is done at least once, and its result is committed once: each claim carries a lease number greater than the one
//! before, and what comes with an older number is refused (fencing; see Kleppmann, "How to do distributed locking", 2016).

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How often whoever leads looks for leases that have run out.
pub const RECLAIM_EVERY: Duration = Duration::from_secs(1);

/// One start of one worker process. Never the name of a machine or a pod: two of these can be alive under one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct WorkerId(u128);

impl From<WorkerId> for String {
    fn from(id: WorkerId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for WorkerId {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<WorkerId, Self::Error> {
        u128::from_str_radix(&text, 16).map(WorkerId)
    }
}

impl WorkerId {
    /// The caller brings the randomness.
    pub fn from_random(bits: u128) -> WorkerId {
        WorkerId(bits)
    }

    /// As it is stored.
    pub fn bits(self) -> u128 {
        self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Which claim of a task: grows with each one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct LeaseNumber(u64);

impl LeaseNumber {
    /// Of a task that nobody has claimed yet.
    pub const NONE: LeaseNumber = LeaseNumber(0);

    /// From how it is stored.
    pub fn from_stored(number: u64) -> LeaseNumber {
        LeaseNumber(number)
    }

    /// As it is stored.
    pub fn number(self) -> u64 {
        self.0
    }

    fn next(self) -> LeaseNumber {
        LeaseNumber(self.0 + 1)
    }
}

impl fmt::Display for LeaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
#[schema(as = TaskLife)]
pub enum Life {
    /// Waits for a worker.
    Queued {
        /// By the store's clock; earlier nobody gets it.
        not_before: Timestamp,
    },
    /// Somebody works on it.
    Running {
        /// Who.
        worker: WorkerId,
        /// Until when without another heartbeat.
        until: Timestamp,
        /// The worker is to stop: it hears of it at its next look.
        cancelling: bool,
    },
    /// There is a result.
    Completed,
    /// Somebody did not want it any more.
    Cancelled,
    /// It failed for good, and waits for a person.
    Dead {
        /// Why it is not tried again.
        why: Death,
    },
}

/// Why a task is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Death {
    /// As often as it may be tried.
    Attempts,
    /// Another try would fail the same way.
    Terminal,
}

impl Death {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Death::Attempts => "attempts",
            Death::Terminal => "terminal",
        }
    }

    /// From its word.
    pub fn from_word(word: &str) -> Option<Death> {
        [Death::Attempts, Death::Terminal].into_iter().find(|death| death.word() == word)
    }
}

/// What decides about a task, without what is to be done in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// Where it stands.
    pub life: Life,
    /// The last claim.
    pub lease: LeaseNumber,
    /// Claims that count: a worker that hands a task back has not tried it.
    pub attempts: u32,
    /// How often somebody brought it back from the dead.
    pub redriven: u32,
    /// What the last failure said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
}

/// How often and when a task is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetryPolicy {
    /// Claims that count; at least one.
    pub attempts: u32,
    /// Longest wait after the first failure.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::required")]
    #[schema(value_type = String, pattern = "^P", example = "PT2H")]
    pub base: Duration,
    /// Longest wait at all.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::required")]
    #[schema(value_type = String, pattern = "^P", example = "PT2H")]
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy { attempts: 5, base: Duration::from_secs(2), cap: Duration::from_secs(600) }
    }
}

impl RetryPolicy {
    /// Exponential with full jitter: anything from nothing to the whole, so that what failed together does not come back together
    /// (Brooker, "Exponential Backoff and Jitter", 2015). `dice` is uniform over all its values.
    pub fn wait(&self, attempts: u32, dice: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let whole = self.base.saturating_mul(1 << doublings).min(self.cap);
        whole.mul_f64(f64::from(dice) / f64::from(u32::MAX))
    }
}

/// How a worker failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFailure {
    /// What failed, on which value.
    pub message: String,
    /// May it be tried again?
    pub retry: Retry,
}

/// May a failed task be tried again?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It would fail the same way.
    Never,
    /// When the policy says.
    Later,
    /// Somebody said when, such as a `Retry-After` header (RFC 9110, 10.2.3): not sooner.
    NotBefore(Duration),
}

/// What is asked of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A worker wants it.
    Claim {
        /// Who.
        worker: WorkerId,
        /// For how long without a heartbeat.
        lease: Duration,
    },
    /// The worker is alive and at it.
    Heartbeat {
        /// Its claim.
        lease_number: LeaseNumber,
        /// For how long from now on.
        lease: Duration,
    },
    /// There is a result, committed with this.
    Complete {
        /// The worker's claim.
        lease_number: LeaseNumber,
    },
    /// There is none.
    Fail {
        /// The worker's claim.
        lease_number: LeaseNumber,
        /// Why.
        failure: TaskFailure,
    },
    /// The worker shuts down, or the scan is stopped: it has not tried.
    HandBack {
        /// The worker's claim.
        lease_number: LeaseNumber,
        /// Nobody can do it before that; at once without any.
        not_before: Option<Timestamp>,
    },
    /// Nobody has heard of the worker for as long as its lease.
    Reclaim,
    /// Nobody wants it any more.
    Cancel,
    /// A person wants a dead one to be tried again, from the beginning.
    Redrive,
}

/// What whoever asked has to know besides the new state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is so.
    Done,
    /// Go on, and show this number with whatever comes of it.
    Leased(LeaseNumber),
    /// Stop working on it, and say so.
    StopWork,
}

/// Why a command changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Somebody else has it by now, or it has ended: whatever was done counts for nothing.
    #[error("lease {shown} is over: the task is at lease {current} and {state}")]
    Fenced {
        /// What came with the command.
        shown: LeaseNumber,
        /// Where the task is.
        current: LeaseNumber,
        /// In a word.
        state: &'static str,
    },
    /// Not now.
    #[error("the task is not due before {0}")]
    NotDue(Timestamp),
    /// Its worker is alive.
    #[error("the lease lasts until {0}")]
    Leased(Timestamp),
    /// Not from where it stands.
    #[error("a task that is {0} cannot be asked that")]
    Wrong(&'static str),
}

impl Life {
    /// In a word.
    pub fn word(&self) -> &'static str {
        match self {
            Life::Queued { .. } => "queued",
            Life::Running { .. } => "running",
            Life::Completed => "completed",
            Life::Cancelled => "cancelled",
            Life::Dead { .. } => "dead",
        }
    }

    /// Nothing becomes of it by itself any more.
    pub fn has_ended(&self) -> bool {
        matches!(self, Life::Completed | Life::Cancelled | Life::Dead { .. })
    }
}

impl Task {
    /// A new one.
    pub fn new(not_before: Timestamp) -> Task {
        Task {
            life: Life::Queued { not_before },
            lease: LeaseNumber::NONE,
            attempts: 0,
            redriven: 0,
            last_failure: None,
        }
    }

    /// Was it begun before? Then it has its turn before those of its tenant that were not: a lost worker's task does not go to the
    /// end of a long line. What a person brought back from the dead waits like a new one, since there may be many of those.
    pub fn is_begun(&self) -> bool {
        self.lease > LeaseNumber::NONE && (self.attempts > 0 || self.redriven == 0)
    }

    /// What becomes of the task. `now` is the store's clock, `dice` is uniform over all its values. A refusal changes nothing.
    pub fn apply(
        &self,
        command: &Command,
        policy: &RetryPolicy,
        now: Timestamp,
        dice: u32,
    ) -> Result<(Task, Answer), Refused> {
        match command {
            Command::Claim { worker, lease } => self.claim(*worker, *lease, policy, now),
            Command::Heartbeat { lease_number, lease } => {
                let (worker, cancelling) = self.held(*lease_number)?;
                // A worker that is to stop gets no more time than it has.
                if cancelling {
                    return Ok((self.clone(), Answer::StopWork));
                }
                let life = Life::Running { worker, until: after(now, *lease), cancelling };
                Ok((Task { life, ..self.clone() }, Answer::Leased(*lease_number)))
            }
            Command::Complete { lease_number } => {
                // The result was there before the worker heard that nobody wants it: it is one.
                self.held(*lease_number)?;
                Ok((Task { life: Life::Completed, ..self.clone() }, Answer::Done))
            }
            Command::Fail { lease_number, failure } => {
                let (_, cancelling) = self.held(*lease_number)?;
                let failed = Task { last_failure: Some(failure.message.clone()), ..self.clone() };
                Ok((failed.after_a_try(cancelling, failure.retry, policy, now, dice), Answer::Done))
            }
            Command::HandBack { lease_number, not_before } => {
                let (_, cancelling) = self.held(*lease_number)?;
                let not_before = not_before.map_or(now, |not_before| not_before.max(now));
                let life = if cancelling { Life::Cancelled } else { Life::Queued { not_before } };
                let attempts = self.attempts.saturating_sub(1);
                Ok((Task { life, attempts, ..self.clone() }, Answer::Done))
            }
            Command::Reclaim => match self.life {
                Life::Running { until, .. } if now < until => Err(Refused::Leased(until)),
                Life::Running { worker, cancelling, .. } => {
                    let message = format!("worker {worker} was not heard of for as long as its lease");
                    let lost = Task { last_failure: Some(message), ..self.clone() };
                    Ok((lost.after_a_try(cancelling, Retry::Later, policy, now, dice), Answer::Done))
                }
                _ => Err(Refused::Wrong(self.life.word())),
            },
            Command::Cancel => match self.life {
                Life::Queued { .. } => Ok((Task { life: Life::Cancelled, ..self.clone() }, Answer::Done)),
                Life::Running { worker, until, .. } => {
                    let life = Life::Running { worker, until, cancelling: true };
                    Ok((Task { life, ..self.clone() }, Answer::Done))
                }
                _ => Err(Refused::Wrong(self.life.word())),
            },
            Command::Redrive => match self.life {
                Life::Dead { .. } => {
                    let life = Life::Queued { not_before: now };
                    let redriven = self.redriven + 1;
                    Ok((Task { life, attempts: 0, redriven, ..self.clone() }, Answer::Done))
                }
                _ => Err(Refused::Wrong(self.life.word())),
            },
        }
    }

    fn claim(
        &self,
        worker: WorkerId,
        lease: Duration,
        policy: &RetryPolicy,
        now: Timestamp,
    ) -> Result<(Task, Answer), Refused> {
        match self.life {
            Life::Queued { not_before } if now < not_before => Err(Refused::NotDue(not_before)),
            // A task whose workers die, or that a policy was lowered for: it must not be tried for ever.
            Life::Queued { .. } if self.attempts >= policy.attempts.max(1) => {
                Ok((Task { life: Life::Dead { why: Death::Attempts }, ..self.clone() }, Answer::Done))
            }
            Life::Queued { .. } => {
                let number = self.lease.next();
                let claimed = Task {
                    life: Life::Running { worker, until: after(now, lease), cancelling: false },
                    lease: number,
                    attempts: self.attempts + 1,
                    ..self.clone()
                };
                Ok((claimed, Answer::Leased(number)))
            }
            _ => Err(Refused::Wrong(self.life.word())),
        }
    }

    /// Who holds the task by that claim, and whether it is to stop. A lease that has run out holds as long as nobody reclaimed it.
    fn held(&self, shown: LeaseNumber) -> Result<(WorkerId, bool), Refused> {
        match self.life {
            Life::Running { worker, cancelling, .. } if shown == self.lease => Ok((worker, cancelling)),
            _ => Err(Refused::Fenced { shown, current: self.lease, state: self.life.word() }),
        }
    }

    fn after_a_try(
        self,
        cancelling: bool,
        retry: Retry,
        policy: &RetryPolicy,
        now: Timestamp,
        dice: u32,
    ) -> Task {
        let wait = policy.wait(self.attempts, dice);
        let life = match retry {
            _ if cancelling => Life::Cancelled,
            Retry::Never => Life::Dead { why: Death::Terminal },
            _ if self.attempts >= policy.attempts.max(1) => Life::Dead { why: Death::Attempts },
            Retry::Later => Life::Queued { not_before: after(now, wait) },
            Retry::NotBefore(least) => Life::Queued { not_before: after(now, wait.max(least)) },
        };
        Task { life, ..self }
    }
}

/// At the end of time at the latest.
fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
