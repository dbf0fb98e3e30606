//! Whoever tries one password after the other waits longer and longer, from wherever they try. Whoever has logged in from where they
//! are now does not wait with them: nobody is locked out by others.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

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

/// Whose password is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Guessed([u8; 32]);

impl Guessed {
    pub(crate) fn of(tenant: &str, name: &str) -> Guessed {
        Guessed(Sha256::digest(format!("{}:{tenant}{name}", tenant.len()).as_bytes()).into())
    }
}

impl Guesses {
    /// How long to wait before the next try is looked at.
    pub(crate) fn wait(&self, whose: Guessed, now: Instant) -> Option<Duration> {
        let failures = *self.lock().get(&whose.0)?;
        let beyond = failures.count.checked_sub(FREE)?;
        let wait =
            Duration::from_secs(1).saturating_mul(1_u32.checked_shl(beyond.min(31)).unwrap_or(u32::MAX));
        wait.min(LONGEST).checked_sub(now.duration_since(failures.last)).filter(|wait| !wait.is_zero())
    }

    /// It was not the password.
    pub(crate) fn failed(&self, whose: Guessed, now: Instant) {
        let mut all = self.lock();
        if all.len() >= MOST && !all.contains_key(&whose.0) {
            all.retain(|_, failures| now.duration_since(failures.last) < FORGOTTEN);
            // Whoever tries so many names makes room for none by it: the address limits them.
            if all.len() >= MOST {
                return;
            }
        }
        let failures = all.entry(whose.0).or_insert(Failures { count: 0, last: now });
        if now.duration_since(failures.last) >= FORGOTTEN {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
    }

    /// It was the password.
    pub(crate) fn forget(&self, whose: Guessed) {
        self.lock().remove(&whose.0);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_wrong_again_and_again_waits_longer_and_longer() {
        let (guesses, begun) = (Guesses::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        let (mine, other) = (Guessed::of("acme", "j.doe"), Guessed::of("acm", "ej.doe"));
        assert_ne!(mine, other);
        for _ in 0..FREE - 1 {
            guesses.failed(mine, at(0));
            assert_eq!(guesses.wait(mine, at(0)), None);
        }
        let mut waits = Vec::new();
        for _ in 0..12 {
            guesses.failed(mine, at(0));
            waits.push(guesses.wait(mine, at(0)).unwrap().as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert_eq!(guesses.wait(mine, at(899)), Some(Duration::from_secs(1)));
        assert_eq!(guesses.wait(mine, at(900)), None);
        assert_eq!(guesses.wait(other, at(0)), None);
        guesses.failed(mine, at(3_600));
        assert_eq!(guesses.wait(mine, at(3_600)), None, "an hour later it begins anew");
        for _ in 0..40 {
            guesses.failed(mine, at(3_600));
        }
        assert_eq!(guesses.wait(mine, at(3_600)), Some(LONGEST));
        guesses.forget(mine);
        assert_eq!(guesses.wait(mine, at(3_600)), None);
    }

    #[test]
    fn memory_is_bounded_however_many_names_are_tried() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for number in 0..2 * MOST {
            guesses.failed(Guessed::of("acme", &number.to_string()), now);
        }
        assert_eq!(guesses.lock().len(), MOST);
        guesses.failed(Guessed::of("acme", "later"), now + FORGOTTEN);
        assert_eq!(guesses.lock().len(), 1);
    }
}
