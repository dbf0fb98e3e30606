//! What is to start when.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SEED: u64 = 7;

fn daily() -> Schedule {
    Schedule::new(cron("0 3 * * *"))
}

fn blacked_out(mut schedule: Schedule, blackouts: &[&str], during_blackout: DuringBlackout) -> Schedule {
    schedule.blackouts = blackouts.iter().map(|text| text.parse().unwrap()).collect();
    schedule.during_blackout = during_blackout;
    schedule
}

fn times(texts: &[&str]) -> Vec<Timestamp> {
    texts.iter().map(|text| at(text)).collect()
}

#[test]
fn runs_are_postponed_to_the_end_of_a_blackout_or_left_out() {
    let (from, until) = (at("2026-01-01T00:00Z"), at("2026-01-01T23:00Z"));
    let schedule = Schedule::new(every("3h"));
    let black = ["08:00-14:00", "14:00-16:00"];
    assert_eq!(
        planned(&blacked_out(schedule.clone(), &black, DuringBlackout::Postpone), from, until),
        times(&[
            "2026-01-01T03:00Z",
            "2026-01-01T06:00Z",
            "2026-01-01T16:00Z",
            "2026-01-01T18:00Z",
            "2026-01-01T21:00Z",
        ]),
        "9, 12 and 15 are one run"
    );
    assert_eq!(
        planned(&blacked_out(schedule, &black, DuringBlackout::Skip), from, until),
        times(&["2026-01-01T03:00Z", "2026-01-01T06:00Z", "2026-01-01T18:00Z", "2026-01-01T21:00Z"]),
    );
}

#[test]
fn a_schedule_that_has_no_time_says_so() {
    let now = at("2026-01-01T00:00Z");
    let whole_week = ["Mo-Th", "Fr-Su"];
    let its_hour = ["02:00-04:00"];
    for during_blackout in [DuringBlackout::Postpone, DuringBlackout::Skip] {
        assert_eq!(blacked_out(daily(), &whole_week, during_blackout).next_after(now), None);
    }
    let never = blacked_out(daily(), &its_hour, DuringBlackout::Skip);
    assert_eq!(never.next_after(now), None);
    let due = never.due(&Progress::since(now), at("2036-01-01T00:00Z"), false, SEED);
    assert_eq!((due.start, due.look_again), (vec![], None));
    let ended = Schedule { ends: Some(at("2026-01-02T03:00Z")), ..daily() };
    assert_eq!(planned(&ended, now, Timestamp::MAX), times(&["2026-01-01T03:00Z"]));
    assert_eq!(daily().next_after(Timestamp::MAX), None);
    assert!(daily().next_after(Timestamp::MIN).is_some());
}

#[test]
fn intervals_count_from_the_start_and_nothing_is_planned_before() {
    let starts = at("2026-01-05T10:20:30Z");
    let schedule = Schedule { starts: Some(starts), ..Schedule::new(every("6h")) };
    assert_eq!(schedule.next_after(at("2026-01-01T00:00Z")), Some(starts));
    assert_eq!(schedule.next_after(starts), Some(at("2026-01-05T16:20:30Z")));
    let schedule = Schedule { starts: Some(at("2026-01-05T03:00Z")), ..daily() };
    assert_eq!(schedule.next_after(at("2026-01-01T00:00Z")), Some(at("2026-01-05T03:00Z")));
}

#[test]
fn a_run_starts_when_its_time_has_come() {
    let schedule = daily();
    let progress = Progress::since(at("2026-01-01T02:00Z"));
    let early = schedule.due(&progress, at("2026-01-01T02:59:59Z"), false, SEED);
    let run = at("2026-01-01T03:00Z");
    assert_eq!(early, Due { start: vec![], skipped: 0, progress, look_again: Some(run) });
    let due = schedule.due(&progress, run, false, SEED);
    assert_eq!(
        due,
        Due {
            start: vec![run],
            skipped: 0,
            progress: Progress::since(run),
            look_again: Some(at("2026-01-02T03:00Z")),
        }
    );
    assert_eq!(schedule.due(&due.progress, run, false, SEED).start, vec![], "not twice");
    let back = schedule.due(&due.progress, at("2025-12-31T00:00Z"), false, SEED);
    assert_eq!(
        (back.start, back.progress),
        (vec![], due.progress),
        "a clock that was put back changes nothing"
    );
}

#[test]
fn what_was_missed_is_caught_up_with_as_the_policy_says() {
    let progress = Progress::since(at("2026-01-01T12:00Z"));
    let grace = Duration::from_secs(600);
    for (catch_up, now, start, skipped) in [
        (CatchUp::Skip { grace }, "2026-01-05T03:10:00Z", &["2026-01-05T03:00Z"][..], 3),
        (CatchUp::Skip { grace }, "2026-01-05T03:10:01Z", &[], 4),
        (CatchUp::Once, "2026-01-05T12:00Z", &["2026-01-05T03:00Z"], 3),
        (CatchUp::All { at_most: 2 }, "2026-01-05T12:00Z", &["2026-01-04T03:00Z", "2026-01-05T03:00Z"], 2),
        (
            CatchUp::All { at_most: 9 },
            "2026-01-04T12:00Z",
            &["2026-01-02T03:00Z", "2026-01-03T03:00Z", "2026-01-04T03:00Z"],
            0,
        ),
    ] {
        let due = Schedule { catch_up, ..daily() }.due(&progress, at(now), false, SEED);
        assert_eq!((due.start, due.skipped), (times(start), skipped), "{catch_up} at {now}");
        assert_eq!(due.progress, Progress::since(at(&format!("{}T03:00Z", &now[..10]))));
    }
}

#[test]
fn years_of_minutes_are_not_gone_through() {
    let minutely = Schedule::new(cron("* * * * *"));
    let progress = Progress::since(at("1990-01-01T00:00Z"));
    let now = at("2026-06-01T12:34:56Z");
    let due = minutely.due(&progress, now, false, SEED);
    assert_eq!((due.start, due.skipped), (times(&["2026-06-01T12:34Z"]), 999));
    let all = Schedule { catch_up: CatchUp::All { at_most: 3 }, jitter: Duration::from_secs(30), ..minutely };
    let due = all.due(&progress, now, false, SEED);
    assert_eq!(due.start.len(), 3);
    let next = due.progress.last_planned;
    assert!(all.start_of(next, SEED) <= now && all.start_of(all.next_after(next).unwrap(), SEED) > now);
    assert!(due.start.is_sorted_by(|one, other| all.next_after(*one) == Some(*other)), "{:?}", due.start);
    assert!(all.due(&due.progress, now, false, SEED).start.is_empty());
}

#[test]
fn an_overlapping_run_is_skipped_or_waits() {
    let progress = Progress::since(at("2026-01-01T12:00Z"));
    let (second, third) = (at("2026-01-02T03:00Z"), at("2026-01-03T03:00Z"));
    let skipping = daily();
    let due = skipping.due(&progress, second, true, SEED);
    assert_eq!((due.start, due.skipped, due.progress), (vec![], 1, Progress::since(second)));

    let queueing = Schedule { overlap: Overlap::Queue, ..daily() };
    let due = queueing.due(&progress, second, true, SEED);
    let waits = Progress { last_planned: second, queued: Some(second) };
    assert_eq!((due.start, due.skipped, due.progress), (vec![], 0, waits));
    let due = queueing.due(&waits, third, true, SEED);
    let waits = Progress { last_planned: third, queued: Some(third) };
    assert_eq!((due.start, due.skipped, due.progress), (vec![], 1, waits), "of several the last");
    let ended = queueing.due(&waits, at("2026-01-03T09:00Z"), false, SEED);
    assert_eq!((ended.start, ended.skipped, ended.progress), (vec![third], 0, Progress::since(third)));
    // However long it had to wait.
    let grace = Duration::from_secs(60);
    let strict = Schedule { catch_up: CatchUp::Skip { grace }, ..queueing };
    assert_eq!(strict.due(&waits, at("2026-01-03T09:00Z"), false, SEED).start, vec![third]);
}

#[test]
fn what_is_late_waits_for_the_end_of_a_blackout_and_nothing_starts_after_the_end() {
    let schedule = blacked_out(daily(), &["08:00-18:00"], DuringBlackout::Postpone);
    let progress = Progress::since(at("2026-01-01T12:00Z"));
    let due = schedule.due(&progress, at("2026-01-02T09:00Z"), false, SEED);
    let end = at("2026-01-02T18:00Z");
    assert_eq!(due, Due { start: vec![], skipped: 0, progress, look_again: Some(end) });
    assert_eq!(schedule.due(&due.progress, end, false, SEED).start, times(&["2026-01-02T03:00Z"]));

    let ended = Schedule { ends: Some(at("2026-01-02T12:00Z")), ..daily() };
    let queued = Progress { queued: Some(at("2026-01-01T03:00Z")), ..progress };
    let due = ended.due(&queued, at("2026-01-02T12:00Z"), false, SEED);
    assert_eq!((due.start, due.skipped, due.look_again), (vec![], 2, None));
    assert_eq!(due.progress, Progress::since(at("2026-01-02T03:00Z")));
}

#[test]
fn jitter_spreads_schedules_and_is_the_same_for_everybody() {
    let schedule = Schedule { jitter: Duration::from_secs(3_600), ..daily() };
    let run = at("2026-01-01T03:00Z");
    let delay = |seed| schedule.start_of(run, seed).duration_since(run).as_secs();
    let quarters = (0..4_000).fold([0; 4], |mut quarters, seed| {
        quarters[usize::try_from(delay(seed) / 900).unwrap()] += 1;
        quarters
    });
    assert!(quarters.iter().all(|count| (900..1_100).contains(count)), "{quarters:?}");
    // Written down: another build must not decide otherwise while runs are planned.
    assert_eq!([delay(1), delay(2), delay(3)], EXPECTED_DELAYS);
    let tomorrow = at("2026-01-02T03:00Z");
    assert_ne!(schedule.start_of(tomorrow, 1).duration_since(tomorrow).as_secs(), delay(1));
}

#[test]
fn the_longest_lengths_are_as_good_as_for_ever() {
    let grace = Duration::MAX;
    let schedule = Schedule { jitter: grace, catch_up: CatchUp::Skip { grace }, ..daily() };
    let run = at("2026-01-01T03:00Z");
    let start = schedule.start_of(run, SEED);
    assert!(start > run && start < at("2026-01-02T03:00Z"), "{start}");
    let late = at("2026-03-01T12:00Z");
    let due = schedule.due(&Progress::since(run), late, false, SEED);
    assert_eq!(due.start.len(), 1);
    let rare = Schedule::new(Rhythm::Every(Interval::new(Duration::MAX).unwrap()));
    assert_eq!(rare.next_after(run), None);
}

const EXPECTED_DELAYS: [i64; 3] = [2078, 1931, 1949];

const FIRST: i64 = 1_760_000_000;
const WEEKS: i64 = 6 * 7 * 86_400;

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(FIRST + second).unwrap()
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let rhythm = prop_oneof![
        prop::sample::select(vec![
            "0 3 * * *",
            "30 2 * * *",
            "*/20 * * * *",
            "0 */5 * * *",
            "15 9-17 * * mon-fri",
            "0 0 1,L * 5",
            "@hourly",
            "@weekly",
        ])
        .prop_map(cron),
        (60_u64..200_000)
            .prop_map(|seconds| { Rhythm::Every(Interval::new(Duration::from_secs(seconds)).unwrap()) }),
    ];
    let zone = prop::sample::select(vec![
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Sao_Paulo",
        "Asia/Kolkata",
    ]);
    let blackout = prop::sample::select(vec![
        "Mo-Fr 08:00-18:00",
        "22:00-04:00",
        "Sa-Su",
        "01:30-02:30",
        "2025-10-20/2025-10-28",
        "2025-11-02T01:30/2025-11-02T12:00",
        "We",
    ]);
    let catch_up = prop_oneof![
        Just(CatchUp::Once),
        (0_u64..20_000).prop_map(|grace| CatchUp::Skip { grace: Duration::from_secs(grace) }),
        (1_u32..20).prop_map(|at_most| CatchUp::All { at_most }),
    ];
    (
        rhythm,
        zone,
        prop_oneof![Just(0_u64), 1_u64..90_000],
        prop::collection::vec(blackout, 0..3),
        prop_oneof![Just(DuringBlackout::Postpone), Just(DuringBlackout::Skip)],
        catch_up,
        prop_oneof![Just(Overlap::Skip), Just(Overlap::Queue)],
        prop::option::of(0..WEEKS),
        prop::option::of(WEEKS / 2..2 * WEEKS),
    )
        .prop_map(
            |(rhythm, zone, jitter, blackouts, during_blackout, catch_up, overlap, starts, ends)| Schedule {
                zone: zone.parse().unwrap(),
                jitter: Duration::from_secs(jitter),
                blackouts: blackouts.into_iter().map(|text| text.parse().unwrap()).collect(),
                during_blackout,
                catch_up,
                overlap,
                starts: starts.map(second),
                ends: ends.map(second),
                ..Schedule::new(rhythm)
            },
        )
}

/// Looks at increasing times, mostly minutes or hours apart.
fn looks() -> impl Strategy<Value = Vec<(Timestamp, bool)>> {
    let step = prop_oneof![3 => 0_i64..900, 3 => 0_i64..20_000, 1 => 0_i64..400_000];
    prop::collection::vec((step, any::<bool>()), 1..30).prop_map(|steps| {
        let mut now = 0;
        steps
            .into_iter()
            .map(|(step, running)| {
                now += step;
                (second(now), running)
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn planned_times_grow_do_not_depend_on_who_asks_and_lie_outside_blackouts(
        schedule in schedules(),
        asked in 0..WEEKS,
        seed in any::<u64>(),
    ) {
        let times: Vec<Timestamp> = planned(&schedule, second(0), second(WEEKS)).into_iter().take(60).collect();
        prop_assert!(times.is_sorted_by(|one, other| one < other));
        if let (Some(last), asked) = (times.last(), second(asked)) && asked < *last {
            let expected = times.iter().find(|planned| **planned > asked).copied();
            prop_assert_eq!(schedule.next_after(asked), expected, "asked at {}", asked);
        }
        let starts: Vec<Timestamp> = times.iter().map(|planned| schedule.start_of(*planned, seed)).collect();
        prop_assert!(starts.is_sorted_by(|one, other| one < other));
        for (planned, start) in times.iter().zip(&starts) {
            prop_assert!(schedule.starts.is_none_or(|starts| *planned >= starts));
            prop_assert!(schedule.ends.is_none_or(|ends| *start < ends));
            prop_assert!(!schedule.is_blacked_out(*planned) && !schedule.is_blacked_out(*start), "{}", planned);
            let delay = start.duration_since(*planned);
            prop_assert!(!delay.is_negative() && delay.unsigned_abs() <= schedule.jitter);
            prop_assert!(schedule.jitter.is_zero() || delay.unsigned_abs() < schedule.jitter);
        }
    }

    #[test]
    fn no_run_starts_twice_too_early_in_a_blackout_or_unaccounted_for(
        schedule in schedules(),
        looks in looks(),
        seed in any::<u64>(),
    ) {
        let mut progress = Progress::since(second(0));
        let mut started: Vec<Timestamp> = Vec::new();
        let mut skipped = 0;
        let all = planned(&schedule, second(0), looks.last().unwrap().0);
        for (now, running) in looks {
            let due = schedule.due(&progress, now, running, seed);
            prop_assert!(due.progress.last_planned >= progress.last_planned);
            prop_assert!(due.look_again.is_none_or(|look_again| look_again > now));
            if !due.start.is_empty() {
                prop_assert!(!running && !schedule.is_blacked_out(now));
                prop_assert!(schedule.ends.is_none_or(|ends| now < ends));
            }
            let most = match schedule.catch_up {
                CatchUp::All { at_most } => at_most as usize,
                _ => 1,
            };
            prop_assert!(due.start.len() <= most);
            for planned in &due.start {
                prop_assert!(started.last().is_none_or(|last| last < planned), "{} after {:?}", planned, started);
                prop_assert!(schedule.start_of(*planned, seed) <= now && all.binary_search(planned).is_ok());
                started.push(*planned);
            }
            skipped += due.skipped;
            progress = due.progress;
            let decided = all.partition_point(|planned| *planned <= progress.last_planned) as u64;
            let accounted = started.len() as u64 + skipped + u64::from(progress.queued.is_some());
            // A downtime of more runs than are counted.
            prop_assert!(accounted == decided || (accounted < decided && skipped > 900), "{} of {}", accounted, decided);
        }
    }

    #[test]
    fn looking_when_told_to_starts_everything_in_its_time(
        schedule in schedules(),
        seed in any::<u64>(),
    ) {
        let mut progress = Progress::since(second(0));
        let (mut now, mut started) = (second(0), Vec::new());
        for _ in 0..60 {
            let due = schedule.due(&progress, now, false, seed);
            progress = due.progress;
            prop_assert_eq!(due.skipped, 0);
            started.extend(due.start.into_iter().map(|planned| (planned, now)));
            match due.look_again {
                Some(look_again) => now = look_again,
                None => break,
            }
        }
        let expected: Vec<(Timestamp, Timestamp)> = planned(&schedule, second(0), progress.last_planned)
            .into_iter()
            .map(|planned| (planned, schedule.start_of(planned, seed)))
            .collect();
        prop_assert_eq!(started, expected);
    }

    #[test]
    fn catching_up_with_all_starts_what_no_downtime_would_have(
        schedule in schedules(),
        looks in looks(),
        seed in any::<u64>(),
    ) {
        let schedule = Schedule { catch_up: CatchUp::All { at_most: CatchUp::MOST }, ends: None, ..schedule };
        let mut progress = Progress::since(second(0));
        let mut started = BTreeMap::new();
        let mut skipped = 0;
        let mut last = second(0);
        for (now, _) in looks.into_iter().filter(|(now, _)| !schedule.is_blacked_out(*now)) {
            let due = schedule.due(&progress, now, false, seed);
            prop_assert!(due.skipped == 0 || due.start.len() == CatchUp::MOST as usize);
            skipped += due.skipped;
            for planned in due.start {
                prop_assert!(started.insert(planned, now).is_none());
            }
            (progress, last) = (due.progress, now);
        }
        let expected: Vec<Timestamp> = planned(&schedule, second(0), last)
            .into_iter()
            .filter(|planned| schedule.start_of(*planned, seed) <= last)
            .collect();
        if skipped == 0 {
            prop_assert!(started.keys().eq(&expected), "{:?} instead of {:?}", started.keys(), expected);
        } else {
            prop_assert!(started.keys().all(|planned| expected.contains(planned)));
        }
    }

    #[test]
    fn the_last_of_many_are_found_as_if_one_had_gone_through_all(
        schedule in schedules(),
        days in 1_i64..60,
        wanted in 1_usize..9,
        seed in any::<u64>(),
    ) {
        let now = second(days * 86_400);
        let times = planned(&schedule, second(0), now);
        let Some(first) = times.first().copied() else { return Ok(()) };
        let ready: Vec<Timestamp> =
            times.into_iter().filter(|planned| schedule.start_of(*planned, seed) <= now).collect();
        let last = schedule.last_ready(first, now, seed, wanted);
        prop_assert_eq!(&ready[ready.len().saturating_sub(wanted)..], &last[..]);
    }
}
