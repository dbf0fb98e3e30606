//! IRC (RFC 2812): notices on connecting; before registration VERSION is answered with numeric 451.

use super::engine::{Opening, Probe, Recognised, lossy};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "irc",
    ports: &[6667, 6660, 6665, 6666, 6668, 6669, 7000],
    tls_ports: &[6697],
    opening: Opening::ListenThen(b"VERSION\r\n"),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    let is_irc = |line: &str| {
        let mut words = line.split(' ');
        let first = words.next().unwrap_or_default();
        // The name of the server may be left out in the first notices.
        let command = if first.starts_with(':') { words.next().unwrap_or_default() } else { first };
        let to = words.next().unwrap_or_default();
        match command {
            "NOTICE" => matches!(to, "*" | "AUTH" | "Auth"),
            "451" => to == "*" || to == "VERSION",
            _ => {
                line.starts_with("ERROR :Closing Link: ")
                    || line.starts_with("ERROR :Trying to reconnect too fast")
            }
        }
    };
    text.lines().take(8).any(is_irc).then(Recognised::protocol)
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b":irc.example NOTICE * :*** Looking up your hostname...\r\n:irc.example NOTICE * :*** Checking Ident\r\n", "", "", ""),
    sample(b"NOTICE AUTH :*** Processing connection to irc.example\r\n", "", "", ""),
    sample(b":irc.example 451 * :You have not registered\r\n", "", "", ""),
    sample(b"ERROR :Closing Link: 127.0.0.1 (Connection timed out)\r\n", "", "", ""),
];
