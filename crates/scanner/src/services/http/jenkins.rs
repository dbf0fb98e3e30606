//! Jenkins: a field with its version in every response.

use super::Page;
use crate::services::engine::{Recognised, version_at};
#[cfg(test)]
use crate::services::engine::{Sample, sample};

pub(super) fn recognise(page: &Page<'_>) -> Option<Recognised> {
    let version = page.header("X-Jenkins");
    if version.is_empty() {
        return None;
    }
    Some(Recognised::product("Jenkins").version(version_at(version)).cpe("jenkins", "jenkins"))
}

#[cfg(test)]
pub(super) const SAMPLES: &[Sample] = &[
    sample(b"HTTP/1.1 403 Forbidden\r\nX-Hudson: 1.395\r\nX-Jenkins: 2.426.1\r\nServer: Jetty(10.0.17)\r\n\r\n<html>", "Jenkins", "2.426.1", "cpe:2.3:a:jenkins:jenkins:2.426.1:*:*:*:*:*:*:*"),
];
