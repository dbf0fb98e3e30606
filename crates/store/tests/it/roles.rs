//! Roles that tenants make.

use std::collections::BTreeSet;

use model::{Access, Author, Permission, Role, RoleName, Token, Topic, comment::NewComment};
use store::{AuditFilter, FirstPassword, NewKey, NewRole, NewUser, RoleRecord, StoreError, UserRecord};

use crate::{
    comments::found,
    contract,
    ground::Ground,
    keys::{key, named},
    stored::forge,
};

contract! {
    a_role_lets_somebody_do_what_it_says_by_now
    nobody_has_a_role_that_is_not_there
    a_role_is_given_or_taken_back_but_not_both
    whoever_may_not_read_it_is_not_mentioned
    what_a_later_release_lets_somebody_do_stays_as_it_is
}

fn permissions(all: &[Permission]) -> BTreeSet<Permission> {
    all.iter().copied().collect()
}

async fn make(ground: &Ground, name: &str, all: &[Permission]) -> Result<RoleRecord, StoreError> {
    let new = NewRole { name: name.parse().unwrap(), permissions: permissions(all) };
    ground.store.create_role(ground.tenant, new, "J. Doe").await
}

fn role(name: &str) -> Role {
    name.parse().unwrap()
}

fn name(text: &str) -> RoleName {
    text.parse().unwrap()
}

async fn user(ground: &Ground, name: &str, role: Role) -> Result<UserRecord, StoreError> {
    let new = NewUser { name: name.parse().unwrap(), role };
    ground.store.create_user(ground.tenant, new, FirstPassword::Hashed("kept".to_owned()), "test").await
}

async fn a_role_lets_somebody_do_what_it_says_by_now(ground: Ground) {
    let (store, tenant) = (&ground.store, ground.tenant);
    let other = ground.of(ground.another_tenant("other").await);
    let decides = [Permission::FindingsRead, Permission::FindingsDecide];
    let made = make(&ground, "triage", &decides).await.unwrap();
    assert_eq!((made.name.as_str(), made.created_by.as_deref()), ("triage", Some("J. Doe")));
    // Another tenant's of the same name says something else, and neither is seen by the other.
    make(&other, "triage", &[Permission::ScansRead]).await.unwrap();
    let listed = store.roles(tenant).await.unwrap();
    assert_eq!(listed.len(), Role::BUILT_IN.len() + 1);
    assert_eq!((&listed[0].name, listed.last()), (&Role::Owner, Some(&made)));
    assert_eq!(store.role(tenant, role("triage")).await.unwrap(), made);
    assert_eq!(store.role(tenant, Role::Viewer).await.unwrap(), listed[5]);

    let new = NewKey { role: role("triage"), ..named("decides") };
    store.create_key(tenant, key(1), new.clone(), "test").await.unwrap();
    store.create_key(other.tenant, key(2), new, "test").await.unwrap();
    let ann = user(&ground, "ann", role("triage")).await.unwrap();
    let token = Token::from_random([1; 32]);
    store.begin_session(&ann, "kept", None, &token, None, "test").await.unwrap();
    let may = async |all: &[Permission]| {
        let wanted = Access { role: role("triage"), permissions: permissions(all), unknown: BTreeSet::new() };
        let known = store.known_key(&key(1)).await.unwrap().unwrap();
        assert_eq!((&known.record.role, &known.access), (&wanted.role, &wanted));
        assert_eq!(store.known_session(&token).await.unwrap().unwrap().access, wanted);
    };
    may(&decides).await;
    let others = store.known_key(&key(2)).await.unwrap().unwrap().access;
    assert_eq!(others.permissions, permissions(&[Permission::ScansRead]));

    let seen = permissions(&[Permission::ScansRead]);
    let less = permissions(&[Permission::FindingsRead]);
    let late = store.change_role(tenant, name("triage"), Some(seen), less.clone(), "test").await;
    assert!(matches!(late, Err(StoreError::Changed { kind: "role", .. })), "{late:?}");
    may(&decides).await;
    let seen = Some(made.permissions.clone());
    let changed = store.change_role(tenant, name("triage"), seen, less, "test").await.unwrap();
    may(&[Permission::FindingsRead]).await;

    let filter = AuditFilter { action: Some("role".to_owned()), ..AuditFilter::default() };
    let told = store.audit(tenant, filter, 10).await.unwrap();
    let actions: Vec<(&str, &str)> =
        told.iter().map(|entry| (entry.action.as_str(), entry.subject.as_str())).collect();
    assert_eq!(actions, [("role.change", "triage"), ("role.create", "triage")]);
    let documents = [made, changed].map(|record| Some(serde_json::to_value(record).unwrap()));
    assert_eq!([told[0].before.clone(), told[0].after.clone()], documents);
}

async fn nobody_has_a_role_that_is_not_there(ground: Ground) {
    let (store, tenant) = (&ground.store, ground.tenant);
    let missing =
        |error: StoreError| assert!(matches!(error, StoreError::Missing { kind: "role", .. }), "{error}");
    let other = ground.of(ground.another_tenant("other").await);
    make(&other, "triage", &[Permission::ScansRead]).await.unwrap();
    let new = NewKey { role: role("triage"), ..named("decides") };
    missing(store.create_key(tenant, key(1), new.clone(), "test").await.unwrap_err());
    missing(user(&ground, "ann", role("triage")).await.unwrap_err());
    let ann = user(&ground, "ann", Role::Viewer).await.unwrap();
    let give = async |role: Role| store.change_user(tenant, ann.id, None, Some(role), None, "test").await;
    missing(give(role("triage")).await.unwrap_err());
    assert_eq!(store.user(tenant, ann.id).await.unwrap(), ann);

    for (name, all) in [("nothing", &[][..]), ("half", &[Permission::CommentsRead, Permission::ScansRead])] {
        let refused = make(&ground, name, all).await.unwrap_err();
        assert!(matches!(refused, StoreError::Invalid(_)), "{refused}");
    }
    make(&ground, "triage", &[Permission::ScansRead]).await.unwrap();
    let twice = make(&ground, "triage", &[Permission::ScansRead]).await.unwrap_err();
    assert!(matches!(twice, StoreError::Exists { kind: "role", .. }), "{twice}");
    let useless = store.change_role(tenant, name("triage"), None, BTreeSet::new(), "test").await.unwrap_err();
    assert!(matches!(useless, StoreError::Invalid(_)), "{useless}");

    store.create_key(tenant, key(1), new, "test").await.unwrap();
    assert_eq!(give(role("triage")).await.unwrap().role, role("triage"));
    let delete = async || store.delete_role(tenant, name("triage"), None, "test").await;
    let told = delete().await.unwrap_err().to_string();
    assert_eq!(told, "the role `triage` is that of a user: give them another one first");
    give(Role::Viewer).await.unwrap();
    assert!(delete().await.unwrap_err().to_string().contains("that of a key"));
    store.revoke_key(tenant, key(1).prefix(), "test").await.unwrap();
    delete().await.unwrap();
    missing(delete().await.unwrap_err());
    assert_eq!(store.roles(other.tenant).await.unwrap().len(), Role::BUILT_IN.len() + 1);
}

async fn a_role_is_given_or_taken_back_but_not_both(ground: Ground) {
    let (store, tenant) = (&ground.store, ground.tenant);
    for number in 1..=20 {
        make(&ground, "passing", &[Permission::ScansRead]).await.unwrap();
        let new = NewKey { role: role("passing"), ..named("given") };
        let given = store.create_key(tenant, key(number), new, "test");
        let (given, taken) = tokio::join!(given, store.delete_role(tenant, name("passing"), None, "test"));
        match (given, taken) {
            (Ok(_), Err(StoreError::RoleInUse { .. })) => {
                let known = store.known_key(&key(number)).await.unwrap().unwrap();
                assert!(known.access.may(Permission::ScansRead));
                store.revoke_key(tenant, key(number).prefix(), "test").await.unwrap();
                store.delete_role(tenant, name("passing"), None, "test").await.unwrap();
            }
            (Err(StoreError::Missing { kind: "role", .. }), Ok(())) => {
                assert_eq!(store.known_key(&key(number)).await.unwrap(), None);
            }
            both => panic!("{both:?}"),
        }
    }
}

async fn whoever_may_not_read_it_is_not_mentioned(ground: Ground) {
    let (store, tenant) = (&ground.store, ground.tenant);
    let reads = [Permission::FindingsRead, Permission::ScansRead];
    make(&ground, "silent", &reads).await.unwrap();
    make(&ground, "talks", &[&reads[..], &[Permission::CommentsRead]].concat()).await.unwrap();
    user(&ground, "ann", role("silent")).await.unwrap();
    let bob = user(&ground, "bob", role("talks")).await.unwrap();
    let (scan, _) = found(&ground).await;
    let new = NewComment { text: "@ann @bob look".parse().unwrap(), answers: None };
    let author = Author::Operator { name: "test".to_owned() };
    let comment = store.add_comment(tenant, Topic::Scan(scan), new, author, "test").await.unwrap();
    assert_eq!(comment.mentions, [bob.id]);
}

async fn what_a_later_release_lets_somebody_do_stays_as_it_is(ground: Ground) {
    let (store, tenant) = (&ground.store, ground.tenant);
    make(&ground, "approves", &[Permission::ScansRead]).await.unwrap();
    let new = NewKey { role: role("approves"), ..named("approves") };
    store.create_key(tenant, key(1), new, "test").await.unwrap();
    let written =
        "UPDATE roles SET permissions = '[\"plans.approve\",\"scans.read\"]' WHERE name = 'approves'";
    forge(&ground, written).await.unwrap();
    let record = store.role(tenant, role("approves")).await.unwrap();
    let unknown = BTreeSet::from(["plans.approve".to_owned()]);
    assert_eq!((&record.permissions, &record.unknown), (&permissions(&[Permission::ScansRead]), &unknown));
    let access = store.known_key(&key(1)).await.unwrap().unwrap().access;
    assert!(
        access == record.into() && access.may(Permission::ScansRead) && !access.may(Permission::AuditRead)
    );
    let wanted = permissions(&[Permission::ScansRead, Permission::AuditRead]);
    let refused = store.change_role(tenant, name("approves"), None, wanted, "test").await.unwrap_err();
    assert!(matches!(refused, StoreError::SaidElsewhere(_)), "{refused}");
    assert_eq!(store.role(tenant, role("approves")).await.unwrap().unknown, unknown);
}
