//! The pulse of a worker: heartbeats and the watch for stops and cancellations, on a thread and a connection of their own, so that no amount of work
//! holds them up.

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use model::{StopId, WorkerId};
use store::{Beat, Store, Watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    doorbell::{Bell, Doorbell},
    held::{Holdings, Permission},
    stages::Stages,
};

/// Heartbeats within a lease: two may be lost.
const BEATS: u32 = 3;
/// How often stops and cancellations are looked for, however well bells ring.
const LOOK: Duration = Duration::from_millis(400);
/// How long one look may take.
pub(crate) const LOOK_WITHIN: Duration = Duration::from_millis(600);
/// Who has not seen the stops for so long sends nothing: with the time that a look takes, less than the two seconds in which a stop
/// must hold.
pub(crate) const BLIND_FOR: Duration = Duration::from_millis(1_200);
/// Who could not see the stops sends nothing before it saw for so long that there is none: somebody who tried to order one in the
/// meantime, and goes on trying, is heard first.
const SEEING_FOR: Duration = Duration::from_secs(2);

/// Beats until it is dropped.
pub(crate) struct Pulse {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Pulse {
    pub(crate) fn start(
        store: Store,
        doorbell: Arc<dyn Doorbell>,
        stages: Arc<Stages>,
        holdings: Arc<Holdings>,
        id: WorkerId,
        lease: Duration,
    ) -> std::io::Result<Pulse> {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("pulse".to_owned()).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = stopped.cancelled() => {}
                    () = beat(store, doorbell, stages, holdings, id, lease) => {}
                }
            });
        })?;
        Ok(Pulse { stop, thread: Some(thread) })
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // One that panicked has nothing to say any more; its leases run out.
            let _ = thread.join();
        }
    }
}

async fn beat(
    store: Store,
    doorbell: Arc<dyn Doorbell>,
    stages: Arc<Stages>,
    holdings: Arc<Holdings>,
    id: WorkerId,
    lease: Duration,
) {
    let own = loop {
        match store.apart().await {
            Ok(store) => break store,
            Err(error) => {
                tracing::warn!(%error, "the pulse has no connection to the database yet");
                tokio::time::sleep(LOOK).await;
            }
        }
    };
    let mut stops = doorbell.listen(&[Bell::Stop]).await;
    let (mut look, mut beat) = (interval(LOOK), interval(lease / BEATS));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Seen { stages, id, at: Instant::now(), sure_at: Instant::now(), stops: None };
    loop {
        tokio::select! {
            biased;
            _ = look.tick() => seen.look(&own, &holdings).await,
            _ = stops.rung() => seen.look(&own, &holdings).await,
            _ = beat.tick() => extend(&own, &holdings, lease, &mut seen).await,
        }
    }
}

/// What was seen of the stops, and when.
struct Seen {
    stages: Arc<Stages>,
    id: WorkerId,
    at: Instant,
    /// When what is seen may be relied on: at once, or some time after a look that failed for too long.
    sure_at: Instant,
    stops: Option<Vec<StopId>>,
}

impl Seen {
    async fn look(&mut self, store: &Store, holdings: &Holdings) {
        let begun = Instant::now();
        match timeout(LOOK_WITHIN, store.watch(self.id, holdings.scans())).await {
            Ok(Ok(Watch { stops, at_work, unwanted })) => {
                self.stages.engines.share_rates(&at_work);
                unwanted.iter().for_each(|lease| holdings.cut(lease));
                // As old as the question: a stop may have been ordered while the answer was on its way.
                self.at = begun;
                if begun < self.sure_at {
                    return;
                }
                let ids: Vec<StopId> = stops.iter().map(|stop| stop.id).collect();
                if self.stops.as_ref() != Some(&ids) {
                    for stop in &stops {
                        tracing::warn!(reach = %stop.reach, by = stop.by, reason = stop.reason, "an emergency stop holds");
                    }
                    if self.stops.as_ref().is_some_and(|before| before.len() > ids.len()) {
                        tracing::warn!(in_force = ids.len(), "an emergency stop was lifted");
                    }
                    self.stops = Some(ids);
                }
                holdings.permit(Permission::Granted(stops.into_iter().map(|stop| stop.reach).collect()));
            }
            failed => {
                if self.at.elapsed() >= BLIND_FOR {
                    if self.stops.take().is_some() {
                        let error = failed.map_or_else(
                            |_| "no answer".to_owned(),
                            |answer| answer.err().map(|error| error.to_string()).unwrap_or_default(),
                        );
                        tracing::error!(
                            error,
                            "the store cannot be asked for stops: nothing is sent until it can"
                        );
                    }
                    self.sure_at = Instant::now() + SEEING_FOR;
                    holdings.permit(Permission::Unknown);
                }
            }
        }
    }
}

/// Says of everything at work that it is.
async fn extend(store: &Store, holdings: &Holdings, lease: Duration, seen: &mut Seen) {
    let leases = holdings.leases();
    if leases.is_empty() {
        return;
    }
    // Stops are looked at in the meantime, whatever the heartbeat waits for.
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look.reset();
    let heartbeat = timeout(lease / BEATS, store.heartbeat(leases.clone(), lease));
    tokio::pin!(heartbeat);
    let beats = loop {
        tokio::select! {
            beats = &mut heartbeat => break beats,
            _ = look.tick() => seen.look(store, holdings).await,
        }
    };
    match beats {
        Ok(Ok(beats)) => {
            for (lease, beat) in leases.iter().zip(beats) {
                match beat {
                    Beat::Extended => {}
                    Beat::StopWork | Beat::Lost => holdings.cut(lease),
                }
            }
        }
        Ok(Err(error)) => tracing::warn!(%error, tasks = leases.len(), "a heartbeat failed"),
        Err(_) => tracing::warn!(tasks = leases.len(), "a heartbeat got no answer"),
    }
}
