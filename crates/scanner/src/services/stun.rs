//! STUN over TCP (RFC 8489): a binding request without credentials.

use super::engine::{Opening, Probe, Reader, Recognised, lossy, version_at};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "stun",
    ports: &[3478],
    tls_ports: &[5349],
    opening: Opening::Speak(b"\0\x01\0\0\x21\x12\xa4\x42rampart stun"),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

const COOKIE: &[u8] = &[0x21, 0x12, 0xa4, 0x42];
const SOFTWARE: u16 = 0x8022;

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let mut message = Reader::new(answer);
    // Success or error of the binding method.
    if !matches!(message.u16()?, 0x0101 | 0x0111) {
        return None;
    }
    message.u16()?;
    message.expect(COOKIE)?;
    message.take(12)?;
    let software = software(&mut message).unwrap_or_default();
    Some(match software.strip_prefix("Coturn-") {
        Some(version) => {
            Recognised::product("Coturn").version(version_at(version)).cpe("coturn_project", "coturn")
        }
        None => Recognised::product(&software),
    })
}

fn software(attributes: &mut Reader<'_>) -> Option<String> {
    loop {
        let (kind, length) = (attributes.u16()?, attributes.u16()?);
        let value = attributes.take(usize::from(length))?;
        if kind == SOFTWARE {
            return Some(lossy(value).into_owned());
        }
        // Attributes are padded to four bytes.
        attributes.take(usize::from(length.wrapping_neg() & 3))?;
    }
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"\x01\x01\0\x28\x21\x12\xa4\x42rampart stun\0\x20\0\x08\0\x01\x11\x2b\x5e\x12\xa4\x43\x80\x22\0\x14Coturn-4.6.1 'Gorst'", "Coturn", "4.6.1", "cpe:2.3:a:coturn_project:coturn:4.6.1:*:*:*:*:*:*:*"),
];
