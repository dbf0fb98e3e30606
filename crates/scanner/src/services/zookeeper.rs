//! Apache ZooKeeper: the four letter word `srvr`.

use super::engine::{Opening, Probe, Recognised, lossy, version_at};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "zookeeper",
    ports: &[2181],
    tls_ports: &[],
    opening: Opening::Speak(b"srvr"),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    if text.starts_with("srvr is not executed because it is not in the whitelist") {
        return Some(Recognised::product("ZooKeeper"));
    }
    let version = text.strip_prefix("Zookeeper version: ")?;
    let version = version_at(version).and_then(|version| version.split('-').next());
    Some(Recognised::product("ZooKeeper").version(version).cpe("apache", "zookeeper"))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"Zookeeper version: 3.8.0-5a02a05eddb59aee6ac762f7ea82e92a68eb9c0f, built on 2022-02-25\nLatency min/avg/max: 0/0.0/0\n", "ZooKeeper", "3.8.0", "cpe:2.3:a:apache:zookeeper:3.8.0:*:*:*:*:*:*:*"),
    sample(b"srvr is not executed because it is not in the whitelist.\n", "ZooKeeper", "", ""),
];
