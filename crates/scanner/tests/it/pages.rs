//! What the accounts of units say, those of crawls above all: only who has looked at everything may say that something is gone.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use checks::template;
use jiff::Timestamp;
use model::{
    Account, CheckId, Endpoint, FailReason, Limits, PortSet, Profile, ScanId, Scope, Site, SkipReason, Stage,
    Unit, UnitResult, finding::Look, scope::TimeWindow,
};
use scanner::{
    check::{CheckSet, Reproduce},
    crawl::CrawlOptions,
    discover::{DiscoverOptions, WordList},
    http::Identity,
    pipeline::{self, Checking, Scan, ScanOptions},
    socket::Dialer,
};
use testkit::{
    http::{HttpServer, ok, response},
    tcp::TcpServer,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const LISTING: &str = "id: listing\ninfo:\n  name: N\n  author: t\n  severity: low\n  tags: every-page\nhttp:\n  - path: \
                       ['{{BaseURL}}']\n    matchers: [{type: word, words: ['Index of']}]\n";

/// A scan with these templates, that asks as fast as it can.
fn scan(limits: Limits, templates: &[String]) -> Scan {
    scan_within(Scope::loopback(), limits, templates)
}

fn scan_within(scope: Scope, limits: Limits, templates: &[String]) -> Scan {
    let limits = Limits { requests_per_second: 1_000_000, requests_per_second_per_host: 1_000_000, ..limits };
    let dialer = Dialer::new(scope, limits, CancellationToken::new());
    let parsed = |text: &String| Arc::new(template::parse(text, "test.yaml").unwrap());
    let checking = Checking {
        resolvers: Vec::new(),
        checks: Arc::new(CheckSet::new(templates.iter().map(parsed))),
        scan: ScanId::from_random(7),
        variables: BTreeMap::new(),
        reproduce: Reproduce::default(),
    };
    let options = ScanOptions {
        stages: [Stage::Crawl, Stage::Check].into(),
        ports: PortSet::default(),
        identify: true,
        discover: DiscoverOptions { words: WordList::none(), brute_force: false, recurse: false },
        crawl: CrawlOptions { fold_after: None, ..CrawlOptions::of(Profile::Standard) },
    };
    let identity = Identity { user_agent: "rampart-test".to_owned() };
    Scan::new(dialer, identity, checking, Arc::new(options))
}

fn site(server: &HttpServer) -> Site {
    let address = server.address();
    let endpoint = Endpoint { name: None, address: address.ip(), port: address.port() };
    Site { base: format!("http://{address}/").parse().unwrap(), endpoint }
}

/// Does a unit as a task does.
async fn perform(scan: &Scan, unit: Unit) -> UnitResult {
    let deadline = Instant::now() + Duration::from_secs(600);
    let result = pipeline::perform(scan, &unit, deadline).await.unwrap();
    assert!(result.ledger.balances(), "{:?}", result.ledger);
    result
}

/// Crawls a site; the account of its one check, and all that came of it.
async fn crawl(
    limits: Limits,
    answer: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> (Account, UnitResult) {
    let missing = || response("404 Not Found", &[], "");
    let server = HttpServer::start(move |seen| answer(&seen.target()).unwrap_or_else(missing)).await;
    let result = perform(&scan(limits, &[LISTING.to_owned()]), Unit::Crawl(site(&server))).await;
    (result.ledger.checks.get(&CheckId::new("listing")).cloned().unwrap_or_default(), result)
}

fn limits() -> Limits {
    Profile::Standard.limits()
}

fn links(count: usize) -> Vec<u8> {
    let links: String = (0..count).map(|number| format!("<a href=/{number}>x</a>")).collect();
    response("200 OK", &["Content-Type: text/html"], links)
}

fn broken() -> Vec<u8> {
    b"this is no answer\r\n\r\n".to_vec()
}

#[tokio::test]
async fn a_check_that_saw_every_page_says_that_something_is_gone() {
    let (account, result) = crawl(limits(), |target| match target {
        "/" => Some(links(5)),
        "/0" => Some(ok("Index of /0")),
        "/1" | "/2" | "/3" | "/4" => Some(ok("nothing")),
        _ => None,
    })
    .await;
    assert_eq!((account.planned, account.matched, account.not_matched), (5, 1, 4), "{account:?}");
    assert_eq!((result.undetermined, result.left_out), (Vec::<String>::new(), Vec::new()));
    assert_eq!(Look::of_missing(&account), Look::Missed);
}

#[tokio::test]
async fn a_page_that_fails_leaves_its_checks_undetermined() {
    let (account, result) = crawl(limits(), |target| match target {
        "/" => Some(links(5)),
        "/0" => Some(broken()),
        "/robots.txt" | "/sitemap.xml" => None,
        _ => Some(ok("nothing")),
    })
    .await;
    assert_eq!((account.planned, account.not_matched), (5, 4), "{account:?}");
    assert_eq!(account.failed, BTreeMap::from([(FailReason::Protocol, 1)]));
    let [why] = result.undetermined.as_slice() else { panic!("{:?}", result.undetermined) };
    assert!(why.contains("/0: "), "{why}");
    assert_eq!(Look::of_missing(&account), Look::Blind);
}

#[tokio::test]
async fn failures_that_are_not_named_are_counted() {
    let (account, result) = crawl(limits(), |target| match target {
        "/" => Some(links(25)),
        "/robots.txt" | "/sitemap.xml" => None,
        _ => Some(broken()),
    })
    .await;
    assert_eq!(account.failed, BTreeMap::from([(FailReason::Protocol, 25)]), "{account:?}");
    assert_eq!(result.undetermined.len(), 21, "{:?}", result.undetermined);
    assert_eq!(result.undetermined.last().unwrap(), "5 further requests of the crawl failed");
}

#[tokio::test]
async fn what_lies_beyond_a_limit_was_not_looked_at() {
    let (account, result) = crawl(Limits { crawl_pages: 3, ..limits() }, |target| match target {
        "/" => Some(links(5)),
        "/robots.txt" | "/sitemap.xml" => None,
        _ => Some(ok("nothing")),
    })
    .await;
    assert_eq!((account.planned, account.not_matched), (3, 2), "{account:?}");
    assert_eq!(account.skipped, BTreeMap::from([(SkipReason::Limit, 1)]));
    assert_eq!((result.undetermined, result.left_out.len()), (Vec::new(), 1), "a limit is a choice");
    assert_eq!(Look::of_missing(&account), Look::Blind);
}

#[tokio::test]
async fn sources_of_pages_that_fail_are_told_and_those_that_are_not_there_are_not() {
    for (source, answered, expected) in [
        ("/sitemap.xml", broken(), Some(FailReason::Protocol)),
        ("/sitemap.xml", response("503 Service Unavailable", &[], ""), Some(FailReason::Unreachable)),
        ("/robots.txt", broken(), Some(FailReason::Protocol)),
        ("/robots.txt", response("503 Service Unavailable", &[], ""), Some(FailReason::Unreachable)),
        ("/sitemap.xml", response("403 Forbidden", &[], ""), None),
        ("/robots.txt", response("410 Gone", &[], ""), None),
    ] {
        let (account, result) = crawl(limits(), move |target| match target {
            "/" => Some(links(1)),
            "/0" => Some(ok("nothing")),
            target => (target == source).then(|| answered.clone()),
        })
        .await;
        let failed: Vec<FailReason> = account.failed.keys().copied().collect();
        assert_eq!(failed, Vec::from_iter(expected), "{source}: {account:?}");
        let told = result.undetermined.iter().any(|why| why.contains(&format!("{source}: ")));
        assert_eq!(told, expected.is_some(), "{source}: {:?}", result.undetermined);
        assert_eq!(result.undetermined.is_empty(), expected.is_none(), "{source}: {:?}", result.undetermined);
    }
}

#[tokio::test]
async fn what_only_the_rest_of_a_long_answer_names_was_not_looked_at() {
    let limits = || Limits { response_bytes: 4 << 10, ..limits() };
    let listed: String = (0..500).map(|number| format!("<loc>/{number}</loc>")).collect();
    let packed = {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(listed.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    assert!(packed.len() < 4 << 10);
    let rules: String = (0..500).map(|number| format!("Allow: /{number}\n")).collect();
    let page = response("200 OK", &["Content-Type: text/html"], [b' '; 8 << 10]);
    for (long, answered, cut) in [
        ("/sitemap.xml", ok(listed), true),
        ("/sitemap.xml", ok(packed), true),
        ("/robots.txt", ok(format!("User-agent: *\n{rules}")), true),
        ("/", links(500), true),
        ("/0", links(500), true),
        // Many sites say so with a page.
        ("/sitemap.xml", page, false),
        ("/0", response("200 OK", &["Content-Type: image/png"], [b'x'; 8 << 10]), false),
    ] {
        let (account, result) = crawl(limits(), move |target| match target {
            target if target == long => Some(answered.clone()),
            "/" => Some(links(1)),
            "/robots.txt" | "/sitemap.xml" => None,
            _ => Some(ok("nothing")),
        })
        .await;
        let failed = account.failed.get(&FailReason::Incomplete).copied().unwrap_or_default();
        // What a check says of a page of which it saw the beginning only is its own affair.
        let of_page = u64::from(long == "/0");
        assert!((u64::from(cut)..=u64::from(cut) + of_page).contains(&failed), "{long}: {account:?}");
        let told = result.undetermined.iter().filter(|why| why.contains("what the rest of it names")).count();
        assert_eq!(told, usize::from(cut), "{long}: {:?}", result.undetermined);
        assert!(!cut || Look::of_missing(&account) == Look::Blind, "{long}: {account:?}");
        assert!(account.not_matched > 0 || long == "/0", "{long}: {account:?}");
    }
}

#[tokio::test]
async fn answers_that_are_kept_for_other_checks_leave_room_for_the_next() {
    const CHECKS: u64 = 40;
    let server = HttpServer::start(|_| ok(vec![b'x'; 60 << 10])).await;
    let template = |number: u64| {
        LISTING
            .replace("id: listing", &format!("id: listing-{number}"))
            .replace("BaseURL}}", &format!("BaseURL}}}}/{number}"))
    };
    let templates: Vec<String> = (0..CHECKS).map(template).collect();
    let scan = scan(Limits { held_bytes: 1 << 20, ..limits() }, &templates);
    let result = perform(&scan, Unit::CheckSite(site(&server))).await;
    let total = result.ledger.total();
    assert_eq!((total.planned, total.not_matched), (CHECKS, CHECKS), "{total:?}");
    assert_eq!(result.undetermined, Vec::<String>::new());
}

#[tokio::test]
async fn a_unit_ends_when_the_time_window_closes_also_in_the_middle_of_an_answer() {
    let server = TcpServer::start(async |_stream, _| std::future::pending().await).await;
    let address = server.address();
    let endpoint = Endpoint { name: None, address: address.ip(), port: address.port() };
    let site = Site { base: format!("http://{address}/").parse().unwrap(), endpoint };
    let long = Duration::from_secs(600);
    let limits = Limits { request_deadline: long, host_deadline: long, crawl_deadline: long, ..limits() };
    for unit in [Unit::CheckSite(site.clone()), Unit::Crawl(site)] {
        let closes = Timestamp::now() + Duration::from_millis(500);
        let window = TimeWindow { not_after: Some(closes), ..TimeWindow::ALWAYS };
        let scope = Scope { window, ..Scope::loopback() };
        let scan = scan_within(scope, limits.clone(), &[LISTING.to_owned()]);
        let unit = pipeline::perform(&scan, &unit, Instant::now() + long);
        let ended = tokio::time::timeout(Duration::from_secs(60), unit).await;
        assert!(matches!(ended, Ok(None)), "{ended:?}: it has no result, and somebody does it again");
    }
}

/// The checks of the site account for its first page; what that would have led to was not looked at by anybody.
#[tokio::test]
async fn a_first_page_that_fails_leaves_all_pages_undetermined() {
    let (account, _) = crawl(limits(), |target| (target == "/").then(broken)).await;
    assert_eq!(account.failed, BTreeMap::from([(FailReason::Protocol, 1)]), "{account:?}");
    let mut of_both = Account { planned: 1, not_matched: 1, ..Account::default() };
    assert_eq!(Look::of_missing(&of_both), Look::Missed);
    of_both.add(&account);
    assert_eq!(Look::of_missing(&of_both), Look::Blind);
}

#[tokio::test]
async fn addresses_elsewhere_are_counted_beyond_those_that_are_kept() {
    const QUEUE: u64 = 50;
    let server = HttpServer::start(|seen| match seen.target().as_str() {
        "/" => ok("first"),
        "/sitemap.xml" => {
            let urls = (0..QUEUE + 20).map(|number| format!("<loc>http://other.test/{number}</loc>"));
            ok(urls.collect::<String>())
        }
        _ => response("404 Not Found", &[], ""),
    })
    .await;
    let mut scan = scan(limits(), &[]);
    let options = Arc::get_mut(&mut scan.options).unwrap();
    options.crawl.queue = QUEUE as u32;
    let result = perform(&scan, Unit::Crawl(site(&server))).await;
    assert_eq!(result.left_out, ["links to other origins are not followed: 70"]);
}

#[tokio::test]
async fn sitemaps_beyond_those_that_are_read_count_as_not_looked_at() {
    let (account, result) = crawl(limits(), |target| match target {
        "/" => Some(links(1)),
        "/0" => Some(ok("nothing")),
        "/sitemap.xml" => {
            let maps = (0..20).map(|number| format!("<sitemap><loc>/map-{number}.xml</loc></sitemap>"));
            Some(ok(format!("<sitemapindex>{}</sitemapindex>", maps.collect::<String>())))
        }
        map if map.starts_with("/map-") => Some(ok("<urlset></urlset>")),
        _ => None,
    })
    .await;
    assert_eq!(account.skipped, BTreeMap::from([(SkipReason::Limit, 1)]), "{account:?}");
    assert_eq!(result.left_out, ["5 of the 7 pages found were not fetched"], "the index, and 15 of 20");
    assert_eq!(Look::of_missing(&account), Look::Blind);
}
