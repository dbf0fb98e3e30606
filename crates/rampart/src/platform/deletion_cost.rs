//! Tells Kubernetes which workers are busy, so that the others go first when there are to be fewer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cluster::api::InCluster;
use store::Store;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use worker::OrchestratorFigures;

/// As often as autoscalers look.
const EVERY: Duration = Duration::from_secs(15);

/// For as long as the process goes on, while it leads.
pub(super) async fn tell(
    cluster: InCluster,
    store: Store,
    figures: Arc<OrchestratorFigures>,
    stop: CancellationToken,
) {
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {}
        }
        if !figures.leads() {
            // Whoever leads meanwhile says other things.
            told.clear();
            continue;
        }
        let at_work = match store.machines_at_work().await {
            Ok(at_work) => at_work,
            Err(error) => {
                tracing::debug!(%error, "the cluster is not told which workers are busy");
                continue;
            }
        };
        told.retain(|machine, _| at_work.contains_key(machine));
        for (machine, tasks) in at_work {
            if told.get(&machine) == Some(&tasks) {
                continue;
            }
            match cluster.set_deletion_cost(&machine, tasks).await {
                Ok(()) => drop(told.insert(machine, tasks)),
                Err(error) => {
                    tracing::warn!(%error, machine, "the cluster is not told that a worker is busy");
                    // What is wrong for one is wrong for all: again at the next look.
                    break;
                }
            }
        }
    }
}
