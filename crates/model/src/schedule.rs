//! When a recurring scan runs: what somebody wrote, the times that follow from it, and what is to start now.
//!
//! # Times
//!
//! A schedule has planned times: those of its rhythm, moved or removed by its blackouts. They depend on nothing but the schedule,
//! so that whoever asks, and however often, gets the same ones.
//!
//! - `every` counts elapsed time from `starts`, or from 1970-01-01T00:00Z; clocks and zones do not matter.
//! - `cron` is about the clocks of the zone. When they are put forward, what they pass over runs once, in that moment. When they are
//!   put back, a time that comes twice runs the first time. Only a pattern of every hour (`*/15 * * * *`, `@hourly`) says how often
//!   rather than when: it goes on through the repeated hour (so does Vixie cron, cron(8)).
//!
//! # Starts
//!
//! A run starts at its planned time plus a part of the jitter that follows from the caller's seed and the time. It stays before
//! the next planned time, the next blackout and the end of the schedule.

use std::{fmt, str::FromStr, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod blackout;
mod cron;
mod due;
mod interval;
mod written;
mod zone;

pub use blackout::{Blackout, BlackoutError, DuringBlackout};
pub use cron::{Cron, CronError};
pub use due::{Due, Progress};
pub use interval::{Interval, IntervalError, LengthError};
pub use written::ScheduleError;
pub use zone::{MomentError, Zone, ZoneError};

use blackout::Window;
use interval::Length;

/// Blackouts in a row, without a free time of the rhythm between them, after which the search for one is given up.
const MOST_IN_A_ROW: usize = 1_000;

/// When something is run again and again.
///
/// Written with the keys `cron` or `every`, `zone`, `jitter`, `blackouts`, `during_blackout`, `catch_up`, `overlap`, `starts` and
/// `ends`; all but the first may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "written::Written", try_from = "written::Written")]
pub struct Schedule {
    /// How often, or at what times.
    pub rhythm: Rhythm,
    /// Whose clocks `cron` and `blackouts` are about.
    pub zone: Zone,
    /// A run starts less than this after its planned time.
    pub jitter: Duration,
    /// When nothing starts.
    pub blackouts: Vec<Blackout>,
    /// What becomes of runs that would.
    pub during_blackout: DuringBlackout,
    /// What becomes of runs that nobody was there to start.
    pub catch_up: CatchUp,
    /// What becomes of runs while the one before still runs.
    pub overlap: Overlap,
    /// Nothing is planned before; `every` counts from here.
    pub starts: Option<Timestamp>,
    /// From then on nothing starts.
    pub ends: Option<Timestamp>,
}

/// What times come of themselves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Rhythm {
    /// Times on the clock.
    Cron(Cron),
    /// Elapsed time.
    Every(Interval),
}

/// What becomes of runs that could not be started in time: nobody was there, or asked too rarely.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum CatchUp {
    /// Only the last one starts, and not if it is later than that: `skip after 10m`.
    Skip {
        /// How late a run may be.
        grace: Duration,
    },
    /// One starts for all of them, however late: `once`.
    #[default]
    Once,
    /// So many of them start, the last ones: `all up to 5`.
    All {
        /// From 1 to [`CatchUp::MOST`].
        at_most: u32,
    },
}

impl CatchUp {
    /// What is caught up with at once, whatever a schedule says.
    pub const MOST: u32 = 100;
}

/// What becomes of a run whose time comes while the one before still runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It does not take place.
    #[default]
    Skip,
    /// It waits; of several the last.
    Queue,
}

/// A text that is no way of catching up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "catch-up `{0}` is unknown: write `once`, `skip after 10m`, or `all up to 5` with a number from 1 to {most}",
    most = CatchUp::MOST
)]
pub struct CatchUpError(String);

impl fmt::Display for CatchUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CatchUp::Skip { grace } => write!(f, "skip after {}", Length(*grace)),
            CatchUp::Once => f.write_str("once"),
            CatchUp::All { at_most } => write!(f, "all up to {at_most}"),
        }
    }
}

impl FromStr for CatchUp {
    type Err = CatchUpError;

    fn from_str(text: &str) -> Result<CatchUp, CatchUpError> {
        let unknown = || CatchUpError(text.to_owned());
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["once"] => Ok(CatchUp::Once),
            ["skip", "after", grace] => {
                let grace = grace.parse::<Length>().map_err(|_| unknown())?.0;
                Ok(CatchUp::Skip { grace })
            }
            ["all", "up", "to", number] => {
                let number = number.parse().ok().filter(|number| (1..=CatchUp::MOST).contains(number));
                Ok(CatchUp::All { at_most: number.ok_or_else(unknown)? })
            }
            _ => Err(unknown()),
        }
    }
}

written::text_form!(CatchUp, CatchUpError);

impl Schedule {
    /// With nothing but a rhythm: in UTC, without jitter, blackouts and bounds, catching up once, skipping what overlaps.
    pub fn new(rhythm: Rhythm) -> Schedule {
        Schedule {
            rhythm,
            zone: Zone::default(),
            jitter: Duration::ZERO,
            blackouts: Vec::new(),
            during_blackout: DuringBlackout::default(),
            catch_up: CatchUp::default(),
            overlap: Overlap::default(),
            starts: None,
            ends: None,
        }
    }

    /// The first planned time after this. None if there is none any more: the schedule ends, the calendar does, or blackouts
    /// leave no time free (then no more than 1,000 of them are looked at).
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let mut from = after;
        // What was postponed to the end of this blackout may have come at any time since it began.
        if self.during_blackout == DuringBlackout::Postpone
            && let Some(begin) = self.blackout_begin(after)
        {
            from = just_before(begin)?;
        }
        for _ in 0..MOST_IN_A_ROW {
            let nominal = self.next_of_rhythm(from)?;
            if self.has_ended(nominal) {
                return None;
            }
            let planned = match (self.blackout_end(nominal), self.during_blackout) {
                (None, _) => nominal,
                (Some(end), DuringBlackout::Postpone) => end,
                (Some(end), DuringBlackout::Skip) => {
                    from = just_before(end)?;
                    continue;
                }
            };
            return (!self.has_ended(planned) && planned < Timestamp::MAX).then_some(planned);
        }
        None
    }

    /// When the run of a planned time starts. `seed` is the schedule's own, such as the bits of its id: with the same one everybody
    /// gets the same.
    pub fn start_of(&self, planned: Timestamp, seed: u64) -> Timestamp {
        let jittered = planned.saturating_add(self.jitter).unwrap_or(Timestamp::MAX);
        if jittered <= planned {
            return planned;
        }
        let begins = self.blackouts.iter().filter_map(|blackout| blackout.next_begin(planned, &self.zone));
        let bounds = begins.chain(self.next_after(planned)).chain(self.ends);
        let bound = bounds.fold(jittered, Timestamp::min);
        // Whole seconds read better; less than one is not worth it.
        let room = bound.as_second().saturating_sub(planned.as_second()).try_into().unwrap_or(0_u64);
        let share = u128::from(mixed(seed ^ mixed(planned.as_second().cast_unsigned()))) * u128::from(room);
        let start = planned.saturating_add(Duration::from_secs((share >> 64) as u64)).unwrap_or(planned);
        // A blackout whose beginning was too far away to be seen.
        if start < bound && !self.is_blacked_out(start) { start } else { planned }
    }

    /// Is that moment in a blackout?
    pub fn is_blacked_out(&self, at: Timestamp) -> bool {
        self.blackouts.iter().any(|blackout| blackout.contains(at, &self.zone))
    }

    fn has_ended(&self, at: Timestamp) -> bool {
        self.ends.is_some_and(|ends| at >= ends)
    }

    fn next_of_rhythm(&self, after: Timestamp) -> Option<Timestamp> {
        let after = match self.starts {
            Some(starts) if after < starts => just_before(starts)?,
            _ => after,
        };
        match &self.rhythm {
            Rhythm::Cron(cron) => self.zone.next(cron, after),
            Rhythm::Every(interval) => interval.next(self.starts.unwrap_or(Timestamp::UNIX_EPOCH), after),
        }
    }

    /// When the blackout ends that covers this moment; those that leave nothing free between them are one. The end of time if it
    /// never does, for all one can tell.
    fn blackout_end(&self, at: Timestamp) -> Option<Timestamp> {
        let mut end = self.windows_at(at).map(|window| window.end).max()?;
        for _ in 0..MOST_IN_A_ROW {
            match self.windows_at(end).map(|window| window.end).max() {
                Some(later) => end = later,
                None => return Some(end),
            }
        }
        Some(Timestamp::MAX)
    }

    /// When it began.
    fn blackout_begin(&self, at: Timestamp) -> Option<Timestamp> {
        let begin_at = |at| self.windows_at(at).map(|window| window.begin).min();
        let mut begin = begin_at(at)?;
        for _ in 0..MOST_IN_A_ROW {
            match just_before(begin).and_then(begin_at) {
                Some(earlier) => begin = earlier,
                None => break,
            }
        }
        Some(begin)
    }

    fn windows_at(&self, at: Timestamp) -> impl Iterator<Item = Window> {
        self.blackouts.iter().filter_map(move |blackout| blackout.window_at(at, &self.zone))
    }
}

fn just_before(at: Timestamp) -> Option<Timestamp> {
    Timestamp::from_nanosecond(at.as_nanosecond() - 1).ok()
}

/// The output function of SplitMix64: near values become unrelated ones (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
/// Generators", 2014).
fn mixed(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests;
