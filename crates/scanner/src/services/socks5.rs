//! SOCKS 5 (RFC 1928, 3): a greeting that offers to go without authentication, and goes no further.

use super::engine::{Opening, Probe, Recognised};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "socks5",
    ports: &[1080, 9050],
    tls_ports: &[],
    opening: Opening::Speak(&[5, 1, 0]),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    matches!(answer, [5, 0 | 0xff]).then(|| Recognised::protocol().tentative())
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[sample(b"\x05\0", "", "", ""), sample(b"\x05\xff", "", "", "")];
