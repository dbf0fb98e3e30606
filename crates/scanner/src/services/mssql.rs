//! Microsoft SQL Server (MS-TDS, 2.2.6.5): PRELOGIN, answered with the version.

use super::engine::{Opening, Probe, Reader, Recognised};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "mssql",
    ports: &[1433, 1434],
    tls_ports: &[],
    opening: Opening::Speak(PRELOGIN),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

/// The options version, encryption, instance, thread and MARS, all empty.
const PRELOGIN: &[u8] = b"\x12\x01\0\x2f\0\0\x01\0\
    \0\0\x1a\0\x06\x01\0\x20\0\x01\x02\0\x21\0\x01\x03\0\x22\0\x04\x04\0\x26\0\x01\xff\
    \0\0\0\0\0\0\x02\0\0\0\0\0\0";
const TABULAR_RESULT: u8 = 4;

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let mut packet = Reader::new(answer);
    packet.expect(&[TABULAR_RESULT, 1])?;
    let length = packet.u16()?;
    packet.take(4)?;
    let body = packet.rest();
    let mut options = packet;
    // The version is the first option, and there is at least one more.
    options.expect(&[0])?;
    let (offset, size) = (usize::from(options.u16()?), options.u16()?);
    if size != 6 || !(16..=1_024).contains(&length) || options.rest().is_empty() {
        return None;
    }
    let mut version = Reader::new(body.get(offset..)?);
    let (major, minor, build) = (version.u8()?, version.u8()?, version.u16()?);
    let version = format!("{major}.{minor}.{build}");
    Some(Recognised::product("Microsoft SQL Server").version(Some(&version)).cpe("microsoft", "sql_server"))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"\x04\x01\0\x25\0\0\x01\0\0\0\x15\0\x06\x01\0\x1b\0\x01\x02\0\x1c\0\x01\x03\0\x1d\0\0\xff\x0f\0\x07\xd0\0\0\x02\0", "Microsoft SQL Server", "15.0.2000", "cpe:2.3:a:microsoft:sql_server:15.0.2000:*:*:*:*:*:*:*"),
];
