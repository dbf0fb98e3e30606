//! XMPP (RFC 6120, 4): a stream header, answered by one with an identifier.

use super::engine::{Asker, Opening, Probe, Recognised, lossy};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "xmpp",
    ports: &[5222, 5269],
    tls_ports: &[5223, 5270],
    opening: Opening::Compose(stream_header),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn stream_header(asker: &Asker<'_>) -> Vec<u8> {
    format!(
        "<?xml version='1.0'?><stream:stream to='{}' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>",
        asker.endpoint.host()
    )
    .into_bytes()
}

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    let (_, after) = text.split_once("<stream:stream ")?;
    let (attributes, _) = after.split_once('>')?;
    ["id=", "from="].iter().any(|attribute| attributes.contains(attribute)).then(Recognised::protocol)
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='4f2c' from='im.example' version='1.0'><stream:features>", "", "", ""),
];
