//! RTSP (RFC 2326, 10.1): OPTIONS.

use super::engine::{Asker, Opening, Probe, Recognised, lossy, version_at};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "rtsp",
    ports: &[554, 8554],
    tls_ports: &[322],
    opening: Opening::Compose(options),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn options(asker: &Asker<'_>) -> Vec<u8> {
    format!("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: {}\r\n\r\n", asker.identity.user_agent).into_bytes()
}

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    if !text.starts_with("RTSP/1.0 ") {
        return None;
    }
    let server = text.lines().find_map(|line| line.strip_prefix("Server: ")).unwrap_or_default();
    let (product, version) = server.split_once('/').unwrap_or((server, ""));
    Some(Recognised::product(product).version(version_at(version)))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nServer: Hipcam RealServer/V1.0\r\nPublic: OPTIONS, DESCRIBE\r\n\r\n",
        "Hipcam RealServer",
        "",
        "",
    ),
    sample(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nServer: VLC/3.0.18\r\n\r\n", "VLC", "3.0.18", ""),
];
