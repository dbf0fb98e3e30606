//! Who waits for whom, and for how long.

use std::collections::BTreeSet;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn tenant(number: u128) -> TenantId {
    TenantId::new(Uuid::from_u128(number))
}

fn lane(key: u32, owner: u128, priority: Priority, due: i64) -> Lane<u32> {
    let due = Timestamp::from_second(1_000_000 + due).unwrap();
    Lane { key, tenant: tenant(owner), priority, begun: false, due }
}

fn share(weight: u32, in_flight: u64) -> Share {
    Share { weight, in_flight, most_in_flight: 1_000 }
}

#[test]
fn who_has_least_at_work_goes_first() {
    let lanes = [lane(1, 1, Priority::Urgent, 0), lane(2, 2, Priority::Low, 100)];
    let shares = BTreeMap::from([(tenant(1), share(1, 32)), (tenant(2), share(1, 0))]);
    assert_eq!(Turns::default().pick(&lanes, &shares, 10), [(2, 10)], "a flood waits for the others");
    assert_eq!(Turns::default().pick(&lanes, &shares, 36), [(2, 34), (1, 2)]);
}

#[test]
fn short_tasks_alternate_though_nothing_is_ever_at_work() {
    let lanes = [lane(1, 1, Priority::Normal, 0), lane(2, 2, Priority::Normal, 100)];
    let shares = BTreeMap::from([(tenant(1), share(1, 0)), (tenant(2), share(3, 0))]);
    let mut turns = Turns::default();
    let mut served = [0, 0];
    for _ in 0..400 {
        let picked = turns.pick(&lanes, &shares, 1);
        let (key, count) = picked[0];
        turns.served(tenant(u128::from(key)), [1, 3][key as usize - 1], count);
        served[key as usize - 1] += count;
    }
    assert_eq!(served, [100, 300], "by weight");
}

#[test]
fn being_away_saves_up_a_few_turns_and_no_more() {
    let (one, two) = (lane(1, 1, Priority::Normal, 0), lane(2, 2, Priority::Normal, 0));
    let shares = BTreeMap::from([(tenant(1), share(1, 0)), (tenant(2), share(1, 0))]);
    let mut turns = Turns::default();
    let mut serve = |lanes: &[Lane<u32>], times: u64| -> u64 {
        let mut of_two = 0;
        for _ in 0..times {
            let (key, count) = turns.pick(lanes, &shares, 1)[0];
            turns.served(tenant(u128::from(key)), 1, count);
            of_two += u64::from(key == 2);
        }
        of_two
    };
    serve(&[one, two], 100);
    for (away, saved) in [(5, 5), (1_000, AHEAD), (0, 0)] {
        serve(&[one], away);
        assert_eq!(serve(&[one, two], saved), saved, "away for {away}");
        assert!((50..=51).contains(&serve(&[one, two], 101)), "away for {away}");
    }
    // Others share what is given while it is away; it would have had as much as each of them.
    let three = lane(3, 3, Priority::Normal, 0);
    let shares = BTreeMap::from([1, 2, 3].map(|number| (tenant(number), share(1, 0))));
    let mut turns = Turns::default();
    let mut serve = |lanes: &[Lane<u32>], times: u32| -> Vec<u32> {
        let keys = (0..times).map(|_| {
            let (key, count) = turns.pick(lanes, &shares, 1)[0];
            turns.served(tenant(u128::from(key)), 1, count);
            key
        });
        keys.collect()
    };
    serve(&[one, two, three], 3);
    serve(&[one, three], 20);
    let keys = serve(&[one, two, three], 13);
    assert_eq!(keys[..10], [2; 10], "ten are half of twenty");
    let of_two = keys[10..].iter().filter(|key| **key == 2).count();
    assert!((1..=2).contains(&of_two), "then they take turns: {keys:?}");
}

#[test]
fn who_waited_when_somebody_began_to_look_has_nothing_ahead() {
    let (one, two) = (lane(1, 1, Priority::Normal, 0), lane(2, 2, Priority::Normal, 0));
    let shares = BTreeMap::from([(tenant(1), share(1, 0)), (tenant(2), share(1, 0))]);
    assert_eq!(Turns::default().pick(&[one, two], &shares, 10), [(1, 5), (2, 5)]);
}

#[test]
fn who_has_a_share_already_does_not_go_first() {
    let (one, two) = (lane(1, 1, Priority::Normal, 0), lane(2, 2, Priority::Normal, 0));
    let shares = |second| BTreeMap::from([(tenant(1), share(1, 40)), (tenant(2), share(1, second))]);
    let mut turns = Turns::default();
    turns.pick(&[one], &shares(0), 1);
    assert_eq!(turns.clone().pick(&[one, two], &shares(20), 12), [(2, 12)]);
    // 31 and 40 at work: one goes first, eight fill up its part, the last is anybody's.
    assert_eq!(turns.pick(&[one, two], &shares(31), 10), [(2, 9), (1, 1)]);
}

#[test]
fn who_was_never_seen_or_long_ago_is_not_remembered() {
    let crowd = REMEMBERED as u128 + 1_000;
    let shares: BTreeMap<TenantId, Share> = (0..=crowd).map(|number| (tenant(number), share(1, 0))).collect();
    let lanes: Vec<Lane<u32>> =
        (0..=crowd).map(|number| lane(number as u32, number, Priority::Normal, 0)).collect();
    let mut turns = Turns::default();
    turns.pick(&lanes, &shares, 1);
    turns.pick(&lanes[..1], &shares, 1);
    turns.served(tenant(0), 1, 10);
    assert_eq!(turns.standings.len(), lanes.len(), "they have ten ahead, and not more");
    turns.served(tenant(0), 1, 1_000);
    assert_eq!(turns.standings.len(), 1);
}

#[test]
fn a_tenant_has_no_more_at_work_than_it_may() {
    let lanes = [lane(1, 1, Priority::Normal, 0)];
    let full = Share { weight: 1, in_flight: 8, most_in_flight: 10 };
    let shares = BTreeMap::from([(tenant(1), full)]);
    assert_eq!(Turns::default().pick(&lanes, &shares, 50), [(1, 2)]);
    let shares = BTreeMap::from([(tenant(1), Share { in_flight: 12, ..full })]);
    assert_eq!(Turns::default().pick(&lanes, &shares, 50), []);
    assert_eq!(Turns::default().pick(&lanes, &BTreeMap::new(), 50), [], "whose tenant is gone");
}

#[test]
fn what_is_urgent_goes_first_and_what_is_not_goes_in_time() {
    let shares = BTreeMap::from([(tenant(1), share(1, 0))]);
    let waited = |seconds: i64| {
        let lanes = [lane(1, 1, Priority::High, seconds), lane(2, 1, Priority::Low, 0)];
        Turns::default().pick(&lanes, &shares, 1)[0].0
    };
    assert_eq!(waited(0), 1);
    assert_eq!(waited(599), 1);
    assert_eq!(waited(601), 2, "two steps are ten minutes");
}

#[test]
fn what_was_begun_before_goes_first_within_its_tenant() {
    let begun = Lane { begun: true, ..lane(2, 1, Priority::Low, 5_000) };
    let lanes = [lane(1, 1, Priority::Urgent, 0), begun, lane(3, 2, Priority::Low, 9_000)];
    let shares = BTreeMap::from([(tenant(1), share(1, 0)), (tenant(2), share(1, 0))]);
    assert_eq!(Turns::default().pick(&lanes, &shares, 2), [(2, 1), (3, 1)]);
}

proptest! {
    #[test]
    fn nothing_is_invented_and_nobody_is_passed_over(
        owners in proptest::collection::vec((1_u128..6, 0_u8..4, 0_i64..10_000), 1..20),
        loads in proptest::collection::vec((1_u32..5, 0_u64..50, 0_u64..60), 6),
        wanted in 0_usize..100,
    ) {
        let lanes: Vec<Lane<u32>> = owners
            .iter()
            .enumerate()
            .map(|(key, (owner, level, due))| lane(key as u32, *owner, Priority::from_level(*level).unwrap(), *due))
            .collect();
        let shares: BTreeMap<TenantId, Share> = loads
            .iter()
            .enumerate()
            .map(|(number, (weight, in_flight, most))| {
                (tenant(number as u128), Share { weight: *weight, in_flight: *in_flight, most_in_flight: *most })
            })
            .collect();
        let picked = Turns::default().pick(&lanes, &shares, wanted);
        let total: usize = picked.iter().map(|(_, count)| count).sum();
        let owners: std::collections::BTreeSet<TenantId> = lanes.iter().map(|lane| lane.tenant).collect();
        let room: u64 = owners
            .iter()
            .filter_map(|owner| shares.get(owner))
            .map(|share| share.most_in_flight.saturating_sub(share.in_flight))
            .sum();
        prop_assert_eq!(total as u64, room.min(wanted as u64));
        let mut seen = std::collections::BTreeSet::new();
        for (key, count) in &picked {
            let owner = lanes[*key as usize].tenant;
            prop_assert!(seen.insert(owner), "one lane a tenant");
            let share = shares[&owner];
            prop_assert!(share.in_flight + *count as u64 <= share.most_in_flight);
        }
    }
}

/// Workers, and tenants that ask. A place that is free is given away at once.
struct Floor {
    /// One for each process.
    turns: Vec<Turns>,
    places: usize,
    now: u64,
    /// When, which process, whose, asked by it as which.
    running: BTreeSet<(u64, usize, usize, u64)>,
    asking: Vec<Asking>,
    chance: u64,
}

struct Asking {
    weight: u32,
    /// How long its tasks take, at least and at most.
    lengths: (u64, u64),
    waiting: u64,
    begun: u64,
    in_flight: u64,
    /// When the last of them ended.
    ended: u64,
}

impl Floor {
    fn new(processes: usize, places: usize, asking: &[(u32, u64, (u64, u64))], seed: u64) -> Floor {
        let asking = asking.iter().map(|&(weight, waiting, lengths)| Asking {
            weight,
            lengths,
            waiting,
            begun: 0,
            in_flight: 0,
            ended: 0,
        });
        Floor {
            turns: vec![Turns::default(); processes],
            places,
            now: 0,
            running: BTreeSet::new(),
            asking: asking.collect(),
            chance: seed,
        }
    }

    fn fill(&mut self, process: usize) {
        let free = self.places - self.running.iter().filter(|task| task.1 == process).count();
        let waits = |(number, asking): (usize, &Asking)| {
            (asking.waiting > 0).then(|| lane(number as u32, number as u128, Priority::Normal, 0))
        };
        let lanes: Vec<Lane<u32>> = self.asking.iter().enumerate().filter_map(waits).collect();
        let shares = self.asking.iter().enumerate().map(|(number, asking)| {
            let most_in_flight = asking.in_flight + asking.waiting.min(1_000);
            let Asking { weight, in_flight, .. } = *asking;
            (tenant(number as u128), Share { weight, in_flight, most_in_flight })
        });
        let shares = shares.collect();
        for (key, count) in self.turns[process].pick(&lanes, &shares, free) {
            let asking = &mut self.asking[key as usize];
            self.turns[process].served(tenant(key.into()), asking.weight, count);
            for _ in 0..count {
                self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (least, most) = asking.lengths;
                let end = self.now + least + (self.chance >> 33) % (most - least + 1);
                self.running.insert((end, process, key as usize, asking.begun));
                asking.begun += 1;
                asking.in_flight += 1;
                asking.waiting -= 1;
            }
        }
    }

    /// Goes on until somebody's tasks have all ended, or so many of all are begun.
    fn until(&mut self, idle: Option<usize>, begun: u64) {
        for process in 0..self.turns.len() {
            self.fill(process);
        }
        let is_idle = |asking: &Asking| asking.waiting + asking.in_flight == 0;
        while !idle.is_some_and(|number| is_idle(&self.asking[number]))
            && self.asking.iter().map(|asking| asking.begun).sum::<u64>() < begun
            && let Some((end, process, number, _)) = self.running.pop_first()
        {
            self.now = end;
            self.asking[number].in_flight -= 1;
            self.asking[number].ended = end;
            self.fill(process);
        }
    }
}

/// One process with so many places, or as many processes with one each.
fn shapes() -> impl Strategy<Value = (usize, usize)> {
    (prop::sample::select(vec![1_usize, 2, 4, 16, 64]), any::<bool>())
        .prop_map(|(places, apart)| if apart { (places, 1) } else { (1, places) })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn who_asks_for_little_does_not_wait_for_who_asks_for_much(
        (processes, places) in shapes(),
        few in 1..=AHEAD,
        times_as_long in prop::sample::select(vec![1_u64, 10]),
        floods in 1_u64..4,
        before in 1_u64..2_000,
        comes_back in any::<bool>(),
        seed: u64,
    ) {
        let lengths = (50 * times_as_long, 150 * times_as_long);
        let mut asking = vec![(1, 0, (100, 100))];
        asking.extend((0..floods).map(|_| (1, 1_000_000, lengths)));
        let mut floor = Floor::new(processes, places, &asking, seed);
        let all = (processes * places) as u64;
        if comes_back {
            // It had something before, and was away for as long as it takes to be served as much.
            floor.asking[0].waiting = 20;
            floor.until(Some(0), u64::MAX);
            floor.until(None, floor.asking.iter().map(|asking| asking.begun).sum::<u64>() + (few + 2) * (floods + 1) * all);
        }
        floor.until(None, floor.asking.iter().map(|asking| asking.begun).sum::<u64>() + before);
        let asked = floor.now;
        floor.asking[0].waiting = few;
        floor.until(Some(0), u64::MAX);
        let (alone, beside) = (few.div_ceil(all) * 100, floor.asking[0].ended - asked);
        prop_assert!(2 * beside <= 3 * alone + 2 * lengths.1, "{beside}, alone {alone}");
    }

    #[test]
    fn whoever_asks_all_the_time_is_served_by_weight_in_the_long_run(
        (processes, places) in shapes(),
        weights in prop::collection::vec(1_u32..5, 2..5),
        late in 0_u64..500,
        seed: u64,
    ) {
        const TASKS: u64 = 10_000;
        let asking: Vec<_> = weights.iter().map(|weight| (*weight, 1_000_000, (50, 150))).collect();
        let mut floor = Floor::new(processes, places, &asking, seed);
        // One of them comes later than the others, and has something ahead in every process.
        floor.asking[0].waiting = 0;
        floor.until(None, late);
        floor.asking[0].waiting = 1_000_000;
        floor.until(None, late + TASKS);
        let before: Vec<u64> = floor.asking.iter().map(|asking| asking.begun).collect();
        floor.until(None, late + 2 * TASKS);
        let all: u32 = weights.iter().sum();
        let places = (processes * places) as u64;
        for ((weight, before), asking) in weights.iter().zip(before).zip(&floor.asking) {
            let (got, part) = (asking.begun - before, TASKS * u64::from(*weight) / u64::from(all));
            prop_assert!(before > 0, "nobody waits for ever");
            // Processes do not know of each other what they have served, only what they have at work.
            let inexact = if processes > 1 { part / 8 } else { part / 20 };
            prop_assert!(got.abs_diff(part) <= inexact + 2 * places, "{got} of {TASKS}, not {part}");
        }
    }

    #[test]
    fn long_tasks_take_no_more_places_than_short_ones(
        places in prop::sample::select(vec![2_usize, 4, 16, 64]),
        seed: u64,
    ) {
        let asking = [(1, 1_000_000, (50, 150)), (1, 1_000_000, (500, 1_500))];
        let mut floor = Floor::new(1, places, &asking, seed);
        for _ in 0..50 {
            floor.until(None, floor.asking.iter().map(|asking| asking.begun).sum::<u64>() + 100);
            let at_work = floor.asking.iter().map(|asking| asking.in_flight as usize);
            prop_assert!(at_work.clone().all(|count| count == places / 2), "{:?}", at_work.collect::<Vec<_>>());
        }
    }
}
