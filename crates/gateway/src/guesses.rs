//! Whoever tries one password after the other waits longer and longer, from wherever they try. Whoever has logged in from where they
//! are now waits only for those who try there: nobody is locked out by others.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use model::UserId;

use crate::limits::Machine;

/// So often anybody may be wrong.
const FREE: u32 = 5;
/// The longest that somebody waits.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// After so long without a try it begins anew.
const FORGOTTEN: Duration = Duration::from_secs(60 * 60);
/// Names that are known at once.
const MOST: usize = 10_000;

/// Failures of one name, and when the last was.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// Failures by name, also of names that are nobody's: it must not be seen which are.
#[derive(Debug, Default)]
pub(crate) struct Guesses(Mutex<HashMap<[u8; 32], Failures>>);

/// Whose password is tried, and from where if they have logged in from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Guessed([u8; 32]);

impl Guessed {
    /// Somebody logs in by that name.
    pub(crate) fn of(tenant: &str, name: &str, known_at: Option<Machine>) -> Guessed {
        let name = name.to_ascii_lowercase();
        let whose = format!("log in {}:{tenant}{}:{name}{known_at:?}", tenant.len(), name.len());
        Guessed(Sha256::digest(whose).into())
    }

    /// Somebody with a session of that user says the password again: nobody who only knows of them is counted with them.
    pub(crate) fn again(user: UserId) -> Guessed {
        Guessed(Sha256::digest(format!("again {user}")).into())
    }

    /// Where there is no room for names of their own many share one, rather than none being counted.
    fn shared(self) -> Guessed {
        let mut shared = [0; 32];
        shared[..2].copy_from_slice(&self.0[..2]);
        shared[1] &= 0xf0;
        Guessed(shared)
    }
}

impl Guesses {
    /// Counts a try as a failure before it is looked at, so that nobody tries many at once; or tells how long to wait before the
    /// next. Where it was counted is what to forget when it was none.
    pub(crate) fn begin(&self, whose: Guessed, now: Instant) -> Result<Guessed, Duration> {
        let mut all = self.lock();
        let is_there = all.contains_key(&whose.0);
        if !is_there && all.len() >= MOST {
            all.retain(|_, failures| now.duration_since(failures.last) < FORGOTTEN);
        }
        let place = if is_there || all.len() < MOST { whose } else { whose.shared() };
        let failures = all.entry(place.0).or_insert(Failures { count: 0, last: now });
        if now.duration_since(failures.last) >= FORGOTTEN {
            failures.count = 0;
        }
        if let Some(wait) = failures.wait(now) {
            return Err(wait);
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        Ok(place)
    }

    /// It was the password.
    pub(crate) fn forget(&self, whose: Guessed) {
        self.lock().remove(&whose.0);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failures {
    /// How long to wait before the next try is looked at.
    fn wait(self, now: Instant) -> Option<Duration> {
        let beyond = self.count.checked_sub(FREE)?;
        let wait =
            Duration::from_secs(1).saturating_mul(1_u32.checked_shl(beyond.min(31)).unwrap_or(u32::MAX));
        wait.min(LONGEST).checked_sub(now.duration_since(self.last)).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_wrong_again_and_again_waits_longer_and_longer() {
        let (guesses, begun) = (Guesses::default(), Instant::now());
        let mine = Guessed::of("acme", "j.doe", None);
        assert_ne!(mine, Guessed::of("acm", "ej.doe", None));
        assert_eq!(mine, Guessed::of("acme", "J.Doe", None));
        let (mut now, mut waits) = (begun, Vec::new());
        for number in 0..17 {
            assert_eq!(guesses.begin(mine, now), Ok(mine), "{number}");
            if let Err(wait) = guesses.begin(mine, now) {
                waits.push(wait.as_secs());
                now += wait;
            }
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900, 900]);
        let office = Guessed::of("acme", "j.doe", Some(Machine::at("192.0.2.1".parse().unwrap())));
        assert_eq!(guesses.begin(office, now), Ok(office), "who is known there does not wait with others");
        assert_eq!(guesses.begin(mine, now), Ok(mine));
        assert_eq!(guesses.begin(mine, now), Err(LONGEST));
        assert_eq!(guesses.begin(mine, now + FORGOTTEN), Ok(mine), "an hour later it begins anew");
        for _ in 0..FREE - 1 {
            assert_eq!(guesses.begin(mine, now + FORGOTTEN), Ok(mine));
        }
        assert!(guesses.begin(mine, now + FORGOTTEN).is_err());
        guesses.forget(mine);
        assert_eq!(guesses.begin(mine, now + FORGOTTEN), Ok(mine));
    }

    #[test]
    fn memory_is_bounded_and_still_every_name_is_counted() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for number in 0..3 * MOST {
            // Some share a place by now, and wait.
            let _ = guesses.begin(Guessed::of("acme", &number.to_string(), None), now);
        }
        assert!(guesses.lock().len() <= MOST + 4_096);
        let late = Guessed::of("acme", "late", None);
        let tries = (0..=FREE).filter(|_| guesses.begin(late, now).is_ok()).count();
        assert!(tries <= FREE as usize, "{tries}");
        assert_eq!(guesses.begin(late, now + FORGOTTEN), Ok(late));
        assert!(guesses.lock().len() <= 2);
    }
}
