//! The parts of a DNS response.

use std::fmt::Write;

use crate::{
    exchange::{DnsRecord, DnsResponse},
    expression::Value,
};

/// Codes by the words that answers use (RFC 1035, RFC 2136).
const RCODES: [&str; 11] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
    "NOTAUTH", "NOTZONE",
];

pub(super) fn part(dns: &DnsResponse, name: &str) -> Option<Value<'static>> {
    Some(match name {
        "rcode" => match RCODES.iter().position(|word| *word == dns.rcode) {
            Some(code) => Value::from(code),
            None => Value::from(dns.rcode.clone()),
        },
        "question" => Value::from(dns.question.clone()),
        "answer" => Value::from(lines(&dns.answers)),
        "extra" => Value::from(lines(&dns.additional)),
        // Name servers that were asked for, else the authority section.
        "ns" => records(dns, "NS").unwrap_or_else(|| Value::from(lines(&dns.authority))),
        "a" | "aaaa" | "cname" | "mx" | "txt" | "soa" | "ptr" | "caa" | "srv" | "ds" | "tlsa" => {
            return records(dns, &name.to_ascii_uppercase());
        }
        _ => return None,
    })
}

fn records(dns: &DnsResponse, record_type: &str) -> Option<Value<'static>> {
    let data = |record: &DnsRecord| {
        let data = record.data.trim_end_matches('.');
        data.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(data).to_owned()
    };
    let of_type = dns.answers.iter().filter(|record| record.record_type == record_type);
    let mut values: Vec<Value<'static>> = of_type.map(|record| Value::from(data(record))).collect();
    match values.len() {
        0 => None,
        1 => values.pop(),
        _ => Some(Value::from(values)),
    }
}

fn lines(records: &[DnsRecord]) -> String {
    let mut text = String::new();
    for record in records {
        if !text.is_empty() {
            text.push('\n');
        }
        let DnsRecord { name, ttl, class, record_type, data } = record;
        write!(text, "{name}\t{ttl}\t{class}\t{record_type}\t{data}")
            .expect("writing to a String cannot fail");
    }
    text
}

/// The whole message, laid out as resolver tools print it.
pub(super) fn message(dns: &DnsResponse) -> String {
    let mut text = format!(
        ";; opcode: QUERY, status: {}\n;; flags: {}; ANSWER: {}, AUTHORITY: {}, ADDITIONAL: {}\n",
        dns.rcode,
        dns.flags,
        dns.answers.len(),
        dns.authority.len(),
        dns.additional.len()
    );
    let question = format!(";{}", dns.question);
    for (title, section) in [
        ("QUESTION", question),
        ("ANSWER", lines(&dns.answers)),
        ("AUTHORITY", lines(&dns.authority)),
        ("ADDITIONAL", lines(&dns.additional)),
    ] {
        if !section.is_empty() {
            write!(text, "\n;; {title} SECTION:\n{section}\n").expect("writing to a String cannot fail");
        }
    }
    text
}
