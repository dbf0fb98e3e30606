//! `dns` blocks.

use super::{
    Text,
    fields::{Fields, Report},
};

/// One question.
#[derive(Debug)]
pub struct DnsBlock {
    /// Usually `{{FQDN}}`.
    pub name: Text,
    /// `A`, `TXT`, …
    pub record_type: &'static str,
    /// `IN`, `CH`, …
    pub class: &'static str,
    /// Ask for recursion.
    pub recursion: bool,
}

const TYPES: [(&str, &str); 13] = [
    ("A", "A"),
    ("NS", "NS"),
    ("DS", "DS"),
    ("CNAME", "CNAME"),
    ("SOA", "SOA"),
    ("PTR", "PTR"),
    ("MX", "MX"),
    ("TXT", "TXT"),
    ("AAAA", "AAAA"),
    ("CAA", "CAA"),
    ("TLSA", "TLSA"),
    ("ANY", "ANY"),
    ("SRV", "SRV"),
];

const CLASSES: [(&str, &str); 6] =
    [("inet", "IN"), ("csnet", "CS"), ("chaos", "CH"), ("hesiod", "HS"), ("none", "NONE"), ("any", "ANY")];

pub(super) fn read(fields: &Fields<'_>, report: &Report) -> Option<DnsBlock> {
    fields.refuse("trace", "following a name from the root servers is not supported");
    fields.refuse("trace-max-recursion", "following a name from the root servers is not supported");
    fields.refuse("resolvers", "a template cannot choose name servers; name them with --resolver");
    // How often to ask again is the scan's decision.
    fields.accept("retries");
    let recursive = fields.get("recursion").is_none() || fields.flag("recursion");
    let name = fields.required_text("name");
    let record_type = fields.word("type", &TYPES);
    let class = fields.word("class", &CLASSES);
    Some(DnsBlock {
        name: Text::read(name?.trim(), fields.position_of("name"), report)?,
        record_type: record_type.unwrap_or("A"),
        class: class.unwrap_or("IN"),
        recursion: recursive,
    })
}
