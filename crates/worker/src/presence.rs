//! Being there: a worker says from time to time that it is. Whoever waits is told from that whether anybody comes.
//!
//! It has a task of its own and the pool's connections. The pulse has no part in it: its connections are for leases and stops alone.

use std::time::Duration;

use model::attendance::HEARD_EVERY;
use store::{Introduction, Store, StoreError};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long the end of a pool waits for the last word.
const FAREWELL: Duration = Duration::from_secs(1);

/// Says that a worker is there, until it takes nothing more or is dropped.
pub(crate) struct Presence {
    task: JoinHandle<Result<(), StoreError>>,
}

impl Presence {
    pub(crate) fn begin(store: Store, who: Introduction, stop: CancellationToken) -> Presence {
        Presence { task: tokio::spawn(be_there(store, who, stop)) }
    }

    /// After the stop was asked for: waits until it is known that the worker left, but not for long.
    pub(crate) async fn end(mut self) {
        let why = match timeout(FAREWELL, &mut self.task).await {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(broken)) => broken.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        tracing::debug!(why, "that the worker left is seen by its silence");
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One after the other, so that the last word is not overtaken by an earlier one.
async fn be_there(store: Store, who: Introduction, stop: CancellationToken) -> Result<(), StoreError> {
    let mut again = interval(HEARD_EVERY);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return store.worker_left(who.worker).await,
            _ = again.tick() => {}
        }
        // Whoever cannot say it has more to complain about: heartbeats and claims do.
        if let Err(error) = store.worker_is_there(who.clone()).await {
            tracing::debug!(%error, "the worker cannot say that it is there");
        }
    }
}
