//! Bringing dead tasks back, a few a second.

use std::time::{Duration, Instant};

use model::{NewTask, Work};
use store::{Location, Store, TaskFilter, TaskRecord};

use super::{PATIENCE, Up, assert_exit, json, run, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dead_are_brought_back_at_a_rate_and_each_once_though_they_die_again() {
    const DEAD: usize = 5;
    let directory = tempfile::tempdir().unwrap();
    let up = tokio::task::block_in_place(|| Up::start(directory.path(), &[]));
    let location = Location::Sqlite(directory.path().join("rampart-data/rampart.db"));
    let store = Store::open(&location).await.unwrap();
    let tenant = store.tenant_named("default").await.unwrap().id;
    let of_no_scan = (0..DEAD).map(|_| NewTask::new(Work::Report)).collect();
    store.enqueue(tenant, of_no_scan).await.unwrap();
    until_dead(async || store.tasks(tenant, TaskFilter::default(), None, 100).await.unwrap(), 0).await;

    let begun = Instant::now();
    let arguments = ["task", "redrive", "--all", "--rate", "2", "--json"];
    let output = tokio::task::block_in_place(|| run(directory.path(), &arguments));
    assert_exit(&output, 0);
    assert_eq!(json(&output)["redriven"], DEAD);
    assert!(begun.elapsed() >= Duration::from_secs(2), "two, two and one");
    until_dead(async || store.tasks(tenant, TaskFilter::default(), None, 100).await.unwrap(), 1).await;
    let (said, doctor) =
        tokio::task::block_in_place(|| (up.end(), text(&run(directory.path(), &["doctor"]).stdout)));
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("a task is dead")).collect();
    assert_eq!(warnings.len(), 2 * DEAD, "{said}");
    assert!(warnings.iter().all(|line| line.contains("WARN") && line.contains("why=")), "{said}");
    assert!(doctor.contains(&format!("{DEAD} of tenant default: {DEAD} in stage report")), "{doctor}");
    assert!(doctor.contains("`rampart task list --state dead`"), "{doctor}");
}

/// Waits until all are dead, and each was brought back so often.
async fn until_dead(tasks: impl AsyncFn() -> Vec<TaskRecord>, redriven: u32) {
    let mut look = tokio::time::interval(Duration::from_millis(20));
    let seen = tokio::time::timeout(PATIENCE, async {
        loop {
            let all = tasks().await;
            if all.iter().all(|task| task.task.life.word() == "dead") {
                break all;
            }
            look.tick().await;
        }
    });
    let times: Vec<u32> = seen.await.expect("they die").iter().map(|task| task.task.redriven).collect();
    assert!(!times.is_empty() && times.iter().all(|times| *times == redriven), "{times:?}");
}
