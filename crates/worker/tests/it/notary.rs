//! The orchestrator signs the audit when it begins to lead and when it ends, and purges what is old.

use std::{sync::Arc, time::Duration};

use model::{Scope, audit::AuditKey};
use store::{Location, NewTenant, Retention, Store, Terms};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use worker::{
    doorbell,
    notary::Notary,
    orchestrator::{self, Keeping},
};

use crate::patience::eventually;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leads_signs_when_it_begins_and_when_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&Location::Sqlite(directory.path().join("rampart.db"))).await.unwrap();
    let tenant = store.create_tenant(NewTenant::named("acme"), "test".to_owned()).await.unwrap().id;
    let key = AuditKey::from_random([1; 32]);
    let public = key.public();
    let stop = CancellationToken::new();
    let keeping = Keeping {
        retention: Retention::default(),
        reports: None,
        notary: Some(Arc::new(Notary::new(key, Some(DAY)))),
    };
    let terms = Terms { checks: "1".to_owned(), price: None };
    let bell = doorbell::connect("none", &doorbell::Settings::default()).unwrap();
    let running = tokio::spawn(orchestrator::run(
        Arc::default(),
        store.clone(),
        bell,
        terms,
        watch::Sender::new(keeping).subscribe(),
        stop.clone(),
    ));
    let signed = async || {
        let verified = store.verify_audit(Some(tenant), &[public], None).await.unwrap().unwrap();
        (verified.signed(), verified.checkpoints.purged(), verified.end.position)
    };
    eventually("the first entry is signed", async || (signed().await == (1, 0, 1)).then_some(())).await;
    store.put_scope(tenant, "office", Scope::loopback(), "test").await.unwrap();
    store.advance_clock("", DAY * 4).await.unwrap();
    stop.cancel();
    running.await.unwrap();
    // The second entry was signed too late to be purged with the first; the third tells of that one.
    assert_eq!(signed().await, (3, 1, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_notary_has_signed_and_misses_it_does_not_sign_again() {
    let directory = tempfile::tempdir().unwrap();
    let [file, copy] = ["rampart.db", "copy.db"].map(|name| directory.path().join(name));
    let store = Store::open(&Location::Sqlite(file.clone())).await.unwrap();
    let tenant = store.create_tenant(NewTenant::named("acme"), "test".to_owned()).await.unwrap().id;
    drop(store);
    std::fs::copy(&file, &copy).unwrap();
    let notary = Notary::new(AuditKey::from_random([1; 32]), None);
    let checkpoints = async |file| {
        let store = Store::open(&Location::Sqlite(file)).await.unwrap();
        store.put_scope(tenant, "office", Scope::loopback(), "test").await.unwrap();
        notary.look_after(&store).await;
        store.audit_checkpoints(Some(tenant), None, 10).await.unwrap().len()
    };
    assert_eq!(checkpoints(file.clone()).await, 1);
    assert_eq!(checkpoints(file.clone()).await, 2);
    assert_eq!(checkpoints(copy).await, 0, "somebody has put an old copy in its place");
    assert_eq!(checkpoints(file).await, 3);
}
