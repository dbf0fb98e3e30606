//! SIP over TCP (RFC 3261, 11): OPTIONS.

use super::engine::{Asker, Opening, Probe, Recognised, lossy, version_after, version_at};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "sip",
    ports: &[5060],
    tls_ports: &[5061],
    opening: Opening::Compose(options),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn options(asker: &Asker<'_>) -> Vec<u8> {
    let host = asker.endpoint.host();
    format!(
        "OPTIONS sip:{host} SIP/2.0\r\nVia: SIP/2.0/TCP scanner.invalid;branch=z9hG4bKrampart\r\nMax-Forwards: 1\r\n\
         From: <sip:scanner@scanner.invalid>;tag=rampart\r\nTo: <sip:{host}>\r\nCall-ID: rampart@scanner.invalid\r\n\
         CSeq: 1 OPTIONS\r\nUser-Agent: {}\r\nContent-Length: 0\r\n\r\n",
        asker.identity.user_agent
    )
    .into_bytes()
}

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    if !text.starts_with("SIP/2.0 ") {
        return None;
    }
    let software = text
        .lines()
        .find_map(|line| line.strip_prefix("Server: ").or_else(|| line.strip_prefix("User-Agent: ")));
    let software = software.unwrap_or_default();
    let asterisk = ["Asterisk PBX ", "FPBX-"].iter().find_map(|marker| version_after(software, marker));
    Some(match asterisk {
        Some(version) if software.starts_with("Asterisk") => {
            Recognised::product("Asterisk").version(Some(version)).cpe("digium", "asterisk")
        }
        _ => Recognised::product(software.split(['/', '(']).next().unwrap_or_default())
            .version(software.split_once('/').and_then(|(_, version)| version_at(version))),
    })
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP scanner.invalid\r\nServer: Asterisk PBX 18.10.0\r\nContent-Length: 0\r\n\r\n", "Asterisk", "18.10.0", "cpe:2.3:a:digium:asterisk:18.10.0:*:*:*:*:*:*:*"),
    sample(b"SIP/2.0 404 Not Found\r\nServer: kamailio (5.6.3 (x86_64/linux))\r\n\r\n", "kamailio", "", ""),
];
