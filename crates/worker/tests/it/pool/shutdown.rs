//! A process that ends in order.

use std::time::Duration;

use model::Stage;
use store::Retention;
use worker::PoolOptions;

use super::{
    everywhere,
    ground::{FOR_EVER, Ground, exercise, pool},
};
use crate::patience::{DEADLINE, eventually};

everywhere! {
    Shared: what_cannot_be_finished_is_handed_back_without_an_attempt
        what_can_be_finished_is_and_nothing_is_begun_meanwhile
        a_worker_is_there_from_its_begin_until_it_takes_nothing_more;
}

async fn what_cannot_be_finished_is_handed_back_without_an_attempt(ground: Ground) {
    let ids = ground.enqueue((0..5).map(|_| exercise(FOR_EVER))).await;
    for round in 1..=7 {
        let pool = ground.start(pool(5));
        for record in ground.until_all(&ids, "running").await {
            assert_eq!(
                (record.task.attempts, record.task.lease.number()),
                (1, round),
                "more often than it may fail"
            );
        }
        pool.end().await;
        for id in &ids {
            let record = ground.task(*id).await;
            assert_eq!((record.task.life.word(), record.task.attempts), ("queued", 0));
            assert_eq!(record.task.last_failure, None);
        }
    }
}

async fn what_can_be_finished_is_and_nothing_is_begun_meanwhile(ground: Ground) {
    let pool = ground.start(PoolOptions { drain: DEADLINE, ..pool(4) });
    // Claimed together; when the second is done, the first is begun. That a task runs in the store says only that a claim is on its way.
    let ids = ground.enqueue([exercise(Duration::from_millis(300)), exercise(Duration::ZERO)]).await;
    let brief = ids[0];
    ground.until_state(ids[1], "completed").await;
    pool.ask_to_end();
    let later = ground.enqueue([exercise(Duration::ZERO)]).await[0];
    pool.end().await;
    let record = ground.task(brief).await;
    assert_eq!((record.task.life.word(), record.task.attempts), ("completed", 1));
    // A claim that was under way may still have brought it: then it was handed back, and not begun.
    let record = ground.task(later).await;
    assert_eq!((record.task.life.word(), record.task.attempts), ("queued", 0));
}

async fn a_worker_is_there_from_its_begin_until_it_takes_nothing_more(ground: Ground) {
    let at_work = async || ground.store.attendance().await.unwrap();
    let until = async |workers: usize| {
        eventually(format!("{workers} are there"), async || {
            (at_work().await.workers == workers).then_some(())
        })
        .await;
    };
    let (first, second) = (ground.start(PoolOptions { drain: DEADLINE, ..pool(2) }), ground.start(pool(1)));
    until(2).await;
    assert_eq!(at_work().await.stages, [Stage::Exercise].into());
    second.end().await;
    until(1).await;
    // Claimed together; when the second is done, the first is begun.
    let ids = ground.enqueue([exercise(FOR_EVER), exercise(Duration::ZERO)]).await;
    let long = ids[0];
    ground.until_state(ids[1], "completed").await;
    first.ask_to_end();
    until(0).await;
    assert_eq!(ground.task(long).await.task.life.word(), "running", "it still ends what it has");
    let at_once = Retention { workers: Duration::ZERO, ..Retention::default() };
    assert_eq!(ground.store.forget(at_once).await.unwrap(), 0, "they are not only silent");
    first.crash().await;
}
