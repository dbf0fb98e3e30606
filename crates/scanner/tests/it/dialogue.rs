//! Dialogues over real sockets.

use std::{net::SocketAddr, time::Duration};

use checks::exchange::{Failure, TcpInput, TcpRequest, TcpResponse};
use model::{Endpoint, FailReason, Limits, Profile, Scope, SkipReason};
use scanner::{dialogue, socket::Dialer};
use testkit::{
    tcp::{TcpServer, closed_port, endlessly, reset},
    tls::{Wanted, acceptor, certify},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

fn patient() -> Limits {
    Profile::Deep.limits()
}

fn hurried() -> Limits {
    Limits { request_deadline: Duration::from_millis(300), ..patient() }
}

async fn run(limits: Limits, to: SocketAddr, request: &TcpRequest) -> Result<TcpResponse, Failure> {
    let dialer = Dialer::new(Scope::loopback(), limits, CancellationToken::new());
    dialogue::run(&dialer, &Endpoint { name: None, address: to.ip(), port: to.port() }, request).await
}

fn banner(to: SocketAddr, read_size: usize) -> TcpRequest {
    TcpRequest {
        host: to.ip().to_string(),
        port: to.port(),
        tls: false,
        inputs: Vec::new(),
        read_size,
        read_all: false,
    }
}

fn input(data: &str, read: usize, name: &str) -> TcpInput {
    TcpInput { data: data.as_bytes().to_vec(), read, name: Some(name.to_owned()) }
}

fn read(name: &str, bytes: &str) -> (Option<String>, Vec<u8>) {
    (Some(name.to_owned()), bytes.as_bytes().to_vec())
}

fn last(bytes: &str) -> (Option<String>, Vec<u8>) {
    (None, bytes.as_bytes().to_vec())
}

fn reason(failure: &Failure) -> FailReason {
    match failure {
        Failure::Failed(reason, _) => *reason,
        other => panic!("{other:?}"),
    }
}

/// Greets, then answers every line with `<line>!`; closes after `quit`.
async fn converse(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"hello\n").await?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        stream.write_all(format!("{}!\n", line.trim_end()).as_bytes()).await?;
        stream.flush().await?;
        if line.is_empty() || line == "quit\n" {
            return stream.shutdown().await;
        }
    }
}

#[tokio::test]
async fn each_step_sends_and_reads() {
    let server = TcpServer::start(|stream, _| converse(stream)).await;
    let to = server.address();
    let request = TcpRequest {
        inputs: vec![
            input("", 6, "greeting"),
            input("one\n", 5, "first"),
            input("two\n", 0, "none"),
            input("quit\n", 2, "part"),
        ],
        read_all: true,
        ..banner(to, 0)
    };
    let response = run(patient(), to, &request).await.unwrap();
    let expected =
        [read("greeting", "hello\n"), read("first", "one!\n"), read("part", "tw"), last("o!\nquit!\n")];
    assert_eq!(response.reads, expected);
    assert_eq!((response.request.as_slice(), response.remote), (&b"one\ntwo\nquit\n"[..], Some(to)));
}

#[tokio::test]
async fn the_same_inside_tls() {
    let acceptor = acceptor(certify(&Wanted { years: (2000, 2001), self_signed: true, ..Wanted::default() }));
    let server = TcpServer::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move { converse(acceptor.accept(stream).await?).await }
    })
    .await;
    let to = server.address();
    let request =
        TcpRequest { tls: true, inputs: vec![input("quit\n", 0, "x")], read_all: true, ..banner(to, 0) };
    let response = run(patient(), to, &request).await.unwrap();
    assert_eq!(response.reads, [last("hello\nquit!\n")]);
    let plain = TcpServer::start(|stream, _| converse(stream)).await;
    let failure = run(patient(), plain.address(), &TcpRequest { port: plain.address().port(), ..request })
        .await
        .unwrap_err();
    assert_eq!(reason(&failure), FailReason::Tls);
}

#[tokio::test]
async fn a_read_ends_with_its_size_or_a_pause() {
    let server = TcpServer::start(|mut stream, _| async move {
        stream.write_all(b"banner").await?;
        stream.read_u8().await.map(|_| ())
    })
    .await;
    let to = server.address();
    assert_eq!(run(patient(), to, &banner(to, 3)).await.unwrap().reads, [last("ban")]);
    assert_eq!(run(patient(), to, &banner(to, 0)).await.unwrap().reads, [last("")]);
    let begun = Instant::now();
    assert_eq!(run(patient(), to, &banner(to, 100)).await.unwrap().reads, [last("banner")]);
    assert!(begun.elapsed() >= Duration::from_secs(1), "a pause of a second ends a read, not less");
}

#[tokio::test]
async fn a_peer_that_closes_early_leaves_what_it_said() {
    let server = TcpServer::start(|mut stream, _| async move {
        stream.write_all(b"bye").await?;
        stream.shutdown().await
    })
    .await;
    let to = server.address();
    let request =
        TcpRequest { inputs: vec![input("", 100, "first"), input("x", 100, "second")], ..banner(to, 100) };
    let response = run(patient(), to, &request).await.unwrap();
    assert_eq!((response.reads, response.request), (vec![read("first", "bye"), last("")], Vec::new()));
}

#[tokio::test]
async fn endless_peers_are_cut() {
    let server =
        TcpServer::start(|mut stream, _| async move { endlessly(&mut stream, &[b'x'; 1_000]).await }).await;
    let to = server.address();
    let limits = Limits { response_bytes: 50_000, ..patient() };
    let request = TcpRequest { inputs: vec![input("", 40_000, "first")], read_all: true, ..banner(to, 0) };
    let response = run(limits, to, &request).await.unwrap();
    let lengths: Vec<usize> = response.reads.iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(lengths, [40_000, 10_000]);
}

#[tokio::test]
async fn silent_and_trickling_peers_meet_the_deadline() {
    let silent = TcpServer::start(|mut stream, _| async move { stream.read_u8().await.map(|_| ()) }).await;
    let failure = run(hurried(), silent.address(), &banner(silent.address(), 10)).await.unwrap_err();
    assert_eq!(reason(&failure), FailReason::TimedOut);

    let trickling = TcpServer::start(|mut stream, _| async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            stream.write_all(b"x").await?;
        }
    })
    .await;
    let begun = Instant::now();
    let to = trickling.address();
    let response = run(hurried(), to, &TcpRequest { read_all: true, ..banner(to, 0) }).await.unwrap();
    assert!(response.reads[0].1.starts_with(b"x"));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());

    // Never reads, so that what is sent does not fit.
    let deaf = TcpServer::start(|stream, _| async move {
        let _held = stream;
        std::future::pending().await
    })
    .await;
    let to = deaf.address();
    let request = TcpRequest { inputs: vec![input(&"x".repeat(32 << 20), 1, "answer")], ..banner(to, 10) };
    assert_eq!(reason(&run(hurried(), to, &request).await.unwrap_err()), FailReason::TimedOut);
}

#[tokio::test]
async fn failures_have_their_reasons() {
    let resetting = TcpServer::start(|stream, _| async move { reset(stream) }).await;
    let closed = closed_port().await;
    for (to, expected) in [(resetting.address(), FailReason::Reset), (closed, FailReason::Refused)] {
        assert_eq!(reason(&run(patient(), to, &banner(to, 10)).await.unwrap_err()), expected);
    }
    let outside: SocketAddr = "192.0.2.1:25".parse().unwrap();
    assert!(matches!(run(patient(), outside, &banner(outside, 10)).await, Err(Failure::OutOfScope(_))));

    let stopped = Dialer::new(Scope::loopback(), patient(), CancellationToken::new());
    stopped.stop().cancel();
    let endpoint = Endpoint { name: None, address: closed.ip(), port: closed.port() };
    let answer = dialogue::run(&stopped, &endpoint, &banner(closed, 10)).await;
    assert_eq!(answer.unwrap_err(), Failure::Skipped(SkipReason::Cancelled));
}
