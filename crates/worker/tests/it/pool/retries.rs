//! When a task that failed is tried again.

use std::time::Duration;

use jiff::Timestamp;
use model::{NewTask, Stage, TaskId, Work, task::RetryPolicy};
use store::TaskRecord;

use super::{
    everywhere,
    ground::{Ground, pool_of},
};

everywhere! {
    Shared: what_failed_together_comes_back_one_by_one_and_in_time;
}

/// As many as fail together: that chance puts all of them into one half of the time is out of the question.
const TOGETHER: usize = 40;
const POLICY: RetryPolicy =
    RetryPolicy { attempts: 10, base: Duration::from_secs(1_000), cap: Duration::from_secs(1_500) };

async fn what_failed_together_comes_back_one_by_one_and_in_time(ground: Ground) {
    let scan = ground.submit(ground.tenant, Stage::Check, "http://127.0.0.1:8081/").await;
    // No directory can be made there.
    std::fs::write(ground.reports(), "").unwrap();
    let failing = || NewTask { scan: Some(scan), policy: POLICY, ..NewTask::new(Work::Report) };
    let ids = ground.enqueue((0..TOGETHER).map(|_| failing())).await;
    let begun = ground.store.clock().await.unwrap();
    let pool = ground.start(pool_of(&[Stage::Report], 8));
    let failed = tried(&ground, &ids, 1).await;
    let ended = ground.store.clock().await.unwrap();
    assert!(
        failed.iter().all(|task| task.task.last_failure.as_deref().unwrap().contains("cannot be written"))
    );
    let middle = begun + POLICY.base / 2;
    let (soon, late): (Vec<_>, Vec<_>) = failed.iter().partition(|task| task.due < middle);
    assert!(!soon.is_empty() && !late.is_empty(), "{} soon and {} late", soon.len(), late.len());
    // A first wait of nearly nothing is over already, and the second is longer.
    let longest = |task: &&TaskRecord| if task.task.attempts == 1 { POLICY.base } else { POLICY.cap };
    assert!(failed.iter().all(|task| begun < task.due && task.due <= ended + longest(&task)));

    ground.until_looked(Stage::Report).await;
    for task in late {
        let attempts = ground.task(task.id).await.task.attempts;
        assert_eq!(attempts, task.task.attempts, "not before {}", task.due);
    }
    // At the latest now, all but those that a first wait of nearly nothing brought further already.
    ground.advance(POLICY.base).await;
    let again = tried(&ground, &ids, 2).await;
    let ended = ground.store.clock().await.unwrap();
    let latest: Timestamp = again.iter().map(|task| task.due).max().unwrap();
    assert!(ended < latest && latest <= ended + POLICY.cap, "no wait is longer than the longest");

    std::fs::remove_file(ground.reports()).unwrap();
    ground.advance(POLICY.cap).await;
    let done = ground.until_all(&ids, "completed").await;
    assert!(done.iter().all(|task| task.task.attempts >= 3), "each failure was an attempt");
    pool.end().await;
}

/// All of them, once each was tried and failed so many times.
async fn tried(ground: &Ground, ids: &[TaskId], times: u32) -> Vec<TaskRecord> {
    let mut records = Vec::new();
    for id in ids {
        let failed = |task: &TaskRecord| task.task.attempts >= times && task.task.life.word() == "queued";
        records.push(ground.until(*id, failed).await);
    }
    records
}
