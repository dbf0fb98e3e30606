//! What scans saw that looked at the same things at the same time: what counts is when they looked, and not who says so first.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use jiff::Timestamp;
use model::{
    Asset, CheckId, Endpoint, Finding, Fingerprint, Location, Outcome, Protocol, ScanId, ScanRequest, Scope,
    Service, Severity, Stage, Unit, UnitResult, Work,
    account::FailReason,
    finding::{History, Life, Look},
};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::Value;
use store::{Beat, Ending, FindingFilter, KnownFinding, NewScan, Settlement};

use crate::{
    findings::{SITE, almost, finding},
    ground::{Ground, LEASE, Worker},
    stored,
};

crate::contract! {
    a_look_that_is_committed_late_overturns_nothing
    a_look_is_dated_by_the_try_that_made_it
    looks_that_are_committed_at_once_know_of_each_other
    what_the_latest_look_saw_is_kept
}

async fn settled(ground: &Ground, settlements: &[Settlement]) {
    for settlement in settlements {
        ground.store.settle(vec![settlement.clone()]).await.unwrap().remove(0).unwrap();
    }
}

async fn begun(ground: &Ground, settlement: &Settlement) -> Timestamp {
    ground.task(settlement.lease.task).await.started_at.unwrap()
}

async fn the_one(ground: &Ground) -> KnownFinding {
    let mut known = ground.store.findings(ground.tenant, FindingFilter::default(), 100).await.unwrap();
    assert_eq!(known.len(), 1);
    known.remove(0)
}

async fn a_look_that_is_committed_late_overturns_nothing(ground: Ground) {
    let seen = || vec![finding("git-config", Severity::High)];
    let (there, gone) = ([("git-config", Outcome::Matched)], [("git-config", Outcome::NotMatched)]);
    for late in [false, true] {
        let ground = ground.of(ground.another_tenant(&format!("late {late}")).await);
        let in_order = |mut both: [Settlement; 2]| {
            if late {
                both.reverse();
            }
            both
        };
        let (_, first) = almost(&ground, seen(), &there).await;
        let (_, second) = almost(&ground, vec![], &gone).await;
        let (seen_at, missed_at) = (begun(&ground, &first).await, begun(&ground, &second).await);
        settled(&ground, &in_order([first, second])).await;
        let known = the_one(&ground).await;
        assert_eq!(known.life, Life::Fixed { since: missed_at }, "late: {late}");
        assert_eq!((known.history.first_seen, known.history.last_seen), (seen_at, seen_at), "late: {late}");

        let (_, third) = almost(&ground, vec![], &gone).await;
        let (_, fourth) = almost(&ground, seen(), &there).await;
        let (missed_at, again_at) = (begun(&ground, &third).await, begun(&ground, &fourth).await);
        settled(&ground, &in_order([third, fourth])).await;
        let known = the_one(&ground).await;
        assert_eq!(known.life, Life::Reopened { after: missed_at }, "late: {late}");
        assert_eq!((known.history.first_seen, known.history.last_seen), (seen_at, again_at), "late: {late}");
    }
}

async fn a_look_is_dated_by_the_try_that_made_it(ground: Ground) {
    let seen = vec![finding("git-config", Severity::High)];
    let (_, lost) = almost(&ground, seen, &[("git-config", Outcome::Matched)]).await;
    let first_try = begun(&ground, &lost).await;
    ground.advance(Duration::from_secs(10)).await;
    assert_eq!(ground.store.heartbeat(vec![lost.lease], LEASE).await.unwrap(), [Beat::Extended]);
    assert_eq!(begun(&ground, &lost).await, first_try, "a heartbeat begins nothing");
    // As long as a lease and the longest wait after it.
    ground.advance(LEASE).await;
    assert_eq!(ground.store.reclaim(10).await.unwrap().tasks, 1);
    ground.advance(Duration::from_secs(600)).await;
    let lease = Worker::new(2).claim_of(&ground, &[Stage::Check], 1).await.remove(0).lease;
    let second = Settlement { lease, ..lost };
    ground.advance(Duration::from_secs(60)).await;
    settled(&ground, std::slice::from_ref(&second)).await;
    let (begun, history) = (begun(&ground, &second).await, the_one(&ground).await.history);
    assert!(begun > first_try);
    assert_eq!((history.first_seen, history.last_seen), (begun, begun));
}

async fn looks_that_are_committed_at_once_know_of_each_other(ground: Ground) {
    for round in 0..10 {
        let ground = ground.of(ground.another_tenant(&format!("round {round}")).await);
        let seen = vec![finding("git-config", Severity::High)];
        let (_, first) = almost(&ground, seen, &[("git-config", Outcome::Matched)]).await;
        let (_, second) = almost(&ground, vec![], &[("git-config", Outcome::NotMatched)]).await;
        let since = begun(&ground, &second).await;
        let (first, second) =
            tokio::join!(ground.store.settle(vec![first]), ground.store.settle(vec![second]));
        first.unwrap().remove(0).unwrap();
        second.unwrap().remove(0).unwrap();
        assert_eq!(the_one(&ground).await.life, Life::Fixed { since }, "round {round}");
    }
}

async fn what_the_latest_look_saw_is_kept(ground: Ground) {
    let page = |title: &str| Asset::Page {
        url: SITE.parse().unwrap(),
        status: 200,
        title: Some(title.to_owned()),
        content_type: None,
        length: 1,
        technologies: Vec::new(),
    };
    let look = async |ground: &Ground, word: &str, severity| {
        let mut seen = finding("git-config", severity);
        seen.name = word.to_owned();
        seen.evidence[0].response = word.to_owned();
        let (scan, mut settlement) = almost(ground, vec![seen], &[("git-config", Outcome::Matched)]).await;
        let Ending::Unit(result) = &mut settlement.ending else { panic!("a unit") };
        result.assets.push(page(word));
        (scan, settlement)
    };
    for late in [false, true] {
        let ground = ground.of(ground.another_tenant(&format!("late {late}")).await);
        let (_, first) = look(&ground, "earlier", Severity::High).await;
        let (scan, second) = look(&ground, "later", Severity::Low).await;
        let mut both = [first, second];
        if late {
            both.reverse();
        }
        settled(&ground, &both).await;
        let known = the_one(&ground).await;
        assert_eq!((known.finding.name.as_str(), known.finding.severity), ("later", Severity::Low));
        let high = FindingFilter { at_least: Some(Severity::High), ..FindingFilter::default() };
        assert_eq!(ground.store.findings(ground.tenant, high, 10).await.unwrap(), []);
        let whole = ground.store.finding(ground.tenant, known.finding.fingerprint).await.unwrap();
        assert_eq!(whole.finding.evidence[0].response, "later", "late: {late}");
        let (assets, _) = ground.store.assets(ground.tenant, scan, None, 10).await.unwrap();
        assert_eq!(assets, [page("later")], "late: {late}");
    }
}

const SITES: [&str; 2] = [SITE, "http://127.0.0.10:8080/"];
/// The first looks the same wherever it is; the others are at the site.
const CHECKS: [&str; 2] = ["of-both", "of-one"];

/// What a look at a site says of a check.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Said {
    /// With a severity of its own.
    Seen(Severity),
    Missed,
    Failed,
    Nothing,
}

/// What a scan says of both sites, or of the first one only.
#[derive(Debug, Clone)]
struct Plan {
    sites: Vec<([Said; 2], u8)>,
}

/// Looks that begin together; then further ones.
type Plans = Vec<Vec<Plan>>;

#[derive(Debug, Clone)]
struct Order {
    keys: Vec<u16>,
    again: Vec<bool>,
    together: Vec<bool>,
}

/// No more looks than these are planned at once.
const MOST: usize = 12;

fn plans() -> impl Strategy<Value = Plans> {
    let said = prop_oneof![
        3 => prop_oneof![Just(Severity::Low), Just(Severity::High)].prop_map(Said::Seen),
        3 => Just(Said::Missed),
        1 => Just(Said::Failed),
        1 => Just(Said::Nothing),
    ];
    let site = ([said.clone(), said], 0_u8..3);
    let plan = proptest::collection::vec(site, 1..=2).prop_map(|sites| Plan { sites });
    proptest::collection::vec(proptest::collection::vec(plan, 1..=2), 1..=3)
}

fn order() -> impl Strategy<Value = Order> {
    let often = |least| proptest::collection::vec(proptest::bool::weighted(0.3), least);
    (proptest::collection::vec(any::<u16>(), MOST), often(MOST), often(MOST * 2))
        .prop_map(|(keys, again, together)| Order { keys, again, together })
}

impl Order {
    /// In batches.
    fn of<T: Clone>(&self, things: &[T]) -> Vec<Vec<T>> {
        let mut places: Vec<usize> = (0..things.len()).collect();
        places.sort_by_key(|place| self.keys[*place]);
        let repeated: Vec<usize> = places.iter().copied().filter(|place| self.again[*place]).collect();
        let mut batches: Vec<Vec<T>> = Vec::new();
        for (number, place) in places.into_iter().chain(repeated).enumerate() {
            match batches.last_mut() {
                Some(last) if self.together[number] => last.push(things[place].clone()),
                _ => batches.push(vec![things[place].clone()]),
            }
        }
        batches
    }
}

/// What one look said, and when it began.
struct Told {
    at: Timestamp,
    site: usize,
    said: [Said; 2],
}

fn at(site: usize, check: usize) -> Location {
    Location::Url(SITES[if check == 0 { 0 } else { site }].parse().unwrap())
}

fn found(site: usize, check: usize, severity: Severity, word: &str) -> Finding {
    let location = at(site, check);
    let mut found = finding(CHECKS[check], severity);
    found.fingerprint = Fingerprint::of(&found.check, None, &location);
    found.addresses = vec![["127.0.0.9", "127.0.0.10"][site].parse().unwrap()];
    found.evidence[0].response = word.to_owned();
    Finding { location, ..found }
}

fn result(site: usize, said: [Said; 2], looks: u8, word: &str) -> UnitResult {
    let mut result = UnitResult::default();
    for (check, said) in said.into_iter().enumerate() {
        let id = CheckId::new(CHECKS[check]);
        let outcome = match said {
            Said::Seen(severity) => {
                result.findings.push(found(site, check, severity, word));
                Outcome::Matched
            }
            Said::Missed => Outcome::NotMatched,
            Said::Failed => Outcome::Failed(FailReason::TimedOut),
            Said::Nothing => continue,
        };
        result.ledger.plan(&id, 1);
        result.ledger.end(&id, outcome);
    }
    let address = ["127.0.0.9", "127.0.0.10"][site].parse().unwrap();
    result.assets.push(Asset::Service(Service {
        endpoint: Endpoint { name: None, address, port: 8080 },
        protocol: Protocol::HTTP,
        product: Some(format!("product {looks}")),
        version: None,
        cpe: None,
        banner: word.to_owned(),
        tls: None,
    }));
    result
}

/// Does what is planned, says it in that order, and reads what the store knows then: times and names of what is new each time as
/// numbers.
async fn outcome(
    ground: &Ground,
    plans: &Plans,
    order: &Order,
) -> (Vec<String>, Vec<KnownFinding>, Vec<Told>) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("tenant {}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let ground = ground.of(ground.another_tenant(&name).await);
    ground.store.put_scope(ground.tenant, "loopback", Scope::loopback(), "test".to_owned()).await.unwrap();
    let (mut settlements, mut told) = (Vec::new(), Vec::new());
    let mut words: BTreeMap<String, String> = BTreeMap::new();
    for plans in plans {
        ground.advance(Duration::from_secs(60)).await;
        let mut scans: BTreeMap<ScanId, &Plan> = BTreeMap::new();
        for plan in plans {
            let request = ScanRequest { stages: [Stage::Check].into(), ..ScanRequest::within("loopback") };
            let new = NewScan {
                request,
                targets: SITES[..plan.sites.len()].iter().map(|site| site.parse().unwrap()).collect(),
                by: "test".into(),
                checks: "1".to_owned(),
                price: None,
            };
            let (scan, _) = ground.store.submit_scan(ground.tenant, new).await.unwrap();
            words.insert(scan.to_string(), format!("scan {}", words.len()));
            scans.insert(scan, plan);
        }
        let mut claimed = Worker::new(1).claim_of(&ground, &[Stage::Check], 1_000).await;
        claimed.retain(|task| task.lease.tenant == ground.tenant);
        claimed.sort_by_key(|task| task.lease.task);
        for task in claimed {
            let Work::Unit(Unit::CheckSite(site)) = &task.work else { panic!("{task:?}") };
            let site = SITES.iter().position(|known| *known == site.base.as_str()).unwrap();
            let (said, looks) = scans[&task.lease.scan.unwrap()].sites[site];
            let at = ground.task(task.lease.task).await.started_at.unwrap();
            let word = format!("look {}", told.len());
            for known in [at.as_microsecond().to_string(), at.to_string()] {
                words.entry(known).or_insert_with(|| format!("time {}", told.len()));
            }
            for known in [task.lease.task.to_string(), task.lease.task.to_string().replace('-', "")] {
                words.insert(known, format!("task {}", told.len()));
            }
            let ending = Ending::Unit(Box::new(result(site, said, looks, &word)));
            settlements.push(Settlement::silent(task.lease, ending));
            told.push(Told { at, site, said });
        }
    }
    assert_eq!(settlements.len(), plans.iter().flatten().map(|plan| plan.sites.len()).sum::<usize>());
    for batch in order.of(&settlements) {
        for answer in ground.store.settle(batch).await.unwrap() {
            answer.unwrap();
        }
    }
    let known = ground.store.findings(ground.tenant, FindingFilter::default(), 100).await.unwrap();
    let mut rows = Vec::new();
    for table in ["assets", "findings", "sightings", "evidence", "unit_visits", "observations"] {
        for row in stored::rows(&ground, table).await {
            rows.push(format!("{table} {:?}", plain(row, &words)));
        }
    }
    rows.sort();
    (rows, known, told)
}

/// Without what is new each time. A time or a task that no look has does not belong there.
fn plain(row: BTreeMap<String, Value>, words: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    row.into_iter()
        .filter(|(column, _)| column != "tenant_id")
        .map(|(column, value)| {
            let text = match value {
                Value::String(text) => match text.parse::<Timestamp>() {
                    Ok(time) => time.to_string(),
                    Err(_) => text,
                },
                other => other.to_string(),
            };
            let named =
                ["first_seen", "last_seen", "last_missed", "taken_at", "looked_at", "task_id", "scan_id"];
            let text = match words.get(&text) {
                Some(word) => word.clone(),
                None if named.contains(&column.as_str()) && text != "null" => {
                    panic!("{column} {text} is of no look")
                }
                None => text,
            };
            (column, text)
        })
        .collect()
}

/// What the looks say when they are told in the order in which they were made.
fn expected(told: &[Told]) -> BTreeMap<Fingerprint, History> {
    let mut places: BTreeMap<Fingerprint, Vec<History>> = BTreeMap::new();
    for site in 0..SITES.len() {
        for (check, name) in CHECKS.iter().enumerate() {
            let looks = told.iter().filter(|told| told.site == site);
            let mut looks: Vec<(Timestamp, Look)> = looks
                .map(|told| match told.said[check] {
                    Said::Seen(_) => (told.at, Look::Seen),
                    Said::Missed => (told.at, Look::Missed),
                    Said::Failed | Said::Nothing => (told.at, Look::Blind),
                })
                .collect();
            // Of two that began together the one that saw it is believed.
            looks.sort_by_key(|(at, look)| (*at, *look != Look::Seen));
            let Some(first) = looks.iter().position(|(_, look)| *look == Look::Seen) else { continue };
            let begun = looks[first].0;
            let mut history = History::new(begun);
            for (at, look) in looks.into_iter().filter(|(at, look)| *at > begun || *look == Look::Seen) {
                history = history.looked(at, look);
            }
            let fingerprint = Fingerprint::of(&CheckId::new(name), None, &at(site, check));
            places.entry(fingerprint).or_default().push(history);
        }
    }
    places.into_iter().map(|(key, places)| (key, History::over(&places, None).unwrap())).collect()
}

fn in_any_order(cases: u32, ground: impl Future<Output = Ground>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ground = runtime.block_on(ground);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let orders = (plans(), order(), order());
    let checked = TestRunner::new(config).run(&orders, |(plans, one, other)| {
        runtime.block_on(async {
            let (rows, known, told) = outcome(&ground, &plans, &one).await;
            let (others, ..) = outcome(&ground, &plans, &other).await;
            prop_assert_eq!(&rows, &others);
            let known: BTreeMap<_, _> =
                known.into_iter().map(|known| (known.finding.fingerprint, known.history)).collect();
            prop_assert_eq!(known, expected(&told));
            Ok(())
        })
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn in_any_order_looks_say_the_same_in_sqlite() {
    in_any_order(64, Ground::sqlite());
}

#[test]
fn in_any_order_looks_say_the_same_in_postgresql() {
    in_any_order(8, Ground::postgres());
}
