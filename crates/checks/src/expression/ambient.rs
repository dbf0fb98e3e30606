//! What the language may know of the world: one instant, and random numbers that a seed fixes.

use std::cell::RefCell;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// Time and randomness of an evaluation. The same instant and seed give the same values on every machine, so that a finding
/// can be reproduced.
///
/// The numbers are for marker texts, not for secrets: the generator is fast, not cryptographic.
#[derive(Debug)]
pub struct Ambient {
    /// The instant that `unix_time` and `date_time` see.
    pub now: jiff::Timestamp,
    random: RefCell<Xoshiro256PlusPlus>,
}

impl Ambient {
    /// A world at an instant, with the random numbers of a seed.
    pub fn new(now: jiff::Timestamp, seed: u64) -> Ambient {
        Ambient { now, random: RefCell::new(Xoshiro256PlusPlus::seed_from_u64(seed)) }
    }

    /// A number from zero up to but without `bound`; zero when `bound` is.
    pub(super) fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.random.borrow_mut().random_range(0..bound) }
    }

    /// Any 128 bits.
    pub(super) fn bits(&self) -> u128 {
        self.random.borrow_mut().random()
    }
}
