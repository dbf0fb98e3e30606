//! Who asks and is not known: counted by address, and told in the audit once a minute.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use model::By;
use store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

/// How often the audit is told of one address.
pub(crate) const EVERY: Duration = Duration::from_secs(60);
/// Addresses that are known at once. Beyond that those of one network would push out each other's counts, so they share one.
const MOST: usize = 4_096;
/// What stands for all the others.
const OTHERS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// Since when an address is known, and what the audit has not been told of it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    told: Instant,
    untold: u64,
}

/// Addresses from which somebody asked in vain.
#[derive(Debug, Default)]
pub(crate) struct Strangers(Mutex<HashMap<IpAddr, Seen>>);

impl Strangers {
    /// Somebody asked in vain. How often they did since it was told last, when it is to be told now.
    pub(crate) fn note(&self, origin: IpAddr, now: Instant) -> Option<u64> {
        let mut seen = self.lock();
        let origin = if seen.len() < MOST || seen.contains_key(&origin) { origin } else { OTHERS };
        let Some(known) = seen.get_mut(&origin) else {
            seen.insert(origin, Seen { told: now, untold: 0 });
            return Some(1);
        };
        known.untold += 1;
        if now.duration_since(known.told) < EVERY {
            return None;
        }
        known.told = now;
        Some(std::mem::take(&mut known.untold))
    }

    /// Who is to be told of now without having asked again, with how often they did; who was quiet is forgotten.
    pub(crate) fn due(&self, now: Instant, all: bool) -> Vec<(IpAddr, u64)> {
        let mut due = Vec::new();
        self.lock().retain(|origin, seen| {
            if !all && now.duration_since(seen.told) < EVERY {
                return true;
            }
            let untold = std::mem::take(&mut seen.untold);
            if untold > 0 {
                due.push((*origin, untold));
                seen.told = now;
            }
            untold > 0
        });
        due
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells of those who asked and went away, until the end, and of all of them then.
pub(crate) async fn tell_of_all(store: &Store, strangers: &Strangers, ending: &CancellationToken) {
    loop {
        let ends = tokio::time::timeout(EVERY, ending.cancelled()).await.is_ok();
        for (origin, times) in strangers.due(Instant::now(), ends) {
            if let Err(error) = tell(store, origin, times).await {
                tracing::error!(%error, %origin, times, "the audit does not tell that somebody was refused");
            }
        }
        if ends {
            return;
        }
    }
}

/// Tells the audit of the installation.
pub(crate) async fn tell(store: &Store, origin: IpAddr, times: u64) -> Result<(), StoreError> {
    let (name, origin) = match origin {
        OTHERS => ("somebody at one of many addresses", None),
        origin => ("somebody", Some(origin)),
    };
    let by = By { name: name.to_owned(), origin, request: None, trace: None };
    let subject = origin.map_or_else(|| "many addresses".to_owned(), |origin| origin.to_string());
    store.audit_strangers(by, subject, format!("{times} requests without a key that is known")).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_of_once_a_minute_and_no_request_is_left_out() {
        let (strangers, begun) = (Strangers::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        let (a, b): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert_eq!((strangers.note(a, at(0)), strangers.note(b, at(1))), (Some(1), Some(1)));
        assert_eq!((strangers.note(a, at(2)), strangers.note(a, at(59))), (None, None));
        assert_eq!(strangers.note(a, at(60)), Some(3));
        assert_eq!(strangers.note(a, at(61)), None);
        // Nobody asks any more.
        assert_eq!(strangers.due(at(62), false), []);
        assert_eq!(strangers.due(at(120), false), [(a, 1)]);
        assert_eq!(strangers.due(at(180), false), []);
        assert!(strangers.lock().is_empty(), "who was quiet is forgotten");
        // Nor is there anybody to ask at the end.
        assert_eq!((strangers.note(a, at(200)), strangers.note(a, at(201))), (Some(1), None));
        assert_eq!(strangers.due(at(201), true), [(a, 1)]);
    }

    #[test]
    fn memory_is_bounded_whoever_asks() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        for number in 1..=100_000_u32 {
            strangers.note(IpAddr::from(number.to_be_bytes()), now);
        }
        assert!(strangers.lock().len() <= MOST + 1);
        let told: u64 = strangers.due(now, true).iter().map(|(_, times)| times).sum();
        // Each address that is known was told of at once, and so was the first of the others.
        assert_eq!(told, 100_000 - MOST as u64 - 1);
    }
}
