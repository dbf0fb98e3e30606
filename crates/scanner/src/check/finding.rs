//! From a match to a finding.

use std::net::IpAddr;

use checks::{Match, Template, run::MatchLocation};
use model::{Finding, Fingerprint, Location};

/// How to write the command that shows a finding again.
#[derive(Debug, Clone, Default)]
pub struct Reproduce {
    /// The demo estate was scanned: the command starts it again.
    pub demo: bool,
    /// `--scope FILE`, `--checks PATH` and the like, shell-quoted, as they were given.
    pub options: Vec<String>,
}

impl Reproduce {
    /// One command line.
    pub fn command(&self, target: &str, check: &str) -> String {
        let mut words = vec!["rampart scan".to_owned()];
        if self.demo {
            words.push("--demo".to_owned());
        } else {
            words.push(shell_quoted(target));
            words.extend(self.options.iter().cloned());
        }
        words.push(format!("--only {}", shell_quoted(check)));
        words.join(" ")
    }
}

/// Quotes for a POSIX shell where needed: targets and ids may come from strangers.
pub fn shell_quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// `place` is where the unit is; a match on a web page knows better.
pub(super) fn from_match(
    template: &Template,
    found: Match,
    place: &Location,
    address: Option<IpAddr>,
    reproduce: &Reproduce,
) -> Finding {
    let location = match (place, found.location) {
        (Location::Url(_), MatchLocation::Url(url)) => Location::Url(url),
        (place, _) => place.clone(),
    };
    let fingerprint = Fingerprint::of(&template.id, found.matcher.as_deref(), &stable(&location));
    let info = &template.info;
    Finding {
        fingerprint,
        check: template.id.clone(),
        name: info.name.clone(),
        severity: info.severity,
        confidence: info.confidence,
        reproduce: reproduce.command(&place.to_string(), template.id.as_str()),
        location,
        addresses: address.into_iter().collect(),
        matcher: found.matcher,
        extracted: found.extracted,
        evidence: found.evidence,
        description: info.description.clone(),
        impact: info.impact.clone(),
        remediation: info.remediation.clone(),
        references: info.references.clone(),
        classification: info.classification.clone(),
        tags: info.tags.clone(),
        found_at: jiff::Timestamp::now(),
    }
}

/// What the fingerprint goes by: without query and fragment, which may hold random values of the template.
fn stable(location: &Location) -> Location {
    match location {
        Location::Url(url) => {
            let mut url = url.clone();
            url.set_query(None);
            url.set_fragment(None);
            Location::Url(url)
        }
        other => other.clone(),
    }
}
