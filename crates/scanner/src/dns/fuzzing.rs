//! Any bytes as the answer of a name server.

use std::net::{Ipv4Addr, SocketAddr};

use hickory_proto::rr::{DNSClass, RecordType};

use super::{
    HOPS, Lookup, message,
    message::{Chain, Reply},
    presentation,
    question::{HEADER, Question},
};

/// An answer to a question that was asked: everything after the header and the question is the server's, and what it says of
/// itself in the header. The first bytes are the header, the rest follows the question.
pub fn message(data: &[u8]) {
    const ID: u16 = 0x5241;
    const TYPES: [RecordType; 4] = [RecordType::A, RecordType::TXT, RecordType::NS, RecordType::ANY];
    let name: model::DomainName = "www.example.test".parse().expect("a literal name");
    let Some((fixed, rest)) = data.split_at_checked(HEADER) else {
        assert!(message::Header::read(data).is_none());
        return;
    };
    let record_type = TYPES[usize::from(fixed[0] & 3)];
    let question = Question { name: name.clone(), record_type, class: DNSClass::IN, recursion: true };
    // As it came, and as it would have to come to count.
    assert!(message::answers(data, ID, &question).is_none() || data.starts_with(&ID.to_be_bytes()));
    let mut packet = Vec::new();
    question.write(ID, false, &mut packet);
    packet[2] = fixed[2] & 0x07 | 0x80;
    packet[3] = fixed[3];
    packet[6..HEADER].copy_from_slice(&fixed[6..]);
    packet.extend_from_slice(rest);
    let header = message::answers(&packet, ID, &question).expect("it repeats the question");
    assert!(message::answers(&packet, !ID, &question).is_none());
    let other = Question { name: "other.example.test".parse().expect("a literal name"), ..question };
    assert!(message::answers(&packet, ID, &other).is_none());

    match Lookup::read(header, &packet) {
        Ok(Lookup::Found(found)) => {
            let chain = Chain::follow(&found, &name);
            assert!(chain.aliases.len() <= 2 * HOPS);
            assert!(chain.addresses.len() <= found.answers.len());
            let _ = chain.end();
        }
        Ok(Lookup::Missing) => assert_eq!(header.rcode(), message::NXDOMAIN),
        Ok(_) | Err(_) => {}
    }
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
    if let Ok(decoded) = (Reply { packet, server }).decode() {
        let shown = presentation::response(&decoded, server);
        assert_eq!(shown.answers.len(), decoded.answers.len());
        for record in shown.answers.iter().chain(&shown.authority).chain(&shown.additional) {
            assert!(record.name.is_ascii(), "{record:?}");
        }
    }
}
