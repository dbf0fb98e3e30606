//! How many requests a second are answered: of one address, one key, one tenant. Who asks for more is told when to come again.
//!
//! Each has a bucket of a second's requests that fills steadily (the generic cell rate algorithm, ITU-T I.371).

use std::{
    collections::HashMap,
    fmt,
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

use crate::{
    caller::Counted,
    shares::{Scarce, Shares, Whose},
};

/// Logins by a provider of identities that come back to somebody at one address: nobody guesses anything there.
const RETURNS: NonZeroU32 = NonZeroU32::new(60).expect("it is more than nothing");
const MINUTE: Duration = Duration::from_secs(60);

/// How often somebody may ask, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Requests of one address that are answered at once: whoever sends a body slowly takes no place from others.
    pub at_once: NonZeroU32,
    /// Requests a second of one address; of IPv6, one network of 64 bits, as one machine has all of it.
    pub address: NonZeroU32,
    /// Requests a second with one key.
    pub key: NonZeroU32,
    /// Requests a second of one tenant.
    pub tenant: NonZeroU32,
    /// Passwords a minute that somebody at one address may try.
    pub login: NonZeroU32,
    /// Invitations an hour that somebody at one address may try.
    pub sign_up: NonZeroU32,
}

impl Default for Rates {
    /// 256 at once; 100, 100 and 1,000 a second; 10 passwords a minute, 5 invitations an hour.
    fn default() -> Rates {
        let rate = |count| NonZeroU32::new(count).expect("it is more than nothing");
        Rates {
            at_once: rate(256),
            address: rate(100),
            key: rate(100),
            tenant: rate(1_000),
            login: rate(10),
            sign_up: rate(5),
        }
    }
}

type Instant = <MonotonicClock as Clock>::Instant;

/// One bucket for each of a kind.
#[derive(Debug)]
struct Buckets<K: Hash + Eq + Clone>(
    RateLimiter<K, DashMapStateStore<K>, MonotonicClock, NoOpMiddleware<Instant>>,
);

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(quota: Quota) -> Buckets<K> {
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
#[derive(Debug)]
pub(crate) struct Parts<K: Hash + Eq> {
    most: usize,
    taken: Taken<K>,
}

type Taken<K> = Arc<Mutex<HashMap<K, usize>>>;

impl<K: Hash + Eq + Clone> Parts<K> {
    pub(crate) fn new(most: usize) -> Parts<K> {
        Parts { most, taken: Arc::default() }
    }

    /// Another number of parts; those that are taken count on.
    fn with(&self, most: usize) -> Parts<K> {
        Parts { most, taken: Arc::clone(&self.taken) }
    }

    /// One more for that one, until it is dropped; nothing when it has as many as it may.
    pub(crate) fn take(&self, key: K) -> Option<Part<K>> {
        self.take_within(key, self.most)
    }

    /// The same, where one may have so many at the moment.
    pub(crate) fn take_within(&self, key: K, most: usize) -> Option<Part<K>> {
        let mut all = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = all.entry(key.clone()).or_default();
        if *taken >= most.min(self.most) {
            if *taken == 0 {
                all.remove(&key);
            }
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
pub(crate) struct Limits {
    rates: Rates,
    pub(crate) shares: Arc<Shares>,
    /// Requests that are being answered.
    pub(crate) at_once: Parts<Machine>,
    addresses: Arc<Buckets<Machine>>,
    keys: Arc<Buckets<Counted>>,
    tenants: Arc<Buckets<TenantId>>,
    logins: Arc<Buckets<Machine>>,
    returns: Arc<Buckets<Machine>>,
    sign_ups: Arc<Buckets<Machine>>,
}

impl Limits {
    pub(crate) fn new(rates: Rates, shares: Arc<Shares>) -> Limits {
        Limits {
            rates,
            shares,
            at_once: Parts::new(rates.at_once.get() as usize),
            addresses: Arc::new(Buckets::new(Quota::per_second(rates.address))),
            keys: Arc::new(Buckets::new(Quota::per_second(rates.key))),
            tenants: Arc::new(Buckets::new(Quota::per_second(rates.tenant))),
            logins: Arc::new(Buckets::new(Quota::per_minute(rates.login))),
            returns: Arc::new(Buckets::new(Quota::per_minute(RETURNS))),
            sign_ups: Arc::new(Buckets::new(Quota::per_hour(rates.sign_up))),
        }
    }

    /// With other rates; what is being answered counts as it did, and so does what was asked where nothing changes.
    pub(crate) fn with(&self, rates: Rates) -> Limits {
        let (before, new) = (self.rates, Limits::new(rates, Arc::clone(&self.shares)));
        fn kept<T>(is_same: bool, before: &Arc<T>, new: Arc<T>) -> Arc<T> {
            if is_same { Arc::clone(before) } else { new }
        }
        Limits {
            at_once: self.at_once.with(rates.at_once.get() as usize),
            addresses: kept(rates.address == before.address, &self.addresses, new.addresses),
            keys: kept(rates.key == before.key, &self.keys, new.keys),
            tenants: kept(rates.tenant == before.tenant, &self.tenants, new.tenants),
            logins: kept(rates.login == before.login, &self.logins, new.logins),
            returns: Arc::clone(&self.returns),
            sign_ups: kept(rates.sign_up == before.sign_up, &self.sign_ups, new.sign_ups),
            rates,
            shares: new.shares,
        }
    }

    /// Before it is looked at who asks.
    pub(crate) fn take_of_address(&self, address: IpAddr) -> Result<(), Duration> {
        let machine = Machine::at(address);
        self.addresses.take(&machine)?;
        self.shares.take(|| Whose::Address(machine), self.rates.address)
    }

    /// When it is known who asks.
    pub(crate) fn take_of(&self, who: Counted, tenant: TenantId) -> Result<(), Duration> {
        self.keys.take(&who)?;
        self.tenants.take(&tenant)?;
        self.shares.take(|| Whose::Caller(who), self.rates.key)?;
        self.shares.take(|| Whose::Tenant(tenant), self.rates.tenant)
    }

    /// Before something is done of which there is little.
    pub(crate) async fn take_scarce(&self, what: Scarce, address: IpAddr) -> Result<(), Duration> {
        let machine = Machine::at(address);
        let (bucket, most, window) = match what {
            Scarce::Login => (&self.logins, self.rates.login, MINUTE),
            Scarce::Return => (&self.returns, RETURNS, MINUTE),
            Scarce::SignUp => (&self.sign_ups, self.rates.sign_up, 60 * MINUTE),
        };
        bucket.take(&machine)?;
        self.shares.take_scarce(what.name(), machine, most, window).await
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

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
        // Where more or fewer are said, those that are taken count on.
        let (more, fewer) = (parts.with(3), parts.with(1));
        assert!(more.take(Machine::at(a)).is_some() && fewer.take(Machine::at(a)).is_none());
        drop((_second, _other));
        assert_eq!(parts.taken.lock().unwrap().len(), 0, "nothing is kept of who is gone");
    }

    fn limits(address: u32, key: u32, tenant: u32) -> Limits {
        let rate = |count| NonZeroU32::new(count).unwrap();
        let rates =
            Rates { address: rate(address), key: rate(key), tenant: rate(tenant), ..Rates::default() };
        Limits::new(rates, Arc::new(Shares::new(None)))
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
    fn other_rates_give_nobody_anew_what_they_had() {
        let before = limits(3, 2, 5);
        let address = "192.0.2.1".parse().unwrap();
        taken(|| before.take_of_address(address));
        let rate = NonZeroU32::new(9).unwrap();
        let after = before.with(Rates { key: rate, ..before.rates });
        assert!(after.take_of_address(address).is_err());
        assert_eq!(after.rates.key, rate);
        let wider = before.with(Rates { address: rate, ..before.rates });
        assert_eq!(wider.take_of_address(address), Ok(()));
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
