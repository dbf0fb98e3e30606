//! How a server is reached: what its URL says, and what protects the way to it.
//!
//! | `sslmode` | what it means here |
//! | --- | --- |
//! | not given, or `prefer` | to this machine: encrypted when the server can; to any other: as `require` |
//! | `require` | encrypted, or not at all. Without a root certificate the server must show by SCRAM channel binding (RFC 5802, 5929) that it knows the password: whoever stands in between cannot |
//! | `verify-full` | encrypted, by a certificate for the host of the URL that `sslrootcert` vouches for |
//! | `disable` | not encrypted, wherever the server is: somebody wrote that out |
//!
//! `sslrootcert=FILE` makes `verify-full` of every mode but `disable`, which it contradicts. The file is read when the store is
//! opened.

use std::{net::IpAddr, path::Path, sync::Arc, time::Duration};

use percent_encoding::percent_decode_str;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres::{
    Config,
    config::{ChannelBinding, Host, SslMode},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::CONNECT;
use crate::StoreError;

/// After so long without an answer from the other machine a connection is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// Where a server is, and how to talk to it.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyFull,
}

/// What the URL says beside what `tokio_postgres` reads.
struct Asked {
    rest: String,
    mode: Option<Mode>,
    roots: Option<String>,
    names_binding: bool,
}

fn invalid(why: impl Into<String>) -> StoreError {
    StoreError::Invalid(why.into())
}

/// Reads the URL. No error repeats any of it: there is a password in it, and where it ends is unknown when it cannot be read.
pub(super) fn server(url: &str) -> Result<Server, StoreError> {
    let unreadable = || {
        invalid(
            "the URL of the database cannot be read: expected `postgres://user:password@host:port/database?option=value`, \
             with what is special in user and password written as %XX",
        )
    };
    let asked = options(url).ok_or_else(unreadable)??;
    let mut config: Config = asked.rest.parse().map_err(|_: tokio_postgres::Error| unreadable())?;
    config.connect_timeout(CONNECT);
    config.tcp_user_timeout(SILENCE);
    config.keepalives_idle(SILENCE);
    config.keepalives_interval(SILENCE / 3);
    config.keepalives_retries(3);
    if config.get_application_name().is_none() {
        config.application_name("rampart");
    }
    let mode = match (asked.mode, &asked.roots) {
        (Some(Mode::Disable), Some(_)) => {
            return Err(invalid("sslmode=disable and sslrootcert contradict each other: leave one out"));
        }
        (Some(Mode::VerifyFull), None) => {
            return Err(invalid(
                "sslmode=verify-full needs the certificate that vouches for the server: add `sslrootcert=FILE`",
            ));
        }
        (_, Some(_)) => Mode::VerifyFull,
        (mode, None) => mode.unwrap_or(Mode::Prefer),
    };
    let mode = if mode == Mode::Prefer && !on_this_machine(&config) { Mode::Require } else { mode };
    config.ssl_mode(match mode {
        Mode::Disable => SslMode::Disable,
        Mode::Prefer => SslMode::Prefer,
        Mode::Require | Mode::VerifyFull => SslMode::Require,
    });
    if mode == Mode::Require && !asked.names_binding {
        config.channel_binding(ChannelBinding::Require);
    }
    let tls = MakeRustlsConnect::new(client(asked.roots.as_deref())?);
    Ok(Server { config, tls })
}

/// Is the server of a URL on this machine? What is said to it there nobody else hears.
pub fn is_on_this_machine(url: &str) -> Result<bool, StoreError> {
    Ok(on_this_machine(&server(url)?.config))
}

/// None when it is no URL.
fn options(url: &str) -> Option<Result<Asked, StoreError>> {
    let after = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"))?;
    // As `tokio_postgres` finds them: first who, then where.
    let host = url.len() - after.len() + after.find('@').map_or(0, |at| at + 1);
    let Some(query) = url[host..].find('?').map(|at| host + at) else {
        return Some(Ok(Asked { rest: url.to_owned(), mode: None, roots: None, names_binding: false }));
    };
    let mut asked = Asked { rest: url[..query].to_owned(), mode: None, roots: None, names_binding: false };
    let mut separator = '?';
    for option in url[query + 1..].split('&') {
        let (name, value) = option.split_once('=')?;
        let value = percent_decode_str(value).decode_utf8().ok()?;
        let twice = || invalid(format!("the URL of the database says `{name}` twice"));
        match name {
            "sslmode" => {
                let mode = match &*value {
                    "disable" => Mode::Disable,
                    "prefer" => Mode::Prefer,
                    "require" => Mode::Require,
                    "verify-full" => Mode::VerifyFull,
                    _ => {
                        return Some(Err(invalid(
                            "the sslmode of the database's URL is none of `disable`, `prefer`, `require` and `verify-full`",
                        )));
                    }
                };
                if asked.mode.replace(mode).is_some() {
                    return Some(Err(twice()));
                }
            }
            "sslrootcert" => {
                if asked.roots.replace(value.into_owned()).is_some() {
                    return Some(Err(twice()));
                }
            }
            _ => {
                asked.names_binding |= name == "channel_binding";
                asked.rest.push(separator);
                asked.rest.push_str(option);
                separator = '&';
            }
        }
    }
    Some(Ok(asked))
}

/// Every host of the URL is: by its name, and by its address where one is given beside the name.
fn on_this_machine(config: &Config) -> bool {
    let hosts = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name.eq_ignore_ascii_case("localhost")
                || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    });
    hosts && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

fn client(roots: Option<&str>) -> Result<ClientConfig, StoreError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(error.to_string()))?;
    let mut client = match roots {
        Some(file) => {
            builder.with_root_certificates(root_certificates(Path::new(file))?).with_no_client_auth()
        }
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth(),
    };
    // PostgreSQL 17 insists on it when TLS begins at once (`sslnegotiation=direct`); earlier ones do not look.
    client.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(client)
}

fn root_certificates(file: &Path) -> Result<RootCertStore, StoreError> {
    let unusable = |why: String| invalid(format!("sslrootcert `{}`: {why}", file.display()));
    let pem = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("there is no certificate in it".to_owned()));
    }
    Ok(roots)
}

/// Takes any certificate whose key the server has. Who the server is shows otherwise: it is this machine, or channel binding ties
/// the certificate to the password.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

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
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Why a server that can be reached is not talked to, when that is for a person to put right.
pub(super) fn distrust(reason: &tokio_postgres::Error) -> Option<StoreError> {
    let source = std::error::Error::source(reason)?;
    let of_rustls = source
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::InvalidCertificate(why)) = of_rustls {
        return Some(invalid(format!("the certificate of the database's server is not accepted: {why}")));
    }
    match source.to_string().as_str() {
        "server does not support TLS" => Some(invalid(
            "the database's server does not encrypt: set it up for TLS, or write `sslmode=disable` into its URL",
        )),
        "server did not use channel binding" => Some(invalid(
            "the database's server does not show that it knows the password (SCRAM channel binding), so it may be anybody: name \
             the certificate that vouches for it with `sslrootcert=FILE`, or write `channel_binding=prefer` into its URL",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes(url: &str) -> (SslMode, ChannelBinding) {
        let server = server(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        (server.config.get_ssl_mode(), server.config.get_channel_binding())
    }

    #[test]
    fn only_this_machine_is_reached_without_encryption_unless_somebody_writes_it_out() {
        for here in ["localhost", "127.0.0.1", "127.8.0.1:6432", "%2Frun%2Fpostgresql", "[::1]", "LOCALHOST"]
        {
            for option in ["", "?sslmode=prefer"] {
                let url = format!("postgres://u:p@{here}/d{option}");
                assert_eq!(modes(&url), (SslMode::Prefer, ChannelBinding::Prefer), "{url}");
            }
            let url = format!("postgres://u:p@{here}/d?sslmode=require");
            assert_eq!(modes(&url), (SslMode::Require, ChannelBinding::Require), "{url}");
        }
        for there in
            ["db.example", "192.0.2.1", "[2001:db8::1]:5432", "localhost.example", "localhost,db.example"]
        {
            for option in ["", "?sslmode=prefer", "?sslmode=require", "?connect_timeout=3&sslmode=prefer"] {
                let url = format!("postgres://u:p@{there}/d{option}");
                assert_eq!(modes(&url), (SslMode::Require, ChannelBinding::Require), "{url}");
            }
            let url = format!("postgres://u:p@{there}/d?sslmode=disable");
            assert_eq!(modes(&url).0, SslMode::Disable, "{url}");
        }
        for (url, mode) in [
            ("postgres://u:p@db.example/d?hostaddr=127.0.0.1", SslMode::Require),
            ("postgres://u:p@localhost/d?hostaddr=192.0.2.1", SslMode::Require),
            ("postgres://u:p@localhost/d?hostaddr=127.0.0.1", SslMode::Prefer),
        ] {
            assert_eq!(modes(url).0, mode, "{url}");
        }
        let named = "postgres://u:p@db.example/d?sslmode=require&channel_binding=prefer";
        assert_eq!(modes(named), (SslMode::Require, ChannelBinding::Prefer));
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_repeating_it() {
        for url in [
            "host=db.example password=hunter2",
            "postgres://u:hunter2",
            "postgres://u:hunter2@db.example:port/d",
            "postgres://u:h@un?ter2=x@db.example/d",
            "postgres://u:hunter2@db.example/d?hunter2=1",
            "postgres://u:hunter2@db.example/d?sslmode",
            "postgres://u:hunter2@db.example/d?sslmode=allow",
            "postgres://u:hunter2@db.example/d?sslmode=hunter2",
            "postgres://u:hunter2@db.example/d?sslmode=require&sslmode=disable",
            "postgres://u:hunter2@db.example/d?sslmode=verify-full",
            "postgres://u:hunter2@db.example/d?sslmode=disable&sslrootcert=ca.pem",
            "postgres://u:hunter2@db.example/d?sslrootcert=no/such/file.pem",
        ] {
            let error = server(url).map(drop).expect_err(url);
            assert!(matches!(error, StoreError::Invalid(_)), "{url}: {error:?}");
            let said = error.to_string();
            assert!(!said.contains("hunter2") && !said.contains("ter2"), "{said}");
        }
    }
}
