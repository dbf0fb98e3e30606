//! PostgreSQL (frontend/backend protocol 3.0, "SSL session encryption"): asked for TLS, the server says S or N in one byte.

use super::engine::{Opening, Probe, Reader, Recognised, lossy};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "postgresql",
    ports: &[5432, 5433, 6432],
    tls_ports: &[],
    opening: Opening::Speak(SSL_REQUEST),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

/// Length 8 and the request code 1234.5679.
const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

fn recognise(answer: &[u8]) -> Option<Recognised> {
    match answer {
        // One letter says it only to whoever asked.
        [b'S' | b'N'] => Some(Recognised::product("PostgreSQL").tentative()),
        [b'E', ..] => {
            let mut packet = Reader::new(&answer[1..]);
            let length = packet.u32()?;
            let is_error = (12..=4_096).contains(&length) && matches!(packet.rest(), [b'S', ..]);
            let text = lossy(packet.rest());
            (is_error && ["FATAL", "ERROR", "PANIC"].iter().any(|severity| text[1..].starts_with(severity)))
                .then(|| Recognised::product("PostgreSQL"))
        }
        _ => None,
    }
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"N", "PostgreSQL", "", ""),
    sample(b"S", "PostgreSQL", "", ""),
    sample(b"E\0\0\0\x59SFATAL\0VFATAL\0C0A000\0Munsupported frontend protocol 0.0: server supports 3.0 to 3.0\0\0", "PostgreSQL", "", ""),
];
