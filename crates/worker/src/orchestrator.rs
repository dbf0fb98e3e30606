//! Looks after the whole: one process leads, and another takes over when it is silent.

use std::{sync::Arc, time::Duration};

use model::{Stage, WorkerId, task::RECLAIM_EVERY};
use store::{Objects, Retention, Store, StoreError, Terms};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    doorbell::Doorbell,
    figures::OrchestratorFigures,
    notary::Notary,
    settler::{tell_of_ended, wake},
};

/// What the one who leads holds in the store.
pub const OFFICE: &str = "orchestrator";
/// For how long it holds without being heard of. With [`ROUND`], less than the fifteen seconds in which a lost leader must be
/// replaced.
pub const TERM: Duration = Duration::from_secs(10);
/// How often everything is looked after. With [`crate::pool::LEASE`], less than the 45 seconds in which a lost worker's task must be
/// back in the queue.
pub const ROUND: Duration = RECLAIM_EVERY;
/// How often something is forgotten, from the moment on when somebody leads.
const FORGET: Duration = Duration::from_secs(10 * 60);
/// How often what is left of forgotten scans is taken away, with their reports.
const SWEEP_SCANS: Duration = Duration::from_secs(60);
/// How often evidence that no finding names is looked for: everything in the object storage is listed for it.
const SWEEP: Duration = Duration::from_secs(24 * 60 * 60);
/// When it is looked for the first time: also where processes are started anew each day.
const FIRST_SWEEP: Duration = Duration::from_secs(60 * 60);
/// How often the audit is signed where it went on, and how long that may take at the end.
const SIGN: Duration = Duration::from_secs(5 * 60);
const LAST_SIGNATURE: Duration = Duration::from_secs(5);
/// Leases that one transaction gives back.
const RECLAIM: usize = 500;

/// What is kept, and for how long.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// What is forgotten when.
    pub retention: Retention,
    /// Where the reports of scans are, as far as this process can reach them.
    pub reports: Option<Objects>,
    /// Who signs the audit, if somebody does.
    pub notary: Option<Arc<Notary>>,
}

impl Keeping {
    /// The same from now on: with another key what the one before has signed is not forgotten.
    pub fn after(self, before: &Keeping) -> Keeping {
        let notary = match (self.notary, &before.notary) {
            (Some(notary), Some(before)) => Some(Arc::new(notary.after(before))),
            (notary, _) => notary,
        };
        Keeping { notary, ..self }
    }
}

/// Tries to lead until told to stop. Everything that a leader does is safe to be done by two at once: that there is one saves work.
/// Schedules begin their scans on these terms. What is kept may be said anew.
pub async fn run(
    figures: Arc<OrchestratorFigures>,
    store: Store,
    doorbell: Arc<dyn Doorbell>,
    terms: Terms,
    keeping: watch::Receiver<Keeping>,
    stop: CancellationToken,
) {
    let id = WorkerId::from_random(rand::random());
    let mut round = interval(ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut leads = false;
    let mut quiet_since = Instant::now();
    let mut forget_at = Instant::now();
    let mut sweep_at = Instant::now() + FIRST_SWEEP;
    let mut sweep_scans_at = Instant::now();
    let mut sign_at = Instant::now();
    let (mut sweeping, mut sweeping_scans, mut signing) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = round.tick() => {}
        }
        let (keeping, begun) = (keeping.borrow().clone(), Instant::now());
        let mut done = look_after(&figures, &store, &doorbell, &terms, id, &mut leads).await;
        if leads && Instant::now() >= forget_at {
            match store.forget(keeping.retention).await {
                // More is left: the next round goes on.
                Ok(1..) => {}
                Ok(0) => forget_at = Instant::now() + FORGET,
                Err(error) => done = done.and(Err(error)),
            }
        }
        if leads && Instant::now() >= sweep_scans_at && sweeping_scans.is_empty() {
            sweep_scans_at = Instant::now() + SWEEP_SCANS;
            sweeping_scans.spawn(sweep_scans(store.clone(), keeping.reports.clone()));
        }
        if leads && Instant::now() >= sweep_at && sweeping.is_empty() {
            sweep_at = Instant::now() + SWEEP;
            sweeping.spawn(sweep(store.clone(), keeping.retention.unnamed_evidence));
        }
        if leads
            && Instant::now() >= sign_at
            && signing.is_empty()
            && let Some(notary) = &keeping.notary
        {
            sign_at = Instant::now() + SIGN;
            signing.spawn(sign(Arc::clone(notary), store.clone()));
        }
        // They have said how they ended.
        while sweeping.try_join_next().is_some()
            || sweeping_scans.try_join_next().is_some()
            || signing.try_join_next().is_some()
        {}
        figures.round(begun.elapsed(), done.is_ok());
        match done {
            Ok(()) => quiet_since = Instant::now(),
            Err(error) => {
                let for_seconds = quiet_since.elapsed().as_secs();
                tracing::warn!(%error, for_seconds, "nothing can be looked after");
            }
        }
    }
    let notary = keeping.borrow().notary.clone();
    if leads
        && let Some(notary) = notary
        && tokio::time::timeout(LAST_SIGNATURE, notary.look_after(&store)).await.is_err()
    {
        tracing::info!("the audit is signed by whoever leads next");
    }
    if leads && let Err(error) = store.resign(OFFICE, id).await {
        tracing::debug!(%error, "the office is left to run out");
    }
}

/// May take long, so nothing waits for it; what it does not finish is left to the next one.
async fn sweep(store: Store, kept_for: Duration) {
    match store.sweep_evidence(kept_for).await {
        Ok(0) => {}
        Ok(objects) => tracing::info!(objects, "evidence that no finding names was deleted"),
        Err(error) => tracing::warn!(%error, "old evidence is left in the object storage until tomorrow"),
    }
}

/// The same.
async fn sweep_scans(store: Store, reports: Option<Objects>) {
    match store.sweep_scans(reports.as_ref()).await {
        Ok(0) => {}
        Ok(scans) => tracing::info!(scans, "old scans were forgotten, with their reports"),
        Err(error) => {
            tracing::warn!(%error, "something of forgotten scans is left; it is tried again in a minute")
        }
    }
}

/// The same: whole chains may be walked.
async fn sign(notary: Arc<Notary>, store: Store) {
    notary.look_after(&store).await;
}

async fn look_after(
    figures: &OrchestratorFigures,
    store: &Store,
    doorbell: &Arc<dyn Doorbell>,
    terms: &Terms,
    id: WorkerId,
    leads: &mut bool,
) -> Result<(), StoreError> {
    let asked = Instant::now();
    let office = store.lead(OFFICE, id, TERM).await?;
    figures.holds(office.is_some().then(|| asked.into_std() + TERM));
    if office.is_some() != *leads {
        *leads = office.is_some();
        tracing::info!(leads = *leads, "the orchestrator changed hands");
    }
    if office.is_none() {
        return Ok(());
    }
    // What is wrong with a row of one tenant holds up nothing else: each has its turn, and the first trouble is told.
    let reclaimed = reclaim(figures, store).await;
    let tended = store.tend_scans().await.map(|ended| tell_of_ended(doorbell, ended));
    let followed = follow(store, doorbell, terms).await;
    let given = give_to_webhooks(store, doorbell).await;
    reclaimed.and(tended).and(followed).and(given)
}

/// Only while somebody sends: what nobody sends is not kept for whoever does some day.
async fn give_to_webhooks(store: &Store, doorbell: &Arc<dyn Doorbell>) -> Result<(), StoreError> {
    if store.attendance().await?.stages.contains(&Stage::Deliver) {
        let messages = store.give_to_webhooks().await?;
        wake(doorbell, [(Stage::Deliver, messages)].into());
    }
    Ok(())
}

async fn reclaim(figures: &OrchestratorFigures, store: &Store) -> Result<(), StoreError> {
    loop {
        let reclaimed = store.reclaim(RECLAIM).await?;
        figures.reclaimed(reclaimed.tasks);
        for task in reclaimed.dead {
            tracing::warn!(%task, "a task is dead, its last worker was lost: `rampart task redrive {task}` tries it again");
        }
        if reclaimed.tasks < RECLAIM {
            return Ok(());
        }
    }
}

async fn follow(store: &Store, doorbell: &Arc<dyn Doorbell>, terms: &Terms) -> Result<(), StoreError> {
    let followed = store.follow_schedules(terms).await?;
    for (tenant, schedule, refused) in &followed.refused {
        tracing::warn!(%tenant, schedule, reason = refused.reason, "a schedule's run began no scan");
    }
    wake(doorbell, followed.planned);
    Ok(())
}
