//! What a tenant has used.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use model::{ScanRequest, Scope, Severity, Stage, Traffic, UnitResult, usage::Usage};
use store::{Ending, NewScan, Settlement};

use crate::{
    findings::finding,
    ground::{Ground, Worker},
};

crate::contract! {
    what_was_used_is_counted_by_when_it_was_asked_for
}

const HOUR: Duration = Duration::from_secs(60 * 60);

async fn scans(ground: &Ground, price: Option<&str>, requests: u64) {
    ground.store.put_scope(ground.tenant, "loopback", Scope::loopback(), "test").await.unwrap();
    let mut request = ScanRequest::within("loopback");
    request.stages = [Stage::Check].into();
    let new = NewScan {
        request,
        targets: vec!["http://127.0.0.1:9/".parse().unwrap()],
        by: "test".into(),
        checks: "1".to_owned(),
        price: price.map(|price| price.parse().unwrap()),
    };
    ground.store.submit_scan(ground.tenant, new).await.unwrap();
    let lease = Worker::new(1).claim_of(ground, &[Stage::Check], 1).await[0].lease;
    ground.advance(Duration::from_secs(20)).await;
    let result =
        UnitResult { findings: vec![finding("git-config", Severity::High)], ..UnitResult::default() };
    let sent = Traffic { requests, ..Traffic::default() };
    let settlement = Settlement { lease, ending: Ending::Unit(Box::new(result)), sent };
    ground.store.settle(vec![settlement]).await.unwrap().remove(0).unwrap();
}

async fn what_was_used_is_counted_by_when_it_was_asked_for(ground: Ground) {
    let begin = ground.store.clock().await.unwrap();
    let at = |hours: i64| begin + SignedDuration::from_hours(hours);
    let usage = async |since, until| ground.store.usage(ground.tenant, since, until).await.unwrap();
    assert_eq!(usage(begin, at(9)).await, Usage::nothing(begin, at(9)));
    scans(&ground, Some("1.80"), 3).await;
    ground.advance(2 * HOUR).await;
    scans(&ground, None, 5).await;
    let all = usage(begin, at(9)).await;
    assert_eq!((all.scans, all.unpriced_scans, all.traffic.requests), (2, 1, 8), "{all:?}");
    assert!(all.worked >= Duration::from_secs(40) && all.worked < Duration::from_secs(100), "{all:?}");
    assert_eq!(all.units.values().sum::<u64>(), 2, "{all:?}");
    assert_eq!(all.new_findings, BTreeMap::from([(Severity::High, 1)]), "once, however often it is seen");
    // At 1.80 an hour some 20 seconds of it are a hundredth.
    let cost = all.cost.unwrap();
    assert!(cost >= "0.01".parse().unwrap() && cost < "0.03".parse().unwrap(), "{cost}");
    let first = usage(begin, at(1)).await;
    assert_eq!((first.scans, first.traffic.requests, first.units.len()), (1, 3, 1), "{first:?}");
    assert_eq!((first.unpriced_scans, first.cost), (0, Some(cost)));
    let second = usage(at(1), at(9)).await;
    assert_eq!((second.scans, second.traffic.requests, second.cost), (1, 5, None), "{second:?}");
    assert_eq!(second.new_findings, BTreeMap::new());
    let other = ground.another_tenant("other").await;
    let theirs = ground.store.usage(other, Timestamp::UNIX_EPOCH, at(9)).await.unwrap();
    assert_eq!((theirs.scans, theirs.new_findings.len()), (0, 0));
}
