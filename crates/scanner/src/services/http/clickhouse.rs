//! ClickHouse: `Ok.` and its own fields.

use super::Page;
use crate::services::engine::Recognised;
#[cfg(test)]
use crate::services::engine::{Sample, sample};

pub(super) fn recognise(page: &Page<'_>) -> Option<Recognised> {
    let named = page.headers.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("x-clickhouse-"));
    named.then(|| Recognised::product("ClickHouse"))
}

#[cfg(test)]
pub(super) const SAMPLES: &[Sample] = &[sample(
    b"HTTP/1.1 200 OK\r\nConnection: Close\r\nX-ClickHouse-Summary: {}\r\n\r\nOk.\n",
    "ClickHouse",
    "",
    "",
)];
