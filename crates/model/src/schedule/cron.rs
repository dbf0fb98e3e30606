//! Cron patterns of five fields, as crontab(5) of Vixie cron has them, with `L` and `#` for the last and the nth of a month.
//!
//! A pattern here is about the clock on the wall: what that means in a time zone is the business of [`super::Zone`].

use std::{fmt, str::FromStr};

use jiff::civil::{Date, DateTime, date};
use serde::{Deserialize, Serialize};

mod field;

use field::{Field, Item};

/// The longest wait is that for a fifth Friday in February over a year such as 2100 that is not a leap year: 40 years.
const YEARS_AHEAD: i16 = 41;

/// Minute, hour, day of the month, month and day of the week: `0 3 * * 1-5`.
///
/// - `*`, values, lists `1,15`, ranges `1-5`, steps `*/15` and `8-18/2`; names of months and weekdays in three letters, in any
///   case; 0 and 7 are Sunday.
/// - `L` is the last day of the month, `5L` or `FRIL` the last Friday of it, `MON#1` the first Monday.
/// - If both the day of the month and the day of the week are restricted, either suffices; a field that begins with `*` is not
///   restricted (crontab(5), Vixie cron).
/// - `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`, `@annually`.
///
/// A pattern that no date fits, such as the 30th of February, is refused when it is read: a scan that silently never runs
/// helps nobody.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Cron {
    text: String,
    /// Bit m: the minute m.
    minutes: u64,
    hours: u64,
    /// Bit d: the day d of any month.
    days: u64,
    last_day: bool,
    months: u64,
    /// Bit w: each such weekday, Sunday being 0.
    weekdays: u64,
    /// Bit 7 (n - 1) + w: the nth such weekday of the month.
    nth_weekdays: u64,
    /// Bit w: the last such weekday of the month.
    last_weekdays: u64,
    days_are_restricted: bool,
    weekdays_are_restricted: bool,
}

/// Why a text is no cron pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five of them.
    #[error(
        "cron pattern `{pattern}` has {count} fields: write the five of minute, hour, day of month, month and day of week, such as `0 3 * * 1-5`"
    )]
    Fields {
        /// As written.
        pattern: String,
        /// How many.
        count: usize,
    },
    /// An unknown `@` name.
    #[error(
        "cron pattern `{0}` is unknown: write @hourly, @daily, @weekly, @monthly, @yearly or the five fields"
    )]
    Nickname(String),
    /// One field.
    #[error("cron pattern `{pattern}`: {field} `{value}` {why}")]
    Field {
        /// As written.
        pattern: String,
        /// Which.
        field: &'static str,
        /// The part of it that is wrong.
        value: String,
        /// What is wrong, and what to write.
        why: String,
    },
    /// A date that no calendar has.
    #[error("cron pattern `{0}` fits no date of the calendar: change the day or the month")]
    Never(String),
}

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(written: &str) -> Result<Cron, CronError> {
        let fields: Vec<&str> = written.split_whitespace().collect();
        let text = fields.join(" ");
        let fields = match fields.as_slice() {
            [nickname] if nickname.starts_with('@') => {
                nickname_fields(nickname).ok_or_else(|| CronError::Nickname(text.clone()))?
            }
            &[minute, hour, day, month, weekday] => [minute, hour, day, month, weekday],
            other => return Err(CronError::Fields { pattern: text, count: other.len() }),
        };
        let cron = Cron::from_fields(&text, fields)?;
        // Whatever day one starts from: the search goes as far as the longest wait.
        match cron.next_after(date(2000, 1, 1).at(0, 0, 0, 0)) {
            Some(_) => Ok(cron),
            None => Err(CronError::Never(text)),
        }
    }
}

fn nickname_fields(nickname: &str) -> Option<[&'static str; 5]> {
    Some(match nickname.to_ascii_lowercase().as_str() {
        "@hourly" => ["0", "*", "*", "*", "*"],
        "@daily" | "@midnight" => ["0", "0", "*", "*", "*"],
        "@weekly" => ["0", "0", "*", "*", "0"],
        "@monthly" => ["0", "0", "1", "*", "*"],
        "@yearly" | "@annually" => ["0", "0", "1", "1", "*"],
        _ => return None,
    })
}

impl Cron {
    fn from_fields(text: &str, fields: [&str; 5]) -> Result<Cron, CronError> {
        let mut cron = Cron {
            text: text.to_owned(),
            minutes: 0,
            hours: 0,
            days: 0,
            last_day: false,
            months: 0,
            weekdays: 0,
            nth_weekdays: 0,
            last_weekdays: 0,
            days_are_restricted: !fields[2].starts_with('*'),
            weekdays_are_restricted: !fields[4].starts_with('*'),
        };
        for (field, written) in
            [Field::Minute, Field::Hour, Field::Day, Field::Month, Field::Weekday].into_iter().zip(fields)
        {
            for part in written.split(',') {
                let item = field.parse(part).map_err(|why| CronError::Field {
                    pattern: text.to_owned(),
                    field: field.name(),
                    value: part.to_owned(),
                    why,
                })?;
                cron.add(field, item);
            }
        }
        Ok(cron)
    }

    fn add(&mut self, field: Field, item: Item) {
        match item {
            Item::Values(values) => match field {
                Field::Minute => self.minutes |= values,
                Field::Hour => self.hours |= values,
                Field::Day => self.days |= values,
                Field::Month => self.months |= values,
                // Bit 7 is Sunday too.
                Field::Weekday => self.weekdays |= (values | values >> 7) & 0x7f,
            },
            Item::LastDay => self.last_day = true,
            Item::LastWeekday(weekday) => self.last_weekdays |= 1 << weekday,
            Item::NthWeekday(weekday, nth) => self.nth_weekdays |= 1 << (7 * (nth - 1) + weekday),
        }
    }

    /// Every hour of a day that fits: such a pattern tells how often something happens rather than at what time of day.
    pub(super) fn is_of_every_hour(&self) -> bool {
        self.hours == (1 << 24) - 1
    }

    /// Does the clock's time fit, up to the minute?
    pub(super) fn fits(&self, time: DateTime) -> bool {
        self.minutes >> time.minute() & 1 == 1
            && self.hours >> time.hour() & 1 == 1
            && self.days_of(time.date().first_of_month()) >> time.day() & 1 == 1
    }

    /// The first full minute after this that fits. None if none does within 41 years, or before the calendar's end.
    pub(super) fn next_after(&self, after: DateTime) -> Option<DateTime> {
        let last_year = after.year().saturating_add(YEARS_AHEAD);
        if let Some(time) = self.next_on(after.date(), after.hour(), after.minute() + 1) {
            return Some(time);
        }
        let mut month = after.date().first_of_month();
        let mut days_left = later_than(self.days_of(month), after.day());
        loop {
            if days_left != 0 {
                let day = i8::try_from(days_left.trailing_zeros()).ok()?;
                return self.next_on(Date::new(month.year(), month.month(), day).ok()?, 0, 0);
            }
            month = month.last_of_month().tomorrow().ok()?;
            if month.year() > last_year {
                return None;
            }
            days_left = self.days_of(month);
        }
    }

    /// The first time of that day that fits and is not before this; a minute of 60 is the next hour.
    fn next_on(&self, date: Date, hour: i8, minute: i8) -> Option<DateTime> {
        if self.days_of(date.first_of_month()) >> date.day() & 1 == 0 {
            return None;
        }
        let first = |bits: u64| (bits != 0).then(|| bits.trailing_zeros() as i8);
        let this_hour = self.hours >> hour & 1 == 1;
        let in_this_hour = first(later_than(self.minutes, minute - 1)).filter(|_| this_hour);
        let (hour, minute) = match in_this_hour {
            Some(minute) => (hour, minute),
            None => (first(later_than(self.hours, hour))?, first(self.minutes)?),
        };
        Some(date.at(hour, minute, 0, 0))
    }

    /// Bit d: the day d of that month fits.
    fn days_of(&self, first: Date) -> u64 {
        if self.months >> first.month() & 1 == 0 {
            return 0;
        }
        let length = first.days_in_month();
        let first_weekday = first.weekday().to_sunday_zero_offset();
        let (mut by_day, mut by_weekday) = (self.days, 0);
        if self.last_day {
            by_day |= 1 << length;
        }
        for day in 1..=length {
            let weekday = (first_weekday + day - 1) % 7;
            let nth = (day - 1) / 7;
            let fits = self.weekdays >> weekday & 1 == 1
                || self.nth_weekdays >> (7 * nth + weekday) & 1 == 1
                || (day + 7 > length && self.last_weekdays >> weekday & 1 == 1);
            by_weekday |= u64::from(fits) << day;
        }
        let within = (1 << (length + 1)) - 2;
        within
            & if self.days_are_restricted && self.weekdays_are_restricted {
                by_day | by_weekday
            } else {
                by_day & by_weekday
            }
    }
}

/// The bits above that one.
fn later_than(bits: u64, bit: i8) -> u64 {
    bits & (u64::MAX << (bit + 1))
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

super::written::text_form!(Cron, CronError);

#[cfg(test)]
mod tests;
