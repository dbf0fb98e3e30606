//! What is asked for under a key: asked for again it is the same, asked for differently it is refused.

use std::{collections::BTreeSet, fmt::Debug, time::Duration};

use model::{
    ApiKey, Author, Authority, Priority, Reach, Role, ScanId, ScanRequest, Schedule, Scope, Token, Topic,
    comment::NewComment, schedule::Rhythm,
};
use store::{
    AuditFilter, FirstPassword, Made, NewScan, NewSchedule, NewUser, Retention, ScanFilter, StoreError,
    Submission,
};

use crate::{
    comments::found,
    ground::Ground,
    keys::{key, named},
};

crate::contract! {
    the_same_request_under_a_key_is_one_scan
    a_key_of_another_request_is_refused_and_a_refused_request_takes_no_key
    a_key_lives_for_a_day
    whatever_is_made_under_a_key_is_made_once
    what_is_gone_is_not_made_again
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
    ground.store.submit_scan_once(ground.tenant, new, Some(key.to_owned())).await
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
    // Another release, another price: the same question.
    let again = NewScan { checks: "2".to_owned(), price: Some("1".parse().unwrap()), ..new("127.0.0.9") };
    let again = submit(&ground, again, "deploy 7").await.unwrap();
    assert_eq!((again.scan, again.is_new), (begun, false));
    let other = submit(&ground, new("127.0.0.9"), "deploy 8").await.unwrap();
    assert!(other.is_new && other.scan != begun);
    let anothers = NewScan { by: "somebody".into(), ..new("127.0.0.9") };
    assert!(submit(&ground, anothers, "deploy 7").await.unwrap().is_new, "keys are their asker's own");
    let tenant = ground.another_tenant("other").await;
    ground.store.put_scope(tenant, "loopback", Scope::loopback(), "test".to_owned()).await.unwrap();
    let theirs = ground.store.submit_scan_once(tenant, new("127.0.0.9"), Some("deploy 7".to_owned()));
    assert!(theirs.await.unwrap().is_new, "keys are a tenant's own");
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
    // Nor is something else made under it.
    let under = Some("key".to_owned());
    let refused = ground.store.create_key_once(ground.tenant, key(1), named("other"), "test", under).await;
    assert!(matches!(&refused, Err(StoreError::KeyTaken(_))), "{refused:?}");
}

async fn a_key_lives_for_a_day(ground: Ground) {
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
}

/// Asked for five times at once, and once more: what each answer names, and the entries of the audit.
async fn made_once<T: Debug, F: Future<Output = Result<Made<T>, StoreError>>>(
    ground: &Ground,
    action: &str,
    ask: impl Fn(Option<String>) -> F,
    name: impl Fn(&T) -> String,
) -> String {
    let told = async || {
        let filter = AuditFilter { action: Some(action.to_owned()), ..AuditFilter::default() };
        ground.store.audit(ground.tenant, filter, 100).await.unwrap().len()
    };
    let before = told().await;
    let under = || Some(format!("under {action}"));
    let mut all = futures_util::future::join_all((0..5).map(|_| ask(under()))).await;
    all.push(ask(under()).await);
    let all: Vec<Made<T>> = all.into_iter().map(Result::unwrap).collect();
    let names: BTreeSet<String> = all.iter().map(|made| name(&made.record)).collect();
    assert_eq!((names.len(), all.iter().filter(|made| made.is_new).count()), (1, 1), "{action}: {all:?}");
    assert!(!all[5].is_new, "{action}");
    assert_eq!(told().await, before + 1, "{action} was done once");
    names.into_iter().next().unwrap()
}

async fn whatever_is_made_under_a_key_is_made_once(ground: Ground) {
    with_scope(&ground).await;
    let (store, tenant) = (&ground.store, ground.tenant);
    let on = Topic::Finding(found(&ground).await.1);
    let author = || Author::Operator { name: "root".to_owned() };
    let new = || NewComment { text: "said once".parse().unwrap(), answers: None };
    let ask = |under| store.add_comment_once(tenant, on, new(), author(), "test", under);
    made_once(&ground, "comment.add", ask, |comment| comment.id.to_string()).await;
    assert_eq!(store.comments(tenant, on, 0, 10).await.unwrap().len(), 1);
    let schedule = || NewSchedule {
        name: "nightly".to_owned(),
        rule: Schedule::new(Rhythm::Every("1h".parse().unwrap())),
        request: ScanRequest::within("loopback"),
        targets: vec!["127.0.0.1".parse().unwrap()],
    };
    let ask = |under| store.create_schedule_once(tenant, schedule(), "test", under);
    made_once(&ground, "schedule.create", ask, |schedule| schedule.id.to_string()).await;
    let ask = |under| {
        let new = NewUser { name: "j.doe".parse().unwrap(), role: Role::Viewer };
        let invited = FirstPassword::Invited(Token::from_random(rand::random()));
        store.create_user_once(tenant, new, invited, "test", under)
    };
    made_once(&ground, "user.create", ask, |user| user.id.to_string()).await;
    let secret = || ApiKey::from_random(rand::random(), rand::random());
    let ask = |under| store.create_key_once(tenant, secret(), named("pipeline"), "test", under);
    let prefix = made_once(&ground, "key.create", ask, |key| key.prefix.to_string()).await;
    let ask = |under| store.rotate_key_once(tenant, prefix.parse().unwrap(), secret(), DAY, "test", under);
    let next = made_once(&ground, "key.rotate", ask, |key| key.prefix.to_string()).await;
    assert_ne!(next, prefix);
    assert_eq!(store.keys(tenant).await.unwrap().len(), 2);
    let reach = Reach::Tenant { tenant };
    let order =
        |under| store.order_stop_once(Authority::Tenant, reach, "a leak".to_owned(), "test", None, under);
    made_once(&ground, "stop.order", order, |stop| stop.id.to_string()).await;
    // What holds already is what another key stands for, too.
    let same = order(Some("another".to_owned())).await.unwrap();
    let again = order(Some("another".to_owned())).await.unwrap();
    assert_eq!((same.record.id, same.is_new, again.is_new), (again.record.id, true, false));
    let everywhere = Some("everywhere".to_owned());
    let refused = store.order_stop_once(
        Authority::Installation,
        Reach::Everything,
        "x".to_owned(),
        "test",
        None,
        everywhere,
    );
    assert!(matches!(refused.await, Err(StoreError::Invalid(_))));
}

async fn what_is_gone_is_not_made_again(ground: Ground) {
    with_scope(&ground).await;
    let (store, tenant) = (&ground.store, ground.tenant);
    let under = || Some("of a key".to_owned());
    let made =
        store.create_key_once(tenant, key(1), named("pipeline"), "test", under()).await.unwrap().record;
    store.revoke_key(tenant, made.prefix, "test").await.unwrap();
    let gone = store.create_key_once(tenant, key(2), named("pipeline"), "test", under()).await;
    assert!(matches!(&gone, Err(StoreError::KeySpent(key)) if key == "of a key"), "{gone:?}");
    assert!(store.keys(tenant).await.unwrap().is_empty());

    let (authority, reach) = (Authority::Tenant, Reach::Tenant { tenant });
    let order = || {
        store.order_stop_once(
            authority,
            reach,
            "a leak".to_owned(),
            "test",
            None,
            Some("of a stop".to_owned()),
        )
    };
    order().await.unwrap();
    store.lift_stops(authority, Some(reach), "it is over".to_owned(), "test", None).await.unwrap();
    let lifted = order().await;
    assert!(matches!(&lifted, Err(StoreError::KeySpent(_))), "nobody is told that it holds: {lifted:?}");
    assert!(store.stops().await.unwrap().is_empty());

    // A scan that is forgotten before its key is.
    let first = submit(&ground, new("127.0.0.11"), "key").await.unwrap().scan;
    store.cancel_scan(tenant, first, "test".to_owned()).await.unwrap();
    let later = submit(&ground, new("127.0.0.11"), "later").await.unwrap().scan;
    store.cancel_scan(tenant, later, "test".to_owned()).await.unwrap();
    let report = crate::ground::Worker::new(1);
    for task in report.claim_of(&ground, &[model::Stage::Report], 10).await {
        crate::ground::settle(&ground, task.lease, store::Ending::Completed).await.unwrap();
    }
    ground.advance(Duration::from_secs(60)).await;
    let at_once = Retention { scans: Some(Duration::from_secs(1)), ..Retention::default() };
    while store.forget(at_once).await.unwrap() > 0 {}
    let again = submit(&ground, new("127.0.0.11"), "key").await;
    assert!(matches!(&again, Err(StoreError::KeySpent(_))), "{again:?}");
}
