//! Commits how tries ended, many at once, and asks again until the store has an answer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use model::{
    Stage,
    stage::add_counts,
    task::{Retry, TaskFailure},
};
use store::{Ending, Settlement, Store};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    doorbell::{Bell, Doorbell, ring_aside},
    held::Holdings,
};

/// As many as one transaction takes.
const AT_ONCE: usize = 256;
/// The first wait before asking again.
const PAUSE: Duration = Duration::from_millis(50);

/// Lives until every sender is gone and everything is settled.
pub(crate) async fn settle(
    store: Store,
    doorbell: Arc<dyn Doorbell>,
    holdings: Arc<Holdings>,
    lease: Duration,
    mut ended: mpsc::Receiver<Settlement>,
) {
    let mut batch = Vec::with_capacity(AT_ONCE);
    while ended.recv_many(&mut batch, AT_ONCE).await > 0 {
        let settlements = std::mem::take(&mut batch);
        let follow_ups = commit(&store, &holdings, lease, settlements).await;
        wake(&doorbell, follow_ups);
    }
}

async fn commit(
    store: &Store,
    holdings: &Holdings,
    lease: Duration,
    mut settlements: Vec<Settlement>,
) -> BTreeMap<Stage, usize> {
    let mut follow_ups = BTreeMap::new();
    // Heartbeats go on until all of it is settled; without the store they fail, and after a while others have the tasks.
    let give_up = Instant::now() + 2 * lease;
    let mut pause = PAUSE;
    while !settlements.is_empty() {
        match store.settle(settlements.clone()).await {
            Ok(answers) => {
                for (settlement, answer) in settlements.iter().zip(answers) {
                    match answer {
                        Ok(settled) => {
                            if settled.state == "dead" {
                                warn_of_dead(settlement);
                            }
                            add_counts(&mut follow_ups, settled.follow_ups);
                        }
                        Err(refused) => {
                            tracing::info!(task = %settlement.lease.task, %refused, "a result came too late")
                        }
                    }
                    holdings.release(&settlement.lease);
                }
                break;
            }
            Err(error) if error.is_passing() && Instant::now() < give_up => {
                tracing::warn!(%error, results = settlements.len(), "results cannot be committed yet");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
            Err(error) if error.is_passing() => {
                tracing::error!(%error, results = settlements.len(), "results are given up: others do the work again");
                settlements.drain(..).for_each(|settlement| holdings.release(&settlement.lease));
            }
            // One of them cannot be stored: alone, so that the others are.
            Err(error) if settlements.len() > 1 => {
                tracing::warn!(%error, "results are committed one by one");
                for settlement in settlements.drain(..) {
                    let more = Box::pin(commit(store, holdings, lease, vec![settlement])).await;
                    add_counts(&mut follow_ups, more);
                }
            }
            Err(error) => {
                let settlement = &mut settlements[0];
                tracing::error!(task = %settlement.lease.task, %error, "a result cannot be stored");
                if matches!(settlement.ending, Ending::Failed(_) | Ending::HandedBack { .. }) {
                    holdings.release(&settlement.lease);
                    break;
                }
                let message = format!("its result cannot be stored: {error}");
                settlement.ending = Ending::Failed(TaskFailure { message, retry: Retry::Later });
            }
        }
    }
    follow_ups
}

/// It waits for a person now, who would not know of it.
fn warn_of_dead(settlement: &Settlement) {
    let task = settlement.lease.task;
    match &settlement.ending {
        Ending::Failed(failure) => {
            tracing::warn!(%task, why = %failure.message, "a task is dead: `rampart task redrive {task}` tries it again")
        }
        _ => tracing::warn!(%task, "a task is dead: `rampart task show` says why"),
    }
}

/// Rings for what follows, without waiting for it: polling is there for what is not heard.
pub(crate) fn wake(doorbell: &Arc<dyn Doorbell>, follow_ups: BTreeMap<Stage, usize>) {
    ring_aside(doorbell, follow_ups.into_iter().map(|(stage, count)| (Bell::Stage(stage), count)).collect());
}

/// What is at work for scans that ended is cut at once; unheard, a look later.
pub(crate) fn tell_of_ended(doorbell: &Arc<dyn Doorbell>, scans: usize) {
    ring_aside(doorbell, if scans == 0 { vec![] } else { vec![(Bell::Stop, 1)] });
}
