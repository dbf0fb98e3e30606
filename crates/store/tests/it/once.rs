//! Scans under a key: asked for again they are the same, asked for differently they are refused.

use std::time::Duration;

use model::{Priority, ScanId, ScanRequest, Scope};
use store::{NewScan, Retention, ScanFilter, StoreError, Submission};

use crate::ground::Ground;

crate::contract! {
    the_same_request_under_a_key_is_one_scan
    a_key_of_another_request_is_refused_and_a_refused_request_takes_no_key
    a_key_lives_for_a_day_and_as_long_as_its_scan
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn new(target: &str) -> NewScan {
    NewScan {
        request: ScanRequest::within("loopback"),
        targets: vec![target.parse().unwrap()],
        by: "test".into(),
        checks: "1".to_owned(),
        price: None,
    }
}

async fn submit(ground: &Ground, new: NewScan, key: &str) -> Result<Submission, StoreError> {
    ground.store.submit_scan_once(ground.tenant, new, key.to_owned()).await
}

async fn with_scope(ground: &Ground) {
    ground.store.put_scope(ground.tenant, "loopback", Scope::loopback(), "test".to_owned()).await.unwrap();
}

async fn scans(ground: &Ground) -> Vec<ScanId> {
    let found = ground.store.scans(ground.tenant, ScanFilter::default(), 100).await.unwrap();
    found.iter().map(|scan| scan.id).collect()
}

async fn the_same_request_under_a_key_is_one_scan(ground: Ground) {
    with_scope(&ground).await;
    let several = (0..5).map(|_| submit(&ground, new("127.0.0.9"), "deploy 7"));
    let several = futures_util::future::join_all(several).await;
    let several: Vec<Submission> = several.into_iter().map(Result::unwrap).collect();
    assert_eq!(several.iter().filter(|submission| submission.is_new).count(), 1, "{several:?}");
    assert_eq!(several.iter().filter(|submission| !submission.planned.is_empty()).count(), 1);
    let begun = several[0].scan;
    assert!(several.iter().all(|submission| submission.scan == begun), "{several:?}");
    assert_eq!(scans(&ground).await, [begun]);
    // Another release, another price, another person: the same question.
    let again = NewScan {
        by: "somebody".into(),
        checks: "2".to_owned(),
        price: Some("1".parse().unwrap()),
        ..new("127.0.0.9")
    };
    let again = submit(&ground, again, "deploy 7").await.unwrap();
    assert_eq!((again.scan, again.is_new), (begun, false));
    let other = submit(&ground, new("127.0.0.9"), "deploy 8").await.unwrap();
    assert!(other.is_new && other.scan != begun);
    let tenant = ground.another_tenant("other").await;
    ground.store.put_scope(tenant, "loopback", Scope::loopback(), "test".to_owned()).await.unwrap();
    let theirs =
        ground.store.submit_scan_once(tenant, new("127.0.0.9"), "deploy 7".to_owned()).await.unwrap();
    assert!(theirs.is_new, "keys are a tenant's own");
}

async fn a_key_of_another_request_is_refused_and_a_refused_request_takes_no_key(ground: Ground) {
    let refused = submit(&ground, new("127.0.0.9"), "key").await;
    assert!(matches!(&refused, Err(StoreError::Missing { kind: "scope", .. })), "{refused:?}");
    with_scope(&ground).await;
    let begun = submit(&ground, new("127.0.0.10"), "key").await.unwrap();
    assert!(begun.is_new);
    let mut urgent = new("127.0.0.10");
    urgent.request.priority = Priority::Urgent;
    for different in [new("127.0.0.9"), urgent] {
        let refused = submit(&ground, different, "key").await;
        assert!(matches!(&refused, Err(StoreError::KeyTaken(key)) if key == "key"), "{refused:?}");
    }
    assert_eq!(scans(&ground).await, [begun.scan]);
}

async fn a_key_lives_for_a_day_and_as_long_as_its_scan(ground: Ground) {
    with_scope(&ground).await;
    let first = submit(&ground, new("127.0.0.9"), "key").await.unwrap().scan;
    ground.advance(DAY - Duration::from_secs(60)).await;
    assert_eq!(ground.store.forget(Retention::default()).await.unwrap(), 0);
    assert_eq!(submit(&ground, new("127.0.0.9"), "key").await.unwrap().scan, first);
    ground.advance(Duration::from_secs(120)).await;
    let second = submit(&ground, new("127.0.0.10"), "key").await.unwrap();
    assert!(second.is_new && second.scan != first, "whatever it was used for");
    ground.advance(DAY + Duration::from_secs(60)).await;
    assert_eq!(ground.store.forget(Retention::default()).await.unwrap(), 1, "the key");

    // Its scan is forgotten before it is.
    let third = submit(&ground, new("127.0.0.11"), "key").await.unwrap().scan;
    ground.store.cancel_scan(ground.tenant, third, "test".to_owned()).await.unwrap();
    let later = submit(&ground, new("127.0.0.11"), "later").await.unwrap().scan;
    ground.store.cancel_scan(ground.tenant, later, "test".to_owned()).await.unwrap();
    let report = crate::ground::Worker::new(1);
    for task in report.claim_of(&ground, &[model::Stage::Report], 10).await {
        crate::ground::settle(&ground, task.lease, store::Ending::Completed).await.unwrap();
    }
    ground.advance(Duration::from_secs(60)).await;
    let at_once = Retention { scans: Some(Duration::from_secs(1)), ..Retention::default() };
    while ground.store.forget(at_once).await.unwrap() > 0 {}
    let again = submit(&ground, new("127.0.0.11"), "key").await.unwrap();
    assert!(again.is_new && again.scan != third, "{again:?}");
}
