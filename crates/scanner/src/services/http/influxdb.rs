//! InfluxDB: a field with its version in every response.

use super::Page;
use crate::services::engine::{Recognised, version_at};
#[cfg(test)]
use crate::services::engine::{Sample, sample};

pub(super) fn recognise(page: &Page<'_>) -> Option<Recognised> {
    let version = page.header("X-Influxdb-Version");
    if version.is_empty() {
        return None;
    }
    Some(Recognised::product("InfluxDB").version(version_at(version)).cpe("influxdata", "influxdb"))
}

#[cfg(test)]
pub(super) const SAMPLES: &[Sample] = &[
    sample(b"HTTP/1.1 404 Not Found\r\nX-Influxdb-Build: OSS\r\nX-Influxdb-Version: 1.6.7\r\n\r\n404 page not found\n", "InfluxDB", "1.6.7", "cpe:2.3:a:influxdata:influxdb:1.6.7:*:*:*:*:*:*:*"),
];
