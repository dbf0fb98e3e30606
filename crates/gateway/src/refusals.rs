//! Who is refused: told in the audit, as often as it can bear, and counted beyond that, so that nobody fills a disk by asking.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use model::{By, TenantId};
use store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

/// How often the audit is told of somebody.
pub(crate) const EVERY: Duration = Duration::from_secs(60);
/// And so often within that time of somebody who is known: what a person tries by hand is told each time.
const OF_ONE_KNOWN: u32 = 30;
/// So many are known at once. Beyond that those of one network would push out each other's counts, so they share one; and so do those of
/// a tenant, of which there is always room for one.
const MOST: usize = 4_096;

/// Who was refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Who {
    /// Somebody at an address.
    Stranger(IpAddr),
    /// At one of all the other addresses.
    Strangers,
    /// Who is known, or says to be somebody who is.
    Known(TenantId, String),
    /// One of all the others of a tenant.
    Others(TenantId),
}

impl Who {
    fn most(&self) -> u32 {
        match self {
            Who::Stranger(_) | Who::Strangers => 1,
            Who::Known(..) | Who::Others(_) => OF_ONE_KNOWN,
        }
    }

    fn among_others(self) -> Who {
        match self {
            Who::Stranger(_) | Who::Strangers => Who::Strangers,
            Who::Known(tenant, _) | Who::Others(tenant) => Who::Others(tenant),
        }
    }
}

/// Since when somebody is known, how often the audit was told of them since, and of what it has not been told.
#[derive(Debug, Clone, Copy)]
struct Seen {
    since: Instant,
    told: u32,
    untold: u64,
}

/// Those who asked in vain.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<Who, Seen>>);

impl Refusals {
    /// Somebody asked in vain. How often they did since it was told last, when it is to be told now.
    pub(crate) fn note(&self, who: Who, now: Instant) -> Option<u64> {
        let mut seen = self.lock();
        let who = if seen.len() < MOST || seen.contains_key(&who) { who } else { who.among_others() };
        let most = who.most();
        let known = seen.entry(who).or_insert(Seen { since: now, told: 0, untold: 0 });
        if now.duration_since(known.since) >= EVERY {
            (known.since, known.told) = (now, 0);
        }
        known.untold += 1;
        if known.told >= most {
            return None;
        }
        known.told += 1;
        Some(std::mem::take(&mut known.untold))
    }

    /// Who is to be told of now without having asked again, with how often they did; who was quiet is forgotten.
    pub(crate) fn due(&self, now: Instant, all: bool) -> Vec<(Who, u64)> {
        let mut due = Vec::new();
        self.lock().retain(|who, seen| {
            if !all && now.duration_since(seen.since) < EVERY {
                return true;
            }
            let untold = std::mem::take(&mut seen.untold);
            if untold > 0 {
                due.push((who.clone(), untold));
                (seen.since, seen.told) = (now, who.most());
            }
            untold > 0
        });
        due
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Who, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells of those who asked and went away, until the end, and of all of them then.
pub(crate) async fn tell_of_all(store: &Store, refusals: &Refusals, ending: &CancellationToken) {
    loop {
        let ends = tokio::time::timeout(EVERY, ending.cancelled()).await.is_ok();
        for (who, times) in refusals.due(Instant::now(), ends) {
            if let Err(error) = tell(store, &who, times).await {
                tracing::error!(%error, ?who, times, "the audit does not tell that somebody was refused");
            }
        }
        if ends {
            return;
        }
    }
}

/// Tells the audit of the installation, or of the tenant, how often somebody was refused beside what it was told in full.
pub(crate) async fn tell(store: &Store, who: &Who, times: u64) -> Result<(), StoreError> {
    let by = |name: &str, origin| By { name: name.to_owned(), origin, request: None, trace: None };
    let unknown = format!("{times} requests without a key that is known");
    let more = format!("{times} requests more were refused");
    match who {
        Who::Stranger(origin) => {
            let by = by("somebody", Some(*origin));
            store.audit_strangers(by, origin.to_string(), unknown).await
        }
        Who::Strangers => {
            let by = by("somebody at one of many addresses", None);
            store.audit_strangers(by, "many addresses".to_owned(), unknown).await
        }
        Who::Known(tenant, name) => {
            store.audit_refusal(*tenant, by(name, None), "many requests".to_owned(), more).await
        }
        Who::Others(tenant) => {
            store.audit_refusal(*tenant, by("many", None), "many requests".to_owned(), more).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(address: &str) -> Who {
        Who::Stranger(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_told_of_once_a_minute_and_no_request_is_left_out() {
        let (refusals, begun) = (Refusals::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        let note = |who: &Who, seconds| refusals.note(who.clone(), at(seconds));
        let (a, b) = (stranger("192.0.2.1"), stranger("192.0.2.2"));
        assert_eq!((note(&a, 0), note(&b, 1)), (Some(1), Some(1)));
        assert_eq!((note(&a, 2), note(&a, 59)), (None, None));
        assert_eq!(note(&a, 60), Some(3));
        assert_eq!(note(&a, 61), None);
        // Nobody asks any more.
        assert_eq!(refusals.due(at(62), false), []);
        assert_eq!(refusals.due(at(120), false), [(a.clone(), 1)]);
        assert_eq!(refusals.due(at(180), false), []);
        assert!(refusals.lock().is_empty(), "who was quiet is forgotten");
        // Nor is there anybody to ask at the end.
        assert_eq!((note(&a, 200), note(&a, 201)), (Some(1), None));
        assert_eq!(refusals.due(at(201), true), [(a, 1)]);
    }

    #[test]
    fn who_is_known_is_told_of_each_time_until_it_is_too_often() {
        let (refusals, begun) = (Refusals::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        let tenant = TenantId::new(uuid::Uuid::from_u128(1));
        let amy = Who::Known(tenant, "amy".to_owned());
        let note = |seconds| refusals.note(amy.clone(), at(seconds));
        let told = (0..1_000).filter(|_| note(0) == Some(1)).count();
        assert_eq!(told, OF_ONE_KNOWN as usize);
        // Somebody else of the same tenant is told of all the same, and so is a stranger.
        assert_eq!(refusals.note(Who::Known(tenant, "bob".to_owned()), at(1)), Some(1));
        assert_eq!(refusals.note(stranger("192.0.2.1"), at(1)), Some(1));
        assert_eq!(note(60), Some(1_000 - u64::from(OF_ONE_KNOWN) + 1));
        assert_eq!(note(61), Some(1));
    }

    #[test]
    fn memory_is_bounded_whoever_asks() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        for number in 1..=100_000_u32 {
            refusals.note(Who::Stranger(IpAddr::from(number.to_be_bytes())), now);
        }
        let tenant = TenantId::new(uuid::Uuid::from_u128(1));
        for number in 0..1_000 {
            refusals.note(Who::Known(tenant, number.to_string()), now);
        }
        assert!(refusals.lock().len() <= MOST + 2);
        let told: u64 = refusals.due(now, true).iter().map(|(_, times)| times).sum();
        // Each address that is known was told of at once, and so were the first of the others.
        assert_eq!(told, 100_000 - MOST as u64 - 1 + 1_000 - u64::from(OF_ONE_KNOWN));
    }
}
