//! Who holds a task, for how long, and what is heard of those who do not hold it any more.

use std::{collections::BTreeSet, time::Duration};

use model::{
    NewTask, ScanLife, Stage,
    scan::ScanEnd,
    task::{Death, Life, RetryPolicy},
};
use store::{FindingFilter, TaskFilter};
use worker::PoolOptions;

use super::{
    everywhere,
    ground::{FOR_EVER, Ground, LIVELY, SILENT, exercise, pool, pool_of, worker_of},
    site::Site,
};
use crate::patience::{DEADLINE, eventually};

everywhere! {
    Shared: a_result_that_comes_late_counts_for_nothing
        heartbeats_go_on_while_the_runtime_is_held_up
        who_has_lost_a_task_lets_go_of_it
        every_lost_worker_is_an_attempt_and_a_poisonous_task_dies
        every_start_of_a_worker_has_a_name_of_its_own;
}

/// More than the longest wait after a first failure.
const AFTER_ONE: Duration = Duration::from_secs(3);

async fn a_result_that_comes_late_counts_for_nothing(ground: Ground) {
    // Before anybody is asked anything: the site's answer is not waited for as long as an office may be vacant.
    let orchestrator = ground.orchestrate();
    let site = Site::start().await;
    let scan = ground.submit(ground.tenant, Stage::Check, &site.url()).await;
    let silent = PoolOptions { lease: SILENT, drain: DEADLINE, ..pool_of(&[Stage::Check], 1) };
    let late = ground.start(silent.clone());
    site.until_asked(1).await;
    let id = ground.tasks(TaskFilter::of_scan(scan)).await[0].id;

    ground.advance(SILENT).await;
    ground.until(id, |task| task.task.attempts == 1 && task.task.life.word() == "queued").await;
    ground.advance(AFTER_ONE).await;
    let next = ground.start(silent);
    site.until_asked(2).await;
    // The first has its answer, and says so.
    site.answer(0);
    late.end().await;
    let record = ground.task(id).await;
    assert_eq!((record.task.life.word(), record.task.lease.number()), ("running", 2));
    let before = ground.store.scan(ground.tenant, scan).await.unwrap();
    assert_eq!((before.findings, before.traffic.requests, before.open_tasks), (0, 0, 1));

    site.answer(1);
    next.end().await;
    orchestrator.end().await;
    let record = ground.task(id).await;
    assert_eq!((record.task.life.word(), record.task.attempts), ("completed", 2));
    let after = ground.store.scan(ground.tenant, scan).await.unwrap();
    assert!(matches!(after.life, ScanLife::Ended { end: ScanEnd::Complete, .. }), "{after:?}");
    assert_eq!((after.findings, after.traffic.requests), (1, 1), "what one of the two did");
    assert_eq!(ground.store.unit_results(ground.tenant, scan, None, 10).await.unwrap().len(), 1);
    let findings = ground.store.findings(ground.tenant, FindingFilter::default(), 10).await.unwrap();
    assert_eq!(findings.len(), 1);
}

async fn heartbeats_go_on_while_the_runtime_is_held_up(ground: Ground) {
    let held_up = ground.start_apart(PoolOptions { lease: LIVELY, ..pool(2) });
    let id = ground.enqueue([exercise(FOR_EVER)]).await[0];
    let mut last = ground.until_state(id, "running").await;
    // The database may know of it before the worker does, who could be held up in between.
    last = ground.until(id, |task| until(&task.task.life) > until(&last.task.life)).await;
    let release = held_up.block().await;
    let waits = ground.enqueue([exercise(Duration::ZERO)]).await[0];
    for _ in 0..3 {
        last = ground.until(id, |task| until(&task.task.life) > until(&last.task.life)).await;
        assert_eq!(last.task.lease.number(), 1);
    }
    assert_eq!(ground.task(waits).await.task.life.word(), "queued", "nothing else went on");
    drop(release);
    ground.until_state(waits, "completed").await;
    held_up.end().await;
    assert_eq!(ground.task(id).await.task.attempts, 0, "handed back");
}

async fn who_has_lost_a_task_lets_go_of_it(ground: Ground) {
    let site = Site::start().await;
    let scan = ground.submit(ground.tenant, Stage::Check, &site.url()).await;
    let pool = ground.start(PoolOptions { lease: LIVELY, ..pool_of(&[Stage::Check], 1) });
    site.until_asked(1).await;
    let id = ground.tasks(TaskFilter::of_scan(scan)).await[0].id;
    // Between two of its heartbeats, as with a machine that slept.
    eventually("its lease is over", async || {
        ground.advance(LIVELY).await;
        (ground.store.reclaim(10).await.unwrap().tasks == 1).then_some(())
    })
    .await;
    site.until_gone(0).await;
    // Whoever has it next begins anew.
    ground.advance(AFTER_ONE).await;
    site.until_asked(2).await;
    let record = ground.task(id).await;
    assert_eq!((record.task.attempts, record.task.lease.number()), (2, 2), "{record:?}");
    pool.end().await;
}

fn until(life: &Life) -> jiff::Timestamp {
    match life {
        Life::Running { until, .. } => *until,
        other => panic!("nobody works on it: {other:?}"),
    }
}

async fn every_lost_worker_is_an_attempt_and_a_poisonous_task_dies(ground: Ground) {
    let orchestrator = ground.orchestrate();
    let policy = RetryPolicy { attempts: 3, ..RetryPolicy::default() };
    let id = ground.enqueue([NewTask { policy, ..exercise(FOR_EVER) }]).await[0];
    let mut lost = String::new();
    for attempt in 1..=3 {
        let pool = ground.start(PoolOptions { lease: SILENT, ..pool(1) });
        let record = ground.until_state(id, "running").await;
        assert_eq!((record.task.attempts, record.task.lease.number()), (attempt, attempt.into()));
        lost = worker_of(&record).to_string();
        pool.crash().await;
        ground.advance(SILENT).await;
        ground.until(id, |task| task.task.life.word() != "running").await;
        ground.advance(policy.wait(attempt, u32::MAX)).await;
    }
    let record = ground.task(id).await;
    assert_eq!((&record.task.life, record.task.attempts), (&Life::Dead { why: Death::Attempts }, 3));
    let said = record.task.last_failure.unwrap();
    assert!(said.contains(&lost) && said.contains("was not heard of"), "{said}");
    assert!(record.started_at.is_some() && record.ended_at >= record.started_at);
    let pool = ground.start(pool(1));
    ground.until_looked(Stage::Exercise).await;
    assert_eq!(ground.task(id).await.task.lease.number(), 3, "nobody gets it any more");
    pool.end().await;
    orchestrator.end().await;
}

async fn every_start_of_a_worker_has_a_name_of_its_own(ground: Ground) {
    let mut names = BTreeSet::new();
    let ids = ground.enqueue([exercise(FOR_EVER), exercise(FOR_EVER)]).await;
    for start in 1..=2 {
        let pools = [ground.start(pool(1)), ground.start(pool(1))];
        let records = ground.until_all(&ids, "running").await;
        names.extend(records.iter().map(worker_of));
        assert_eq!(names.len(), 2 * start, "{names:?}");
        for pool in pools {
            pool.end().await;
        }
        eventually("all is handed back", async || {
            let waiting = ground.tasks(TaskFilter { state: Some("queued"), ..TaskFilter::default() }).await;
            (waiting.len() == 2).then_some(())
        })
        .await;
    }
}
