//! SMB 2 and 3 (MS-SMB2, 2.2.3): NEGOTIATE, which comes before any authentication.

use super::engine::{Opening, Probe, Reader, Recognised};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "smb",
    ports: &[445, 139],
    tls_ports: &[],
    opening: Opening::Speak(NEGOTIATE),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

/// A header, then the dialects 2.0.2, 2.1, 3.0 and 3.0.2.
const NEGOTIATE: &[u8] = b"\0\0\0\x6c\
    \xfeSMB\x40\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \x24\0\x04\0\x01\0\0\0\0\0\0\0rampart scanner!\0\0\0\0\0\0\0\0\
    \x02\x02\x10\x02\0\x03\x02\x03";
const COMMAND_NEGOTIATE: u16 = 0;
const FROM_SERVER: u32 = 1;

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let mut packet = Reader::new(answer);
    packet.expect(&[0])?;
    packet.take(3)?;
    if packet.rest().starts_with(b"\xffSMB\x72") {
        // An answer in SMB 1: its flags have the reply bit.
        return (packet.rest().get(9)? & 0x80 != 0).then(Recognised::protocol);
    }
    packet.expect(b"\xfeSMB\x40\0")?;
    packet.take(6)?;
    let command = packet.u16_little()?;
    packet.take(2)?;
    let flags = packet.u32_little()?;
    (command == COMMAND_NEGOTIATE && flags & FROM_SERVER != 0).then(Recognised::protocol)
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"\0\0\0\xe0\xfeSMB\x40\0\0\0\0\0\0\0\0\0\x01\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x41\0\x01\0\x02\x03\0\0", "", "", ""),
    sample(b"\0\0\0\x29\xffSMB\x72\0\0\0\0\x88\x01\x40\0\0", "", "", ""),
];
