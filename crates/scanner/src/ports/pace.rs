//! How many probes overlap, and how long each may stay unanswered. Pure: told what happened, it says what to do.
//!
//! The window grows with every answer and is cut when an answer proves that a packet was lost: a probe whose answer took as long as
//! the kernel takes to repeat a SYN. Silence alone proves nothing, filtered ports are silent too; it lets the window grow
//! slowly, up to a modest bound, so that a host that answers nothing ends in bounded time.

use std::time::Duration;

/// Probes that overlap at first, and at the start of every later round.
const START: f64 = 64.0;
/// Cuts stop here.
const FLOOR: f64 = 8.0;
/// Silence lets the window grow up to here.
const SILENT_CEILING: f64 = 512.0;
/// When the kernel repeats a SYN (RFC 6298, 2.1).
const RETRANSMISSION: Duration = Duration::from_secs(1);
/// What an answer may take before any has come.
const UNKNOWN_ROUND_TRIP: Duration = Duration::from_millis(500);
/// Nothing is called silent sooner: hosts and schedulers hesitate.
const SHORTEST: Duration = Duration::from_millis(100);

/// One silent port among so many that answer was rather lost than filtered.
const SHARE_OF_LOSS: usize = 50;

/// The pace on one host.
#[derive(Debug)]
pub(super) struct Pace {
    window: f64,
    ceiling: f64,
    /// Answers until the window may be cut again: one loss episode counts once.
    until_cut: f64,
    /// No loss seen in this round: grow by one with every answer, which doubles the window in a round trip.
    slow_start: bool,
    round_trip: Option<RoundTrip>,
    attempts: u32,
    connect_timeout: Duration,
}

/// Smoothed round trip time and its variation (RFC 6298, 2.2 and 2.3), in seconds.
#[derive(Debug, Clone, Copy)]
struct RoundTrip {
    smoothed: f64,
    variation: f64,
}

impl Pace {
    /// At most `ceiling` probes at a time; `attempts` on a silent port, each at most `connect_timeout` long.
    pub(super) fn new(ceiling: usize, attempts: u32, connect_timeout: Duration) -> Pace {
        let ceiling = ceiling.max(1) as f64;
        Pace {
            window: START.min(ceiling),
            ceiling,
            until_cut: 0.0,
            slow_start: true,
            round_trip: None,
            attempts: attempts.max(1),
            connect_timeout,
        }
    }

    /// Probes that may overlap now; at least one.
    pub(super) fn window(&self) -> usize {
        self.window as usize
    }

    /// Is there a further round, number `round` from 1, over `silent` ports of a host where `answered` others answered? One more
    /// than the attempts that are allowed where so few are silent that it looks like loss and not like a filter.
    pub(super) fn allows_round(&self, round: u32, silent: usize, answered: usize) -> bool {
        let looks_like_loss = silent * SHARE_OF_LOSS <= answered;
        silent > 0 && round <= self.attempts + u32::from(looks_like_loss)
    }

    /// How long attempt number `attempt`, from 1, waits. The first is short, so that filtered ports cost little, and each is three
    /// times as long as the one before; the last leaves the kernel time to repeat the SYN within the attempt.
    pub(super) fn timeout(&self, attempt: u32) -> Duration {
        if attempt >= self.attempts {
            return self.connect_timeout;
        }
        let expected = self.round_trip.map_or(UNKNOWN_ROUND_TRIP, |trip| {
            Duration::from_secs_f64(trip.smoothed + 4.0 * trip.variation).max(SHORTEST)
        });
        let patience = 3_u32.saturating_pow(attempt.saturating_sub(1));
        expected.saturating_mul(patience).min(self.connect_timeout)
    }

    /// Another round over the silent ports begins, carefully: what was lost may have been lost to haste.
    pub(super) fn next_round(&mut self) {
        self.window = self.window.min(START);
        self.slow_start = true;
        self.until_cut = 0.0;
    }

    /// A port answered, open or closed.
    pub(super) fn answered(&mut self, took: Duration) {
        self.until_cut -= 1.0;
        let repeated = took >= RETRANSMISSION && self.round_trip.is_some_and(|trip| trip.smoothed < 0.5);
        if repeated {
            if self.until_cut <= 0.0 {
                self.cut();
            }
            return;
        }
        self.round_trip = Some(match self.round_trip {
            None => RoundTrip { smoothed: took.as_secs_f64(), variation: took.as_secs_f64() / 2.0 },
            Some(RoundTrip { smoothed, variation }) => {
                let took = took.as_secs_f64();
                RoundTrip {
                    variation: 0.75 * variation + 0.25 * (smoothed - took).abs(),
                    smoothed: 0.875 * smoothed + 0.125 * took,
                }
            }
        });
        let step = if self.slow_start { 1.0 } else { 1.0 / self.window };
        self.window = (self.window + step).min(self.ceiling);
    }

    /// A port did not answer in time.
    pub(super) fn silent(&mut self) {
        if self.window < SILENT_CEILING {
            self.window = (self.window + 0.125).min(self.ceiling);
        }
    }

    /// This machine, or the cap on connections, has no room for what the window asks.
    pub(super) fn no_room(&mut self) {
        self.window = (self.window / 2.0).max(1.0);
        self.slow_start = false;
    }

    fn cut(&mut self) {
        self.window = (self.window / 2.0).max(FLOOR).min(self.ceiling);
        self.slow_start = false;
        self.until_cut = self.window;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Duration = Duration::from_millis(20);

    fn pace() -> Pace {
        Pace::new(1_000, 3, Duration::from_millis(1_500))
    }

    #[test]
    fn answers_open_the_window_and_proven_loss_cuts_it_once_an_episode() {
        let mut pace = pace();
        for _ in 0..200 {
            pace.answered(TRIP);
        }
        assert_eq!(pace.window(), 264);
        for _ in 0..50 {
            pace.answered(Duration::from_millis(1_020));
        }
        assert_eq!(pace.window(), 132, "one episode, one cut");
        for _ in 0..10_000 {
            pace.answered(Duration::from_millis(1_020));
        }
        assert_eq!(pace.window(), 8, "never below the floor");
        for _ in 0..100_000 {
            pace.answered(TRIP);
        }
        assert!((400..500).contains(&pace.window()), "additive increase, got {}", pace.window());
    }

    #[test]
    fn the_window_stays_between_one_and_the_ceiling() {
        let mut small = Pace::new(3, 3, TRIP);
        for _ in 0..100 {
            small.answered(TRIP);
            small.silent();
        }
        assert_eq!(small.window(), 3);
        for _ in 0..100 {
            small.no_room();
        }
        assert_eq!(small.window(), 1);
    }

    #[test]
    fn silence_alone_neither_stops_nor_unleashes() {
        let mut pace = pace();
        for _ in 0..100_000 {
            pace.silent();
        }
        assert_eq!(pace.window(), 512);
        pace.next_round();
        assert_eq!(pace.window(), 64);
    }

    #[test]
    fn timeouts_follow_the_round_trip_and_grow_with_the_attempts() {
        let mut pace = pace();
        assert_eq!(pace.timeout(1), Duration::from_millis(500));
        for _ in 0..100 {
            pace.answered(TRIP);
        }
        assert_eq!(pace.timeout(1), Duration::from_millis(100));
        for _ in 0..100 {
            pace.answered(Duration::from_millis(300));
        }
        assert!(pace.timeout(1) >= Duration::from_millis(300));
        assert!(pace.timeout(2) >= Duration::from_millis(900));
        assert!(pace.timeout(3) > RETRANSMISSION, "the last attempt leaves time for a repeated SYN");
        let once = Pace::new(10, 1, Duration::from_millis(1_500));
        assert_eq!(once.timeout(1), Duration::from_millis(1_500));
    }

    #[test]
    fn few_silent_ports_among_many_that_answer_are_asked_once_more() {
        let pace = pace();
        assert!(pace.allows_round(1, 1_000, 0));
        assert!(pace.allows_round(3, 1_000, 0));
        assert!(!pace.allows_round(4, 1_000, 0), "a host that answers nothing");
        assert!(!pace.allows_round(4, 500, 500), "a filter");
        assert!(pace.allows_round(4, 20, 1_000), "loss");
        assert!(!pace.allows_round(5, 1, 1_000), "once");
        assert!(!pace.allows_round(2, 0, 1_000), "nothing is left to ask");
    }
}
