//! Waiting for what must come.

use std::{fmt, time::Duration};

use tokio::time::{sleep, timeout};

/// Generous: the machine may be busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(what: impl fmt::Display, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Looks again and again until there is something to see.
pub(crate) async fn eventually<T>(what: impl fmt::Display, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            // Only the pause between two looks; nothing depends on its length.
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}
