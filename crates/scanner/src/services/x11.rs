//! X11 (X Window System Protocol, connection setup): protocol 11.0 without authorisation data.

use super::engine::{Opening, Probe, Reader, Recognised, lossy};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "x11",
    ports: &[6000, 6001, 6002],
    tls_ports: &[],
    opening: Opening::Speak(b"l\0\x0b\0\0\0\0\0\0\0\0\0"),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

const REFUSED: u8 = 0;
const ACCEPTED: u8 = 1;
const AUTHENTICATE: u8 = 2;

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let mut setup = Reader::new(answer);
    let outcome = setup.u8()?;
    setup.u8()?;
    let (major, minor, words) = (setup.u16_little()?, setup.u16_little()?, setup.u16_little()?);
    // What follows comes in words of four bytes; a refusal is short and complete.
    let complete = setup.rest().len() == 4 * usize::from(words);
    match (major, minor, outcome) {
        (11, 0, REFUSED | AUTHENTICATE) => complete.then(Recognised::protocol),
        (11, 0, ACCEPTED) => {
            setup.take(16)?;
            let length = setup.u16_little()?;
            setup.take(14)?;
            let vendor = setup.take(usize::from(length))?;
            Some(Recognised::product(&lossy(vendor)))
        }
        _ => None,
    }
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"\0\x16\x0b\0\0\0\x06\0No protocol specified\n\0\0", "", "", ""),
    sample(b"\x01\0\x0b\0\0\0\x0e\0\x4c\xa6\xb8\0\0\0\x20\0\xff\xff\x1f\0\0\x01\0\0\x14\0\xff\xff\x01\x07\0\0\x20\x20\x08\xff\0\0\0\0The X.Org Foundation", "The X.Org Foundation", "", ""),
];
