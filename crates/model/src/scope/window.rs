//! When a scope may be touched.

use jiff::{Timestamp, civil::Time, tz::Offset};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Hours of every day, in a fixed offset from UTC. May pass midnight: 22:00 to 06:00.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DailyWindow {
    /// First minute.
    #[schema(value_type = String, example = "22:00:00")]
    pub from: Time,
    /// First minute after.
    #[schema(value_type = String, example = "22:00:00")]
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

    /// The first moment within it that is not before this one.
    fn next(&self, from: Timestamp) -> Option<Timestamp> {
        if self.contains(from) {
            return Some(from);
        }
        let offset = Offset::from_seconds(self.utc_offset_seconds).unwrap_or(Offset::UTC);
        let today = offset.to_datetime(from).date();
        [Some(today), today.tomorrow().ok()].into_iter().flatten().find_map(|day| {
            let opens = offset.to_timestamp(day.to_datetime(self.from)).ok()?;
            (opens >= from && self.contains(opens)).then_some(opens)
        })
    }
}

/// A period, and hours within it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

    /// The first moment from now on at which it is open; none when it never is again.
    pub fn next_open(&self, now: Timestamp) -> Option<Timestamp> {
        let from = self.not_before.map_or(now, |start| start.max(now));
        let from = match &self.daily {
            Some(daily) => daily.next(from)?,
            None => from,
        };
        self.permits(from).is_ok().then_some(from)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_opening_is_found() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let daily = |from, until, hours: i32| DailyWindow {
            from: Time::constant(from, 0, 0, 0),
            until: Time::constant(until, 0, 0, 0),
            utc_offset_seconds: hours * 3_600,
        };
        let window = |not_before: Option<&str>, not_after: Option<&str>, daily| TimeWindow {
            not_before: not_before.map(at),
            not_after: not_after.map(at),
            daily,
        };
        let now = at("2026-03-04T12:00:00Z");
        for (window, opens) in [
            (TimeWindow::ALWAYS, Some("2026-03-04T12:00:00Z")),
            (window(Some("2026-03-05T01:00:00Z"), None, None), Some("2026-03-05T01:00:00Z")),
            (window(None, Some("2026-03-04T12:00:00Z"), None), None),
            (window(None, None, Some(daily(11, 13, 0))), Some("2026-03-04T12:00:00Z")),
            (window(None, None, Some(daily(22, 6, 0))), Some("2026-03-04T22:00:00Z")),
            (window(None, None, Some(daily(6, 12, 0))), Some("2026-03-05T06:00:00Z")),
            (window(None, None, Some(daily(6, 12, -2))), Some("2026-03-04T12:00:00Z")),
            (window(None, None, Some(daily(6, 9, 2))), Some("2026-03-05T04:00:00Z")),
            (window(None, Some("2026-03-04T20:00:00Z"), Some(daily(22, 6, 0))), None),
            (window(Some("2026-03-09T07:00:00Z"), None, Some(daily(22, 6, 0))), Some("2026-03-09T22:00:00Z")),
            (window(None, None, Some(daily(6, 6, 0))), None),
        ] {
            assert_eq!(window.next_open(now), opens.map(at), "{window:?}");
            if let Some(opens) = window.next_open(now) {
                assert_eq!(window.permits(opens), Ok(()), "{window:?}");
            }
        }
    }
}
