//! MQTT 3.1.1 (3.1): CONNECT for a clean session, without name and password; CONNACK answers, also when it refuses.

use super::engine::{Opening, Probe, Recognised};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "mqtt",
    ports: &[1883],
    tls_ports: &[8883],
    opening: Opening::Speak(b"\x10\x0c\0\x04MQTT\x04\x02\0\x0a\0\0"),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    matches!(answer, [0x20, 2, 0 | 1, 0..=5]).then(Recognised::protocol)
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[sample(b"\x20\x02\0\0", "", "", ""), sample(b"\x20\x02\0\x05", "", "", "")];
