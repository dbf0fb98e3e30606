//! AMQP 0-9-1 and 1.0: the protocol header; a broker answers with Connection.Start, or with the header it prefers.

use memchr::memmem;

use super::engine::{Opening, Probe, Reader, Recognised, lossy, version_at};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "amqp",
    ports: &[5672],
    tls_ports: &[5671],
    opening: Opening::Speak(b"AMQP\0\0\x09\x01"),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    if let [b'A', b'M', b'Q', b'P', 0..=3, 0 | 1, 0 | 9, 0 | 1] = answer {
        return Some(Recognised::protocol());
    }
    let mut frame = Reader::new(answer);
    // A method frame on channel 0.
    frame.expect(&[1, 0, 0])?;
    frame.u32()?;
    // Class connection, method start.
    frame.expect(&[0, 10, 0, 10])?;
    let property = |name: &[u8]| {
        let start = memmem::find(answer, name)? + name.len();
        let mut value = Reader::new(&answer[start..]);
        let length = value.u32()?;
        Some(lossy(value.take(length as usize)?).into_owned())
    };
    let product = property(b"\x07productS").unwrap_or_default();
    let version = property(b"\x07versionS");
    let recognised = Recognised::product(&product).version(version.as_deref().and_then(version_at));
    Some(if product == "RabbitMQ" { recognised.cpe("vmware", "rabbitmq") } else { recognised })
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"\x01\0\0\0\0\x01\xf0\0\x0a\0\x0a\0\x09\0\0\x01\xcb\x07productS\0\0\0\x08RabbitMQ\x07versionS\0\0\0\x063.10.8\x08platformS\0\0\0\x0fErlang/OTP 25.2", "RabbitMQ", "3.10.8", "cpe:2.3:a:vmware:rabbitmq:3.10.8:*:*:*:*:*:*:*"),
    sample(b"AMQP\x03\x01\0\0", "", "", ""),
    sample(b"AMQP\0\x01\0\0", "", "", ""),
];
