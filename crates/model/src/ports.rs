//! Sets of TCP and UDP ports.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use serde::{Deserialize, Serialize};

/// A set of ports as sorted, disjoint, non-adjacent ranges. Written `80,443,8000-8100`; `all` is 1-65535, `-` too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PortSet {
    ranges: Vec<RangeInclusive<u16>>,
}

/// Why a text is not a set of ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Not a number from 1 to 65535.
    #[error("`{0}` is not a port: ports go from 1 to 65535, as in `80,443,8000-8100`")]
    Port(String),
    /// A range from high to low.
    #[error("port range `{0}` runs backwards: write the lower port first")]
    Backwards(String),
    /// Nothing there.
    #[error("the list of ports is empty: write for example `80,443,8000-8100` or `all`")]
    Empty,
}

impl PortSet {
    /// No port at all.
    pub const EMPTY: PortSet = PortSet { ranges: Vec::new() };

    /// Ports 1 to 65535.
    pub fn all() -> PortSet {
        PortSet { ranges: vec![1..=u16::MAX] }
    }

    /// Is the port in the set?
    pub fn contains(&self, port: u16) -> bool {
        self.ranges
            .binary_search_by(|range| {
                if *range.end() < port {
                    std::cmp::Ordering::Less
                } else if *range.start() > port {
                    std::cmp::Ordering::Greater
                } else {
                    std::cmp::Ordering::Equal
                }
            })
            .is_ok()
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.ranges.iter().flat_map(|range| range.clone())
    }

    /// How many ports.
    pub fn len(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }

    /// No port?
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ports of `self` that are not in `other`.
    pub fn without(&self, other: &PortSet) -> PortSet {
        let mut kept = Vec::new();
        for range in &self.ranges {
            let (mut from, end) = (u32::from(*range.start()), u32::from(*range.end()));
            for gap in
                other.ranges.iter().filter(|gap| gap.start() <= range.end() && gap.end() >= range.start())
            {
                if u32::from(*gap.start()) > from {
                    kept.push(from as u16..=gap.start() - 1);
                }
                from = u32::from(*gap.end()) + 1;
            }
            if from <= end {
                kept.push(from as u16..=*range.end());
            }
        }
        PortSet { ranges: kept }
    }

    /// The ports of either.
    pub fn union(&self, other: &PortSet) -> PortSet {
        PortSet::from_ranges(self.ranges.iter().chain(&other.ranges).cloned().collect())
    }

    fn from_ranges(mut ranges: Vec<RangeInclusive<u16>>) -> PortSet {
        ranges.sort_by_key(|range| *range.start());
        let mut merged: Vec<RangeInclusive<u16>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if u32::from(*range.start()) <= u32::from(*last.end()) + 1 => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => merged.push(range),
            }
        }
        PortSet { ranges: merged }
    }
}

impl FromIterator<u16> for PortSet {
    fn from_iter<I: IntoIterator<Item = u16>>(ports: I) -> PortSet {
        PortSet::from_ranges(ports.into_iter().filter(|port| *port != 0).map(|port| port..=port).collect())
    }
}

impl FromStr for PortSet {
    type Err = PortError;

    fn from_str(text: &str) -> Result<PortSet, PortError> {
        if matches!(text.trim(), "all" | "-") {
            return Ok(PortSet::all());
        }
        let port = |word: &str| match word.trim().parse::<u16>() {
            Ok(port) if port != 0 => Ok(port),
            _ => Err(PortError::Port(word.trim().to_owned())),
        };
        let mut ranges = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            ranges.push(match part.split_once('-') {
                Some((from, to)) => {
                    let range = port(from)?..=port(to)?;
                    if range.is_empty() {
                        return Err(PortError::Backwards(part.to_owned()));
                    }
                    range
                }
                None => {
                    let port = port(part)?;
                    port..=port
                }
            });
        }
        if ranges.is_empty() {
            return Err(PortError::Empty);
        }
        Ok(PortSet::from_ranges(ranges))
    }
}

impl TryFrom<String> for PortSet {
    type Error = PortError;

    fn try_from(text: String) -> Result<PortSet, PortError> {
        if text.is_empty() { Ok(PortSet::EMPTY) } else { text.parse() }
    }
}

impl From<PortSet> for String {
    fn from(ports: PortSet) -> String {
        ports.to_string()
    }
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.ranges.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if range.start() == range.end() {
                write!(f, "{comma}{}", range.start())?;
            } else {
                write!(f, "{comma}{}-{}", range.start(), range.end())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn written_ranges_merge() {
        let ports: PortSet = "443, 80,81-90,85-100,101".parse().unwrap();
        assert_eq!(ports.to_string(), "80-101,443");
        assert_eq!(ports.len(), 23);
        assert_eq!("all".parse::<PortSet>().unwrap().len(), 65_535);
    }

    #[test]
    fn bad_ports_are_named() {
        assert_eq!("70000".parse::<PortSet>(), Err(PortError::Port("70000".into())));
        assert_eq!("80,0".parse::<PortSet>(), Err(PortError::Port("0".into())));
        assert_eq!("90-80".parse::<PortSet>(), Err(PortError::Backwards("90-80".into())));
        assert_eq!(" , ".parse::<PortSet>(), Err(PortError::Empty));
    }

    proptest! {
        #[test]
        fn a_set_holds_what_it_was_made_of(ports in proptest::collection::vec(1u16.., 0..50)) {
            let set: PortSet = ports.iter().copied().collect();
            let mut expected = ports.clone();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), expected);
            let odd: PortSet = (1..=u16::MAX).filter(|port| port % 2 == 1).collect();
            prop_assert_eq!(set.without(&odd), set.iter().filter(|port| port % 2 == 0).collect());
            prop_assert_eq!(set.without(&PortSet::all()), PortSet::EMPTY);
            prop_assert_eq!(PortSet::all().without(&set).len(), 65_535 - set.len());
            for port in [1, 80, 443, 65_535] {
                prop_assert_eq!(set.contains(port), ports.contains(&port));
            }
        }
    }
}
