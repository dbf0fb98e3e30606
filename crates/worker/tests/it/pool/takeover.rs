//! How long it takes until somebody does what was a lost process's to do. By the store's clock, which the tests move.

use std::time::Duration;

use model::{
    NewTask, WorkerId,
    task::{Life, RetryPolicy},
};
use worker::{
    PoolOptions,
    orchestrator::{OFFICE, ROUND, TERM},
    pool::LEASE,
};

use super::{
    everywhere,
    ground::{FOR_EVER, Ground, exercise, pool, worker_of},
};
use crate::patience::eventually;

everywhere! {
    Shared: a_lost_workers_task_is_another_ones_within_45_seconds
        a_lost_leaders_office_is_another_ones_within_15_seconds;
}

async fn a_lost_workers_task_is_another_ones_within_45_seconds(ground: Ground) {
    let orchestrator = ground.orchestrate();
    let policy = RetryPolicy::default();
    let worst = LEASE + ROUND + policy.base;
    assert!(worst <= Duration::from_secs(45), "{worst:?}");
    let lost = ground.start(PoolOptions { lease: LEASE, ..pool(1) });
    let id = ground.enqueue([exercise(FOR_EVER)]).await[0];
    let running = ground.until_state(id, "running").await;
    assert_eq!(running.policy, policy);
    lost.crash().await;
    let crashed = ground.store.clock().await.unwrap();
    let Life::Running { until, .. } = ground.task(id).await.task.life else {
        panic!("nobody has reclaimed it")
    };
    assert!(until <= crashed + LEASE, "held until {until}, lost at {crashed}");

    let next = ground.start(pool(1));
    ground.advance(LEASE).await;
    // In the next round: nothing but the round is waited for.
    ground.until(id, |task| task.task.life.word() != "running" || task.task.lease.number() == 2).await;
    ground.advance(policy.base).await;
    let again = ground.until(id, |task| task.task.lease.number() == 2).await;
    assert_ne!(worker_of(&again), worker_of(&running));
    assert_eq!(again.task.attempts, 2);
    next.end().await;
    orchestrator.end().await;
}

async fn a_lost_leaders_office_is_another_ones_within_15_seconds(ground: Ground) {
    assert!(TERM + ROUND <= Duration::from_secs(15));
    // Asks for the office for no time at all: whether it was free.
    let is_free = async || {
        let somebody = WorkerId::from_random(0);
        ground.store.lead(OFFICE, somebody, Duration::ZERO).await.unwrap().is_some()
    };
    let first = ground.orchestrate();
    eventually("somebody leads", async || (!is_free().await).then_some(())).await;
    first.crash().await;
    ground.advance(TERM).await;
    assert!(is_free().await, "it is held for no longer than its term");

    // The same with somebody who stands by: what only a leader does is done.
    let policy = RetryPolicy { base: Duration::ZERO, ..RetryPolicy::default() };
    let second = ground.orchestrate();
    eventually("somebody leads", async || (!is_free().await).then_some(())).await;
    let third = ground.orchestrate();
    let lost = ground.start(PoolOptions { lease: TERM, ..pool(1) });
    let id = ground.enqueue([NewTask { policy, ..exercise(FOR_EVER) }]).await[0];
    ground.until_state(id, "running").await;
    lost.crash().await;
    second.crash().await;
    ground.advance(TERM).await;
    let reclaimed = ground.until_state(id, "queued").await;
    assert!(reclaimed.task.last_failure.unwrap().contains("was not heard of"));
    third.end().await;
    assert!(is_free().await, "who ends in order waits for nobody");
}
