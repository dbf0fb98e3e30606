//! What the account of a crawl says of pages that it did not see: only who has looked at everything may say that something is gone.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use checks::template;
use model::{
    Account, CheckId, Endpoint, FailReason, Limits, PortSet, Profile, ScanId, Scope, Site, SkipReason, Stage,
    Unit, UnitResult, finding::Look,
};
use scanner::{
    check::{CheckSet, Reproduce},
    crawl::CrawlOptions,
    discover::{DiscoverOptions, WordList},
    http::Identity,
    pipeline::{self, Checking, Scan, ScanOptions},
    socket::Dialer,
};
use testkit::http::{HttpServer, ok, response};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const LISTING: &str = "id: listing\ninfo:\n  name: N\n  author: t\n  severity: low\n  tags: every-page\nhttp:\n  - path: \
                       ['{{BaseURL}}']\n    matchers: [{type: word, words: ['Index of']}]\n";

/// Crawls a site as a task does; the account of its one check, and all that came of it.
async fn crawl(
    limits: Limits,
    answer: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> (Account, UnitResult) {
    let server = HttpServer::start(move |seen| {
        let missing = || response("404 Not Found", &[], "");
        answer(&seen.target()).unwrap_or_else(missing)
    })
    .await;
    let limits = Limits { requests_per_second: 1_000_000, requests_per_second_per_host: 1_000_000, ..limits };
    let dialer = Dialer::new(Scope::loopback(), limits, CancellationToken::new());
    let checking = Checking {
        resolvers: Vec::new(),
        checks: Arc::new(CheckSet::new([Arc::new(template::parse(LISTING, "listing.yaml").unwrap())])),
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
    let scan = Scan::new(dialer, identity, checking, Arc::new(options));
    let address = server.address();
    let site = Site {
        base: format!("http://{address}/").parse().unwrap(),
        endpoint: Endpoint { name: None, address: address.ip(), port: address.port() },
    };
    let deadline = Instant::now() + Duration::from_secs(600);
    let result = pipeline::perform(&scan, &Unit::Crawl(site), deadline).await.unwrap();
    assert!(result.ledger.balances(), "{:?}", result.ledger);
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
