//! Who waits for whom.

use std::time::Duration;

use jiff::Timestamp;
use model::{NewTask, Priority, Stage, TaskId, TenantId};
use store::{Ending, Settlement, Store, TaskFilter};
use worker::doorbell::Bell;

use crate::{
    Outcome,
    ground::{Claimant, Workers, exercise, milliseconds, open, tenant},
};

/// What the second tenant asks for at once.
const FEW: usize = 10;
const HOLD: Duration = Duration::from_millis(100);
/// Each with and without the other tenant.
const ROUNDS: usize = 9;
const LOOK: Duration = Duration::from_millis(20);
/// Tasks in one transaction.
const BATCH: usize = 1_000;
/// Urgent tasks that wait, and as many that are not urgent.
const FLOOD: usize = 5_000;
const CLAIM: usize = 64;

pub(crate) async fn measure(database: &str, doorbell: &str, waiting: usize) -> Outcome<()> {
    let store = open(database).await?;
    let (many, few) = (tenant(&store, "many").await?, tenant(&store, "few").await?);
    let workers = Workers::reach(&store, doorbell)?;
    // Connections are made, caches filled.
    round(&store, few, &workers).await?;
    let mut alone = Vec::new();
    for _ in 0..ROUNDS {
        alone.push(round(&store, few, &workers).await?);
    }
    for _ in 0..waiting.div_ceil(BATCH) {
        // As long as those of the other on average, and so that not all of them end at once.
        let task = || exercise(HOLD.mul_f64(rand::random_range(0.5..1.5)));
        store.enqueue(many, (0..BATCH).map(|_| task()).collect()).await?;
    }
    workers.doorbell.ring(Bell::Stage(Stage::Exercise), waiting).await?;
    let mut beside = Vec::new();
    for _ in 0..ROUNDS {
        beside.push(round(&store, few, &workers).await?);
    }
    let counts = store.task_counts(many).await?;
    let left = counts.get(&(Stage::Exercise, "queued".to_owned())).copied().unwrap_or_default();
    workers.end().await?;
    alone.sort_unstable();
    beside.sort_unstable();
    println!(
        "{{\"left\": {left}, \"rounds\": {ROUNDS}, \"alone\": {:.1}, \"beside\": {:.1}, \"slowest\": {:.1}}}",
        milliseconds(alone[ROUNDS / 2]),
        milliseconds(beside[ROUNDS / 2]),
        milliseconds(beside[ROUNDS - 1]),
    );
    Ok(())
}

/// From the commit of the few to the end of the last of them.
async fn round(store: &Store, few: TenantId, workers: &Workers) -> Outcome<Duration> {
    // Never in step with what is at work.
    tokio::time::sleep(HOLD.mul_f64(rand::random_range(3.0..5.0))).await;
    let asked = store.enqueue(few, (0..FEW).map(|_| exercise(HOLD)).collect()).await?;
    let committed = Timestamp::now();
    workers.doorbell.ring(Bell::Stage(Stage::Exercise), FEW).await?;
    let ids: Vec<TaskId> = asked.iter().map(|task| task.id).collect();
    loop {
        tokio::time::sleep(LOOK).await;
        let filter = TaskFilter { ids: ids.clone(), ..TaskFilter::default() };
        let ends: Vec<Timestamp> =
            store.tasks(few, filter, None, FEW).await?.iter().filter_map(|task| task.ended_at).collect();
        if let (FEW, Some(last)) = (ends.len(), ends.into_iter().max()) {
            return Ok(Duration::try_from(last.duration_since(committed)).unwrap_or_default());
        }
    }
}

/// Urgent tasks come as fast as they are done; what is the share of those that are not?
pub(crate) async fn measure_priorities(database: &str) -> Outcome<()> {
    let store = open(database).await?;
    let tenant = tenant(&store, "measured").await?;
    let of = |priority, count: usize| -> Vec<NewTask> {
        (0..count).map(|_| NewTask { priority, ..exercise(Duration::ZERO) }).collect()
    };
    for _ in 0..FLOOD / BATCH {
        store.enqueue(tenant, of(Priority::Low, BATCH)).await?;
        store.enqueue(tenant, of(Priority::High, BATCH)).await?;
    }
    let claimant = Claimant::of(Stage::Exercise);
    let (mut urgent, mut low) = (0_usize, 0_usize);
    while urgent + low < FLOOD {
        let claimed = claimant.claim(&store, CLAIM).await?;
        let before = urgent;
        urgent += claimed.iter().filter(|task| task.priority == Priority::High).count();
        low += claimed.iter().filter(|task| task.priority == Priority::Low).count();
        let end = |lease| Settlement { lease, ending: Ending::Completed };
        store.settle(claimed.iter().map(|task| end(task.lease)).collect()).await?;
        store.enqueue(tenant, of(Priority::High, urgent - before)).await?;
    }
    println!("{{\"urgent\": {urgent}, \"low\": {low}}}");
    Ok(())
}
