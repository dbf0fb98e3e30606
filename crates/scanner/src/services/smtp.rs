//! SMTP (RFC 5321): the server greets with 220; EHLO tells the extensions.

use super::engine::{Opening, Probe, Recognised, line, lossy, version_after};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "smtp",
    ports: &[25, 587, 2525],
    tls_ports: &[465],
    opening: Opening::ListenThen(b"EHLO scanner.invalid\r\n"),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    let greeting = line(&text);
    let upper = greeting.to_ascii_uppercase();
    let extensions = || {
        let words = ["SIZE", "PIPELINING", "8BITMIME", "STARTTLS", "AUTH"];
        text.lines()
            .filter_map(|line| line.get(4..).filter(|_| line.starts_with("250")))
            .any(|line| words.iter().any(|word| line.starts_with(word)))
    };
    let greets =
        matches!(greeting.get(..4), Some("220 " | "220-")) && (upper.contains("SMTP") || extensions());
    let refuses = matches!(greeting.get(..3), Some("421" | "554")) && upper.contains("SMTP");
    if !greets && !refuses {
        return None;
    }
    let recognised = if greeting.contains("Postfix") {
        Recognised::product("Postfix").version(version_after(greeting, "Postfix ")).cpe("postfix", "postfix")
    } else if greeting.contains("Exim ") {
        Recognised::product("Exim").version(version_after(greeting, "Exim ")).cpe("exim", "exim")
    } else if greeting.contains("Sendmail ") {
        Recognised::product("Sendmail")
            .version(version_after(greeting, "Sendmail "))
            .cpe("proofpoint", "sendmail")
    } else if greeting.contains("Dovecot") {
        Recognised::product("Dovecot").cpe("dovecot", "dovecot")
    } else if greeting.contains("OpenSMTPD") {
        Recognised::product("OpenSMTPD")
            .version(version_after(greeting, "OpenSMTPD "))
            .cpe("openbsd", "opensmtpd")
    } else if greeting.contains("Microsoft ESMTP MAIL Service") {
        Recognised::product("Microsoft Exchange smtpd").version(version_after(greeting, "Version: "))
    } else if greeting.contains("MailHog") {
        Recognised::product("MailHog")
    } else {
        Recognised::protocol()
    };
    Some(recognised)
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(
        b"220 mail.example Dovecot (Debian) ready.\r\n250-mail.example\r\n250-8BITMIME\r\n250 PIPELINING\r\n",
        "Dovecot",
        "",
        "",
    ),
    sample(b"220 mail.example ESMTP Postfix (Debian/GNU)\r\n", "Postfix", "", ""),
    sample(
        b"220 mail.example ESMTP Postfix 3.7.11\r\n",
        "Postfix",
        "3.7.11",
        "cpe:2.3:a:postfix:postfix:3.7.11:*:*:*:*:*:*:*",
    ),
    sample(
        b"220 mx.example ESMTP Exim 4.96 Mon, 03 Jun 2024 10:00:00 +0000\r\n",
        "Exim",
        "4.96",
        "cpe:2.3:a:exim:exim:4.96:*:*:*:*:*:*:*",
    ),
    sample(
        b"220 relay.example ESMTP Sendmail 8.17.1/8.17.1; Mon, 3 Jun 2024\r\n",
        "Sendmail",
        "8.17.1",
        "cpe:2.3:a:proofpoint:sendmail:8.17.1:*:*:*:*:*:*:*",
    ),
    sample(
        b"220 relay.example ready\r\n250-relay.example\r\n250-PIPELINING\r\n250 SIZE 1000\r\n",
        "",
        "",
        "",
    ),
    sample(b"554 mx.example SMTP connections are not accepted from you\r\n", "", "", ""),
];
