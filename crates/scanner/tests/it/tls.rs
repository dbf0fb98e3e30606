//! TLS handshakes over real sockets: rustls and OpenSSL at the other end, servers of times gone by, and servers that misbehave.

use std::{net::SocketAddr, time::Duration};

use checks::exchange::{Failure, HttpForm, HttpRequest, Origin, TlsRequest, TlsResponse, TlsVersion};
use model::{Endpoint, FailReason, Limits, Profile, Scope, SkipReason};
use scanner::{
    http::{HttpClient, Identity},
    socket::Dialer,
    tls::handshake,
};
use testkit::{
    tcp::{TcpServer, closed_port, endlessly, reset},
    tls::{OpensslServer, Wanted, acceptor, acceptor_for, certify, old_flight},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

const VERSIONS: [TlsVersion; 5] =
    [TlsVersion::Ssl30, TlsVersion::Tls10, TlsVersion::Tls11, TlsVersion::Tls12, TlsVersion::Tls13];

fn dialer(limits: Limits) -> Dialer {
    Dialer::new(Scope::loopback(), limits, CancellationToken::new())
}

fn patient() -> Limits {
    Profile::Deep.limits()
}

fn hurried() -> Limits {
    Limits { request_deadline: Duration::from_millis(300), ..patient() }
}

fn endpoint(to: SocketAddr) -> Endpoint {
    Endpoint { name: None, address: to.ip(), port: to.port() }
}

fn anything(host: &str, to: SocketAddr) -> TlsRequest {
    TlsRequest {
        host: host.to_owned(),
        port: to.port(),
        min_version: None,
        max_version: None,
        cipher_suites: Vec::new(),
    }
}

fn only(version: TlsVersion, to: SocketAddr) -> TlsRequest {
    TlsRequest { min_version: Some(version), max_version: Some(version), ..anything("localhost", to) }
}

async fn shake(to: SocketAddr, request: &TlsRequest) -> Result<TlsResponse, Failure> {
    handshake(&dialer(patient()), &endpoint(to), request).await
}

fn reason(failure: &Failure) -> FailReason {
    match failure {
        Failure::Failed(reason, _) => *reason,
        other => panic!("{other:?}"),
    }
}

/// A TLS server that tells the server names it was asked for.
async fn server(
    wanted: &Wanted<'_>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> (TcpServer, mpsc::UnboundedReceiver<Option<String>>) {
    let acceptor = acceptor_for(certify(wanted), versions);
    let (names, seen) = mpsc::unbounded_channel();
    let server = TcpServer::start(move |stream, _| {
        let (acceptor, names) = (acceptor.clone(), names.clone());
        async move {
            let mut stream = acceptor.accept(stream).await?;
            let name = stream.get_ref().1.server_name().map(str::to_owned);
            names.send(name).map_err(std::io::Error::other)?;
            stream.read_u8().await.map(|_| ())
        }
    })
    .await;
    (server, seen)
}

#[tokio::test]
async fn the_newest_version_and_the_certificate_are_seen() {
    let wanted = Wanted { names: &["localhost", "a.example"], ..Wanted::default() };
    let (server, mut names) = server(&wanted, rustls::ALL_VERSIONS).await;
    let to = server.address();

    let seen = shake(to, &anything("localhost", to)).await.unwrap();
    assert!(seen.established && !seen.expired && !seen.self_signed && !seen.mismatched, "{seen:?}");
    assert_eq!((seen.version, seen.cipher.as_str()), (Some(TlsVersion::Tls13), "TLS_AES_256_GCM_SHA384"));
    assert_eq!(seen.certificates.len(), 2);
    assert_eq!(seen.certificates[0].subject_an, ["localhost", "a.example"]);
    assert_eq!((seen.sni.as_deref(), seen.remote, seen.untrusted), (Some("localhost"), Some(to), None));
    assert_eq!(names.recv().await.unwrap().as_deref(), Some("localhost"));

    let other = shake(to, &anything("other.example", to)).await.unwrap();
    assert!(other.established && other.mismatched);
    assert_eq!(names.recv().await.unwrap().as_deref(), Some("other.example"));

    let address = shake(to, &anything("127.0.0.1", to)).await.unwrap();
    assert_eq!((address.sni.as_deref(), address.mismatched), (None, true));
    assert_eq!(names.recv().await.unwrap(), None);
}

#[tokio::test]
async fn bad_certificates_are_told() {
    for (years, self_signed) in [((2000, 2001), true), ((2090, 2100), false), ((2020, 2100), true)] {
        let wanted = Wanted { years, self_signed, ..Wanted::default() };
        for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
            let (server, _names) = server(&wanted, versions).await;
            let seen = shake(server.address(), &anything("localhost", server.address())).await.unwrap();
            assert!(seen.established && !seen.mismatched);
            assert_eq!((seen.expired, seen.self_signed), (years != (2020, 2100), self_signed), "{years:?}");
        }
    }
}

#[tokio::test]
async fn our_own_hello_shows_what_a_full_handshake_shows() {
    let (server, mut names) = server(&Wanted::default(), &[&rustls::version::TLS12]).await;
    let to = server.address();
    let full = shake(to, &anything("localhost", to)).await.unwrap();
    assert_eq!(names.recv().await.unwrap().as_deref(), Some("localhost"));
    let own = shake(to, &only(TlsVersion::Tls12, to)).await.unwrap();
    assert_eq!((full.version, own.version), (Some(TlsVersion::Tls12), Some(TlsVersion::Tls12)));
    assert_eq!(own.cipher, full.cipher);
    let fingerprints = |response: &TlsResponse| -> Vec<String> {
        response.certificates.iter().map(|certificate| certificate.sha256.clone()).collect()
    };
    assert_eq!(fingerprints(&own), fingerprints(&full));
    for version in [TlsVersion::Ssl30, TlsVersion::Tls10, TlsVersion::Tls11, TlsVersion::Tls13] {
        let refused = shake(to, &only(version, to)).await.unwrap();
        assert!(
            !refused.established && refused.version.is_none() && refused.certificates.is_empty(),
            "{refused:?}"
        );
        assert_eq!(refused.remote, Some(to));
    }
}

/// Every version that this build of OpenSSL still speaks, each alone: exactly that one is found.
#[tokio::test]
async fn openssl_agrees_on_versions() {
    let certified = certify(&Wanted::default());
    let cases = [
        ("-tls1", TlsVersion::Tls10),
        ("-tls1_1", TlsVersion::Tls11),
        ("-tls1_2", TlsVersion::Tls12),
        ("-tls1_3", TlsVersion::Tls13),
    ];
    for (option, spoken) in cases {
        let server = OpensslServer::start(&certified, &[option, "-cipher", "ALL:@SECLEVEL=0"]);
        let to = server.address();
        for version in VERSIONS {
            let seen = shake(to, &only(version, to)).await.unwrap();
            assert_eq!(seen.established, version == spoken, "{option}, asked for {version:?}: {seen:?}");
        }
        let seen = shake(to, &anything("localhost", to)).await.unwrap();
        assert_eq!((seen.established, seen.version), (true, Some(spoken)), "{option}");
        assert_eq!(seen.certificates[0].subject_cn, "localhost");
    }
}

#[tokio::test]
async fn openssl_agrees_on_weak_suites() {
    let certified = certify(&Wanted::default());
    let cases = [
        ("ECDHE-ECDSA-NULL-SHA", "TLS_ECDHE_ECDSA_WITH_NULL_SHA", true),
        ("AECDH-AES128-SHA", "TLS_ECDH_anon_WITH_AES_128_CBC_SHA", false),
        ("ECDHE-ECDSA-AES128-SHA", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", true),
        ("ECDHE-ECDSA-AES256-CCM8", "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8", true),
    ];
    for (theirs, ours, has_certificate) in cases {
        let server =
            OpensslServer::start(&certified, &["-no_tls1_3", "-cipher", &format!("{theirs}:@SECLEVEL=0")]);
        let to = server.address();
        for (_, offered, _) in cases {
            let request = TlsRequest { cipher_suites: vec![offered.to_owned()], ..anything("localhost", to) };
            let seen = shake(to, &request).await.unwrap();
            assert_eq!(seen.established, offered == ours, "{theirs}: {seen:?}");
            if seen.established {
                assert_eq!((seen.cipher.as_str(), seen.certificates.is_empty()), (ours, !has_certificate));
            }
        }
    }
}

#[tokio::test]
async fn https_to_an_old_server_says_why_it_fails() {
    let server = OpensslServer::start(&certify(&Wanted::default()), &["-tls1", "-cipher", "ALL:@SECLEVEL=0"]);
    let to = server.address();
    let client = HttpClient::new(dialer(patient()), Identity { user_agent: "rampart-test".to_owned() });
    let request = HttpRequest {
        origin: Origin { tls: true, host: "localhost".to_owned(), port: to.port() },
        sni: None,
        form: HttpForm::Structured {
            method: "GET".to_owned(),
            target: "/".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        },
        timeout: None,
        max_body: None,
    };
    let failure = client.session(endpoint(to), true).send(&request).await.unwrap_err();
    assert_eq!(reason(&failure), FailReason::Tls);
    assert!(format!("{failure:?}").contains("older than 1.2"), "{failure:?}");
}

/// Servers that no library builds any more.
#[tokio::test]
async fn servers_of_times_gone_by_are_recognised() {
    for (wire, version) in
        [(0x0300, TlsVersion::Ssl30), (0x0301, TlsVersion::Tls10), (0x0302, TlsVersion::Tls11)]
    {
        let chain = certify(&Wanted::default()).chain;
        let flight = old_flight(wire, 0x0005, &chain);
        let server = TcpServer::start(move |mut stream, _| {
            let flight = flight.clone();
            async move {
                let hello = read_hello(&mut stream).await?;
                // Like the real ones: a client that offers less than the server speaks is sent away.
                if u16::from_be_bytes([hello[4], hello[5]]) >= wire {
                    for piece in flight.chunks(7) {
                        stream.write_all(piece).await?;
                    }
                }
                Ok(())
            }
        })
        .await;
        let to = server.address();
        for asked in [TlsVersion::Ssl30, TlsVersion::Tls10, TlsVersion::Tls11, TlsVersion::Tls12] {
            let seen = shake(to, &only(asked, to)).await.unwrap();
            assert_eq!(seen.established, asked == version, "{version:?}, asked for {asked:?}: {seen:?}");
            if seen.established {
                assert_eq!((seen.version, seen.cipher.as_str()), (Some(version), "TLS_RSA_WITH_RC4_128_SHA"));
                assert_eq!(seen.certificates.len(), 2);
                assert!(!seen.mismatched && !seen.expired && !seen.self_signed);
            }
        }
    }
}

/// The handshake message of a client hello, without its record header.
async fn read_hello(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut header = [0; 5];
    stream.read_exact(&mut header).await?;
    let mut message = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

#[tokio::test]
async fn every_kind_of_no_is_an_answer() {
    let refusals: [&[u8]; 3] = [&[21, 3, 1, 0, 2, 2, 70], &[21, 3, 0, 0, 2, 2, 40], b""];
    for (refusal, resets) in refusals.iter().flat_map(|refusal| [(*refusal, false), (refusal, true)]) {
        if !refusal.is_empty() && resets {
            continue;
        }
        let server = TcpServer::start(move |mut stream, _| async move {
            read_hello(&mut stream).await?;
            stream.write_all(refusal).await?;
            if resets { reset(stream) } else { Ok(()) }
        })
        .await;
        let to = server.address();
        for request in VERSIONS.map(|version| only(version, to)).iter().chain([&anything("localhost", to)]) {
            let seen = shake(to, request).await.unwrap();
            assert!(!seen.established, "{refusal:?}, {resets}: {seen:?}");
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_is_a_failure() {
    let closed = closed_port().await;
    assert_eq!(
        reason(&shake(closed, &anything("localhost", closed)).await.unwrap_err()),
        FailReason::Refused
    );
    for (greeting, endless, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &b""[..], FailReason::Protocol),
        (b"220 mail ready\r\n", b"", FailReason::Protocol),
        (b"", b"", FailReason::TimedOut),
        (&[22, 3, 1, 0x10, 0], b"", FailReason::TimedOut),
        (b"", &[21, 3, 1, 0, 2, 1, 90], FailReason::Protocol),
        (&[22, 3, 1, 0xff, 0xff], &[0], FailReason::Protocol),
    ] {
        for version in [TlsVersion::Tls10, TlsVersion::Tls12] {
            let server = TcpServer::start(move |mut stream, _| async move {
                read_hello(&mut stream).await?;
                stream.write_all(greeting).await?;
                if endless.is_empty() {
                    std::future::pending().await
                } else {
                    endlessly(&mut stream, endless).await
                }
            })
            .await;
            let to = server.address();
            let failure = handshake(&dialer(hurried()), &endpoint(to), &only(version, to)).await.unwrap_err();
            assert_eq!(reason(&failure), expected, "{} {version:?}: {failure:?}", greeting.escape_ascii());
        }
    }
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_before_anything_is_sent() {
    let (server, _names) = server(&Wanted::default(), rustls::ALL_VERSIONS).await;
    let to = server.address();
    let upside_down = TlsRequest { min_version: Some(TlsVersion::Tls12), ..only(TlsVersion::Tls10, to) };
    let unknown = TlsRequest { cipher_suites: vec!["TLS_IMAGINARY".to_owned()], ..anything("localhost", to) };
    for (request, says) in [(upside_down, "above"), (unknown, "TLS_IMAGINARY")] {
        let failure = shake(to, &request).await.unwrap_err();
        assert_eq!(reason(&failure), FailReason::Evaluation);
        assert!(format!("{failure:?}").contains(says), "{failure:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn scope_and_stop_hold_for_handshakes() {
    let outside: SocketAddr = "192.0.2.1:443".parse().unwrap();
    assert!(matches!(shake(outside, &anything("a.example", outside)).await, Err(Failure::OutOfScope(_))));
    let stopped = dialer(patient());
    stopped.stop().cancel();
    let answer = handshake(&stopped, &endpoint(outside), &anything("a.example", outside)).await;
    assert_eq!(answer.unwrap_err(), Failure::Skipped(SkipReason::Cancelled));
}

#[tokio::test]
async fn suites_of_one_version_are_offered_in_that_version_only() {
    let acceptor = acceptor(certify(&Wanted::default()));
    let server = TcpServer::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move { acceptor.accept(stream).await?.read_u8().await.map(|_| ()) }
    })
    .await;
    let to = server.address();
    for (suite, version) in [
        ("TLS_CHACHA20_POLY1305_SHA256", TlsVersion::Tls13),
        ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", TlsVersion::Tls12),
    ] {
        let request = TlsRequest { cipher_suites: vec![suite.to_owned()], ..anything("localhost", to) };
        let seen = shake(to, &request).await.unwrap();
        assert_eq!((seen.established, seen.version, seen.cipher.as_str()), (true, Some(version), suite));
    }
}
