//! What came back: the header by hand, since most answers say no more than that, the rest by `hickory-proto`.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use checks::exchange::Failure;
use hickory_proto::{
    op::Message,
    rr::{Name, RData, RecordType},
};
use model::{DomainName, FailReason};

use super::question::{HEADER, Question};

/// Aliases followed within one answer.
const LONGEST_CHAIN: usize = 16;

/// The fixed part of a message (RFC 1035, section 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u16,
    flags: u16,
    questions: u16,
    pub(super) answers: u16,
    pub(super) authority: u16,
}

impl Header {
    pub(super) fn read(message: &[u8]) -> Option<Header> {
        let fixed = message.get(..HEADER)?;
        let word = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        Some(Header { id: word(0), flags: word(2), questions: word(4), answers: word(6), authority: word(8) })
    }

    /// A response to a standard query with one question.
    pub(super) fn is_answer(self) -> bool {
        self.flags & 0xf800 == 0x8000 && self.questions == 1
    }

    pub(super) fn is_authoritative(self) -> bool {
        self.flags & 0x0400 != 0
    }

    pub(super) fn is_truncated(self) -> bool {
        self.flags & 0x0200 != 0
    }

    pub(super) fn rcode(self) -> u8 {
        u8::try_from(self.flags & 15).expect("four bits")
    }
}

/// Does this packet answer that question, as asked under that id?
pub(super) fn answers(packet: &[u8], id: u16, question: &Question) -> Option<Header> {
    let header = Header::read(packet)?;
    (header.id == id && header.is_answer() && question.is_in(packet)).then_some(header)
}

/// An accepted answer, not yet looked into.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) packet: Vec<u8>,
    pub(super) server: SocketAddr,
}

impl Reply {
    pub(super) fn decode(&self) -> Result<Message, Failure> {
        decode(&self.packet).map_err(|why| {
            let text = format!("the answer of {} is not a DNS message: {why}", self.server);
            Failure::Failed(FailReason::Protocol, text)
        })
    }
}

pub(super) fn decode(packet: &[u8]) -> Result<Message, String> {
    Message::from_vec(packet).map_err(|error| error.to_string())
}

/// What a name server said about one name and type.
#[derive(Debug)]
pub enum Lookup {
    /// There are records, perhaps aliases only. Boxed, because most answers are one of the others.
    Found(Box<Message>),
    /// The name exists (or something below it does), without records of that type.
    Empty,
    /// The name does not exist.
    Missing,
    /// The server does not know, others do: it named them.
    Referred(Box<Message>),
    /// It could not be found out. Never to be taken for [`Lookup::Missing`].
    Undetermined(Failure),
}

impl Lookup {
    /// Sorts an accepted answer with code NOERROR or NXDOMAIN.
    pub(super) fn read(header: Header, packet: &[u8]) -> Result<Lookup, String> {
        let missing = header.rcode() == NXDOMAIN;
        if header.answers > 0 {
            return Ok(Lookup::Found(Box::new(decode(packet)?)));
        }
        if missing {
            return Ok(Lookup::Missing);
        }
        if header.is_authoritative() || header.authority == 0 {
            return Ok(Lookup::Empty);
        }
        let message = decode(packet)?;
        let has = |wanted| message.authorities.iter().any(|record| record.record_type() == wanted);
        if has(RecordType::NS) && !has(RecordType::SOA) {
            return Ok(Lookup::Referred(Box::new(message)));
        }
        Ok(Lookup::Empty)
    }
}

pub(super) const FORMERR: u8 = 1;
pub(super) const SERVFAIL: u8 = 2;
pub(super) const NXDOMAIN: u8 = 3;
pub(super) const NOTIMP: u8 = 4;
pub(super) const REFUSED: u8 = 5;

/// Where a name leads within one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The names it is an alias of, nearest first, as they stand in the answer.
    pub aliases: Vec<Name>,
    /// Addresses at the end.
    pub addresses: Vec<IpAddr>,
    /// How long the answer may be kept.
    pub lifetime: Duration,
    /// The aliases lead back into themselves, or are too many.
    pub endless: bool,
}

impl Chain {
    /// Follows the aliases from a name through the answer section.
    pub fn follow(message: &Message, start: &DomainName) -> Chain {
        let mut chain = Chain {
            aliases: Vec::new(),
            addresses: Vec::new(),
            lifetime: Duration::from_secs(u64::from(u32::MAX)),
            endless: false,
        };
        let mut at = Name::from_labels(start.labels().map(str::as_bytes)).unwrap_or_else(|_| Name::root());
        loop {
            let here = message.answers.iter().filter(|record| record.name == at);
            let mut next = None;
            for record in here {
                let address = match &record.data {
                    RData::A(address) => IpAddr::V4(address.0),
                    RData::AAAA(address) => IpAddr::V6(address.0),
                    RData::CNAME(target) => {
                        chain.lifetime = chain.lifetime.min(Duration::from_secs(u64::from(record.ttl)));
                        next = Some(target.0.clone());
                        continue;
                    }
                    _ => continue,
                };
                chain.lifetime = chain.lifetime.min(Duration::from_secs(u64::from(record.ttl)));
                if !chain.addresses.contains(&address) {
                    chain.addresses.push(address);
                }
            }
            let Some(target) = next.filter(|_| chain.addresses.is_empty()) else { return chain };
            if chain.aliases.contains(&target) || chain.aliases.len() >= LONGEST_CHAIN {
                chain.endless = true;
                return chain;
            }
            chain.aliases.push(target.clone());
            at = target;
        }
    }

    /// The last alias, if it is a name of the usual letters.
    pub fn end(&self) -> Option<DomainName> {
        self.aliases.last().and_then(domain_name)
    }
}

/// A name of the usual letters, or nothing.
pub fn domain_name(name: &Name) -> Option<DomainName> {
    let labels: Vec<&str> = name.iter().map(str::from_utf8).collect::<Result<_, _>>().ok()?;
    // A dot within a label would make another name of it.
    if labels.iter().any(|label| label.contains('.')) { None } else { labels.join(".").parse().ok() }
}

#[cfg(test)]
mod tests;
