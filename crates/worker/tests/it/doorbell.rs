//! Every kind of doorbell must do the same: within the process, and at brokers from Debian's packages.

mod addresses;
mod ground;
mod loss;
mod waking;

use std::{fmt, sync::Arc, time::Duration};

use ground::{Ground, Kind};
use tokio::time::{sleep, timeout};
use worker::doorbell::{Bell, Doorbell, Listener};

/// Generous: the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(60);

async fn within<T>(what: impl fmt::Display, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Looks again and again until there is something to see.
async fn eventually<T>(what: impl fmt::Display, mut look: impl AsyncFnMut() -> Option<T>) -> T {
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

async fn heard(listener: &mut Box<dyn Listener>) -> Bell {
    let trouble = listener.trouble();
    within(format!("a ring ({trouble:?} before)"), listener.rung()).await
}

async fn ring(doorbell: &Arc<dyn Doorbell>, bell: Bell, count: usize) {
    doorbell.ring(bell, count).await.unwrap_or_else(|error| panic!("{error}"));
}

/// Rings until the broker has taken it, which may be more than once by its count.
async fn ring_until_taken(doorbell: &Arc<dyn Doorbell>, bell: Bell) {
    eventually(format!("a ring for {bell} is taken"), async || doorbell.ring(bell, 1).await.ok()).await;
}

/// Waits until the listener has noticed that the broker is away.
async fn in_trouble(listener: &dyn Listener) -> String {
    eventually("trouble", async || listener.trouble()).await
}

async fn well(listener: &dyn Listener) {
    eventually("no trouble", async || listener.trouble().is_none().then_some(())).await;
}

/// One test for each case and kind of doorbell.
macro_rules! cases {
    ($($kind:ident: $($case:ident)+;)+) => {
        $(
            #[expect(non_snake_case, reason = "modules are named after the kinds")]
            mod $kind {
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $case() {
                        super::$case(super::Kind::$kind).await;
                    }
                )+
            }
        )+
    };
}
use cases;
