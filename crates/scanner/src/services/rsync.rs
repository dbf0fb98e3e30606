//! rsync daemon: the server greets with its protocol version.

use super::engine::{Opening, Probe, Recognised, line, lossy, version_at};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "rsync",
    ports: &[873],
    tls_ports: &[],
    opening: Opening::Listen,
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    let protocol = line(&text).strip_prefix("@RSYNCD: ")?;
    // The number is the protocol's, not the program's.
    version_at(protocol).map(|_| Recognised::product("rsync"))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"@RSYNCD: 31.0\n", "rsync", "", ""),
    sample(b"@RSYNCD: 31.0 sha512 sha256 sha1 md5 md4\n", "rsync", "", ""),
];
