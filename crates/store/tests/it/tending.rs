//! Scans that end before everything had its turn, and what becomes of what was planned.

use std::time::Duration;

use model::{
    Learned, ScanId, ScanLife, ScanRequest, Stage, TaskId, Traffic, UnitResult,
    scan::{Budget, Exhausted, ScanEnd},
    task::Retry,
};
use store::{Beat, Claimed, Ending, Lease, LeftDead, Redriven, Retention, Settlement, TaskFilter};

use crate::{
    ground::{Ground, LEASE, Worker, failure, settle},
    scans::{HOUR, claim, done, may_cost, submit_at, submit_of},
    stored,
};

crate::contract! {
    a_scan_ends_with_its_time_or_its_budget
    what_was_planned_within_the_budget_of_units_is_done
    nothing_holds_up_the_end_of_a_scan_whose_units_are_used_up
    workers_hear_that_a_budget_is_spent
    packets_are_granted_once_and_can_be_given_back
    the_dead_of_a_scan_that_gave_up_stay_dead
    a_unit_that_is_cancelled_leaves_a_gap_and_no_complete_scan
    what_was_cancelled_and_is_forgotten_was_cancelled_all_the_same
    what_a_scan_gave_up_is_told
    what_was_sent_counts_however_the_try_ended
    what_nobody_can_do_yet_waits_without_using_up_a_try
}

fn budget_of(exhausted: Exhausted) -> ScanEnd {
    ScanEnd::Budget { exhausted }
}

async fn assert_ended(ground: &Ground, scan: ScanId, end: ScanEnd) {
    let record = ground.store.scan(ground.tenant, scan).await.unwrap();
    assert!(matches!(record.life, ScanLife::Ended { end: ended, .. } if ended == end), "{record:?}");
}

fn ports_within(budget: Budget) -> ScanRequest {
    ScanRequest { budget, stages: [Stage::Ports].into(), ..ScanRequest::within("loopback") }
}

async fn claim_ports(ground: &Ground, worker: &Worker) -> Vec<Claimed> {
    let mut tasks = worker.claim_of(ground, &[Stage::Ports], 1_000).await;
    tasks.sort_by_key(|task| task.lease.task);
    tasks
}

/// So much was sent for it.
async fn settle_after(ground: &Ground, lease: Lease, ending: Ending, probes: u64) {
    let sent = Traffic { probes, ..Traffic::default() };
    let settlement = Settlement { lease, ending, sent };
    ground.store.settle(vec![settlement]).await.unwrap().remove(0).unwrap();
}

/// It is done, and so much was sent for it.
async fn done_with(ground: &Ground, task: &Claimed, probes: u64) {
    settle_after(ground, task.lease, Ending::Unit(Box::default()), probes).await;
}

async fn gaps(ground: &Ground, scan: ScanId) -> Vec<String> {
    let units = ground.store.unit_results(ground.tenant, scan, None, 100).await.unwrap();
    units.into_iter().flat_map(|unit| unit.undetermined).collect()
}

async fn packets_are_granted_once_and_can_be_given_back(ground: Ground) {
    let budget = Budget { packets: Some(1_000), ..Budget::default() };
    let scan = submit_of(&ground, ports_within(budget), &["127.0.0.9"]).await.unwrap();
    let asking = (0..8).map(async |_| {
        let mut granted = 0;
        loop {
            match ground.store.grant_packets(ground.tenant, scan, 100).await.unwrap() {
                0 => return granted,
                some => granted += some,
            }
        }
    });
    let granted: u64 = futures_util::future::join_all(asking).await.into_iter().sum();
    assert_eq!(granted, 1_000, "however many ask at once");
    ground.store.return_packets(ground.tenant, scan, 30).await.unwrap();
    assert_eq!(
        ground.store.grant_packets(ground.tenant, scan, 20).await.unwrap(),
        16,
        "some for others, too"
    );
    assert_eq!(ground.store.grant_packets(ground.tenant, scan, 20).await.unwrap(), 14);
    let worker = Worker::new(1);
    let task = claim_ports(&ground, &worker).await.remove(0);
    assert!(ground.store.end_for_packets(ground.tenant, scan).await.unwrap());
    assert!(!ground.store.end_for_packets(ground.tenant, scan).await.unwrap(), "once");
    settle(&ground, task.lease, Ending::HandedBack { not_before: None }).await.unwrap();
    assert_ended(&ground, scan, budget_of(Exhausted::Packets)).await;

    let unlimited = submit_of(&ground, ports_within(Budget::default()), &["127.0.0.9"]).await.unwrap();
    assert_eq!(ground.store.grant_packets(ground.tenant, unlimited, 5_000).await.unwrap(), 5_000);
}

async fn a_unit_that_is_cancelled_leaves_a_gap_and_no_complete_scan(ground: Ground) {
    let scan =
        submit_of(&ground, ports_within(Budget::default()), &["127.0.0.9", "127.0.0.10", "127.0.0.11"])
            .await
            .unwrap();
    let worker = Worker::new(1);
    let tasks = claim_ports(&ground, &worker).await;
    let cancel =
        |id| ground.store.cancel_tasks(ground.tenant, TaskFilter::one(id), u64::MAX, "test".to_owned());
    assert_eq!(cancel(tasks[0].lease.task).await.unwrap(), 1);
    settle(&ground, tasks[0].lease, Ending::HandedBack { not_before: None }).await.unwrap();
    settle(&ground, tasks[1].lease, Ending::HandedBack { not_before: None }).await.unwrap();
    assert_eq!(cancel(tasks[1].lease.task).await.unwrap(), 1, "one that waits, too");
    done_with(&ground, &tasks[2], 1).await;
    assert_ended(&ground, scan, ScanEnd::Failures { units: 2 }).await;
    assert_eq!(gaps(&ground, scan).await, ["its task was cancelled"; 2]);
}

async fn what_was_cancelled_and_is_forgotten_was_cancelled_all_the_same(ground: Ground) {
    let targets = ["127.0.0.9", "127.0.0.10", "127.0.0.11"];
    let scan = submit_of(&ground, ports_within(Budget::default()), &targets).await.unwrap();
    let tasks = claim_ports(&ground, &Worker::new(1)).await;
    let cancelled = async |task: &Claimed| {
        let this = TaskFilter::one(task.lease.task);
        assert_eq!(
            ground.store.cancel_tasks(ground.tenant, this, u64::MAX, "test".to_owned()).await.unwrap(),
            1
        );
        settle(&ground, task.lease, Ending::HandedBack { not_before: None }).await.unwrap();
        ground.advance(Duration::from_secs(1)).await;
    };
    // By a person.
    cancelled(&tasks[0]).await;
    let (these, now) = (TaskFilter::of_scan(scan), ground.store.clock().await.unwrap());
    let purged =
        ground.store.purge_tasks(ground.tenant, these, now, u64::MAX, "J. Doe".to_owned()).await.unwrap();
    assert_eq!((purged, in_state(&ground, scan, "cancelled").await), (1, vec![]));
    let told = stored::audited(&ground, "task.purge").await;
    assert_eq!(told, [["J. Doe", "task.purge", "1 tasks", &format!("scan {scan}, ended before {now}")]]);
    // By time.
    cancelled(&tasks[1]).await;
    let retention = Retention { tasks: Duration::ZERO, ..Retention::default() };
    ground.store.forget(retention).await.unwrap();
    assert_eq!(in_state(&ground, scan, "cancelled").await, []);
    done_with(&ground, &tasks[2], 1).await;
    assert_ended(&ground, scan, ScanEnd::Failures { units: 2 }).await;
    // Nothing is compared with a scan that did not look at everything.
    let next = submit_of(&ground, ports_within(Budget::default()), &targets).await.unwrap();
    assert_eq!(ground.store.scan(ground.tenant, next).await.unwrap().baseline, None);
}

async fn what_a_scan_gave_up_is_told(ground: Ground) {
    let targets = ["127.0.0.9", "127.0.0.10", "127.0.0.11"];
    let scan = submit_of(&ground, ports_within(Budget::default()), &targets).await.unwrap();
    let running = Worker::new(1).claim_of(&ground, &[Stage::Ports], 1).await.remove(0);
    assert!(ground.store.cancel_scan(ground.tenant, scan, "test".to_owned()).await.unwrap());
    settle(&ground, running.lease, Ending::HandedBack { not_before: None }).await.unwrap();
    assert_ended(&ground, scan, ScanEnd::Cancelled).await;
    assert_eq!(gaps(&ground, scan).await, ["the scan was cancelled before it was done"; 3]);
}

async fn what_was_sent_counts_however_the_try_ended(ground: Ground) {
    let scan = submit_of(&ground, ports_within(Budget::default()), &["127.0.0.9"]).await.unwrap();
    let worker = Worker::new(1);
    let endings = [
        (7, Ending::HandedBack { not_before: None }),
        (20, failure(Retry::Later)),
        (5, Ending::Unit(Box::default())),
    ];
    for (probes, ending) in endings {
        ground.advance(HOUR).await;
        let task = worker.claim_of(&ground, &[Stage::Ports], 1).await.remove(0);
        settle_after(&ground, task.lease, ending, probes).await;
    }
    assert_eq!(ground.store.scan(ground.tenant, scan).await.unwrap().traffic.probes, 32);

    let scan = submit_of(&ground, ports_within(Budget::default()), &["127.0.0.10"]).await.unwrap();
    let task = worker.claim_of(&ground, &[Stage::Ports], 1).await.remove(0);
    settle_after(&ground, task.lease, failure(Retry::Never), 3).await;
    let record = ground.store.scan(ground.tenant, scan).await.unwrap();
    assert_eq!((record.traffic.probes, record.dead_tasks), (3, 1));
}

async fn what_nobody_can_do_yet_waits_without_using_up_a_try(ground: Ground) {
    submit_of(&ground, ports_within(Budget::default()), &["127.0.0.9"]).await.unwrap();
    let worker = Worker::new(1);
    let task = worker.claim_of(&ground, &[Stage::Ports], 1).await.remove(0);
    let not_before = Some(ground.store.clock().await.unwrap() + HOUR);
    settle(&ground, task.lease, Ending::HandedBack { not_before }).await.unwrap();
    assert_eq!(worker.claim_of(&ground, &[Stage::Ports], 1).await, []);
    assert_eq!(ground.task(task.lease.task).await.task.attempts, 0);
    ground.advance(HOUR).await;
    assert_eq!(worker.claim_of(&ground, &[Stage::Ports], 1).await.len(), 1);
    // A scope that never opens again is told when somebody asks, not found out by trying.
    let over = model::scope::TimeWindow {
        not_after: Some(jiff::Timestamp::UNIX_EPOCH),
        ..model::scope::TimeWindow::ALWAYS
    };
    let scope = model::Scope { window: over, ..model::Scope::loopback() };
    ground.store.put_scope(ground.tenant, "over", scope, "test".to_owned()).await.unwrap();
    let request = ScanRequest { stages: [Stage::Ports].into(), ..ScanRequest::within("over") };
    let refused = submit_of(&ground, request, &["127.0.0.9"]).await;
    assert!(matches!(&refused, Err(store::StoreError::OutOfScope { .. })), "{refused:?}");
}

async fn in_state(ground: &Ground, scan: ScanId, state: &'static str) -> Vec<TaskId> {
    let filter = TaskFilter { state: Some(state), stage: Some(Stage::Ports), ..TaskFilter::of_scan(scan) };
    let found = ground.store.tasks(ground.tenant, filter, None, 100).await.unwrap();
    found.into_iter().map(|task| task.id).collect()
}

async fn a_scan_ends_with_its_time_or_its_budget(ground: Ground) {
    let budget = Budget { time: Some(HOUR), ..Budget::default() };
    let request = ScanRequest { budget, ..ScanRequest::within("loopback") };
    let scan = submit_of(&ground, request, &["127.0.0.9"]).await.unwrap();
    ground.store.tend_scans().await.unwrap();
    assert_eq!(ground.store.scan(ground.tenant, scan).await.unwrap().life, ScanLife::Running);
    ground.advance(HOUR + Duration::from_secs(1)).await;
    assert_eq!(ground.store.tend_scans().await.unwrap(), 1);
    assert_ended(&ground, scan, ScanEnd::Deadline).await;
    assert_eq!(ground.store.tend_scans().await.unwrap(), 0);

    let budget = Budget { units: 3, ..Budget::default() };
    let request = ScanRequest { budget, ..ScanRequest::within("loopback") };
    let scan = submit_of(&ground, request, &["127.0.0.9"]).await.unwrap();
    let worker = Worker::new(1);
    let first = claim(&ground, &worker).await;
    let open = (1..=50).collect();
    done(&ground, &first["ports of 127.0.0.9"], Learned { open, ..Learned::default() }).await;
    let record = ground.store.scan(ground.tenant, scan).await.unwrap();
    assert_eq!((record.units, record.open_tasks), (3, 2), "a hard cap on fan-out");
    assert_eq!(record.life, ScanLife::Running, "what was planned is done");
    for task in claim(&ground, &worker).await.values() {
        done(&ground, task, Learned { open: vec![99], ..Learned::default() }).await;
    }
    assert_ended(&ground, scan, budget_of(Exhausted::Units)).await;

    let budget = Budget { packets: Some(100), ..Budget::default() };
    let request = ScanRequest { budget, ..ScanRequest::within("loopback") };
    let scan = submit_of(&ground, request, &["127.0.0.9", "127.0.0.10"]).await.unwrap();
    let running = claim(&ground, &worker).await;
    let learned = Learned { open: vec![80], ..Learned::default() };
    let result = UnitResult { learned, ..UnitResult::default() };
    settle_after(&ground, running["ports of 127.0.0.9"].lease, Ending::Unit(Box::new(result)), 100).await;
    settle(&ground, running["ports of 127.0.0.10"].lease, Ending::HandedBack { not_before: None })
        .await
        .unwrap();
    assert_ended(&ground, scan, budget_of(Exhausted::Packets)).await;
}

async fn what_was_planned_within_the_budget_of_units_is_done(ground: Ground) {
    let request = ports_within(Budget { units: 10, ..Budget::default() });
    let targets: Vec<String> = (1..=11).map(|last| format!("127.0.0.{last}")).collect();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let scan = submit_of(&ground, request, &targets).await.unwrap();
    assert_eq!(ground.store.tend_scans().await.unwrap(), 0);
    let tasks = claim_ports(&ground, &Worker::new(1)).await;
    assert_eq!(tasks.len(), 10);
    for task in &tasks {
        assert_eq!(ground.store.scan(ground.tenant, scan).await.unwrap().life, ScanLife::Running);
        done(&ground, task, Learned::default()).await;
    }
    assert_ended(&ground, scan, budget_of(Exhausted::Units)).await;
    assert_eq!(ground.store.unit_results(ground.tenant, scan, None, 100).await.unwrap().len(), 10);
}

async fn nothing_holds_up_the_end_of_a_scan_whose_units_are_used_up(ground: Ground) {
    let worker = Worker::new(1);
    let of_two = async |budget: Budget| {
        let request = ports_within(Budget { units: 2, ..budget });
        submit_of(&ground, request, &["127.0.0.9", "127.0.0.10", "127.0.0.11"]).await.unwrap()
    };
    // Somebody does not want it any more.
    let scan = of_two(Budget::default()).await;
    assert!(ground.store.cancel_scan(ground.tenant, scan, "test".to_owned()).await.unwrap());
    assert_ended(&ground, scan, ScanEnd::Cancelled).await;
    // Its time is up.
    let scan = of_two(Budget { time: Some(HOUR), ..Budget::default() }).await;
    ground.advance(HOUR + Duration::from_secs(1)).await;
    assert_eq!(ground.store.tend_scans().await.unwrap(), 1);
    assert_ended(&ground, scan, ScanEnd::Deadline).await;
    // It has sent what it may.
    let scan = of_two(Budget { packets: Some(100), ..Budget::default() }).await;
    let task = worker.claim_of(&ground, &[Stage::Ports], 1).await.remove(0);
    done_with(&ground, &task, 100).await;
    assert_ended(&ground, scan, budget_of(Exhausted::Packets)).await;
}

async fn workers_hear_that_a_budget_is_spent(ground: Ground) {
    let request = ports_within(Budget { packets: Some(100), ..Budget::default() });
    let targets = ["127.0.0.9", "127.0.0.10", "127.0.0.11", "127.0.0.12"];
    let scan = submit_of(&ground, request, &targets).await.unwrap();
    let tasks = claim_ports(&ground, &Worker::new(1)).await;
    assert_eq!(tasks.len(), 4);
    done_with(&ground, &tasks[3], 100).await;
    // What fails from then on is not tried again.
    settle(&ground, tasks[2].lease, failure(Retry::Later)).await.unwrap();
    assert_eq!(in_state(&ground, scan, "cancelled").await, [tasks[2].lease.task]);
    assert_eq!(ground.store.tend_scans().await.unwrap(), 0, "it was to end already");
    let leases = vec![tasks[0].lease, tasks[1].lease];
    assert_eq!(ground.store.heartbeat(leases, LEASE).await.unwrap(), [Beat::StopWork; 2]);
    for task in &tasks[..2] {
        settle(&ground, task.lease, Ending::HandedBack { not_before: None }).await.unwrap();
    }
    assert_ended(&ground, scan, budget_of(Exhausted::Packets)).await;
}

async fn the_dead_of_a_scan_that_gave_up_stay_dead(ground: Ground) {
    let worker = Worker::new(1);
    let redrive = async |scan| {
        let these = TaskFilter::of_scan(scan);
        ground.store.redrive_tasks(ground.tenant, these, 100, "test".to_owned()).await.unwrap()
    };
    let left = |scan, why| Redriven { tasks: 0, left: [(scan, LeftDead { tasks: 1, why })].into() };
    let die = async |task: &Claimed| settle(&ground, task.lease, failure(Retry::Never)).await.unwrap();
    let two = ["127.0.0.9", "127.0.0.10"];

    // Its money is spent, while something waited.
    let three = ["127.0.0.9", "127.0.0.10", "127.0.0.11"];
    let scan = submit_at(&ground, may_cost("1"), &three, Some("1")).await.unwrap();
    let tasks = worker.claim_of(&ground, &[Stage::Ports], 2).await;
    die(&tasks[0]).await;
    ground.advance(HOUR).await;
    done(&ground, &tasks[1], Learned::default()).await;
    let cost = budget_of(Exhausted::Cost);
    assert_ended(&ground, scan, cost).await;
    assert_eq!(redrive(scan).await, left(scan, cost));
    assert_eq!(in_state(&ground, scan, "dead").await, [tasks[0].lease.task]);
    assert_ended(&ground, scan, cost).await;

    // What it may send was sent with its last unit.
    let request = ports_within(Budget { packets: Some(100), ..Budget::default() });
    let scan = submit_of(&ground, request, &two).await.unwrap();
    let tasks = claim_ports(&ground, &worker).await;
    die(&tasks[0]).await;
    done_with(&ground, &tasks[1], 100).await;
    assert_ended(&ground, scan, ScanEnd::Failures { units: 1 }).await;
    assert_eq!(redrive(scan).await, left(scan, budget_of(Exhausted::Packets)));

    // Somebody does not want it any more.
    let scan = submit_of(&ground, ports_within(Budget::default()), &two).await.unwrap();
    die(&worker.claim_of(&ground, &[Stage::Ports], 1).await[0]).await;
    assert!(ground.store.cancel_scan(ground.tenant, scan, "test".to_owned()).await.unwrap());
    assert_eq!(redrive(scan).await, left(scan, ScanEnd::Cancelled));

    // Its time is up.
    let request = ports_within(Budget { time: Some(HOUR), ..Budget::default() });
    let scan = submit_of(&ground, request, &two[..1]).await.unwrap();
    die(&claim_ports(&ground, &worker).await[0]).await;
    ground.advance(HOUR).await;
    assert_eq!(redrive(scan).await, left(scan, ScanEnd::Deadline));

    // As many units as it may were planned: they may be done.
    let request = ports_within(Budget { units: 1, ..Budget::default() });
    let scan = submit_of(&ground, request, &two).await.unwrap();
    die(&claim_ports(&ground, &worker).await[0]).await;
    assert_ended(&ground, scan, budget_of(Exhausted::Units)).await;
    assert_eq!(redrive(scan).await, Redriven { tasks: 1, ..Redriven::default() });
    ground.store.tend_scans().await.unwrap();
    done(&ground, &claim_ports(&ground, &worker).await[0], Learned::default()).await;
    assert_ended(&ground, scan, budget_of(Exhausted::Units)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_spends_a_budget_waits_for_no_heartbeat() {
    let ground = Ground::postgres().await;
    let request = ports_within(Budget { packets: Some(100), ..Budget::default() });
    let scan = submit_of(&ground, request, &["127.0.0.9", "127.0.0.10", "127.0.0.11"]).await.unwrap();
    let tasks = claim_ports(&ground, &Worker::new(1)).await;
    // As a heartbeat does that has got the first one, and waits for the one whose result comes now.
    let (owner, connection) = tokio_postgres::connect(&ground.owner, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(async move { connection.await.ok() });
    let hold =
        format!("BEGIN; SELECT FROM rampart.tasks WHERE task_id = '{}' FOR UPDATE", tasks[0].lease.task);
    owner.batch_execute(&hold).await.unwrap();
    done_with(&ground, &tasks[2], 100).await;
    owner.batch_execute("ROLLBACK").await.unwrap();
    ground.store.tend_scans().await.unwrap();
    let leases = vec![tasks[0].lease, tasks[1].lease];
    assert_eq!(ground.store.heartbeat(leases, LEASE).await.unwrap(), [Beat::StopWork; 2]);
    assert_eq!(in_state(&ground, scan, "running").await.len(), 2, "until they let go");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_for_scans_to_tend_does_not_hold_the_writer_of_sqlite() {
    let ground = Ground::sqlite().await;
    let store::Location::Sqlite(path) = &ground.location else { panic!("a file") };
    let other = rusqlite::Connection::open(path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(ground.store.tend_scans().await.unwrap(), 0, "though somebody else writes");
    other.execute_batch("ROLLBACK").unwrap();
}
