//! HTTP requests over real sockets, against servers that behave and servers that do not.

use std::{
    io::{self, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use checks::exchange::{Failure, HttpForm, HttpRequest, Origin};
use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use model::{Endpoint, FailReason, Limits, Profile, Scope, SkipReason};
use scanner::{
    http::{HttpClient, HttpSession, Identity},
    socket::Dialer,
};
use testkit::{
    http::{HttpServer, ok, read_request, response},
    tcp::{TcpServer, closed_port, endlessly, reset},
    tls::{Wanted, acceptor, certify},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Long enough for any machine where a test expects an answer.
fn patient() -> Limits {
    Limits { requests_per_second: 100_000, requests_per_second_per_host: 100_000, ..Profile::Deep.limits() }
}

/// Short, where a test expects the deadline to strike.
fn hurried() -> Limits {
    Limits { request_deadline: Duration::from_millis(300), ..patient() }
}

fn dialer(limits: Limits) -> Dialer {
    Dialer::new(Scope::loopback(), limits, CancellationToken::new())
}

fn client(dialer: Dialer) -> HttpClient {
    HttpClient::new(dialer, Identity { user_agent: "rampart-test".to_owned() })
}

fn endpoint(to: SocketAddr) -> Endpoint {
    Endpoint { name: None, address: to.ip(), port: to.port() }
}

fn session(limits: Limits, to: SocketAddr) -> HttpSession {
    client(dialer(limits)).session(endpoint(to), false)
}

fn request(to: SocketAddr, method: &str, target: &str) -> HttpRequest {
    HttpRequest {
        origin: Origin { tls: false, host: to.ip().to_string(), port: to.port() },
        sni: None,
        form: HttpForm::Structured {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        },
        timeout: None,
        max_body: None,
    }
}

fn get(to: SocketAddr) -> HttpRequest {
    request(to, "GET", "/")
}

fn verbatim(to: SocketAddr, bytes: &[u8]) -> HttpRequest {
    HttpRequest { form: HttpForm::Verbatim(bytes.to_vec()), ..get(to) }
}

fn reason(failure: &Failure) -> FailReason {
    match failure {
        Failure::Failed(reason, _) => *reason,
        other => panic!("{other:?}"),
    }
}

/// A server that reads the request and then does what the test says.
macro_rules! after_request {
    ($stream:ident, $number:ident => $body:expr) => {
        TcpServer::start(move |mut $stream, $number| async move {
            read_request(&mut $stream).await?;
            let _ = $number;
            $body
        })
        .await
    };
}

#[tokio::test]
async fn a_request_arrives_as_it_was_reported_and_its_response_is_whole() {
    let server =
        HttpServer::start(|_| response("418 Teapot", &["X-A: 1", "x-a: 2"], "short and stout")).await;
    let to = server.address();
    let mut asked = request(to, "POST", "/a?b={c}");
    let HttpForm::Structured { headers, body, .. } = &mut asked.form else { unreachable!() };
    headers.push(("X-Test".to_owned(), "yes".to_owned()));
    body.extend_from_slice(b"data");

    let answer = session(patient(), to).send(&asked).await.unwrap();
    assert_eq!((answer.status, answer.reason.as_str(), answer.truncated), (418, "Teapot", false));
    assert_eq!(answer.head, b"HTTP/1.1 418 Teapot\r\nContent-Length: 15\r\nX-A: 1\r\nx-a: 2\r\n\r\n");
    assert_eq!(answer.headers.len(), 3);
    assert_eq!(answer.header("x-a"), Some(&b"1"[..]));
    assert_eq!(answer.body, b"short and stout");
    assert_eq!(answer.remote, Some(to));
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].bytes, answer.request);
    assert_eq!(
        seen[0].text(),
        format!(
            "POST /a?b={{c}} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: rampart-test\r\nAccept: */*\r\n\
             Accept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nContent-Length: 4\r\nX-Test: yes\r\n\r\ndata"
        )
    );
}

#[tokio::test]
async fn verbatim_bytes_go_out_untouched_on_a_connection_of_their_own() {
    let server = HttpServer::start(|_| ok("x")).await;
    let to = server.address();
    let session = session(patient(), to);
    let bytes = b"get  /%zz?\x01 HTTP/1.1\nHost:a\r\n\r\n";
    for _ in 0..2 {
        let answer = session.send(&verbatim(to, bytes)).await.unwrap();
        assert_eq!((answer.body.as_slice(), answer.request.as_slice()), (&b"x"[..], &bytes[..]));
    }
    assert_eq!(server.connections(), 2);
    assert_eq!(server.seen()[1].bytes, bytes);
}

#[tokio::test]
async fn connections_are_kept_and_closed_with_the_session() {
    let closed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&closed);
    let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let server = TcpServer::start(move |mut stream, _| {
        let (counter, ended) = (Arc::clone(&counter), ended.clone());
        async move {
            while read_request(&mut stream).await?.is_some() {
                stream.write_all(&ok("x")).await?;
            }
            counter.fetch_add(1, Ordering::SeqCst);
            ended.send(()).map_err(io::Error::other)
        }
    })
    .await;
    let to = server.address();
    let client = client(dialer(patient()));
    let session = client.session(endpoint(to), false);
    for _ in 0..5 {
        session.send(&get(to)).await.unwrap();
    }
    assert_eq!((server.connections(), closed.load(Ordering::SeqCst)), (1, 0));
    drop(session);
    ends.recv().await.unwrap();
    assert_eq!(closed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn many_requests_at_once_share_the_allowed_connections() {
    let server = HttpServer::start(|seen| ok(seen.target())).await;
    let to = server.address();
    let session = session(Limits { connections_per_host: 4, ..patient() }, to);
    let requests = (0..200).map(|index| {
        let asked = request(to, "GET", &format!("/{index}"));
        let session = &session;
        async move { (session.send(&asked).await.unwrap().body, format!("/{index}")) }
    });
    for (body, target) in futures_util::future::join_all(requests).await {
        assert_eq!(String::from_utf8(body).unwrap(), target);
    }
    assert_eq!(server.connections(), 4);
}

#[tokio::test]
async fn idle_connections_make_room_for_other_sessions_and_other_rooms() {
    let server = HttpServer::start(|_| ok("x")).await;
    let to = server.address();
    let dialer = dialer(Limits { connections_per_host: 2, connections: 2, ..patient() });
    let client = client(dialer.clone());
    let sessions: Vec<HttpSession> = (0..20).map(|_| client.session(endpoint(to), false)).collect();
    let all = sessions.iter().map(|session| async move {
        for _ in 0..5 {
            session.send(&get(to)).await.unwrap();
        }
    });
    futures_util::future::join_all(all).await;
    let soon = Instant::now() + Duration::from_secs(10);
    let first = dialer.connect(&endpoint(to), soon).await;
    let second = dialer.connect(&endpoint(to), soon).await;
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
}

#[tokio::test]
async fn a_kept_connection_that_is_gone_is_replaced() {
    // Answers once on each connection, then closes when the next request comes: the client cannot have known.
    let server = TcpServer::start(|mut stream, number| async move {
        read_request(&mut stream).await?;
        stream.write_all(&ok(format!("{number}"))).await?;
        read_request(&mut stream).await?;
        if number % 2 == 1 { reset(stream) } else { Ok(()) }
    })
    .await;
    let to = server.address();
    let session = session(patient(), to);
    for number in 0..4 {
        assert_eq!(session.send(&get(to)).await.unwrap().body, format!("{number}").into_bytes());
    }
    // Nobody knows whether a POST arrived: it never goes over a connection that may be gone.
    assert_eq!(session.send(&request(to, "POST", "/")).await.unwrap().body, b"4");
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn a_fresh_connection_that_closes_is_not_tried_again() {
    for (number_of_resets, expected) in [(0, FailReason::Reset), (1, FailReason::Reset)] {
        let server =
            after_request!(stream, number => if number_of_resets == 1 { reset(stream) } else { Ok(()) });
        let to = server.address();
        let failure = session(patient(), to).send(&get(to)).await.unwrap_err();
        assert_eq!((reason(&failure), server.connections()), (expected, 1), "{failure:?}");
    }
}

#[tokio::test]
async fn what_follows_a_response_never_answers_the_next_request() {
    let server = after_request!(stream, number => {
        let own = ok(format!("own {number}"));
        stream.write_all(&[own, ok("smuggled")].concat()).await?;
        read_request(&mut stream).await.map(|_| ())
    });
    let to = server.address();
    let session = session(patient(), to);
    for number in 0..3 {
        assert_eq!(session.send(&get(to)).await.unwrap().body, format!("own {number}").into_bytes());
    }
}

#[tokio::test]
async fn slow_servers_meet_the_deadline_whatever_they_trickle() {
    let beginnings: [&[u8]; 6] = [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nA: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ];
    for (beginning, drop) in
        beginnings.iter().flat_map(|beginning| [(*beginning, &b""[..]), (beginning, b"1")])
    {
        let server = TcpServer::start(move |mut stream, _| async move {
            read_request(&mut stream).await?;
            stream.write_all(beginning).await?;
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            loop {
                ticks.tick().await;
                stream.write_all(if beginning.is_empty() { b"" } else { drop }).await?;
            }
        })
        .await;
        let to = server.address();
        let begun = Instant::now();
        let failure = session(hurried(), to).send(&get(to)).await.unwrap_err();
        let text = beginning.escape_ascii();
        assert_eq!(reason(&failure), FailReason::TimedOut, "{text} + {drop:?}: {failure:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{text}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_request_may_shorten_the_deadline_but_not_extend_it() {
    let server = after_request!(stream, number => stream.read_u8().await.map(|_| ()));
    let to = server.address();
    for (limits, timeout) in
        [(patient(), Duration::from_millis(100)), (hurried(), Duration::from_secs(3_600))]
    {
        let asked = HttpRequest { timeout: Some(timeout), ..get(to) };
        let failure = session(limits, to).send(&asked).await.unwrap_err();
        assert_eq!(reason(&failure), FailReason::TimedOut);
    }
}

#[tokio::test]
async fn endless_heads_and_bodies_are_cut() {
    let limits = Limits { response_bytes: 100_000, ..patient() };
    let heads: [(&[u8], &[u8]); 3] = [
        (b"HTTP/1.1 200 OK\r\n", b"X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"),
        (b"HTTP/1.1 200 OK\r\nA: ", b"aaaaaaaaaaaaaaaaaaaaaa"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ];
    for (beginning, piece) in heads {
        let server = after_request!(stream, number => {
            stream.write_all(beginning).await?;
            endlessly(&mut stream, piece).await
        });
        let to = server.address();
        let failure = session(limits.clone(), to).send(&get(to)).await.unwrap_err();
        assert_eq!(reason(&failure), FailReason::Protocol, "{failure:?}");
    }
    let bodies: [(&[u8], &[u8]); 4] = [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10\r\naaaaaaaaaaaaaaaa\r\n"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n",
            b"aaaaaaaaaaaaaaaaaaaaaaaaaa",
        ),
    ];
    for (beginning, piece) in bodies {
        let server = after_request!(stream, number => {
            stream.write_all(beginning).await?;
            endlessly(&mut stream, piece).await
        });
        let to = server.address();
        let answer = session(limits.clone(), to).send(&get(to)).await.unwrap();
        assert_eq!((answer.body.len(), answer.truncated), (100_000, true), "{}", beginning.escape_ascii());
        let smaller = HttpRequest { max_body: Some(7), ..get(to) };
        let answer = session(limits.clone(), to).send(&smaller).await.unwrap();
        assert_eq!((answer.body.len(), answer.truncated), (7, true));
    }
}

#[tokio::test]
async fn a_chunked_body_of_framing_alone_is_cut() {
    let extension = format!("1;{}\r\na\r\n", "x".repeat(4_000));
    let server = TcpServer::start(move |mut stream, _| {
        let extension = extension.clone();
        async move {
            read_request(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            endlessly(&mut stream, extension.as_bytes()).await
        }
    })
    .await;
    let to = server.address();
    let answer = session(Limits { response_bytes: 100_000, ..patient() }, to).send(&get(to)).await.unwrap();
    assert!(answer.truncated && answer.body.len() < 100, "{}", answer.body.len());
}

#[tokio::test]
async fn a_gigabyte_in_a_megabyte_is_cut_at_the_cap() {
    let zeros = vec![0; 1 << 20];
    let mut member = GzEncoder::new(Vec::new(), Compression::best());
    member.write_all(&zeros).unwrap();
    // Gzip members may follow one another (RFC 1952, 2.2): these are a gigabyte in all.
    let gzip = member.finish().unwrap().repeat(1_024);
    let mut stream = ZlibEncoder::new(Vec::new(), Compression::best());
    for _ in 0..32 {
        stream.write_all(&zeros).unwrap();
    }
    let deflate = stream.finish().unwrap();
    for (coding, bomb) in [("gzip", gzip), ("deflate", deflate)] {
        assert!(bomb.len() < 2 << 20, "{}", bomb.len());
        let header = format!("Content-Encoding: {coding}");
        let server = HttpServer::start(move |_| response("200 OK", &[&header], &bomb)).await;
        let to = server.address();
        let answer =
            session(Limits { response_bytes: 2 << 20, ..patient() }, to).send(&get(to)).await.unwrap();
        assert_eq!((answer.body.len(), answer.truncated), (2 << 20, true), "{coding}");
    }
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_kept() {
    for (beginning, truncated) in [
        ("Content-Length: 100\r\n\r\nabc", true),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n8\r\n", true),
        ("\r\nabc", false),
    ] {
        let server = after_request!(stream, number => {
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{beginning}").as_bytes()).await?;
            stream.shutdown().await
        });
        let to = server.address();
        let answer = session(patient(), to).send(&get(to)).await.unwrap();
        assert_eq!((answer.body.as_slice(), answer.truncated), (&b"abc"[..], truncated), "{beginning}");
    }
}

#[tokio::test]
async fn a_reset_in_the_middle_is_a_failure() {
    for beginning in ["HTTP/1.1 200 OK\r\nA", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"] {
        let server = after_request!(stream, number => {
            stream.write_all(beginning.as_bytes()).await?;
            reset(stream)
        });
        let to = server.address();
        let failure = session(patient(), to).send(&get(to)).await.unwrap_err();
        assert_eq!(reason(&failure), FailReason::Reset, "{beginning}: {failure:?}");
    }
}

#[tokio::test]
async fn an_answer_before_the_whole_request_was_read_counts() {
    let server = TcpServer::start(|mut stream, _| async move {
        stream.read_u8().await?;
        stream.write_all(&response("413 Too Large", &["Connection: close"], "no")).await?;
        stream.shutdown().await?;
        // Holds the connection without reading, so that the request cannot be sent completely.
        std::future::pending().await
    })
    .await;
    let to = server.address();
    let mut asked = request(to, "POST", "/");
    let HttpForm::Structured { body, .. } = &mut asked.form else { unreachable!() };
    *body = vec![0; 64 << 20];
    let answer = session(patient(), to).send(&asked).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (413, &b"no"[..]));
}

#[tokio::test]
async fn an_unusual_request_keeps_what_was_said_until_the_deadline() {
    let server = after_request!(stream, number => {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial").await?;
        stream.read_u8().await.map(|_| ())
    });
    let to = server.address();
    let answer = session(hurried(), to).send(&verbatim(to, b"GET / HTTP/1.1\r\n\r\n")).await.unwrap();
    assert_eq!(answer.body, b"partial");
    assert_eq!(reason(&session(hurried(), to).send(&get(to)).await.unwrap_err()), FailReason::TimedOut);
}

#[tokio::test]
async fn other_protocols_and_closed_ports_are_told_apart() {
    let server = TcpServer::start(|mut stream, _| async move {
        stream.write_all(b"220 \x1b[31mmail ready\r\n").await?;
        stream.read_u8().await.map(|_| ())
    })
    .await;
    let failure = session(patient(), server.address()).send(&get(server.address())).await.unwrap_err();
    assert_eq!(reason(&failure), FailReason::Protocol);
    assert!(
        format!("{failure:?}").contains("mail ready") && !format!("{failure:?}").contains('\x1b'),
        "{failure:?}"
    );
    let closed = closed_port().await;
    let failure = session(patient(), closed).send(&get(closed)).await.unwrap_err();
    assert_eq!(reason(&failure), FailReason::Refused);
}

#[tokio::test]
async fn nothing_is_sent_outside_the_scope_or_after_the_stop() {
    let outside: SocketAddr = "192.0.2.1:80".parse().unwrap();
    let dialer = dialer(patient());
    let failure =
        client(dialer.clone()).session(endpoint(outside), false).send(&get(outside)).await.unwrap_err();
    assert!(matches!(failure, Failure::OutOfScope(_)), "{failure:?}");
    assert_eq!(dialer.counters().requests.load(Ordering::Relaxed), 0);

    let server = after_request!(stream, number => stream.read_u8().await.map(|_| ()));
    let to = server.address();
    let session = client(dialer.clone()).session(endpoint(to), false);
    let asked = get(to);
    let (answer, ()) = tokio::join!(session.send(&asked), async { dialer.stop().cancel() });
    assert_eq!(answer.unwrap_err(), Failure::Skipped(SkipReason::Cancelled));
}

#[tokio::test]
async fn a_request_of_another_origin_is_refused() {
    let server = HttpServer::start(|_| ok("x")).await;
    let to = server.address();
    let mut elsewhere = get(to);
    elsewhere.origin.port ^= 1;
    let failure = session(patient(), to).send(&elsewhere).await.unwrap_err();
    assert_eq!((reason(&failure), server.connections()), (FailReason::Protocol, 0));
}

#[tokio::test]
async fn the_server_never_sees_more_requests_a_second_than_the_cap() {
    let arrivals: Arc<std::sync::Mutex<Vec<std::time::Instant>>> = Arc::default();
    let log = Arc::clone(&arrivals);
    let server = HttpServer::start(move |_| {
        log.lock().unwrap().push(std::time::Instant::now());
        ok("x")
    })
    .await;
    let to = server.address();
    let limits = Limits { requests_per_second_per_host: 100, connections_per_host: 16, ..patient() };
    let client = client(dialer(limits));
    let sessions = [client.session(endpoint(to), false), client.session(endpoint(to), false)];
    let asked = get(to);
    let sends = (0..150).map(|index| sessions[index % 2].send(&asked));
    assert!(futures_util::future::join_all(sends).await.into_iter().all(|sent| sent.is_ok()));
    let arrivals = arrivals.lock().unwrap();
    for (index, start) in arrivals.iter().enumerate() {
        let within = arrivals[index..]
            .iter()
            .take_while(|at| at.duration_since(*start) < Duration::from_secs(1))
            .count();
        assert!(within <= 100, "{within} requests within a second");
    }
}

#[tokio::test]
async fn https_is_spoken_with_any_certificate_and_kept_alive() {
    let expired = certify(&Wanted { years: (2000, 2001), self_signed: true, ..Wanted::default() });
    let server = HttpServer::start_tls(acceptor(expired), |_| ok("inside")).await;
    let to = server.address();
    let session = client(dialer(patient())).session(endpoint(to), true);
    let mut asked = get(to);
    asked.origin.tls = true;
    for _ in 0..3 {
        let answer = session.send(&asked).await.unwrap();
        assert_eq!((answer.body.as_slice(), answer.remote), (&b"inside"[..], Some(to)));
    }
    assert_eq!(server.connections(), 1);
    // Another server name is another handshake.
    let other = HttpRequest { sni: Some("other.example".to_owned()), ..asked };
    session.send(&other).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_port_without_tls_fails_as_tls() {
    let server = TcpServer::start(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
        stream.read_u8().await.map(|_| ())
    })
    .await;
    let to = server.address();
    let mut asked = get(to);
    asked.origin.tls = true;
    let failure = client(dialer(patient())).session(endpoint(to), true).send(&asked).await.unwrap_err();
    assert_eq!(reason(&failure), FailReason::Tls);
}
