//! A zone as text, and what it answers (RFC 1034, section 4.3.2; wildcards as in RFC 4592).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
};

use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata},
};

const LIFETIME: u32 = 60;
/// Aliases followed within the zone.
const LONGEST_CHAIN: usize = 12;

#[derive(Debug)]
enum Entry {
    Data(RData),
    Pool { take: usize, addresses: Vec<RData>, turn: AtomicUsize },
    Code(ResponseCode),
    Drop { left: AtomicUsize },
    Refer(Name),
    Bytes(Vec<u8>),
}

/// Owners in lower case with trailing dot.
#[derive(Debug)]
pub(super) struct Zone {
    origin: String,
    entries: BTreeMap<String, Vec<Entry>>,
    /// Owners and everything between them and the origin.
    names: BTreeSet<String>,
}

pub(super) enum Answer {
    Message,
    Nothing,
    /// The message, and these bytes as its one record.
    Record(Vec<u8>),
}

impl Zone {
    pub(super) fn parse(text: &str) -> Zone {
        let mut zone = Zone { origin: String::new(), entries: BTreeMap::new(), names: BTreeSet::new() };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.splitn(3, char::is_whitespace).map(str::trim);
            let owner = words.next().expect("the line is not empty").to_ascii_lowercase();
            let rest = words.collect::<Vec<_>>().join(" ");
            let (kind, data) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
            let data = data.trim();
            if zone.origin.is_empty() {
                assert_eq!(kind, "SOA", "a zone begins with its SOA, not with `{line}`");
                zone.origin = format!("{owner}.");
                let soa = format!("ns.{owner}. hostmaster.{owner}. 1 3600 600 86400 60");
                zone.add(format!("{owner}."), Entry::Data(read(RecordType::SOA, &soa)));
                continue;
            }
            let owner = match owner.as_str() {
                "@" => zone.origin.clone(),
                name if name.ends_with('.') => name.to_owned(),
                name => format!("{name}.{}", zone.origin),
            };
            let number = |word: &str| word.parse().unwrap_or_else(|_| panic!("`{line}` wants a number"));
            let entry = match kind {
                "POOL" => {
                    let (take, addresses) = data.split_once(' ').expect("a pool has a number and addresses");
                    let addresses =
                        addresses.split_whitespace().map(|address| read(RecordType::A, address)).collect();
                    Entry::Pool { take: number(take), addresses, turn: AtomicUsize::new(0) }
                }
                "RCODE" => Entry::Code(match data {
                    "SERVFAIL" => ResponseCode::ServFail,
                    "REFUSED" => ResponseCode::Refused,
                    "NXDOMAIN" => ResponseCode::NXDomain,
                    "NOTAUTH" => ResponseCode::NotAuth,
                    other => panic!("`{other}` is no response code of a test"),
                }),
                "DROP" => Entry::Drop { left: AtomicUsize::new(number(data)) },
                "REFER" => Entry::Refer(Name::from_ascii(data).expect("a referral names a server")),
                "BYTES" => Entry::Bytes(data.as_bytes().to_vec()),
                kind => Entry::Data(read(
                    kind.parse().unwrap_or_else(|_| panic!("`{line}` has no known type")),
                    data,
                )),
            };
            zone.add(owner, entry);
        }
        zone
    }

    fn add(&mut self, owner: String, entry: Entry) {
        let mut name = owner.as_str();
        while name.ends_with(&self.origin) {
            self.names.insert(name.to_owned());
            name = name.split_once('.').map_or("", |(_, parent)| parent);
        }
        self.entries.entry(owner).or_default().push(entry);
    }

    /// The entries that hold for a name: its own, or those of the wildcard at its closest encloser.
    fn entries(&self, name: &str) -> Option<&[Entry]> {
        if self.names.contains(name) {
            return Some(self.entries.get(name).map_or(&[], Vec::as_slice));
        }
        let mut parent = name;
        while let Some((_, encloser)) = parent.split_once('.') {
            if self.names.contains(encloser) {
                return self.entries.get(&format!("*.{encloser}")).map(Vec::as_slice);
            }
            parent = encloser;
        }
        None
    }

    /// A delegation at the name or above it.
    fn delegation(&self, name: &str) -> Option<(&str, &Name)> {
        let mut at = name;
        loop {
            if let Some((owner, entries)) = self.entries.get_key_value(at)
                && let Some(server) = entries
                    .iter()
                    .find_map(|entry| if let Entry::Refer(server) = entry { Some(server) } else { None })
            {
                return Some((owner, server));
            }
            at = at.split_once('.')?.1;
        }
    }

    /// Fills in the reply.
    pub(super) fn answer(&self, query: &Query, reply: &mut Message) -> Answer {
        let mut name = query.name().to_ascii().to_ascii_lowercase();
        if !name.ends_with(&self.origin) {
            reply.metadata.response_code = ResponseCode::Refused;
            return Answer::Message;
        }
        if let Some((owner, server)) = self.delegation(&name) {
            let owner = Name::from_ascii(owner).expect("it was read as a name");
            reply.add_authority(Record::from_rdata(owner, LIFETIME, RData::NS(rdata::NS(server.clone()))));
            return Answer::Message;
        }
        reply.metadata.authoritative = true;
        for _ in 0..LONGEST_CHAIN {
            let Some(entries) = self.entries(&name) else {
                reply.metadata.response_code = ResponseCode::NXDomain;
                return self.deny(reply);
            };
            let owner = Name::from_ascii(&name).expect("it came as a name");
            let mut alias = None;
            let before = reply.answers.len();
            for entry in entries {
                match entry {
                    Entry::Drop { left } => {
                        let take = |left: usize| left.checked_sub(1);
                        if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
                            return Answer::Nothing;
                        }
                    }
                    Entry::Code(code) => {
                        reply.metadata.response_code = *code;
                        return Answer::Message;
                    }
                    Entry::Bytes(bytes) => return Answer::Record(bytes.clone()),
                    Entry::Pool { take, addresses, turn } if query.query_type() == RecordType::A => {
                        let start = turn.fetch_add(*take, Ordering::SeqCst);
                        for index in start..start + take {
                            let data = addresses[index % addresses.len()].clone();
                            reply.add_answer(Record::from_rdata(owner.clone(), LIFETIME, data));
                        }
                    }
                    Entry::Data(data)
                        if [data.record_type(), RecordType::ANY].contains(&query.query_type()) =>
                    {
                        reply.add_answer(Record::from_rdata(owner.clone(), LIFETIME, data.clone()));
                    }
                    Entry::Data(RData::CNAME(target)) => alias = Some(target.clone()),
                    Entry::Data(_) | Entry::Pool { .. } | Entry::Refer(_) => {}
                }
            }
            if reply.answers.len() > before {
                return Answer::Message;
            }
            let Some(target) = alias else { return self.deny(reply) };
            name = target.0.to_ascii().to_ascii_lowercase();
            reply.add_answer(Record::from_rdata(owner, LIFETIME, RData::CNAME(target)));
            if !name.ends_with(&self.origin) {
                return Answer::Message;
            }
        }
        Answer::Message
    }

    fn deny(&self, reply: &mut Message) -> Answer {
        let origin = Name::from_ascii(&self.origin).expect("it was read as a name");
        if let Some(Entry::Data(soa)) = self.entries[&self.origin].first() {
            reply.add_authority(Record::from_rdata(origin, LIFETIME, soa.clone()));
        }
        Answer::Message
    }
}

fn read(record_type: RecordType, data: &str) -> RData {
    RData::try_from_str(record_type, data)
        .unwrap_or_else(|error| panic!("`{data}` is no {record_type} record: {error}"))
}
