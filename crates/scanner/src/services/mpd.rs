//! Music Player Daemon: the server greets with its protocol version.

use super::engine::{Opening, Probe, Recognised, line, lossy, version_at};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "mpd",
    ports: &[6600],
    tls_ports: &[],
    opening: Opening::Listen,
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    let version = line(&text).strip_prefix("OK MPD ")?;
    Some(Recognised::product("MPD").version(version_at(version)).cpe("musicpd", "music_player_daemon"))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[sample(
    b"OK MPD 0.23.5\n",
    "MPD",
    "0.23.5",
    "cpe:2.3:a:musicpd:music_player_daemon:0.23.5:*:*:*:*:*:*:*",
)];
