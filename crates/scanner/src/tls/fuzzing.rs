//! Any bytes as a server's first flight, and as a certificate.

use model::Host;

use super::{
    certificate, hello,
    record::{Answer, Flight},
};

/// Names listed of one certificate, with room for its addresses.
const NAMES: usize = 2_000;

/// Records in pieces of the size that the first byte says; the same bytes as hello, as list of certificates, as certificate.
pub fn handshake(data: &[u8]) {
    let Some((&size, bytes)) = data.split_first() else { return };
    let whole = Flight::default().feed(bytes);
    let mut flight = Flight::default();
    let pieces = bytes.chunks(usize::from(size).max(1)).find_map(|piece| flight.feed(piece));
    assert_eq!(whole, pieces, "in pieces of {size}");
    if let Some(Answer::Agrees(_, Some(chain))) = whole {
        assert!(chain.iter().map(Vec::len).sum::<usize>() <= bytes.len());
        chain.iter().for_each(|der| certificate(der));
    }
    let _ = hello::server_hello(bytes);
    assert!(hello::certificates(bytes).iter().map(|der| der.len() + 3).sum::<usize>() <= bytes.len());
    certificate(bytes);
}

fn certificate(der: &[u8]) {
    let reading = certificate::read(der);
    assert_eq!(reading.certificate.sha256.len(), 64);
    assert!(reading.certificate.subject_an.len() <= NAMES);
    assert!(reading.is_readable || reading.certificate.subject_dn.is_empty());
    for host in ["www.example.test", "127.0.0.1", "::1"] {
        let host: Host = host.parse().expect("a literal host");
        assert!(reading.is_readable || !reading.covers(&host));
    }
}
