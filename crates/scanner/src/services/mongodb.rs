//! MongoDB (OP_MSG): `hello` and `buildInfo`, which need no authentication.

use memchr::memmem;

use super::engine::{Opening, Probe, Reader, Recognised, lossy, version_at};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "mongodb",
    ports: &[27017, 27018, 27019],
    tls_ports: &[27017],
    opening: Opening::Speak(HELLO_AND_BUILD_INFO),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

/// Two messages with the request numbers `ram1` and `ram2`: `{hello: 1, $db: "admin"}` and `{buildInfo: 1, $db: "admin"}`.
const HELLO_AND_BUILD_INFO: &[u8] = b"\x34\0\0\0ram1\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\
    \x1f\0\0\0\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0\
    \x38\0\0\0ram2\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\
    \x23\0\0\0\x10buildInfo\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0";
const OP_REPLY: u32 = 1;
const OP_MSG: u32 = 2013;

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let recognised = Recognised::product("MongoDB").cpe("mongodb", "mongodb");
    if answer.starts_with(b"HTTP/1.0 200")
        && memmem::find(answer, b"trying to access MongoDB over HTTP").is_some()
    {
        return Some(recognised);
    }
    let mut message = Reader::new(answer);
    let length = message.u32_little()?;
    message.take(4)?;
    let replies_to = message.take(4)?;
    if length < 16
        || !matches!(replies_to, b"ram1" | b"ram2")
        || !matches!(message.u32_little()?, OP_REPLY | OP_MSG)
    {
        return None;
    }
    Some(recognised.version(version(answer).as_deref()))
}

/// The string element named `version` of the second reply.
fn version(answer: &[u8]) -> Option<String> {
    const ELEMENT: &[u8] = b"\x02version\0";
    let start = memmem::find(answer, ELEMENT)? + ELEMENT.len();
    let mut element = Reader::new(&answer[start..]);
    element.u32_little()?;
    version_at(&lossy(element.until_zero()?)).map(str::to_owned)
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"\x2f\0\0\0\x01\0\0\0ram1\xdd\x07\0\0\0\0\0\0\0\x1a\0\0\0\x08isWritablePrimary\0\x01\0\x38\0\0\0\x02\0\0\0ram2\xdd\x07\0\0\0\0\0\0\0\x23\0\0\0\x02version\0\x07\0\0\x006.0.14\0\0", "MongoDB", "6.0.14", "cpe:2.3:a:mongodb:mongodb:6.0.14:*:*:*:*:*:*:*"),
    sample(b"HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 85\r\n\r\nIt looks like you are trying to access MongoDB over HTTP on the native driver port.\r\n", "MongoDB", "", ""),
];
