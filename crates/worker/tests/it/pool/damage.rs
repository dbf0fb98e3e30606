//! What is wrong with the rows of one tenant.

use std::time::Duration;

use store::{NewSchedule, ScanFilter};
use testkit::postgres;
use tokio::task::spawn_blocking;

use super::ground::{Brokers, Ground};
use crate::{broker::Kind, patience::eventually};
use model::{ScanRequest, Stage};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_that_cannot_be_read_holds_up_no_schedule() {
    let ground = Ground::new("postgres", Kind::InProcess, Brokers::Shared).await;
    let scan = ground.submit(ground.tenant, Stage::Check, "http://127.0.0.1:9/").await;
    let database = ground.owner.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let damage = format!(
        "UPDATE rampart.scans SET limits = '{{', deadline = submitted_at WHERE scan_id = '{scan}' RETURNING 'damaged'"
    );
    let damaged = spawn_blocking(move || postgres::Server::shared().sql(&database, &damage)).await.unwrap();
    assert!(damaged.contains("damaged"), "{damaged}");
    assert!(ground.store.tend_scans().await.is_err());

    let other = ground.another_tenant("other").await;
    let new = NewSchedule {
        name: "hourly".to_owned(),
        rule: serde_json::from_str(r#"{"every": "1h"}"#).unwrap(),
        request: ScanRequest::within("loopback"),
        targets: vec!["127.0.0.9".parse().unwrap()],
    };
    ground.store.create_schedule(other, new, "test".to_owned()).await.unwrap();
    ground.advance(Duration::from_secs(2 * 60 * 60)).await;
    let orchestrator = ground.orchestrate();
    eventually("the schedule begins its scan", async || {
        let scans = ground.store.scans(other, ScanFilter::default(), 1).await.unwrap();
        (!scans.is_empty()).then_some(())
    })
    .await;
    orchestrator.end().await;
}
