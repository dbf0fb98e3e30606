//! Lists: in which order they are told, and where one goes on.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use utoipa::ToSchema;

use crate::{AssetId, Fingerprint, KeyPrefix, ScanId, Severity, UserId};

/// In which order things are told that have a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeOrder {
    /// What came last is told first.
    #[default]
    NewestFirst,
    /// What came first is told first.
    OldestFirst,
}

impl fmt::Display for TimeOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TimeOrder::NewestFirst => "newest_first",
            TimeOrder::OldestFirst => "oldest_first",
        })
    }
}

/// In which order things are told that have a name and a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ListOrder {
    /// By name.
    #[default]
    Name,
    /// What was made last is told first.
    NewestFirst,
    /// What was made first is told first.
    OldestFirst,
}

impl From<TimeOrder> for ListOrder {
    fn from(order: TimeOrder) -> ListOrder {
        match order {
            TimeOrder::NewestFirst => ListOrder::NewestFirst,
            TimeOrder::OldestFirst => ListOrder::OldestFirst,
        }
    }
}

impl fmt::Display for ListOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ListOrder::Name => "name",
            ListOrder::NewestFirst => "newest_first",
            ListOrder::OldestFirst => "oldest_first",
        })
    }
}

/// A place in a list, in whatever order it is told: right behind the thing of that name and time, and among those of the same the one of
/// that id. It stays right when that thing is gone, and when others come.
///
/// As text it is `ID_TIME_NAME`, with the time in microseconds since 1970, and `ID_TIME` without a name. To whoever turns pages that
/// means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor<Id> {
    /// Of the thing that was told last.
    pub id: Id,
    /// When it was made.
    pub time: Timestamp,
    /// What it is called; empty in lists of what has no name.
    pub name: String,
}

/// A place in a list of assets.
pub type AssetCursor = Cursor<AssetId>;
/// A place in a list of keys.
pub type KeyCursor = Cursor<KeyPrefix>;
/// A place in a list of scans.
pub type ScanCursor = Cursor<ScanId>;
/// A place in a list of people.
pub type UserCursor = Cursor<UserId>;

/// A place in a list of findings: right behind that one, as it was when it was told. Of the fingerprint alone it is where that one stands
/// now, which in the order of severities is another place once somebody has looked again.
///
/// As text it is `FINGERPRINT_TIME_SEVERITY`, with the time in microseconds since 1970, or `FINGERPRINT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindingCursor {
    /// Of the finding that was told last.
    pub fingerprint: Fingerprint,
    /// When it was first seen, and how severe it was.
    pub stood: Option<(Timestamp, Severity)>,
}

impl From<Fingerprint> for FindingCursor {
    fn from(fingerprint: Fingerprint) -> FindingCursor {
        FindingCursor { fingerprint, stood: None }
    }
}

impl fmt::Display for FindingCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fingerprint)?;
        match self.stood {
            Some((time, severity)) => write!(f, "_{}_{severity}", time.as_microsecond()),
            None => Ok(()),
        }
    }
}

impl FromStr for FindingCursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<FindingCursor, CursorError> {
        let whole = || {
            let (fingerprint, rest) = match text.split_once('_') {
                Some((fingerprint, rest)) => (fingerprint, Some(rest)),
                None => (text, None),
            };
            let stood = match rest {
                Some(rest) => {
                    let (time, severity) = rest.split_once('_')?;
                    Some((Timestamp::from_microsecond(time.parse().ok()?).ok()?, severity.parse().ok()?))
                }
                None => None,
            };
            Some(FindingCursor { fingerprint: fingerprint.parse().ok()?, stood })
        };
        whole().ok_or_else(|| CursorError(text.to_owned()))
    }
}

impl Serialize for FindingCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FindingCursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FindingCursor, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// This is the place in no list.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no place in a list: give the `next` of an answer")]
pub struct CursorError(String);

impl<Id: fmt::Display> fmt::Display for Cursor<Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cursor { id, time, name } = self;
        write!(f, "{id}_{}", time.as_microsecond())?;
        if name.is_empty() { Ok(()) } else { write!(f, "_{name}") }
    }
}

impl<Id: FromStr> FromStr for Cursor<Id> {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Cursor<Id>, CursorError> {
        let parts = || {
            let mut parts = text.splitn(3, '_');
            let id = parts.next()?.parse().ok()?;
            let time = Timestamp::from_microsecond(parts.next()?.parse().ok()?).ok()?;
            Some(Cursor { id, time, name: parts.next().unwrap_or_default().to_owned() })
        };
        parts().ok_or_else(|| CursorError(text.to_owned()))
    }
}

impl<Id: fmt::Display> Serialize for Cursor<Id> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, Id: FromStr> Deserialize<'de> for Cursor<Id> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cursor<Id>, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_as_it_was(id: u64, name: String, time in -1_000_000_000_000_000_i64..99_999_999_999_999_999) {
            let time = Timestamp::from_microsecond(time).unwrap();
            let cursor = Cursor { id: ScanId::from_random(id), time, name };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn whatever_is_written_is_read_or_refused(text in ".*|[0-9a-f]{16}_[0-9-]{0,20}(_.*)?") {
            match text.parse::<Cursor<ScanId>>() {
                Ok(cursor) => prop_assert_eq!(cursor.to_string().parse(), Ok(cursor)),
                Err(error) => prop_assert_eq!(error, CursorError(text)),
            }
        }
    }

    #[test]
    fn a_place_among_findings_is_written_with_where_it_stood_if_that_is_known() {
        let fingerprint: Fingerprint = "2f1a9c0e4b7d63815c0f8e7a6b5d4c3b".parse().unwrap();
        let alone = FindingCursor::from(fingerprint);
        assert_eq!((alone.to_string(), alone.to_string().parse()), (fingerprint.to_string(), Ok(alone)));
        let time = Timestamp::from_microsecond(1_766_400_000_000_000).unwrap();
        let whole = FindingCursor { stood: Some((time, Severity::High)), ..alone };
        assert_eq!(whole.to_string(), format!("{fingerprint}_1766400000000000_high"));
        assert_eq!(whole.to_string().parse(), Ok(whole));
        for wrong in [
            "",
            "_",
            "2f1a",
            &format!("{fingerprint}_"),
            &format!("{fingerprint}_1"),
            &format!("{fingerprint}_1_bad"),
        ] {
            assert_eq!(wrong.parse::<FindingCursor>(), Err(CursorError(wrong.to_owned())));
        }
    }

    #[test]
    fn a_place_is_written_with_a_name_if_there_is_one() {
        let named = Cursor {
            id: ScanId::from_random(0x0102_0304),
            time: Timestamp::from_microsecond(1_766_400_000_000_000).unwrap(),
            name: "of_two_words".to_owned(),
        };
        assert_eq!(named.to_string(), "0000000001020304_1766400000000000_of_two_words");
        assert_eq!(Cursor { name: String::new(), ..named }.to_string(), "0000000001020304_1766400000000000");
        for wrong in ["", "0000000001020304", "0000000001020304_", "x_1", "0000000001020304_yesterday"] {
            assert!(wrong.parse::<Cursor<ScanId>>().is_err(), "{wrong}");
        }
    }
}
