//! How a name server answers about names that do not exist, and whether an answer is more than that. Pure.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
};

use model::DomainName;

use crate::dns::{Chain, Lookup};

/// Probes in a row that must bring nothing new before a pool counts as known.
const QUIET: u32 = 4;
/// A wildcard that still brings something new after so many probes makes its addresses up.
const MOST_PROBES: u32 = 48;

/// Marks kept of one parent: a server that makes answers up can make up any number.
const MOST_MARKS: usize = 1_000;

/// What an answer looks like, without what differs from name to name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Face {
    /// The name does not exist.
    Missing,
    /// It exists, without such records.
    Empty,
    /// It leads somewhere.
    Leads(BTreeSet<Mark>),
    /// Somebody else knows.
    Referred,
    /// No answer, or one that says nothing.
    Unknown,
}

/// One place where a name leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Address(IpAddr),
    /// The nearest alias. The name's own first label is written as `*`, for servers that make the target from the name.
    Alias(String),
}

impl Face {
    pub(super) fn of(name: &DomainName, lookup: &Lookup) -> Face {
        match lookup {
            Lookup::Missing => Face::Missing,
            Lookup::Empty => Face::Empty,
            Lookup::Referred(_) => Face::Referred,
            Lookup::Undetermined(_) => Face::Unknown,
            Lookup::Found(message) => {
                let chain = Chain::follow(message, name);
                let marks: BTreeSet<Mark> = match chain.aliases.first() {
                    // What is at the end of an alias is not the name's own.
                    Some(alias) => [Mark::Alias(neutral(name, &alias.to_ascii()))].into(),
                    None => chain.addresses.into_iter().map(Mark::Address).collect(),
                };
                if marks.is_empty() { Face::Empty } else { Face::Leads(marks) }
            }
        }
    }
}

fn neutral(name: &DomainName, target: &str) -> String {
    let own = name.labels().next().unwrap_or_default();
    let target = target.trim_end_matches('.').to_ascii_lowercase();
    let labels = target.split('.').map(|label| if label == own { "*" } else { label });
    labels.collect::<Vec<_>>().join(".")
}

/// How names that nobody can have registered are answered below one parent.
#[derive(Debug, Clone, Default)]
pub(super) struct Wildcard {
    marks: BTreeSet<Mark>,
    /// Where those lie: networks of addresses, and the domains of aliases.
    regions: BTreeSet<Region>,
    /// Some are said to exist without records of the type: there is a wildcard of another type.
    empty: bool,
    /// Some get no answer.
    pub(super) failing: bool,
    /// Somebody else's zone.
    pub(super) referred: bool,
    probes: u32,
    quiet: u32,
}

impl Wildcard {
    /// Notes the answer about a random name.
    pub(super) fn learn(&mut self, face: Face) {
        self.probes += 1;
        let known = self.marks.len();
        let (empty, failing) = (self.empty, self.failing);
        match face {
            Face::Missing => {}
            Face::Empty => self.empty = true,
            Face::Leads(marks) if self.marks.len() < MOST_MARKS => {
                self.regions.extend(marks.iter().filter_map(region));
                self.marks.extend(marks);
            }
            Face::Leads(_) => {}
            Face::Referred => self.referred = true,
            Face::Unknown => self.failing = true,
        }
        let is_new = self.marks.len() > known || self.empty != empty || self.failing != failing;
        self.quiet = if is_new { 0 } else { self.quiet + 1 };
    }

    /// Is more to be learnt from another random name?
    pub(super) fn wants_more(&self) -> bool {
        if self.referred || (self.failing && !self.answers()) {
            return false;
        }
        let enough = if self.answers() { QUIET } else { 3 };
        self.quiet < enough && self.probes < MOST_PROBES
    }

    /// Does anything that does not exist seem to?
    pub(super) fn answers(&self) -> bool {
        self.empty || !self.marks.is_empty()
    }

    /// Every further random name brings something new.
    fn is_bottomless(&self) -> bool {
        self.probes >= MOST_PROBES && self.quiet < QUIET
    }

    /// Would a name that does not exist be answered like this?
    pub(super) fn explains(&self, face: &Face) -> bool {
        match face {
            Face::Missing => true,
            Face::Empty => self.empty,
            Face::Leads(marks) => {
                marks.iter().any(|mark| self.marks.contains(mark))
                    || (self.is_bottomless()
                        && marks.iter().filter_map(region).any(|region| self.regions.contains(&region)))
            }
            Face::Referred => self.referred,
            Face::Unknown => self.failing,
        }
    }
}

/// A neighbourhood of marks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Region {
    Network(IpAddr),
    Domain(String),
}

/// Addresses made up from the name come from one network, and aliases from one domain, not from anywhere.
fn region(mark: &Mark) -> Option<Region> {
    match mark {
        Mark::Address(IpAddr::V4(v4)) => {
            let [a, b, ..] = v4.octets();
            Some(Region::Network(IpAddr::from([a, b, 0, 0])))
        }
        Mark::Address(IpAddr::V6(v6)) => {
            let [a, b, c, ..] = v6.segments();
            Some(Region::Network(IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))))
        }
        Mark::Alias(target) => target.split_once('.').map(|(_, domain)| Region::Domain(domain.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Face {
        Face::Leads(texts.iter().map(|text| Mark::Address(text.parse().unwrap())).collect())
    }

    fn learned(faces: impl IntoIterator<Item = Face>) -> Wildcard {
        let mut wildcard = Wildcard::default();
        for face in faces {
            if !wildcard.wants_more() {
                break;
            }
            wildcard.learn(face);
        }
        wildcard
    }

    #[test]
    fn without_a_wildcard_three_probes_are_enough() {
        let none = learned(std::iter::repeat(Face::Missing));
        assert_eq!((none.probes, none.answers()), (3, false));
        assert!(!none.explains(&addresses(&["127.0.0.1"])));
        assert!(!none.explains(&Face::Empty));
    }

    #[test]
    fn a_pool_is_learnt_until_nothing_new_comes() {
        let pool: Vec<String> = (0..20).map(|index| format!("127.0.0.{index}")).collect();
        let turn = |index: usize| addresses(&[&pool[index % 20], &pool[(index * 7 + 3) % 20]]);
        let wildcard = learned((0..).map(turn));
        assert!(!wildcard.is_bottomless());
        assert!((0..20).all(|index| wildcard.explains(&turn(index))));
        assert!(!wildcard.explains(&addresses(&["127.0.9.9"])));
    }

    #[test]
    fn addresses_made_up_from_the_name_come_from_their_network() {
        let wildcard =
            learned((0..).map(|index: u32| addresses(&[&format!("127.7.{}.{}", index / 250, index % 250)])));
        assert!(wildcard.is_bottomless());
        assert!(wildcard.explains(&addresses(&["127.7.99.99"])));
        assert!(!wildcard.explains(&addresses(&["127.8.99.99"])));
    }

    #[test]
    fn aliases_made_up_from_the_name_come_from_their_domain() {
        let alias = |text: String| Face::Leads([Mark::Alias(text)].into());
        let wildcard = learned((0..).map(|index: u32| alias(format!("x{index}.cdn.test"))));
        assert!(wildcard.is_bottomless());
        assert!(wildcard.explains(&alias("another.cdn.test".to_owned())));
        assert!(!wildcard.explains(&alias("shop.hosting.test".to_owned())));
    }

    #[test]
    fn a_wildcard_of_another_type_explains_empty_answers_only() {
        let wildcard = learned(std::iter::repeat(Face::Empty));
        assert!(wildcard.answers() && wildcard.explains(&Face::Empty));
        assert!(!wildcard.explains(&addresses(&["127.0.0.1"])));
    }

    #[test]
    fn failing_is_not_existing() {
        let wildcard = learned(std::iter::repeat(Face::Unknown));
        assert_eq!((wildcard.probes, wildcard.answers(), wildcard.failing), (1, false, true));
        assert!(wildcard.explains(&Face::Unknown));
        assert!(!wildcard.explains(&addresses(&["127.0.0.1"])));
    }

    #[test]
    fn targets_made_from_the_name_are_one_target() {
        let name = |text: &str| text.parse::<DomainName>().unwrap();
        assert_eq!(
            neutral(&name("q7.example.test"), "Q7.other.test."),
            neutral(&name("www.example.test"), "www.other.test")
        );
        assert_ne!(
            neutral(&name("q7.example.test"), "a.other.test."),
            neutral(&name("www.example.test"), "b.other.test")
        );
    }
}
