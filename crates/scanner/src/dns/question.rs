//! What is asked, as it goes onto the wire (RFC 1035, section 4.1).

use std::net::IpAddr;

use checks::exchange::{DnsRequest, Failure};
use hickory_proto::rr::{DNSClass, RecordType};
use model::{DomainName, FailReason};

use crate::socket::{DialError, Dialer};

/// Bytes of an answer that pass without fragmentation nearly everywhere (RFC 9715).
const PAYLOAD: u16 = 1_232;
/// Bytes of a message header.
pub(super) const HEADER: usize = 12;

/// A question that the scope allows to be asked: there is no other way to make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) name: DomainName,
    pub(super) record_type: RecordType,
    pub(super) class: DNSClass,
    pub(super) recursion: bool,
}

impl Question {
    /// About an Internet name, asking for recursion.
    pub(super) fn about(
        dialer: &Dialer,
        name: DomainName,
        record_type: RecordType,
    ) -> Result<Question, Failure> {
        dialer.permits_name(&name).map_err(|error| error.failure())?;
        Ok(Question { name, record_type, class: DNSClass::IN, recursion: true })
    }

    /// Which names an address has. The address must be in scope; its name under `arpa` need not be.
    pub(super) fn reverse(dialer: &Dialer, address: IpAddr) -> Result<Question, Failure> {
        let scope = dialer.scope();
        let permitted =
            scope.permits_time(jiff::Timestamp::now()).and_then(|()| scope.permits_address(address, None));
        permitted.map_err(|refusal| DialError::OutOfScope(refusal).failure())?;
        let text = match address {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(v6) => {
                let nibbles = v6.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
                nibbles.map(|nibble| format!("{nibble:x}.")).chain(["ip6.arpa".to_owned()]).collect()
            }
        };
        let name = text.parse().expect("digits and dots make a name");
        Ok(Question { name, record_type: RecordType::PTR, class: DNSClass::IN, recursion: true })
    }

    /// What a check wants to ask.
    pub(super) fn of_check(dialer: &Dialer, request: &DnsRequest) -> Result<Question, Failure> {
        let wrong = |what: String| Failure::Failed(FailReason::Unresolved, what);
        let name: DomainName = request
            .name
            .parse()
            .map_err(|error| wrong(format!("`{}` cannot be asked about: {error}", request.name)))?;
        let record_type = request.record_type.to_ascii_uppercase();
        let record_type = record_type.parse::<RecordType>().map_err(|_| {
            wrong(format!("`{}` is not a type of DNS record that can be asked for", request.record_type))
        })?;
        let class = match request.class.to_ascii_uppercase().as_str() {
            "" | "IN" | "INET" => DNSClass::IN,
            "CH" | "CHAOS" => DNSClass::CH,
            "HS" | "HESIOD" => DNSClass::HS,
            "NONE" => DNSClass::NONE,
            "ANY" => DNSClass::ANY,
            _ => {
                return Err(wrong(format!(
                    "`{}` is not a DNS class: use IN, CH, HS, NONE or ANY",
                    request.class
                )));
            }
        };
        // Names of the CHAOS class, such as version.bind, are about the name server, which is the scan's own.
        if class != DNSClass::CH {
            match pointer_address(&name) {
                Some(address) => dialer.permits_address(address),
                None => dialer.permits_name(&name),
            }
            .map_err(|error| error.failure())?;
        }
        Ok(Question { name, record_type, class, recursion: request.recursion })
    }

    /// Appends the query message.
    pub(super) fn write(&self, id: u16, extended: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&[u8::from(self.recursion), 0, 0, 1, 0, 0, 0, 0, 0, u8::from(extended)]);
        for label in self.name.labels() {
            out.push(u8::try_from(label.len()).expect("a label has at most 63 characters"));
            out.extend_from_slice(label.as_bytes());
        }
        out.push(0);
        out.extend_from_slice(&u16::from(self.record_type).to_be_bytes());
        out.extend_from_slice(&u16::from(self.class).to_be_bytes());
        if extended {
            // Root name, type OPT, payload size, no extended code, version 0, no flags, no options (RFC 6891).
            out.extend_from_slice(&[0, 0, 41]);
            out.extend_from_slice(&PAYLOAD.to_be_bytes());
            out.extend_from_slice(&[0; 6]);
        }
    }

    /// Does the message repeat this question, and no other? Names are compared as RFC 4343 says.
    pub(super) fn is_in(&self, message: &[u8]) -> bool {
        let Some(mut rest) = message.get(HEADER..) else { return false };
        for label in self.name.labels() {
            let Some((&length, tail)) = rest.split_first() else { return false };
            if usize::from(length) != label.len() || tail.len() < label.len() {
                return false;
            }
            let (given, tail) = tail.split_at(label.len());
            if !given.eq_ignore_ascii_case(label.as_bytes()) {
                return false;
            }
            rest = tail;
        }
        let [type_high, type_low] = u16::from(self.record_type).to_be_bytes();
        let [class_high, class_low] = u16::from(self.class).to_be_bytes();
        rest.starts_with(&[0, type_high, type_low, class_high, class_low])
    }
}
/// The address that a name below `in-addr.arpa` (RFC 1035, 3.5) or `ip6.arpa` (RFC 3596, 2.5) is about.
fn pointer_address(name: &DomainName) -> Option<IpAddr> {
    let labels: Vec<&str> = name.labels().collect();
    match labels.as_slice() {
        [d, c, b, a, "in-addr", "arpa"] => format!("{a}.{b}.{c}.{d}").parse().ok(),
        [nibbles @ .., "ip6", "arpa"] if nibbles.len() == 32 => {
            let digits = nibbles.iter().rev().map(|nibble| u128::from_str_radix(nibble, 16).ok());
            let number = digits.into_iter().try_fold(0_u128, |number, digit| {
                digit.filter(|digit| *digit < 16).map(|digit| number << 4 | digit)
            })?;
            Some(IpAddr::V6(number.into()))
        }
        _ => None,
    }
}
