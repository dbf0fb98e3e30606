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
    peak: AtomicU64,
}

/// What one thing takes of an allowance. Without an allowance nothing is counted.
#[derive(Debug, Default)]
pub struct Charge {
    allowance: Option<Allowance>,
    bytes: u64,
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
        Allowance(Arc::new(Held { most, now: AtomicU64::new(0), peak: AtomicU64::new(0) }))
    }

    /// What is held now.
    pub fn held(&self) -> u64 {
        self.0.now.load(Ordering::Relaxed)
    }

    /// The most that was ever held at once.
    pub fn peak(&self) -> u64 {
        self.0.peak.load(Ordering::Relaxed)
    }

    /// For something that takes nothing yet.
    pub fn charge(&self) -> Charge {
        Charge { allowance: Some(self.clone()), bytes: 0 }
    }

    /// For something that only waits for its turn: it may not take the last half from what is looked at now.
    pub fn charge_waiting(&self, bytes: u64) -> Result<Charge, Exceeded> {
        self.take(bytes, self.0.most / 2)?;
        Ok(Charge { allowance: Some(self.clone()), bytes })
    }

    fn take(&self, bytes: u64, most: u64) -> Result<(), Exceeded> {
        let Held { now, peak, .. } = &*self.0;
        let with = |held: u64| held.checked_add(bytes).filter(|held| *held <= most);
        // Only numbers are shared: no order with other memory hangs on them.
        let before = now
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, with)
            .map_err(|_| Exceeded { most: self.0.most })?;
        peak.fetch_max(before + bytes, Ordering::Relaxed);
        Ok(())
    }
}

impl Charge {
    /// It takes so many bytes now, more or fewer than before. Refused, it stays as it was.
    pub fn cover(&mut self, bytes: u64) -> Result<(), Exceeded> {
        if let Some(allowance) = &self.allowance {
            match bytes.checked_sub(self.bytes) {
                Some(more) => allowance.take(more, allowance.0.most)?,
                None => {
                    allowance.0.now.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
                }
            }
            self.bytes = bytes;
        }
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(allowance) = &self.allowance {
            allowance.0.now.fetch_sub(self.bytes, Ordering::Relaxed);
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
        assert_eq!((other.cover(40), allowance.held()), (Ok(()), 100));
        drop(one);
        assert_eq!((allowance.held(), allowance.peak()), (40, 100));
        assert_eq!(other.cover(u64::MAX), Err(Exceeded { most: 100 }));
        assert!(allowance.charge_waiting(11).is_err(), "more than half");
        let waiting = allowance.charge_waiting(10).unwrap();
        drop((waiting, other));
        assert_eq!(allowance.held(), 0);
        assert_eq!(Charge::default().cover(u64::MAX), Ok(()));
    }

    proptest! {
        #[test]
        fn never_more_is_held_than_may_be(most in 0..1_000_u64, steps in proptest::collection::vec((0..4_usize, 0..500_u64), 1..100)) {
            let allowance = Allowance::of(most);
            let mut charges: Vec<Charge> = (0..4).map(|_| allowance.charge()).collect();
            let (mut bytes, mut peak) = ([0; 4], 0);
            for (at, wanted) in steps {
                let others: u64 = bytes.iter().sum::<u64>() - bytes[at];
                let fits = others + wanted <= most;
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
