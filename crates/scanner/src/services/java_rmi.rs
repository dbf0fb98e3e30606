//! Java RMI (JRMP, stream protocol): the header, acknowledged with the client's own address.

use super::engine::{Opening, Probe, Reader, Recognised};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "java-rmi",
    ports: &[1099, 1098],
    tls_ports: &[],
    opening: Opening::Speak(b"JRMI\0\x02\x4b"),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

const PROTOCOL_ACK: u8 = 0x4e;

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let mut response = Reader::new(answer);
    response.expect(&[PROTOCOL_ACK])?;
    let length = response.u16()?;
    let host = response.take(usize::from(length))?;
    let port = response.u32()?;
    let is_host = !host.is_empty() && host.iter().all(u8::is_ascii_graphic);
    (is_host && port <= u32::from(u16::MAX) && response.rest().is_empty()).then(Recognised::protocol)
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[sample(b"\x4e\0\x09127.0.0.1\0\0\x9c\x40", "", "", "")];
