//! Certificates good and bad, and TLS servers that show them.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer},
};
pub use tokio_rustls::TlsAcceptor;

/// A certificate chain, leaf first, and the leaf's key.
#[derive(Debug)]
pub struct Certified {
    /// In DER.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's.
    pub key: PrivateKeyDer<'static>,
    /// The chain in PEM.
    pub chain_pem: String,
    /// The key in PEM.
    pub key_pem: String,
}

/// What a certificate is to look like.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Subject common name; the organisation is always `Example`.
    pub common_name: &'a str,
    /// Alternative names: names and addresses.
    pub names: &'a [&'a str],
    /// First and last year of validity.
    pub years: (i32, i32),
    /// Signed by its own key, or by an authority that is sent along.
    pub self_signed: bool,
}

impl Default for Wanted<'_> {
    /// Signed by an authority, valid for `localhost` and 127.0.0.1 until 2100.
    fn default() -> Self {
        Wanted {
            common_name: "localhost",
            names: &["localhost", "127.0.0.1"],
            years: (2020, 2100),
            self_signed: false,
        }
    }
}

/// Makes the certificate and a new P-256 key.
pub fn certify(wanted: &Wanted<'_>) -> Certified {
    let valid = "the test asks for names and keys that rcgen can write";
    let mut leaf =
        CertificateParams::new(wanted.names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
            .expect(valid);
    leaf.not_before = date_time_ymd(wanted.years.0, 1, 1);
    leaf.not_after = date_time_ymd(wanted.years.1, 1, 1);
    leaf.distinguished_name.push(DnType::CommonName, wanted.common_name);
    leaf.distinguished_name.push(DnType::OrganizationName, "Example");
    let key = KeyPair::generate().expect(valid);
    let certificates = if wanted.self_signed {
        vec![leaf.self_signed(&key).expect(valid)]
    } else {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "Example Authority");
        let authority_key = KeyPair::generate().expect(valid);
        let root = authority.self_signed(&authority_key).expect(valid);
        let issuer = Issuer::new(authority, authority_key);
        vec![leaf.signed_by(&key, &issuer).expect(valid), root]
    };
    Certified {
        chain: certificates.iter().map(|certificate| certificate.der().clone()).collect(),
        key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        chain_pem: certificates.iter().map(rcgen::Certificate::pem).collect(),
        key_pem: key.serialize_pem(),
    }
}

/// Accepts TLS 1.2 and 1.3 with that certificate.
pub fn acceptor(certified: Certified) -> TlsAcceptor {
    acceptor_for(certified, rustls::ALL_VERSIONS)
}

/// Accepts these versions only.
pub fn acceptor_for(certified: Certified, versions: &[&'static SupportedProtocolVersion]) -> TlsAcceptor {
    let valid = "the certificate was made for its key";
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("the provider has suites for every version")
        .with_no_client_auth()
        .with_single_cert(certified.chain, certified.key)
        .expect(valid);
    TlsAcceptor::from(Arc::new(config))
}
