//! One line at the terminal that says how far the scan is.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use scanner::pipeline::Status;

use super::Engine;
use crate::cli::say;

/// Rates are taken over this many drawings.
const WINDOW: usize = 25;

/// Draws itself over itself.
pub(super) struct ProgressLine {
    engine: Arc<Engine>,
    status: Arc<Status>,
    started: Instant,
    drawn: bool,
    samples: VecDeque<(Instant, Sample)>,
    pub(super) findings: u64,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    sent: u64,
    done: u64,
}

impl ProgressLine {
    pub(super) fn new(engine: Arc<Engine>, status: Arc<Status>) -> ProgressLine {
        ProgressLine {
            engine,
            status,
            started: Instant::now(),
            drawn: false,
            samples: VecDeque::new(),
            findings: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        if self.drawn {
            say("\r\x1b[2K");
            self.drawn = false;
        }
    }

    pub(super) fn draw(&mut self) {
        let traffic = self.engine.dialer.counters().traffic();
        let sent = traffic.requests + traffic.probes + traffic.queries;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let done = read(&self.status.done);
        let left = read(&self.status.running) + read(&self.status.waiting);
        let now = Instant::now();
        self.samples.push_back((now, Sample { sent, done }));
        if self.samples.len() > WINDOW {
            self.samples.pop_front();
        }
        let text = line(self.started.elapsed(), done, left, self.findings, self.rates(now));
        let width = crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns));
        let shown: String = text.chars().take(width.saturating_sub(1)).collect();
        say(&format!("\r\x1b[2K{shown}"));
        self.drawn = true;
    }

    /// Sent a second, units done a second.
    fn rates(&self, now: Instant) -> (f64, f64) {
        let Some((then, first)) = self.samples.front() else { return (0.0, 0.0) };
        let Some((_, last)) = self.samples.back() else { return (0.0, 0.0) };
        let seconds = now.duration_since(*then).as_secs_f64();
        if seconds < 0.1 {
            return (0.0, 0.0);
        }
        ((last.sent - first.sent) as f64 / seconds, (last.done - first.done) as f64 / seconds)
    }
}

fn line(elapsed: Duration, done: u64, left: u64, findings: u64, (sent, units): (f64, f64)) -> String {
    let seconds = elapsed.as_secs();
    let clock = format!("{:02}:{:02}", seconds / 60, seconds % 60);
    let eta = if units > 0.0 && left > 0 {
        let seconds = (left as f64 / units).ceil() as u64;
        match seconds {
            0..=90 => format!(", about {seconds} s left"),
            91..=5_400 => format!(", about {} min left", seconds.div_ceil(60)),
            _ => format!(", about {} h left", seconds.div_ceil(3_600)),
        }
    } else {
        String::new()
    };
    format!("{clock}  {done} done, {left} known to be left{eta}  {sent:.0} sent/s  {findings} findings")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_it_is() {
        let text = line(Duration::from_secs(75), 10, 20, 3, (412.4, 0.5));
        assert_eq!(text, "01:15  10 done, 20 known to be left, about 40 s left  412 sent/s  3 findings");
        assert_eq!(
            line(Duration::ZERO, 0, 0, 0, (0.0, 0.0)),
            "00:00  0 done, 0 known to be left  0 sent/s  0 findings"
        );
    }
}
