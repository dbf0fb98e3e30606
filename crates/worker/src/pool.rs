//! The claim loop: takes as many tasks as there is room for, and gives back what it cannot finish.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt;
use model::{
    Stage, WorkerId,
    fairness::Turns,
    task::{Retry, TaskFailure},
};
use store::{ClaimRequest, Claimed, Ending, Introduction, Settlement, Store, StoreError};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{
    Instrument,
    field::{Empty, display},
};

use crate::{
    doorbell::{Bell, Doorbell},
    engines::sends,
    figures::{End, PoolFigures},
    held::{Holdings, Permission},
    presence::Presence,
    pulse::Pulse,
    settler,
    stages::Stages,
};

/// How long a process may be silent before others get its tasks, unless somebody says otherwise.
pub const LEASE: Duration = Duration::from_secs(30);
/// Where Linux says what this machine is called.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";
/// Claims take at most so many tasks: the more, the longer others wait for what this process has not begun.
const CLAIM: usize = 128;
/// How long somebody waits who was not rung for.
const POLL: Duration = Duration::from_secs(1);

/// What a pool is for.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Tasks of these stages.
    pub stages: Vec<Stage>,
    /// Tasks at once.
    pub concurrency: usize,
    /// How long tasks may go on when the process is to end; what is not done by then is handed back.
    pub drain: Duration,
    /// How long this process may be silent before others get its tasks.
    pub lease: Duration,
}

/// Workers of one process.
pub struct Pool {
    id: WorkerId,
    store: Store,
    doorbell: Arc<dyn Doorbell>,
    stages: Arc<Stages>,
    options: PoolOptions,
    holdings: Arc<Holdings>,
    figures: Arc<PoolFigures>,
}

impl Pool {
    /// A pool that does nothing yet.
    pub fn new(store: Store, doorbell: Arc<dyn Doorbell>, stages: Arc<Stages>, options: PoolOptions) -> Pool {
        let (id, holdings) = (WorkerId::from_random(rand::random()), Arc::new(Holdings::new()));
        let figures = Arc::new(PoolFigures::new(options.concurrency, holdings.permission()));
        Pool { id, store, doorbell, stages, options, holdings, figures }
    }

    /// What whoever watches it sees.
    pub fn figures(&self) -> Arc<PoolFigures> {
        Arc::clone(&self.figures)
    }

    /// Works until told to stop, then drains.
    pub async fn run(self, stop: CancellationToken) -> std::io::Result<()> {
        let holdings = Arc::clone(&self.holdings);
        let pulse = Pulse::start(
            self.store.clone(),
            Arc::clone(&self.doorbell),
            Arc::clone(&self.stages),
            Arc::clone(&holdings),
            self.id,
            self.options.lease,
        )?;
        let presence = Presence::begin(self.store.clone(), self.introduction(), stop.clone());
        let (ended, to_settle) = mpsc::channel(1_024);
        let (store, doorbell) = (self.store.clone(), Arc::clone(&self.doorbell));
        let lease = self.options.lease;
        let settling =
            tokio::spawn(settler::settle(store, doorbell, Arc::clone(&holdings), lease, to_settle));
        let (stages, store) = (Arc::clone(&self.stages), self.store.clone());
        let granting = tokio::spawn(async move { stages.engines.quotas.tend(&store).await });
        let mut running = JoinSet::new();
        self.claim_until(&stop, &holdings, &mut running, &ended).await;
        self.drain(&holdings, &mut running).await;
        drop(ended);
        granting.abort();
        if let Err(error) = self.stages.engines.quotas.give_back(&self.store).await {
            tracing::warn!(%error, "packets that were granted and not sent are lost to their scans");
        }
        // What it cannot settle it has said.
        let _ = settling.await;
        drop(pulse);
        presence.end().await;
        Ok(())
    }

    fn introduction(&self) -> Introduction {
        Introduction {
            worker: self.id,
            stages: self.options.stages.clone(),
            version: env!("CARGO_PKG_VERSION"),
            concurrency: self.options.concurrency,
            // In a container the name of its pod.
            machine: std::fs::read_to_string(HOSTNAME).ok().map(|name| name.trim().to_owned()),
        }
    }

    /// Says that somebody is here before anybody is told so; [`Pool::run`] goes on saying it.
    pub async fn introduce(&self) -> Result<(), StoreError> {
        self.store.worker_is_there(self.introduction()).await
    }

    async fn claim_until(
        &self,
        stop: &CancellationToken,
        holdings: &Arc<Holdings>,
        running: &mut JoinSet<()>,
        ended: &mpsc::Sender<Settlement>,
    ) {
        let bells: Vec<Bell> = self.options.stages.iter().copied().map(Bell::Stage).collect();
        let mut listener = self.doorbell.listen(&bells).await;
        let mut permission = holdings.permission();
        let turns = Arc::new(Mutex::new(Turns::default()));
        let mut trouble = Trouble::default();
        while !stop.is_cancelled() {
            while running.try_join_next().is_some() {}
            self.figures.hears(listener.trouble().is_none());
            let free = self.options.concurrency.saturating_sub(running.len());
            let mut got = 0;
            if free > 0 && may_claim(&permission) {
                let request = ClaimRequest {
                    worker: self.id,
                    stages: self.options.stages.clone(),
                    most: free.min(CLAIM),
                    lease: self.options.lease,
                    turns: Arc::clone(&turns),
                };
                match self.store.claim(request).await {
                    Ok(claimed) => {
                        trouble = Trouble::default();
                        got = claimed.len();
                        for task in claimed {
                            let token = holdings.take(task.lease, task.work.stage());
                            // The end was asked for while the claim was under way: what came of it is not begun.
                            if stop.is_cancelled() {
                                token.cancel();
                            }
                            let (stages, figures) = (Arc::clone(&self.stages), Arc::clone(&self.figures));
                            running.spawn(perform(stages, figures, task, token, ended.clone()));
                        }
                    }
                    Err(error) => trouble.wait(&error, stop).await,
                }
            }
            if got > 0 && got == free.min(CLAIM) && running.len() < self.options.concurrency {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                _ = listener.rung() => {}
                () = tokio::time::sleep(POLL.mul_f64(rand::random_range(0.7..1.0))) => {}
                Some(_) = running.join_next() => {}
                _ = permission.changed() => {}
            }
        }
    }

    /// Lets what is at work go on for a while, then ends it and hands it back.
    async fn drain(&self, holdings: &Holdings, running: &mut JoinSet<()>) {
        let deadline = Instant::now() + self.options.drain;
        while !running.is_empty() {
            tokio::select! {
                _ = running.join_next() => {}
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        holdings.cut_all();
        while running.join_next().await.is_some() {}
    }
}

/// Claims that fail one after the other.
#[derive(Default)]
struct Trouble {
    failures: u32,
}

impl Trouble {
    async fn wait(&mut self, error: &store::StoreError, stop: &CancellationToken) {
        self.failures += 1;
        if self.failures == 1 || error.is_passing() {
            tracing::warn!(%error, failures = self.failures, "no tasks can be claimed");
        } else {
            tracing::error!(%error, failures = self.failures, "no tasks can be claimed");
        }
        let pause = Duration::from_millis(100 << self.failures.min(6)).mul_f64(rand::random_range(0.5..1.0));
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn may_claim(permission: &watch::Receiver<Permission>) -> bool {
    matches!(&*permission.borrow(), Permission::Granted(_))
}

/// Does one task, and says how it ended. Dropping the work closes its sockets: what is cut sends nothing more.
async fn perform(
    stages: Arc<Stages>,
    figures: Arc<PoolFigures>,
    task: Claimed,
    token: CancellationToken,
    ended: mpsc::Sender<Settlement>,
) {
    let stage = task.work.stage();
    let at_work = figures.begun(stage);
    // Whoever looks for a request finds what was done for it.
    let span = tracing::info_span!("task", task = %task.lease.task, %stage, scan = Empty, request_id = task.request_id);
    if let Some(scan) = task.lease.scan {
        span.record("scan", display(scan));
    }
    if let Some(from) = task.trace {
        traces::go_on(&span, from);
    }
    let ending = tokio::select! {
        biased;
        () = token.cancelled() => None,
        done = AssertUnwindSafe(stages.perform(&task, &token).instrument(span.clone())).catch_unwind() => match done {
            Ok(ending) => ending,
            Err(_) => {
                let message = format!("a defect in Rampart ended it in stage {stage}; please report it");
                Some(Ending::Failed(TaskFailure { message, retry: Retry::Later }))
            }
        },
    };
    span.in_scope(|| match &ending {
        None => tracing::debug!("a task was cut short"),
        Some(Ending::Failed(failure)) => {
            tracing::info!(why = failure.message, attempt = task.attempt, "a task failed")
        }
        Some(_) => tracing::debug!(attempt = task.attempt, "a task ended"),
    });
    let ending = match ending {
        // A result that was there when the stop came is one, but no scan result that may have been cut short.
        Some(ending) if !token.is_cancelled() || !sends(stage) => ending,
        // Of one that was lost the store refuses to hear.
        _ => Ending::HandedBack { not_before: None },
    };
    let (end, word) = match &ending {
        Ending::Completed | Ending::Unit(_) | Ending::Package(_) => (End::Completed, "completed"),
        Ending::Failed(_) => (End::Failed, "failed"),
        Ending::HandedBack { .. } => (End::HandedBack, "handed_back"),
    };
    at_work.ended(end);
    traces::ended(&span, word);
    let sent = stages.sent_for(&task);
    // The settler lives longer than everybody who works.
    let _ = ended.send(Settlement { lease: task.lease, ending, sent }).await;
}
