//! Service detection against fake servers: usual answers on unusual ports, TLS, and servers that misbehave.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use checks::exchange::Failure;
use model::{Endpoint, FailReason, Limits, Profile, Protocol, Scope, Service};
use scanner::{http::Identity, services::identify, socket::Dialer};
use testkit::{
    tcp::{TcpServer, closed_port, endlessly, reset},
    tls::{OpensslServer, Wanted, acceptor, certify},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

fn dialer(limits: Limits) -> Dialer {
    Dialer::new(Scope::loopback(), limits, CancellationToken::new())
}

fn identity() -> Identity {
    Identity { user_agent: "rampart/0 (scan 7; +mailto:a@example.com)".to_owned() }
}

async fn identified_with(limits: Limits, to: SocketAddr) -> Result<Service, Failure> {
    let endpoint = Endpoint { name: None, address: to.ip(), port: to.port() };
    let deadline = Instant::now() + Duration::from_secs(60);
    identify(&dialer(limits), &identity(), &endpoint, deadline).await.map(|identified| identified.service)
}

async fn identified(to: SocketAddr) -> Service {
    identified_with(Profile::Deep.limits(), to).await.unwrap()
}

/// Protocol, product, version: what most tests are about. An empty text is none.
fn told(service: &Service) -> [&str; 3] {
    [
        &service.protocol.0,
        service.product.as_deref().unwrap_or_default(),
        service.version.as_deref().unwrap_or_default(),
    ]
}

/// A server that answers this question with that, and closes when it hears anything else.
async fn answering(question: &'static [u8], answer: &'static [u8]) -> TcpServer {
    TcpServer::start(move |stream, _| answer_once(stream, question, answer)).await
}

async fn answer_once(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    question: &'static [u8],
    answer: &'static [u8],
) -> io::Result<()> {
    let mut heard = vec![0; question.len()];
    stream.read_exact(&mut heard).await?;
    if heard == question {
        stream.write_all(answer).await?;
        stream.read_to_end(&mut heard).await?;
    }
    Ok(())
}

/// A server that greets and then listens for ever.
async fn greeting(greeting: &'static [u8]) -> TcpServer {
    TcpServer::start(move |mut stream, _| async move {
        stream.write_all(greeting).await?;
        stream.read_to_end(&mut Vec::new()).await.map(drop)
    })
    .await
}

#[tokio::test]
async fn greetings_are_recognised_on_any_port() {
    for (bytes, expected) in [
        (&b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"[..], ["ssh", "OpenSSH", "9.2p1"]),
        (b"220 (vsFTPd 3.0.3)\r\n", ["ftp", "vsftpd", "3.0.3"]),
        (b"220 mx.example ESMTP Exim 4.96 Mon, 03 Jun 2024\r\n", ["smtp", "Exim", "4.96"]),
        (b"* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n", ["imap", "Dovecot", ""]),
        (b"+OK Dovecot ready.\r\n", ["pop3", "Dovecot", ""]),
        (b"@RSYNCD: 31.0\n", ["rsync", "rsync", ""]),
        (b"RFB 003.008\n", ["vnc", "", ""]),
        (
            b"\x5a\0\0\0\x0a5.5.5-10.11.6-MariaDB-0+deb12u1\0\x1f\0\0\0abcdefgh\0\xfe\xf7",
            ["mysql", "MariaDB", "10.11.6"],
        ),
    ] {
        let server = greeting(bytes).await;
        let service = identified(server.address()).await;
        assert_eq!(told(&service), expected);
        assert_eq!(server.connections(), 1, "a greeting that says it all needs no question");
        assert!(service.tls.is_none() && !service.banner.is_empty());
    }
}

#[tokio::test]
async fn questions_are_answered_on_any_port() {
    let redis: (&[u8], &[u8]) = (
        b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n",
        b"$40\r\n# Server\r\nredis_version:7.0.15\r\nredis_x:1\r\n\r\n",
    );
    let cases = [
        (redis, ["redis", "Redis", "7.0.15"]),
        ((b"version\r\n", b"VERSION 1.6.18\r\n"), ["memcached", "memcached", "1.6.18"]),
        ((&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f], b"N"), ["postgresql", "PostgreSQL", ""]),
        ((b"\x10\x0c\0\x04MQTT\x04\x02\0\x0a\0\0", b"\x20\x02\0\x05"), ["mqtt", "", ""]),
        ((b"srvr", b"Zookeeper version: 3.8.0-5a02, built on 2022\n"), ["zookeeper", "ZooKeeper", "3.8.0"]),
        ((&[5, 1, 0], b"\x05\0"), ["socks5", "", ""]),
    ];
    let asked = cases.map(|((question, answer), expected)| async move {
        let server = answering(question, answer).await;
        assert_eq!(told(&identified(server.address()).await), expected);
    });
    futures_util::future::join_all(asked).await;
}

#[tokio::test]
async fn web_servers_are_told_who_asks() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    let server = TcpServer::start(move |mut stream: TcpStream, _| {
        let heard = Arc::clone(&hearing);
        async move {
            let mut buffer = vec![0; 1_024];
            let count = stream.read(&mut buffer).await?;
            heard.lock().unwrap().extend_from_slice(&buffer[..count]);
            stream.write_all(b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nConnection: close\r\n\r\n<title>\x1b[31m</title>").await
        }
    })
    .await;
    let service = identified(server.address()).await;
    assert_eq!(told(&service), ["http", "nginx", "1.22.1"]);
    assert_eq!(service.protocol, Protocol::HTTP);
    assert_eq!(service.cpe.as_deref(), Some("cpe:2.3:a:nginx:nginx:1.22.1:*:*:*:*:*:*:*"));
    assert_eq!(service.web_root().unwrap().as_str(), format!("http://{}/", server.address()));
    assert!(service.banner.ends_with("<title>.[31m</title>"), "{}", service.banner);
    let request = String::from_utf8(heard.lock().unwrap().clone()).unwrap();
    assert!(request.starts_with("GET / HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nHost: {}\r\n", server.address())), "{request}");
    assert!(request.contains("\r\nUser-Agent: rampart/0 (scan 7; +mailto:a@example.com)\r\n"), "{request}");
}

#[tokio::test]
async fn a_greeting_that_says_too_little_is_answered() {
    let server = TcpServer::start(|mut stream, _| async move {
        stream.write_all(b"220 relay ready\r\n").await?;
        let mut heard = vec![0; 4];
        stream.read_exact(&mut heard).await?;
        let answer: &[u8] =
            if heard == b"EHLO" { b"250-relay\r\n250 PIPELINING\r\n" } else { b"500 what\r\n" };
        stream.write_all(answer).await?;
        stream.read_to_end(&mut heard).await.map(drop)
    })
    .await;
    let service = identified(server.address()).await;
    assert_eq!(told(&service), ["smtp", "", ""]);
    assert_eq!(service.banner, "220 relay ready 250-relay 250 PIPELINING");
}

#[tokio::test]
async fn tls_is_looked_into() {
    let acceptor = acceptor(certify(&Wanted {
        common_name: "www.example",
        names: &["www.example"],
        ..Wanted::default()
    }));
    let server = TcpServer::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await?;
            let mut buffer = [0; 1_024];
            let count = stream.read(&mut buffer).await?;
            if buffer[..count].starts_with(b"GET ") {
                stream.write_all(b"HTTP/1.1 200 OK\r\nServer: Caddy\r\n\r\n").await?;
            }
            stream.shutdown().await
        }
    })
    .await;
    let service = identified(server.address()).await;
    assert_eq!(told(&service), ["http", "Caddy", ""]);
    let tls = service.tls.as_ref().unwrap();
    assert_eq!((tls.version.as_str(), tls.subject.as_deref()), ("tls13", Some("www.example")));
    assert_eq!(tls.names, ["www.example"]);
    assert!(tls.cipher.starts_with("TLS_") && tls.not_after.is_some() && tls.issuer.is_some(), "{tls:?}");
    assert_eq!(service.web_root().unwrap().scheme(), "https");
}

#[tokio::test]
async fn a_greeting_inside_tls_is_recognised() {
    let acceptor = acceptor(certify(&Wanted::default()));
    let server = TcpServer::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await?;
            stream.write_all(b"* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n").await?;
            stream.read_to_end(&mut Vec::new()).await.map(drop)
        }
    })
    .await;
    let service = identified(server.address()).await;
    assert_eq!(told(&service), ["imap", "Dovecot", ""]);
    assert!(service.tls.is_some());
}

#[tokio::test]
async fn tls_too_old_to_be_spoken_is_seen() {
    let server = OpensslServer::start(&certify(&Wanted::default()), &["-tls1", "-cipher", "ALL:@SECLEVEL=0"]);
    let service = identified(server.address()).await;
    let tls = service.tls.as_ref().unwrap_or_else(|| panic!("{service:?}"));
    assert_eq!((tls.version.as_str(), tls.subject.as_deref()), ("tls10", Some("localhost")));
    assert_eq!(service.protocol, Protocol::UNKNOWN);
}

#[tokio::test]
async fn an_echo_is_an_echo() {
    let server = TcpServer::start(|mut stream, _| async move {
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.map(drop)
    })
    .await;
    assert_eq!(told(&identified(server.address()).await), ["echo", "", ""]);
}

#[tokio::test]
async fn an_unknown_greeting_is_kept() {
    let server = greeting(b"\x00\x01 hello \xff stranger\r\n").await;
    let service = identified_with(Profile::Quick.limits(), server.address()).await.unwrap();
    assert_eq!(service.protocol, Protocol::UNKNOWN);
    assert_eq!(service.banner, ".. hello \u{fffd} stranger");
}

#[tokio::test]
async fn a_quick_scan_asks_little() {
    // Closes whatever it hears, so every question costs a connection.
    let server =
        TcpServer::start(|mut stream, _| async move { stream.read(&mut [0; 64]).await.map(drop) }).await;
    let service = identified_with(Profile::Quick.limits(), server.address()).await.unwrap();
    assert_eq!(service.protocol, Protocol::UNKNOWN);
    // Three questions, of which the first goes out on the connection that was listened to, and one handshake.
    assert!(server.connections() <= 4, "{} connections", server.connections());
}

#[tokio::test]
async fn servers_that_misbehave_end() {
    let silent =
        TcpServer::start(|mut stream, _| async move { stream.read_to_end(&mut Vec::new()).await.map(drop) })
            .await;
    let resetting = TcpServer::start(|stream, _| async move { reset(stream) }).await;
    let flooding =
        TcpServer::start(|mut stream, _| async move { endlessly(&mut stream, &[b'x'; 1_000]).await }).await;
    let limits = Limits { request_deadline: Duration::from_millis(300), ..Profile::Quick.limits() };
    for server in [&silent, &resetting, &flooding] {
        let service = identified_with(limits.clone(), server.address()).await.unwrap();
        assert_eq!(service.protocol, Protocol::UNKNOWN);
        assert!(service.banner.chars().count() <= 512);
    }
}

#[tokio::test]
async fn the_deadline_holds_against_a_trickle() {
    let trickling = TcpServer::start(|mut stream, _| async move {
        let mut every = tokio::time::interval(Duration::from_millis(20));
        loop {
            every.tick().await;
            stream.write_all(b"x").await?;
        }
    })
    .await;
    let endpoint =
        Endpoint { name: None, address: trickling.address().ip(), port: trickling.address().port() };
    let deadline = Instant::now() + Duration::from_millis(700);
    let service =
        identify(&dialer(Profile::Deep.limits()), &identity(), &endpoint, deadline).await.unwrap().service;
    assert_eq!(service.protocol, Protocol::UNKNOWN);
    assert!(deadline.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_port_that_is_closed_by_now_is_a_failure() {
    let failure = identified_with(Profile::Standard.limits(), closed_port().await).await.unwrap_err();
    assert!(matches!(failure, Failure::Failed(FailReason::Refused, _)), "{failure:?}");
}

#[tokio::test]
async fn a_stopped_scan_asks_nothing() {
    let server = greeting(b"SSH-2.0-x\r\n").await;
    let to = server.address();
    let stopped = dialer(Profile::Standard.limits());
    stopped.stop().cancel();
    let endpoint = Endpoint { name: None, address: to.ip(), port: to.port() };
    let failure = identify(&stopped, &identity(), &endpoint, Instant::now() + Duration::from_secs(9))
        .await
        .unwrap_err();
    assert!(matches!(failure, Failure::Skipped(model::SkipReason::Cancelled)), "{failure:?}");
    assert_eq!(server.connections(), 0);
}

/// What a server does that hears TLS: nothing, or what it does with everything else.
#[derive(Clone, Copy, PartialEq)]
enum Hello {
    Stalls,
    Closes,
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_leaves_open_what_listens() {
    const ALERT: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];
    for (otherwise, hello, is_open) in [
        (&[][..], Hello::Stalls, true),
        (ALERT, Hello::Stalls, true),
        // Who closes has answered.
        (&[][..], Hello::Closes, false),
    ] {
        let server = TcpServer::start(move |mut stream, _| async move {
            let mut heard = [0_u8; 512];
            let count = stream.read(&mut heard).await?;
            if count > 0 && heard[0] == 22 && hello == Hello::Stalls {
                while stream.read(&mut heard).await? > 0 {}
            }
            stream.write_all(otherwise).await
        })
        .await;
        let to = server.address();
        let endpoint = Endpoint { name: None, address: to.ip(), port: to.port() };
        let limits = Limits { request_deadline: Duration::from_secs(1), ..Profile::Deep.limits() };
        let deadline = Instant::now() + Duration::from_secs(120);
        let identified = identify(&dialer(limits), &identity(), &endpoint, deadline).await.unwrap();
        assert_eq!(identified.service.protocol, Protocol::UNKNOWN);
        let says = identified.doubt.unwrap_or_default();
        assert_eq!(says.contains("no handshake of TLS came to its end"), is_open, "{otherwise:?}: {says}");
    }
}
