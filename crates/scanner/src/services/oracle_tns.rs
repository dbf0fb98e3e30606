//! Oracle's listener (TNS): asked for its version, it answers or refuses with its version number.

use super::engine::{Opening, Probe, Reader, Recognised, lossy};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "oracle-tns",
    ports: &[1521, 1522, 1526],
    tls_ports: &[2484],
    opening: Opening::Speak(CONNECT),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

/// A CONNECT packet whose data asks the listener for nothing but its version.
const CONNECT: &[u8] =
    b"\0\x5a\0\0\x01\0\0\0\x01\x36\x01\x2c\0\0\x08\0\x7f\xff\x7f\x08\0\0\0\x01\0\x20\0\x3a\0\0\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0(CONNECT_DATA=(COMMAND=version))";

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let mut packet = Reader::new(answer);
    let length = packet.u16()?;
    packet.expect(&[0, 0])?;
    // Accept, refuse, redirect, resend; then a reserved byte and a checksum that nobody fills in.
    let kind = packet.u8()?;
    packet.u8()?;
    packet.expect(&[0, 0])?;
    if !matches!(kind, 2 | 4 | 5 | 11) || usize::from(length) > answer.len() || length < 8 {
        return None;
    }
    let text = lossy(packet.rest());
    let number =
        text.split_once("(VSNNUM=").and_then(|(_, after)| after.split(')').next()?.parse::<u32>().ok());
    let version = number.map(|number| {
        let part = |shift: u32, mask: u32| number >> shift & mask;
        format!("{}.{}.{}.{}.{}", part(24, 0xff), part(20, 0xf), part(12, 0xff), part(8, 0xf), part(0, 0xff))
    });
    Some(
        Recognised::product("Oracle TNS listener")
            .version(version.as_deref())
            .cpe("oracle", "database_server"),
    )
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(
        b"\0\x3e\0\0\x04\0\0\0\x22\0\0\x32(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR=1189)(X=))",
        "Oracle TNS listener",
        "19.0.0.0.0",
        "cpe:2.3:a:oracle:database_server:19.0.0.0.0:*:*:*:*:*:*:*",
    ),
    sample(b"\0\x08\0\0\x0b\0\0\0", "Oracle TNS listener", "", ""),
];
