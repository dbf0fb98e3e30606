//! One pass over the findings: what an overview needs, in memory that does not grow with their number.

use std::collections::{BTreeMap, HashMap};

use model::{CheckId, Confidence, Finding, Location, Severity};

use crate::{Source, SourceError, visible::beginning, words::first_sentence};

/// Hosts counted one by one. Findings come most severe first, so the hosts that matter are among them.
const HOSTS: usize = 20_000;
/// Checks kept one by one. Whoever writes more templates than that sees the most severe ones.
const GROUPS: usize = 20_000;
/// Characters kept of a text for the overview.
const LINE: usize = 400;

/// Findings of one check that stand next to one another in the order of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) severity: Severity,
    pub(crate) confidence: Confidence,
    pub(crate) check: CheckId,
    pub(crate) name: String,
    /// How many findings.
    pub(crate) places: u64,
    /// The first of them.
    pub(crate) first_place: String,
    /// One sentence on how to mend it; empty when the check does not say.
    pub(crate) remedy: String,
}

impl Group {
    /// Does the finding belong to it?
    pub(crate) fn holds(&self, finding: &Finding) -> bool {
        self.severity == finding.severity
            && self.confidence == finding.confidence
            && self.check == finding.check
    }
}

/// Findings of one host by severity, in the order of [`Severity::DESCENDING`].
pub(crate) type Row = [u64; Severity::DESCENDING.len()];

/// What an overview needs of all findings.
#[derive(Debug, Default)]
pub(crate) struct Digest {
    /// In report order.
    pub(crate) groups: Vec<Group>,
    /// Findings in all.
    pub(crate) findings: u64,
    /// By severity.
    pub(crate) severities: BTreeMap<Severity, u64>,
    /// Hosts with findings, worst first.
    pub(crate) hosts: Vec<(String, Row)>,
    /// Findings on hosts beyond the ones listed.
    pub(crate) elsewhere: u64,
}

impl Digest {
    /// Reads all findings once.
    pub(crate) fn of(source: &Source<'_>) -> Result<Digest, SourceError> {
        let mut digest = Digest::default();
        let mut hosts: HashMap<String, Row> = HashMap::new();
        for finding in (source.findings)()? {
            digest.add(&finding?, &mut hosts);
        }
        digest.hosts = hosts.into_iter().collect();
        digest.hosts.sort_unstable_by(|(a_host, a), (b_host, b)| b.cmp(a).then_with(|| a_host.cmp(b_host)));
        Ok(digest)
    }

    fn add(&mut self, finding: &Finding, hosts: &mut HashMap<String, Row>) {
        self.findings += 1;
        *self.severities.entry(finding.severity).or_default() += 1;
        if let Some(group) = self.groups.last_mut().filter(|group| group.holds(finding)) {
            group.places += 1;
        } else if self.groups.len() < GROUPS {
            self.groups.push(Group {
                severity: finding.severity,
                confidence: finding.confidence,
                check: finding.check.clone(),
                name: beginning(&finding.name, LINE).0.to_owned(),
                places: 1,
                first_place: beginning(&finding.location.to_string(), LINE).0.to_owned(),
                remedy: beginning(first_sentence(&finding.remediation), LINE).0.to_owned(),
            });
        }
        let host = host_of(&finding.location);
        let column = Severity::DESCENDING
            .into_iter()
            .position(|severity| severity == finding.severity)
            .expect("the list has every severity");
        if let Some(row) = hosts.get_mut(&host) {
            row[column] += 1;
        } else if hosts.len() < HOSTS {
            let mut row = Row::default();
            row[column] = 1;
            hosts.insert(host, row);
        } else {
            self.elsewhere += 1;
        }
    }

    /// Findings of one severity.
    pub(crate) fn count(&self, severity: Severity) -> u64 {
        self.severities.get(&severity).copied().unwrap_or_default()
    }

    /// Different problems of the given severities: a check counts once, wherever it matched and however sure it was.
    pub(crate) fn problems(&self, severities: &[Severity]) -> u64 {
        let checks: std::collections::BTreeSet<_> = self
            .groups
            .iter()
            .filter(|group| severities.contains(&group.severity))
            .map(|group| &group.check)
            .collect();
        checks.len() as u64
    }

    /// Findings of the given severities.
    pub(crate) fn places(&self, severities: &[Severity]) -> u64 {
        severities.iter().map(|severity| self.count(*severity)).sum()
    }
}

/// The machine a finding is about, as people call it.
pub(crate) fn host_of(location: &Location) -> String {
    match location {
        Location::Domain(name) => name.to_string(),
        Location::Service(endpoint) => endpoint.host().to_string(),
        Location::Url(url) => url.host_str().unwrap_or("no host").to_owned(),
    }
}
