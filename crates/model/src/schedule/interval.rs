//! Lengths of time as people write them, and a rhythm that is one.

use std::{fmt, str::FromStr, time::Duration};

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde::{Deserialize, Serialize};

/// How often, by elapsed time: `6h`, `90m`, `1d12h`. At least a minute; a day is 24 hours and a week 7 days, whatever clocks do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Interval(Duration);

/// Why a text is no interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntervalError {
    /// Not a length of time.
    #[error(transparent)]
    Length(#[from] LengthError),
    /// Nobody scans that often.
    #[error("interval {} is too short: write at least {}", Length(*.0), Length(Interval::SHORTEST))]
    Short(Duration),
}

/// A text that tells no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no length of time: write it with units from weeks to seconds, such as 90s, 10m, 6h, 1d12h or 2w"
)]
pub struct LengthError(String);

impl Interval {
    /// More often than that is not a schedule but a loop.
    pub const SHORTEST: Duration = Duration::from_secs(60);

    /// Not less than [`Interval::SHORTEST`].
    pub fn new(length: Duration) -> Result<Interval, IntervalError> {
        if length < Interval::SHORTEST { Err(IntervalError::Short(length)) } else { Ok(Interval(length)) }
    }

    /// The time between two runs.
    pub fn length(self) -> Duration {
        self.0
    }

    /// The first of all times that are whole intervals from the anchor, before or after it.
    pub(super) fn next(self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        let length = i128::try_from(self.0.as_nanos()).ok()?;
        let passed = (after.as_nanosecond() - anchor.as_nanosecond()).div_euclid(length);
        let next = (passed + 1).checked_mul(length)?.checked_add(anchor.as_nanosecond())?;
        Timestamp::from_nanosecond(next).ok()
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Length(self.0).fmt(f)
    }
}

impl FromStr for Interval {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Interval, IntervalError> {
        Interval::new(text.parse::<Length>()?.0)
    }
}

super::written::text_form!(Interval, IntervalError);

/// A length of time and how it is written; it reads back as the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) struct Length(pub(super) Duration);

const DAY: u64 = 24 * 60 * 60;

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        for (unit, count) in [
            ("d", seconds / DAY),
            ("h", seconds % DAY / 3600),
            ("m", seconds % 3600 / 60),
            ("s", seconds % 60),
        ] {
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        match self.0.subsec_nanos() {
            0 if seconds == 0 => f.write_str("0s"),
            0 => Ok(()),
            nanos => write!(f, "{nanos}ns"),
        }
    }
}

impl FromStr for Length {
    type Err = LengthError;

    fn from_str(text: &str) -> Result<Length, LengthError> {
        let length = |text: &str| -> Option<Duration> {
            let span: Span = text.parse().ok()?;
            let length: SignedDuration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
            Duration::try_from(length).ok()
        };
        length(text).map(Length).ok_or_else(|| LengthError(text.to_owned()))
    }
}

super::written::text_form!(Length, LengthError);
