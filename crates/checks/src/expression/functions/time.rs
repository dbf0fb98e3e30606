//! Dates and times, all in UTC: a check must not depend on where the scanner stands.

use jiff::Timestamp;
use jiff::tz::Offset;

use super::layout::{self, Layout};
use super::{Arguments, Arity, Function, Outcome, bounded, shown};
use crate::expression::{EvaluationError, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("unix_time", Arity::between(0, 1), "now as Unix time, plus so many seconds", |arguments| {
        let seconds = if arguments.len() > 0 { arguments.integer(0)? } else { 0 };
        Ok(Value::from(arguments.ambient.now.as_second().saturating_add(seconds)))
    }),
    Function::new(
        "date_time",
        Arity::between(1, 2),
        "now, or a Unix time, in a format of `%Y %M %D %H %m %S` or a Go layout such as `2006-01-02 15:04:05`",
        date_time,
    ),
    Function::new(
        "to_unix_time",
        Arity::between(1, 2),
        "the Unix time of a date such as `2006-01-02T15:04:05Z`, or in the given Go layout; a number is taken as it is",
        to_unix_time,
    ),
];

/// The instant that an argument holds as Unix time; now, where it is missing.
pub(super) fn instant(arguments: &Arguments<'_, '_>, index: usize) -> Result<Timestamp, EvaluationError> {
    if *arguments.value(index) == Value::Null {
        return Ok(arguments.ambient.now);
    }
    let second = arguments.integer(index)?;
    Timestamp::from_second(second)
        .map_err(|_| arguments.error(format!("{second} is outside the years -9999 to 9999 as a Unix time")))
}

fn date_time<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let at = Offset::UTC.to_datetime(instant(&arguments, 1)?);
    let format = String::from_utf8_lossy(&arguments.text(0)).into_owned();
    // A field is at most four times as long as its shortest placeholder.
    bounded(format.len().saturating_mul(10))?;
    let is_simple = format.as_bytes().windows(2).any(|pair| pair[0] == b'%' && pair[1].is_ascii_alphabetic());
    if !is_simple {
        return Ok(Layout::parse(&format).write(at).into());
    }
    let mut written = String::new();
    let mut characters = format.chars().peekable();
    while let Some(character) = characters.next() {
        let Some(field) = characters.peek().filter(|field| character == '%' && field.is_ascii_alphabetic())
        else {
            written.push(character);
            continue;
        };
        let field = match field {
            'Y' | 'y' => i32::from(at.year()),
            'M' => i32::from(at.month()),
            'D' | 'd' => i32::from(at.day()),
            'H' | 'h' => i32::from(at.hour()),
            'm' => i32::from(at.minute()),
            'S' | 's' => i32::from(at.second()),
            other => {
                return Err(arguments.error(format!("there is no field %{other}, only %Y %M %D %H %m %S")));
            }
        };
        written.push_str(&format!("{field:02}"));
        characters.next();
    }
    Ok(written.into())
}

fn to_unix_time<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    if let Some(number) = arguments.value(0).as_number() {
        return Ok(Value::Number(number.trunc()));
    }
    let text = String::from_utf8_lossy(&arguments.text(0)).into_owned();
    let layout = String::from_utf8_lossy(&arguments.text(1)).into_owned();
    let given = [layout.as_str()];
    let layouts = if arguments.len() > 1 { &given[..] } else { &layout::DEFAULTS[..] };
    match layouts.iter().find_map(|layout| Layout::parse(layout).read(&text)) {
        Some(at) => Ok(Value::from(at.as_second())),
        None => Err(arguments.error(format!("{} is not a date in that layout", shown(text.as_bytes())))),
    }
}
