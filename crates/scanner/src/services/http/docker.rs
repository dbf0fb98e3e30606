//! Docker Engine: an API whose root does not exist, and a `Server` field that tells the version.

use super::Page;
use crate::services::engine::{Recognised, version_at};
#[cfg(test)]
use crate::services::engine::{Sample, sample};

pub(super) fn recognise(page: &Page<'_>) -> Option<Recognised> {
    let version = page.header("Server").strip_prefix("Docker/");
    if version.is_none()
        && (page.header("Api-Version").is_empty() || page.header("Docker-Experimental").is_empty())
    {
        return None;
    }
    Some(Recognised::product("Docker").version(version.and_then(version_at)).cpe("docker", "docker"))
}

#[cfg(test)]
pub(super) const SAMPLES: &[Sample] = &[
    sample(b"HTTP/1.1 404 Not Found\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nDocker-Experimental: false\r\nOstype: linux\r\nServer: Docker/20.10.24 (linux)\r\n\r\n{\"message\":\"page not found\"}\n", "Docker", "20.10.24", "cpe:2.3:a:docker:docker:20.10.24:*:*:*:*:*:*:*"),
];
