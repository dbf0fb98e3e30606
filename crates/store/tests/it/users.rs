//! People who may log in, and their sessions.

use std::time::Duration;

use model::{Role, Token, UserName};
use store::{
    Credentials, Expected, FirstPassword, IDLE, INVITED_FOR, LONGEST, NewUser, Retention, StoreError,
    UserRecord,
};

use crate::ground::Ground;

crate::contract! {
    names_are_of_one_tenant_and_found_by_both
    an_invitation_is_good_once_and_for_three_days
    a_session_goes_on_while_it_is_used_and_not_for_ever
    what_somebody_is_made_ends_their_sessions
    the_last_owner_stays
    there_are_only_so_many_sessions_of_one
}

/// What is kept of a password.
const KEPT: &str = "$argon2id$as it is kept";

fn hashed() -> FirstPassword {
    FirstPassword::Hashed(KEPT.to_owned())
}

fn token(number: u8) -> Token {
    Token::from_random([number; 32])
}

async fn made(ground: &Ground, name: &str, role: Role, first: FirstPassword) -> UserRecord {
    let new = NewUser { name: name.parse().unwrap(), role };
    ground.store.create_user(ground.tenant, new, first, "test").await.unwrap()
}

async fn is_known(ground: &Ground, number: u8) -> bool {
    ground.store.known_session(&token(number)).await.unwrap().is_some()
}

async fn names_are_of_one_tenant_and_found_by_both(ground: Ground) {
    let other = ground.of(ground.another_tenant("other").await);
    let here = made(&ground, "J.Doe", Role::Analyst, hashed()).await;
    let there = made(&other, "j.doe", Role::Viewer, hashed()).await;
    let new = NewUser { name: "J.DOE".parse().unwrap(), role: Role::Viewer };
    let twice = ground.store.create_user(ground.tenant, new, hashed(), "test").await;
    assert!(matches!(twice, Err(StoreError::Exists { kind: "user", .. })), "{twice:?}");
    let name: UserName = "j.doe".parse().unwrap();
    for (tenant, wanted) in [("acme", Some(&here)), ("other", Some(&there)), ("nowhere", None)] {
        let account = ground.store.account(tenant.to_owned(), name.clone()).await.unwrap();
        assert_eq!(account.as_ref().map(|account| &account.user), wanted, "{tenant}");
        assert_eq!(account.and_then(|account| account.password).is_some(), wanted.is_some());
    }
    assert_eq!(ground.store.users(ground.tenant).await.unwrap(), std::slice::from_ref(&here));
    assert_eq!(ground.store.user(ground.tenant, here.id).await.unwrap(), here);
    let foreign = ground.store.user(ground.tenant, there.id).await;
    assert!(matches!(foreign, Err(StoreError::Missing { kind: "user", .. })), "{foreign:?}");
    ground.store.delete_user(ground.tenant, here.id, None, "test").await.unwrap();
    assert_eq!(ground.store.users(ground.tenant).await.unwrap(), []);
}

async fn an_invitation_is_good_once_and_for_three_days(ground: Ground) {
    let invited = made(&ground, "a", Role::Viewer, FirstPassword::Invited(token(1))).await;
    let late = made(&ground, "b", Role::Viewer, FirstPassword::Invited(token(2))).await;
    assert!(invited.invited_until.is_some());
    assert!(ground.store.invited(&token(3)).await.unwrap().is_none());
    let account = ground.store.invited(&token(1)).await.unwrap().unwrap();
    assert_eq!((account.user.id, account.password), (invited.id, None));
    let (store, tenant, id) = (&ground.store, ground.tenant, invited.id);
    let take = async |number, kept: &str| {
        store.set_password(tenant, id, Expected::Invitation(token(number)), kept.to_owned(), "a").await
    };
    let others = take(2, "kept").await;
    assert!(matches!(others, Err(StoreError::Changed { .. })), "{others:?}");
    // Of two at once one takes it up.
    let (one, two) = tokio::join!(take(1, "kept"), take(1, "kept"));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    let change = async |from: &str| {
        store
            .set_password(
                tenant,
                id,
                Expected::Password {
                    seen: Credentials { password: from.to_owned(), second_factor: None },
                    sealed_anew: None,
                },
                "kept".to_owned(),
                "a",
            )
            .await
    };
    assert!(change("kept").await.is_ok() && change("another").await.is_err());
    assert!(ground.store.invited(&token(1)).await.unwrap().is_none(), "once");
    let account = ground.store.account("acme".to_owned(), "a".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((account.password.as_deref(), account.user.invited_until), (Some("kept"), None));
    ground.advance(INVITED_FOR - Duration::from_secs(60)).await;
    assert_eq!(ground.store.invited(&token(2)).await.unwrap().unwrap().user.id, late.id);
    ground.advance(Duration::from_secs(120)).await;
    assert!(ground.store.invited(&token(2)).await.unwrap().is_none(), "for three days");
}

async fn a_session_goes_on_while_it_is_used_and_not_for_ever(ground: Ground) {
    let user = made(&ground, "a", Role::Viewer, hashed()).await;
    let origin = Some("192.0.2.1".parse().unwrap());
    let begun = ground.store.begin_session(&user, KEPT, None, &token(1), origin, "a").await.unwrap();
    let known = ground.store.known_session(&token(1)).await.unwrap().unwrap().record;
    assert_eq!(known, begun);
    assert_eq!((known.origin, known.user.last_login), (origin, Some(begun.created_at)));
    assert!(!is_known(&ground, 2).await);
    let account = ground.store.account("acme".to_owned(), "a".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(account.networks, ["192.0.2.0/24".parse().unwrap()]);
    let wrong = ground.store.begin_session(&user, "another", None, &token(9), origin, "a").await;
    assert!(matches!(wrong, Err(StoreError::Changed { .. })), "it was changed meanwhile: {wrong:?}");

    ground.store.begin_session(&user, KEPT, None, &token(2), None, "a").await.unwrap();
    let mut gone = Duration::ZERO;
    let step = IDLE - Duration::from_secs(60);
    while gone + step < LONGEST {
        ground.advance(step).await;
        gone += step;
        assert!(is_known(&ground, 1).await, "after {gone:?}");
        ground.store.used_session(ground.tenant, begun.id).await.unwrap();
        assert_eq!(ground.store.forget(Retention::default()).await.unwrap(), 0);
    }
    assert!(!is_known(&ground, 2).await, "nobody used it");
    assert_eq!(ground.store.sessions(ground.tenant, user.id).await.unwrap().len(), 1);
    ground.advance(LONGEST - gone).await;
    assert!(!is_known(&ground, 1).await, "a day is over");

    ground.store.begin_session(&user, KEPT, None, &token(3), None, "a").await.unwrap();
    let last = ground.store.known_session(&token(3)).await.unwrap().unwrap().record;
    ground.store.end_session(ground.tenant, last.id, "a").await.unwrap();
    assert!(!is_known(&ground, 3).await);
    let again = ground.store.end_session(ground.tenant, last.id, "a").await;
    assert!(matches!(again, Err(StoreError::Missing { kind: "session", .. })), "{again:?}");
}

async fn what_somebody_is_made_ends_their_sessions(ground: Ground) {
    let user = made(&ground, "a", Role::Viewer, hashed()).await;
    let other = made(&ground, "b", Role::Viewer, hashed()).await;
    ground.store.begin_session(&other, KEPT, None, &token(99), None, "b").await.unwrap();
    let change = async |role, disabled| {
        ground.store.change_user(ground.tenant, user.id, None, role, disabled, "test").await.unwrap()
    };
    let begin = async |number| {
        ground.store.begin_session(&user, KEPT, None, &token(number), None, "a").await.unwrap()
    };
    begin(1).await;
    assert_eq!(change(None, None).await.role, Role::Viewer);
    assert!(is_known(&ground, 1).await, "nothing has changed");
    assert_eq!(change(Some(Role::Operator), None).await.role, Role::Operator);
    assert!(!is_known(&ground, 1).await);
    begin(2).await;
    assert!(change(None, Some(true)).await.disabled_at.is_some());
    assert!(!is_known(&ground, 2).await);
    let disabled = ground.store.begin_session(&user, KEPT, None, &token(3), None, "a").await;
    assert!(matches!(disabled, Err(StoreError::Changed { .. })), "who is disabled has none: {disabled:?}");
    assert!(change(None, Some(false)).await.disabled_at.is_none());
    begin(4).await;
    ground
        .store
        .set_password(ground.tenant, user.id, Expected::Anything, "kept".to_owned(), "a")
        .await
        .unwrap();
    assert!(!is_known(&ground, 4).await);
    let old = ground.store.begin_session(&user, KEPT, None, &token(5), None, "a").await;
    assert!(matches!(old, Err(StoreError::Changed { .. })), "the password is another one: {old:?}");
    ground.store.begin_session(&user, "kept", None, &token(5), None, "a").await.unwrap();
    ground.store.delete_user(ground.tenant, user.id, None, "test").await.unwrap();
    assert!(!is_known(&ground, 5).await);
    assert!(is_known(&ground, 99).await, "of others they go on");
}

async fn the_last_owner_stays(ground: Ground) {
    let first = made(&ground, "a", Role::Owner, hashed()).await;
    // Who has not taken up the invitation can change nothing.
    let invited = made(&ground, "invited", Role::Owner, FirstPassword::Invited(token(1))).await;
    ground.store.delete_user(ground.tenant, invited.id, Some(invited.clone()), "test").await.unwrap();
    made(&ground, "invited", Role::Owner, FirstPassword::Invited(token(1))).await;
    let refused =
        |done: Result<(), StoreError>| assert!(matches!(done, Err(StoreError::LastOwner(_))), "{done:?}");
    let (store, tenant) = (&ground.store, ground.tenant);
    refused(store.delete_user(tenant, first.id, None, "test").await);
    refused(store.change_user(tenant, first.id, None, Some(Role::Viewer), None, "test").await.map(drop));
    refused(store.change_user(tenant, first.id, None, None, Some(true), "test").await.map(drop));
    let demoted = UserRecord { role: Role::Viewer, ..first.clone() };
    let changed = store.change_user(tenant, first.id, Some(demoted), None, Some(true), "test").await;
    assert!(
        matches!(changed, Err(StoreError::Changed { .. })),
        "nobody changes whom they take for another: {changed:?}"
    );
    let second = made(&ground, "b", Role::Owner, hashed()).await;
    let (one, two) = tokio::join!(
        store.delete_user(tenant, first.id, None, "test"),
        store.change_user(tenant, second.id, None, Some(Role::Viewer), None, "test")
    );
    assert!(one.is_ok() != two.is_ok(), "one of them stays: {one:?} {two:?}");
}

async fn there_are_only_so_many_sessions_of_one(ground: Ground) {
    let user = made(&ground, "a", Role::Viewer, hashed()).await;
    for number in 0..30 {
        ground.advance(Duration::from_secs(1)).await;
        ground.store.begin_session(&user, KEPT, None, &token(number), None, "a").await.unwrap();
    }
    assert_eq!(ground.store.sessions(ground.tenant, user.id).await.unwrap().len(), 20);
    assert!(!is_known(&ground, 9).await && is_known(&ground, 10).await && is_known(&ground, 29).await);
}
