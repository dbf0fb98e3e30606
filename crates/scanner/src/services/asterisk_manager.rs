//! Asterisk manager interface: the server greets with its interface version.

use super::engine::{Opening, Probe, Recognised};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "asterisk-manager",
    ports: &[5038],
    tls_ports: &[5039],
    opening: Opening::Listen,
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    // The number is the interface's, not the program's.
    answer.starts_with(b"Asterisk Call Manager/").then(|| Recognised::product("Asterisk"))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[sample(b"Asterisk Call Manager/9.0.0\r\n", "Asterisk", "", "")];
