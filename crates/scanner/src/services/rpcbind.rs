//! ONC RPC port mapper (RFC 1833): the null procedure of program 100000.

use super::engine::{Opening, Probe, Reader, Recognised};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "rpcbind",
    ports: &[111],
    tls_ports: &[],
    opening: Opening::Speak(NULL_CALL),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

/// One fragment: call `ramp`, RPC version 2, program 100000, version 2, procedure 0, no credentials.
const NULL_CALL: &[u8] =
    b"\x80\0\0\x28ramp\0\0\0\0\0\0\0\x02\0\x01\x86\xa0\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let mut record = Reader::new(answer);
    let fragment = record.u32()?;
    record.expect(b"ramp\0\0\0\x01")?;
    (fragment & 0x8000_0000 != 0).then(Recognised::protocol)
}

#[cfg(test)]
const SAMPLES: &[Sample] =
    &[sample(b"\x80\0\0\x18ramp\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "", "", "")];
