//! Go's layouts of dates: an example date, `Mon Jan 2 15:04:05 MST 2006`, says how a date is written
//! (<https://pkg.go.dev/time#pkg-constants>).

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

/// What is tried for a date without a layout.
pub(super) const DEFAULTS: [&str; 7] = [
    "2006-01-02T15:04:05Z07:00",
    "2006-01-02 15:04:05 Z07:00",
    "2006-01-02 15:04:05",
    "2006-01-02 15:04 Z07:00",
    "2006-01-02 15:04",
    "2006-01-02 Z07:00",
    "2006-01-02",
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    MonthName {
        long: bool,
    },
    DayName {
        long: bool,
    },
    Month(Width),
    Day(Width),
    DayOfYear(Width),
    Hour24,
    Hour12(Width),
    Minute(Width),
    Second(Width),
    Year {
        long: bool,
    },
    HalfDay {
        upper: bool,
    },
    /// A name such as `UTC`.
    Zone,
    /// An offset; `Z` stands for zero where `zulu`.
    Offset {
        zulu: bool,
        colon: bool,
        minutes: bool,
    },
    /// Fractions of a second after a dot or comma; trailing zeros are left out where `trimmed`.
    Fraction {
        separator: char,
        digits: usize,
        trimmed: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Width {
    Short,
    Zeros,
    Blanks,
}

/// Longest first where one starts with another.
const PLACEHOLDERS: &[(&str, Field)] = &[
    ("January", Field::MonthName { long: true }),
    ("Jan", Field::MonthName { long: false }),
    ("Monday", Field::DayName { long: true }),
    ("Mon", Field::DayName { long: false }),
    ("MST", Field::Zone),
    ("2006", Field::Year { long: true }),
    ("_2006", Field::Year { long: true }),
    ("__2", Field::DayOfYear(Width::Blanks)),
    ("002", Field::DayOfYear(Width::Zeros)),
    ("01", Field::Month(Width::Zeros)),
    ("02", Field::Day(Width::Zeros)),
    ("03", Field::Hour12(Width::Zeros)),
    ("04", Field::Minute(Width::Zeros)),
    ("05", Field::Second(Width::Zeros)),
    ("06", Field::Year { long: false }),
    ("_2", Field::Day(Width::Blanks)),
    ("15", Field::Hour24),
    ("PM", Field::HalfDay { upper: true }),
    ("pm", Field::HalfDay { upper: false }),
    ("Z07:00", Field::Offset { zulu: true, colon: true, minutes: true }),
    ("Z0700", Field::Offset { zulu: true, colon: false, minutes: true }),
    ("Z07", Field::Offset { zulu: true, colon: false, minutes: false }),
    ("-07:00", Field::Offset { zulu: false, colon: true, minutes: true }),
    ("-0700", Field::Offset { zulu: false, colon: false, minutes: true }),
    ("-07", Field::Offset { zulu: false, colon: false, minutes: false }),
    ("1", Field::Month(Width::Short)),
    ("2", Field::Day(Width::Short)),
    ("3", Field::Hour12(Width::Short)),
    ("4", Field::Minute(Width::Short)),
    ("5", Field::Second(Width::Short)),
];

#[derive(Debug, PartialEq)]
enum Part<'l> {
    Literal(&'l str),
    Field(Field),
}

/// A parsed layout.
#[derive(Debug, PartialEq)]
pub(super) struct Layout<'l>(Vec<Part<'l>>);

impl<'l> Layout<'l> {
    pub(super) fn parse(layout: &'l str) -> Layout<'l> {
        let mut parts = Vec::new();
        let mut literal = 0;
        let mut at = 0;
        while at < layout.len() {
            let rest = &layout[at..];
            match field_at(rest) {
                Some((length, field)) => {
                    // `_2006` is an underscore and a year.
                    let skip = usize::from(rest.starts_with("_2006"));
                    if literal < at + skip {
                        parts.push(Part::Literal(&layout[literal..at + skip]));
                    }
                    parts.push(Part::Field(field));
                    at += length;
                    literal = at;
                }
                None => at += rest.chars().next().map_or(1, char::len_utf8),
            }
        }
        if literal < layout.len() {
            parts.push(Part::Literal(&layout[literal..]));
        }
        Layout(parts)
    }

    /// A date in UTC, written in this layout.
    pub(super) fn write(&self, at: DateTime) -> String {
        let mut written = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => written.push_str(text),
                Part::Field(field) => written.push_str(&field.write(at)),
            }
        }
        written
    }

    /// The instant that a text in this layout names; without an offset it is in UTC.
    pub(super) fn read(&self, text: &str) -> Option<Timestamp> {
        let mut read = Read::default();
        let mut rest = text;
        for (position, part) in self.0.iter().enumerate() {
            rest = match part {
                Part::Literal(literal) => rest.strip_prefix(literal)?,
                Part::Field(field) => read.field(*field, rest)?,
            };
            // Fractions may follow the seconds even where the layout has none.
            let fraction_follows =
                matches!(self.0.get(position + 1), Some(Part::Field(Field::Fraction { .. })));
            if matches!(part, Part::Field(Field::Second(_))) && !fraction_follows {
                rest = skip_fraction(rest);
            }
        }
        if rest.is_empty() { read.instant() } else { None }
    }
}

fn field_at(text: &str) -> Option<(usize, Field)> {
    let follows = |length: usize| text.as_bytes().get(length).copied().unwrap_or_default();
    let found = PLACEHOLDERS.iter().find(|(placeholder, field)| {
        text.starts_with(placeholder)
            // `Month` and `Janet` are words, not fields.
            && !(matches!(field, Field::MonthName { long: false } | Field::DayName { long: false })
                && follows(placeholder.len()).is_ascii_lowercase())
    });
    if let Some((placeholder, field)) = found {
        return Some((placeholder.len(), *field));
    }
    let separator = text.chars().next().filter(|character| matches!(character, '.' | ','))?;
    let repeated = follows(1);
    if !matches!(repeated, b'0' | b'9') {
        return None;
    }
    let digits = text.bytes().skip(1).take_while(|byte| *byte == repeated).count();
    if follows(1 + digits).is_ascii_digit() || digits > 9 {
        return None;
    }
    Some((1 + digits, Field::Fraction { separator, digits, trimmed: repeated == b'9' }))
}

fn wide(number: i16, digits: usize, width: Width) -> String {
    match width {
        Width::Short => number.to_string(),
        Width::Zeros => format!("{number:0digits$}"),
        Width::Blanks => format!("{number:digits$}"),
    }
}

impl Field {
    fn write(self, at: DateTime) -> String {
        let month = MONTHS[usize::from(at.month().unsigned_abs()).clamp(1, 12) - 1];
        let day = DAYS[usize::from(at.weekday().to_monday_zero_offset().unsigned_abs()).min(6)];
        let hour12 = i16::from((at.hour() + 11) % 12 + 1);
        match self {
            Field::MonthName { long } => if long { month } else { &month[..3] }.to_owned(),
            Field::DayName { long } => if long { day } else { &day[..3] }.to_owned(),
            Field::Month(width) => wide(at.month().into(), 2, width),
            Field::Day(width) => wide(at.day().into(), 2, width),
            Field::DayOfYear(width) => wide(at.day_of_year(), 3, width),
            Field::Hour24 => wide(at.hour().into(), 2, Width::Zeros),
            Field::Hour12(width) => wide(hour12, 2, width),
            Field::Minute(width) => wide(at.minute().into(), 2, width),
            Field::Second(width) => wide(at.second().into(), 2, width),
            Field::Year { long: true } => wide(at.year(), 4, Width::Zeros),
            Field::Year { long: false } => wide(at.year().rem_euclid(100), 2, Width::Zeros),
            Field::HalfDay { upper } => match (upper, at.hour() >= 12) {
                (true, true) => "PM",
                (true, false) => "AM",
                (false, true) => "pm",
                (false, false) => "am",
            }
            .to_owned(),
            Field::Zone => "UTC".to_owned(),
            Field::Offset { zulu: true, .. } => "Z".to_owned(),
            Field::Offset { minutes: false, .. } => "+00".to_owned(),
            Field::Offset { colon: true, .. } => "+00:00".to_owned(),
            Field::Offset { .. } => "+0000".to_owned(),
            Field::Fraction { separator, digits, trimmed } => {
                let nanoseconds = format!("{:09}", at.subsec_nanosecond());
                let shown = &nanoseconds[..digits];
                let shown = if trimmed { shown.trim_end_matches('0') } else { shown };
                if shown.is_empty() { String::new() } else { format!("{separator}{shown}") }
            }
        }
    }
}

/// What has been read of a date.
struct Read {
    year: i16,
    month: i8,
    day: i8,
    day_of_year: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    afternoon: Option<bool>,
    offset_seconds: i32,
}

impl Default for Read {
    fn default() -> Self {
        Read {
            year: 0,
            month: 1,
            day: 1,
            day_of_year: None,
            hour: 0,
            minute: 0,
            second: 0,
            afternoon: None,
            offset_seconds: 0,
        }
    }
}

impl Read {
    /// Reads a field from the start of `text`; gives what follows it.
    fn field<'t>(&mut self, field: Field, text: &'t str) -> Option<&'t str> {
        let two = |width: Width| match width {
            Width::Short => digits(text, 1, 2),
            Width::Zeros => digits(text, 2, 2),
            Width::Blanks => digits(text.trim_start_matches(' '), 1, 2),
        };
        match field {
            Field::MonthName { long } => {
                let (month, rest) = name(text, &MONTHS, long)?;
                self.month = i8::try_from(month + 1).ok()?;
                Some(rest)
            }
            Field::DayName { long } => name(text, &DAYS, long).map(|(_, rest)| rest),
            Field::Month(width) => store(&mut self.month, two(width)?),
            Field::Day(width) => store(&mut self.day, two(width)?),
            Field::DayOfYear(width) => {
                let text = if width == Width::Blanks { text.trim_start_matches(' ') } else { text };
                let (number, rest) = digits(text, if width == Width::Zeros { 3 } else { 1 }, 3)?;
                self.day_of_year = i16::try_from(number).ok();
                Some(rest)
            }
            Field::Hour24 => store(&mut self.hour, digits(text, 2, 2)?),
            Field::Hour12(width) => store(&mut self.hour, two(width)?),
            Field::Minute(width) => store(&mut self.minute, two(width)?),
            Field::Second(width) => store(&mut self.second, two(width)?),
            Field::Year { long: true } => {
                let (year, rest) = digits(text, 4, 4)?;
                self.year = i16::try_from(year).ok()?;
                Some(rest)
            }
            Field::Year { long: false } => {
                let (year, rest) = digits(text, 2, 2)?;
                // Go's window: 69 is 1969 and 68 is 2068.
                self.year = i16::try_from(if year >= 69 { 1900 + year } else { 2000 + year }).ok()?;
                Some(rest)
            }
            Field::HalfDay { upper } => {
                let half = text.get(..2)?;
                let (before, after) = if upper { ("AM", "PM") } else { ("am", "pm") };
                self.afternoon = Some(half == after);
                (half == before || half == after).then(|| &text[2..])
            }
            // Other names say nothing reliable: Go, too, takes them for an offset of zero.
            Field::Zone => {
                let length = text.bytes().take_while(u8::is_ascii_uppercase).count();
                (3..=5).contains(&length).then(|| &text[length..])
            }
            Field::Offset { zulu, colon, minutes } => self.offset(text, zulu, colon, minutes),
            Field::Fraction { separator, .. } => Some(match text.strip_prefix(separator) {
                Some(rest) => rest.trim_start_matches(|character: char| character.is_ascii_digit()),
                None => text,
            }),
        }
    }

    fn offset<'t>(&mut self, text: &'t str, zulu: bool, colon: bool, minutes: bool) -> Option<&'t str> {
        if let Some(rest) = text.strip_prefix('Z').filter(|_| zulu) {
            return Some(rest);
        }
        let sign = match text.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        let (hour, mut rest) = digits(&text[1..], 2, 2)?;
        let mut minute = 0;
        if minutes {
            if colon {
                rest = rest.strip_prefix(':')?;
            }
            (minute, rest) = digits(rest, 2, 2)?;
        }
        self.offset_seconds = sign * i32::try_from(hour * 3600 + minute * 60).ok()?;
        (hour <= 24 && minute < 60).then_some(rest)
    }

    fn instant(&self) -> Option<Timestamp> {
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let date = match self.day_of_year {
            Some(day) => Date::new(self.year, 1, 1).ok()?.with().day_of_year(day).build().ok()?,
            None => Date::new(self.year, self.month, self.day).ok()?,
        };
        let time = Time::new(hour, self.minute, self.second, 0).ok()?;
        Offset::from_seconds(self.offset_seconds).ok()?.to_timestamp(DateTime::from_parts(date, time)).ok()
    }
}

fn store<'t>(field: &mut i8, (number, rest): (u32, &'t str)) -> Option<&'t str> {
    *field = i8::try_from(number).ok()?;
    Some(rest)
}

fn digits(text: &str, least: usize, most: usize) -> Option<(u32, &str)> {
    let length = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if length < least { None } else { Some((text[..length].parse().ok()?, &text[length..])) }
}

fn name<'t>(text: &'t str, names: &[&str], long: bool) -> Option<(usize, &'t str)> {
    names.iter().enumerate().find_map(|(position, name)| {
        let name = if long { name } else { &name[..3] };
        let start = text.get(..name.len())?;
        start.eq_ignore_ascii_case(name).then(|| (position, &text[name.len()..]))
    })
}

fn skip_fraction(text: &str) -> &str {
    match text.strip_prefix(['.', ',']) {
        Some(rest) if rest.starts_with(|character: char| character.is_ascii_digit()) => {
            rest.trim_start_matches(|character: char| character.is_ascii_digit())
        }
        _ => text,
    }
}
