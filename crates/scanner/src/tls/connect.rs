//! TLS connections, by rustls.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
};

use checks::exchange::Failure;
use model::{FailReason, Host};
use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, PeerIncompatible, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::socket::{Connection, DialError};

/// A connection, plain or inside TLS.
#[derive(Debug)]
pub enum Channel {
    /// As it is.
    Plain(Connection),
    /// Inside TLS.
    Tls(Box<TlsStream<Connection>>),
}

/// What is spoken inside TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1, and the handshake says so (ALPN, RFC 7301): servers that also know HTTP/2 must not choose it.
    Http,
    /// Something the handshake does not name.
    Anything,
}

/// Speaks TLS 1.2 or 1.3 over the connection, with whatever certificate the server shows.
pub async fn connect(
    connection: Connection,
    server_name: &Host,
    speaks: Speaks,
    deadline: Instant,
) -> Result<Channel, Failure> {
    static HTTP: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
        let mut config = config(CryptoProvider::clone(&PROVIDER), rustls::ALL_VERSIONS);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    });
    static ANYTHING: LazyLock<Arc<ClientConfig>> =
        LazyLock::new(|| Arc::new(config(CryptoProvider::clone(&PROVIDER), rustls::ALL_VERSIONS)));
    let config = match speaks {
        Speaks::Http => Arc::clone(&HTTP),
        Speaks::Anything => Arc::clone(&ANYTHING),
    };
    let stream = establish(connection, server_name, config, deadline).await.map_err(io_failure)?;
    Ok(Channel::Tls(Box::new(stream)))
}

/// Shakes hands with that configuration.
pub(super) async fn establish(
    connection: Connection,
    server_name: &Host,
    config: Arc<ClientConfig>,
    deadline: Instant,
) -> io::Result<TlsStream<Connection>> {
    let name = rustls_name(server_name, &connection);
    let handshake = TlsConnector::from(config).connect(name, connection);
    tokio::time::timeout_at(deadline, handshake).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Names that rustls does not take as such are left out, as addresses are: the server answers with its default certificate.
fn rustls_name(host: &Host, connection: &Connection) -> ServerName<'static> {
    let address = |address: std::net::IpAddr| ServerName::IpAddress(address.into());
    match host {
        Host::Address(given) => address(*given),
        Host::Name(name) => ServerName::try_from(name.as_str().to_owned()).unwrap_or_else(|_| {
            address(connection.remote().map_or([0, 0, 0, 0].into(), |remote| remote.ip()))
        }),
    }
}

/// The cryptography in use.
pub(super) static PROVIDER: LazyLock<CryptoProvider> = LazyLock::new(rustls::crypto::ring::default_provider);

/// A configuration that takes every certificate and keeps no sessions: each handshake shows all there is.
pub(super) fn config(
    provider: CryptoProvider,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .expect("the provider has suites for the versions it is used with")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config
}

/// A scanner is no browser: it sends no secrets, believes nothing it reads, and servers with expired, self-signed or plainly
/// wrong certificates are what it looks for. Certificates are judged by checks, not by the connection.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
            SignatureScheme::ED448,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::ECDSA_SHA1_Legacy,
            SignatureScheme::RSA_PKCS1_SHA1,
        ]
    }
}

/// How a check ends that met this error on a connection.
pub(crate) fn io_failure(error: io::Error) -> Failure {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return Failure::Failed(FailReason::Tls, describe(error));
    }
    DialError::from_io(error).failure()
}

fn describe(error: &rustls::Error) -> String {
    let too_old = "the server speaks only TLS older than 1.2, which is probed but not spoken";
    match error {
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
        | rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => too_old.to_owned(),
        rustls::Error::AlertReceived(AlertDescription::HandshakeFailure) => {
            "the server refused the handshake: it accepts only TLS older than 1.2 or only suites without forward secrecy".to_owned()
        }
        rustls::Error::AlertReceived(alert) => format!("the server refused the handshake ({alert:?})"),
        rustls::Error::InvalidMessage(_) => "the answer is not TLS".to_owned(),
        other => format!("TLS handshake failed: {other}"),
    }
}

impl Channel {
    /// Who is at the other end.
    pub fn remote(&self) -> Option<SocketAddr> {
        match self {
            Channel::Plain(connection) => connection.remote(),
            Channel::Tls(stream) => stream.get_ref().0.remote(),
        }
    }
}

impl AsyncRead for Channel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Channel::Plain(connection) => Pin::new(connection).poll_read(context, buffer),
            Channel::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Channel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Channel::Plain(connection) => Pin::new(connection).poll_write(context, bytes),
            Channel::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Channel::Plain(connection) => Pin::new(connection).poll_flush(context),
            Channel::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Channel::Plain(connection) => Pin::new(connection).poll_shutdown(context),
            Channel::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
