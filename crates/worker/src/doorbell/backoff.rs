//! When to try again.

use std::time::Duration;

use rand::RngExt;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Exponential, and anything up to that: those who lost a broker together do not come back together.
#[derive(Debug)]
pub(super) struct Backoff {
    longest: Duration,
}

impl Backoff {
    pub(super) fn new() -> Backoff {
        Backoff { longest: FIRST }
    }

    /// The next failure is the first one again.
    pub(super) fn reset(&mut self) {
        self.longest = FIRST;
    }

    pub(super) async fn pause(&mut self) {
        let pause = rand::rng().random_range(Duration::ZERO..=self.longest);
        self.longest = (self.longest * 2).min(LONGEST);
        tokio::time::sleep(pause).await;
    }
}
