//! Version constraints, as the Go library hashicorp/go-version understands them.

use std::cmp::Ordering;

use super::{Arguments, Arity, Function, Outcome, shown};
use crate::expression::Value;

pub(super) const FUNCTIONS: &[Function] = &[Function::new(
    "compare_versions",
    Arity::at_least(2),
    "whether the version fits every constraint: `= != > < >= <= ~>` and a version, several separated by commas",
    compare,
)];

/// What cannot be read as a version is an error, never a version that happens to be safe or vulnerable.
fn compare<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let text = arguments.text(0);
    let Some(version) = str::from_utf8(&text).ok().and_then(Version::parse) else {
        return Err(arguments.error(format!("{} is not a version", shown(&text))));
    };
    let mut fits = true;
    for value in arguments.spread(1) {
        let text = value.text();
        for constraint in String::from_utf8_lossy(&text).split(',') {
            let Some(constraint) = Constraint::parse(constraint) else {
                return Err(
                    arguments.error(format!("{} is not a version constraint", shown(constraint.as_bytes())))
                );
            };
            fits &= constraint.accepts(&version);
        }
    }
    Ok(Value::Bool(fits))
}

#[derive(Debug, PartialEq)]
struct Version {
    /// At least three: `1.2` is `1.2.0`.
    segments: Vec<u64>,
    /// How many segments were written.
    written: usize,
    /// Empty for a release.
    prerelease: String,
}

impl Version {
    /// `v1.2.3-beta.1+build`; the hyphen may be missing before a letter. Build metadata does not matter.
    fn parse(text: &str) -> Option<Version> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let numeric = text.find(|character: char| !character.is_ascii_digit() && character != '.');
        let (numbers, rest) = text.split_at(numeric.unwrap_or(text.len()));
        let mut segments: Vec<u64> = Vec::new();
        for number in numbers.split('.') {
            // The library counts in i64.
            segments.push(number.parse().ok().filter(|number| *number <= i64::MAX as u64)?);
        }
        let written = segments.len();
        segments.resize(written.max(3), 0);
        let (prerelease, metadata) = match rest.split_once('+') {
            Some((prerelease, metadata)) => (prerelease, Some(metadata)),
            None => (rest, None),
        };
        let identifiers = prerelease.strip_prefix('-').unwrap_or(prerelease);
        let well_formed = |dotted: &str| {
            dotted.split('.').all(|part| {
                !part.is_empty()
                    && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'~'))
            })
        };
        let fits = prerelease.is_empty() || well_formed(identifiers);
        let fits = fits && metadata.is_none_or(well_formed);
        fits.then(|| Version { segments, written, prerelease: identifiers.to_owned() })
    }

    fn cmp(&self, other: &Version) -> Ordering {
        if self.segments == other.segments {
            return compare_prereleases(&self.prerelease, &other.prerelease);
        }
        // Where one is written longer, zeros stand for what the other does not say, and a prerelease no longer counts.
        let length = self.segments.len().max(other.segments.len());
        let padded = |version: &Version| {
            let mut segments = version.segments.clone();
            segments.resize(length, 0);
            segments
        };
        padded(self).cmp(&padded(other))
    }
}

fn compare_prereleases(left: &str, right: &str) -> Ordering {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (left, right) => compare_identifiers(left.unwrap_or_default(), right.unwrap_or_default()),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Numbers by size and before words, words by their bytes; a missing identifier after a number is older, after a word newer.
fn compare_identifiers(left: &str, right: &str) -> Ordering {
    let number = |identifier: &str| identifier.parse::<i64>().ok();
    if left == right {
        return Ordering::Equal;
    }
    match (number(left), number(right)) {
        (_, Some(_)) if left.is_empty() => Ordering::Less,
        (_, None) if left.is_empty() => Ordering::Greater,
        (Some(_), _) if right.is_empty() => Ordering::Greater,
        (None, _) if right.is_empty() => Ordering::Less,
        (Some(left), Some(right)) => left.cmp(&right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.cmp(right),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Relation {
    Equal,
    NotEqual,
    Greater,
    Less,
    AtLeast,
    AtMost,
    /// At least this, and alike in all but the last written segment.
    Compatible,
}

const RELATIONS: &[(&str, Relation)] = &[
    (">=", Relation::AtLeast),
    ("<=", Relation::AtMost),
    ("!=", Relation::NotEqual),
    ("~>", Relation::Compatible),
    ("=", Relation::Equal),
    (">", Relation::Greater),
    ("<", Relation::Less),
    ("", Relation::Equal),
];

struct Constraint {
    relation: Relation,
    version: Version,
}

impl Constraint {
    fn parse(text: &str) -> Option<Constraint> {
        let text = text.trim();
        let (relation, version) = RELATIONS
            .iter()
            .find_map(|(symbol, relation)| text.strip_prefix(symbol).map(|version| (*relation, version)))?;
        Some(Constraint { relation, version: Version::parse(version.trim())? })
    }

    fn accepts(&self, version: &Version) -> bool {
        let order = version.cmp(&self.version);
        match self.relation {
            Relation::Equal => order == Ordering::Equal,
            Relation::NotEqual => order != Ordering::Equal,
            Relation::Greater => self.comparable(version) && order == Ordering::Greater,
            Relation::Less => self.comparable(version) && order == Ordering::Less,
            Relation::AtLeast => self.comparable(version) && order != Ordering::Less,
            Relation::AtMost => self.comparable(version) && order != Ordering::Greater,
            Relation::Compatible => {
                let wanted = &self.version;
                let kept = wanted.written.saturating_sub(1);
                self.comparable(version)
                    && wanted.prerelease.is_empty() == version.prerelease.is_empty()
                    && order != Ordering::Less
                    && version.segments.len() >= wanted.segments.len()
                    && version.segments[..kept] == wanted.segments[..kept]
                    && version.segments[wanted.segments.len() - 1]
                        >= wanted.segments[wanted.segments.len() - 1]
            }
        }
    }

    /// A prerelease is only compared with a prerelease of the same version: `2.0.0-beta` is not `< 3.0.0`.
    fn comparable(&self, version: &Version) -> bool {
        version.prerelease.is_empty()
            || !self.version.prerelease.is_empty() && version.segments == self.version.segments
    }
}
