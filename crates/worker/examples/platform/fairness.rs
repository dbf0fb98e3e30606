//! Who waits for whom.

use std::time::Duration;

use jiff::Timestamp;
use model::{NewTask, Priority, Stage, TaskId, TenantId, fairness::AHEAD};
use store::{Ending, Settlement, Store, TaskFilter};
use worker::doorbell::Bell;

use crate::{
    Outcome,
    ground::{Claimant, Workers, exercise, milliseconds, open, percentile, tenant},
};

/// What the second tenant asks for at once.
const FEW: usize = 10;
const HOLD: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(20);
/// Tasks in one transaction.
const BATCH: usize = 1_000;
/// Steps of the store's clock: an hour.
const STEPS: u64 = 240;
const STEP: Duration = Duration::from_secs(15);
/// Tasks that can be done in a step; so many urgent ones come.
const DONE_IN_STEP: usize = 50;
/// And so many that are not urgent.
const LOW_IN_STEP: usize = 10;

/// What is measured.
pub(crate) struct Shape {
    /// Tasks of the first tenant.
    pub(crate) waiting: usize,
    /// Tasks that the workers do at once.
    pub(crate) places: usize,
    /// How much longer those of the first tenant take than those of the second.
    pub(crate) times_as_long: u32,
    /// Each with and without the first tenant.
    pub(crate) rounds: usize,
}

impl Shape {
    /// How long the second tenant asks for nothing: as long as it takes to do somewhat more for the first than it asks for itself.
    fn pause(&self) -> Duration {
        let turns = (1.5 * FEW as f64 / self.places as f64).max(3.0);
        // Never in step with what is at work.
        HOLD.mul_f64(f64::from(self.times_as_long) * turns * rand::random_range(1.0..1.5))
    }
}

pub(crate) async fn measure(database: &str, doorbell: &str, shape: Shape) -> Outcome<()> {
    let store = open(database).await?;
    let (many, few) = (tenant(&store, "many").await?, tenant(&store, "few").await?);
    let workers = Workers::reach(&store, doorbell, shape.places)?;
    // Connections are made, caches filled.
    round(&store, few, &workers).await?;
    let mut alone = Vec::new();
    for _ in 0..shape.rounds {
        alone.push(round(&store, few, &workers).await?);
    }
    for _ in 0..shape.waiting.div_ceil(BATCH) {
        // Not all of them end at once.
        let task = || exercise(HOLD.mul_f64(f64::from(shape.times_as_long) * rand::random_range(0.5..1.5)));
        store.enqueue(many, (0..BATCH).map(|_| task()).collect()).await?;
    }
    workers.doorbell.ring(Bell::Stage(Stage::Exercise), shape.waiting).await?;
    // Who floods has just come too: first it gets what it has ahead itself.
    while waiting(&store, many).await? + AHEAD + shape.places as u64 > shape.waiting as u64 {
        tokio::time::sleep(LOOK).await;
    }
    let mut beside = Vec::new();
    for _ in 0..shape.rounds {
        tokio::time::sleep(shape.pause()).await;
        beside.push(round(&store, few, &workers).await?);
    }
    let left = waiting(&store, many).await?;
    workers.end().await?;
    alone.sort_unstable();
    beside.sort_unstable();
    println!(
        "{{\"left\": {left}, \"alone\": {:.1}, \"beside\": {:.1}, \"slowest\": {:.1}}}",
        milliseconds(percentile(&alone, 50)),
        milliseconds(percentile(&beside, 50)),
        milliseconds(percentile(&beside, 100)),
    );
    Ok(())
}

/// How many tasks of a tenant nobody has begun.
async fn waiting(store: &Store, tenant: TenantId) -> Outcome<u64> {
    let counts = store.task_counts(tenant).await?;
    Ok(counts.get(&(Stage::Exercise, "queued".to_owned())).copied().unwrap_or_default())
}

/// From the commit of the few to the end of the last of them.
async fn round(store: &Store, few: TenantId, workers: &Workers) -> Outcome<Duration> {
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

/// An hour of the store's clock in which more comes than can be done, and what is urgent would be enough for everybody: what becomes
/// of the rest?
pub(crate) async fn measure_priorities(database: &str, owner: &str) -> Outcome<()> {
    let store = open(database).await?;
    let tenant = tenant(&store, "measured").await?;
    let of = |priority, count: usize| -> Vec<NewTask> {
        (0..count).map(|_| NewTask { priority, ..exercise(Duration::ZERO) }).collect()
    };
    let claimant = Claimant::of(Stage::Exercise);
    let (mut all, mut low, mut first) = (0, 0, None);
    for step in 1..=STEPS {
        let mut new = of(Priority::High, DONE_IN_STEP);
        new.extend(of(Priority::Low, LOW_IN_STEP));
        store.enqueue(tenant, new).await?;
        store.advance_clock(owner, STEP).await?;
        let claimed = claimant.claim(&store, DONE_IN_STEP).await?;
        let of_low = claimed.iter().filter(|task| task.priority == Priority::Low).count();
        if of_low > 0 {
            first.get_or_insert(step);
        }
        if first.is_some() {
            all += claimed.len();
            low += of_low;
        }
        let end = |lease| Settlement::silent(lease, Ending::Completed);
        store.settle(claimed.iter().map(|task| end(task.lease)).collect()).await?;
    }
    let begun = first.map_or("null".to_owned(), |step| (step * STEP.as_secs() / 60).to_string());
    println!("{{\"first_after_minutes\": {begun}, \"all\": {all}, \"low\": {low}}}");
    Ok(())
}
