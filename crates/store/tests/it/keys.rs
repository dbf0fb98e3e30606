//! Keys: shown once, found by their prefix, good until they expire or are taken back.

use std::time::Duration;

use model::{ApiKey, Role};
use store::{AuditFilter, KeyRecord, Known, NewKey, StoreError};

use crate::{contract, ground::Ground};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn key(number: u8) -> ApiKey {
    ApiKey::from_random([number; 4], [number; 24])
}

pub(crate) fn named(name: &str) -> NewKey {
    NewKey { name: name.to_owned(), role: Role::Analyst, networks: Vec::new(), expires_at: None }
}

fn by() -> String {
    "J. Doe".to_owned()
}

async fn create(ground: &Ground, number: u8, new: NewKey) -> KeyRecord {
    ground.store.create_key(ground.tenant, key(number), new, by()).await.unwrap()
}

async fn known(ground: &Ground, number: u8) -> Option<String> {
    ground.store.known_key(&key(number)).await.unwrap().map(|known| known.record.name)
}

contract! {
    a_key_is_known_by_what_is_kept_of_it
    only_the_first_key_is_made_without_another
    a_key_ends_when_it_expires_or_is_taken_back
    a_key_that_is_rotated_goes_on_for_a_while
    when_a_key_was_used_is_kept_to_the_minute
}

async fn a_key_is_known_by_what_is_kept_of_it(ground: Ground) {
    let new = NewKey {
        role: Role::Scanner,
        networks: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
        expires_at: Some(ground.store.clock().await.unwrap() + DAY),
        ..named("pipeline")
    };
    let made = create(&ground, 1, new.clone()).await;
    let told = (made.prefix.as_str(), &made.name[..], made.role.clone(), &made.networks, made.expires_at);
    assert_eq!(told, ("01010101", "pipeline", Role::Scanner, &new.networks, new.expires_at));
    assert_eq!((made.tenant, &made.created_by[..], made.last_used), (ground.tenant, "J. Doe", None));
    let access = Role::Scanner.built_in().unwrap();
    let known = Known { record: made.clone(), access };
    assert_eq!(ground.store.known_key(&key(1)).await.unwrap(), Some(known));
    // The same prefix, another secret.
    let other = ApiKey::from_random([1; 4], [2; 24]);
    assert_eq!(ground.store.known_key(&other).await.unwrap(), None);
    let taken = ground.store.create_key(ground.tenant, other, named("other"), by()).await.unwrap_err();
    assert!(matches!(taken, StoreError::Exists { kind: "key", .. }), "{taken}");

    let second = ground.another_tenant("second").await;
    assert_eq!(ground.store.keys(second).await.unwrap(), []);
    assert!(ground.store.revoke_key(second, made.prefix.clone(), by()).await.is_err());
    assert_eq!(ground.store.keys(ground.tenant).await.unwrap(), [made]);
    let audit = ground.store.audit(ground.tenant, AuditFilter::default(), 1).await.unwrap().remove(0);
    assert_eq!((&audit.action[..], &audit.subject[..], &audit.by[..]), ("key.create", "01010101", "J. Doe"));
    assert!(audit.detail.starts_with("pipeline: scanner, until "), "{}", audit.detail);
}

async fn only_the_first_key_is_made_without_another(ground: Ground) {
    let first = |number| ground.store.first_key(ground.tenant, key(number), named("first"), by());
    let (one, other) = tokio::join!(first(1), first(2));
    assert_eq!(u8::from(one.unwrap()) + u8::from(other.unwrap()), 1);
    assert!(!first(3).await.unwrap());
    assert_eq!(ground.store.keys(ground.tenant).await.unwrap().len(), 1);
}

async fn a_key_ends_when_it_expires_or_is_taken_back(ground: Ground) {
    let expires_at = Some(ground.store.clock().await.unwrap() + DAY);
    create(&ground, 1, NewKey { expires_at, ..named("for a day") }).await;
    create(&ground, 2, named("for ever")).await;
    assert_eq!(known(&ground, 1).await.as_deref(), Some("for a day"));
    ground.advance(DAY).await;
    assert_eq!(known(&ground, 1).await, None);
    assert_eq!(known(&ground, 2).await.as_deref(), Some("for ever"));
    ground.store.revoke_key(ground.tenant, key(2).prefix(), by()).await.unwrap();
    assert_eq!(known(&ground, 2).await, None);
    let again = ground.store.revoke_key(ground.tenant, key(2).prefix(), by()).await.unwrap_err();
    assert!(matches!(again, StoreError::Missing { kind: "key", .. }), "{again}");
    let audit = ground.store.audit(ground.tenant, AuditFilter::default(), 1).await.unwrap().remove(0);
    assert_eq!((&audit.action[..], &audit.detail[..]), ("key.revoke", "for ever"));
}

async fn a_key_that_is_rotated_goes_on_for_a_while(ground: Ground) {
    let rotate = |old: u8, new, overlap| {
        ground.store.rotate_key(ground.tenant, key(old).prefix(), key(new), overlap, by())
    };
    create(&ground, 1, NewKey { role: Role::Operator, ..named("nightly") }).await;
    let made = rotate(1, 2, DAY).await.unwrap();
    assert_eq!((&made.name[..], made.role, made.expires_at), ("nightly", Role::Operator, None));
    assert_eq!((known(&ground, 1).await.is_some(), known(&ground, 2).await.is_some()), (true, true));
    let twice = rotate(1, 3, DAY).await.unwrap_err();
    assert!(twice.to_string().contains("02020202 took its place"), "{twice}");
    ground.advance(DAY).await;
    assert_eq!((known(&ground, 1).await, known(&ground, 2).await.is_some()), (None, true));

    // One for ten days is followed by one for ten days, and ends no later than was said.
    let expires_at = Some(ground.store.clock().await.unwrap() + 10 * DAY);
    create(&ground, 4, NewKey { expires_at, ..named("for ten days") }).await;
    ground.advance(9 * DAY).await;
    let made = rotate(4, 5, 2 * DAY).await.unwrap();
    let left = made.expires_at.unwrap().duration_since(made.created_at).as_hours();
    assert!((239..=240).contains(&left), "{left}");
    ground.advance(DAY).await;
    assert_eq!((known(&ground, 4).await, known(&ground, 5).await.is_some()), (None, true));
}

async fn when_a_key_was_used_is_kept_to_the_minute(ground: Ground) {
    create(&ground, 1, named("used")).await;
    let used = async || {
        ground.store.used_key(ground.tenant, key(1).prefix()).await.unwrap();
        ground.store.keys(ground.tenant).await.unwrap()[0].last_used.unwrap()
    };
    let first = used().await;
    assert_eq!(used().await, first);
    ground.advance(Duration::from_secs(61)).await;
    assert!(used().await > first);
}
