//! Who is at work, and what becomes of a scope that is taken away.

use std::time::Duration;

use model::{Scope, Stage, WorkerId, attendance::Missing};
use store::{Introduction, Retention, StoreError};

use crate::ground::Ground;

crate::contract! {
    workers_are_there_until_they_leave_or_fall_silent
    who_was_silent_for_a_day_is_forgotten
    an_office_that_is_held_leads
    a_scope_is_forgotten_and_only_the_tenants_own
}

async fn comes(ground: &Ground, number: u128, stages: &[Stage]) -> WorkerId {
    let worker = WorkerId::from_random(number);
    let who = Introduction { worker, stages: stages.to_vec(), version: "1.2.3", concurrency: 4 };
    ground.store.worker_is_there(who).await.unwrap();
    worker
}

async fn workers_are_there_until_they_leave_or_fall_silent(ground: Ground) {
    let wanted = [Stage::Ports, Stage::Report].into();
    let missing = async || ground.store.attendance().await.unwrap().missing(&wanted);
    assert_eq!(missing().await, Some(Missing::Everybody));
    comes(&ground, 1, &[Stage::Ports]).await;
    assert_eq!(missing().await, Some(Missing::Stages([Stage::Report].into())));
    let reporter = comes(&ground, 2, &[Stage::Report]).await;
    assert_eq!(missing().await, None);
    ground.store.worker_left(reporter).await.unwrap();
    assert_eq!(missing().await, Some(Missing::Stages([Stage::Report].into())));
    ground.advance(Duration::from_secs(14)).await;
    comes(&ground, 2, &[Stage::Report]).await;
    ground.advance(Duration::from_secs(2)).await;
    assert_eq!(missing().await, Some(Missing::Stages([Stage::Ports].into())), "one was silent for too long");
    comes(&ground, 1, &[Stage::Ports]).await;
    assert_eq!(missing().await, None, "it was heard of again");
    assert_eq!(ground.store.attendance().await.unwrap().workers, 2);
}

async fn who_was_silent_for_a_day_is_forgotten(ground: Ground) {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let forget = async || ground.store.forget(Retention::default()).await.unwrap();
    comes(&ground, 1, &[Stage::Ports]).await;
    ground.advance(DAY - Duration::from_secs(60)).await;
    comes(&ground, 2, &[Stage::Ports]).await;
    assert_eq!(forget().await, 0, "nobody was silent for a day");
    ground.advance(Duration::from_secs(120)).await;
    assert_eq!((forget().await, forget().await), (1, 0));
}

async fn an_office_that_is_held_leads(ground: Ground) {
    let worker = WorkerId::from_random(1);
    let is_led = async || ground.store.attendance().await.unwrap().is_led;
    assert!(!is_led().await);
    ground.store.lead("orchestrator", worker, Duration::from_secs(10)).await.unwrap().unwrap();
    assert!(is_led().await);
    ground.store.resign("orchestrator", worker).await.unwrap();
    assert!(!is_led().await);
}

async fn a_scope_is_forgotten_and_only_the_tenants_own(ground: Ground) {
    let other = ground.another_tenant("other").await;
    for tenant in [ground.tenant, other] {
        ground.store.put_scope(tenant, "office", Scope::loopback(), "test".to_owned()).await.unwrap();
    }
    let delete = async |name: &str| ground.store.delete_scope(ground.tenant, name, "test".to_owned()).await;
    delete("office").await.unwrap();
    assert_eq!(ground.store.scopes(ground.tenant).await.unwrap(), []);
    assert_eq!(ground.store.scopes(other).await.unwrap().len(), 1);
    let again = delete("office").await;
    assert!(matches!(&again, Err(StoreError::Missing { kind: "scope", .. })), "{again:?}");
}
