//! What failed for good, and what a person can do about it.

use std::time::Duration;

use model::{
    NewTask, Stage, TaskId, Work,
    task::{Death, Life, RetryPolicy},
};
use store::TaskFilter;

use super::{
    everywhere,
    ground::{FOR_EVER, Ground, exercise, pool, pool_of},
};

everywhere! {
    Shared: the_dead_are_looked_at_and_brought_back_one_by_kind_some_or_all
        the_dead_are_purged_and_nothing_else
        what_takes_longer_than_it_may_is_ended;
}

async fn what_takes_longer_than_it_may_is_ended(ground: Ground) {
    let once = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
    let endless = NewTask { policy: once, deadline: Duration::from_millis(50), ..exercise(FOR_EVER) };
    let id = ground.enqueue([endless]).await[0];
    let pool = ground.start(pool(1));
    let record = ground.until_state(id, "dead").await;
    assert_eq!(record.task.last_failure.as_deref(), Some("it took longer than 100ms"));
    // Its place is free.
    let next = ground.enqueue([exercise(Duration::ZERO)]).await[0];
    ground.until_state(next, "completed").await;
    pool.end().await;
}

fn dead() -> TaskFilter {
    TaskFilter { state: Some("dead"), ..TaskFilter::default() }
}

/// Reports of no scan, which nobody can ever write.
fn hopeless() -> NewTask {
    NewTask::new(Work::Report)
}

async fn the_dead_are_looked_at_and_brought_back_one_by_kind_some_or_all(ground: Ground) {
    let scan = ground.submit(ground.tenant, Stage::Check, "http://127.0.0.1:8081/").await;
    std::fs::write(ground.reports(), "").unwrap();
    let once = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
    let curable = || NewTask { scan: Some(scan), policy: once, ..NewTask::new(Work::Report) };
    let lost = ground.enqueue([hopeless(), hopeless(), hopeless()]).await;
    let ill = ground.enqueue([curable(), curable()]).await;
    let pool = ground.start(pool_of(&[Stage::Report], 4));
    let all: Vec<TaskId> = lost.iter().chain(&ill).copied().collect();
    ground.until_all(&all, "dead").await;

    let listed = ground.tasks(dead()).await;
    assert_eq!(listed.iter().map(|task| task.id).collect::<Vec<_>>(), all, "in the order of asking");
    for task in &listed {
        let (why, said) = match lost.contains(&task.id) {
            true => (Death::Terminal, "it belongs to no scan"),
            false => (Death::Attempts, "the report cannot be written"),
        };
        assert_eq!((&task.task.life, task.task.attempts), (&Life::Dead { why }, 1));
        assert!(task.task.last_failure.as_deref().unwrap().contains(said), "{task:?}");
        assert!(task.started_at >= Some(task.created_at) && task.ended_at >= task.started_at, "{task:?}");
    }

    let redrive = |filter, most| ground.store.redrive_tasks(ground.tenant, filter, most, "test".to_owned());
    let died_again = async |id: TaskId, times: u32| {
        let is = |task: &store::TaskRecord| task.task.redriven == times && task.task.life.word() == "dead";
        ground.until(id, is).await
    };
    // One, which dies again as the same task.
    assert_eq!(redrive(TaskFilter::one(lost[0]), 10).await.unwrap().tasks, 1);
    let record = died_again(lost[0], 1).await;
    assert_eq!(
        (record.task.attempts, record.task.lease.number()),
        (1, 2),
        "from the beginning, under a new lease"
    );
    // By what they died of, once that is cured.
    std::fs::remove_file(ground.reports()).unwrap();
    let kind = TaskFilter { failure: Some("cannot be written".to_owned()), ..TaskFilter::default() };
    assert_eq!(redrive(kind, 10).await.unwrap().tasks, 2);
    for record in ground.until_all(&ill, "completed").await {
        assert_eq!(record.task.redriven, 1);
    }
    // Some at a time.
    assert_eq!(redrive(TaskFilter::default(), 2).await.unwrap().tasks, 2);
    for id in &lost[..2] {
        let times = if *id == lost[0] { 2 } else { 1 };
        died_again(*id, times).await;
    }
    assert_eq!(ground.task(lost[2]).await.task.redriven, 0);
    // All.
    assert_eq!(redrive(TaskFilter::default(), u64::MAX).await.unwrap().tasks, 3);
    for (id, times) in lost.iter().zip([3, 2, 1]) {
        died_again(*id, times).await;
    }
    pool.end().await;
}

async fn the_dead_are_purged_and_nothing_else(ground: Ground) {
    let pool = ground.start(pool_of(&[Stage::Report], 2));
    let ids = ground.enqueue([hopeless(), hopeless()]).await;
    ground.until_all(&ids, "dead").await;
    pool.end().await;
    let waits = ground.enqueue([hopeless()]).await[0];
    let purge = |before| ground.store.purge_tasks(ground.tenant, dead(), before, u64::MAX, "test".to_owned());
    assert_eq!(purge(ground.task(ids[0]).await.created_at).await.unwrap(), 0, "too young");
    assert_eq!(purge(ground.store.clock().await.unwrap()).await.unwrap(), 2);
    let left = ground.tasks(TaskFilter::default()).await;
    assert_eq!(left.iter().map(|task| task.id).collect::<Vec<_>>(), [waits]);
}
