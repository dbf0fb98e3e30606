//! POP3 (RFC 1939): the server greets with `+OK` and some text.

use super::engine::{Opening, Probe, Recognised, line, lossy};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "pop3",
    ports: &[110],
    tls_ports: &[995],
    opening: Opening::Listen,
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    let greeting = line(&text).strip_prefix("+OK ")?;
    let known = ["Dovecot", "Cyrus POP3", "Courier", "Microsoft Exchange"];
    let product = known.iter().find(|product| greeting.contains(*product));
    Some(Recognised::product(product.unwrap_or(&"")))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"+OK Dovecot (Debian) ready.\r\n", "Dovecot", "", ""),
    sample(b"+OK POP3 server ready <1896.697170952@mail.example>\r\n", "", "", ""),
];
