//! What TLS shows of itself.

use checks::exchange::{Certificate, TlsResponse};
use model::asset::TlsSummary;
use rustls::ProtocolVersion;

use crate::tls::{Channel, certificate};

/// Alternative names kept of one certificate, and the longest text.
const MOST_NAMES: usize = 100;
const LONGEST: usize = 255;

/// Of a connection; none in the clear.
pub(super) fn of_channel(channel: &Channel) -> Option<TlsSummary> {
    let Channel::Tls(stream) = channel else { return None };
    let session = &stream.get_ref().1;
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "tls12",
        Some(ProtocolVersion::TLSv1_3) => "tls13",
        _ => "unknown",
    };
    let suite = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
    // The names of rustls and of IANA differ for TLS 1.3 only.
    let cipher = suite.unwrap_or_default().replace("TLS13_", "TLS_");
    let leaf = session.peer_certificates().and_then(|chain| chain.first());
    let leaf = leaf.map(|leaf| certificate::read(leaf)).filter(|leaf| leaf.is_readable);
    Some(summary(version, cipher, leaf.as_ref().map(|leaf| &leaf.certificate)))
}

/// Of a handshake that was not completed, with a server whose TLS is too old to be spoken; none when it was refused.
pub(super) fn of_handshake(response: &TlsResponse) -> Option<TlsSummary> {
    let version = response.version.filter(|_| response.established)?;
    Some(summary(version.as_str(), response.cipher.clone(), response.certificates.first()))
}

fn summary(version: &str, cipher: String, leaf: Option<&Certificate>) -> TlsSummary {
    let cut = |text: &String| text.chars().take(LONGEST).collect::<String>();
    let some = |text: &String| Some(cut(text)).filter(|text| !text.is_empty());
    TlsSummary {
        version: version.to_owned(),
        cipher,
        subject: leaf.and_then(|leaf| some(&leaf.subject_cn)),
        issuer: leaf.and_then(|leaf| some(&leaf.issuer_cn)),
        names: leaf.map_or_else(Vec::new, |leaf| leaf.subject_an.iter().take(MOST_NAMES).map(cut).collect()),
        not_after: leaf.and_then(|leaf| jiff::Timestamp::from_second(leaf.not_after).ok()),
    }
}
