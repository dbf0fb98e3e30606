//! Prometheus: the root leads to the query page.

use super::Page;
use crate::services::engine::Recognised;
#[cfg(test)]
use crate::services::engine::{Sample, sample};

pub(super) fn recognise(page: &Page<'_>) -> Option<Recognised> {
    let location = page.header("Location");
    let leads =
        page.status == 302 && matches!(location, "/graph" | "/query") && page.header("Server").is_empty();
    leads.then(|| Recognised::product("Prometheus"))
}

#[cfg(test)]
pub(super) const SAMPLES: &[Sample] = &[
    sample(b"HTTP/1.1 302 Found\r\nContent-Type: text/html; charset=utf-8\r\nLocation: /graph\r\n\r\n<a href=\"/graph\">Found</a>.\n", "Prometheus", "", ""),
];
