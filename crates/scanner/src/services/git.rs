//! git daemon: a request for the root, which is hardly ever exported, is refused in a packet line.

use super::engine::{Opening, Probe, Recognised};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "git",
    ports: &[9418],
    tls_ports: &[],
    opening: Opening::Speak(b"0025git-upload-pack /\0host=localhost\0"),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let (length, text) = answer.split_at_checked(4)?;
    let length = u16::from_str_radix(std::str::from_utf8(length).ok()?, 16).ok()?;
    let refused = text.starts_with(b"ERR ");
    // An exported root is answered with its references: object names in hexadecimal.
    let references = text.get(..40).is_some_and(|name| name.iter().all(u8::is_ascii_hexdigit))
        && text.get(40) == Some(&b' ');
    (length > 4 && (refused || references)).then(|| Recognised::product("git"))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"0028ERR access denied or repository not exported: /", "git", "", ""),
    sample(b"003b1234567890123456789012345678901234567890 HEAD\0multi_ack\n", "git", "", ""),
];
