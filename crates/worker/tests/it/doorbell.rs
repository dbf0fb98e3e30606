//! Every kind of doorbell must do the same: within the process, and at brokers from Debian's packages.

mod addresses;
mod changing;
mod counts;
mod loss;
mod waking;

use std::sync::Arc;

use worker::doorbell::{Bell, Doorbell, Listener};

use crate::{
    broker::{Ground, Kind},
    patience::{DEADLINE, eventually, within},
};

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
