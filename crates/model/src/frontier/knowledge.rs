//! What a frontier knows, piece by piece, for one that stands only for a moment.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{Frontier, KnownHost, Wanted};
use crate::{DomainName, FoundName, Host, Learned, Source, Target, Unit, UnitKey};

/// What something is known about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// An address.
    Host(IpAddr),
    /// A name.
    Name(DomainName),
    /// A name, with everything below it.
    Zone(DomainName),
}

/// The subject's key where knowledge is stored.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Host(address) => write!(f, "host {address}"),
            Subject::Name(name) => write!(f, "name {name}"),
            Subject::Zone(name) => write!(f, "zone {name}"),
        }
    }
}

/// What is known about a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// Of an address.
    Host(KnownHost),
    /// Of a name.
    Name {
        /// What is to be done once its addresses are known.
        wanted: Option<Wanted>,
        /// What was found out about it.
        resolved: Option<FoundName>,
    },
    /// Somebody asked for the zone.
    Zone,
}

impl Frontier {
    /// What must be recalled before [`Frontier::learn`] is called with the same.
    pub fn subjects(unit: &Unit, learned: &Learned) -> BTreeSet<Subject> {
        let mut subjects = BTreeSet::new();
        for found in &learned.found {
            add_name(&mut subjects, &found.name);
            subjects.extend(found.addresses.iter().copied().map(Subject::Host));
        }
        for (name, _) in &learned.mentioned {
            add_name(&mut subjects, name);
        }
        subjects.extend(unit.address().map(Subject::Host));
        subjects.extend(learned.service.as_ref().map(|service| Subject::Host(service.endpoint.address)));
        subjects
    }

    /// What must be recalled before [`Frontier::add_target`] is called with the same. It may grow by what is recalled: ask again
    /// until nothing new is in it.
    pub fn subjects_of(&self, target: &Target) -> BTreeSet<Subject> {
        let mut subjects = BTreeSet::new();
        let name = match target {
            Target::Network(_) => return subjects,
            Target::Host(host) | Target::Service(host, _) => host.clone(),
            Target::Url(_) => match target.host() {
                Some(host) => host,
                None => return subjects,
            },
        };
        match name {
            Host::Address(address) => {
                subjects.insert(Subject::Host(address));
            }
            Host::Name(name) => {
                add_name(&mut subjects, &name);
                let addresses = self.resolved.get(&name).map(|found| found.addresses.clone());
                subjects.extend(addresses.into_iter().flatten().map(Subject::Host));
            }
        }
        subjects
    }

    /// The units that would look up what is mentioned: those of them that were planned before must be told by
    /// [`Frontier::has_planned`], so that a name counts once against the bound on names.
    pub fn lookups(learned: &Learned) -> Vec<UnitKey> {
        let lookup = |(name, source): &(DomainName, Source)| {
            Unit::Discover { name: name.clone(), source: *source, brute_force: false }.key()
        };
        learned.mentioned.iter().map(lookup).collect()
    }

    /// Something that was known before.
    pub fn recall(&mut self, subject: Subject, fact: Fact) {
        match (subject, fact) {
            (Subject::Host(address), Fact::Host(known)) => {
                self.hosts.insert(address, known);
            }
            (Subject::Name(name), Fact::Name { wanted, resolved }) => {
                if let Some(wanted) = wanted {
                    self.wanted.insert(name.clone(), wanted);
                }
                if let Some(resolved) = resolved {
                    self.resolved.insert(name, resolved);
                }
            }
            (Subject::Zone(name), Fact::Zone) => {
                self.zones.insert(name);
            }
            // A fact of another kind than its subject cannot be written.
            _ => {}
        }
    }

    /// A unit that needs no planning any more.
    pub fn has_planned(&mut self, unit: UnitKey) {
        self.visited.insert(unit);
    }

    /// Everything that is known now.
    pub fn knowledge(&self) -> Vec<(Subject, Fact)> {
        let hosts =
            self.hosts.iter().map(|(address, known)| (Subject::Host(*address), Fact::Host(known.clone())));
        let names: BTreeSet<&DomainName> = self.wanted.keys().chain(self.resolved.keys()).collect();
        let names = names.into_iter().map(|name| {
            let wanted = self.wanted.get(name).cloned();
            let resolved = self.resolved.get(name).cloned();
            (Subject::Name(name.clone()), Fact::Name { wanted, resolved })
        });
        let zones = self.zones.iter().map(|name| (Subject::Zone(name.clone()), Fact::Zone));
        hosts.chain(names).chain(zones).collect()
    }

    /// Units that are to be planned again when something asks for them: from the next step on. What this step asked for was asked
    /// while they still counted as planned.
    pub fn forgotten(&self) -> &[UnitKey] {
        &self.forgotten
    }

    /// How many names may still be followed up though nobody asked for them.
    pub fn names_left(&self) -> u32 {
        self.names_left
    }
}

/// The name, and every zone that it may be in.
fn add_name(subjects: &mut BTreeSet<Subject>, name: &DomainName) {
    subjects.insert(Subject::Name(name.clone()));
    let mut zone = Some(name.clone());
    while let Some(name) = zone {
        zone = name.parent();
        subjects.insert(Subject::Zone(name));
    }
}
