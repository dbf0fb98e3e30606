//! Answers in the words checks match on.

use std::{fmt::Write, net::SocketAddr};

use checks::exchange::{DnsRecord, DnsResponse};
use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{RData, Record},
};

/// The whole message in presentation form.
pub(super) fn response(message: &Message, server: SocketAddr) -> DnsResponse {
    let question = message.queries.first().map_or_else(String::new, |query| {
        format!("{} {} {}", query.name().to_ascii(), query.query_class(), query.query_type())
    });
    DnsResponse {
        rcode: code(message.metadata.response_code),
        question,
        answers: records(&message.answers),
        authority: records(&message.authorities),
        additional: records(&message.additionals),
        flags: flags(message),
        resolver: Some(server),
    }
}

fn records(records: &[Record]) -> Vec<DnsRecord> {
    let present = |record: &Record| DnsRecord {
        name: record.name.to_ascii(),
        ttl: record.ttl,
        class: record.dns_class.to_string(),
        record_type: record.record_type().to_string(),
        data: data(&record.data),
    };
    records.iter().map(present).collect()
}

/// Record data as in a zone file. Names as they went over the wire: decoded international names could pass for others.
pub(crate) fn data(data: &RData) -> String {
    match data {
        RData::CNAME(name) => name.0.to_ascii(),
        RData::NS(name) => name.0.to_ascii(),
        RData::PTR(name) => name.0.to_ascii(),
        RData::MX(mx) => format!("{} {}", mx.preference, mx.exchange.to_ascii()),
        RData::SRV(srv) => format!("{} {} {} {}", srv.priority, srv.weight, srv.port, srv.target.to_ascii()),
        RData::TXT(text) => text.txt_data.iter().map(|string| quoted(string)).collect::<Vec<_>>().join(" "),
        // The two that have no form of their own fail to print.
        RData::OPT(_) | RData::Update0(_) => String::new(),
        other => other.to_string(),
    }
}

/// A character string (RFC 1035, section 5.1): quotes and backslashes escaped, other bytes in decimal.
fn quoted(string: &[u8]) -> String {
    let mut out = String::with_capacity(string.len() + 2);
    out.push('"');
    for &byte in string {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => write!(out, "\\{byte:03}").expect("writing to a string cannot fail"),
        }
    }
    out.push('"');
    out
}

/// The mnemonic of the IANA registry.
pub(super) fn code(code: ResponseCode) -> String {
    mnemonic(code).map_or_else(|| format!("RCODE{}", u16::from(code)), str::to_owned)
}

fn mnemonic(code: ResponseCode) -> Option<&'static str> {
    Some(match code {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        ResponseCode::YXDomain => "YXDOMAIN",
        ResponseCode::YXRRSet => "YXRRSET",
        ResponseCode::NXRRSet => "NXRRSET",
        ResponseCode::NotAuth => "NOTAUTH",
        ResponseCode::NotZone => "NOTZONE",
        ResponseCode::BADVERS | ResponseCode::BADSIG => "BADVERS",
        ResponseCode::BADKEY => "BADKEY",
        ResponseCode::BADTIME => "BADTIME",
        ResponseCode::BADMODE => "BADMODE",
        ResponseCode::BADNAME => "BADNAME",
        ResponseCode::BADALG => "BADALG",
        ResponseCode::BADTRUNC => "BADTRUNC",
        ResponseCode::BADCOOKIE => "BADCOOKIE",
        ResponseCode::Unknown(_) => return None,
    })
}

fn flags(message: &Message) -> String {
    let header = &message.metadata;
    let words = [
        ("qr", header.message_type == MessageType::Response),
        ("aa", header.authoritative),
        ("tc", header.truncation),
        ("rd", header.recursion_desired),
        ("ra", header.recursion_available),
        ("ad", header.authentic_data),
        ("cd", header.checking_disabled),
    ];
    words.into_iter().filter(|(_, set)| *set).map(|(word, _)| word).collect::<Vec<_>>().join(" ")
}
