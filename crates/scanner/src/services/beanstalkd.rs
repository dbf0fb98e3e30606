//! beanstalkd: `stats` answers with a YAML dictionary.

use super::engine::{Opening, Probe, Recognised, line, lossy, version_at};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "beanstalkd",
    ports: &[11300],
    tls_ports: &[],
    opening: Opening::Speak(b"stats\r\n"),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    let counted = line(&text).strip_prefix("OK ").is_some_and(|count| count.parse::<u32>().is_ok());
    if !counted || !text.contains("current-jobs-ready:") {
        return (line(&text) == "UNKNOWN_COMMAND").then(|| Recognised::product("beanstalkd"));
    }
    // Newer ones put the version in quotes.
    let version =
        text.split_once("\nversion: ").and_then(|(_, after)| version_at(after.trim_start_matches('"')));
    Some(Recognised::product("beanstalkd").version(version).cpe("beanstalkd_project", "beanstalkd"))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"OK 900\r\n---\ncurrent-jobs-urgent: 0\ncurrent-jobs-ready: 0\npid: 12\nversion: \"1.12\"\nrusage-utime: 0.1\n\r\n", "beanstalkd", "1.12", "cpe:2.3:a:beanstalkd_project:beanstalkd:1.12:*:*:*:*:*:*:*"),
    sample(b"UNKNOWN_COMMAND\r\n", "beanstalkd", "", ""),
];
