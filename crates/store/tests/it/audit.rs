//! The audit: each sees what was done to it, and whoever asks for it what was done to all. Tenants are changed, and that is told.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use model::{
    AuditEntry, Authority, By, Reach, Scope, Stage,
    audit::{Broken, ChainEnd},
    record::TenantChange,
};
use store::{AuditFilter, Location, StoreError};

use crate::{
    ground::{Ground, Worker, exercise},
    stored::forge,
};

crate::contract! {
    what_was_done_is_read_the_newest_first
    what_was_done_to_all_is_of_no_tenant
    a_tenant_takes_what_it_is_given
    what_changed_is_told_with_what_it_was
    chains_are_whole_however_many_write_at_once
    every_forgery_is_found
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
    ground.store.delete_scope(ground.tenant, "office", None, "somebody".to_owned()).await.unwrap();
    let reach = Reach::Tenant { tenant: ground.tenant };
    ground
        .store
        .order_stop(Authority::Installation, reach, "wrong".to_owned(), "somebody".to_owned())
        .await
        .unwrap();

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
    let ever = AuditFilter { since: Some(Timestamp::MIN), ..AuditFilter::default() };
    assert_eq!(read(&ground, ever).await, all);
    let never = AuditFilter { since: Some(Timestamp::MAX), ..AuditFilter::default() };
    assert_eq!(read(&ground, never).await, []);
    let older = AuditFilter { before: Some(put.id), ..AuditFilter::default() };
    assert_eq!(actions(&read(&ground, older).await), ["tenant.create"]);
    let first = ground.store.audit(ground.tenant, AuditFilter::default(), 1).await.unwrap();
    assert_eq!(first, all[..1]);
}

async fn what_was_done_to_all_is_of_no_tenant(ground: Ground) {
    let stop = async |reach| {
        ground
            .store
            .order_stop(Authority::Installation, reach, "wrong".to_owned(), "somebody".to_owned())
            .await
            .unwrap();
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
    let set = async |tenant, weight, most_in_flight| {
        let change = TenantChange { weight, most_in_flight };
        ground.store.set_tenant(tenant, change, None, None, "J. Doe".to_owned()).await
    };
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

async fn what_changed_is_told_with_what_it_was(ground: Ground) {
    let by = By {
        name: "J. Doe\0".to_owned(),
        origin: Some("2001:db8::1".parse().unwrap()),
        request: Some("0af7651916cd43dd".to_owned()),
        trace: None,
    };
    let scope = |ports: &str| Scope { ports: ports.parse().unwrap(), ..Scope::loopback() };
    for ports in ["80", "443"] {
        ground.store.put_scope(ground.tenant, "office", scope(ports), by.clone()).await.unwrap();
    }
    ground.store.delete_scope(ground.tenant, "office", None, by.clone()).await.unwrap();
    let told = (ground.tenant, by.clone(), "GET /api/v1/audit".to_owned(), "a viewer".to_owned());
    ground.store.audit_refusal(told.0, told.1, told.2, told.3).await.unwrap();
    let entries = read(&ground, AuditFilter::default()).await;
    let ports = |document: &Option<serde_json::Value>| {
        document.as_ref().and_then(|scope| Some(scope["ports"].as_str()?.to_owned()))
    };
    let changes: Vec<_> = entries.iter().map(|entry| (ports(&entry.before), ports(&entry.after))).collect();
    let (http, https) = (Some("80".to_owned()), Some("443".to_owned()));
    assert_eq!(changes[..4], [(None, None), (https.clone(), None), (http.clone(), https), (None, http)]);
    for entry in &entries[..4] {
        assert_eq!((&entry.by[..], entry.origin, &entry.request), ("J. Doe\u{fffd}", by.origin, &by.request));
    }
    assert_eq!(
        entries.iter().map(|entry| entry.refused).collect::<Vec<_>>(),
        [true, false, false, false, false]
    );
    assert!(ground.store.verify_audit(Some(ground.tenant), &[], None).await.unwrap().is_ok());
}

async fn chains_are_whole_however_many_write_at_once(ground: Ground) {
    let other = ground.another_tenant("other").await;
    let put = async |tenant, number: u32| {
        ground.store.put_scope(tenant, &format!("scope {number}"), Scope::loopback(), "test").await.unwrap();
    };
    let stop = async || {
        ground
            .store
            .order_stop(Authority::Installation, Reach::Everything, "wrong".to_owned(), "test")
            .await
            .unwrap();
        ground
            .store
            .order_stop(Authority::Installation, Reach::Tenant { tenant: other }, "wrong".to_owned(), "test")
            .await
            .unwrap();
    };
    let writing = (0..20).map(|number| async move {
        put(ground.tenant, number).await;
        put(other, number).await;
        if number % 4 == 0 {
            stop().await;
        }
    });
    join_all(writing).await;
    // Each stop holds once, however often it is ordered; both end in one transaction that writes to two chains.
    ground.store.lift_stops(Authority::Installation, None, "right".to_owned(), "test", None).await.unwrap();
    for (chain, entries) in [(Some(ground.tenant), 21), (Some(other), 27), (None, 6)] {
        let end = ground.store.verify_audit(chain, &[], None).await.unwrap().unwrap().end;
        assert_eq!(end.position, entries, "{chain:?}");
        let beyond = ChainEnd { position: entries + 1, ..end };
        let lost = Broken::End { wanted: entries + 1, found: entries };
        let cut = ground.store.verify_audit(chain, &[], Some(beyond)).await.unwrap();
        assert_eq!(cut.map(|verified| verified.end), Err(lost));
    }
}

/// What somebody does who may do everything with the database, and what is found then.
const FORGERIES: &[(&str, Broken)] = &[
    ("UPDATE audit SET detail = 'harmless' WHERE position = 3", Broken::Altered { position: 3 }),
    ("UPDATE audit SET actor = 'nobody' WHERE position = 1", Broken::Altered { position: 1 }),
    ("UPDATE audit SET after = '{}' WHERE position = 2", Broken::Altered { position: 2 }),
    ("UPDATE audit SET origin = '192.0.2.1' WHERE position = 5", Broken::Altered { position: 5 }),
    ("DELETE FROM audit WHERE position = 2", Broken::Gap { wanted: 2, found: 3 }),
    ("DELETE FROM audit WHERE position = 6", Broken::End { wanted: 6, found: 5 }),
    ("DELETE FROM audit", Broken::End { wanted: 6, found: 0 }),
    (
        "UPDATE audit SET position = position + 100 WHERE position IN (3, 4); UPDATE audit SET position = 107 - position \
         WHERE position > 100",
        Broken::Altered { position: 3 },
    ),
    (
        "INSERT INTO audit (tenant_id, position, at, actor, action, refused, subject, detail, seal) SELECT tenant_id, 7, at, actor, \
         action, refused, subject, detail, seal FROM audit WHERE position = 6",
        Broken::Altered { position: 7 },
    ),
    // Cut off where it was whole: only who has seen more knows.
    (
        "DELETE FROM audit WHERE position > 4; UPDATE audit_ends SET position = 4, seal = (SELECT seal FROM audit WHERE position = 4)",
        Broken::End { wanted: 6, found: 4 },
    ),
];

async fn every_forgery_is_found(ground: Ground) {
    for number in 0..5 {
        let name = format!("scope {number}");
        ground.store.put_scope(ground.tenant, &name, Scope::loopback(), "test").await.unwrap();
    }
    let verify = async |seen| {
        let verified = ground.store.verify_audit(Some(ground.tenant), &[], seen).await.unwrap();
        verified.map(|verified| verified.end)
    };
    let end = verify(None).await.unwrap();
    let is_sqlite = matches!(ground.location, Location::Sqlite(_));
    if is_sqlite {
        // Whoever has the file may do anything with it, but not by mistake.
        for sql in [FORGERIES[0].0, FORGERIES[4].0] {
            let refused = forge(&ground, sql).await.unwrap_err();
            assert!(refused.contains("the audit is never"), "{refused}");
        }
        forge(&ground, "DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_deleted").await.unwrap();
    } else {
        let refused = forge(&ground, FORGERIES[4].0).await.unwrap_err();
        assert!(refused.contains("db error"), "{refused}");
        forge(&ground, "DROP TRIGGER audit_is_not_deleted ON audit").await.unwrap();
    }
    forge(
        &ground,
        "CREATE TABLE kept AS SELECT * FROM audit; CREATE TABLE kept_ends AS SELECT * FROM audit_ends",
    )
    .await
    .unwrap();
    let again = match is_sqlite {
        true => "INSERT INTO audit SELECT * FROM kept",
        false => "INSERT INTO audit OVERRIDING SYSTEM VALUE SELECT * FROM kept",
    };
    for (sql, broken) in FORGERIES {
        forge(&ground, sql).await.unwrap();
        assert_eq!(verify(Some(end)).await, Err(*broken), "{sql}");
        let restore = format!(
            "DELETE FROM audit; {again}; DELETE FROM audit_ends; INSERT INTO audit_ends SELECT * FROM kept_ends"
        );
        forge(&ground, &restore).await.unwrap();
        assert_eq!(verify(Some(end)).await, Ok(end), "{sql}");
    }
    forge(&ground, "DROP TABLE kept; DROP TABLE kept_ends").await.unwrap();
    // And it goes on.
    ground.store.put_scope(ground.tenant, "more", Scope::loopback(), "test").await.unwrap();
    assert_eq!(verify(Some(end)).await.unwrap().position, 7);
    let another = ChainEnd { position: 3, ..end };
    assert_eq!(verify(Some(another)).await, Err(Broken::Another { position: 3 }));
}
