use std::fmt::Write;

use jiff::civil::Time;
use proptest::prelude::*;

use super::*;

fn cron(text: &str) -> Cron {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn moment(text: &str) -> DateTime {
    text.parse().unwrap()
}

#[test]
fn patterns_fit_what_crontab_says() {
    for (pattern, after, next) in [
        ("* * * * *", "2026-01-01T00:00:59", "2026-01-01T00:01"),
        ("0 3 * * 1-5", "2026-01-02T03:00", "2026-01-05T03:00"),
        ("0 3 * * mon-FRI", "2026-01-02T02:59", "2026-01-02T03:00"),
        ("*/15 8-18/5 * * *", "2026-01-01T18:45", "2026-01-02T08:00"),
        ("59 23 31 12 *", "2026-12-31T23:59", "2027-12-31T23:59"),
        ("0 0 * feb,NOV *", "2026-02-28T00:00", "2026-11-01T00:00"),
        ("0 0 * * 7", "2026-01-01T00:00", "2026-01-04T00:00"),
        ("0 0 * * 0", "2026-01-01T00:00", "2026-01-04T00:00"),
        ("0 0 * * sat-sun", "2026-01-03T00:00", "2026-01-04T00:00"),
        ("0 0 * * 5-7", "2026-01-01T00:00", "2026-01-02T00:00"),
        ("0 0 * * */2", "2026-01-03T00:00", "2026-01-04T00:00"),
        ("0 0 29 2 *", "2096-03-01T00:00", "2104-02-29T00:00"),
        ("0 0 31 * *", "2026-01-31T00:00", "2026-03-31T00:00"),
        // Both restricted: either. One begins with a star: both.
        ("0 0 13 * 5", "2026-01-02T00:00", "2026-01-09T00:00"),
        ("0 0 13 * 5", "2026-01-09T00:00", "2026-01-13T00:00"),
        ("0 0 */2 * 1", "2026-01-01T00:00", "2026-01-05T00:00"),
        ("0 0 */2 * 1", "2026-01-05T00:00", "2026-01-19T00:00"),
        ("0 0 L * *", "2026-02-01T00:00", "2026-02-28T00:00"),
        ("0 0 1,L * *", "2028-02-01T00:00", "2028-02-29T00:00"),
        ("0 0 * * 5L", "2026-01-01T00:00", "2026-01-30T00:00"),
        ("0 0 * * friL", "2026-01-30T00:00", "2026-02-27T00:00"),
        ("0 0 * * 7#1", "2026-01-04T00:00", "2026-02-01T00:00"),
        ("0 0 * * TUE#2", "2026-01-01T00:00", "2026-01-13T00:00"),
        ("0 0 * 2 5#5", "2065-01-01T00:00", "2092-02-29T00:00"),
        ("@hourly", "2026-01-01T00:00", "2026-01-01T01:00"),
        ("@daily", "2026-01-01T00:00", "2026-01-02T00:00"),
        ("@Midnight", "2026-01-01T00:00", "2026-01-02T00:00"),
        ("@weekly", "2026-01-01T00:00", "2026-01-04T00:00"),
        ("@monthly", "2026-01-01T00:00", "2026-02-01T00:00"),
        ("@yearly", "2026-01-01T00:00", "2027-01-01T00:00"),
        ("@annually", "2026-01-01T00:00", "2027-01-01T00:00"),
    ] {
        assert_eq!(cron(pattern).next_after(moment(after)), Some(moment(next)), "{pattern} after {after}");
    }
}

#[test]
fn what_is_no_pattern_is_refused_with_the_part_that_is_wrong() {
    for (pattern, parts) in [
        ("", &["``", "0 fields"][..]),
        ("0 3 * *", &["`0 3 * *`", "4 fields"]),
        ("0 0 3 * * *", &["6 fields", "minute, hour"]),
        ("@reboot", &["`@reboot`", "@daily"]),
        ("@daily 3", &["2 fields"]),
        ("60 * * * *", &["minute `60`", "from 0 to 59"]),
        ("0 24 * * *", &["hour `24`", "from 0 to 23"]),
        ("0 0 0 * *", &["day of month `0`", "from 1 to 31"]),
        ("0 0 * 13 *", &["month `13`", "jan to dec"]),
        ("0 0 * january *", &["month `january`", "jan to dec"]),
        ("0 0 * * 8", &["day of week `8`", "sun to sat"]),
        ("0 0 * * monsun", &["`monsun`"]),
        ("1,,2 * * * *", &["minute ``", "from 0 to 59"]),
        ("+5 * * * *", &["minute `+5`"]),
        ("-5 * * * *", &["minute `-5`"]),
        ("*/0 * * * *", &["minute `*/0`", "from 1 to 59"]),
        ("*/90 * * * *", &["minute `*/90`", "from 1 to 59"]),
        ("5/10 * * * *", &["minute `5/10`", "`5-59/"]),
        ("0 22-6 * * *", &["hour `22-6`", "`22-23,0-6`"]),
        ("0 0 * * fri-mon", &["day of week `fri-mon`", "`5-6,0-1`"]),
        ("0 0 ? * 1", &["day of month `?`"]),
        ("0 0 L-3 * *", &["day of month `L-3`"]),
        ("0 0 15W * *", &["day of month `15W`"]),
        ("0 0 * * 1#6", &["day of week `1#6`", "from 1 to 5"]),
        ("L * * * *", &["minute `L`"]),
        ("é * * * *", &["minute `é`"]),
        ("0 0 30 2 *", &["`0 0 30 2 *`", "no date"]),
        ("0 0 31 2,4,6,9,11 *", &["no date"]),
    ] {
        let error = pattern.parse::<Cron>().map(|cron| panic!("{cron} was taken")).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{pattern}: {error}: {part}");
        }
    }
}

#[test]
fn no_pattern_waits_longer_than_the_search_goes() {
    // Fifth weekdays of February are the rarest there are; the calendar repeats itself after 400 years.
    let mut longest = 0;
    for weekday in 0..7 {
        let rarest = cron(&format!("0 0 * 2 {weekday}#5"));
        let mut at = rarest.next_after(moment("2000-01-01T00:00")).unwrap();
        while at.year() < 2_400 {
            let next = rarest.next_after(at).unwrap();
            longest = longest.max(next.year() - at.year());
            at = next;
        }
    }
    assert_eq!(longest, YEARS_AHEAD - 1);
}

/// Minute by minute, from what the fields say.
fn fits_slowly(fields: &[(String, Vec<i8>); 5], time: DateTime) -> bool {
    let [minute, hour, day, month, weekday] = fields;
    let has = |field: &(String, Vec<i8>), value: i8| field.1.contains(&value);
    let (by_day, by_weekday) =
        (has(day, time.day()), has(weekday, time.date().weekday().to_sunday_zero_offset()));
    let days = if day.0.starts_with('*') || weekday.0.starts_with('*') {
        by_day && by_weekday
    } else {
        by_day || by_weekday
    };
    has(minute, time.minute()) && has(hour, time.hour()) && has(month, time.month()) && days
}

fn field(low: i8, high: i8) -> impl Strategy<Value = (String, Vec<i8>)> {
    let step = 1..=(high - low).min(12);
    prop_oneof![
        4 => Just(("*".to_owned(), (low..=high).collect())),
        1 => step.clone().prop_map(move |step| {
            (format!("*/{step}"), (low..=high).step_by(step as usize).collect())
        }),
        2 => (low..=high, low..=high, step).prop_map(|(one, other, step)| {
            let (from, until) = (one.min(other), one.max(other));
            (format!("{from}-{until}/{step}"), (from..=until).step_by(step as usize).collect())
        }),
        3 => proptest::collection::vec(low..=high, 1..4).prop_map(|values| {
            let texts: Vec<String> = values.iter().map(i8::to_string).collect();
            (texts.join(","), values)
        }),
    ]
}

proptest! {
    #[test]
    fn the_next_time_is_the_first_minute_that_fits(
        fields in (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)),
        day in 0_i64..2_000,
        minute in 0_i64..1_440,
    ) {
        let fields: [_; 5] = fields.into();
        let text = fields.iter().fold(String::new(), |mut text, field| {
            write!(text, "{} ", field.0).unwrap();
            text
        });
        let Ok(cron) = text.parse::<Cron>() else {
            // Only for want of dates.
            prop_assert!(matches!(text.parse::<Cron>(), Err(CronError::Never(_))), "{}", text);
            return Ok(());
        };
        prop_assert_eq!(cron.to_string().parse::<Cron>().unwrap(), cron.clone());
        let span = |days: i64, minutes: i64| jiff::Span::new().days(days).minutes(minutes);
        let after = date(2026, 1, 1).to_datetime(Time::midnight()) + span(day, minute);
        let next = cron.next_after(after).unwrap();
        prop_assert!(next > after && fits_slowly(&fields, next) && cron.fits(next), "{} gave {}", text, next);
        let mut between = after + span(0, 1);
        // Two days of minutes are enough to go through all hours, and the day before to arrive.
        let mut looked_at = 0;
        while between < next && looked_at < 2_880 {
            prop_assert!(!fits_slowly(&fields, between) && !cron.fits(between), "{} left out {}", text, between);
            between += span(0, 1);
            looked_at += 1;
        }
        // Further away, the days decide.
        while between < next {
            let whole_day = (0..24).any(|hour| {
                (0..60).any(|minute| {
                    let time = between.date().at(hour, minute, 0, 0);
                    time < next && time > after && fits_slowly(&fields, time)
                })
            });
            prop_assert!(!whole_day, "{} left out a time on {}", text, between.date());
            between = between.date().tomorrow().unwrap().to_datetime(Time::midnight());
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9*/,#L@a-z -]{0,24}") {
        if let Ok(cron) = text.parse::<Cron>() {
            prop_assert_eq!(cron.to_string().parse::<Cron>().unwrap(), cron);
        }
    }
}
