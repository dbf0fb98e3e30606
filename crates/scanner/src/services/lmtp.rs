//! LMTP (RFC 2033): SMTP's sister for delivery on the spot.

use super::engine::{Opening, Probe, Recognised, line, lossy};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "lmtp",
    ports: &[24],
    tls_ports: &[],
    opening: Opening::Listen,
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    let greeting = line(&text);
    if !greeting.starts_with("220") || !greeting.contains("LMTP") || greeting.contains("SMTP") {
        return None;
    }
    Some(Recognised::product(if greeting.contains("Dovecot") { "Dovecot" } else { "" }))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"220 mail.example Dovecot LMTP ready.\r\n", "Dovecot", "", ""),
    sample(b"220 mail.example LMTP Server\r\n", "", "", ""),
];
