//! Who is at work, and what becomes of a scope that is taken away.

use std::time::Duration;

use futures_util::future::join_all;
use model::{Scope, Stage, WorkerId, attendance::Missing};
use store::{AuditFilter, Introduction, Retention, StoreError};

use crate::ground::{Ground, Worker, exercise};

crate::contract! {
    workers_are_there_until_they_leave_or_fall_silent
    who_was_silent_for_a_day_is_forgotten
    an_office_that_is_held_leads
    each_machine_has_the_tasks_of_its_workers
    a_scope_is_forgotten_and_only_the_tenants_own
    a_scope_is_replaced_by_who_has_seen_it
}

async fn comes(ground: &Ground, number: u128, stages: &[Stage]) -> WorkerId {
    let worker = WorkerId::from_random(number);
    let machine = Some(format!("machine-{}", number % 10));
    let who = Introduction { worker, stages: stages.to_vec(), version: "1.2.3", concurrency: 4, machine };
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

async fn each_machine_has_the_tasks_of_its_workers(ground: Ground) {
    // Two of them on one machine.
    for number in [1, 2, 11] {
        comes(&ground, number, &[Stage::Exercise]).await;
    }
    ground.enqueue([exercise(), exercise(), exercise(), exercise()]).await;
    assert_eq!(Worker::new(1).claim(&ground, 2).await.len(), 2);
    assert_eq!(Worker::new(11).claim(&ground, 1).await.len(), 1);
    let at_work = async || ground.store.machines_at_work().await.unwrap();
    assert_eq!(at_work().await, [("machine-1".to_owned(), 3), ("machine-2".to_owned(), 0)].into());
    ground.advance(Duration::from_secs(10)).await;
    comes(&ground, 2, &[Stage::Exercise]).await;
    ground.advance(Duration::from_secs(6)).await;
    assert_eq!(at_work().await, [("machine-2".to_owned(), 0)].into(), "one was silent for too long");
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
    let delete =
        async |name: &str| ground.store.delete_scope(ground.tenant, name, None, "test".to_owned()).await;
    delete("office").await.unwrap();
    assert_eq!(ground.store.scopes(ground.tenant).await.unwrap(), []);
    assert_eq!(ground.store.scopes(other).await.unwrap().len(), 1);
    let again = delete("office").await;
    assert!(matches!(&again, Err(StoreError::Missing { kind: "scope", .. })), "{again:?}");
}

async fn a_scope_is_replaced_by_who_has_seen_it(ground: Ground) {
    let by = |author: &str| Scope { authorised_by: Some(author.to_owned()), ..Scope::loopback() };
    let replace = async |seen: Option<Scope>, scope: Scope| {
        ground.store.replace_scope(ground.tenant, "office", seen, scope, "test".to_owned()).await
    };
    let changed = |answer: Result<(), StoreError>| matches!(answer, Err(StoreError::Changed { kind: "scope", name }) if name == "office");
    assert!(changed(replace(Some(by("a")), by("b")).await), "there is none");
    replace(None, by("a")).await.unwrap();
    assert!(changed(replace(None, by("b")).await), "there is one");
    assert!(changed(replace(Some(by("b")), by("c")).await), "it is another");
    replace(Some(by("a")), by("b")).await.unwrap();
    assert_eq!(ground.store.scopes(ground.tenant).await.unwrap(), [("office".to_owned(), by("b"))]);
    // Of many who have seen the same, one replaces it.
    let authors: Vec<String> = (0..8).map(|number| format!("author {number}")).collect();
    let replaced = join_all(authors.iter().map(|author| replace(Some(by("b")), by(author)))).await;
    assert_eq!(replaced.iter().filter(|answer| answer.is_ok()).count(), 1, "{replaced:?}");
    let entries = ground.store.audit(ground.tenant, AuditFilter::default(), 10).await.unwrap();
    assert_eq!(entries.iter().filter(|entry| entry.action == "scope.put").count(), 3, "{entries:?}");
}
