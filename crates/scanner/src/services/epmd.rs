//! Erlang port mapper: the names request.

use super::engine::{Opening, Probe, Reader, Recognised};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "epmd",
    ports: &[4369],
    tls_ports: &[],
    opening: Opening::Speak(&[0, 1, b'n']),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let mut response = Reader::new(answer);
    // The port of the port mapper itself, which is hardly ever another.
    let port = response.u32()?;
    match response.rest() {
        // No node is registered.
        [] => (port == 4_369).then(|| Recognised::protocol().tentative()),
        names => (port <= 65_535 && names.starts_with(b"name ")).then(Recognised::protocol),
    }
}

#[cfg(test)]
const SAMPLES: &[Sample] =
    &[sample(b"\0\0\x11\x11name rabbit at port 25672\n", "", "", ""), sample(b"\0\0\x11\x11", "", "", "")];
