//! VNC (RFB, RFC 6143, 7.1.1): the server greets with its protocol version.

use super::engine::{Opening, Probe, Recognised};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "vnc",
    ports: &[5900, 5901, 5902, 5903],
    tls_ports: &[],
    opening: Opening::Listen,
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let [b'R', b'F', b'B', b' ', a, b, c, b'.', d, e, f, b'\n', ..] = answer else { return None };
    [a, b, c, d, e, f].iter().all(|digit| digit.is_ascii_digit()).then(Recognised::protocol)
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[sample(b"RFB 003.008\n", "", "", ""), sample(b"RFB 003.889\n", "", "", "")];
