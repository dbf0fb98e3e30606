//! RDP (MS-RDPBCGR, 2.2.1.1): X.224 connection request, answered by a connection confirm.

use super::engine::{Opening, Probe, Reader, Recognised};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "rdp",
    ports: &[3389],
    tls_ports: &[],
    opening: Opening::Speak(b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x0b\0\0\0"),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let mut packet = Reader::new(answer);
    packet.expect(&[3, 0])?;
    let length = packet.u16()?;
    packet.u8()?;
    // Connection confirm, answering reference 0.
    packet.expect(&[0xd0, 0, 0])?;
    (11..=64).contains(&length).then(Recognised::protocol)
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\x1f\x08\0\x02\0\0\0", "", "", ""),
    sample(b"\x03\0\0\x0b\x06\xd0\0\0\x12\x34\0", "", "", ""),
];
