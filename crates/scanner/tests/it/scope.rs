//! Nothing leaves the scope: 100,000 redirects, links and records, most of which lead out, against the whole engine in a network
//! namespace where a connection to anywhere is answered and seen.

mod destinations;
mod internet;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use checks::Template;
use futures_util::{StreamExt, stream};
use model::{Endpoint, Event, Ledger, Limits, Profile, ScanId, Scope, SkipReason, Stage};
use scanner::{
    check::{CheckSet, Checker, Reproduce},
    crawl::{self, CrawlItem, CrawlOptions, RobotsPolicy},
    discover::{DiscoverOptions, WordList},
    dns::Resolver,
    http::{HttpClient, Identity},
    pipeline::{self, End, Scan, ScanOptions, Status},
    socket::{DialError, Dialer},
};
use tokio::{net::TcpStream, sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use url::Url;

use self::{
    destinations::{EXCLUDED_NETWORK, EXCLUDED_PORT, Truth, destination, is_inside},
    internet::{Internet, LINKS, addresses, everything_is_here},
};

const REDIRECTS: u64 = 12_800;
/// Redirects of one site: as many other origins as a unit talks to.
const PER_SITE: u64 = 16;
const PAGES: u64 = 420;
/// Names with two records each, or more.
const NAMES: u64 = 3_000;
const _: () = assert!(REDIRECTS + PAGES * LINKS + 2 * NAMES >= 100_000);

/// The default scope, with exclusions.
fn scope() -> Scope {
    Scope {
        excluded_networks: vec![EXCLUDED_NETWORK.parse().unwrap()],
        excluded_ports: [EXCLUDED_PORT].into_iter().collect(),
        resolvers: vec![Internet::name_server()],
        ..Scope::loopback()
    }
}

fn limits() -> Limits {
    const MANY: u32 = 1_000_000;
    Limits {
        requests_per_second: MANY,
        requests_per_second_per_host: MANY,
        probes_per_second: MANY,
        queries_per_second: MANY,
        failures_in_a_row: MANY,
        // The name server of these tests drops what comes too fast.
        attempts: 8,
        crawl_pages: MANY,
        discovered_names: MANY,
        host_deadline: Duration::from_secs(600),
        crawl_deadline: Duration::from_secs(600),
        ..Profile::Standard.limits()
    }
}

fn scan(scope: Scope, checks: CheckSet, stages: &[Stage]) -> Scan {
    let dialer = Dialer::new(scope, limits(), CancellationToken::new());
    let identity = Identity { user_agent: "rampart-test".to_owned() };
    let resolver = Resolver::new(dialer.clone(), vec![Internet::name_server()]);
    let client = HttpClient::new(dialer.clone(), identity);
    Scan {
        checker: Arc::new(Checker {
            dialer: dialer.clone(),
            resolver: resolver.clone(),
            client: client.clone(),
            checks: Arc::new(checks),
            scan: ScanId::from_random(7),
            variables: BTreeMap::new(),
            reproduce: Reproduce::default(),
        }),
        resolver,
        client,
        options: Arc::new(ScanOptions {
            stages: stages.iter().copied().collect(),
            ports: "80".parse().unwrap(),
            identify: true,
            discover: DiscoverOptions { words: WordList::none(), brute_force: true, recurse: false },
            crawl: options(),
        }),
        dialer,
    }
}

fn options() -> CrawlOptions {
    CrawlOptions { fold_after: None, robots: RobotsPolicy::Ignore, ..CrawlOptions::of(Profile::Standard) }
}

/// Runs inside a namespace where everything is here, and then looks at where connections went: nowhere but where the oracle says.
fn in_a_world_of_its_own<F: Future<Output = ()>>(
    purpose: &str,
    work: impl FnOnce(Internet) -> F + Send + 'static,
) {
    let Some(namespace) = everything_is_here(purpose) else { return };
    namespace.run(|| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let internet = Internet::start().await;
            Box::pin(work(internet.clone())).await;
            let escaped: Vec<_> =
                internet.contacted().into_iter().filter(|(to, _)| !is_inside(to.ip(), to.port())).collect();
            assert_eq!(escaped, [], "connections out of scope");
            assert_eq!(stray_datagrams(), 0, "datagrams that nobody waited for");
        });
    });
}

/// Datagrams to ports that nobody listens on, anywhere in this namespace (RFC 2013, udpNoPorts).
fn stray_datagrams() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("Udp: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let column = names.split(' ').position(|name| name == "NoPorts").unwrap();
    let six = std::fs::read_to_string("/proc/thread-self/net/snmp6").unwrap();
    let six =
        six.lines().find_map(|line| line.strip_prefix("Udp6NoPorts")).unwrap().trim().parse::<u64>().unwrap();
    values.split(' ').nth(column).unwrap().parse::<u64>().unwrap() + six
}

/// Without this the other tests would prove nothing.
#[test]
#[expect(clippy::disallowed_methods, reason = "the one connection that must be seen to escape")]
fn an_escape_would_be_seen() {
    let Some(namespace) = everything_is_here("seen") else { return };
    namespace.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let internet = Internet::start().await;
            for place in [
                "203.0.113.7:80",
                "169.254.169.254:80",
                "127.66.0.1:80",
                "[2001:db8::7]:443",
                "[64:ff9b::7f00:1]:80",
            ] {
                let mut stream = TcpStream::connect(place).await.unwrap();
                tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
                tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap();
                let seen = internet.contacted();
                assert!(seen.contains_key(&place.parse().unwrap()), "{place}: {seen:?}");
                assert!(!is_inside(place.parse::<std::net::SocketAddr>().unwrap().ip(), 80));
            }
            tokio::net::UdpSocket::bind("127.0.0.1:0")
                .await
                .unwrap()
                .send_to(b"x", "127.0.0.1:9")
                .await
                .unwrap();
            assert_eq!(stray_datagrams(), 1);
        });
    });
}

/// One check for each redirect of a site; what they look for is nowhere.
fn redirect_checks() -> Vec<Arc<Template>> {
    let template = |number: u64| {
        let text = format!(
            "id: redirect-{number:02}\ninfo: {{name: T, author: t, severity: info}}\nhttp:\n  - path: ['{{{{BaseURL}}}}/{number}/r{{{{offset}}}}{number:02}']\n    redirects: true\n    matchers: [{{type: word, words: [nowhere to be found]}}]\n"
        );
        Arc::new(checks::template::parse(&text, "redirect.yaml").unwrap())
    };
    (0..PER_SITE).map(template).collect()
}

#[test]
fn redirects_are_followed_within_the_scope_and_accounted_for_beyond() {
    in_a_world_of_its_own("redirects", |internet| async move {
        let sites = stream::iter(0..REDIRECTS / PER_SITE).map(|site| async move {
            // A scan of its own, because the number goes into the requests.
            let mut scan = scan(scope(), CheckSet::new(redirect_checks()), &[Stage::Check]);
            Arc::get_mut(&mut scan.checker).unwrap().variables.insert("offset".to_owned(), site.to_string());
            let base: Url = "http://127.0.0.1/".parse().unwrap();
            let endpoint = Endpoint { name: None, address: Ipv4Addr::LOCALHOST.into(), port: 80 };
            let (found, _findings) = mpsc::unbounded_channel();
            let deadline = Instant::now() + Duration::from_secs(600);
            let checked = scan.checker.site(&model::Site { base, endpoint }, deadline, found).await;
            (site, checked.ledger)
        });
        let mut sites = sites.buffer_unordered(4);
        let (mut inside, mut outside) = (BTreeSet::new(), 0);
        while let Some((site, ledger)) = sites.next().await {
            assert!(ledger.balances() && ledger.total().planned == PER_SITE, "{ledger:?}");
            for (id, account) in &ledger.checks {
                let within: u64 = id.as_str().strip_prefix("redirect-").unwrap().parse().unwrap();
                let number = site * 100 + within;
                let to = destination(number);
                let refused = account.skipped.get(&SkipReason::OutOfScope).copied().unwrap_or_default();
                match to.truth {
                    Truth::Outside => {
                        assert_eq!(refused, 1, "{to:?}: {account:?}");
                        outside += 1;
                    }
                    Truth::Inside => {
                        assert_eq!(refused, 0, "{to:?}: {account:?}");
                        let plain = to.address.is_some_and(|(_, port)| port != 443)
                            && !to.text.to_lowercase().starts_with("https");
                        inside.extend(plain.then_some(number));
                    }
                    Truth::Unclear => {}
                }
            }
        }
        assert!(
            outside > REDIRECTS / 3 && inside.len() as u64 > REDIRECTS / 40,
            "{outside} out, {} in",
            inside.len()
        );
        let missed: Vec<_> = inside.difference(&internet.requested()).copied().map(destination).collect();
        assert!(
            missed.is_empty(),
            "{} in scope were not followed: {:?}",
            missed.len(),
            &missed[..3.min(missed.len())]
        );
        only_asked_for_what_it_may(&internet);
    });
}

/// Names reach the name server only if the scope names them; the default scope names all, so what counts are odd ones.
fn only_asked_for_what_it_may(internet: &Internet) {
    let odd: Vec<String> = internet
        .asked()
        .into_iter()
        .filter(|name| name.parse::<IpAddr>().is_ok() || !name.ends_with(".test"))
        .collect();
    assert_eq!(odd, Vec::<String>::new(), "addresses are no names");
}

#[test]
fn links_to_elsewhere_are_told_and_not_followed() {
    in_a_world_of_its_own("links", |internet| async move {
        let scan = scan(scope(), CheckSet::default(), &[Stage::Crawl]);
        let mut told = BTreeSet::new();
        for batch in (0..PAGES).collect::<Vec<u64>>().chunks(50) {
            let root: Url = "http://127.0.0.1/".parse().unwrap();
            let starts = batch.iter().map(|page| root.join(&format!("p{page}")).unwrap()).collect();
            let endpoint = Endpoint { name: None, address: Ipv4Addr::LOCALHOST.into(), port: 80 };
            let (sender, mut items) = mpsc::channel(256);
            let site = crawl::Site { root, endpoint, starts };
            let collect = async {
                while let Some(item) = items.recv().await {
                    if let CrawlItem::External(url) = item {
                        assert!(
                            !(url.host_str() == Some("127.0.0.1")
                                && url.scheme() == "http"
                                && url.port().is_none()),
                            "{url}"
                        );
                        let (_, last) = url.path().rsplit_once('/').unwrap();
                        told.extend(last.strip_prefix('x').and_then(|number| number.parse::<u64>().ok()));
                    }
                }
            };
            let limits = limits();
            let (report, ()) = tokio::join!(
                crawl::site(&scan.client, &site, &limits, &scan.options.crawl, None, sender),
                collect
            );
            assert_eq!((report.stopped_by, report.failed), (None, 0), "{report:?}");
        }
        let home = (IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
        let requested = internet.requested();
        let mut outside = 0;
        for number in 0..PAGES * LINKS {
            let to = destination(number);
            match to.truth {
                Truth::Outside => {
                    outside += 1;
                    assert!(told.contains(&number), "not told: {to:?}");
                    assert!(!requested.contains(&number), "followed: {to:?}");
                }
                Truth::Inside if to.address != Some(home) => {
                    assert!(!requested.contains(&number), "another origin: {to:?}")
                }
                _ => {}
            }
        }
        assert!(outside > PAGES * LINKS / 3, "{outside}");
        assert_eq!(
            internet.contacted().keys().map(ToString::to_string).collect::<Vec<_>>(),
            ["127.0.0.1:80"]
        );
        assert_eq!(internet.asked(), BTreeSet::new());
    });
}

/// Everything that a pipeline told, by kind.
struct Told {
    ledger: Ledger,
    /// Reasons for which something was left out or could not be found out.
    reasons: Vec<String>,
}

async fn told(scan: Scan, targets: Vec<String>) -> Told {
    let scan = Arc::new(scan);
    let targets: Vec<model::Target> = targets.iter().map(|target| target.parse().unwrap()).collect();
    let (sender, mut events) = mpsc::channel(1_024);
    let running =
        pipeline::run(scan, targets.into_iter(), HashMap::new(), sender, Arc::new(Status::default()));
    let collect = async {
        let mut told = Told { ledger: Ledger::default(), reasons: Vec::new() };
        while let Some(event) = events.recv().await {
            match event {
                Event::Done { ledger, .. } => {
                    for (check, account) in &ledger.checks {
                        told.ledger.checks.entry(check.clone()).or_default().add(account);
                    }
                }
                Event::Undetermined { unit, reason, .. } => told.reasons.push(format!("{unit}: {reason}")),
                Event::LeftOut { unit, why, .. } => told.reasons.push(format!("{unit}: {why}")),
                _ => {}
            }
        }
        told
    };
    let (end, told) = tokio::join!(running, collect);
    assert_eq!(end, End::Complete);
    told
}

#[test]
fn records_that_lead_out_are_left_out_and_said() {
    in_a_world_of_its_own("records", |internet| async move {
        let all = [Stage::Discover, Stage::Ports, Stage::Crawl, Stage::Check];
        let scan = scan(scope(), CheckSet::new(redirect_checks()), &all);
        let names = (0..NAMES).map(|number| format!("n{number}.zone.test"));
        let rebinding = (0..100).map(|number| format!("http://rebind{number}.zone.test/"));
        let told = told(scan, names.chain(rebinding).collect()).await;
        assert!(told.ledger.balances());
        let mut said: HashMap<&str, String> = HashMap::new();
        for reason in &told.reasons {
            let name = reason.split([' ', ':']).find(|word| word.ends_with(".zone.test")).unwrap_or_default();
            said.entry(name).or_default().push_str(reason);
        }
        let mut refused = 0;
        for number in 0..NAMES {
            for address in addresses(number) {
                if !is_inside(address, 80) {
                    refused += 1;
                    let reasons =
                        said.get(format!("n{number}.zone.test").as_str()).cloned().unwrap_or_default();
                    let is_said =
                        reasons.contains(&address.to_string()) || reasons.contains("did not answer");
                    assert!(is_said, "n{number} leads to {address}, silently: {reasons}");
                }
            }
        }
        assert!(refused > 3_000, "{refused}");
        only_asked_for_what_it_may(&internet);
    });
}

/// With names authorised, public addresses that they lead to are in; what the names' owner cannot mean is not, and other names are
/// not even asked about.
#[test]
fn authorised_names_bring_public_addresses_only() {
    let Some(namespace) = everything_is_here("names") else { return };
    namespace.run(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(Box::pin(async {
            let internet = Internet::start().await;
            let scope = Scope { names: vec!["*.zone.test".parse().unwrap()], networks: Vec::new(), ..scope() };
            let scan = scan(scope, CheckSet::default(), &[Stage::Discover, Stage::Ports]);
            told(scan, (0..300).map(|number| format!("n{number}.zone.test")).collect()).await;
            let given: BTreeSet<IpAddr> = (0..300).flat_map(addresses).map(|address| address.to_canonical()).collect();
            let contacted = internet.contacted();
            assert!(contacted.len() > 50, "{contacted:?}");
            for to in contacted.keys() {
                let public = match to.ip() {
                    IpAddr::V4(v4) => {
                        let [a, b, ..] = v4.octets();
                        !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || a == 0 || a >= 224)
                            && !(a == 100 && (64..128).contains(&b))
                            && !["168.63.129.16", "192.0.0.192"].contains(&v4.to_string().as_str())
                    }
                    IpAddr::V6(v6) => {
                        // 6to4 and NAT64 of public addresses are public too.
                        matches!(v6.segments(), [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x64, 0xff9b, ..])
                            && !matches!(model::scope::canonical(to.ip()), IpAddr::V4(v4) if v4.is_private() || v4.is_loopback() || v4.is_link_local())
                    }
                };
                assert!(given.contains(&to.ip()) && public && to.port() == 80, "{to}");
            }
            let others: Vec<String> = internet.asked().into_iter().filter(|name| !name.ends_with(".zone.test")).collect();
            assert_eq!(others, Vec::<String>::new(), "names that nobody authorised");
        }));
    });
}

/// The one type that opens sockets, asked directly about every destination there is.
#[test]
fn the_dialer_refuses_every_destination_out_of_scope() {
    in_a_world_of_its_own("dialer", |internet| async move {
        let dialer = Dialer::new(scope(), limits(), CancellationToken::new());
        let deadline = Instant::now() + Duration::from_secs(600);
        let mut refused = 0_u64;
        for number in 0..100_000 {
            let to = destination(number);
            let Some((address, port)) = to.address.filter(|(address, port)| !is_inside(*address, *port))
            else {
                continue;
            };
            let probed = dialer.prober().start((address, port).into(), None);
            assert!(matches!(probed, Err(DialError::OutOfScope(_))), "{to:?}: {probed:?}");
            let asked = dialer.resolver_socket((address, port).into());
            assert!(matches!(asked, Err(DialError::OutOfScope(_))), "{to:?}: {asked:?}");
            let name = number.is_multiple_of(2).then(|| "n1.zone.test".parse().unwrap());
            let connected = dialer.connect(&Endpoint { name, address, port }, deadline).await;
            assert!(matches!(connected, Err(DialError::OutOfScope(_))), "{to:?}: {connected:?}");
            refused += 1;
        }
        assert!(refused > 50_000, "{refused}");
        assert_eq!(internet.contacted(), BTreeMap::new());
        let opened = dialer.counters().connections.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(opened, 0);
    });
}
