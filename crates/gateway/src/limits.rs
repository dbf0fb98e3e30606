//! How many requests a second are answered: of one address, one key, one tenant. Who asks for more is told when to come again.
//!
//! Each has a bucket of a second's requests that fills steadily (the generic cell rate algorithm, ITU-T I.371).

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    state::keyed::DashMapStateStore,
};
use model::TenantId;

use crate::caller::Counted;

/// Requests of one address that are answered at once: whoever sends a body slowly takes no place from others.
const AT_ONCE: usize = 256;
/// Passwords that somebody at one address may try.
const LOGINS: Quota = Quota::per_minute(NonZeroU32::new(10).expect("it is more than nothing"));
/// Logins by a provider of identities that come back to somebody at one address: nobody guesses anything there.
const RETURNS: Quota = Quota::per_minute(NonZeroU32::new(60).expect("it is more than nothing"));
/// Invitations that somebody at one address may try.
const SIGN_UPS: Quota = Quota::per_hour(NonZeroU32::new(5).expect("it is more than nothing"));

/// Requests a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Of one address; of IPv6, one network of 64 bits, as one machine has all of it.
    pub address: NonZeroU32,
    /// With one key.
    pub key: NonZeroU32,
    /// Of one tenant.
    pub tenant: NonZeroU32,
}

impl Default for Rates {
    /// 100, 100 and 1,000.
    fn default() -> Rates {
        let rate = |count| NonZeroU32::new(count).expect("it is more than nothing");
        Rates { address: rate(100), key: rate(100), tenant: rate(1_000) }
    }
}

type Instant = <MonotonicClock as Clock>::Instant;

/// One bucket for each of a kind.
#[derive(Debug)]
struct Buckets<K: Hash + Eq + Clone>(
    RateLimiter<K, DashMapStateStore<K>, MonotonicClock, NoOpMiddleware<Instant>>,
);

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(a_second: NonZeroU32) -> Buckets<K> {
        let quota = Quota::per_second(a_second);
        Buckets(RateLimiter::new(quota, DashMapStateStore::default(), MonotonicClock))
    }

    /// How long to wait, when there is nothing left.
    fn take(&self, key: &K) -> Result<(), Duration> {
        self.0.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(MonotonicClock.now());
            wait.max(Duration::from_millis(1))
        })
    }
}

/// How much of something each of a kind has at the moment, and how much one may have.
#[derive(Debug, Clone)]
pub(crate) struct Parts<K: Hash + Eq> {
    most: usize,
    taken: Taken<K>,
}

type Taken<K> = Arc<Mutex<HashMap<K, usize>>>;

impl<K: Hash + Eq + Clone> Parts<K> {
    pub(crate) fn new(most: usize) -> Parts<K> {
        Parts { most, taken: Arc::default() }
    }

    /// One more for that one, until it is dropped; nothing when it has as many as it may.
    pub(crate) fn take(&self, key: K) -> Option<Part<K>> {
        let mut all = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = all.entry(key.clone()).or_default();
        if *taken >= self.most {
            return None;
        }
        *taken += 1;
        Some(Part { key, taken: Arc::clone(&self.taken) })
    }
}

/// What one of them has.
#[derive(Debug)]
pub(crate) struct Part<K: Hash + Eq> {
    key: K,
    taken: Taken<K>,
}

impl<K: Hash + Eq> Drop for Part<K> {
    fn drop(&mut self) {
        let mut all = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = all.get_mut(&self.key) {
            *taken -= 1;
            if *taken == 0 {
                all.remove(&self.key);
            }
        }
    }
}

/// What is left of each.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Requests that are being answered.
    pub(crate) at_once: Parts<Machine>,
    addresses: Buckets<Machine>,
    keys: Buckets<Counted>,
    tenants: Buckets<TenantId>,
    logins: Buckets<Machine>,
    returns: Buckets<Machine>,
    sign_ups: Buckets<Machine>,
}

impl Limits {
    pub(crate) fn new(rates: Rates) -> Limits {
        Limits {
            at_once: Parts::new(AT_ONCE),
            addresses: Buckets::new(rates.address),
            keys: Buckets::new(rates.key),
            tenants: Buckets::new(rates.tenant),
            logins: Buckets(RateLimiter::new(LOGINS, DashMapStateStore::default(), MonotonicClock)),
            returns: Buckets(RateLimiter::new(RETURNS, DashMapStateStore::default(), MonotonicClock)),
            sign_ups: Buckets(RateLimiter::new(SIGN_UPS, DashMapStateStore::default(), MonotonicClock)),
        }
    }

    /// Before it is looked at who asks.
    pub(crate) fn take_of_address(&self, address: IpAddr) -> Result<(), Duration> {
        self.addresses.take(&Machine::at(address))
    }

    /// When it is known who asks.
    pub(crate) fn take_of(&self, who: Counted, tenant: TenantId) -> Result<(), Duration> {
        self.keys.take(&who)?;
        self.tenants.take(&tenant)
    }

    /// Before a password is looked at.
    pub(crate) fn take_of_login(&self, address: IpAddr) -> Result<(), Duration> {
        self.logins.take(&Machine::at(address))
    }

    /// Before a provider of identities is asked who it was.
    pub(crate) fn take_of_return(&self, address: IpAddr) -> Result<(), Duration> {
        self.returns.take(&Machine::at(address))
    }

    /// Before an invitation is looked at.
    pub(crate) fn take_of_sign_up(&self, address: IpAddr) -> Result<(), Duration> {
        self.sign_ups.take(&Machine::at(address))
    }

    /// Buckets that are full need not be kept.
    pub(crate) fn forget_the_quiet(&self) {
        self.addresses.0.retain_recent();
        self.keys.0.retain_recent();
        self.tenants.0.retain_recent();
        self.logins.0.retain_recent();
        self.returns.0.retain_recent();
        self.sign_ups.0.retain_recent();
    }
}

/// One machine, as far as it can be told: of IPv6 it has a network of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Machine(IpAddr);

impl Machine {
    pub(crate) fn at(address: IpAddr) -> Machine {
        Machine(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
            v4 => v4,
        })
    }
}

#[cfg(test)]
mod tests {
    use model::KeyPrefix;

    use super::*;

    #[test]
    fn an_address_has_no_more_at_once_than_its_part() {
        let parts = Parts::new(2);
        let [a, b]: [IpAddr; 2] = ["2001:db8::1", "2001:db8::2"].map(|text| text.parse().unwrap());
        let first = parts.take(Machine::at(a)).unwrap();
        let _second = parts.take(Machine::at(b)).unwrap();
        assert!(parts.take(Machine::at(a)).is_none(), "they are one machine");
        let _other = parts.take(Machine::at("192.0.2.1".parse().unwrap())).unwrap();
        drop(first);
        assert!(parts.take(Machine::at(a)).is_some());
        assert_eq!(parts.taken.lock().unwrap().len(), 2);
        drop((_second, _other));
        assert_eq!(parts.taken.lock().unwrap().len(), 0, "nothing is kept of who is gone");
    }

    fn limits(address: u32, key: u32, tenant: u32) -> Limits {
        let rate = |count| NonZeroU32::new(count).unwrap();
        Limits::new(Rates { address: rate(address), key: rate(key), tenant: rate(tenant) })
    }

    /// As many as are left, each of the kinds.
    fn taken(take: impl Fn() -> Result<(), Duration>) -> (u32, Duration) {
        let mut taken = 0;
        loop {
            match take() {
                Ok(()) => taken += 1,
                Err(wait) => return (taken, wait),
            }
        }
    }

    #[test]
    fn each_has_its_own_and_is_told_when_to_come_again() {
        let limits = limits(3, 2, 5);
        let (a, b): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let (count, wait) = taken(|| limits.take_of_address(a));
        // While this runs some time goes by in which one more may come.
        assert!((3..=4).contains(&count), "{count}");
        assert!(wait <= Duration::from_millis(334), "{wait:?}");
        assert_eq!(limits.take_of_address(b), Ok(()));
        assert!(limits.take_of_address("::ffff:192.0.2.1".parse().unwrap()).is_err(), "the same machine");

        let tenant = TenantId::new(uuid::Uuid::from_u128(1));
        let key = |text: &str| Counted::Key(text.parse::<KeyPrefix>().unwrap());
        for (prefix, wanted) in [("00000001", 2), ("00000002", 2), ("00000003", 1)] {
            let (count, _) = taken(|| limits.take_of(key(prefix), tenant));
            assert!((wanted..=wanted + 1).contains(&count), "{prefix}: {count}");
        }
        let other = TenantId::new(uuid::Uuid::from_u128(2));
        assert_eq!(limits.take_of(key("00000004"), other), Ok(()));
    }

    #[test]
    fn a_machine_has_one_bucket_with_all_its_addresses() {
        let of = |text: &str| Machine::at(text.parse().unwrap()).0.to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("192.0.2.77"), "192.0.2.77");
    }

    #[test]
    fn memory_is_for_those_who_ask() {
        let limits = limits(1_000_000_000, 1, 1);
        for number in 0..10_000_u32 {
            limits.take_of_address(IpAddr::from(number.to_be_bytes())).unwrap();
        }
        limits.forget_the_quiet();
        assert_eq!(limits.addresses.0.len(), 0);
    }
}
