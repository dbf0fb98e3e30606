//! Certificates of the estate, made afresh at every start.

use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::TlsAcceptor;

/// What stands in a certificate.
pub(super) struct CertificateText {
    pub(super) common_name: &'static str,
    pub(super) names: &'static [&'static str],
    /// Year, month and day.
    pub(super) not_after: (i32, u8, u8),
}

fn issue(text: &CertificateText) -> anyhow::Result<(CertificateDer<'static>, KeyPair)> {
    let names: Vec<String> = text.names.iter().map(ToString::to_string).collect();
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name.push(DnType::CommonName, text.common_name);
    parameters.distinguished_name.push(DnType::OrganizationName, "Acme Demo Company");
    parameters.not_before = date_time_ymd(2022, 1, 1);
    let (year, month, day) = text.not_after;
    parameters.not_after = date_time_ymd(year, month, day);
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    Ok((certificate.der().clone(), key))
}

/// For a server that speaks TLS 1.2 and 1.3.
pub(super) fn acceptor(text: &CertificateText) -> anyhow::Result<TlsAcceptor> {
    let (certificate, key) = issue(text)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// For the server that only shows its certificate.
pub(super) fn weak_certificate() -> anyhow::Result<Vec<u8>> {
    let text = CertificateText { common_name: "intranet", names: &["intranet"], not_after: (2023, 6, 30) };
    Ok(issue(&text)?.0.to_vec())
}
