//! ClamAV daemon: `VERSION`.

use super::engine::{Opening, Probe, Recognised, line, lossy, version_at};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "clamd",
    ports: &[3310],
    tls_ports: &[],
    opening: Opening::Speak(b"nVERSION\n"),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    let version = line(&text).strip_prefix("ClamAV ")?;
    Some(Recognised::product("ClamAV").version(version_at(version)).cpe("clamav", "clamav"))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[sample(
    b"ClamAV 1.0.5/27294/Mon Jun  3 08:29:27 2024\n",
    "ClamAV",
    "1.0.5",
    "cpe:2.3:a:clamav:clamav:1.0.5:*:*:*:*:*:*:*",
)];
