//! Grafana: the root leads to the login page, or is the application with its build information.

use super::Page;
use crate::services::engine::{Recognised, version_at};
#[cfg(test)]
use crate::services::engine::{Sample, sample};

pub(super) fn recognise(page: &Page<'_>) -> Option<Recognised> {
    let leads = page.status == 302
        && page.header("Location") == "/login"
        && page.header("Set-Cookie").starts_with("redirect_to=");
    if !leads && !page.body.contains("grafanaBootData") {
        return None;
    }
    Some(
        Recognised::product("Grafana")
            .version(page.member("version").and_then(version_at))
            .cpe("grafana", "grafana"),
    )
}

#[cfg(test)]
pub(super) const SAMPLES: &[Sample] = &[
    sample(b"HTTP/1.1 302 Found\r\nCache-Control: no-store\r\nLocation: /login\r\nSet-Cookie: redirect_to=%2F; Path=/; HttpOnly\r\n\r\n", "Grafana", "", ""),
    sample(b"HTTP/1.1 200 OK\r\n\r\n<script>window.grafanaBootData = {\"settings\":{\"buildInfo\":{\"version\":\"9.5.2\"}}}</script>", "Grafana", "9.5.2", "cpe:2.3:a:grafana:grafana:9.5.2:*:*:*:*:*:*:*"),
];
