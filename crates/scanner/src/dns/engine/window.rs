//! How many queries may be under way at a name server, and how long to wait for it. Pure: time comes in.

use std::time::{Duration, Instant};

const FIRST: usize = 64;
const LEAST: usize = 32;
const MOST: usize = 4_096;
/// Below this share of unanswered queries the loss is somebody else's: a dead server behind a resolver, a bad line.
const BEARABLE_LOSS: f64 = 0.1;
/// How much faster answers must come from half as much more under way: less is chance, or only a longer queue.
const GAIN: f64 = 1.25;
const SHORTEST_ROUND: Duration = Duration::from_millis(8);
/// Rounds between two attempts to grow past a window that has served best.
const PATIENCE: u32 = 24;

/// Searches for the window with the highest rate of answers: it grows as long as that makes answers come faster, and halves
/// when the server loses much. More under way than a server works on only fills its queue until that overflows.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    best: usize,
    best_rate: f64,
    rounds_to_wait: u32,
    round: Round,
}

#[derive(Debug)]
struct Round {
    begin: Instant,
    answered: u32,
    lost: u32,
    /// The window was used up at some time in the round: only then its size says something.
    filled: bool,
}

impl Round {
    fn new(begin: Instant) -> Round {
        Round { begin, answered: 0, lost: 0, filled: false }
    }
}

impl Window {
    pub(super) fn new(now: Instant) -> Window {
        Window { size: FIRST, best: FIRST, best_rate: 0.0, rounds_to_wait: 0, round: Round::new(now) }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn filled(&mut self) {
        self.round.filled = true;
    }

    pub(super) fn answered(&mut self, now: Instant, round_trip: Duration) {
        self.round.answered += 1;
        self.turn(now, round_trip);
    }

    pub(super) fn lost(&mut self, now: Instant, round_trip: Duration) {
        self.round.lost += 1;
        self.turn(now, round_trip);
    }

    /// A round is long enough for its rate to mean something: several windows of answers, several round trips.
    fn turn(&mut self, now: Instant, round_trip: Duration) {
        let elapsed = now.saturating_duration_since(self.round.begin);
        let events = self.round.answered + self.round.lost;
        if (events as usize) < 4 * self.size || elapsed < (round_trip * 3).max(SHORTEST_ROUND) {
            return;
        }
        let Round { answered, lost, filled, .. } = std::mem::replace(&mut self.round, Round::new(now));
        let loss = f64::from(lost) / f64::from(events);
        let rate = f64::from(answered) / elapsed.as_secs_f64();
        if loss > BEARABLE_LOSS {
            self.size = (self.size / 2).max(LEAST);
            (self.best, self.best_rate, self.rounds_to_wait) = (self.size, 0.0, PATIENCE);
            return;
        }
        if !filled {
            return;
        }
        if rate > self.best_rate * GAIN {
            (self.best, self.best_rate) = (self.size, rate);
        } else if self.size > self.best {
            self.size = self.best;
            self.rounds_to_wait = PATIENCE;
            return;
        }
        if self.rounds_to_wait > 0 {
            self.rounds_to_wait -= 1;
            return;
        }
        // What was best a while ago need not be so now.
        self.best_rate = self.best_rate.min(rate);
        self.size = (self.size + self.size / 2).min(MOST);
    }
}

/// The usual estimate (RFC 6298), with a floor for what a resolver must ask elsewhere first.
#[derive(Debug, Default)]
pub(super) struct RoundTrip {
    smoothed: Option<Duration>,
    variation: Duration,
}

const UNKNOWN: Duration = Duration::from_millis(1_000);
const SHORTEST_WAIT: Duration = Duration::from_millis(150);
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(4_000);

impl RoundTrip {
    pub(super) fn sample(&mut self, took: Duration) {
        match self.smoothed {
            None => (self.smoothed, self.variation) = (Some(took), took / 2),
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(took)) / 4;
                self.smoothed = Some((smoothed * 7 + took) / 8);
            }
        }
    }

    pub(super) fn smoothed(&self) -> Duration {
        self.smoothed.unwrap_or(UNKNOWN)
    }

    /// How long to wait for the answer to an attempt, counted from zero: longer each time.
    pub(super) fn wait(&self, attempt: u32) -> Duration {
        let first =
            self.smoothed.map_or(UNKNOWN, |smoothed| (smoothed + self.variation * 4).max(SHORTEST_WAIT));
        (first * (1 + attempt.min(63))).min(LONGEST_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that works on `capacity` queries at a time, `trip` each, and drops what exceeds `queue`.
    fn settle(capacity: usize, queue: usize, trip: Duration) -> usize {
        let mut now = Instant::now();
        let mut window = Window::new(now);
        for _ in 0..4_000 {
            let size = window.size();
            window.filled();
            let taken = size.min(queue);
            let batches = u32::try_from(taken.div_ceil(capacity)).unwrap();
            now += trip * batches;
            for _ in 0..taken {
                window.answered(now, trip * batches);
            }
            for _ in taken..size {
                window.lost(now, trip * batches);
            }
        }
        window.size()
    }

    #[test]
    fn the_window_grows_to_what_the_server_can_use() {
        let near = settle(16, 250, Duration::from_micros(150));
        assert!((LEAST..=250).contains(&near), "{near} under way at a near server with a queue of 250");
        let far = settle(2_000, 4_000, Duration::from_millis(80));
        assert!(
            (1_000..=4_000).contains(&far),
            "{far} under way at a far server that works on 2000 at a time"
        );
    }

    #[test]
    fn loss_halves_the_window_down_to_a_floor() {
        let (mut now, trip) = (Instant::now(), Duration::from_millis(1));
        let mut window = Window::new(now);
        for _ in 0..10_000 {
            now += trip;
            window.lost(now, trip);
        }
        assert_eq!(window.size(), LEAST);
    }

    #[test]
    fn waits_grow_between_a_floor_and_a_ceiling() {
        let mut trip = RoundTrip::default();
        assert_eq!(trip.wait(0), UNKNOWN);
        for _ in 0..50 {
            trip.sample(Duration::from_millis(1));
        }
        assert_eq!(trip.wait(0), SHORTEST_WAIT);
        assert_eq!(trip.wait(1), SHORTEST_WAIT * 2);
        assert_eq!(trip.wait(30), LONGEST_WAIT);
        for _ in 0..50 {
            trip.sample(Duration::from_millis(900));
        }
        assert!(trip.wait(0) >= Duration::from_millis(900));
    }
}
