//! What a unit may hold of its targets' answers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use checks::exchange::{Failure, HttpForm, HttpRequest, HttpResponse, Origin, TcpRequest};
use model::{Allowance, Endpoint, FailReason, Limits, Profile, Scope};
use scanner::{
    crawl::{self, CrawlOptions, CrawlReport},
    dialogue,
    http::{HttpClient, HttpSession, Identity},
    socket::Dialer,
};
use testkit::{
    http::{HttpServer, ok, read_request, response},
    tcp::{TcpServer, endlessly},
};
use tokio::{
    io::AsyncWriteExt,
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use url::Url;

const KIB: u64 = 1 << 10;

fn dialer(held_bytes: u64) -> Dialer {
    let limits = Limits {
        requests_per_second: 1_000_000,
        requests_per_second_per_host: 1_000_000,
        held_bytes,
        ..Profile::Standard.limits()
    };
    Dialer::new(Scope::loopback(), limits, CancellationToken::new())
}

fn client(dialer: &Dialer) -> HttpClient {
    HttpClient::new(dialer.clone(), Identity { user_agent: "rampart-test".to_owned() })
}

fn endpoint(to: SocketAddr) -> Endpoint {
    Endpoint { name: None, address: to.ip(), port: to.port() }
}

async fn get(session: &HttpSession) -> Result<HttpResponse, Failure> {
    let Endpoint { address, port, .. } = session.endpoint().clone();
    let form = HttpForm::Structured {
        method: "GET".to_owned(),
        target: "/".to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let origin = Origin { tls: false, host: address.to_string(), port };
    session.send(&HttpRequest { origin, sni: None, form, timeout: None, max_body: None }).await
}

/// Refused for want of room, and for nothing else.
#[track_caller]
fn assert_no_room(failure: &Failure, most: u64) {
    let is_that =
        matches!(failure, Failure::Failed(FailReason::Memory, why) if why.contains(&most.to_string()));
    assert!(is_that, "{failure:?}");
}

#[tokio::test]
async fn answers_that_somebody_has_take_room_until_nobody_has_them() {
    const MOST: u64 = 1_024 * KIB;
    let server = HttpServer::start(|_| ok(vec![b'x'; 200 << 10])).await;
    let dialer = dialer(MOST);
    let allowance: Allowance = dialer.allowance().clone();
    let client = client(&dialer);
    let session = client.session(endpoint(server.address()), false);
    let mut kept = Vec::new();
    let failure = loop {
        match get(&session).await {
            Ok(response) => kept.push(response),
            Err(failure) => break failure,
        }
        assert!(kept.len() < 10, "twice as much as there is room for");
    };
    assert_no_room(&failure, MOST);
    let bodies: usize = kept.iter().map(|response| response.body.len()).sum();
    assert!(kept.len() > 1 && allowance.held() >= bodies as u64, "{} answers", kept.len());
    assert!(allowance.peak() <= MOST, "{}", allowance.peak());

    // Others have room of their own.
    let other = client.within(dialer.for_unit().allowance().clone());
    assert_eq!(get(&other.session(endpoint(server.address()), false)).await.unwrap().body.len(), 200 << 10);

    drop(kept);
    assert_eq!(allowance.held(), 0);
    assert_eq!(get(&session).await.unwrap().body.len(), 200 << 10);
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_further_than_there_is_room() {
    const MOST: u64 = 512 * KIB;
    const PIECE: usize = 64 << 10;
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let server = TcpServer::start(move |mut stream, _| {
        let counted = Arc::clone(&counted);
        async move {
            read_request(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            while counted.fetch_add(PIECE as u64, Ordering::SeqCst) < 1 << 30 {
                stream.write_all(&[b'x'; PIECE]).await?;
            }
            Ok(())
        }
    })
    .await;
    let limits = Limits { response_bytes: 1 << 30, ..dialer(MOST).limits().clone() };
    let dialer = Dialer::new(Scope::loopback(), limits, CancellationToken::new());
    let session = client(&dialer).session(endpoint(server.address()), false);
    assert_no_room(&get(&session).await.unwrap_err(), MOST);
    // What the sockets of both sides hold is sent, too.
    let sent = sent.load(Ordering::SeqCst);
    assert!(sent < 64 << 20, "{} MiB", sent >> 20);
    assert_eq!((dialer.allowance().held(), dialer.allowance().peak() <= MOST), (0, true));
}

#[tokio::test]
async fn what_takes_more_room_when_it_is_unpacked_counts_as_that() {
    const MOST: u64 = 256 * KIB;
    let packed = {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
        encoder.finish().unwrap()
    };
    assert!(packed.len() < 4 << 10);
    let server = HttpServer::start(move |_| response("200 OK", &["Content-Encoding: gzip"], &packed)).await;
    let dialer = dialer(MOST);
    let session = client(&dialer).session(endpoint(server.address()), false);
    assert_no_room(&get(&session).await.unwrap_err(), MOST);
    assert_eq!((dialer.allowance().held(), dialer.allowance().peak() <= MOST), (0, true));
}

#[tokio::test]
async fn dialogues_take_room_too() {
    const MOST: u64 = 64 * KIB;
    let server =
        TcpServer::start(|mut stream, _| async move { endlessly(&mut stream, &[b'x'; 4_096]).await }).await;
    let (dialer, to) = (dialer(MOST), server.address());
    let request = TcpRequest {
        host: to.ip().to_string(),
        port: to.port(),
        tls: false,
        inputs: Vec::new(),
        read_size: 16 << 10,
        read_all: false,
    };
    let answer = dialogue::run(&dialer, &endpoint(to), &request).await.unwrap();
    assert_eq!(answer.reads[0].1.len(), 16 << 10);
    let all = TcpRequest { read_all: true, ..request };
    assert_no_room(&dialogue::run(&dialer, &endpoint(to), &all).await.unwrap_err(), MOST);
    assert!(dialer.allowance().held() >= 16 * KIB, "the first answer is still there");
    drop(answer);
    assert_eq!((dialer.allowance().held(), dialer.allowance().peak() <= MOST), (0, true));
}

#[tokio::test]
async fn a_crawl_does_not_hold_what_pages_name_without_end() {
    const MOST: u64 = 4_096 * KIB;
    let server = HttpServer::start(|seen| {
        let page = match seen.target().as_str() {
            // More than may wait, of which each page could name as much again.
            "/" => {
                (0..2_000).map(|number| format!("<a href=/{}/{number}>x</a>", "a".repeat(1_000))).collect()
            }
            "/robots.txt" | "/sitemap.xml" => String::new(),
            // More than may be looked at.
            target if target.ends_with("/7") => {
                (0..5_000).map(|number| format!("<a href={number}>x</a>")).collect::<String>()
            }
            _ => String::new(),
        };
        response("200 OK", &["Content-Type: text/html"], page)
    })
    .await;
    let dialer = dialer(MOST);
    let root = Url::parse(&format!("http://{}/", server.address())).unwrap();
    let site = crawl::Site { root, endpoint: endpoint(server.address()), starts: Vec::new() };
    let options = CrawlOptions { fold_after: None, ..CrawlOptions::of(Profile::Standard) };
    let (sender, mut receiver) = mpsc::channel(16);
    let client = client(&dialer);
    let listen = async { while receiver.recv().await.is_some() {} };
    let crawling = crawl::site(&client, &site, dialer.limits(), &options, None, sender);
    let (report, ()) = tokio::join!(crawling, listen);
    assert_eq!(report.found, report.pages + report.failed + report.passed_over.total(), "{report:?}");
    assert!(report.passed_over.no_room > 0 && report.pages > 50, "{report:?}");
    let [(url, why)] = report.failures.as_slice() else { panic!("{report:?}") };
    assert!(url.path().ends_with("/7") && why.contains(&MOST.to_string()), "{url} {why}");
    assert_eq!((dialer.allowance().held(), dialer.allowance().peak() <= MOST), (0, true));
}

/// Crawls a site with so much room and so many connections.
async fn crawl(address: SocketAddr, most: u64, connections: u32) -> (CrawlReport, Allowance) {
    let dialer = dialer(most);
    let root = Url::parse(&format!("http://{address}/")).unwrap();
    let site = crawl::Site { root, endpoint: endpoint(address), starts: Vec::new() };
    let options = CrawlOptions { fold_after: None, ..CrawlOptions::of(Profile::Standard) };
    let limits = Limits { connections_per_host: connections, ..dialer.limits().clone() };
    let (sender, mut receiver) = mpsc::channel(16);
    let client = client(&dialer);
    let listen = async { while receiver.recv().await.is_some() {} };
    let crawling = crawl::site(&client, &site, &limits, &options, None, sender);
    let (report, ()) = tokio::join!(crawling, listen);
    (report, dialer.allowance().clone())
}

fn links(to: impl Iterator<Item = String>) -> Vec<u8> {
    let links: String = to.map(|to| format!("<a href={to}>x</a>")).collect();
    response("200 OK", &["Content-Type: text/html"], links)
}

#[tokio::test]
async fn a_host_whose_answers_find_no_room_is_not_gone() {
    const MOST: u64 = 1_024 * KIB;
    let large = 2 * dialer(MOST).limits().failures_in_a_row;
    let server = HttpServer::start(move |seen| match seen.target().as_str() {
        "/" => links((0..large + 5).map(|number| number.to_string())),
        "/robots.txt" | "/sitemap.xml" => response("404 Not Found", &[], ""),
        target if target[1..].parse::<u32>().unwrap() < large => {
            links((0..10_000).map(|number| format!("//other.test/{number}")))
        }
        _ => ok("small"),
    })
    .await;
    let (report, allowance) = crawl(server.address(), MOST, 1).await;
    assert_eq!((report.pages, report.failed, report.stopped_by), (6, u64::from(large), None), "{report:?}");
    assert_eq!(report.lost.failed, [(FailReason::Memory, u64::from(large))].into(), "{report:?}");
    assert_eq!((allowance.held(), allowance.peak() <= MOST), (0, true));
}

#[tokio::test]
async fn answers_ahead_of_a_slow_one_leave_it_room() {
    const MOST: u64 = 2_048 * KIB;
    /// As many as there would not be room for, each about 100 KiB.
    const TOO_MANY: usize = 28;
    let asked = watch::Sender::new(0);
    let server = TcpServer::start({
        let asked = asked.clone();
        move |mut stream, _| {
            let asked = asked.clone();
            async move {
                while let Some(bytes) = read_request(&mut stream).await? {
                    let request = String::from_utf8_lossy(&bytes).into_owned();
                    let answer = match request.split(' ').nth(1).unwrap() {
                        "/" => links(["/slow".to_owned()].into_iter().chain((0..60).map(|n| n.to_string()))),
                        "/robots.txt" | "/sitemap.xml" => response("404 Not Found", &[], ""),
                        "/slow" => {
                            // Nobody asks for so many before this is answered: that takes a moment to see.
                            let mut ahead = asked.subscribe();
                            let too_many = ahead.wait_for(|asked| *asked >= TOO_MANY);
                            let _ = timeout(Duration::from_secs(1), too_many).await;
                            ok("slow")
                        }
                        _ => {
                            asked.send_modify(|asked| *asked += 1);
                            links((0..100).map(|n| format!("//other.test/{}{n}", "a".repeat(1_000))))
                        }
                    };
                    stream.write_all(&answer).await?;
                }
                Ok(())
            }
        }
    })
    .await;
    let (report, allowance) = crawl(server.address(), MOST, 2).await;
    assert_eq!((report.pages, report.failed, report.stopped_by), (62, 0, None), "{report:?}");
    assert_eq!((allowance.held(), allowance.peak() <= MOST), (0, true));
}

#[tokio::test]
async fn a_sitemap_without_end_leaves_room_for_the_first_page() {
    const MOST: u64 = 4_096 * KIB;
    const LISTED: usize = 20_000;
    let server = HttpServer::start(|seen| match seen.target().as_str() {
        "/sitemap.xml" => {
            let long = "a".repeat(60);
            let urls = (0..LISTED).map(|number| format!("<url><loc>/{long}/{number}</loc></url>"));
            response("200 OK", &[], format!("<urlset>{}</urlset>", urls.collect::<String>()))
        }
        "/robots.txt" => response("404 Not Found", &[], ""),
        _ => response("200 OK", &["Content-Type: text/html"], "<title>page</title>"),
    })
    .await;
    let dialer = dialer(MOST);
    let root = Url::parse(&format!("http://{}/", server.address())).unwrap();
    // More than what may be left over after the last address that fits.
    let start = format!("/{}", "s".repeat(500));
    let starts = vec![root.join(&start).unwrap()];
    let site = crawl::Site { root, endpoint: endpoint(server.address()), starts };
    let options = CrawlOptions { fold_after: None, ..CrawlOptions::of(Profile::Standard) };
    let limits = Limits { crawl_pages: 5, ..dialer.limits().clone() };
    let (sender, mut receiver) = mpsc::channel(16);
    let client = client(&dialer);
    let listen = async { while receiver.recv().await.is_some() {} };
    let crawling = crawl::site(&client, &site, &limits, &options, None, sender);
    let (report, ()) = tokio::join!(crawling, listen);
    assert_eq!((report.pages, report.failed), (5, 0), "{report:?}");
    assert!(server.seen().iter().any(|seen| seen.target() == start), "what a person asked for");
    let [(url, why)] = report.failures.as_slice() else { panic!("{report:?}") };
    let (left_out, _) = why.split_once(" of the addresses that it names are left out").expect(why);
    let left_out: u64 = left_out.rsplit(' ').next().unwrap().parse().unwrap();
    assert_eq!((url.path(), report.found + left_out), ("/sitemap.xml", LISTED as u64 + 1), "{why}");
    assert!(why.contains(&MOST.to_string()) && report.found > 5_000, "{why}, {}", report.found);
    assert_eq!((dialer.allowance().held(), dialer.allowance().peak() <= MOST), (0, true));
}
