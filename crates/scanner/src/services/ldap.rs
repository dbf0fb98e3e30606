//! LDAP (RFC 4511 and 4512, 5.1): an anonymous search of the root DSE, which tells what the server is.

use memchr::memmem;

use super::engine::{Opening, Probe, Reader, Recognised, lossy, version_at};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "ldap",
    ports: &[389, 3268, 10389],
    tls_ports: &[636, 3269],
    opening: Opening::Speak(ROOT_DSE),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

/// Message 1: a base search of the empty name for `vendorName`, `vendorVersion`, `objectClass` and `supportedLDAPVersion`.
const ROOT_DSE: &[u8] = b"\x30\x63\x02\x01\x01\x63\x5e\x04\0\x0a\x01\0\x0a\x01\0\x02\x01\0\x02\x01\x05\x01\x01\0\
    \x87\x0bobjectClass\x30\x3e\x04\x0avendorName\x04\x0dvendorVersion\x04\x0bobjectClass\x04\x14supportedLDAPVersion";
const SEARCH_RESULT_ENTRY: u8 = 0x64;
const SEARCH_RESULT_DONE: u8 = 0x65;
const EXTENDED_RESPONSE: u8 = 0x78;

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let mut message = Reader::new(answer);
    message.expect(&[0x30])?;
    length(&mut message)?;
    message.expect(&[2, 1])?;
    // The answer to message 1, or a notice of disconnection, which has number 0.
    let number = message.u8()?;
    let operation = message.u8()?;
    let answers =
        matches!((number, operation), (1, SEARCH_RESULT_ENTRY | SEARCH_RESULT_DONE) | (0, EXTENDED_RESPONSE));
    if !answers {
        return None;
    }
    if memmem::find(answer, b"OpenLDAProotDSE").is_some() {
        return Some(Recognised::product("OpenLDAP"));
    }
    let vendor = attribute(answer, b"vendorName").unwrap_or_default();
    let version = attribute(answer, b"vendorVersion").unwrap_or_default();
    Some(match version.split_once('/') {
        Some(("389-Directory", version)) => Recognised::product("389 Directory Server")
            .version(version_at(version))
            .cpe("redhat", "389_directory_server"),
        _ => Recognised::product(&vendor).version(version_at(&version)),
    })
}

/// Definite lengths of BER (X.690, 8.1.3).
fn length(reader: &mut Reader<'_>) -> Option<usize> {
    match reader.u8()? {
        short @ 0..=0x7f => Some(usize::from(short)),
        long @ (0x81..=0x84) => reader
            .take(usize::from(long & 0x7f))?
            .iter()
            .try_fold(0, |sum: usize, octet| Some(sum << 8 | usize::from(*octet))),
        _ => None,
    }
}

/// The first value of an attribute: a set of octet strings.
fn attribute(answer: &[u8], name: &[u8]) -> Option<String> {
    let start = memmem::find(answer, name)? + name.len();
    let mut value = Reader::new(&answer[start..]);
    value.expect(&[0x31])?;
    length(&mut value)?;
    value.expect(&[4])?;
    let length = length(&mut value)?;
    Some(lossy(value.take(length)?).into_owned())
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"\x30\x2b\x02\x01\x01\x64\x26\x04\0\x30\x22\x30\x20\x04\x0bobjectClass\x31\x11\x04\x03top\x04\x0fOpenLDAProotDSE", "OpenLDAP", "", ""),
    sample(b"\x30\x84\0\0\0\x55\x02\x01\x01\x64\x84\0\0\0\x4c\x04\0\x04\x0avendorName\x31\x0d\x04\x0b389 Project\x04\x0dvendorVersion\x31\x1d\x04\x1b389-Directory/2.3.1 B2023.01", "389 Directory Server", "2.3.1", "cpe:2.3:a:redhat:389_directory_server:2.3.1:*:*:*:*:*:*:*"),
    sample(b"\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x01\x04\0\x04\0", "", "", ""),
];
