//! NNTP (RFC 3977, 5.1): the server greets with 200 or 201.

use super::engine::{Opening, Probe, Recognised, line, lossy, version_after};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "nntp",
    ports: &[119],
    tls_ports: &[563],
    opening: Opening::ListenThen(b"CAPABILITIES\r\n"),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    let greeting = line(&text);
    if !matches!(greeting.get(..4), Some("200 " | "201 " | "400 " | "502 ")) {
        return None;
    }
    let says_so = greeting.contains("NNTP") || greeting.contains("InterNetNews");
    if !says_so && !text.lines().any(|line| line.starts_with("101 ")) {
        return None;
    }
    let inn = greeting
        .contains("InterNetNews")
        .then(|| Recognised::product("INN").version(version_after(greeting, "INN ")).cpe("isc", "inn"));
    Some(inn.unwrap_or_else(Recognised::protocol))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(
        b"200 news.example InterNetNews NNRP server INN 2.7.0 ready (posting ok)\r\n",
        "INN",
        "2.7.0",
        "cpe:2.3:a:isc:inn:2.7.0:*:*:*:*:*:*:*",
    ),
    sample(b"201 news.example NNTP service ready (no posting)\r\n", "", "", ""),
    sample(b"200 ready\r\n101 Capability list:\r\nVERSION 2\r\nREADER\r\n.\r\n", "", "", ""),
];
