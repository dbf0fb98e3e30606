//! How long a task waits that nothing stands in the way of.

use std::time::Duration;

use jiff::Timestamp;
use model::Stage;
use store::{Store, TaskFilter};
use worker::doorbell::Bell;

use crate::{
    Outcome,
    ground::{Workers, exercise, milliseconds, open, percentile, tenant},
};

/// Between two looks at whether the task has ended: often enough to go on soon, seldom enough to be in nobody's way.
const LOOK: Duration = Duration::from_millis(10);
/// Tasks that a pool of this process does at once: as many as `rampart worker` does by itself.
const PLACES: usize = 64;
/// Tasks before the first that counts: connections are made with them.
const FIRST: usize = 20;

pub(crate) async fn measure(database: &str, doorbell: &str, samples: usize) -> Outcome<()> {
    let store = open(database).await?;
    let tenant = tenant(&store, "measured").await?;
    let workers = Workers::reach(&store, doorbell, PLACES)?;
    let mut waits = Vec::with_capacity(samples);
    for sample in 0..samples + FIRST {
        // Never in step with those who look at the queue by the clock.
        tokio::time::sleep(Duration::from_millis(rand::random_range(10..40))).await;
        let id = store.enqueue(tenant, vec![exercise(Duration::ZERO)]).await?[0].id;
        let committed = Timestamp::now();
        workers.doorbell.ring(Bell::Stage(Stage::Exercise), 1).await?;
        let ended = ended(&store, tenant, id).await?;
        if sample >= FIRST {
            // The clock of the database is this machine's. Whoever looked by the clock may have been quicker than the answer.
            waits.push(Duration::try_from(ended.duration_since(committed)).unwrap_or_default());
        }
    }
    workers.end().await?;
    waits.sort_unstable();
    println!(
        "{{\"samples\": {samples}, \"p50\": {:.2}, \"p99\": {:.2}, \"most\": {:.2}}}",
        milliseconds(percentile(&waits, 50)),
        milliseconds(percentile(&waits, 99)),
        milliseconds(percentile(&waits, 100)),
    );
    Ok(())
}

/// When the worker, done with the task, began to say so: later than when it began, by at least the two milliseconds that doing nothing takes.
async fn ended(store: &Store, tenant: model::TenantId, id: model::TaskId) -> Outcome<Timestamp> {
    loop {
        tokio::time::sleep(LOOK).await;
        let record = store.tasks(tenant, TaskFilter::one(id), None, 1).await?.pop();
        if let Some(ended) = record.ok_or("the task is gone")?.ended_at {
            return Ok(ended);
        }
    }
}
