//! Cassandra's native protocol, version 4: OPTIONS, answered by SUPPORTED before any authentication.

use memchr::memmem;

use super::engine::{Opening, Probe, Reader, Recognised};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "cassandra",
    ports: &[9042],
    tls_ports: &[9142],
    opening: Opening::Speak(&[4, 0, 0, 0, OPTIONS, 0, 0, 0, 0]),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

const ERROR: u8 = 0;
const OPTIONS: u8 = 5;
const SUPPORTED: u8 = 6;

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let [0x83..=0x86, 0..=0x10, 0, 0, operation, rest @ ..] = answer else { return None };
    let length = Reader::new(rest).u32()?;
    let is_answer = match *operation {
        SUPPORTED => memmem::find(rest, b"CQL_VERSION").is_some(),
        ERROR => (6..4_096).contains(&length),
        _ => false,
    };
    if !is_answer {
        return None;
    }
    let scylla = memmem::find(rest, b"SCYLLA_").is_some();
    Some(Recognised::product(if scylla { "ScyllaDB" } else { "Cassandra" }))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(
        b"\x84\0\0\0\x06\0\0\0\x2a\0\x02\0\x0bCOMPRESSION\0\x01\0\x03lz4\0\x0bCQL_VERSION\0\x01\0\x053.4.5",
        "Cassandra",
        "",
        "",
    ),
    sample(b"\x84\0\0\0\0\0\0\0\x0c\0\0\0\x0a\0\x06failed", "Cassandra", "", ""),
];
