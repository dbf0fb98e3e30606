//! Certificates good and bad, and TLS servers that show them.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::Arc,
};

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

impl Certified {
    /// In PEM, what a client must trust to be satisfied with the chain: its last certificate.
    pub fn authority_pem(&self) -> &str {
        let last = self.chain_pem.rfind("-----BEGIN").expect("a chain has at least one certificate");
        &self.chain_pem[last..]
    }
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

/// What a server of SSL 3.0 to TLS 1.2 answers to a hello that it likes: server hello and certificate chain, up to the point where
/// keys would be exchanged. `version` and `suite` as on the wire.
pub fn old_flight(version: u16, suite: u16, chain: &[CertificateDer<'_>]) -> Vec<u8> {
    let sized = |data: &[u8]| {
        let length = u32::try_from(data.len()).expect("test data is short");
        [&length.to_be_bytes()[1..], data].concat()
    };
    let hello = [&version.to_be_bytes()[..], &[0x42; 32], &[0], &suite.to_be_bytes(), &[0]].concat();
    let certificates: Vec<u8> = chain.iter().flat_map(|certificate| sized(certificate)).collect();
    let messages =
        [&[2][..], &sized(&hello), &[11], &sized(&sized(&certificates)), &[14], &sized(&[])].concat();
    let records = messages.chunks(1 << 14).flat_map(|part| {
        let length = u16::try_from(part.len()).expect("chunks are shorter than a record");
        [&[22][..], &version.to_be_bytes(), &length.to_be_bytes(), part].concat()
    });
    records.collect()
}

/// OpenSSL's own test server, which speaks versions and suites that nobody else does any more.
#[derive(Debug)]
pub struct OpensslServer {
    address: SocketAddr,
    child: Child,
    _files: tempfile::TempDir,
}

impl OpensslServer {
    /// Starts `openssl s_server` on a free port with the certificate and further options, such as `-tls1`. Everything that the
    /// build still knows is allowed. The program must be installed.
    pub fn start(certified: &Certified, options: &[&str]) -> OpensslServer {
        let files = tempfile::tempdir().expect("the directory for temporary files is writable");
        let (chain, key) = (files.path().join("chain.pem"), files.path().join("key.pem"));
        std::fs::write(&chain, &certified.chain_pem).expect("a fresh directory is writable");
        std::fs::write(&key, &certified.key_pem).expect("a fresh directory is writable");
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-naccept", "1000"])
            .arg("-cert")
            .arg(&chain)
            .arg("-key")
            .arg(&key)
            .args(options)
            // The system's own settings may forbid the old versions.
            .env("OPENSSL_CONF", "/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let stdout = child.stdout.take().expect("standard output is piped");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let accepting = lines.find_map(|line| line.strip_prefix("ACCEPT ")?.trim().parse().ok());
        let address = accepting.expect("openssl s_server says where it accepts");
        // It tells about every connection, and would end if nobody listened.
        std::thread::spawn(move || lines.for_each(drop));
        OpensslServer { address, child, _files: files }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
