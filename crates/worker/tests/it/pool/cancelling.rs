//! What nobody wants any more.

use std::time::Duration;

use model::{ScanLife, Stage, scan::ScanEnd};
use store::TaskFilter;
use worker::PoolOptions;

use super::{
    everywhere,
    ground::{FOR_EVER, Ground, exercise, pool, pool_of},
    site::Site,
};

// With leases for ever, so that it is not the heartbeat that brings the news.
everywhere! {
    Shared: what_waits_is_gone_at_once_and_what_runs_is_cut
        a_cancelled_scan_closes_its_connections_and_ends;
}

async fn what_waits_is_gone_at_once_and_what_runs_is_cut(ground: Ground) {
    let pool = ground.start(PoolOptions { lease: FOR_EVER, ..pool(1) });
    let running = ground.enqueue([exercise(FOR_EVER)]).await[0];
    ground.until_state(running, "running").await;
    let waiting = ground.enqueue([exercise(FOR_EVER)]).await[0];
    let next = ground.enqueue([exercise(Duration::ZERO)]).await[0];
    let cancel = async |id| {
        ground.store.cancel_tasks(ground.tenant, TaskFilter::one(id), u64::MAX, "test".to_owned()).await
    };
    assert_eq!(cancel(waiting).await.unwrap(), 1);
    assert_eq!(ground.task(waiting).await.task.life.word(), "cancelled");
    assert_eq!(ground.task(running).await.task.life.word(), "running", "only what was named");
    assert_eq!(cancel(running).await.unwrap(), 1);
    let cut = ground.until_state(running, "cancelled").await;
    assert_eq!(cut.task.attempts, 0, "it failed in nothing");
    // Its place is free.
    ground.until_state(next, "completed").await;
    assert_eq!(ground.task(waiting).await.task.lease.number(), 0, "it was never begun");
    pool.end().await;
}

async fn a_cancelled_scan_closes_its_connections_and_ends(ground: Ground) {
    let site = Site::start().await;
    let pool = ground.start(PoolOptions { lease: FOR_EVER, ..pool_of(&[Stage::Check], 2) });
    let scan = ground.submit(ground.tenant, Stage::Check, &site.url()).await;
    site.until_asked(1).await;
    assert!(ground.store.cancel_scan(ground.tenant, scan, "test".to_owned()).await.unwrap());
    site.until_gone(0).await;
    let record = crate::patience::eventually("the scan ends", async || {
        let record = ground.store.scan(ground.tenant, scan).await.unwrap();
        (record.life != ScanLife::Running).then_some(record)
    })
    .await;
    assert!(matches!(record.life, ScanLife::Ended { end: ScanEnd::Cancelled, .. }), "{record:?}");
    assert_eq!((record.open_tasks, record.findings), (0, 0));
    assert!(record.traffic.requests >= 1, "what was sent was sent: {:?}", record.traffic);
    pool.end().await;
}
