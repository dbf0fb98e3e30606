//! What the queue promises to those who use it, kept by pools and orchestrators as they are run: in SQLite and in PostgreSQL, with
//! every kind of doorbell. The store's own contract is in its own tests.

mod cancelling;
mod damage;
mod dead;
mod doorbells;
mod ground;
mod leases;
mod retries;
mod shutdown;
mod site;
mod stops;
mod takeover;
mod turns;
mod waiting;
mod webhooks;

/// One test for each promise, on all six grounds at once.
macro_rules! everywhere {
    ($($brokers:ident: $($promise:ident)+;)+) => {
        mod everywhere {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    crate::pool::ground::everywhere(crate::pool::ground::Brokers::$brokers, super::$promise).await;
                }
            )+)+
        }
    };
}
use everywhere;
