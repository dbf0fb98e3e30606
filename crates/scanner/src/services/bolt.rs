//! Bolt, Neo4j's protocol: the handshake proposes versions, the server picks one.

use super::engine::{Opening, Probe, Recognised};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "bolt",
    ports: &[7687],
    tls_ports: &[7473],
    opening: Opening::Speak(HANDSHAKE),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

/// The magic number, then versions 5.0, 4.4 with three before it, 4.1 and 3.0.
const HANDSHAKE: &[u8] = &[0x60, 0x60, 0xb0, 0x17, 0, 0, 0, 5, 0, 3, 4, 4, 0, 0, 1, 4, 0, 0, 0, 3];

fn recognise(answer: &[u8]) -> Option<Recognised> {
    matches!(answer, [0, 0, 0..=4, 3..=5]).then(|| Recognised::protocol().tentative())
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[sample(b"\0\0\x04\x04", "", "", ""), sample(b"\0\0\0\x05", "", "", "")];
