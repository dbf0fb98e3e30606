//! Drives many runs of templates through one target, sending identical requests once.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::Ordering},
};

use checks::{
    Run, Step, Template, Verdict,
    exchange::{Certificate, Failure, Request, Response},
    request_key,
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use model::{FailReason, SkipReason};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::perform::Performer;
use crate::socket::Counters;

/// A response larger than this is handed to those who wait for it, and not kept for those who come later.
const CACHED_RESPONSE: usize = 256 << 10;
/// Bytes of responses kept for one unit, at most.
const CACHED_TOTAL: u64 = 2 << 20;
/// The part of what a unit may hold that they may take: nothing of them is given up before the unit ends.
const CACHED_PART: u64 = 4;

/// How far a drive may go.
pub(super) struct Drive<'a> {
    /// Requests under way at once.
    pub(super) concurrency: usize,
    /// When it must have ended.
    pub(super) deadline: Instant,
    /// Failures in a row after which the host counts as unresponsive.
    pub(super) failures_allowed: u32,
    /// Bytes of answers that the unit may hold, those that are kept for other templates included.
    pub(super) held_bytes: u64,
    /// Where shared requests are counted.
    pub(super) counters: &'a Counters,
    /// Somebody stopped the scan.
    pub(super) stop: &'a CancellationToken,
}

type Answer = Result<Response, Failure>;

/// One request and the runs that wait for its answer.
struct Slot {
    key: Option<u128>,
    runs: Vec<usize>,
    retry: Retry,
}

/// That nobody answers is said of one packet lost as well as of a host that is gone, and many templates may depend on the answer:
/// what can be shared is sent once more.
enum Retry {
    Possible(Request),
    /// It failed like this before.
    Under(Failure),
    Never,
}

struct Board<'v> {
    runs: Vec<(Arc<Template>, Option<Run>)>,
    slots: HashMap<usize, Slot>,
    next_slot: usize,
    by_key: HashMap<u128, usize>,
    ready: VecDeque<(usize, Request)>,
    answers: HashMap<u128, Answer>,
    answer_bytes: u64,
    most_answer_bytes: u64,
    shared: u64,
    settle: &'v mut (dyn FnMut(&Template, Verdict) + Send),
}

impl Board<'_> {
    /// Moves a run on until it waits for an answer that is not there yet, or is done.
    fn advance(&mut self, index: usize) {
        loop {
            let (template, slot) = &mut self.runs[index];
            let Some(run) = slot else { return };
            match run.next() {
                Step::Done(verdict) => {
                    *slot = None;
                    let template = Arc::clone(template);
                    (self.settle)(&template, verdict);
                    return;
                }
                Step::Send(request) => {
                    let key = request_key(&request);
                    if let Some(answer) = key.and_then(|key| self.answers.get(&key)) {
                        self.shared += 1;
                        run.receive(answer.clone());
                        continue;
                    }
                    if let Some(slot) =
                        key.and_then(|key| self.by_key.get(&key)).and_then(|id| self.slots.get_mut(id))
                    {
                        self.shared += 1;
                        slot.runs.push(index);
                        return;
                    }
                    let id = self.next_slot;
                    self.next_slot += 1;
                    if let Some(key) = key {
                        self.by_key.insert(key, id);
                    }
                    let retry = match key {
                        Some(_) => Retry::Possible(request.clone()),
                        None => Retry::Never,
                    };
                    self.slots.insert(id, Slot { key, runs: vec![index], retry });
                    self.ready.push_back((id, request));
                    return;
                }
            }
        }
    }

    fn answered(&mut self, id: usize, answer: Answer) {
        if let Err(failure) = &answer
            && failure.says_host_is_gone()
            && let Some(slot) = self.slots.get_mut(&id)
        {
            match std::mem::replace(&mut slot.retry, Retry::Under(failure.clone())) {
                Retry::Possible(request) => {
                    self.ready.push_back((id, request));
                    return;
                }
                before => slot.retry = before,
            }
        }
        let Some(slot) = self.slots.remove(&id) else { return };
        if let Some(key) = slot.key {
            self.by_key.remove(&key);
            let bytes = weight(&answer);
            let with = self.answer_bytes + bytes as u64;
            if bytes <= CACHED_RESPONSE && with <= self.most_answer_bytes {
                self.answer_bytes = with;
                self.answers.insert(key, answer.clone());
            }
        }
        for index in slot.runs {
            if let Some(run) = &mut self.runs[index].1 {
                run.receive(answer.clone());
            }
            self.advance(index);
        }
    }

    /// Ends every run that is not done, each with the reason; what had matched by then stays matched.
    fn give_up(&mut self, in_flight: &Failure, not_sent: &Failure) {
        let unsent: Vec<usize> = self.ready.drain(..).map(|(id, _)| id).collect();
        let mut waiting: Vec<usize> = self.slots.keys().copied().collect();
        waiting.sort_unstable();
        for id in waiting {
            let Some(slot) = self.slots.remove(&id) else { continue };
            let failure = match &slot.retry {
                Retry::Under(before) => before,
                _ if unsent.contains(&id) => not_sent,
                _ => in_flight,
            };
            for index in slot.runs {
                let (template, run) = &mut self.runs[index];
                let Some(run) = run.as_mut() else { continue };
                run.receive(Err(failure.clone()));
                let verdict = loop {
                    match run.next() {
                        Step::Send(_) => run.receive(Err(not_sent.clone())),
                        Step::Done(verdict) => break verdict,
                    }
                };
                let template = Arc::clone(template);
                self.runs[index].1 = None;
                (self.settle)(&template, verdict);
            }
        }
    }
}

fn weight(answer: &Answer) -> usize {
    const OVERHEAD: usize = 256;
    OVERHEAD
        + match answer {
            Ok(Response::Http(response)) => {
                response.head.len() * 2 + response.body.len() + response.request.len()
            }
            Ok(Response::Tcp(response)) => response.reads.iter().map(|(_, bytes)| bytes.len()).sum(),
            Ok(Response::Dns(response)) => {
                let sections = [&response.answers, &response.authority, &response.additional];
                sections.into_iter().flatten().map(|record| 128 + record.name.len() + record.data.len()).sum()
            }
            Ok(Response::Tls(response)) => {
                let names = |certificate: &Certificate| -> usize {
                    certificate.subject_an.iter().map(|name| 24 + name.len()).sum()
                };
                response.certificates.iter().map(|certificate| 2_048 + names(certificate)).sum()
            }
            Err(_) => 0,
        }
}

/// Takes every run to its end; each settles exactly once.
pub(super) async fn drive(
    runs: Vec<(Arc<Template>, Run)>,
    performer: &Performer<'_>,
    settings: &Drive<'_>,
    settle: &mut (dyn FnMut(&Template, Verdict) + Send),
) {
    let mut board = Board {
        runs: runs.into_iter().map(|(template, run)| (template, Some(run))).collect(),
        slots: HashMap::new(),
        next_slot: 0,
        by_key: HashMap::new(),
        ready: VecDeque::new(),
        answers: HashMap::new(),
        answer_bytes: 0,
        most_answer_bytes: CACHED_TOTAL.min(settings.held_bytes / CACHED_PART),
        shared: 0,
        settle,
    };
    for index in 0..board.runs.len() {
        board.advance(index);
    }
    let mut in_flight = FuturesUnordered::new();
    let mut failures_in_a_row = 0;
    loop {
        while in_flight.len() < settings.concurrency {
            let Some((id, request)) = board.ready.pop_front() else { break };
            in_flight.push(async move { (id, performer.perform(&request).await) });
        }
        if in_flight.is_empty() {
            break;
        }
        let next = tokio::select! {
            biased;
            () = settings.stop.cancelled() => {
                let stopped = Failure::Skipped(SkipReason::Cancelled);
                board.give_up(&stopped, &stopped);
                break;
            }
            () = tokio::time::sleep_until(settings.deadline) => {
                let late = Failure::Failed(FailReason::Deadline, "the host's deadline passed".to_owned());
                board.give_up(&late, &Failure::Skipped(SkipReason::Deadline));
                break;
            }
            next = in_flight.next() => next,
        };
        let Some((id, answer)) = next else { break };
        failures_in_a_row =
            if answer.as_ref().is_err_and(Failure::says_host_is_gone) { failures_in_a_row + 1 } else { 0 };
        board.answered(id, answer);
        if failures_in_a_row >= settings.failures_allowed {
            let gone = Failure::Skipped(SkipReason::HostUnresponsive);
            board.give_up(&gone, &gone);
            break;
        }
        // Matching a big response for many templates takes a while; let others have their turn.
        tokio::task::consume_budget().await;
    }
    settings.counters.shared.fetch_add(board.shared, Ordering::Relaxed);
}
