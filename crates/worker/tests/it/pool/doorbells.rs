//! A doorbell carries no truth: what it loses is found all the same.

use std::time::Duration;

use model::{NewTask, Stage, TaskId};
use store::TaskFilter;
use worker::doorbell::Bell;

use super::{
    everywhere,
    ground::{Ground, exercise, pool},
};
use crate::{broker::Kind, patience::eventually};

everywhere! {
    Shared: work_is_found_though_nobody_rings;
    Own: nothing_is_lost_and_nothing_is_done_twice_when_the_broker_is_wiped_and_killed;
}

const BELL: Bell = Bell::Stage(Stage::Exercise);

async fn work_is_found_though_nobody_rings(ground: Ground) {
    let pool = ground.start(pool(2));
    for _ in 0..2 {
        let ids = silently(&ground, 3).await;
        ground.until_all(&ids, "completed").await;
    }
    pool.end().await;
}

/// Asks for tasks without telling anybody.
async fn silently(ground: &Ground, count: usize) -> Vec<TaskId> {
    let tasks: Vec<NewTask> = (0..count).map(|_| exercise(Duration::from_millis(10))).collect();
    ground.store.enqueue(ground.tenant, tasks).await.unwrap().iter().map(|task| task.id).collect()
}

async fn nothing_is_lost_and_nothing_is_done_twice_when_the_broker_is_wiped_and_killed(ground: Ground) {
    const SOME: usize = 60;
    let pools = [ground.start(pool(2)), ground.start(pool(2))];
    let mut ids = ground.enqueue((0..SOME).map(|_| exercise(Duration::from_millis(20)))).await;
    let completed = TaskFilter { state: Some("completed"), ..TaskFilter::default() };
    eventually("some are done", async || {
        (ground.tasks(completed.clone()).await.len() >= SOME / 4).then_some(())
    })
    .await;
    if ground.kind != Kind::InProcess {
        ground.broker.wipe(BELL).await;
        ids.extend(ground.enqueue((0..SOME).map(|_| exercise(Duration::from_millis(10)))).await);
        ground.broker.kill(BELL);
        // Begun without a broker, and there is more to do than when it was there.
        let late = ground.start(pool(2));
        ids.extend(silently(&ground, SOME).await);
        ground.until_all(&ids, "completed").await;
        ground.broker.start_again();
        late.end().await;
    }
    ids.extend(ground.enqueue((0..5).map(|_| exercise(Duration::ZERO))).await);
    for record in ground.until_all(&ids, "completed").await {
        assert_eq!((record.task.attempts, record.task.lease.number()), (1, 1), "{record:?}");
    }
    for pool in pools {
        pool.end().await;
    }
}
