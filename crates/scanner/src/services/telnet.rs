//! Telnet (RFC 854): option negotiation, or a login prompt.

use super::engine::{Opening, Probe, Recognised, lossy};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "telnet",
    ports: &[23, 2323],
    tls_ports: &[992],
    opening: Opening::Listen,
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

/// Interpret as command, and the four verbs of negotiation.
const IAC: u8 = 255;
const VERBS: std::ops::RangeInclusive<u8> = 251..=254;

fn recognise(answer: &[u8]) -> Option<Recognised> {
    if let [IAC, verb, _, ..] = answer {
        return VERBS.contains(verb).then(Recognised::protocol);
    }
    let text = lossy(answer);
    let prompt = text.trim_end().to_ascii_lowercase();
    (prompt.ends_with("login:") || prompt.ends_with("username:")).then(Recognised::protocol)
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"\xff\xfd\x18\xff\xfd\x20\xff\xfd\x23\xff\xfd\x27", "", "", ""),
    sample(b"\r\nWelcome to the router\r\nlogin: ", "", "", ""),
];
