//! NATS: the server greets with INFO and a JSON object.

use super::engine::{Opening, Probe, Recognised, line, lossy, version_after};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "nats",
    ports: &[4222],
    tls_ports: &[],
    opening: Opening::Listen,
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    if text.starts_with("-ERR 'Unknown Protocol Operation'") {
        return Some(Recognised::product("NATS"));
    }
    let information = line(&text).strip_prefix("INFO {")?;
    information.contains("\"server_id\"").then_some(())?;
    let version = version_after(information, "\"version\":\"");
    Some(Recognised::product("NATS").version(version).cpe("linuxfoundation", "nats-server"))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"INFO {\"server_id\":\"NA2\",\"server_name\":\"n\",\"version\":\"2.10.4\",\"proto\":1,\"max_payload\":1048576} \r\n", "NATS", "2.10.4", "cpe:2.3:a:linuxfoundation:nats-server:2.10.4:*:*:*:*:*:*:*"),
    sample(b"-ERR 'Unknown Protocol Operation'\r\n", "NATS", "", ""),
];
