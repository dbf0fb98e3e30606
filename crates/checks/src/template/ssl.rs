//! `ssl` blocks.

use super::{
    Text,
    fields::{Fields, Report},
};
use crate::exchange::TlsVersion;

/// One handshake.
#[derive(Debug)]
pub struct SslBlock {
    /// Usually `{{Host}}:{{Port}}`.
    pub address: Text,
    /// Lowest version offered.
    pub min_version: Option<TlsVersion>,
    /// Highest version offered.
    pub max_version: Option<TlsVersion>,
    /// IANA names of the suites offered; empty offers the usual ones.
    pub cipher_suites: Vec<String>,
}

const VERSIONS: [(&str, TlsVersion); 7] = [
    ("ssl30", TlsVersion::Ssl30),
    ("sslv3", TlsVersion::Ssl30),
    ("tls10", TlsVersion::Tls10),
    ("tls11", TlsVersion::Tls11),
    ("tls12", TlsVersion::Tls12),
    ("tls13", TlsVersion::Tls13),
    ("tls1.3", TlsVersion::Tls13),
];

pub(super) fn read(fields: &Fields<'_>, report: &Report) -> Option<SslBlock> {
    fields.refuse(
        "tls_version_enum",
        "trying all versions in one request is not supported; write one block for each",
    );
    fields.refuse(
        "tls_cipher_enum",
        "trying all suites in one request is not supported; write one block for each",
    );
    fields.refuse(
        "tls_cipher_types",
        "trying all suites in one request is not supported; write one block for each",
    );
    // All engines of the public scanners are one here.
    fields.accept("scan_mode");
    let address = fields.text("address").unwrap_or_else(|| "{{Host}}:{{Port}}".to_owned());
    let suites = fields.texts("cipher_suites").into_iter().map(|(suite, _)| suite.trim().to_owned());
    Some(SslBlock {
        address: Text::read(address.trim(), fields.position_of("address"), report)?,
        min_version: fields.word("min_version", &VERSIONS),
        max_version: fields.word("max_version", &VERSIONS),
        cipher_suites: suites.collect(),
    })
}
