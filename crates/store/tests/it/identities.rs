//! People for whom a provider of identities vouches, and second factors of those who have a password.

use std::collections::BTreeSet;

use model::{Identity, Permission, Role, Token};
use store::{
    Credentials, Expected, FirstPassword, NewRole, NewUser, SecondFactor, SessionRecord, Shown, StoreError,
    UserRecord, Vouched,
};

use crate::ground::Ground;

crate::contract! {
    somebody_is_who_the_provider_says_whatever_they_are_called
    two_who_come_at_once_for_the_first_time_are_one
    of_several_roles_the_one_that_may_do_the_most_counts
    what_is_shown_once_is_not_taken_again
    who_is_invited_again_has_neither_password_nor_second_factor
}

const ISSUER: &str = "https://id.acme.test";
const KEPT: &str = "$argon2id$as it is kept";

fn vouched(subject: &str, name: &str, role: Role) -> Vouched {
    let identity = Identity { issuer: ISSUER.to_owned(), subject: subject.to_owned() };
    Vouched { identity, name: name.parse().unwrap(), roles: BTreeSet::from([role]) }
}

fn token() -> Token {
    Token::from_random(rand::random())
}

async fn come(ground: &Ground, vouched: Vouched) -> Result<SessionRecord, StoreError> {
    ground.store.begin_vouched_session(ground.tenant, vouched, &token(), None, "test").await
}

async fn with_password(ground: &Ground, name: &str, role: Role) -> UserRecord {
    let new = NewUser { name: name.parse().unwrap(), role };
    let first = FirstPassword::Hashed(KEPT.to_owned());
    ground.store.create_user(ground.tenant, new, first, "test").await.unwrap()
}

async fn somebody_is_who_the_provider_says_whatever_they_are_called(ground: Ground) {
    let other = ground.of(ground.another_tenant("other").await);
    let (store, tenant) = (&ground.store, ground.tenant);
    let first = come(&ground, vouched("1", "ann", Role::Analyst)).await.unwrap();
    assert_eq!((first.user.role, first.user.issuer.as_deref()), (Role::Analyst, Some(ISSUER)));
    // The same person in another tenant is another one there.
    assert_ne!(come(&other, vouched("1", "ann", Role::Analyst)).await.unwrap().user.id, first.user.id);

    // Called otherwise they are the same, and go on; with another role their sessions end.
    let renamed = come(&ground, vouched("1", "ann.b", Role::Analyst)).await.unwrap();
    assert_eq!((renamed.user.id, renamed.user.name.as_str()), (first.user.id, "ann.b"));
    assert_eq!(store.sessions(tenant, first.user.id).await.unwrap().len(), 2);
    let made_less = come(&ground, vouched("1", "ann.b", Role::Viewer)).await.unwrap();
    assert_eq!(store.sessions(tenant, first.user.id).await.unwrap(), [made_less]);

    // Nobody becomes somebody else by a name, neither at first nor later.
    let local = with_password(&ground, "carol", Role::Owner).await;
    for who in [vouched("2", "carol", Role::Owner), vouched("1", "carol", Role::Viewer)] {
        let refused = come(&ground, who).await;
        assert!(matches!(refused, Err(StoreError::Exists { kind: "user", .. })), "{refused:?}");
    }
    assert_eq!(store.user(tenant, local.id).await.unwrap(), local);
    assert_eq!(store.user(tenant, first.user.id).await.unwrap().name.as_str(), "ann.b");

    // The last owner stays one, also when the provider says otherwise.
    let owner = come(&ground, vouched("3", "olga", Role::Owner)).await.unwrap().user;
    store.delete_user(tenant, local.id, None, "test").await.unwrap();
    let last = come(&ground, vouched("3", "olga", Role::Viewer)).await;
    assert!(matches!(last, Err(StoreError::LastOwner(_))), "{last:?}");
    assert_eq!(store.user(tenant, owner.id).await.unwrap().role, Role::Owner);

    // What is said elsewhere is not said here; that they may not come is.
    for said in [
        store.change_user(tenant, first.user.id, None, Some(Role::Owner), None, "test").await.map(drop),
        store.set_password(tenant, first.user.id, Expected::Anything, KEPT.to_owned(), "test").await,
        store.invite_again(tenant, first.user.id, None, &token(), "test").await.map(drop),
    ] {
        assert!(matches!(said, Err(StoreError::SaidElsewhere(_))), "{said:?}");
    }
    let identity = vouched("1", "ann.b", Role::Viewer).identity;
    let gone = store.end_vouched_sessions(tenant, identity.clone(), "test").await.unwrap();
    assert_eq!(gone, Some(first.user.id));
    assert_eq!(store.sessions(tenant, first.user.id).await.unwrap(), []);
    let stranger = Identity { subject: "nobody".to_owned(), ..identity };
    assert_eq!(store.end_vouched_sessions(tenant, stranger, "test").await.unwrap(), None);
    store.change_user(tenant, first.user.id, None, None, Some(true), "test").await.unwrap();
    let forgotten = store.delete_user(tenant, first.user.id, None, "test").await;
    assert!(matches!(forgotten, Err(StoreError::SaidElsewhere(_))), "they would come again: {forgotten:?}");
    let disabled = come(&ground, vouched("1", "ann.b", Role::Viewer)).await;
    assert!(matches!(disabled, Err(StoreError::Changed { .. })), "{disabled:?}");
    assert_eq!(store.sessions(tenant, first.user.id).await.unwrap(), []);
}

async fn of_several_roles_the_one_that_may_do_the_most_counts(ground: Ground) {
    let [reads, gone]: [Role; 2] = ["reads", "gone"].map(|name| name.parse().unwrap());
    let permissions = BTreeSet::from([Permission::ScansRead, Permission::FindingsRead]);
    let new = NewRole { name: "reads".parse().unwrap(), permissions };
    ground.store.create_role(ground.tenant, new, "test").await.unwrap();
    for (roles, wanted) in [
        (vec![Role::Viewer, Role::Owner, reads.clone()], Role::Owner),
        (vec![reads.clone(), Role::Viewer], Role::Viewer),
        // One that the tenant has not made is as if nobody had said it.
        (vec![gone.clone(), reads.clone()], reads),
    ] {
        let name = format!("who-is-{wanted}");
        let who = Vouched { roles: roles.into_iter().collect(), ..vouched(&name, &name, Role::Viewer) };
        assert_eq!(come(&ground, who).await.unwrap().user.role, wanted);
    }
    let refused = come(&ground, vouched("nobody", "nobody", gone)).await.unwrap_err();
    assert_eq!(refused.to_string(), "there is no role `gone`");
    assert!(
        ground.store.users(ground.tenant).await.unwrap().iter().all(|user| user.name.as_str() != "nobody")
    );
}

async fn two_who_come_at_once_for_the_first_time_are_one(ground: Ground) {
    let (one, two) = tokio::join!(
        come(&ground, vouched("1", "ann", Role::Analyst)),
        come(&ground, vouched("1", "ann", Role::Analyst))
    );
    assert_eq!(one.unwrap().user.id, two.unwrap().user.id);
    assert_eq!(ground.store.users(ground.tenant).await.unwrap().len(), 1);
}

async fn what_is_shown_once_is_not_taken_again(ground: Ground) {
    let user = with_password(&ground, "j.doe", Role::Viewer).await;
    let (store, tenant) = (&ground.store, ground.tenant);
    let recovery = vec!["first".to_owned(), "second".to_owned()];
    let factor = SecondFactor { sealed: "sealed".to_owned(), last_step: 10, recovery };
    let (first, other) = (token(), token());
    let own = store.begin_session(&user, KEPT, None, &first, None, "test").await.unwrap().id;
    store.begin_session(&user, KEPT, None, &other, None, "test").await.unwrap();
    let set = async |seen: Option<&SecondFactor>, new: Option<&SecondFactor>, kept: &str| {
        let seen = Credentials { password: kept.to_owned(), second_factor: seen.cloned() };
        store.set_second_factor(tenant, user.id, seen, new.cloned(), own, "test").await
    };
    let changed =
        |done: Result<(), StoreError>| assert!(matches!(done, Err(StoreError::Changed { .. })), "{done:?}");
    changed(set(None, Some(&factor), "another").await);
    set(None, Some(&factor), KEPT).await.unwrap();
    changed(set(None, None, KEPT).await);
    let goes_on = [store.known_session(&first).await.unwrap(), store.known_session(&other).await.unwrap()];
    assert_eq!(goes_on.map(|session| session.is_some()), [true, false]);
    let begin = async |shown: Option<Shown>| {
        store.begin_session(&user, KEPT, shown, &token(), None, "test").await.map(drop)
    };
    changed(begin(None).await);
    changed(begin(Some(Shown::Step(10))).await);
    let (one, two) = tokio::join!(begin(Some(Shown::Step(11))), begin(Some(Shown::Step(11))));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    begin(Some(Shown::Recovery("second".to_owned()))).await.unwrap();
    changed(begin(Some(Shown::Recovery("second".to_owned()))).await);
    let account = store.account("acme".to_owned(), user.name.clone()).await.unwrap().unwrap();
    let left = SecondFactor { last_step: 11, recovery: vec!["first".to_owned()], ..factor };
    assert_eq!((account.user.second_factor, account.second_factor.as_ref()), (true, Some(&left)));

    // Another password takes it along, as it is sealed for that.
    let sealed = SecondFactor { sealed: "sealed anew".to_owned(), ..left.clone() };
    let expected = |seen: &SecondFactor| Expected::Password {
        seen: Credentials { password: KEPT.to_owned(), second_factor: Some(seen.clone()) },
        sealed_anew: Some(sealed.clone()),
    };
    // A code that was shown meanwhile does not become good again.
    let before = SecondFactor { last_step: 10, ..left.clone() };
    changed(store.set_password(tenant, user.id, expected(&before), "kept".to_owned(), "test").await);
    store.set_password(tenant, user.id, expected(&left), "kept".to_owned(), "test").await.unwrap();
    let account = store.account("acme".to_owned(), user.name.clone()).await.unwrap().unwrap();
    assert_eq!(account.second_factor.as_ref(), Some(&sealed));
    set(Some(&sealed), None, "kept").await.unwrap();
    let free = store.begin_session(&user, "kept", None, &token(), None, "test").await.unwrap();
    assert!(!store.user(tenant, free.user.id).await.unwrap().second_factor);
    // Who has none shows none: it was looked at before.
    changed(
        store.begin_session(&user, "kept", Some(Shown::Step(99)), &token(), None, "test").await.map(drop),
    );
}

async fn who_is_invited_again_has_neither_password_nor_second_factor(ground: Ground) {
    let owner = with_password(&ground, "owner", Role::Owner).await;
    let user = with_password(&ground, "j.doe", Role::Viewer).await;
    let (store, tenant) = (&ground.store, ground.tenant);
    let factor = SecondFactor { sealed: "sealed".to_owned(), last_step: 0, recovery: Vec::new() };
    let first = token();
    let own = store.begin_session(&user, KEPT, None, &first, None, "test").await.unwrap().id;
    let seen = Credentials { password: KEPT.to_owned(), second_factor: None };
    store.set_second_factor(tenant, user.id, seen, Some(factor), own, "test").await.unwrap();
    let invitation = token();
    let promoted = UserRecord { role: Role::Owner, ..user.clone() };
    let other = store.invite_again(tenant, user.id, Some(promoted), &invitation, "test").await;
    assert!(matches!(other, Err(StoreError::Changed { .. })), "{other:?}");
    let invited = store.invite_again(tenant, user.id, Some(user.clone()), &invitation, "test").await.unwrap();
    assert_eq!((invited.second_factor, invited.invited_until.is_some()), (false, true));
    assert!(!store.user(tenant, user.id).await.unwrap().second_factor);
    assert!(store.known_session(&first).await.unwrap().is_none());
    let old = store.begin_session(&user, KEPT, Some(Shown::Step(1)), &token(), None, "test").await;
    assert!(matches!(old, Err(StoreError::Changed { .. })), "{old:?}");
    let expected = Expected::Invitation(invitation);
    store.set_password(tenant, user.id, expected, "kept".to_owned(), "test").await.unwrap();
    store.begin_session(&user, "kept", None, &token(), None, "test").await.unwrap();
    let last = store.invite_again(tenant, owner.id, None, &token(), "test").await;
    assert!(matches!(last, Err(StoreError::LastOwner(_))), "{last:?}");
}
