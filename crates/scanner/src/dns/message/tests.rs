use hickory_proto::{
    op::Message,
    rr::{DNSClass, RData, Record, RecordType, rdata},
};
use model::{DomainName, FailReason};
use proptest::prelude::*;

use super::*;
use crate::dns::presentation;

fn question(name: &str, record_type: RecordType) -> Question {
    Question { name: name.parse().unwrap(), record_type, class: DNSClass::IN, recursion: true }
}

fn any_question() -> impl Strategy<Value = Question> {
    let types = [RecordType::A, RecordType::AAAA, RecordType::TXT, RecordType::MX];
    ("[a-z0-9_-]{1,12}(\\.[a-z0-9]{1,12}){0,4}", proptest::sample::select(types.to_vec()))
        .prop_map(|(name, record_type)| question(&name, record_type))
}

/// The query turned into an answer, its name in other letters where `upper` says so.
fn answer_to(question: &Question, id: u16, upper: &[bool]) -> Vec<u8> {
    let mut packet = Vec::new();
    question.write(id, false, &mut packet);
    packet[2] |= 0x80;
    for (byte, upper) in packet[HEADER..].iter_mut().zip(upper.iter().cycle()) {
        if *upper && byte.is_ascii_lowercase() {
            byte.make_ascii_uppercase();
        }
    }
    packet
}

fn look_into(packet: &[u8]) {
    let server = "127.0.0.1:53".parse().unwrap();
    let name: DomainName = "www.example.test".parse().unwrap();
    if let Some(header) = Header::read(packet)
        && let Ok(Lookup::Found(message) | Lookup::Referred(message)) = Lookup::read(header, packet)
    {
        Chain::follow(&message, &name);
        presentation::response(&message, server);
    }
    match (Reply { packet: packet.to_vec(), server }.decode()) {
        Ok(message) => drop(presentation::response(&message, server)),
        Err(failure) => assert!(matches!(failure, Failure::Failed(FailReason::Protocol, _))),
    }
}

/// `www.example.test` with aliases and addresses, as bytes.
fn valid() -> Vec<u8> {
    let name = |text: &str| Name::from_ascii(text).unwrap();
    let mut message = Message::response(7, hickory_proto::op::OpCode::Query);
    message.add_query(hickory_proto::op::Query::query(name("www.example.test."), RecordType::A));
    let alias = RData::CNAME(rdata::CNAME(name("web.example.test.")));
    message.add_answer(Record::from_rdata(name("www.example.test."), 60, alias));
    message.add_answer(Record::from_rdata(
        name("web.example.test."),
        30,
        RData::A(rdata::A::new(127, 0, 0, 1)),
    ));
    message.add_authority(Record::from_rdata(
        name("example.test."),
        60,
        RData::NS(rdata::NS(name("ns.example.test."))),
    ));
    message.to_vec().unwrap()
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_or_refused(packet in proptest::collection::vec(any::<u8>(), 0..600)) {
        look_into(&packet);
    }

    #[test]
    fn damaged_answers_are_read_or_refused(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut packet = valid();
        for (place, byte) in damage {
            let place = place.index(packet.len());
            packet[place] = byte;
        }
        look_into(&packet);
        look_into(&packet[..cut.index(packet.len())]);
    }

    #[test]
    fn an_answer_counts_for_its_own_question_only(
        asked in any_question(),
        other in any_question(),
        id in any::<u16>(),
        upper in proptest::collection::vec(any::<bool>(), 1..20),
    ) {
        prop_assert!(answers(&answer_to(&asked, id, &upper), id, &asked).is_some());
        prop_assert_eq!(answers(&answer_to(&other, id, &upper), id, &asked).is_some(), other == asked);
        prop_assert!(answers(&answer_to(&asked, id.wrapping_add(1), &upper), id, &asked).is_none());
        let whole = answer_to(&asked, id, &upper);
        for length in 0..whole.len() {
            prop_assert!(answers(&whole[..length], id, &asked).is_none());
        }
        let mut query = whole;
        query[2] &= 0x7f;
        prop_assert!(answers(&query, id, &asked).is_none());
    }

    #[test]
    fn queries_are_what_another_implementation_reads(asked in any_question(), id in any::<u16>(), extended in any::<bool>()) {
        let mut packet = Vec::new();
        asked.write(id, extended, &mut packet);
        let read = Message::from_vec(&packet).unwrap();
        prop_assert_eq!(read.metadata.id, id);
        prop_assert!(read.metadata.recursion_desired);
        prop_assert_eq!(read.edns.map(|edns| edns.max_payload()), extended.then_some(1_232));
        prop_assert_eq!(read.queries.len(), 1);
        prop_assert_eq!(domain_name(read.queries[0].name()), Some(asked.name));
        prop_assert_eq!(read.queries[0].query_type(), asked.record_type);
    }
}

#[test]
fn a_chain_is_followed_to_its_addresses() {
    let packet = valid();
    let lookup = Lookup::read(Header::read(&packet).unwrap(), &packet).unwrap();
    let Lookup::Found(message) = lookup else { panic!("{lookup:?}") };
    let chain = Chain::follow(&message, &"www.example.test".parse().unwrap());
    assert_eq!(chain.addresses, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
    assert_eq!((chain.end(), chain.lifetime), ("web.example.test".parse().ok(), Duration::from_secs(30)));
    assert_eq!(Chain::follow(&message, &"other.example.test".parse().unwrap()).addresses, [] as [IpAddr; 0]);
}

#[test]
fn aliases_in_a_circle_come_to_an_end() {
    let name = |text: &str| Name::from_ascii(text).unwrap();
    let mut message = Message::response(7, hickory_proto::op::OpCode::Query);
    for index in 0..200 {
        let (owner, target) = (format!("a{index}.test."), format!("a{}.test.", index + 1));
        message.add_answer(Record::from_rdata(name(&owner), 60, RData::CNAME(rdata::CNAME(name(&target)))));
    }
    assert!(Chain::follow(&message, &"a0.test".parse().unwrap()).endless);
    message.answers.truncate(1);
    message.add_answer(Record::from_rdata(
        name("a1.test."),
        60,
        RData::CNAME(rdata::CNAME(name("a0.test."))),
    ));
    let chain = Chain::follow(&message, &"a0.test".parse().unwrap());
    assert!(chain.endless && chain.aliases.len() <= 3, "{chain:?}");
}

#[test]
fn names_that_point_at_themselves_are_refused() {
    let mut packet = answer_to(&question("www.example.test", RecordType::A), 7, &[false]);
    packet[7] = 1;
    let here = u8::try_from(packet.len()).unwrap();
    packet.extend([0xc0, here, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    assert!(answers(&packet, 7, &question("www.example.test", RecordType::A)).is_some());
    assert!(Lookup::read(Header::read(&packet).unwrap(), &packet).is_err());
}

#[test]
fn names_are_those_of_the_wire_or_none() {
    let name = |labels: &[&[u8]]| domain_name(&Name::from_labels(labels.iter().copied()).unwrap());
    assert_eq!(name(&[b"-_WWW", b"test"]), "-_www.test".parse().ok());
    assert_eq!(name(&[b"a.b", b"test"]), None);
    assert_eq!(name(&[b"\xff", b"test"]), None);
    assert_eq!(name(&[b"*", b"test"]), None);
    assert_eq!(domain_name(&Name::root()), None);
}

#[test]
fn text_is_quoted_byte_for_byte() {
    let text = rdata::TXT::from_bytes(vec![b"v=spf1 \"x\" \\".as_slice(), b"\x1b[31m\xff"]);
    assert_eq!(presentation::data(&RData::TXT(text)), r#""v=spf1 \"x\" \\" "\027[31m\255""#);
}
