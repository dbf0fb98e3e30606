//! Memory that one unit may hold of what targets send. Whatever keeps some of it has a charge, which travels with it and is given
//! back when it is dropped: one hostile site cannot take the memory of a process that works on a thousand others.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Of one unit. Clones are the same allowance.
#[derive(Debug, Clone)]
pub struct Allowance(Arc<Held>);

#[derive(Debug)]
struct Held {
    most: u64,
    now: AtomicU64,
    /// The part of it that only waits for its turn.
    waiting: AtomicU64,
    peak: AtomicU64,
}

/// What one thing takes of an allowance. Without an allowance nothing is counted.
#[derive(Debug, Default)]
pub struct Charge {
    allowance: Option<Allowance>,
    bytes: u64,
    waits: bool,
}

/// There is no room left for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a unit may hold {most} bytes of what targets send, and this would be more")]
pub struct Exceeded {
    /// Of the allowance.
    pub most: u64,
}

impl Allowance {
    /// So many bytes.
    pub fn of(most: u64) -> Allowance {
        Allowance(Arc::new(Held {
            most,
            now: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            peak: AtomicU64::new(0),
        }))
    }

    /// What is held now.
    pub fn held(&self) -> u64 {
        self.0.now.load(Ordering::Relaxed)
    }

    /// Is half of the room taken that what only waits for its turn leaves? Then nobody asks for what would come before its turn.
    pub fn is_half_taken(&self) -> bool {
        let waiting = self.0.waiting.load(Ordering::Relaxed);
        self.held().saturating_sub(waiting) > self.0.most.saturating_sub(waiting) / 2
    }

    /// The most that was ever held at once.
    pub fn peak(&self) -> u64 {
        self.0.peak.load(Ordering::Relaxed)
    }

    /// For something that takes nothing yet.
    pub fn charge(&self) -> Charge {
        self.begin(false)
    }

    fn begin(&self, waits: bool) -> Charge {
        Charge { allowance: Some(self.clone()), bytes: 0, waits }
    }

    /// For something that only waits for its turn. All that waits may take half, so that it does not take the last room from what
    /// is looked at; what is looked at for a moment takes none of that half, as long as there is room for both.
    pub fn charge_waiting(&self, bytes: u64) -> Result<Charge, Exceeded> {
        let mut charge = self.begin(true);
        charge.cover(bytes)?;
        Ok(charge)
    }

    fn take(&self, bytes: u64, waits: bool) -> Result<(), Exceeded> {
        let Held { most, now, waiting, peak } = &*self.0;
        let exceeded = Exceeded { most: *most };
        // Only numbers are shared: no order with other memory hangs on them.
        let add = |held: &AtomicU64, most: u64| {
            let with = |held: u64| held.checked_add(bytes).filter(|held| *held <= most);
            held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with).map_err(|_| exceeded)
        };
        if waits {
            add(waiting, most / 2)?;
        }
        match add(now, *most) {
            Ok(before) => {
                peak.fetch_max(before + bytes, Ordering::Relaxed);
                Ok(())
            }
            Err(exceeded) => {
                if waits {
                    waiting.fetch_sub(bytes, Ordering::Relaxed);
                }
                Err(exceeded)
            }
        }
    }

    fn give_back(&self, bytes: u64, waited: bool) {
        self.0.now.fetch_sub(bytes, Ordering::Relaxed);
        if waited {
            self.0.waiting.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Charge {
    /// It takes so many bytes now, more or fewer than before. Refused, it stays as it was.
    pub fn cover(&mut self, bytes: u64) -> Result<(), Exceeded> {
        if let Some(allowance) = &self.allowance {
            match bytes.checked_sub(self.bytes) {
                Some(more) => allowance.take(more, self.waits)?,
                None => allowance.give_back(self.bytes - bytes, self.waits),
            }
            self.bytes = bytes;
        }
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(allowance) = &self.allowance {
            allowance.give_back(self.bytes, self.waits);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_dropped_is_given_back() {
        let allowance = Allowance::of(100);
        let (mut one, mut other) = (allowance.charge(), allowance.charge());
        assert_eq!((one.cover(60), other.cover(41)), (Ok(()), Err(Exceeded { most: 100 })));
        assert_eq!((other.cover(40), allowance.held(), allowance.is_half_taken()), (Ok(()), 100, true));
        drop(one);
        assert_eq!((allowance.held(), allowance.peak(), allowance.is_half_taken()), (40, 100, false));
        assert_eq!(other.cover(u64::MAX), Err(Exceeded { most: 100 }));
        drop(other);
        assert_eq!(allowance.held(), 0);
        assert_eq!(Charge::default().cover(u64::MAX), Ok(()));
    }

    #[test]
    fn half_of_what_those_leave_who_wait_is_half() {
        let allowance = Allowance::of(100);
        let waits = allowance.charge_waiting(40).unwrap();
        let mut looked_at = allowance.charge();
        assert_eq!((looked_at.cover(30), allowance.is_half_taken()), (Ok(()), false));
        assert_eq!((looked_at.cover(31), allowance.is_half_taken()), (Ok(()), true));
        drop(waits);
        assert!(!allowance.is_half_taken());
    }

    #[test]
    fn what_waits_takes_half_and_not_less_while_other_things_are_looked_at() {
        let allowance = Allowance::of(100);
        let mut looked_at = allowance.charge();
        looked_at.cover(60).unwrap();
        let waiting = allowance.charge_waiting(40).expect("there is room for both");
        assert!(allowance.charge_waiting(1).is_err(), "more than all");
        looked_at.cover(0).unwrap();
        let further = allowance.charge_waiting(10).unwrap();
        assert!(allowance.charge_waiting(1).is_err(), "more than half");
        assert_eq!((looked_at.cover(51), looked_at.cover(50)), (Err(Exceeded { most: 100 }), Ok(())));
        drop((waiting, further, looked_at));
        assert_eq!(allowance.held(), 0);
        assert!(allowance.charge_waiting(50).is_ok(), "what was refused left nothing behind");
    }

    proptest! {
        #[test]
        fn never_more_is_held_than_may_be(most in 0..1_000_u64, steps in proptest::collection::vec((0..4_usize, 0..500_u64), 1..100)) {
            let allowance = Allowance::of(most);
            // The last two wait.
            let waits = |at: usize| at >= 2;
            let mut charges: Vec<Charge> = (0..4).map(|at| allowance.begin(waits(at))).collect();
            let (mut bytes, mut peak) = ([0; 4], 0);
            for (at, wanted) in steps {
                let others: u64 = bytes.iter().sum::<u64>() - bytes[at];
                let other_waiting: u64 = (0..4).filter(|other| waits(*other) && *other != at).map(|other| bytes[other]).sum();
                let fits = others + wanted <= most && (!waits(at) || other_waiting + wanted <= most / 2);
                // What shrinks always fits.
                prop_assert_eq!(charges[at].cover(wanted).is_ok(), fits || wanted <= bytes[at]);
                if fits {
                    bytes[at] = wanted;
                }
                let held = bytes.iter().sum();
                peak = peak.max(held);
                prop_assert_eq!((allowance.held(), allowance.peak()), (held, peak));
            }
            charges.clear();
            prop_assert_eq!(allowance.held(), 0);
        }
    }
}
