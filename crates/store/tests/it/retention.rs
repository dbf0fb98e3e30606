//! What is kept for how long: what runs for months holds no more than it did after the first.

use std::{collections::BTreeMap, path::Path, time::Duration};

use model::{
    Authority, Outcome, Reach, ScanId, ScanLife, ScanRequest, Severity, Stage, TaskId,
    record::TenantSettings, task::Retry,
};
use store::{Ending, Location, NewSchedule, ObjectKey, Objects, Retention, ScanFilter, StoreError, Terms};
use testkit::objects::{Access, Server};
use tokio_postgres::NoTls;

use crate::{
    findings::{almost, finding, scan},
    ground::{Ground, Worker, failure, settle},
    scans::{claim, done, submit_of},
};

crate::contract! {
    no_table_grows_over_months_of_scans
    the_last_of_a_question_stays_and_is_compared_with
    what_was_cut_short_takes_the_place_of_nothing
    what_is_still_to_be_done_is_not_forgotten
    a_schedule_goes_on_without_its_last_scan
    reports_go_with_their_scan
    reports_in_a_directory_go_with_their_scan
    stops_in_force_stay
    a_tenant_keeps_its_scans_for_as_long_as_it_says_and_no_longer_than_it_may
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const SEEN: [(&str, Outcome); 1] = [("git-config", Outcome::Matched)];

/// Scans are kept for a month, and everything else for less.
fn for_a_month() -> Retention {
    Retention {
        planning: DAY * 10,
        visits: DAY * 20,
        lifted_stops: DAY * 20,
        scans: Some(DAY * 30),
        ..Retention::default()
    }
}

/// Until nothing is left to be forgotten. How many scans that were.
async fn forget(ground: &Ground, reports: Option<&Objects>) -> u64 {
    while ground.store.forget(for_a_month()).await.unwrap() > 0 {}
    ground.store.sweep_scans(reports).await.unwrap()
}

async fn scans(ground: &Ground) -> Vec<ScanId> {
    let found = ground.store.scans(ground.tenant, ScanFilter::default(), 100).await.unwrap();
    found.iter().rev().map(|scan| scan.id).collect()
}

async fn seen(ground: &Ground) -> ScanId {
    scan(ground, vec![finding("git-config", Severity::High)], &SEEN).await
}

/// One whose only unit fails for good.
async fn failed(ground: &Ground) -> (ScanId, TaskId) {
    let (scan, settlement) = almost(ground, vec![], &SEEN).await;
    settle(ground, settlement.lease, failure(Retry::Never)).await.unwrap();
    let report = Worker::new(1).claim_of(ground, &[Stage::Report], 1).await.remove(0);
    settle(ground, report.lease, Ending::Completed).await.unwrap();
    (scan, settlement.lease.task)
}

/// The rows of every table, but for those that tell of each scan: the audit, and what happened within the last hour.
async fn rows(ground: &Ground) -> BTreeMap<String, i64> {
    let mut rows = match &ground.location {
        Location::Sqlite(file) => rows_of_file(file),
        Location::Postgres { .. } => rows_of_server(&ground.owner).await,
    };
    assert!(rows.len() >= 18 && rows.remove("audit").is_some(), "{rows:?}");
    rows.remove("happenings");
    rows.remove("happening_ends");
    rows
}

fn rows_of_file(file: &Path) -> BTreeMap<String, i64> {
    let connection = rusqlite::Connection::open(file).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'";
    let mut asked = connection.prepare(sql).unwrap();
    let tables = asked.query_map((), |row| row.get(0)).unwrap().collect::<Result<Vec<String>, _>>().unwrap();
    let count = |table: &String| {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), (), |row| row.get(0)).unwrap()
    };
    tables.iter().map(|table| (table.clone(), count(table))).collect()
}

async fn rows_of_server(owner: &str) -> BTreeMap<String, i64> {
    let (client, connection) = tokio_postgres::connect(owner, NoTls).await.unwrap();
    // It ends with its client.
    tokio::spawn(async move { connection.await.ok() });
    let sql =
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'rampart'::regnamespace AND relkind = 'r'";
    let mut counts = BTreeMap::new();
    for table in client.query(sql, &[]).await.unwrap() {
        let table: String = table.get(0);
        let sql = format!("SELECT count(*) FROM rampart.{table}");
        let count = client.query_one(&sql, &[]).await.unwrap().get(0);
        counts.insert(table, count);
    }
    counts
}

async fn no_table_grows_over_months_of_scans(ground: Ground) {
    let mut after_months = Vec::new();
    for round in 1..=32 {
        seen(&ground).await;
        if round % 4 == 0 {
            failed(&ground).await;
        }
        let by = || "test".to_owned();
        ground
            .store
            .order_stop(Authority::Installation, Reach::Everything, "wrong".to_owned(), by())
            .await
            .unwrap();
        ground.store.lift_stops(Authority::Installation, None, "right".to_owned(), by(), None).await.unwrap();
        ground.advance(DAY * 3).await;
        forget(&ground, None).await;
        if round % 16 == 0 {
            after_months.push(rows(&ground).await);
        }
    }
    assert_eq!(after_months[0], after_months[1]);
    // A month of them: it is forgetting what is old, and nothing else.
    assert_eq!(after_months[1]["scans"], 12, "{after_months:?}");
    assert_eq!(after_months[1]["unit_results"], 12);
    assert_eq!(after_months[1]["observations"], 9);
    assert_eq!((after_months[1]["findings"], after_months[1]["evidence"]), (1, 1), "what was found stays");
}

async fn the_last_of_a_question_stays_and_is_compared_with(ground: Ground) {
    let first = seen(&ground).await;
    let other = submit_of(&ground, only_ports(), &["127.0.0.9"]).await.unwrap();
    ground.store.cancel_scan(ground.tenant, other, "test".to_owned()).await.unwrap();
    report_is_written(&ground).await;
    ground.advance(DAY * 400).await;
    assert_eq!(forget(&ground, None).await, 0, "each is the last of its question");
    let second = seen(&ground).await;
    assert_eq!(ground.store.scan(ground.tenant, second).await.unwrap().baseline, Some(first));
    assert!(ground.store.difference(ground.tenant, second, first).await.unwrap().is_empty());
    assert_eq!(forget(&ground, None).await, 1);
    assert_eq!(scans(&ground).await, [other, second]);
    for gone in [
        ground.store.scan(ground.tenant, first).await.map(drop),
        ground.store.scan_settings(ground.tenant, first).await.map(drop),
        ground.store.cancel_scan(ground.tenant, first, "test".to_owned()).await.map(drop),
    ] {
        assert!(matches!(&gone, Err(StoreError::Missing { kind: "scan", .. })), "{gone:?}");
    }
    assert_eq!(ground.store.targets(ground.tenant, first, 0, 10).await.unwrap(), []);
    assert_eq!(ground.store.unit_results(ground.tenant, first, None, 10).await.unwrap(), []);
    // Its baseline is gone, and it is the next one's.
    let third = seen(&ground).await;
    assert_eq!(ground.store.scan(ground.tenant, third).await.unwrap().baseline, Some(second));
    let whole = ground.store.finding(ground.tenant, finding("git-config", Severity::High).fingerprint);
    assert_eq!(whole.await.unwrap().finding.evidence.len(), 1);
}

fn only_ports() -> ScanRequest {
    ScanRequest { stages: [Stage::Ports].into(), ..ScanRequest::within("loopback") }
}

async fn report_is_written(ground: &Ground) {
    let report = Worker::new(1).claim_of(ground, &[Stage::Report], 1).await.remove(0);
    settle(ground, report.lease, Ending::Completed).await.unwrap();
}

async fn what_was_cut_short_takes_the_place_of_nothing(ground: Ground) {
    let whole = seen(&ground).await;
    let (_, dead) = failed(&ground).await;
    let (last, _) = failed(&ground).await;
    ground.advance(DAY * 400).await;
    assert_eq!(forget(&ground, None).await, 1);
    assert_eq!(scans(&ground).await, [whole, last], "what the next is compared with, and the last");
    let gone = ground.store.task(ground.tenant, dead).await;
    assert!(matches!(gone, Err(StoreError::Missing { kind: "task", .. })), "dead tasks go with their scan");
    let next = seen(&ground).await;
    assert_eq!(ground.store.scan(ground.tenant, next).await.unwrap().baseline, Some(whole));
    assert_eq!(forget(&ground, None).await, 2);
    assert_eq!(scans(&ground).await, [next]);
}

async fn what_is_still_to_be_done_is_not_forgotten(ground: Ground) {
    let running = submit_of(&ground, only_ports(), &["127.0.0.9"]).await.unwrap();
    let worker = Worker::new(1);
    let task = claim(&ground, &worker).await.remove("ports of 127.0.0.9").unwrap();
    let ended = submit_of(&ground, only_ports(), &["127.0.0.9"]).await.unwrap();
    ground.store.cancel_scan(ground.tenant, ended, "test".to_owned()).await.unwrap();
    report_is_written(&ground).await;
    ground.advance(DAY * 400).await;
    assert_eq!(forget(&ground, None).await, 0, "one runs, the other is the last that ended");
    // It ends, and its report is not written yet. That is ready before a later one has ended.
    done(&ground, &task, model::Learned::default()).await;
    let record = ground.store.scan(ground.tenant, running).await.unwrap();
    assert!(matches!(record.life, ScanLife::Ended { .. }), "{record:?}");
    let later = submit_of(&ground, only_ports(), &["127.0.0.9"]).await.unwrap();
    let task = claim_ports(&ground, &worker).await;
    settle(&ground, task, Ending::Unit(Box::default())).await.unwrap();
    ground.advance(DAY * 31).await;
    assert_eq!(forget(&ground, None).await, 1, "the one that was cancelled");
    assert_eq!(scans(&ground).await, [running, later]);
    let mut reports = worker.claim_of(&ground, &[Stage::Report], 10).await;
    reports.sort_by_key(|report| report.lease.task);
    let of: Vec<_> = reports.iter().map(|report| report.lease.scan.unwrap()).collect();
    assert_eq!(of, [running, later], "what is at work is still to be done, too");
    assert_eq!(forget(&ground, None).await, 0);
    for report in reports {
        settle(&ground, report.lease, Ending::Completed).await.unwrap();
    }
    assert_eq!(forget(&ground, None).await, 1);
    assert_eq!(scans(&ground).await, [later]);
}

async fn claim_ports(ground: &Ground, worker: &Worker) -> store::Lease {
    worker.claim_of(ground, &[Stage::Ports], 1).await.remove(0).lease
}

async fn a_schedule_goes_on_without_its_last_scan(ground: Ground) {
    let first = seen(&ground).await;
    let request = ScanRequest { stages: [Stage::Check].into(), ..ScanRequest::within("loopback") };
    let new = NewSchedule {
        name: "hourly".to_owned(),
        rule: serde_json::from_str(r#"{"every": "1h"}"#).unwrap(),
        request,
        targets: ground.store.targets(ground.tenant, first, 0, 10).await.unwrap(),
    };
    ground.store.create_schedule(ground.tenant, new, "test".to_owned()).await.unwrap();
    let terms = Terms { checks: "1".to_owned(), price: None };
    ground.advance(Duration::from_secs(3_601)).await;
    ground.store.follow_schedules(&terms).await.unwrap();
    let schedule = async || ground.store.schedules(ground.tenant).await.unwrap().remove(0);
    let begun = schedule().await.last_scan.unwrap();
    ground.store.cancel_scan(ground.tenant, begun, "test".to_owned()).await.unwrap();
    report_is_written(&ground).await;
    // Somebody asks the same by hand.
    seen(&ground).await;
    ground.advance(DAY * 31).await;
    assert_eq!(forget(&ground, None).await, 2);
    assert!(!scans(&ground).await.contains(&begun));
    let followed = ground.store.follow_schedules(&terms).await.unwrap();
    assert_eq!(followed.refused, []);
    let next = schedule().await.last_scan.unwrap();
    assert!(next != begun && scans(&ground).await.contains(&next));
}

/// A scan that is to be forgotten, and one that is not, with reports of both.
async fn with_reports(ground: &Ground, objects: &Objects) -> (ScanId, ScanId) {
    let (old, young) = (seen(ground).await, seen(ground).await);
    for scan in [old, young] {
        for name in ["report.html", "report.json"] {
            objects.put(&ObjectKey::report(ground.tenant, scan, name), b"<html>".to_vec()).await.unwrap();
        }
    }
    ground.advance(DAY * 31).await;
    (old, young)
}

async fn is_there(ground: &Ground, objects: &Objects, scan: ScanId) -> bool {
    match objects.get(&ObjectKey::report(ground.tenant, scan, "report.json")).await {
        Err(StoreError::Missing { .. }) => false,
        found => found.map(|_| true).unwrap(),
    }
}

async fn reports_go_with_their_scan(ground: Ground) {
    let server = tokio::task::spawn_blocking(|| Server::start(Access::Signed)).await.unwrap();
    let objects = Objects::open(&server.url()).unwrap();
    let (old, young) = with_reports(&ground, &objects).await;
    let stop = move || {
        server.stop();
        server
    };
    let server = tokio::task::spawn_blocking(stop).await.unwrap();
    while ground.store.forget(for_a_month()).await.unwrap() > 0 {}
    let failed = ground.store.sweep_scans(Some(&objects)).await;
    assert!(matches!(&failed, Err(StoreError::Objects(_))), "{failed:?}");
    assert_eq!(scans(&ground).await, [young], "nobody sees it, and what is left of it is known");
    assert_eq!(rows(&ground).await["scans"], 2);
    let start = move || {
        server.start_again();
        server
    };
    let server = tokio::task::spawn_blocking(start).await.unwrap();
    let objects = Objects::open(&server.url()).unwrap();
    assert_eq!(ground.store.sweep_scans(Some(&objects)).await.unwrap(), 1);
    assert!(!is_there(&ground, &objects, old).await && is_there(&ground, &objects, young).await);
    assert_eq!(rows(&ground).await["scans"], 1);
    assert_eq!(ground.store.sweep_scans(Some(&objects)).await.unwrap(), 0);
}

async fn reports_in_a_directory_go_with_their_scan(ground: Ground) {
    let directory = tempfile::tempdir().unwrap();
    let objects = Objects::directory(directory.path()).unwrap();
    let (old, young) = with_reports(&ground, &objects).await;
    let of = |scan| directory.path().join(ObjectKey::reports(ground.tenant, scan));
    // Somebody was killed while writing.
    std::fs::write(of(old).join("report.html#1"), "half").unwrap();
    assert_eq!(forget(&ground, Some(&objects)).await, 1);
    assert!(!of(old).exists() && is_there(&ground, &objects, young).await);
}

async fn stops_in_force_stay(ground: Ground) {
    let stop = async |reach| {
        ground.store.order_stop(Authority::Installation, reach, "wrong".to_owned(), "test".to_owned()).await
    };
    stop(Reach::Everything).await.unwrap();
    let held = stop(Reach::Stage { stage: Stage::Ports }).await.unwrap();
    let lifted = Some(Reach::Everything);
    ground
        .store
        .lift_stops(Authority::Installation, lifted, "right".to_owned(), "test".to_owned(), None)
        .await
        .unwrap();
    assert_eq!(ground.store.forget(for_a_month()).await.unwrap(), 0, "it was lifted just now");
    ground.advance(DAY * 400).await;
    assert_eq!(ground.store.forget(for_a_month()).await.unwrap(), 1);
    assert_eq!(ground.store.stops().await.unwrap(), [held]);
}

async fn a_tenant_keeps_its_scans_for_as_long_as_it_says_and_no_longer_than_it_may(ground: Ground) {
    let keep = async |days| {
        let settings = TenantSettings { keep_scans_days: days };
        let changed =
            ground.store.change_settings(ground.tenant, None, move |_| settings, "test").await.unwrap();
        assert_eq!(changed, ground.store.settings(ground.tenant).await.unwrap());
    };
    let (first, second) = (seen(&ground).await, seen(&ground).await);
    ground.advance(DAY * 8).await;
    assert_eq!((forget(&ground, None).await, scans(&ground).await), (0, vec![first, second]));
    keep(Some(7)).await;
    assert_eq!((forget(&ground, None).await, scans(&ground).await), (1, vec![second]));
    // Also where nothing is forgotten otherwise.
    let third = seen(&ground).await;
    ground.advance(DAY * 8).await;
    let for_good = Retention { scans: None, ..for_a_month() };
    while ground.store.forget(for_good).await.unwrap() > 0 {}
    assert_eq!((ground.store.sweep_scans(None).await.unwrap(), scans(&ground).await), (1, vec![third]));
    keep(Some(400)).await;
    let fourth = seen(&ground).await;
    ground.advance(DAY * 31).await;
    assert_eq!((forget(&ground, None).await, scans(&ground).await), (1, vec![fourth]), "a month is the most");
    let stale = Some(TenantSettings { keep_scans_days: Some(7) });
    let refused = ground.store.change_settings(ground.tenant, stale, |before| before, "test").await;
    assert!(matches!(refused, Err(StoreError::Changed { kind: "settings", .. })), "{refused:?}");
}
