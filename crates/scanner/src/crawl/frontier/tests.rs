use std::collections::HashSet;

use model::Profile;
use url::Url;

use super::*;
use crate::crawl::{link::LinkKind, origin::Origin, robots::Robots, sieve::Sieve};

struct Bench {
    sieve: Sieve,
    frontier: Frontier,
}

impl Bench {
    fn new(options: CrawlOptions) -> Bench {
        Bench::within(options, Allowance::of(u64::MAX))
    }

    fn within(options: CrawlOptions, allowance: Allowance) -> Bench {
        let origin = Origin::of(&Url::parse("http://site.test/").unwrap()).unwrap();
        let sieve = Sieve::new(origin, Robots::parse(b"User-agent: *\nDisallow: /private"), &options);
        Bench { sieve, frontier: Frontier::new(3, 2, &options, allowance) }
    }

    fn offer(&mut self, target: &str, depth: u32) -> bool {
        let candidate = self.sieve.candidate(LinkKind::Page, &self.sieve.origin.url(target));
        self.frontier.offer(candidate, depth, 0)
    }

    fn targets(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.frontier.next()).map(|entry| entry.target.into()).collect()
    }
}

fn options() -> CrawlOptions {
    CrawlOptions {
        fold_after: Some(10),
        queue: 1_000,
        queries_per_path: 5,
        pages_per_calendar: 7,
        ..CrawlOptions::of(Profile::Standard)
    }
}

#[test]
fn each_page_waits_once_and_every_other_is_counted() {
    let mut bench = Bench::new(options());
    for target in ["/", "/b", "/?sid=3", "/b", "/%62", "/private/x", "/logout", "/a/a/a", "/x.png"] {
        bench.offer(target, 1);
    }
    bench.offer("/deep", 4);
    let far = bench.sieve.candidate(LinkKind::Page, &bench.sieve.origin.url("/far"));
    bench.frontier.offer(far, 1, 3);
    assert_eq!(bench.targets(), ["/", "/b"]);
    assert_eq!(bench.frontier.found(), 8);
    let expected = PassedOver {
        disallowed: 1,
        state_changing: 1,
        traps: 2,
        media: 1,
        too_deep: 1,
        ..PassedOver::default()
    };
    assert_eq!(bench.frontier.close(2), expected);
}

#[test]
fn queries_and_calendars_are_cut_off() {
    let mut bench = Bench::new(CrawlOptions { fold_after: None, ..options() });
    for number in 0..100 {
        bench.offer(&format!("/search?q=word{}", char::from(b'a' + number % 26)), 1);
        bench.offer(&format!("/2024/{number}"), 1);
    }
    let targets = bench.targets();
    assert_eq!(targets.iter().filter(|target| target.starts_with("/search")).count(), 5);
    assert_eq!(targets.iter().filter(|target| target.starts_with("/2024")).count(), 7);
    assert_eq!(bench.frontier.close(12).traps, 21 + 93);
}

#[test]
fn a_shape_is_folded_after_a_batch_that_looks_the_same() {
    let mut bench = Bench::new(options());
    (0..50).for_each(|number| assert!(bench.offer(&format!("/item/{number}"), 1)));
    bench.offer("/about", 1);
    let first: Vec<Entry> = std::iter::from_fn(|| bench.frontier.next()).collect();
    assert_eq!(first.len(), 11, "a batch, and what is of another shape");
    assert!(!bench.frontier.is_empty());
    for entry in &first {
        bench.frontier.settle(entry.shape, entry.variable, 7);
    }
    assert!(bench.frontier.is_empty());
    assert!(bench.offer("/item/1000", 1));
    assert!(bench.frontier.next().is_none());
    let expected = PassedOver { folded: 41, ..PassedOver::default() };
    assert_eq!(bench.frontier.close(11), expected);
}

#[test]
fn a_shape_that_varies_is_fetched_to_the_end() {
    let mut bench = Bench::new(options());
    (0..50).for_each(|number| assert!(bench.offer(&format!("/item/{number}"), 1)));
    let mut fetched = HashSet::new();
    let mut skeleton = 0;
    loop {
        let batch: Vec<Entry> = std::iter::from_fn(|| bench.frontier.next()).collect();
        if batch.is_empty() {
            break;
        }
        assert_eq!(batch.len(), 10);
        for entry in batch {
            skeleton += 1;
            bench.frontier.settle(entry.shape, entry.variable, skeleton % 3);
            fetched.insert(entry.target);
        }
    }
    assert_eq!(fetched.len(), 50);
    assert_eq!(bench.frontier.close(50), PassedOver::default());
}

#[test]
fn memory_is_bounded() {
    let mut bench = Bench::new(CrawlOptions { queue: 10, ..options() });
    let names = (0..200_u32).map(|number| {
        format!(
            "/{}",
            number.to_string().replace(|c: char| c.is_ascii_digit(), "w") + &"x".repeat(number as usize)
        )
    });
    for name in names {
        bench.offer(&name, 1);
    }
    assert_eq!(bench.frontier.queue.len(), 10);
    assert!(bench.frontier.known.len() <= 80);
    assert_eq!(bench.frontier.found(), 200);
    assert_eq!(
        bench.frontier.close(0),
        PassedOver { queue_full: 190, not_reached: 10, ..PassedOver::default() }
    );
}

#[test]
fn what_there_is_no_room_for_is_counted_until_it_is_found_again() {
    let allowance = Allowance::of(1_000);
    let mut bench = Bench::within(options(), allowance.clone());
    let mut body = allowance.charge();
    body.cover(1_000).unwrap();
    assert!(bench.offer("/a", 1) && bench.offer("/b", 1));
    assert!(!bench.offer("/a", 1), "it is known, though not kept");
    assert_eq!((bench.frontier.found(), bench.targets()), (2, Vec::new()));
    drop(body);
    assert!(!bench.offer("/a", 1));
    assert_eq!((bench.frontier.found(), bench.targets()), (2, vec!["/a".to_owned()]));
    assert_eq!(bench.frontier.close(1), PassedOver { no_room: 1, ..PassedOver::default() });
}
