//! MySQL and MariaDB: the server speaks first, with the version 10 handshake or with an error.

use super::engine::{Opening, Probe, Reader, Recognised, lossy, version_at};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "mysql",
    ports: &[3306, 3307, 33060],
    tls_ports: &[],
    opening: Opening::Listen,
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

/// MariaDB from 10 on puts this before its own version, so that old replicas accept it.
const REPLICATION_PREFIX: &str = "5.5.5-";

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let mut packet = Reader::new(answer);
    let length = u32::from_le_bytes([packet.u8()?, packet.u8()?, packet.u8()?, 0]);
    if packet.u8()? != 0 || !(8..=1_024).contains(&length) {
        return None;
    }
    match packet.u8()? {
        10 => {
            let version = packet.until_zero()?;
            // Connection id, then the first part of the challenge and a zero.
            packet.take(4 + 8)?;
            packet.expect(&[0])?;
            Some(server(&lossy(version)))
        }
        // The client's host is not allowed, or blocked: ER_HOST_NOT_PRIVILEGED, ER_HOST_IS_BLOCKED, ER_CON_COUNT_ERROR.
        0xff => {
            let code = packet.u16_little()?;
            let text = lossy(packet.rest());
            let known = matches!(code, 1_040 | 1_129 | 1_130 | 1_203);
            known.then(|| Recognised::product(if text.contains("MariaDB") { "MariaDB" } else { "" }))
        }
        _ => None,
    }
}

fn server(version: &str) -> Recognised {
    let own = version.strip_prefix(REPLICATION_PREFIX).unwrap_or(version);
    match own.find("-MariaDB") {
        Some(end) => {
            Recognised::product("MariaDB").version(version_at(&own[..end])).cpe("mariadb", "mariadb")
        }
        None => Recognised::product("MySQL").version(version_at(own).map(upstream)).cpe("oracle", "mysql"),
    }
}

/// Without what a distribution appended.
fn upstream(version: &str) -> &str {
    version.split(['-', '+']).next().unwrap_or(version)
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"\x4a\0\0\0\x0a8.0.36-0ubuntu0.22.04.1\0\x08\0\0\0abcdefgh\0\xff\xff\xff\x02\0\xff\xdf\x15\0\0\0\0\0\0\0\0\0\0abcdefghijkl\0", "MySQL", "8.0.36", "cpe:2.3:a:oracle:mysql:8.0.36:*:*:*:*:*:*:*"),
    sample(b"\x5a\0\0\0\x0a5.5.5-10.11.6-MariaDB-0+deb12u1\0\x1f\0\0\0abcdefgh\0\xfe\xf7\x2d", "MariaDB", "10.11.6", "cpe:2.3:a:mariadb:mariadb:10.11.6:*:*:*:*:*:*:*"),
    sample(b"\x45\0\0\0\xff\x6a\x04Host '10.0.0.1' is not allowed to connect to this MariaDB server", "MariaDB", "", ""),
];
