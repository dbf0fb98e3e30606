//! What becomes of schedules when clocks are changed.

use proptest::prelude::*;

use super::*;

/// As clocks show it, with their offset.
fn shown(zone: &str, rhythm: Rhythm, from: &str, until: &str) -> Vec<String> {
    let schedule = Schedule { zone: zone.parse().unwrap(), ..Schedule::new(rhythm) };
    let zone = jiff::tz::TimeZoneDatabase::bundled().get(zone).unwrap();
    planned(&schedule, just_before(at(from)).unwrap(), at(until))
        .into_iter()
        .map(|planned| planned.to_zoned(zone.clone()).strftime("%m-%d %H:%M%:z").to_string())
        .collect()
}

#[test]
fn what_clocks_pass_over_runs_once_and_what_comes_twice_runs_once() {
    for (zone, pattern, from, until, times) in [
        // 29 March 2026, 02:00 to 03:00.
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2026-03-28T00:00Z",
            "2026-03-30T12:00Z",
            &["03-28 02:30+01:00", "03-29 03:00+02:00", "03-30 02:30+02:00"][..],
        ),
        // Several in the gap and one at its end are one run.
        (
            "Europe/Berlin",
            "0,15,30 2,3 * * *",
            "2026-03-29T00:00Z",
            "2026-03-29T12:00Z",
            &["03-29 03:00+02:00", "03-29 03:15+02:00", "03-29 03:30+02:00"],
        ),
        // 25 October 2026, 03:00 to 02:00.
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2026-10-24T00:00Z",
            "2026-10-26T12:00Z",
            &["10-24 02:30+02:00", "10-25 02:30+02:00", "10-26 02:30+01:00"],
        ),
        (
            "Europe/Berlin",
            "0,30 1-3 * * *",
            "2026-10-24T22:30Z",
            "2026-10-25T12:00Z",
            &[
                "10-25 01:00+02:00",
                "10-25 01:30+02:00",
                "10-25 02:00+02:00",
                "10-25 02:30+02:00",
                "10-25 03:00+01:00",
                "10-25 03:30+01:00",
            ],
        ),
        // 8 March 2026, 02:00 to 03:00; 1 November, 02:00 to 01:00.
        (
            "America/New_York",
            "30 2 * * SUN",
            "2026-03-07T00:00Z",
            "2026-03-16T00:00Z",
            &["03-08 03:00-04:00", "03-15 02:30-04:00"],
        ),
        (
            "America/New_York",
            "0 1 * * *",
            "2026-10-31T12:00Z",
            "2026-11-02T12:00Z",
            &["11-01 01:00-04:00", "11-02 01:00-05:00"],
        ),
        // Half an hour: 4 October 2026, 02:00 to 02:30; 5 April, 02:00 to 01:30.
        (
            "Australia/Lord_Howe",
            "15 2 * * *",
            "2026-10-02T18:00Z",
            "2026-10-05T00:00Z",
            &["10-04 02:30+11:00", "10-05 02:15+11:00"],
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2026-04-03T18:00Z",
            "2026-04-06T00:00Z",
            &["04-05 01:45+11:00", "04-06 01:45+10:30"],
        ),
        // 30 December 2011 never was: from the 29th, 24:00 at -10, to the 31st, 00:00 at +14.
        (
            "Pacific/Apia",
            "0 12 * * *",
            "2011-12-29T00:00Z",
            "2011-12-31T12:00Z",
            &["12-29 12:00-10:00", "12-31 00:00+14:00", "12-31 12:00+14:00"],
        ),
        ("Pacific/Apia", "0 0 30 * *", "2011-12-01T00:00Z", "2012-01-15T00:00Z", &["12-31 00:00+14:00"]),
        // Midnight itself: 4 November 2018, 00:00 to 01:00; 17 February 2019, 24:00 to 23:00.
        (
            "America/Sao_Paulo",
            "0 0 * * *",
            "2018-11-03T00:00Z",
            "2018-11-05T12:00Z",
            &["11-03 00:00-03:00", "11-04 01:00-02:00", "11-05 00:00-02:00"],
        ),
        (
            "America/Sao_Paulo",
            "30 23 * * *",
            "2019-02-16T12:00Z",
            "2019-02-18T12:00Z",
            &["02-16 23:30-02:00", "02-17 23:30-03:00"],
        ),
        (
            "America/Sao_Paulo",
            "0 0 * * *",
            "2019-02-16T00:00Z",
            "2019-02-18T12:00Z",
            &["02-16 00:00-02:00", "02-17 00:00-03:00", "02-18 00:00-03:00"],
        ),
        ("UTC", "30 2 * * *", "2026-03-29T00:00Z", "2026-03-30T00:00Z", &["03-29 02:30+00:00"]),
    ] {
        assert_eq!(shown(zone, cron(pattern), from, until), times, "{pattern} in {zone}");
    }
}

#[test]
fn a_pattern_of_every_hour_goes_on_through_the_repeated_one() {
    for (zone, pattern, from, until, times) in [
        (
            "Europe/Berlin",
            "*/30 * * * *",
            "2026-10-24T23:45Z",
            "2026-10-25T02:15Z",
            &[
                "10-25 02:00+02:00",
                "10-25 02:30+02:00",
                "10-25 02:00+01:00",
                "10-25 02:30+01:00",
                "10-25 03:00+01:00",
            ][..],
        ),
        (
            "Europe/Berlin",
            "@hourly",
            "2026-03-28T23:30Z",
            "2026-03-29T02:15Z",
            &["03-29 01:00+01:00", "03-29 03:00+02:00", "03-29 04:00+02:00"],
        ),
        // What was passed over still runs.
        (
            "Europe/Berlin",
            "30 * * * *",
            "2026-03-29T00:00Z",
            "2026-03-29T02:00Z",
            &["03-29 01:30+01:00", "03-29 03:00+02:00", "03-29 03:30+02:00"],
        ),
        (
            "Australia/Lord_Howe",
            "*/15 * * * *",
            "2026-04-04T14:25Z",
            "2026-04-04T15:50Z",
            &[
                "04-05 01:30+11:00",
                "04-05 01:45+11:00",
                "04-05 01:30+10:30",
                "04-05 01:45+10:30",
                "04-05 02:00+10:30",
                "04-05 02:15+10:30",
            ],
        ),
        // Only on Saturdays: the repeated hour is still one.
        (
            "America/Sao_Paulo",
            "0 * * * 6",
            "2019-02-17T00:30Z",
            "2019-02-18T00:00Z",
            &["02-16 23:00-02:00", "02-16 23:00-03:00"],
        ),
    ] {
        assert_eq!(shown(zone, cron(pattern), from, until), times, "{pattern} in {zone}");
    }
}

#[test]
fn intervals_do_not_care() {
    for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"] {
        let schedule = Schedule { zone: zone.parse().unwrap(), ..Schedule::new(every("90m")) };
        for year in ["2011", "2026"] {
            let (from, until) = (at(&format!("{year}-01-01T00:00Z")), at(&format!("{year}-12-31T23:00Z")));
            let times = planned(&schedule, from, until);
            assert!(times.len() > 5_000);
            assert!(times.is_sorted_by(|one, other| *other == *one + Duration::from_secs(5_400)), "{zone}");
        }
    }
}

#[test]
fn blackouts_are_about_clocks_too() {
    let zone: Zone = "Europe/Berlin".parse().unwrap();
    let night: Blackout = "02:15-02:45".parse().unwrap();
    for (moment, is) in [
        // Passed over: nothing of it remains.
        ("2026-03-29T01:00Z", false),
        ("2026-03-28T01:15Z", true),
        ("2026-03-28T01:45Z", false),
        // Shown twice: from the first beginning to the last end.
        ("2026-10-25T00:14Z", false),
        ("2026-10-25T00:15Z", true),
        ("2026-10-25T01:44Z", true),
        ("2026-10-25T01:45Z", false),
    ] {
        assert_eq!(night.contains(at(moment), &zone), is, "{moment}");
    }
    let never: Blackout = "2011-12-30".parse().unwrap();
    let apia: Zone = "Pacific/Apia".parse().unwrap();
    for moment in ["2011-12-30T09:59Z", "2011-12-30T10:00Z", "2011-12-30T10:01Z"] {
        assert!(!never.contains(at(moment), &apia), "{moment}");
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// Minute by minute of elapsed time, from what clocks show.
fn planned_slowly(cron: &Cron, zone: &Zone, from: Timestamp, minutes: u32) -> Vec<Timestamp> {
    let mut planned = Vec::new();
    let mut highest = zone.clock(from - Duration::from_secs(3 * 86_400));
    for minute in 0..minutes {
        let at = from + MINUTE * minute;
        let shown = zone.clock(at);
        let before = zone.clock(at - MINUTE);
        let mut passed_over = before + MINUTE;
        let mut fits = false;
        while passed_over < shown {
            fits |= cron.fits(passed_over);
            passed_over += MINUTE;
        }
        highest = highest.max(before);
        let for_the_first_time = shown > highest || cron.is_of_every_hour();
        if fits || (cron.fits(shown) && for_the_first_time) {
            planned.push(at);
        }
    }
    planned
}

proptest! {
    #[test]
    fn clocks_are_followed_minute_by_minute(
        (zone, change) in prop::sample::select(vec![
            ("Europe/Berlin", "2026-03-29T01:00Z"),
            ("Europe/Berlin", "2026-10-25T01:00Z"),
            ("America/New_York", "2026-03-08T07:00Z"),
            ("America/New_York", "2040-11-04T06:00Z"),
            ("Australia/Lord_Howe", "2026-10-03T15:30Z"),
            ("Australia/Lord_Howe", "2026-04-04T15:00Z"),
            ("Pacific/Apia", "2011-12-30T10:00Z"),
            ("Pacific/Kwajalein", "1969-09-30T13:00Z"),
            ("America/Sao_Paulo", "2018-11-04T03:00Z"),
            ("America/Sao_Paulo", "2019-02-17T02:00Z"),
            ("Africa/Casablanca", "2026-02-15T02:00Z"),
            ("Europe/Dublin", "2026-10-25T01:00Z"),
        ]),
        minute in prop::sample::select(vec!["0", "30", "15,45", "*/20", "*", "59", "1-10/3"]),
        hour in prop::sample::select(vec!["*", "*/2", "0", "1", "2", "0-3", "23", "1-23/3", "22,23,0,1"]),
        days in prop::sample::select(vec!["* * *", "* * SUN", "29-31 * *", "L * 6", "* * SUN#1,SUN#2"]),
        earlier in 0_u32..2_000,
    ) {
        let pattern: Cron = format!("{minute} {hour} {days}").parse().unwrap();
        let zone: Zone = zone.parse().unwrap();
        let from = at(change) - MINUTE * earlier;
        let minutes = earlier + 2_000;
        prop_assert_ne!(zone.clock(at(change) - MINUTE) + MINUTE, zone.clock(at(change)), "no change");
        let expected = planned_slowly(&pattern, &zone, from, minutes);
        let schedule = Schedule { zone, ..Schedule::new(Rhythm::Cron(pattern)) };
        let times = planned(&schedule, just_before(from).unwrap(), from + MINUTE * (minutes - 1));
        prop_assert_eq!(times, expected);
    }
}
