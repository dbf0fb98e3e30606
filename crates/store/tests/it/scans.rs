//! Scans: units follow from units, in the transaction that commits what they follow from.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use model::{
    FoundName, Learned, Money, ScanId, ScanLife, ScanRequest, Scope, Source, Stage, UnitResult, Work,
    scan::{Budget, Exhausted, ScanEnd},
    task::{Retry, TaskFailure},
};
use store::{
    AuditFilter, Claimed, Ending, Followed, NewScan, NewSchedule, Remarks, ScanFilter, ScanRecord,
    ScheduleChange, ScheduleRecord, StoreError, TaskFilter, Terms,
};

use crate::ground::{Ground, LEASE, Worker, failure, settle};

crate::contract! {
    units_follow_from_units_until_nothing_is_left
    the_same_unit_is_planned_once_a_scan
    a_lost_result_plans_nothing
    a_long_list_never_stands_in_the_queue_as_a_whole
    a_network_is_walked_through_piece_by_piece
    a_cancelled_scan_ends_when_what_runs_has_let_go
    all_scans_are_ended_however_many_are_ending_already
    every_try_costs_the_time_that_it_was_held
    a_scan_ends_with_its_money
    what_scans_of_a_schedule_may_cost_needs_a_price
    a_unit_that_failed_for_good_is_told_and_can_be_brought_back
    what_is_not_in_scope_is_refused_as_a_whole
    a_schedule_begins_each_run_once
    what_looks_the_same_is_not_looked_at_again_for_a_while
}

const STAGES: [Stage; 5] = [Stage::Discover, Stage::Ports, Stage::Crawl, Stage::Check, Stage::Report];

fn terms() -> Terms {
    Terms { checks: "1".to_owned(), price: None }
}

pub(crate) async fn submit_of(
    ground: &Ground,
    request: ScanRequest,
    targets: &[&str],
) -> Result<ScanId, StoreError> {
    submit_at(ground, request, targets, None).await
}

/// With a price of a worker's hour.
pub(crate) async fn submit_at(
    ground: &Ground,
    request: ScanRequest,
    targets: &[&str],
    price: Option<&str>,
) -> Result<ScanId, StoreError> {
    let scope = Scope {
        names: vec!["*.acme.test".parse().unwrap(), "acme.test".parse().unwrap()],
        ..Scope::loopback()
    };
    ground.store.put_scope(ground.tenant, "loopback", scope, "test".to_owned()).await.unwrap();
    let targets = targets.iter().map(|target| target.parse().unwrap()).collect();
    let price = price.map(|price| price.parse().unwrap());
    let new = NewScan { request, targets, by: "test".into(), checks: "1".to_owned(), price };
    ground.store.submit_scan(ground.tenant, new).await.map(|(scan, _)| scan)
}

async fn submit(ground: &Ground, targets: &[&str]) -> ScanId {
    submit_of(ground, ScanRequest::within("loopback"), targets).await.unwrap()
}

fn name_of(task: &Claimed) -> String {
    match &task.work {
        Work::Unit(unit) => unit.to_string(),
        other => format!("{other:?}"),
    }
}

/// Claims everything that there is, by name.
pub(crate) async fn claim(ground: &Ground, worker: &Worker) -> BTreeMap<String, Claimed> {
    let claimed = worker.claim_of(ground, &STAGES, 100_000).await;
    claimed.into_iter().map(|task| (name_of(&task), task)).collect()
}

pub(crate) async fn done(ground: &Ground, task: &Claimed, learned: Learned) {
    let result = UnitResult { learned, ..UnitResult::default() };
    settle(ground, task.lease, Ending::Unit(Box::new(result))).await.unwrap();
}

fn found(name: &str, address: &str) -> FoundName {
    FoundName {
        name: name.parse().unwrap(),
        source: Source::WordList,
        addresses: vec![address.parse().unwrap()],
        apex: false,
        alias: false,
    }
}

async fn units_follow_from_units_until_nothing_is_left(ground: Ground) {
    let scan = submit(&ground, &["acme.test"]).await;
    let worker = Worker::new(1);
    let first = claim(&ground, &worker).await;
    assert_eq!(first.keys().collect::<Vec<_>>(), ["names below acme.test"]);
    let names = vec![found("www.acme.test", "127.0.0.9"), found("mail.acme.test", "127.0.0.9")];
    done(&ground, &first["names below acme.test"], Learned { found: names, ..Learned::default() }).await;
    let second = claim(&ground, &worker).await;
    assert_eq!(second.keys().collect::<Vec<_>>(), ["ports of 127.0.0.9"], "two names, one host");
    let record = ground.store.scan(ground.tenant, scan).await.unwrap();
    assert_eq!((record.life, record.open_tasks, record.units), (ScanLife::Running, 1, 2));
    done(&ground, &second["ports of 127.0.0.9"], Learned { open: vec![80, 443], ..Learned::default() }).await;
    let third = claim(&ground, &worker).await;
    assert_eq!(third.keys().collect::<Vec<_>>(), ["service 127.0.0.9:443", "service 127.0.0.9:80"]);
    for task in third.values() {
        done(&ground, task, Learned::default()).await;
    }
    let record = ground.store.scan(ground.tenant, scan).await.unwrap();
    assert!(matches!(record.life, ScanLife::Ended { end: ScanEnd::Complete, .. }), "{record:?}");
    assert_eq!((record.open_tasks, record.units, record.begun), (0, 4, 1));
    let report = claim(&ground, &worker).await;
    assert_eq!(report.keys().collect::<Vec<_>>(), ["Report"]);
    settle(&ground, report["Report"].lease, Ending::Completed).await.unwrap();
    assert!(claim(&ground, &worker).await.is_empty());
}

async fn the_same_unit_is_planned_once_a_scan(ground: Ground) {
    let scan = submit(&ground, &["127.0.0.9", "127.0.0.9", "acme.test"]).await;
    let worker = Worker::new(1);
    let first = claim(&ground, &worker).await;
    assert_eq!(first.keys().collect::<Vec<_>>(), ["names below acme.test", "ports of 127.0.0.9"]);
    let names = vec![found("acme.test", "127.0.0.9")];
    done(&ground, &first["names below acme.test"], Learned { found: names, ..Learned::default() }).await;
    assert_eq!(claim(&ground, &worker).await.keys().collect::<Vec<_>>(), ["checks of name acme.test"]);
    assert_eq!(ground.store.scan(ground.tenant, scan).await.unwrap().units, 3);
    // Another scan asks for itself.
    submit(&ground, &["127.0.0.9"]).await;
    assert_eq!(claim(&ground, &worker).await.keys().collect::<Vec<_>>(), ["ports of 127.0.0.9"]);
}

async fn a_lost_result_plans_nothing(ground: Ground) {
    let scan = submit(&ground, &["127.0.0.9"]).await;
    let (silent, other) = (Worker::new(1), Worker::new(2));
    let lost = claim(&ground, &silent).await.remove("ports of 127.0.0.9").unwrap();
    ground.advance(LEASE + Duration::from_secs(1)).await;
    ground.store.reclaim(10).await.unwrap();
    let result =
        UnitResult { learned: Learned { open: vec![80], ..Learned::default() }, ..UnitResult::default() };
    assert!(settle(&ground, lost.lease, Ending::Unit(Box::new(result))).await.is_err());
    assert_eq!(ground.store.scan(ground.tenant, scan).await.unwrap().units, 1);
    ground.advance(Duration::from_secs(10)).await;
    let again = claim(&ground, &other).await.remove("ports of 127.0.0.9").unwrap();
    done(&ground, &again, Learned { open: vec![22], ..Learned::default() }).await;
    assert_eq!(claim(&ground, &other).await.keys().collect::<Vec<_>>(), ["service 127.0.0.9:22"]);
}

async fn a_long_list_never_stands_in_the_queue_as_a_whole(ground: Ground) {
    let targets: Vec<String> =
        (0..2_000).map(|number| format!("127.1.{}.{}", number / 200, number % 200 + 1)).collect();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let request = ScanRequest { stages: [Stage::Ports].into(), ..ScanRequest::within("loopback") };
    let scan = submit_of(&ground, request, &targets).await.unwrap();
    let worker = Worker::new(1);
    let mut total = 0;
    loop {
        let record = ground.store.scan(ground.tenant, scan).await.unwrap();
        assert!(record.open_tasks <= 512, "{}", record.open_tasks);
        let tasks = worker.claim_of(&ground, &[Stage::Ports], 128).await;
        if tasks.is_empty() {
            break;
        }
        total += tasks.len();
        let settlements = tasks
            .iter()
            .map(|task| store::Settlement::silent(task.lease, Ending::Unit(Box::default())))
            .collect();
        for answer in ground.store.settle(settlements).await.unwrap() {
            answer.unwrap();
        }
    }
    assert_eq!(total, 2_000, "every target had its turn");
    let record = ground.store.scan(ground.tenant, scan).await.unwrap();
    assert!(matches!(record.life, ScanLife::Ended { end: ScanEnd::Complete, .. }), "{record:?}");
}

async fn a_network_is_walked_through_piece_by_piece(ground: Ground) {
    let request = ScanRequest { stages: [Stage::Ports].into(), ..ScanRequest::within("loopback") };
    let scan = submit_of(&ground, request, &["127.3.0.0/22", "127.9.9.9"]).await.unwrap();
    let worker = Worker::new(1);
    let mut seen = std::collections::BTreeSet::new();
    loop {
        let tasks = worker.claim_of(&ground, &[Stage::Ports], 300).await;
        if tasks.is_empty() {
            break;
        }
        let mut settlements = Vec::new();
        for task in &tasks {
            assert!(seen.insert(name_of(task)), "{} twice", name_of(task));
            settlements.push(store::Settlement::silent(task.lease, Ending::Unit(Box::default())));
        }
        ground.store.settle(settlements).await.unwrap();
    }
    assert_eq!(seen.len(), 1_022 + 1, "without the network's own address and its broadcast address");
    let record = ground.store.scan(ground.tenant, scan).await.unwrap();
    assert!(matches!(record.life, ScanLife::Ended { end: ScanEnd::Complete, .. }), "{record:?}");
}

async fn all_scans_are_ended_however_many_are_ending_already(ground: Ground) {
    let mut scans = Vec::new();
    for last in 9..14 {
        scans.push(submit(&ground, &[&format!("127.0.0.{last}")]).await);
    }
    // Those that have something at work come to their end only with that.
    let worker = Worker::new(1);
    assert_eq!(worker.claim_of(&ground, &STAGES, 100).await.len(), 5);
    let cancel = async |scope: Option<&str>| {
        ground.store.cancel_scans(ground.tenant, scope.map(str::to_owned), 2, "test").await.unwrap()
    };
    assert_eq!(cancel(Some("elsewhere")).await, (0, false));
    assert_eq!(cancel(None).await, (2, true));
    assert_eq!(cancel(Some("loopback")).await, (2, true));
    assert_eq!(cancel(None).await, (1, false));
    assert_eq!(cancel(None).await, (0, false));
    for scan in scans {
        let record = ground.store.scan(ground.tenant, scan).await.unwrap();
        assert_eq!((record.life, record.open_tasks), (ScanLife::Running, 1));
        let done = ground.store.cancel_scan(ground.tenant, scan, "test").await.unwrap();
        assert!(!done, "it is ending");
    }
    let filter = AuditFilter { action: Some("scan.cancel".to_owned()), ..AuditFilter::default() };
    assert_eq!(ground.store.audit(ground.tenant, filter, 100).await.unwrap().len(), 5, "each once");
}

async fn a_cancelled_scan_ends_when_what_runs_has_let_go(ground: Ground) {
    let scan = submit(&ground, &["127.0.0.9", "127.0.0.10", "127.0.0.11"]).await;
    let worker = Worker::new(1);
    let running = worker.claim_of(&ground, &STAGES, 1).await.remove(0);
    let cancel = || ground.store.cancel_scan(ground.tenant, scan, "test".to_owned());
    assert!(cancel().await.unwrap());
    assert!(!cancel().await.unwrap(), "once");
    let record = ground.store.scan(ground.tenant, scan).await.unwrap();
    assert_eq!((record.life, record.open_tasks), (ScanLife::Running, 1));
    assert_eq!(ground.store.heartbeat(vec![running.lease], LEASE).await.unwrap(), [store::Beat::StopWork]);
    settle(&ground, running.lease, Ending::HandedBack { not_before: None }).await.unwrap();
    let record = ground.store.scan(ground.tenant, scan).await.unwrap();
    assert!(matches!(record.life, ScanLife::Ended { end: ScanEnd::Cancelled, .. }), "{record:?}");
    assert_eq!(
        claim(&ground, &worker).await.keys().collect::<Vec<_>>(),
        ["Report"],
        "what there was is reported"
    );
}

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

pub(crate) fn may_cost(amount: &str) -> ScanRequest {
    let budget = Budget { cost: Some(amount.parse().unwrap()), ..Budget::default() };
    ScanRequest { budget, stages: [Stage::Ports].into(), ..ScanRequest::within("loopback") }
}

/// Between what the clock was advanced while workers held tasks, and as much more as really passed for each of them.
#[track_caller]
fn assert_worked(record: &ScanRecord, least: Duration, since: Instant) {
    let most = least + since.elapsed() * 10;
    assert!((least..=most).contains(&record.worked), "{:?} is not {least:?} to {most:?}", record.worked);
    assert_eq!(record.cost, record.price.map(|price| price.cost(record.worked)));
}

async fn every_try_costs_the_time_that_it_was_held(ground: Ground) {
    let since = Instant::now();
    let request = ScanRequest { stages: [Stage::Ports].into(), ..ScanRequest::within("loopback") };
    let scan = submit_at(&ground, request, &["127.0.0.9"], Some("0.05")).await.unwrap();
    let record = async || ground.store.scan(ground.tenant, scan).await.unwrap();
    assert_eq!(record().await.price, Some("0.05".parse().unwrap()));
    assert_eq!((record().await.worked, record().await.cost), (Duration::ZERO, Some(Money::ZERO)));
    let worker = Worker::new(1);
    let endings = [
        Some(Ending::HandedBack { not_before: None }),
        Some(failure(Retry::Later)),
        None,
        Some(Ending::Unit(Box::default())),
    ];
    for (ending, hours) in endings.into_iter().zip(1..) {
        let task = worker.claim_of(&ground, &[Stage::Ports], 1).await.remove(0);
        ground.advance(HOUR).await;
        match ending {
            Some(ending) => {
                settle(&ground, task.lease, ending).await.unwrap();
            }
            None => assert_eq!(ground.store.reclaim(10).await.unwrap().tasks, 1, "the worker is lost"),
        }
        assert_worked(&record().await, HOUR * hours, since);
        // Nobody holds it while it waits to be tried again.
        ground.advance(Duration::from_secs(600)).await;
    }
    assert!(matches!(record().await.life, ScanLife::Ended { end: ScanEnd::Complete, .. }));
    let report = worker.claim_of(&ground, &[Stage::Report], 1).await.remove(0);
    ground.advance(HOUR).await;
    settle(&ground, report.lease, Ending::Completed).await.unwrap();
    assert_worked(&record().await, HOUR * 5, since);
    assert!(record().await.cost.unwrap() >= "0.25".parse().unwrap());
}

async fn a_scan_ends_with_its_money(ground: Ground) {
    let refused = submit_at(&ground, may_cost("1"), &["127.0.0.9"], None).await;
    assert!(matches!(refused, Err(StoreError::NoPrice)), "{refused:?}");
    let worker = Worker::new(1);
    let record = async |scan| ground.store.scan(ground.tenant, scan).await.unwrap();
    let out_of_money = |record: &ScanRecord| {
        let end = ScanEnd::Budget { exhausted: Exhausted::Cost };
        matches!(record.life, ScanLife::Ended { end: ended, .. } if ended == end)
    };
    let reported = async || {
        let report = claim(&ground, &worker).await.remove("Report").unwrap();
        settle(&ground, report.lease, Ending::Completed).await.unwrap();
    };

    // A try that ends uses it up: what waits is not begun.
    let scan = submit_at(&ground, may_cost("1"), &["127.0.0.9", "127.0.0.10"], Some("1")).await.unwrap();
    let task = worker.claim_of(&ground, &STAGES, 1).await.remove(0);
    ground.advance(HOUR).await;
    done(&ground, &task, Learned { open: vec![80], ..Learned::default() }).await;
    assert!(out_of_money(&record(scan).await), "{:?}", record(scan).await);
    let left = TaskFilter { state: Some("cancelled"), ..TaskFilter::of_scan(scan) };
    assert_eq!(ground.store.tasks(ground.tenant, left, None, 10).await.unwrap().len(), 1);
    reported().await;

    // So do tries that take long, before they end.
    let scan = submit_at(&ground, may_cost("2"), &["127.0.0.9", "127.0.0.10"], Some("1")).await.unwrap();
    let tasks = worker.claim_of(&ground, &STAGES, 2).await;
    ground.advance(HOUR / 2).await;
    assert_eq!(ground.store.tend_scans().await.unwrap(), 0, "one hour of two");
    ground.advance(HOUR / 2).await;
    assert_eq!(ground.store.tend_scans().await.unwrap(), 1);
    assert_eq!(ground.store.tend_scans().await.unwrap(), 0, "once");
    let leases: Vec<_> = tasks.iter().map(|task| task.lease).collect();
    assert_eq!(ground.store.heartbeat(leases, LEASE).await.unwrap(), [store::Beat::StopWork; 2]);
    settle(&ground, tasks[0].lease, Ending::HandedBack { not_before: None }).await.unwrap();
    assert_eq!(record(scan).await.life, ScanLife::Running, "the other one has not let go");
    // It was done before its worker heard of it: a result is a result, and nothing follows from it.
    done(&ground, &tasks[1], Learned { open: vec![80], ..Learned::default() }).await;
    assert!(out_of_money(&record(scan).await), "{:?}", record(scan).await);
    reported().await;

    // Nothing was left to be done when it was used up.
    let scan = submit_at(&ground, may_cost("1"), &["127.0.0.9"], Some("1")).await.unwrap();
    let task = worker.claim_of(&ground, &STAGES, 1).await.remove(0);
    ground.advance(HOUR * 2).await;
    done(&ground, &task, Learned::default()).await;
    assert!(matches!(record(scan).await.life, ScanLife::Ended { end: ScanEnd::Complete, .. }));
}

async fn what_scans_of_a_schedule_may_cost_needs_a_price(ground: Ground) {
    submit(&ground, &["127.0.0.1"]).await;
    let new = NewSchedule {
        name: "hourly".to_owned(),
        rule: serde_json::from_str(r#"{"every": "1h"}"#).unwrap(),
        request: may_cost("1"),
        targets: vec!["127.0.0.9".parse().unwrap()],
    };
    ground.store.create_schedule(ground.tenant, new, "test".to_owned()).await.unwrap();
    let scans = async || ground.store.scans(ground.tenant, ScanFilter::default(), 100).await.unwrap();
    ground.advance(HOUR + Duration::from_secs(1)).await;
    let followed = ground.store.follow_schedules(&terms()).await.unwrap();
    assert_eq!(scans().await.len(), 1, "what it would cost cannot be said");
    let kept = async || ground.store.schedules(ground.tenant).await.unwrap().remove(0);
    let refused = kept().await.refused.expect("it began nothing");
    assert_eq!(refused.reason, StoreError::NoPrice.to_string());
    assert_eq!(
        followed,
        Followed { refused: vec![(ground.tenant, "hourly".to_owned(), refused)], ..followed.clone() }
    );
    ground.advance(HOUR).await;
    let price = Some("0.07".parse().unwrap());
    let followed = ground.store.follow_schedules(&Terms { price, ..terms() }).await.unwrap();
    assert_eq!((followed.planned.len(), followed.refused.len(), kept().await.refused), (1, 0, None));
    assert_eq!((scans().await.len(), scans().await[0].price), (2, price));
}

async fn a_unit_that_failed_for_good_is_told_and_can_be_brought_back(ground: Ground) {
    let scan = submit(&ground, &["127.0.0.9", "127.0.0.10"]).await;
    let worker = Worker::new(1);
    let claimed = claim(&ground, &worker).await;
    let failure = TaskFailure { message: "out of memory".to_owned(), retry: Retry::Never };
    settle(&ground, claimed["ports of 127.0.0.9"].lease, Ending::Failed(failure)).await.unwrap();
    done(&ground, &claimed["ports of 127.0.0.10"], Learned::default()).await;
    let record = ground.store.scan(ground.tenant, scan).await.unwrap();
    assert!(matches!(record.life, ScanLife::Ended { end: ScanEnd::Failures { units: 1 }, .. }), "{record:?}");
    let results = ground.store.unit_results(ground.tenant, scan, None, 10).await.unwrap();
    let told: Vec<&str> = results.iter().flat_map(|unit| &unit.undetermined).map(String::as_str).collect();
    assert_eq!((results.len(), told.as_slice()), (2, ["out of memory"].as_slice()));
    let (count, units) = ground.store.gaps(ground.tenant, scan, 10).await.unwrap();
    assert_eq!(
        (count, units.iter().map(|unit| unit.unit.as_str()).collect::<Vec<_>>()),
        (1, vec!["ports of 127.0.0.9"])
    );
    for (which, after, wanted) in [
        (Remarks::Undetermined, None, 1),
        (Remarks::All, None, 1),
        (Remarks::LeftOut, None, 0),
        (Remarks::All, Some(units[0].task), 0),
    ] {
        let told = ground.store.remarks(ground.tenant, scan, which, after, 10).await.unwrap();
        assert_eq!(told, units[..wanted], "{which:?} after {after:?}");
    }

    let redriven =
        ground.store.redrive_tasks(ground.tenant, TaskFilter::of_scan(scan), 10, "test".to_owned()).await;
    assert_eq!(redriven.unwrap().tasks, 1);
    let record = ground.store.scan(ground.tenant, scan).await.unwrap();
    assert_eq!((record.life, record.open_tasks, record.dead_tasks), (ScanLife::Running, 1, 0));
    let again = claim(&ground, &worker).await;
    done(&ground, &again["ports of 127.0.0.9"], Learned::default()).await;
    let record = ground.store.scan(ground.tenant, scan).await.unwrap();
    assert!(matches!(record.life, ScanLife::Ended { end: ScanEnd::Complete, .. }), "{record:?}");
    let results = ground.store.unit_results(ground.tenant, scan, None, 10).await.unwrap();
    assert!(results.iter().all(|unit| unit.undetermined.is_empty()), "told anew: {results:?}");
    assert_eq!(ground.store.gaps(ground.tenant, scan, 10).await.unwrap(), (0, Vec::new()));
}

async fn what_is_not_in_scope_is_refused_as_a_whole(ground: Ground) {
    let refused = submit_of(&ground, ScanRequest::within("loopback"), &["127.0.0.9", "192.0.2.1"]).await;
    assert!(
        matches!(&refused, Err(error @ StoreError::OutOfScope { .. }) if error.to_string().contains("192.0.2.1")),
        "{refused:?}"
    );
    assert!(submit_of(&ground, ScanRequest::within("nope"), &["127.0.0.9"]).await.is_err());
    assert!(submit_of(&ground, ScanRequest::within("loopback"), &[]).await.is_err());
    assert_eq!(ground.store.scans(ground.tenant, ScanFilter::default(), 10).await.unwrap(), []);
    assert!(claim(&ground, &Worker::new(1)).await.is_empty());
}

async fn a_schedule_begins_each_run_once(ground: Ground) {
    submit(&ground, &["127.0.0.1"]).await;
    let new = NewSchedule {
        name: "hourly".to_owned(),
        rule: serde_json::from_str(r#"{"every": "1h"}"#).unwrap(),
        request: ScanRequest::within("loopback"),
        targets: vec!["127.0.0.9".parse().unwrap()],
    };
    let schedule = ground.store.create_schedule(ground.tenant, new.clone(), "test".to_owned()).await.unwrap();
    let scans = async || ground.store.scans(ground.tenant, ScanFilter::default(), 100).await.unwrap().len();
    ground.store.follow_schedules(&terms()).await.unwrap();
    assert_eq!(scans().await, 1, "not before its time");
    ground.advance(Duration::from_secs(3_601)).await;
    let terms = terms();
    let (one, other) =
        tokio::join!(ground.store.follow_schedules(&terms), ground.store.follow_schedules(&terms));
    let woken = one.unwrap().planned.len() + other.unwrap().planned.len();
    assert_eq!((scans().await, woken), (2, 1), "two who look at once begin it once");
    let kept = ground.store.schedules(ground.tenant).await.unwrap().remove(0);
    let last = ground.store.scans(ground.tenant, ScanFilter::default(), 1).await.unwrap().remove(0);
    assert_eq!((kept.last_scan, last.submitted_by.as_str()), (Some(last.id), "schedule hourly"));
    ground.advance(Duration::from_secs(3_601)).await;
    ground.store.follow_schedules(&terms).await.unwrap();
    assert_eq!(scans().await, 2, "the last run is still going on");
    ground.store.cancel_scan(ground.tenant, last.id, "test".to_owned()).await.unwrap();
    let switch = async |enabled| {
        let change = ScheduleChange { enabled: Some(enabled), ..ScheduleChange::default() };
        ground.store.change_schedule(ground.tenant, schedule.id, change, None, "test").await.unwrap()
    };
    assert!(!switch(false).await.enabled);
    ground.advance(Duration::from_secs(3_601)).await;
    ground.store.follow_schedules(&terms).await.unwrap();
    assert_eq!(scans().await, 2, "disabled");
    assert!(switch(true).await.enabled);
    ground.store.follow_schedules(&terms).await.unwrap();
    assert_eq!(scans().await, 2, "what was missed is not caught up on");
    ground.advance(Duration::from_secs(3_601)).await;
    ground.store.follow_schedules(&terms).await.unwrap();
    assert_eq!(scans().await, 3);
    // Whoever has seen it when it was disabled does not forget what it is now; that it has begun scans changes nothing.
    let disabled = ScheduleRecord { enabled: false, ..schedule.clone() };
    let late = ground.store.delete_schedule(ground.tenant, schedule.id, Some(disabled), "test").await;
    assert!(matches!(late, Err(StoreError::Changed { kind: "schedule", .. })), "{late:?}");
    ground.store.delete_schedule(ground.tenant, schedule.id, Some(schedule), "test").await.unwrap();
    assert_eq!(ground.store.schedules(ground.tenant).await.unwrap(), []);
}

/// A scan of one port, behind which there is a site that looks so; the units that were worked on.
async fn scan_of_a_site(
    ground: &Ground,
    window: Duration,
    checks: &str,
    version: &str,
) -> (ScanId, Vec<String>) {
    let scope = Scope::loopback();
    ground.store.put_scope(ground.tenant, "loopback", scope, "test".to_owned()).await.unwrap();
    let request = ScanRequest { unchanged_for: window, ..ScanRequest::within("loopback") };
    let targets = vec!["127.0.0.9:80".parse().unwrap()];
    let new = NewScan { request, targets, by: "test".into(), checks: checks.to_owned(), price: None };
    let (scan, _) = ground.store.submit_scan(ground.tenant, new).await.unwrap();
    let worker = Worker::new(1);
    let mut worked = Vec::new();
    loop {
        let tasks = claim(ground, &worker).await;
        if tasks.is_empty() {
            worked.sort();
            return (scan, worked);
        }
        for (name, task) in tasks {
            let mut result = UnitResult::default();
            if name.starts_with("service ") {
                let service = model::Service {
                    endpoint: model::Endpoint { name: None, address: "127.0.0.9".parse().unwrap(), port: 80 },
                    protocol: model::Protocol::HTTP,
                    product: Some("nginx".to_owned()),
                    version: Some(version.to_owned()),
                    cpe: None,
                    banner: String::new(),
                    tls: None,
                };
                result.assets.push(model::Asset::Service(service.clone()));
                result.learned.service = Some(service);
            }
            if name.starts_with("pages of ") {
                result.assets.push(model::Asset::Page {
                    url: "http://127.0.0.9/".parse().unwrap(),
                    status: 200,
                    title: None,
                    content_type: None,
                    length: 1,
                    technologies: vec![],
                });
            }
            settle(ground, task.lease, Ending::Unit(Box::new(result))).await.ok();
            worked.push(name);
        }
    }
}

async fn what_looks_the_same_is_not_looked_at_again_for_a_while(ground: Ground) {
    let hour = Duration::from_secs(3_600);
    let all = [
        "Report",
        "checks of http://127.0.0.9/ at 127.0.0.9",
        "checks of service 127.0.0.9:80",
        "pages of http://127.0.0.9/ at 127.0.0.9",
        "service 127.0.0.9:80",
    ];
    let (first, worked) = scan_of_a_site(&ground, hour, "1", "1.0").await;
    assert_eq!(worked, all);
    let (second, worked) = scan_of_a_site(&ground, hour, "1", "1.0").await;
    assert_eq!(worked, ["Report", "service 127.0.0.9:80"], "only what is cheap is asked again");
    let record = ground.store.scan(ground.tenant, second).await.unwrap();
    assert!(matches!(record.life, ScanLife::Ended { end: ScanEnd::Complete, .. }), "{record:?}");
    assert!(ground.store.difference(ground.tenant, second, first).await.unwrap().is_empty());
    let told = ground.store.unit_results(ground.tenant, second, None, 10).await.unwrap();
    let told = told.iter().filter(|unit| unit.left_out.iter().any(|why| why.contains(&first.to_string())));
    assert_eq!(told.count(), 3, "what was left out is told");
    let (_, worked) = scan_of_a_site(&ground, Duration::ZERO, "1", "1.0").await;
    assert_eq!(worked, all, "nobody asked to spare anything");
    let (_, worked) = scan_of_a_site(&ground, hour, "1", "2.0").await;
    assert_eq!(worked, all, "it looks different");
    let (_, worked) = scan_of_a_site(&ground, hour, "2", "2.0").await;
    assert_eq!(worked, all, "with other checks");
    ground.advance(hour * 2).await;
    let (_, worked) = scan_of_a_site(&ground, hour, "2", "2.0").await;
    assert_eq!(worked, all, "too long ago");
}
