//! MinIO: its name in the `Server` field.

use super::Page;
use crate::services::engine::Recognised;
#[cfg(test)]
use crate::services::engine::{Sample, sample};

pub(super) fn recognise(page: &Page<'_>) -> Option<Recognised> {
    let server = page.header("Server");
    let version = server.strip_prefix("MinIO")?.strip_prefix('/').and_then(|after| after.split(' ').next());
    Some(Recognised::product("MinIO").version(version).cpe("minio", "minio"))
}

#[cfg(test)]
pub(super) const SAMPLES: &[Sample] = &[
    sample(b"HTTP/1.1 403 Forbidden\r\nServer: MinIO\r\nContent-Type: application/xml\r\n\r\n<Error><Code>AccessDenied</Code></Error>", "MinIO", "", ""),
];
