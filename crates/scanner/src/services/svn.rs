//! Subversion's own protocol: the server greets with the versions it speaks.

use super::engine::{Opening, Probe, Recognised};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "svn",
    ports: &[3690],
    tls_ports: &[],
    opening: Opening::Listen,
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    answer.starts_with(b"( success ( ").then(|| Recognised::product("Subversion"))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[sample(
    b"( success ( 2 2 ( ) ( edit-pipeline svndiff1 accepts-svndiff2 absent-entries ) ) ) ",
    "Subversion",
    "",
    "",
)];
