//! Redis and its kin (RESP): INFO tells the version, or that a password is wanted.

use super::engine::{Opening, Probe, Recognised, lossy, version_after};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "redis",
    ports: &[6379, 6380, 26379],
    tls_ports: &[6380],
    opening: Opening::Speak(b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

const ERRORS: [&str; 8] = [
    "-NOAUTH ",
    "-DENIED Redis",
    "-NOPERM ",
    "-ERR unknown command",
    "-ERR wrong number of arguments",
    "-LOADING ",
    "-ERR max number of clients",
    "-ERR Protocol error",
];

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    if ERRORS.iter().any(|error| text.starts_with(error)) {
        return Some(Recognised::product("Redis"));
    }
    if !text.starts_with('$') || !text.contains("redis_version:") {
        return None;
    }
    let kin = [
        ("valkey_version:", "Valkey", ("linuxfoundation", "valkey")),
        ("redis_version:", "Redis", ("redis", "redis")),
    ];
    let (marker, name, (vendor, product)) = kin.into_iter().find(|(marker, ..)| text.contains(marker))?;
    Some(Recognised::product(name).version(version_after(&text, marker)).cpe(vendor, product))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"$64\r\n# Server\r\nredis_version:7.0.15\r\nredis_git_sha1:00000000\r\nredis_mode:standalone\r\n\r\n", "Redis", "7.0.15", "cpe:2.3:a:redis:redis:7.0.15:*:*:*:*:*:*:*"),
    sample(b"$64\r\n# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n\r\n", "Valkey", "8.0.1", "cpe:2.3:a:linuxfoundation:valkey:8.0.1:*:*:*:*:*:*:*"),
    sample(b"-NOAUTH Authentication required.\r\n", "Redis", "", ""),
    sample(b"-DENIED Redis is running in protected mode because protected mode is enabled\r\n", "Redis", "", ""),
];
