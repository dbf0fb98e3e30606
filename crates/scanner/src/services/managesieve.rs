//! ManageSieve (RFC 5804): the server greets with its capabilities.

use super::engine::{Opening, Probe, Recognised, lossy};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "managesieve",
    ports: &[4190],
    tls_ports: &[],
    opening: Opening::Listen,
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    let implementation = text.lines().find_map(|line| line.strip_prefix("\"IMPLEMENTATION\" \""))?;
    Some(Recognised::product(implementation.trim_end_matches('"')))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"\"IMPLEMENTATION\" \"Dovecot Pigeonhole\"\r\n\"SIEVE\" \"fileinto reject\"\r\nOK \"Dovecot ready.\"\r\n", "Dovecot Pigeonhole", "", ""),
];
