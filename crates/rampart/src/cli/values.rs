//! What several options take: times, numbers within bounds, names. Each refusal says what is taken.

use std::time::Duration;

use model::money::{Money, MoneyError};

/// Ten years: what is longer is a slip.
const LONGEST: Duration = Duration::from_secs(3_650 * 24 * 60 * 60);
const LONGEST_NAME: usize = 100;

const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

/// `500ms`, `10s`, `5m`, `2h`, `30d`, `2w`, or several of them: `1d12h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let no_time = || {
        format!(
            "`{text}` is not a time: write numbers with units ms, s, m, h, d or w, such as 500ms, 10s, 5m, 2h, 1d12h, 30d or 2w"
        )
    };
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(no_time)?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, further) = after.split_at(letters);
        let (_, milliseconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(no_time)?;
        if number.is_empty() {
            return Err(no_time());
        }
        // More than fits is too long in any case.
        let number: u64 = number.parse().unwrap_or(u64::MAX);
        total = total.saturating_add(number.saturating_mul(*milliseconds));
        rest = further;
    }
    match Duration::from_millis(total) {
        _ if text.is_empty() => Err(no_time()),
        Duration::ZERO => Err(format!("`{text}` is no time at all: give at least 1ms")),
        time if time > LONGEST => Err(format!("`{text}` is too long: give at most 3650d")),
        time => Ok(time),
    }
}

/// How long a worker may be silent.
pub(super) fn lease(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if (Duration::from_secs(1)..=Duration::from_secs(60 * 60)).contains(&time) {
        Ok(time)
    } else {
        Err(format!("`{text}` is no lease: give a time from 1s to 1h"))
    }
}

/// `512KiB`, `16MiB`, `1GiB`; at least so many bytes.
pub(super) fn size<const LEAST: u64>(text: &str) -> Result<u64, String> {
    let units = [("KiB", 1_u64 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let written = units.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes)));
    let bytes = written.and_then(|(number, unit)| match number.bytes().all(|byte| byte.is_ascii_digit()) {
        true => number.parse::<u64>().ok()?.checked_mul(*unit),
        false => None,
    });
    match bytes {
        None => {
            Err(format!("`{text}` is not a size: write a whole number with KiB, MiB or GiB, such as 16MiB"))
        }
        Some(bytes) if bytes < LEAST => {
            let least = match LEAST >> 20 {
                0 => format!("{}KiB", LEAST >> 10),
                whole => format!("{whole}MiB"),
            };
            Err(format!("`{text}` is too little: give at least {least}"))
        }
        Some(bytes) => Ok(bytes),
    }
}

/// A whole number from the least to the most.
pub(crate) fn between<T: TryFrom<u64>, const LEAST: u64, const MOST: u64>(text: &str) -> Result<T, String> {
    let number: Option<u64> = text.parse().ok();
    number
        .filter(|number| (LEAST..=MOST).contains(number))
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| format!("`{text}` is not a whole number from {LEAST} to {MOST}"))
}

/// An amount of money that is more than nothing.
pub(super) fn some_money(text: &str) -> Result<Money, MoneyError> {
    match text.parse()? {
        Money::ZERO => Err(MoneyError::Nothing(text.to_owned())),
        amount => Ok(amount),
    }
}

/// What something is to be called.
pub(super) fn name(text: &str) -> Result<String, String> {
    let fits = (1..=LONGEST_NAME).contains(&text.chars().count());
    if !fits || text.trim() != text || text.chars().any(char::is_control) {
        return Err(format!(
            "`{text}` is no name: give 1 to {LONGEST_NAME} characters, none of them control characters, and no spaces around"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        const HOUR: u64 = 3_600;
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for (text, seconds) in [
            ("2h", 2 * HOUR),
            ("30d", 720 * HOUR),
            ("2w", 336 * HOUR),
            ("1d12h", 36 * HOUR),
            ("3650d", 87_600 * HOUR),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "10", "s", "-1s", "1y", "1 d", "1d2", "1.5h", "d1"] {
            let error = duration(bad).unwrap_err();
            assert!(error.contains("500ms") && error.contains("30d"), "{bad}: {error}");
        }
        assert!(duration("0s").unwrap_err().contains("at least 1ms"));
        for long in ["3651d", "99999999999999999999h", "522w"] {
            assert!(duration(long).unwrap_err().contains("at most 3650d"), "{long}");
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [("64KiB", 64 << 10), ("16MiB", 16 << 20), ("2GiB", 2 << 30)] {
            assert_eq!(size::<{ 64 << 10 }>(text), Ok(bytes), "{text}");
        }
        for bad in [
            "",
            "16",
            "16MB",
            "MiB",
            "+1MiB",
            "1.5MiB",
            "16 MiB",
            "99999999999999999999GiB",
            "18446744073709551615KiB",
        ] {
            assert!(size::<1>(bad).unwrap_err().contains("such as 16MiB"), "{bad}");
        }
        assert!(size::<{ 64 << 10 }>("63KiB").unwrap_err().contains("at least 64KiB"));
        assert!(size::<{ 1 << 20 }>("1023KiB").unwrap_err().contains("at least 1MiB"));
    }

    #[test]
    fn an_amount_is_something() {
        assert_eq!(some_money("2.50").map(Money::millionths), Ok(2_500_000));
        assert!(some_money("0.00").unwrap_err().to_string().contains("more than 0"));
        assert!(some_money("2,50").unwrap_err().to_string().contains("such as 2.50"));
    }

    #[test]
    fn numbers_and_names_have_bounds() {
        assert_eq!(between::<u32, 1, 1000>("1000"), Ok(1000));
        for bad in ["0", "1001", "-1", "many", "", "99999999999999999999999"] {
            assert!(between::<u32, 1, 1000>(bad).unwrap_err().contains("from 1 to 1000"), "{bad}");
        }
        assert_eq!(name("acme corp").as_deref(), Ok("acme corp"));
        for bad in ["", " acme", "a\nb", &"x".repeat(101)] {
            assert!(name(bad).unwrap_err().contains("1 to 100 characters"), "{bad}");
        }
    }
}
