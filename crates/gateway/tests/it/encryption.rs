//! Connections that nobody on the way can read.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::{Body, to_bytes};
use gateway::{Rates, Tls};
use hyper::{
    Request, Version,
    client::conn::{http1::handshake, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::TLS12,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::tls::{Certified, Wanted, certify};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::ground::Ground;

fn write(directory: &Path, certified: &Certified) {
    std::fs::write(directory.join("chain.pem"), &certified.chain_pem).unwrap();
    std::fs::write(directory.join("key.pem"), &certified.key_pem).unwrap();
}

/// Somebody who trusts one authority.
async fn connect(
    ground: &Ground,
    trusted: &Certified,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    connect_by(ground, trusted, alpn, rustls::DEFAULT_VERSIONS).await
}

/// The same, who speaks these versions and no other.
async fn connect_by(
    ground: &Ground,
    trusted: &Certified,
    alpn: &[&[u8]],
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.authority_pem().as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(ground.address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// A gateway that encrypts, and where it reads with what.
async fn encrypting(certified: &Certified) -> (Ground, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), certified);
    let tls = Tls::read(&directory.path().join("chain.pem"), &directory.path().join("key.pem")).unwrap();
    (Ground::with(Rates::default(), Some(Arc::new(tls))).await, directory)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_speaks_no_more_than_tls_1_2_is_answered() {
    let certified = certify(&Wanted::default());
    let (ground, _directory) = encrypting(&certified).await;
    // Whoever is so old may not say either which protocol is to be spoken inside.
    let offers: [&[&[u8]]; 2] = [&[], &[b"http/1.1"]];
    for alpn in offers {
        let stream = connect_by(&ground, &certified, alpn, &[&TLS12]).await.unwrap();
        let spoken = stream.get_ref().1;
        assert_eq!(spoken.protocol_version(), Some(ProtocolVersion::TLSv1_2));
        assert_eq!(spoken.alpn_protocol(), alpn.first().copied());
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("/health").header("host", "localhost").body(Body::empty()).unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        assert_eq!((head.status.as_u16(), head.version), (200, Version::HTTP_11));
        let body = to_bytes(Body::new(body), 1 << 10).await.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({ "status": "alive" }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_agrees_on_http_2_is_answered_by_it() {
    let certified = certify(&Wanted::default());
    let (ground, _directory) = encrypting(&certified).await;
    let stream = connect(&ground, &certified, &[b"h2"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    // One after the other on the same connection: the second goes by what both remember of the first.
    for _ in 0..2 {
        sender.ready().await.unwrap();
        let request = Request::get("https://localhost/health").body(Body::empty()).unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        assert_eq!((head.status.as_u16(), head.version), (200, Version::HTTP_2));
        assert_eq!(head.headers["strict-transport-security"], "max-age=31536000");
        let body = to_bytes(Body::new(body), 1 << 10).await.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({ "status": "alive" }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_is_encrypted_and_the_certificate_renewed_without_an_end() {
    let (first, second) = (certify(&Wanted::default()), certify(&Wanted::default()));
    let (ground, directory) = encrypting(&first).await;

    let stream = connect(&ground, &first, &[b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut ask = async || {
        sender.ready().await.unwrap();
        let request = Request::get("/health").header("host", "localhost").body(Body::empty()).unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        to_bytes(Body::new(body), 1 << 10).await.unwrap();
        (head.status.as_u16(), head.headers["strict-transport-security"].to_str().unwrap().to_owned())
    };
    assert_eq!(ask().await, (200, "max-age=31536000".to_owned()));
    let modern = connect(&ground, &first, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(modern.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));

    // Who does not encrypt is not answered, and who trusts somebody else does not ask.
    let mut plain = TcpStream::connect(ground.address).await.unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said).await;
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
    assert!(connect(&ground, &second, &[b"http/1.1"]).await.is_err());

    write(directory.path(), &second);
    let deadline = Instant::now() + Duration::from_secs(60);
    while connect(&ground, &second, &[b"http/1.1"]).await.is_err() {
        assert!(Instant::now() < deadline, "the certificate was not renewed");
        // Only the pause between two looks; nothing depends on its length.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ask().await.0, 200, "what was there goes on");
}
