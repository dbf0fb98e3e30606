//! Apache Kafka: ApiVersions, the request that every broker answers first.

use super::engine::{Opening, Probe, Reader, Recognised};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "kafka",
    ports: &[9092],
    tls_ports: &[9093],
    opening: Opening::Speak(b"\0\0\0\x11\0\x12\0\0ramp\0\x07rampart"),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let mut response = Reader::new(answer);
    let length = response.u32()?;
    response.expect(b"ramp")?;
    let error = response.u16()?;
    // 35: the version of the request is not supported.
    (matches!(error, 0 | 35) && (6..1 << 16).contains(&length)).then(|| Recognised::product("Kafka"))
}

#[cfg(test)]
const SAMPLES: &[Sample] =
    &[sample(b"\0\0\0\x16ramp\0\0\0\0\0\x02\0\0\0\0\0\x09\0\x01\0\0\0\x0d", "Kafka", "", "")];
