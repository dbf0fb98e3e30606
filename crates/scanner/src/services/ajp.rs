//! AJP 1.3, with which web servers talk to servlet containers: CPing, answered by CPong.

use super::engine::{Opening, Probe, Recognised};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "ajp",
    ports: &[8009],
    tls_ports: &[],
    opening: Opening::Speak(&[0x12, 0x34, 0, 1, 10]),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    (answer == b"AB\0\x01\x09").then(Recognised::protocol)
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[sample(b"AB\0\x01\x09", "", "", "")];
