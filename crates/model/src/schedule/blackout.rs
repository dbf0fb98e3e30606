//! When nothing may start, and what becomes of a run that would.

use std::{fmt, str::FromStr};

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time, Weekday},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Zone;

/// A time in which nothing starts, on the clocks of the schedule's zone. Its first moment belongs to it, its last does not.
///
/// Written either as hours of days of the week, as in the opening hours of OpenStreetMap: `Mo-Fr 08:00-18:00`,
/// `Mo,We 22:00-06:00` (until the morning after), `Sa-Su` (whole days), `08:00-18:00` (every day); or as a range of dates:
/// `2026-12-24/2027-01-02` (the last day included), `2026-12-24`, `2026-12-24T18:00/2026-12-27T06:00`.
///
/// Of a time that clocks show twice both are covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Blackout(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// Until the day after if `until` is not later than `from`.
    Weekly {
        days: Weekdays,
        from: Time,
        until: Time,
    },
    Dates {
        from: DateTime,
        until: DateTime,
    },
}

/// What becomes of runs whose time lies in a blackout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DuringBlackout {
    /// One run for all of them, at its end.
    #[default]
    Postpone,
    /// They do not take place.
    Skip,
}

/// Why a text is no blackout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlackoutError {
    /// Neither form.
    #[error(
        "blackout `{0}` is not understood: write `Mo-Fr 08:00-18:00`, `Sa-Su`, `2026-12-24/2027-01-02` or `2026-12-24T18:00/2026-12-27T06:00`"
    )]
    Form(String),
    /// No such day.
    #[error("blackout `{text}`: `{day}` is no day of the week: write Mo, Tu, We, Th, Fr, Sa or Su")]
    Day {
        /// As written.
        text: String,
        /// The part that is wrong.
        day: String,
    },
    /// No such hours.
    #[error("blackout `{text}`: `{hours}` are no hours: write 08:00-18:00, or nothing for whole days")]
    Hours {
        /// As written.
        text: String,
        /// The part that is wrong.
        hours: String,
    },
    /// A range of nothing.
    #[error("blackout `{0}` ends before it begins: write the earlier date first")]
    Backwards(String),
}

/// Bit n: n days after Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Weekdays(u8);

const SHORT_NAMES: [&str; 7] = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"];
const NAMES: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

impl Weekdays {
    const ALL: Weekdays = Weekdays(0x7f);

    fn contains(self, weekday: Weekday) -> bool {
        self.0 >> weekday.to_monday_zero_offset() & 1 == 1
    }

    /// Lists of days and of ranges, which may pass Sunday. The error is the part that is none.
    fn parse(text: &str) -> Result<Weekdays, String> {
        let mut days = 0;
        for part in text.split(',') {
            let index = |name: &str| {
                let full = |weekday: &Weekday| format!("{weekday:?}").to_ascii_lowercase();
                let name = name.to_ascii_lowercase();
                NAMES
                    .iter()
                    .position(|weekday| {
                        let full = full(weekday);
                        name == full || name == full[..2] || name == full[..3]
                    })
                    .ok_or_else(|| part.to_owned())
            };
            let (from, until) = part.split_once('-').unwrap_or((part, part));
            let (from, until) = (index(from)?, index(until)?);
            let length = (until + 7 - from) % 7;
            days |= (0..=length).fold(0, |days, step| days | 1 << ((from + step) % 7));
        }
        Ok(Weekdays(days))
    }
}

impl fmt::Display for Weekdays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut day = 0;
        let mut parts = Vec::new();
        while day < 7 {
            let length = (self.0 >> day).trailing_ones() as usize;
            match length {
                0 => {}
                1 => parts.push(SHORT_NAMES[day].to_owned()),
                _ => parts.push(format!("{}-{}", SHORT_NAMES[day], SHORT_NAMES[day + length - 1])),
            }
            day += length + 1;
        }
        f.write_str(&parts.join(","))
    }
}

/// From its first moment to the first after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) begin: Timestamp,
    pub(super) end: Timestamp,
}

impl Blackout {
    /// Does it cover that moment?
    pub fn contains(&self, at: Timestamp, zone: &Zone) -> bool {
        self.window_at(at, zone).is_some()
    }

    /// The window that covers it.
    pub(super) fn window_at(&self, at: Timestamp, zone: &Zone) -> Option<Window> {
        // One that began yesterday may not have ended; where clocks were put back over midnight, tomorrow has begun before.
        self.windows(at, zone, -1, 1).into_iter().find(|window| window.begin <= at && at < window.end)
    }

    /// When the next window begins, if it does within a week.
    pub(super) fn next_begin(&self, after: Timestamp, zone: &Zone) -> Option<Timestamp> {
        let begins = self.windows(after, zone, -1, 8).into_iter().map(|window| window.begin);
        begins.filter(|begin| *begin > after).min()
    }

    /// Those that begin on days around that one, or all there are.
    fn windows(&self, around: Timestamp, zone: &Zone, first: i64, last: i64) -> Vec<Window> {
        let window = |from: DateTime, until: DateTime| {
            let (begin, end) = (zone.first(from)?, zone.last(until)?);
            // A day that no clock showed has no hours.
            (begin < end).then_some(Window { begin, end })
        };
        match self.0 {
            Kind::Dates { from, until } => window(from, until).into_iter().collect(),
            Kind::Weekly { days, from, until } => {
                let today = zone.clock(around).date();
                let day = |days: i64| today.checked_add(jiff::Span::new().try_days(days).ok()?).ok();
                (first..=last)
                    .filter_map(day)
                    .filter(|date| days.contains(date.weekday()))
                    .filter_map(|date| {
                        let end = if until <= from { date.tomorrow().ok()? } else { date };
                        window(date.to_datetime(from), end.to_datetime(until))
                    })
                    .collect()
            }
        }
    }
}

impl fmt::Display for Blackout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let midnight = Time::midnight();
        match self.0 {
            Kind::Weekly { days, from, until } if from == midnight && until == midnight => days.fmt(f),
            Kind::Weekly { days, from, until } => {
                let hour = |time: Time| {
                    if time.second() == 0 { time.strftime("%H:%M") } else { time.strftime("%H:%M:%S") }
                        .to_string()
                };
                let until = if until == midnight { "24:00".to_owned() } else { hour(until) };
                write!(f, "{days} {}-{until}", hour(from))
            }
            Kind::Dates { from, until } if from.time() == midnight && until.time() == midnight => {
                let last = until.date().yesterday().unwrap_or(until.date());
                if from.date() == last { write!(f, "{last}") } else { write!(f, "{}/{last}", from.date()) }
            }
            Kind::Dates { from, until } => write!(f, "{from}/{until}"),
        }
    }
}

impl FromStr for Blackout {
    type Err = BlackoutError;

    fn from_str(text: &str) -> Result<Blackout, BlackoutError> {
        let text = text.trim();
        // Two dashes are a date.
        if text.contains('/')
            || text.splitn(3, '-').count() == 3 && text.starts_with(|c: char| c.is_ascii_digit())
        {
            return dates(text).map(Blackout);
        }
        let (days, hours) = match text.split_once(char::is_whitespace) {
            Some((days, hours)) => (days, Some(hours.trim())),
            None if text.contains(':') => ("", Some(text)),
            None => (text, None),
        };
        let days = match days {
            "" if hours.is_some() => Weekdays::ALL,
            "" => return Err(BlackoutError::Form(text.to_owned())),
            days => Weekdays::parse(days).map_err(|day| BlackoutError::Day { text: text.to_owned(), day })?,
        };
        let (from, until) = match hours {
            None => (Time::midnight(), Time::midnight()),
            Some(hours) => hours_of_a_day(hours)
                .ok_or_else(|| BlackoutError::Hours { text: text.to_owned(), hours: hours.to_owned() })?,
        };
        Ok(Blackout(Kind::Weekly { days, from, until }))
    }
}

fn hours_of_a_day(text: &str) -> Option<(Time, Time)> {
    let (from, until) = text.split_once('-')?;
    let (from, until) = (time(from)?, if until == "24:00" { Time::midnight() } else { time(until)? });
    (from != until || from == Time::midnight()).then_some((from, until))
}

/// Hours and minutes, perhaps seconds: nothing else that a general parser would take, or take and leave out, such as an offset.
fn time(text: &str) -> Option<Time> {
    let plain = matches!(text.len(), 5 | 8) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    if plain { text.parse().ok() } else { None }
}

fn dates(text: &str) -> Result<Kind, BlackoutError> {
    let not_understood = || BlackoutError::Form(text.to_owned());
    let moment = |part: &str| -> Option<(Date, Option<Time>)> {
        let (date, clock) = match part.split_once(['T', ' ']) {
            Some((date, clock)) => (date, Some(time(clock)?)),
            None => (part, None),
        };
        let plain = date.len() == 10 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if plain { Some((date.parse().ok()?, clock)) } else { None }
    };
    let (from, until) = match text.split_once('/') {
        Some(both) => both,
        None if text.contains(':') => return Err(not_understood()),
        None => (text, text),
    };
    let (from, from_time) = moment(from.trim()).ok_or_else(not_understood)?;
    let (until, until_time) = moment(until.trim()).ok_or_else(not_understood)?;
    let from = from.to_datetime(from_time.unwrap_or(Time::midnight()));
    let until = match until_time {
        Some(time) => until.to_datetime(time),
        None => until.tomorrow().map_err(|_| not_understood())?.to_datetime(Time::midnight()),
    };
    if until <= from {
        Err(BlackoutError::Backwards(text.to_owned()))
    } else {
        Ok(Kind::Dates { from, until })
    }
}

super::written::text_form!(Blackout, BlackoutError);
