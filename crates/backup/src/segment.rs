//! Names of what PostgreSQL writes ahead: <https://www.postgresql.org/docs/current/wal-internals.html>.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Bytes of a file of WAL: a power of two from 1 MB to 1 GB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub(crate) struct SegmentSize(u64);

impl TryFrom<u64> for SegmentSize {
    type Error = String;

    fn try_from(bytes: u64) -> Result<SegmentSize, String> {
        match bytes.is_power_of_two() && (1 << 20..=1 << 30).contains(&bytes) {
            true => Ok(SegmentSize(bytes)),
            false => Err(format!("files of WAL have no {bytes} bytes")),
        }
    }
}

impl From<SegmentSize> for u64 {
    fn from(size: SegmentSize) -> u64 {
        size.0
    }
}

/// A place in what is written ahead, as PostgreSQL writes it: `0/2000028`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Lsn(u64);

impl Lsn {
    /// In which file it is.
    pub(crate) fn segment(self, timeline: u32, size: SegmentSize) -> Segment {
        Segment { number: self.0 / size.0, timeline }
    }
}

impl FromStr for Lsn {
    type Err = String;

    fn from_str(text: &str) -> Result<Lsn, String> {
        let part = |text: &str| u32::from_str_radix(text, 16).ok();
        let read = text.split_once('/').and_then(|(high, low)| Some((part(high)?, part(low)?)));
        let (high, low) = read.ok_or_else(|| format!("`{text}` is no place in the WAL"))?;
        Ok(Lsn(u64::from(high) << 32 | u64::from(low)))
    }
}

impl TryFrom<String> for Lsn {
    type Error = String;

    fn try_from(text: String) -> Result<Lsn, String> {
        text.parse()
    }
}

impl From<Lsn> for String {
    fn from(lsn: Lsn) -> String {
        lsn.to_string()
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// A file of WAL. In order of what is written in them; a later timeline goes on from somewhere in an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Segment {
    /// Counted from the beginning of all.
    pub(crate) number: u64,
    pub(crate) timeline: u32,
}

impl Segment {
    pub(crate) fn read(name: &str, size: SegmentSize) -> Option<Segment> {
        let is_name = name.len() == 24 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
        let part = |from: usize| u32::from_str_radix(&name[from..from + 8], 16).ok();
        let (timeline, high, low) = if is_name { (part(0)?, part(8)?, part(16)?) } else { return None };
        let each = 0x1_0000_0000 / size.0;
        (u64::from(low) < each).then(|| Segment { number: u64::from(high) * each + u64::from(low), timeline })
    }

    pub(crate) fn name(self, size: SegmentSize) -> String {
        let each = 0x1_0000_0000 / size.0;
        format!("{:08X}{:08X}{:08X}", self.timeline, self.number / each, self.number % each)
    }
}

/// Tells what a timeline has begun with: `00000002.history`.
pub(crate) fn is_history(name: &str) -> bool {
    let of = name.strip_suffix(".history");
    of.is_some_and(|of| of.len() == 8 && of.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size() -> SegmentSize {
        SegmentSize::try_from(16 << 20).unwrap()
    }

    #[test]
    fn a_place_is_in_the_file_that_postgresql_says() {
        // By pg_walfile_name.
        for (place, name) in [
            ("0/2000028", "000000010000000000000002"),
            ("1/FFFFFFFF", "0000000100000001000000FF"),
            ("A/1000000", "000000010000000A00000001"),
        ] {
            let lsn: Lsn = place.parse().unwrap();
            assert_eq!(lsn.segment(1, size()).name(size()), name);
            assert_eq!(lsn.to_string(), place);
        }
    }

    #[test]
    fn other_names_are_none() {
        for name in [
            "",
            "000000010000000000000100",
            "00000001000000000000000g",
            "000000010000000000000001.partial",
            "00000002.history",
        ] {
            assert_eq!(Segment::read(name, size()), None, "{name}");
        }
        assert!(is_history("0000000A.history"));
        assert!(!is_history("A.history"));
    }

    proptest! {
        #[test]
        fn a_name_is_read_as_what_it_was_written_for(number in 0_u64..1 << 40, timeline in 1_u32.., power in 20_u32..=30) {
            let size = SegmentSize::try_from(1 << power).unwrap();
            let segment = Segment { number: number % (0x1_0000_0000 << (32 - power)), timeline };
            prop_assert_eq!(Segment::read(&segment.name(size), size), Some(segment));
        }
    }
}
