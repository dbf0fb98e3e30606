//! Crawls of small sites on loopback, seen from the server's side.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use model::{Asset, Endpoint, Limits, Profile, Scope};
use scanner::{
    crawl::{
        self, Budget, CrawlItem, CrawlOptions, CrawlReport, FormMethod, PassedOver, RobotsAnswer,
        RobotsPolicy, Site,
    },
    http::{HttpClient, Identity},
    socket::Dialer,
};
use testkit::http::{HttpServer, response};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;
use url::Url;

/// What a crawl told, and what its server saw.
struct Crawled {
    report: CrawlReport,
    items: Vec<CrawlItem>,
    /// Targets in the order of their requests.
    requests: Vec<String>,
}

impl Crawled {
    fn pages(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for item in &self.items {
            if let CrawlItem::Page(Asset::Page { url, .. }) = item {
                assert!(all.insert(url[url::Position::BeforePath..].to_owned()), "{url} was told twice");
            }
        }
        all
    }

    fn endpoints(&self) -> BTreeSet<String> {
        let endpoint = |item: &CrawlItem| match item {
            CrawlItem::Endpoint { url, .. } => Some(url[url::Position::BeforePath..].to_owned()),
            _ => None,
        };
        self.items.iter().filter_map(endpoint).collect()
    }

    /// Pages requested, without robots.txt and the sitemap, each at most once.
    fn requested(&self) -> BTreeSet<String> {
        let pages =
            self.requests.iter().filter(|target| !matches!(target.as_str(), "/robots.txt" | "/sitemap.xml"));
        let mut all = BTreeSet::new();
        pages.for_each(|target| assert!(all.insert(target.clone()), "{target} was requested twice"));
        all
    }
}

fn limits() -> Limits {
    Limits {
        requests_per_second: 1_000_000,
        requests_per_second_per_host: 1_000_000,
        ..Profile::Standard.limits()
    }
}

fn options() -> CrawlOptions {
    CrawlOptions { fold_after: None, ..CrawlOptions::of(Profile::Standard) }
}

async fn crawl_from(
    server: &HttpServer,
    starts: &[&str],
    limits: Limits,
    options: CrawlOptions,
    stop: CancellationToken,
) -> Crawled {
    let root = Url::parse(&format!("http://{}/", server.address())).unwrap();
    let starts = starts.iter().map(|start| root.join(start).unwrap()).collect();
    let endpoint = Endpoint { name: None, address: server.address().ip(), port: server.address().port() };
    let dialer = Dialer::new(Scope::loopback(), limits.clone(), stop);
    let client = HttpClient::new(dialer, Identity { user_agent: "rampart-test".to_owned() });
    let (sender, mut receiver) = mpsc::channel(16);
    let collect = async {
        let mut items = Vec::new();
        while let Some(item) = receiver.recv().await {
            items.push(item);
        }
        items
    };
    let site = Site { root, endpoint, starts };
    let (report, items) = tokio::join!(crawl::site(&client, &site, &limits, &options, None, sender), collect);
    let requests: Vec<String> = server.seen().iter().map(|seen| seen.target()).collect();
    assert_eq!(report.found, report.pages + report.failed + report.passed_over.total(), "{report:?}");
    assert_eq!(report.robots, options.robots);
    Crawled { report, items, requests }
}

async fn crawl(server: &HttpServer, limits: Limits, options: CrawlOptions) -> Crawled {
    crawl_from(server, &[], limits, options, CancellationToken::new()).await
}

fn html(body: impl AsRef<[u8]>) -> Vec<u8> {
    response("200 OK", &["Content-Type: text/html"], body)
}

fn not_found() -> Vec<u8> {
    response(
        "404 Not Found",
        &["Content-Type: text/html"],
        "<title>Not found</title><a href=/from-an-error>x</a>",
    )
}

fn set(targets: &[&str]) -> BTreeSet<String> {
    targets.iter().map(|target| (*target).to_owned()).collect()
}

/// Serves pages from a function of the target.
async fn site(page: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> HttpServer {
    HttpServer::start(move |seen| {
        let text = seen.text();
        assert!(text.starts_with("GET "), "only GET is sent: {text}");
        page(&seen.target()).unwrap_or_else(not_found)
    })
    .await
}

#[tokio::test]
async fn every_source_is_used_and_nothing_else_is_requested() {
    let server = site(|target| {
        Some(match target {
            "/" => html(
                "<title>Home</title><link rel=stylesheet href=/s.css><a href=/a?x=1&amp;y=2#z>a</a><a href='/dir/'>d</a>\
                 <img src=/picture.png><script src=/app.js></script><form method=post action=/send><input name=field></form>\
                 <a href=/moved>m</a><a href=/logout>out</a><a href=/a?x=1&amp;y=2&amp;PHPSESSID=77>again</a><a href=/missing>?</a>\
                 <!-- <a href='/in-a-comment'> --> <a href=/dir/../b>b</a>",
            ),
            "/a?x=1&y=2" => response("200 OK", &["Content-Type: text/html", "Link: </linked>; rel=next"], ""),
            "/dir/" => html("<base href=/elsewhere/><a href=page>p</a>"),
            "/app.js" => response("200 OK", &["Content-Type: text/javascript"], "fetch('/api/data.json'); r = 'users/list'"),
            "/api/data.json" => response("200 OK", &["Content-Type: application/json"], r#"{"next": "/api/more", "n": "text/plain"}"#),
            "/s.css" => response("200 OK", &["Content-Type: text/css"], "@import 'more.css'; b { background: url(bg.png) }"),
            "/moved" => response("302 Found", &["Location: /moved/here"], ""),
            "/robots.txt" => response("200 OK", &[], "User-agent: *\nAllow: /allowed\nDisallow: /secret/\nSitemap: /sitemap.xml"),
            "/sitemap.xml" => response("200 OK", &[], "<urlset><url><loc>/mapped</loc></url></urlset>"),
            "/b" | "/linked" | "/elsewhere/page" | "/api/more" | "/more.css" | "/moved/here" | "/allowed" | "/mapped" => html(""),
            _ => return None,
        })
    })
    .await;
    let crawled = crawl(&server, limits(), options()).await;
    let expected = set(&[
        "/",
        "/a?x=1&y=2",
        "/dir/",
        "/app.js",
        "/s.css",
        "/moved",
        "/missing",
        "/b",
        "/linked",
        "/elsewhere/page",
        "/api/data.json",
        "/api/more",
        "/more.css",
        "/moved/here",
        "/allowed",
        "/mapped",
    ]);
    assert_eq!(crawled.requested(), expected);
    assert_eq!(crawled.pages(), expected);
    assert_eq!(
        crawled.endpoints(),
        set(&["/api/data.json", "/users/list", "/api/more", "/in-a-comment", "/logout", "/secret/"])
    );
    let report = &crawled.report;
    assert_eq!((report.pages, report.failed, report.requests, report.stopped_by), (16, 0, 18, None));
    assert_eq!(report.passed_over, PassedOver { state_changing: 1, media: 2, ..PassedOver::default() });
    assert_eq!(report.robots_answer, RobotsAnswer::Found);
    let forms: Vec<_> = crawled.items.iter().filter(|item| matches!(item, CrawlItem::Form { .. })).collect();
    let [CrawlItem::Form { page, action, method, fields }] = &forms[..] else { panic!("{forms:?}") };
    assert_eq!((page.path(), action.path(), *method), ("/", "/send", FormMethod::Post));
    assert_eq!(fields, &[("field".to_owned(), "text".to_owned())]);
    let home = crawled.items.iter().find_map(|item| match item {
        CrawlItem::Page(Asset::Page { url, title, status, .. }) if url.path() == "/" => {
            Some((title.clone(), *status))
        }
        _ => None,
    });
    assert_eq!(home, Some((Some("Home".to_owned()), 200)));
    let host = format!("Host: {}", server.address());
    assert!(server.seen().iter().all(|seen| seen.text().contains(&host)));
}

fn numbered(target: &str) -> Option<Vec<u8>> {
    if target == "/" {
        return Some(html(
            (1..=400).map(|number| format!("<a href=page-{number:04}.html>{number}</a>")).collect::<String>(),
        ));
    }
    let number: u32 = target.strip_prefix("/page-")?.strip_suffix(".html")?.parse().ok()?;
    Some(html(format!("<title>Page {number}</title><p>text</p><a href=/>home</a>")))
}

#[tokio::test]
async fn a_large_site_is_crawled_whole_or_folded() {
    let server = site(numbered).await;
    let whole = crawl(&server, limits(), options()).await;
    assert_eq!(whole.pages().len(), 401);
    assert_eq!((whole.report.found, whole.report.stopped_by), (401, None));

    let server = site(numbered).await;
    let folded = crawl(&server, limits(), CrawlOptions { fold_after: Some(30), ..options() }).await;
    assert_eq!(folded.requested().len(), 31, "the root and exactly one batch");
    assert_eq!(folded.report.passed_over, PassedOver { folded: 370, ..PassedOver::default() });
    assert_eq!(folded.report.stopped_by, None);
}

#[tokio::test]
async fn traps_end_by_themselves() {
    let server = HttpServer::start(|seen| {
        let target = seen.target();
        let path = target.split('?').next().unwrap_or_default().to_owned();
        let unique = seen.bytes.len() * 1_000 + target.len();
        match path.as_str() {
            "/robots.txt" | "/sitemap.xml" => not_found(),
            "/" => html(
                "<a href=/echo/>1</a><a href=/calendar?month=1>2</a><a href=/session>3</a><a href=/query?a=1>4</a>\
                 <a href=/loop/a>5</a><a href=/chain/0>6</a><a href=/login?next=/>7</a>",
            ),
            "/calendar" => {
                let month: u32 = target.rsplit('=').next().and_then(|month| month.parse().ok()).unwrap_or(0);
                html((1..10).map(|ahead| format!("<a href='/calendar?month={}'>n</a>", month * 10 + ahead)).collect::<String>())
            }
            "/session" => html(format!("<a href='/session?PHPSESSID={unique:x}'>s</a><a href='/session;jsessionid={unique}'>j</a>")),
            "/query" => html(format!("<a href='{target}&amp;a=1'>more</a>")),
            "/loop/a" => response("302 Found", &["Location: /loop/b"], ""),
            "/loop/b" => response("302 Found", &["Location: /loop/a"], ""),
            "/login" => response("302 Found", &[&format!("Location: /login?next={}", target.replace('?', "%3F"))], ""),
            _ if path.starts_with("/chain/") => {
                let number: u32 = path[7..].parse().unwrap_or(0);
                response("302 Found", &[&format!("Location: /chain/{}", number + 1)], "")
            }
            _ if path.starts_with("/echo/") => html("<a href='echo/'>deeper</a><a href='again/'>and again</a>"),
            _ => not_found(),
        }
    })
    .await;
    let deep = Limits { crawl_depth: 1_000, crawl_pages: 20_000, ..limits() };
    let crawled = crawl(&server, deep, CrawlOptions { pages_per_calendar: 20, ..options() }).await;
    assert_eq!(crawled.report.stopped_by, None, "no budget was needed: {:?}", crawled.report);
    let requested = crawled.requested();
    let count = |prefix: &str| requested.iter().filter(|target| target.starts_with(prefix)).count();
    assert_eq!(count("/calendar"), 20);
    assert_eq!(count("/session"), 1);
    assert_eq!(count("/query"), 8);
    assert_eq!(count("/loop/"), 2);
    assert_eq!(count("/chain/"), 11, "the first and ten hops");
    assert!(count("/login") <= 3 && count("/echo/") <= 40, "{requested:?}");
    assert!(crawled.report.passed_over.traps >= 6);
}

#[tokio::test]
async fn budgets_hold_exactly() {
    let server = site(numbered).await;
    let pages = crawl(&server, Limits { crawl_pages: 17, ..limits() }, options()).await;
    assert_eq!(
        (pages.requested().len(), pages.report.pages, pages.report.stopped_by),
        (17, 17, Some(Budget::Pages))
    );
    assert_eq!(pages.report.passed_over, PassedOver { not_reached: 401 - 17, ..PassedOver::default() });

    let server = site(numbered).await;
    let all = crawl(&server, Limits { crawl_pages: 401, ..limits() }, options()).await;
    assert_eq!(
        (all.report.pages, all.report.stopped_by),
        (401, None),
        "a budget that just suffices stops nothing"
    );

    let server = site(|target| {
        let number: u32 = target[1..].parse().unwrap_or(0);
        matches!(target, "/robots.txt" | "/sitemap.xml")
            .then(not_found)
            .or_else(|| Some(html(format!("<a href=/{}>next</a>{}", number + 1, "x".repeat(50_000)))))
    })
    .await;
    let bytes =
        crawl(&server, Limits { crawl_bytes: 175_000, crawl_depth: 100, ..limits() }, options()).await;
    assert_eq!((bytes.report.bytes, bytes.report.stopped_by), (175_000, Some(Budget::Bytes)));
    assert_eq!(bytes.report.pages, 4);

    let server = site(|target| {
        let number: u32 = target[1..].parse().unwrap_or(0);
        Some(html(format!("<a href=/{}>next</a>", number + 1)))
    })
    .await;
    let depth = crawl(&server, Limits { crawl_depth: 3, ..limits() }, options()).await;
    assert_eq!(depth.requested(), set(&["/", "/1", "/2", "/3"]));
    assert_eq!((depth.report.passed_over.too_deep, depth.report.stopped_by), (1, None));
}

#[tokio::test]
async fn the_deadline_ends_a_site_that_never_answers() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = site(move |target| {
        let page = format!("<script>x = 1</script><a href=/2>2</a><a href='http://{address}/'>silent</a>");
        (target == "/").then(|| html(page))
    })
    .await;
    let hasty = Limits { crawl_deadline: Duration::ZERO, ..limits() };
    let crawled = crawl(&server, hasty, options()).await;
    assert_eq!((crawled.report.stopped_by, crawled.report.pages), (Some(Budget::Time), 0));

    // The kernel accepts for the listener; nobody ever answers.
    let silent = Url::parse(&format!("http://{address}/")).unwrap();
    let endpoint = Endpoint { name: None, address: address.ip(), port: address.port() };
    let dialer = Dialer::new(Scope::loopback(), limits(), CancellationToken::new());
    let client = HttpClient::new(dialer, Identity { user_agent: "rampart-test".to_owned() });
    let (sender, _receiver) = mpsc::channel(16);
    let impatient = Limits { crawl_deadline: Duration::from_millis(50), ..limits() };
    let site = Site { root: silent, endpoint, starts: Vec::new() };
    let report = crawl::site(&client, &site, &impatient, &options(), None, sender).await;
    assert_eq!((report.stopped_by, report.pages), (Some(Budget::Time), 0));
}

#[tokio::test]
async fn a_stop_ends_the_crawl_and_leaves_a_true_account() {
    let stop = CancellationToken::new();
    let trigger = stop.clone();
    let server = site(move |target| {
        if target == "/page-0050.html" {
            trigger.cancel();
        }
        numbered(target)
    })
    .await;
    let crawled = crawl_from(&server, &[], limits(), options(), stop).await;
    let report = &crawled.report;
    assert_eq!((report.stopped_by, report.found, report.failed), (Some(Budget::Stopped), 401, 0));
    assert!(report.pages >= 1 && report.pages < 120, "{report:?}");
    assert_eq!(crawled.pages().len() as u64, report.pages);
}

#[tokio::test]
async fn a_listener_that_leaves_ends_the_crawl() {
    let server = site(numbered).await;
    let root = Url::parse(&format!("http://{}/", server.address())).unwrap();
    let endpoint = Endpoint { name: None, address: server.address().ip(), port: server.address().port() };
    let dialer = Dialer::new(Scope::loopback(), limits(), CancellationToken::new());
    let client = HttpClient::new(dialer, Identity { user_agent: "rampart-test".to_owned() });
    let (sender, receiver) = mpsc::channel(16);
    drop(receiver);
    let report = crawl::site(
        &client,
        &Site { root, endpoint, starts: Vec::new() },
        &limits(),
        &options(),
        None,
        sender,
    )
    .await;
    assert_eq!((report.stopped_by, report.pages), (Some(Budget::Stopped), 1));
}

#[tokio::test]
async fn robots_txt_is_obeyed_ignored_or_used() {
    let pages = |target: &str| match target {
        "/" => Some(html("<a href=/open>o</a><a href=/closed/a>c</a><a href=/closed/but/open>b</a>")),
        "/robots.txt" => Some(response(
            "200 OK",
            &[],
            "User-agent: *\nDisallow: /closed\nAllow: /closed/but\nDisallow: /hidden/",
        )),
        "/open" | "/closed/a" | "/closed/but/open" | "/closed/but" | "/closed" | "/hidden/" => Some(html("")),
        _ => None,
    };
    for (policy, expected, asked) in [
        (RobotsPolicy::Obey, set(&["/", "/open", "/closed/but/open", "/closed/but"]), true),
        (RobotsPolicy::Ignore, set(&["/", "/open", "/closed/a", "/closed/but/open"]), false),
        (
            RobotsPolicy::UseAsSource,
            set(&["/", "/open", "/closed/a", "/closed/but/open", "/closed/but", "/closed", "/hidden/"]),
            true,
        ),
    ] {
        let server = site(pages).await;
        let crawled = crawl(&server, limits(), CrawlOptions { robots: policy, ..options() }).await;
        assert_eq!(crawled.requested(), expected, "{policy}");
        assert_eq!(crawled.requests.contains(&"/robots.txt".to_owned()), asked);
        let obeyed = policy == RobotsPolicy::Obey;
        assert_eq!(crawled.report.passed_over.disallowed, u64::from(obeyed));
        assert_eq!(crawled.endpoints().contains("/hidden/"), policy != RobotsPolicy::Ignore);
    }
}

#[tokio::test]
async fn a_robots_txt_that_cannot_be_had_forbids_following() {
    let server = site(|target| match target {
        "/robots.txt" => Some(response("503 Service Unavailable", &[], "")),
        "/start" => Some(html("<a href=/next>n</a>")),
        _ => None,
    })
    .await;
    let crawled = crawl_from(&server, &["/start"], limits(), options(), CancellationToken::new()).await;
    assert_eq!(crawled.requested(), set(&["/start"]), "what a person asked for is fetched all the same");
    assert_eq!(
        (crawled.report.robots_answer, crawled.report.passed_over.disallowed),
        (RobotsAnswer::Unreachable, 1)
    );

    let redirected = site(|target| match target {
        "/robots.txt" => Some(response("301 Moved", &["Location: /real-robots"], "")),
        "/real-robots" => Some(response("200 OK", &[], "User-agent: rampart\nDisallow: /next")),
        "/" => Some(html("<a href=/next>n</a>")),
        _ => None,
    })
    .await;
    let crawled = crawl(&redirected, limits(), options()).await;
    assert_eq!(crawled.requests, ["/robots.txt", "/real-robots", "/sitemap.xml", "/"]);
}

#[tokio::test]
async fn nothing_is_sent_to_another_origin() {
    let other = HttpServer::start(|_| html("")).await;
    let away: SocketAddr = other.address();
    let page = Arc::new(format!(
        "<base href='//{away}/'><a href=relative>1</a><a href='http://{away}/x'>2</a><a href='\\\\{away}\\y'>3</a>\
         <a href='http:\\\\{away}/z'>4</a><a href='https://{away}/'>5</a><form action='//{away}/form'><input name=a></form>\
         <script src='//{away}/s.js'></script><script>fetch('http://{away}/api')</script><iframe src='/\\{away}/'></iframe>\
         <meta http-equiv=refresh content='0; url=//{away}/refresh'><img srcset='//{away}/i.png 2x'><a href='http://www.other.test/'>n</a>"
    ));
    let away_text = away.to_string();
    let server = HttpServer::start(move |seen| match seen.target().as_str() {
        "/" => response(
            "200 OK",
            &[
                "Content-Type: text/html",
                &format!("Link: <http://{away_text}/link>; rel=next"),
                &format!("Refresh: 0; url=http://{away_text}/"),
            ],
            &**page,
        ),
        "/robots.txt" => response(
            "200 OK",
            &[],
            format!("User-agent: *\nAllow: //{away_text}/allowed\nSitemap: http://{away_text}/sitemap.xml"),
        ),
        "/start" => response("302 Found", &[&format!("Location: http://{away_text}/redirected")], ""),
        "/userinfo" => {
            let own = seen
                .text()
                .lines()
                .find_map(|line| line.strip_prefix("Host: ").map(str::to_owned))
                .unwrap_or_default();
            html(format!(
                "<a href='http://{own}@{away_text}/'>a</a><a href='http://{away_text}@{own}/inside'>b</a>"
            ))
        }
        "/sitemap.xml" => response(
            "200 OK",
            &[],
            format!("<urlset><url><loc>http://{away_text}/mapped</loc></url></urlset>"),
        ),
        _ => not_found(),
    })
    .await;
    let crawled =
        crawl_from(&server, &["/", "/start", "/userinfo"], limits(), options(), CancellationToken::new())
            .await;
    assert_eq!(crawled.requested(), set(&["/", "/start", "/userinfo", "/inside"]));
    assert_eq!((other.connections(), other.seen()), (0, Vec::new()));
    let external: BTreeSet<String> = crawled
        .items
        .iter()
        .filter_map(|item| if let CrawlItem::External(url) = item { Some(url.to_string()) } else { None })
        .collect();
    for path in ["relative", "x", "y", "z", "form", "s.js", "api", "refresh", "i.png", "link", "redirected"] {
        assert!(external.contains(&format!("http://{away}/{path}")), "{path} of {external:?}");
    }
    let named = |item: &CrawlItem| matches!(item, CrawlItem::Name(name) if name.as_str() == "www.other.test");
    assert_eq!(crawled.items.iter().filter(|item| named(item)).count(), 1);
}

#[tokio::test]
async fn a_budget_cuts_at_the_same_page_each_time() {
    let mut first = None;
    for _ in 0..4 {
        let server = site(|target| {
            let number: u64 = target.trim_start_matches("/n/").trim_start_matches('/').parse().unwrap_or(1);
            let links = (1..12)
                .map(|step| format!("<a href=/n/{}>x</a>", (number * 31 + step * 7) % 5_000))
                .collect::<String>();
            Some(html(links))
        })
        .await;
        let crawled = crawl(&server, Limits { crawl_pages: 150, ..limits() }, options()).await;
        let requested = crawled.requested();
        assert_eq!(requested.len(), 150);
        assert_eq!(first.get_or_insert_with(|| requested.clone()), &requested);
    }
}

#[tokio::test]
async fn failures_are_told_and_too_many_end_the_crawl() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let root = Url::parse(&format!("http://{closed}/")).unwrap();
    let starts = (0..20).map(|number| root.join(&format!("/{number}")).unwrap()).collect();
    let endpoint = Endpoint { name: None, address: closed.ip(), port: closed.port() };
    let dialer = Dialer::new(Scope::loopback(), limits(), CancellationToken::new());
    let client = HttpClient::new(dialer, Identity { user_agent: "rampart-test".to_owned() });
    let (sender, _receiver) = mpsc::channel(16);
    let bounded = Limits { failures_in_a_row: 5, ..limits() };
    let report =
        crawl::site(&client, &Site { root, endpoint, starts }, &bounded, &options(), None, sender).await;
    assert_eq!((report.pages, report.failed, report.stopped_by), (0, 5, Some(Budget::Failures)));
    assert_eq!((report.found, report.passed_over.not_reached), (20, 15));
    assert!(report.failures[0].1.contains("refused"), "{:?}", report.failures);
}

#[tokio::test]
async fn a_site_out_of_scope_is_not_touched() {
    let server = site(numbered).await;
    let mut scope = Scope::loopback();
    scope.excluded_networks.push("127.0.0.0/8".parse().unwrap());
    let root = Url::parse(&format!("http://{}/", server.address())).unwrap();
    let endpoint = Endpoint { name: None, address: server.address().ip(), port: server.address().port() };
    let dialer = Dialer::new(scope, limits(), CancellationToken::new());
    let client = HttpClient::new(dialer, Identity { user_agent: "rampart-test".to_owned() });
    let (sender, _receiver) = mpsc::channel(16);
    let report = crawl::site(
        &client,
        &Site { root, endpoint, starts: Vec::new() },
        &limits(),
        &options(),
        None,
        sender,
    )
    .await;
    assert_eq!((report.pages, report.stopped_by, server.connections()), (0, Some(Budget::Scope), 0));
    assert!(report.failures[0].1.contains("excluded"), "{:?}", report.failures);
}

#[tokio::test]
async fn technologies_are_summed_up_with_their_versions() {
    let server = site(|target| match target {
        "/" => Some(response("200 OK", &["Server: nginx", "Content-Type: text/html"], "<a href=/a>a</a>")),
        "/a" => Some(response("200 OK", &["Server: nginx/1.18.0", "X-Powered-By: PHP/8.1.2"], "")),
        _ => None,
    })
    .await;
    let crawled = crawl(&server, limits(), options()).await;
    let told: Vec<_> =
        crawled.report.technologies.iter().map(|one| (one.name, one.version.as_deref())).collect();
    assert_eq!(told, [("PHP", Some("8.1.2")), ("nginx", Some("1.18.0"))]);
}
