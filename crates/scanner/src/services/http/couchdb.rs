//! Apache CouchDB: a welcome with its version.

use super::Page;
use crate::services::engine::Recognised;
#[cfg(test)]
use crate::services::engine::{Sample, sample};

pub(super) fn recognise(page: &Page<'_>) -> Option<Recognised> {
    if page.member("couchdb") != Some("Welcome") {
        return None;
    }
    Some(Recognised::product("CouchDB").version(page.member("version")).cpe("apache", "couchdb"))
}

#[cfg(test)]
pub(super) const SAMPLES: &[Sample] = &[
    sample(b"HTTP/1.1 200 OK\r\nServer: CouchDB/3.3.2 (Erlang OTP/24)\r\nContent-Type: application/json\r\n\r\n{\"couchdb\":\"Welcome\",\"version\":\"3.3.2\",\"git_sha\":\"11a2\"}", "CouchDB", "3.3.2", "cpe:2.3:a:apache:couchdb:3.3.2:*:*:*:*:*:*:*"),
];
