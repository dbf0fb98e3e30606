//! What a store's queue can do: tasks asked for, claimed and completed a second, with more and more of them waiting.
//!
//! `queue_throughput sqlite:PATH|postgres://… WAITING…` prints one JSON object a line. The database must be empty and prepared.
#![expect(clippy::print_stdout, reason = "it is a program that prints")]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use model::{NewTask, Stage, TenantId, Work, WorkerId, fairness::Turns};
use store::{ClaimRequest, Ending, Location, NewTenant, Settlement, Store, StoreError};

/// Tasks that are claimed and completed for each figure.
const SAMPLE: usize = 5_000;
/// Tasks in one transaction.
const BATCH: usize = 100;

#[tokio::main]
async fn main() -> Result<(), StoreError> {
    let mut words = std::env::args().skip(1);
    let url = words.next().unwrap_or_default();
    let location = match url.split_once(':') {
        Some(("sqlite", path)) => Location::Sqlite(path.into()),
        _ => Location::Postgres { url, connections: 4, replica: None },
    };
    let sizes: Vec<usize> = words.filter_map(|word| word.parse().ok()).collect();
    let store = Store::open(&location).await?;
    let tenant = store.create_tenant(NewTenant::named("measured"), "queue_throughput".to_owned()).await?.id;
    let mut waiting = 0;
    for size in sizes {
        let begun = Instant::now();
        let wanted = size.saturating_sub(waiting) + SAMPLE;
        enqueue(&store, tenant, wanted).await?;
        let enqueued = wanted as f64 / begun.elapsed().as_secs_f64();
        let (claim, complete) = work_off(&store, SAMPLE).await?;
        waiting = size;
        println!(
            "{{\"waiting\": {size}, \"enqueued_per_second\": {enqueued:.0}, \"claimed_per_second\": {:.0}, \
             \"completed_per_second\": {:.0}}}",
            SAMPLE as f64 / claim.as_secs_f64(),
            SAMPLE as f64 / complete.as_secs_f64(),
        );
    }
    Ok(())
}

async fn enqueue(store: &Store, tenant: TenantId, mut count: usize) -> Result<(), StoreError> {
    while count > 0 {
        let some = count.min(BATCH);
        let task = || NewTask::new(Work::Exercise { hold: Duration::ZERO });
        store.enqueue(tenant, (0..some).map(|_| task()).collect()).await?;
        count -= some;
    }
    Ok(())
}

/// How long claiming and how long completing took.
async fn work_off(store: &Store, mut count: usize) -> Result<(Duration, Duration), StoreError> {
    let turns = Arc::new(Mutex::new(Turns::default()));
    let (mut claiming, mut completing) = (Duration::ZERO, Duration::ZERO);
    while count > 0 {
        let begun = Instant::now();
        let request = ClaimRequest {
            worker: WorkerId::from_random(1),
            stages: vec![Stage::Exercise],
            most: count.min(BATCH),
            lease: Duration::from_secs(600),
            turns: Arc::clone(&turns),
        };
        let claimed = store.claim(request).await?;
        claiming += begun.elapsed();
        count -= claimed.len();
        let begun = Instant::now();
        let settlements =
            claimed.iter().map(|task| Settlement::silent(task.lease, Ending::Completed)).collect();
        store.settle(settlements).await?;
        completing += begun.elapsed();
    }
    Ok((claiming, completing))
}
