//! One field of a cron pattern.

/// Which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Minute,
    Hour,
    Day,
    Month,
    Weekday,
}

/// What one part of a field's list says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    /// Bit v: the value v.
    Values(u64),
    LastDay,
    LastWeekday(u32),
    /// The weekday, and which of the month, from 1 to 5.
    NthWeekday(u32, u32),
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const SUNDAY: u32 = 7;

impl Field {
    pub(super) fn name(self) -> &'static str {
        match self {
            Field::Minute => "minute",
            Field::Hour => "hour",
            Field::Day => "day of month",
            Field::Month => "month",
            Field::Weekday => "day of week",
        }
    }

    fn bounds(self) -> (u32, u32) {
        match self {
            Field::Minute => (0, 59),
            Field::Hour => (0, 23),
            Field::Day => (1, 31),
            Field::Month => (1, 12),
            Field::Weekday => (0, SUNDAY),
        }
    }

    /// The error goes on where the value's name ends.
    pub(super) fn parse(self, part: &str) -> Result<Item, String> {
        let lower = part.to_ascii_lowercase();
        match self {
            Field::Day if lower == "l" => return Ok(Item::LastDay),
            Field::Weekday => {
                if let Some(weekday) = lower.strip_suffix('l') {
                    return Ok(Item::LastWeekday(self.value(weekday)? % SUNDAY));
                }
                if let Some((weekday, nth)) = lower.split_once('#') {
                    let nth = number(nth).filter(|nth| (1..=5).contains(nth));
                    let nth = nth.ok_or("counts wrongly: write a number from 1 to 5 after the `#`")?;
                    return Ok(Item::NthWeekday(self.value(weekday)? % SUNDAY, nth));
                }
            }
            _ => {}
        }
        self.values(&lower).map(Item::Values)
    }

    fn values(self, part: &str) -> Result<u64, String> {
        let (low, high) = self.bounds();
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let (from, until) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((from, until)) => {
                let (from, until) = (self.value(from)?, self.value(until)?);
                // A week may end with Sunday by any of its numbers.
                let until = if self == Field::Weekday && until == 0 && from > 0 { SUNDAY } else { until };
                if from > until {
                    let highest = if self == Field::Weekday { SUNDAY - 1 } else { high };
                    return Err(format!(
                        "goes backwards: write two ranges, `{from}-{highest},{low}-{until}`"
                    ));
                }
                (from, until)
            }
            // Some crons read 5/10 as 5-59/10 and others as 5.
            None if step.is_some() => {
                return Err(format!("has a step without a range: write `{range}-{high}/…` or `*/…`"));
            }
            None => self.value(range).map(|value| (value, value))?,
        };
        let step = match step {
            None => 1,
            Some(step) => {
                let longest = high - low;
                number(step).filter(|step| (1..=longest).contains(step)).ok_or_else(|| {
                    format!("has a step that does not fit: write a number from 1 to {longest} after the `/`")
                })?
            }
        };
        // Seven is a spelling of Sunday, not an eighth day to be stepped on.
        let until = if self == Field::Weekday && range == "*" { SUNDAY - 1 } else { until };
        Ok((from..=until).step_by(step as usize).fold(0, |bits, value| bits | 1 << value))
    }

    fn value(self, text: &str) -> Result<u32, String> {
        let (low, high) = self.bounds();
        let named = |names: &[&str]| names.iter().position(|name| *name == text).map(|index| index as u32);
        let value = match self {
            Field::Month => named(&MONTHS).map(|index| index + 1),
            Field::Weekday => named(&WEEKDAYS),
            _ => None,
        };
        value.or_else(|| number(text)).filter(|value| (low..=high).contains(value)).ok_or_else(|| {
            let names = match self {
                Field::Month => " or jan to dec",
                Field::Weekday => " or sun to sat",
                _ => "",
            };
            format!("is none: write numbers from {low} to {high}{names}, `*`, ranges or lists of them")
        })
    }
}

/// Digits only: no sign, no spaces.
fn number(text: &str) -> Option<u32> {
    let digits = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}
