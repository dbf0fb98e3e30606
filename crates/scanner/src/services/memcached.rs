//! Memcached (text protocol): `version`.

use super::engine::{Opening, Probe, Recognised, line, lossy, version_at};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "memcached",
    ports: &[11211],
    tls_ports: &[],
    opening: Opening::Speak(b"version\r\n"),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    match line(&text).strip_prefix("VERSION ") {
        Some(version) => {
            Some(Recognised::product("memcached").version(version_at(version)).cpe("memcached", "memcached"))
        }
        // With accounts (`-Y`) it tells nothing to those who have none.
        None if text.starts_with("CLIENT_ERROR unauthenticated") => Some(Recognised::product("memcached")),
        // What it says to whatever it does not know; many others could.
        None => text.starts_with("ERROR\r\n").then(|| Recognised::product("memcached").tentative()),
    }
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(
        b"VERSION 1.6.18\r\n",
        "memcached",
        "1.6.18",
        "cpe:2.3:a:memcached:memcached:1.6.18:*:*:*:*:*:*:*",
    ),
    sample(b"ERROR\r\n", "memcached", "", ""),
    sample(b"CLIENT_ERROR unauthenticated\r\n", "memcached", "", ""),
];
