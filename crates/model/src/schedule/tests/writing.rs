//! What people write.

use serde::de::DeserializeOwned;

use super::*;

fn read(text: &str) -> Result<Schedule, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

/// As a value of a file, there and back.
fn reread<T: Serialize + DeserializeOwned>(value: &T) -> T {
    toml::Value::try_from(value).unwrap().try_into().unwrap()
}

#[test]
fn everything_can_be_written_and_is_written_back() {
    let schedule = read(
        r#"
        cron = "0 3 * * 1-5"
        zone = "europe/berlin"
        jitter = "10m"
        blackouts = ["Mo-Fr 08:00-18:00", "2026-12-24/2027-01-02"]
        during_blackout = "skip"
        catch_up = "all up to 5"
        overlap = "queue"
        starts = "2026-01-01T00:00:00Z"
        ends = "2028-01-01T00:00:00+01:00"
        "#,
    )
    .unwrap();
    assert_eq!(
        schedule,
        Schedule {
            rhythm: cron("0 3 * * 1-5"),
            zone: "Europe/Berlin".parse().unwrap(),
            jitter: Duration::from_secs(600),
            blackouts: vec!["Mo-Fr 08:00-18:00".parse().unwrap(), "2026-12-24/2027-01-02".parse().unwrap()],
            during_blackout: DuringBlackout::Skip,
            catch_up: CatchUp::All { at_most: 5 },
            overlap: Overlap::Queue,
            starts: Some(at("2026-01-01T00:00Z")),
            ends: Some(at("2027-12-31T23:00Z")),
        }
    );
    assert_eq!(schedule.zone.name(), "Europe/Berlin");
    assert_eq!(reread(&schedule), schedule);
    let short = read("every = '6h'").unwrap();
    assert_eq!(short, Schedule::new(every("6h")));
    assert_eq!(reread(&short), short);
}

#[test]
fn what_is_no_schedule_is_refused_with_the_value() {
    for (text, parts) in [
        ("", &["cron = ", "every = "][..]),
        ("every = '6h'\ncron = '@daily'", &["@daily", "6h", "leave one out"]),
        ("every = '6h'\nzonne = 'UTC'", &["zonne"]),
        ("every = '30s'", &["interval 30s", "at least 1m"]),
        ("every = '6'", &["`6`", "6h"]),
        ("every = '1 month'", &["`1 month`"]),
        ("every = '-6h'", &["`-6h`"]),
        ("cron = '0 25 * * *'", &["hour `25`"]),
        ("every = '6h'\nzone = 'Europe/Berln'", &["`Europe/Berln`", "IANA"]),
        ("every = '6h'\nzone = 'Etc/Unknown'", &["`Etc/Unknown`"]),
        ("every = '6h'\nzone = '+02:00'", &["`+02:00`"]),
        ("every = '6h'\njitter = 'a bit'", &["`a bit`", "10m"]),
        ("every = '6h'\ncatch_up = 'all'", &["`all`", "all up to 5"]),
        ("every = '6h'\ncatch_up = 'all up to 0'", &["from 1 to 100"]),
        ("every = '6h'\ncatch_up = 'all up to 101'", &["from 1 to 100"]),
        ("every = '6h'\ncatch_up = 'skip after lunch'", &["`skip after lunch`"]),
        ("every = '6h'\noverlap = 'both'", &["both", "skip", "queue"]),
        ("every = '6h'\nblackouts = ['Mo-Xx 08:00-18:00']", &["`Mo-Xx`", "Mo, Tu"]),
        ("every = '6h'\nblackouts = ['Mo 8-18']", &["`8-18`", "08:00-18:00"]),
        ("every = '6h'\nblackouts = ['Mo 08:00-08:00']", &["`08:00-08:00`"]),
        ("every = '6h'\nblackouts = ['Mo 08:00-25:00']", &["`08:00-25:00`"]),
        ("every = '6h'\nblackouts = ['2027-01-02/2026-12-24']", &["before it begins"]),
        ("every = '6h'\nblackouts = ['2027-02-30']", &["`2027-02-30`", "not understood"]),
        ("every = '6h'\nblackouts = ['2027-02-01T18:00']", &["not understood"]),
        ("every = '6h'\nblackouts = ['2027-02-01T18:00+02:00/2027-02-02']", &["not understood"]),
        ("every = '6h'\nblackouts = ['']", &["not understood"]),
        (
            "every = '6h'\nstarts = '2026-01-02T00:00:00Z'\nends = '2026-01-02T01:00:00+01:00'",
            &["2026-01-02T00:00:00Z", "not later"],
        ),
        (&format!("every = '6h'\nblackouts = [{}]", "'Mo',".repeat(101)), &["101 blackouts", "at most 100"]),
    ] {
        let error = read(text).map(|schedule| panic!("{text} was taken: {schedule:?}")).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{text}: {error}: {part}");
        }
    }
}

#[test]
fn blackouts_have_one_spelling_and_many_are_understood() {
    for (written, canonical) in [
        ("Mo-Fr 08:00-18:00", "Mo-Fr 08:00-18:00"),
        ("monday,TUE,we 08:00:00-18:00:30", "Mo-We 08:00-18:00:30"),
        ("Fr-Mo 22:00-06:00", "Mo,Fr-Su 22:00-06:00"),
        ("Sa-Su", "Sa-Su"),
        ("Sa,Su 00:00-24:00", "Sa-Su"),
        ("08:00-18:00", "Mo-Su 08:00-18:00"),
        ("Fr 18:00-24:00", "Fr 18:00-24:00"),
        (" Su  18:00-24:00 ", "Su 18:00-24:00"),
        ("2026-12-24", "2026-12-24"),
        ("2026-12-24/2027-01-02", "2026-12-24/2027-01-02"),
        ("2026-12-24 / 2026-12-24", "2026-12-24"),
        ("2026-12-24T18:00/2026-12-27 06:00", "2026-12-24T18:00:00/2026-12-27T06:00:00"),
        ("2026-12-24T18:00/2026-12-27", "2026-12-24T18:00:00/2026-12-28T00:00:00"),
    ] {
        let blackout: Blackout = written.parse().unwrap_or_else(|error| panic!("{written}: {error}"));
        assert_eq!(blackout.to_string(), canonical);
        assert_eq!(canonical.parse::<Blackout>().unwrap(), blackout);
        assert_eq!(reread(&blackout), blackout);
    }
}

#[test]
fn hours_and_dates_cover_what_they_say() {
    let utc = Zone::UTC;
    for (blackout, moment, is) in [
        // 2 January 2026 is a Friday.
        ("Mo-Fr 08:00-18:00", "2026-01-02T08:00Z", true),
        ("Mo-Fr 08:00-18:00", "2026-01-02T17:59:59.999Z", true),
        ("Mo-Fr 08:00-18:00", "2026-01-02T18:00Z", false),
        ("Mo-Fr 08:00-18:00", "2026-01-03T12:00Z", false),
        ("Fr 22:00-06:00", "2026-01-03T05:59Z", true),
        ("Fr 22:00-06:00", "2026-01-02T05:59Z", false),
        ("Fr", "2026-01-02T00:00Z", true),
        ("Fr", "2026-01-03T00:00Z", false),
        ("2026-01-02/2026-01-03", "2026-01-03T23:59Z", true),
        ("2026-01-02/2026-01-03", "2026-01-04T00:00Z", false),
        ("2026-01-02T12:00/2026-01-02T13:00", "2026-01-02T11:59Z", false),
        ("2026-01-02T12:00/2026-01-02T13:00", "2026-01-02T12:59Z", true),
    ] {
        let covers = blackout.parse::<Blackout>().unwrap().contains(at(moment), &utc);
        assert_eq!(covers, is, "{blackout} at {moment}");
    }
}

#[test]
fn lengths_are_read_and_written_back() {
    for (written, seconds, canonical) in [
        ("6h", 21_600, "6h"),
        ("90m", 5_400, "1h30m"),
        ("1d12h", 129_600, "1d12h"),
        ("2 weeks", 1_209_600, "14d"),
        ("1h 30m", 5_400, "1h30m"),
        ("PT6H", 21_600, "6h"),
        ("1.5h", 5_400, "1h30m"),
    ] {
        let interval: Interval = written.parse().unwrap_or_else(|error| panic!("{written}: {error}"));
        assert_eq!(interval.length(), Duration::from_secs(seconds), "{written}");
        assert_eq!(interval.to_string(), canonical);
        assert_eq!(reread(&interval), interval);
    }
    for jitter in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(90_500)] {
        assert_eq!(Length(jitter).to_string().parse::<Length>().unwrap(), Length(jitter));
    }
}

#[test]
fn ways_of_catching_up_are_written_back() {
    let grace = Duration::from_secs(600);
    for (written, catch_up) in [
        ("once", CatchUp::Once),
        ("skip after 10m", CatchUp::Skip { grace }),
        ("all up to 5", CatchUp::All { at_most: 5 }),
    ] {
        assert_eq!(written.parse::<CatchUp>().unwrap(), catch_up);
        assert_eq!(catch_up.to_string(), written);
        assert_eq!(reread(&catch_up), catch_up);
    }
}

#[test]
fn a_moment_is_on_the_clocks_of_the_zone_or_says_its_offset() {
    let berlin: Zone = "Europe/Berlin".parse().unwrap();
    for (text, moment) in [
        ("2026-12-24", "2026-12-23T23:00:00Z"),
        ("2026-12-24T18:00", "2026-12-24T17:00:00Z"),
        ("2026-07-24T18:00:05", "2026-07-24T16:00:05Z"),
        ("2026-12-24T18:00:00Z", "2026-12-24T18:00:00Z"),
        ("2026-12-24T18:00:00-05:00", "2026-12-24T23:00:00Z"),
        // Never shown: clocks are put forward over it, at one o'clock UTC.
        ("2026-03-29T02:30", "2026-03-29T01:00:00Z"),
    ] {
        assert_eq!(berlin.moment(text), Ok(at(moment)), "{text}");
    }
    for bad in ["", "tomorrow", "18:00", "2026-02-30", "2026-12-24T25:00", "24.12.2026"] {
        assert!(berlin.moment(bad).unwrap_err().to_string().contains("2026-12-24T18:00"), "{bad}");
    }
}
