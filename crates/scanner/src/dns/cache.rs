//! Addresses already known to this scan.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use checks::exchange::Failure;
use model::DomainName;

/// Entries kept; beyond, those that have expired go, then all.
const MOST: usize = 20_000;
const LONGEST: Duration = Duration::from_secs(300);
const SHORTEST: Duration = Duration::from_secs(5);
/// A failure may pass.
const FAILURE: Duration = Duration::from_secs(15);

type Known = Result<Vec<IpAddr>, Failure>;

#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<DomainName, (Instant, Known)>>);

impl Cache {
    pub(super) fn get(&self, name: &DomainName) -> Option<Known> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (expiry, known) = entries.get(name)?;
        (*expiry > Instant::now()).then(|| known.clone())
    }

    pub(super) fn put(&self, name: DomainName, known: &Known, lifetime: Duration) {
        let now = Instant::now();
        let kept = if known.is_ok() { lifetime.clamp(SHORTEST, LONGEST) } else { FAILURE };
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MOST {
            entries.retain(|_, (expiry, _)| *expiry > now);
        }
        if entries.len() >= MOST {
            entries.clear();
        }
        entries.insert(name, (now + kept, known.clone()));
    }
}
