//! Connections that nobody on the way can read.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::{Body, to_bytes};
use gateway::{Rates, Tls};
use hyper::{Request, client::conn::http1::handshake};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, ProtocolVersion, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
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
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.authority_pem().as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(ground.address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_is_encrypted_and_the_certificate_renewed_without_an_end() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (certify(&Wanted::default()), certify(&Wanted::default()));
    write(directory.path(), &first);
    let tls = Tls::read(&directory.path().join("chain.pem"), &directory.path().join("key.pem")).unwrap();
    let ground = Ground::with(Rates::default(), Some(Arc::new(tls))).await;

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
