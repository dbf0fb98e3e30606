//! The hellos of SSL 3.0 (RFC 6101) to TLS 1.2 (RFC 5246): one is written, the other read.

use checks::exchange::TlsVersion;

/// Handshake message types.
pub(super) const CLIENT_HELLO: u8 = 1;

/// What a client hello offers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer<'a> {
    /// The highest version, TLS 1.2 or lower.
    pub(super) version: TlsVersion,
    /// In order of preference.
    pub(super) suites: &'a [u16],
    /// Sent when there is a name to send.
    pub(super) server_name: Option<&'a str>,
    pub(super) random: [u8; 32],
}

/// What the server chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServerHello {
    pub(super) version: TlsVersion,
    pub(super) suite: u16,
}

/// The number on the wire. TLS 1.3 says 1.2 there (RFC 8446, 4.1.2), and is not offered by these hellos.
fn wire(version: TlsVersion) -> u16 {
    match version {
        TlsVersion::Ssl30 => 0x0300,
        TlsVersion::Tls10 => 0x0301,
        TlsVersion::Tls11 => 0x0302,
        TlsVersion::Tls12 | TlsVersion::Tls13 => 0x0303,
    }
}

fn version(wire: u16) -> Option<TlsVersion> {
    match wire {
        0x0300 => Some(TlsVersion::Ssl30),
        0x0301 => Some(TlsVersion::Tls10),
        0x0302 => Some(TlsVersion::Tls11),
        0x0303 => Some(TlsVersion::Tls12),
        _ => None,
    }
}

/// A whole client hello, in its record.
pub(super) fn client_hello(offer: &Offer<'_>) -> Vec<u8> {
    /// Says that renegotiation is safe, in the form that also SSL 3.0 servers bear (RFC 5746, 3.3).
    const RENEGOTIATION: u16 = 0x00ff;
    let mut body = wire(offer.version).to_be_bytes().to_vec();
    body.extend_from_slice(&offer.random);
    body.push(0); // no session to resume
    let suites: Vec<u8> = offer
        .suites
        .iter()
        .chain(std::iter::once(&RENEGOTIATION))
        .flat_map(|suite| suite.to_be_bytes())
        .collect();
    body.extend_from_slice(&sized(&suites));
    body.extend_from_slice(&[1, 0]); // no compression
    if offer.version > TlsVersion::Ssl30 {
        body.extend_from_slice(&sized(&extensions(offer)));
    }

    let mut message = vec![CLIENT_HELLO];
    message.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    message.extend_from_slice(&body);

    // The record says 1.0 whatever is offered inside: some servers refuse others before they have read on (RFC 5246, E.1).
    let mut record = vec![22];
    record.extend_from_slice(&wire(offer.version.min(TlsVersion::Tls10)).to_be_bytes());
    record.extend_from_slice(&sized(&message));
    record
}

fn extensions(offer: &Offer<'_>) -> Vec<u8> {
    let mut all = Vec::new();
    let mut add = |kind: u16, data: &[u8]| {
        all.extend_from_slice(&kind.to_be_bytes());
        all.extend_from_slice(&sized(data));
    };
    if let Some(name) = offer.server_name {
        // server_name (RFC 6066, 3): one entry of type host_name.
        let entry = [&[0][..], &sized(name.as_bytes())].concat();
        add(0, &sized(&entry));
    }
    // supported_groups (RFC 8422, 5.1.1): x25519, P-256, P-384, P-521. The exchange is never made, so any will do.
    add(10, &sized(&[0, 29, 0, 23, 0, 24, 0, 25]));
    // ec_point_formats: uncompressed.
    add(11, &[1, 0]);
    if offer.version >= TlsVersion::Tls12 {
        // signature_algorithms (RFC 5246, 7.4.1.4.1): RSA, ECDSA and DSA with whatever hash, so that no certificate is held back.
        let schemes: [u16; 15] = [
            0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0402, 0x0203,
            0x0201, 0x0202, 0x0101,
        ];
        add(13, &sized(&schemes.iter().flat_map(|scheme| scheme.to_be_bytes()).collect::<Vec<_>>()));
    }
    all
}

/// Data after its length in two bytes. Everything written here is far shorter than 64 KiB.
fn sized(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    let mut all = length.to_be_bytes().to_vec();
    all.extend_from_slice(&data[..usize::from(length)]);
    all
}

/// Bytes that are taken from the front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }
}

/// Reads the body of a server hello.
pub(super) fn server_hello(body: &[u8]) -> Option<ServerHello> {
    let mut bytes = Bytes(body);
    let version = version(u16::try_from(bytes.number(2)?).ok()?)?;
    bytes.take(32)?;
    let session = bytes.number(1)?;
    bytes.take(session)?;
    let suite = u16::try_from(bytes.number(2)?).ok()?;
    bytes.take(1)?;
    Some(ServerHello { version, suite })
}

/// Certificates read of one chain; real ones have up to five.
const LONGEST_CHAIN: usize = 10;

/// Reads the body of a certificate message: certificates in DER, leaf first. A list that breaks off gives what came before.
pub(super) fn certificates(body: &[u8]) -> Vec<Vec<u8>> {
    let mut bytes = Bytes(body);
    let mut list = bytes.number(3).and_then(|length| bytes.take(length)).map_or(Bytes(&[]), Bytes);
    let mut all = Vec::new();
    while all.len() < LONGEST_CHAIN
        && let Some(certificate) = list.number(3).and_then(|length| list.take(length))
    {
        if !certificate.is_empty() {
            all.push(certificate.to_vec());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offer(version: TlsVersion) -> Offer<'static> {
        Offer { version, suites: &[0xc02f, 0x0005], server_name: Some("example.com"), random: [7; 32] }
    }

    #[test]
    fn a_hello_of_ssl_3_is_bare() {
        let hello = client_hello(&offer(TlsVersion::Ssl30));
        let expected = [
            &[22, 3, 0, 0, 49, 1, 0, 0, 45, 3, 0][..],
            &[7; 32],
            &[0, 0, 6, 0xc0, 0x2f, 0, 5, 0, 0xff, 1, 0],
        ]
        .concat();
        assert_eq!(hello, expected);
    }

    #[test]
    fn rustls_reads_what_is_written() {
        for version in [TlsVersion::Tls12, TlsVersion::Tls11, TlsVersion::Tls10] {
            let hello = client_hello(&offer(version));
            assert_eq!(hello[1..3], [3, 1]);
            let mut acceptor = rustls::server::Acceptor::default();
            acceptor.read_tls(&mut hello.as_slice()).unwrap();
            let read = acceptor.accept();
            if version == TlsVersion::Tls12 {
                let accepted = read.unwrap().unwrap();
                assert_eq!(accepted.client_hello().server_name(), Some("example.com"));
                let suites: Vec<u16> =
                    accepted.client_hello().cipher_suites().iter().map(|suite| u16::from(*suite)).collect();
                assert_eq!(suites, [0xc02f, 0x0005, 0x00ff]);
            }
        }
    }

    #[test]
    fn the_usual_hello_stays_small() {
        let suites = super::super::suites::usual();
        let name = "a-rather-long-host-name.of-some-department.example.com";
        let usual = Offer { suites: &suites, server_name: Some(name), ..offer(TlsVersion::Tls12) };
        let length = client_hello(&usual).len();
        assert!(length < 256 + 5, "{length}");
    }

    #[test]
    fn the_choice_is_read() {
        let mut body = vec![3, 1];
        body.extend_from_slice(&[9; 32]);
        body.extend_from_slice(&[2, 0xaa, 0xbb, 0x00, 0x2f, 0]);
        assert_eq!(server_hello(&body), Some(ServerHello { version: TlsVersion::Tls10, suite: 0x002f }));
        for length in 0..body.len() {
            assert_eq!(server_hello(&body[..length]), None);
        }
        body[1] = 9;
        assert_eq!(server_hello(&body), None);
        assert_eq!(certificates(&[0, 0, 9, 0, 0, 1, 7, 0, 0, 2, 8, 9]), [vec![7], vec![8, 9]]);
        assert_eq!(certificates(&[0, 0, 6, 0, 0, 1, 7, 0, 9]), [vec![7]]);
        assert!(certificates(&[0, 0]).is_empty());
    }

    proptest! {
        #[test]
        fn hostile_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = server_hello(&bytes);
            prop_assert!(certificates(&bytes).concat().len() <= bytes.len());
        }
    }
}
