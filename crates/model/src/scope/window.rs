//! When a scope may be touched.

use jiff::{Timestamp, civil::Time, tz::Offset};
use serde::{Deserialize, Serialize};

/// Hours of every day, in a fixed offset from UTC. May pass midnight: 22:00 to 06:00.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DailyWindow {
    /// First minute.
    pub from: Time,
    /// First minute after.
    pub until: Time,
    /// Seconds east of UTC.
    pub utc_offset_seconds: i32,
}

impl DailyWindow {
    fn contains(&self, now: Timestamp) -> bool {
        let offset = Offset::from_seconds(self.utc_offset_seconds).unwrap_or(Offset::UTC);
        let time = offset.to_datetime(now).time();
        if self.from <= self.until {
            self.from <= time && time < self.until
        } else {
            time >= self.from || time < self.until
        }
    }
}

/// A period, and hours within it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeWindow {
    /// Not before.
    pub not_before: Option<Timestamp>,
    /// Not after.
    pub not_after: Option<Timestamp>,
    /// Only in these hours.
    pub daily: Option<DailyWindow>,
}

impl TimeWindow {
    /// No restriction.
    pub const ALWAYS: TimeWindow = TimeWindow { not_before: None, not_after: None, daily: None };

    /// The error says when it is open.
    pub fn permits(&self, now: Timestamp) -> Result<(), String> {
        match self {
            TimeWindow { not_before: Some(start), .. } if now < *start => Err(format!("it opens at {start}")),
            TimeWindow { not_after: Some(end), .. } if now >= *end => Err(format!("it ended at {end}")),
            TimeWindow { daily: Some(daily), .. } if !daily.contains(now) => {
                Err(format!("it is open daily {} to {}", daily.from, daily.until))
            }
            _ => Ok(()),
        }
    }

    /// A few words.
    pub fn describe(&self) -> String {
        let mut words = Vec::new();
        if let Some(start) = self.not_before {
            words.push(format!("from {start}"));
        }
        if let Some(end) = self.not_after {
            words.push(format!("until {end}"));
        }
        if let Some(daily) = &self.daily {
            let offset = Offset::from_seconds(daily.utc_offset_seconds).unwrap_or(Offset::UTC);
            words.push(format!("daily {} to {} (UTC{offset})", daily.from, daily.until));
        }
        if words.is_empty() { "at any time".to_owned() } else { words.join(", ") }
    }
}
