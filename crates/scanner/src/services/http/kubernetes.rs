//! The API server of Kubernetes: a status object, or the list of paths.

use super::Page;
use crate::services::engine::Recognised;
#[cfg(test)]
use crate::services::engine::{Sample, sample};

pub(super) fn recognise(page: &Page<'_>) -> Option<Recognised> {
    let status = page.member("kind") == Some("Status") && page.member("apiVersion") == Some("v1");
    let paths = page.body.contains("\"paths\"") && page.body.contains("\"/api/v1\"");
    (status || paths).then(|| Recognised::product("Kubernetes"))
}

#[cfg(test)]
pub(super) const SAMPLES: &[Sample] = &[
    sample(b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n\r\n{\n  \"kind\": \"Status\",\n  \"apiVersion\": \"v1\",\n  \"status\": \"Failure\",\n  \"reason\": \"Forbidden\"\n}", "Kubernetes", "", ""),
    sample(b"HTTP/1.1 200 OK\r\n\r\n{\n  \"paths\": [\n    \"/api\",\n    \"/api/v1\"\n  ]\n}", "Kubernetes", "", ""),
];
