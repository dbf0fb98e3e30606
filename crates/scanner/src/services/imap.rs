//! IMAP (RFC 9051): the server greets with `* OK`, `* PREAUTH` or `* BYE`.

use super::engine::{Opening, Probe, Recognised, line, lossy, version_after};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "imap",
    ports: &[143],
    tls_ports: &[993],
    opening: Opening::Listen,
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    let greeting = line(&text);
    let said = greeting.strip_prefix("* ")?;
    if !["OK", "PREAUTH", "BYE"].iter().any(|status| said.split(' ').next() == Some(status)) {
        return None;
    }
    let recognised = if said.contains("Dovecot") {
        Recognised::product("Dovecot").cpe("dovecot", "dovecot")
    } else if said.contains("Cyrus IMAP") {
        Recognised::product("Cyrus IMAP")
            .version(version_after(said, "Cyrus IMAP "))
            .cpe("cyrusimap", "cyrus_imap")
    } else if said.contains("Courier-IMAP") {
        Recognised::product("Courier-IMAP")
    } else if said.contains("Microsoft Exchange") {
        Recognised::product("Microsoft Exchange imapd")
    } else {
        Recognised::protocol()
    };
    Some(recognised)
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE STARTTLS AUTH=PLAIN] Dovecot (Debian) ready.\r\n", "Dovecot", "", ""),
    sample(b"* OK [CAPABILITY IMAP4rev1] imap.example Cyrus IMAP 3.6.1-Debian-3.6.1-4 server ready\r\n", "Cyrus IMAP", "3.6.1-Debian-3.6.1-4", "cpe:2.3:a:cyrusimap:cyrus_imap:3.6.1-debian-3.6.1-4:*:*:*:*:*:*:*"),
    sample(b"* BYE Too many connections\r\n", "", "", ""),
];
