//! The audit: each sees what was done to it, and whoever asks for it what was done to all. Tenants are changed, and that is told.

use std::time::Duration;

use model::{Reach, Scope, Stage};
use store::{AuditEntry, AuditFilter, StoreError};

use crate::ground::{Ground, Worker, exercise};

crate::contract! {
    what_was_done_is_read_the_newest_first
    what_was_done_to_all_is_of_no_tenant
    a_tenant_takes_what_it_is_given
}

fn actions(entries: &[AuditEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.action.as_str()).collect()
}

async fn read(ground: &Ground, filter: AuditFilter) -> Vec<AuditEntry> {
    ground.store.audit(ground.tenant, filter, 100).await.unwrap()
}

async fn what_was_done_is_read_the_newest_first(ground: Ground) {
    let other = ground.another_tenant("other").await;
    let put = async |tenant, name: &str, by: &str| {
        ground.store.put_scope(tenant, name, Scope::loopback(), by.to_owned()).await.unwrap();
    };
    put(ground.tenant, "office", "J. Doe (100%_sure)").await;
    put(other, "of the other", "J. Doe (100%_sure)").await;
    ground.advance(Duration::from_secs(60)).await;
    let since = Some(ground.store.clock().await.unwrap());
    ground.store.delete_scope(ground.tenant, "office", "somebody".to_owned()).await.unwrap();
    let reach = Reach::Tenant { tenant: ground.tenant };
    ground.store.order_stop(reach, "wrong".to_owned(), "somebody".to_owned()).await.unwrap();

    let all = read(&ground, AuditFilter::default()).await;
    assert_eq!(actions(&all), ["stop.order", "scope.delete", "scope.put", "tenant.create"]);
    assert!(all.iter().all(|entry| entry.tenant == Some(ground.tenant)), "{all:?}");
    let put = &all[2];
    assert_eq!((put.subject.as_str(), put.by.as_str()), ("office", "J. Doe (100%_sure)"));
    assert_eq!((all[0].detail.as_str(), all[0].id > put.id, all[0].at > put.at), ("wrong", true, true));
    let of = |action: &str| AuditFilter { action: Some(action.to_owned()), ..AuditFilter::default() };
    assert_eq!(actions(&read(&ground, of("scope")).await), ["scope.delete", "scope.put"]);
    assert_eq!(actions(&read(&ground, of("scope.put")).await), ["scope.put"]);
    for nothing in ["scop", "scope.", "scope_put", "%"] {
        assert_eq!(read(&ground, of(nothing)).await, [], "{nothing}");
    }
    let by = |name: &str| AuditFilter { by: Some(name.to_owned()), ..AuditFilter::default() };
    assert_eq!(actions(&read(&ground, by("(100%_s")).await), ["scope.put"]);
    assert_eq!(read(&ground, by("100_")).await, []);
    let lately = AuditFilter { since, ..AuditFilter::default() };
    assert_eq!(actions(&read(&ground, lately).await), ["stop.order", "scope.delete"]);
    let older = AuditFilter { before: Some(put.id), ..AuditFilter::default() };
    assert_eq!(actions(&read(&ground, older).await), ["tenant.create"]);
    let first = ground.store.audit(ground.tenant, AuditFilter::default(), 1).await.unwrap();
    assert_eq!(first, all[..1]);
}

async fn what_was_done_to_all_is_of_no_tenant(ground: Ground) {
    let stop = async |reach| {
        ground.store.order_stop(reach, "wrong".to_owned(), "somebody".to_owned()).await.unwrap();
    };
    stop(Reach::Tenant { tenant: ground.tenant }).await;
    stop(Reach::Everything).await;
    stop(Reach::Stage { stage: Stage::Ports }).await;
    let of_nobody = ground.store.audit_of_nobody(AuditFilter::default(), 100).await.unwrap();
    assert_eq!(actions(&of_nobody), ["stop.order", "stop.order"]);
    assert!(of_nobody.iter().all(|entry| entry.tenant.is_none()), "{of_nobody:?}");
    assert_eq!(of_nobody[1].subject, Reach::Everything.to_string());
    assert_eq!(actions(&read(&ground, AuditFilter::default()).await), ["stop.order", "tenant.create"]);
}

async fn a_tenant_takes_what_it_is_given(ground: Ground) {
    let other = ground.another_tenant("other").await;
    let set =
        async |tenant, weight, most| ground.store.set_tenant(tenant, weight, most, "J. Doe".to_owned()).await;
    let set_to = set(ground.tenant, Some(7), None).await.unwrap();
    assert_eq!((set_to.weight, set_to.most_in_flight, set_to.name.as_str()), (7, 10_000, "acme"));
    let set_to = set(ground.tenant, None, Some(1)).await.unwrap();
    assert_eq!((set_to.weight, set_to.most_in_flight), (7, 1));
    assert_eq!(ground.store.tenant_named("acme").await.unwrap(), set_to);
    assert_eq!(ground.store.tenant_named("other").await.unwrap().weight, 1, "{other}");
    let told = read(&ground, AuditFilter::default()).await;
    assert_eq!(actions(&told), ["tenant.set", "tenant.set", "tenant.create"]);
    assert_eq!(told[0].detail, "weight 7, before 7; most in flight 1, before 10000");
    // Who has one task at work gets no other.
    ground.enqueue([exercise(), exercise()]).await;
    assert_eq!(Worker::new(1).claim(&ground, 10).await.len(), 1);
    let nobody = model::TenantId::new(uuid::Uuid::from_u128(1));
    assert!(matches!(set(nobody, Some(1), None).await, Err(StoreError::Missing { kind: "tenant", .. })));
}
