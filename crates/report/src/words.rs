//! Numbers, times and sizes as people read them.

use std::time::Duration;

use jiff::Timestamp;

/// `65,535`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 place`, `2,000 places`.
pub(crate) fn counted(number: u64, singular: &str, plural: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { singular } else { plural })
}

/// `3 min 12 s`, `250 ms`: the two largest units.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |large: u64, unit: &str, small: u64, below: &str| match small {
        0 => format!("{} {unit}", grouped(large)),
        small => format!("{} {unit} {small} {below}", grouped(large)),
    };
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 if duration.subsec_millis() >= 100 => format!("{:.1} s", duration.as_secs_f64()),
        1..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// From one moment to another; nothing when the clock went backwards.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> String {
    span(Duration::try_from(to.duration_since(from)).unwrap_or_default())
}

/// `21 November 2026, 03:29 UTC`.
pub(crate) fn moment(time: Timestamp) -> String {
    time.strftime("%-d %B %Y, %H:%M UTC").to_string()
}

/// `64 KiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut scaled = bytes as f64;
    while scaled >= 1024.0 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    if scaled.fract() < 0.05 {
        format!("{scaled:.0} {}", UNITS[unit])
    } else {
        format!("{scaled:.1} {}", UNITS[unit])
    }
}

/// The first sentence of a text, for places that have one line.
pub(crate) fn first_sentence(text: &str) -> &str {
    let paragraph = text.trim().split("\n\n").next().unwrap_or_default();
    let mut end = paragraph.len();
    for (index, _) in paragraph.match_indices(['.', '!', '?']) {
        let after = &paragraph[index + 1..];
        let sentence_goes_on = !after.starts_with(char::is_whitespace);
        let is_abbreviation = paragraph[..index].ends_with("e.g") || paragraph[..index].ends_with("i.e");
        if !sentence_goes_on && !is_abbreviation {
            end = index + 1;
            break;
        }
    }
    &paragraph[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_times_and_sizes_read_well() {
        assert_eq!(
            [0, 999, 1_000, 65_535, 1_234_567].map(grouped),
            ["0", "999", "1,000", "65,535", "1,234,567"]
        );
        assert_eq!(counted(1, "place", "places"), "1 place");
        assert_eq!(counted(2_000, "place", "places"), "2,000 places");
        let spans =
            [250, 1_500, 12_000, 192_000, 7_200_000, 90_000_000].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(spans, ["250 ms", "1.5 s", "12 s", "3 min 12 s", "2 h", "1 d 1 h"]);
        assert_eq!(moment(Timestamp::UNIX_EPOCH), "1 January 1970, 00:00 UTC");
        assert_eq!(between(Timestamp::from_second(9).unwrap(), Timestamp::UNIX_EPOCH), "0 ms");
        assert_eq!([512, 65_536, 1_572_864].map(size), ["512 bytes", "64 KiB", "1.5 MiB"]);
    }

    #[test]
    fn a_first_sentence_ends_where_the_sentence_does() {
        assert_eq!(
            first_sentence("Bind to 127.0.0.1, e.g. with `bind`. Then restart."),
            "Bind to 127.0.0.1, e.g. with `bind`."
        );
        assert_eq!(first_sentence("No stop\n\nSecond"), "No stop");
        assert_eq!(first_sentence(""), "");
    }
}
