//! What goes into statements and comes out of rows, whichever database holds it.

use jiff::Timestamp;
use model::{AssetId, KeyPrefix, ScanId, UserId};
use uuid::Uuid;

use crate::StoreError;

/// One value. What is nothing says of which kind it is nothing: PostgreSQL wants to know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null(Kind),
    Int(i64),
    Bool(bool),
    Text(String),
    Bytes(Vec<u8>),
    Id(Uuid),
    /// In microseconds, which is what both databases keep.
    Time(Timestamp),
}

/// What kinds there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Bool,
    Text,
    Bytes,
    Id,
    Time,
}

impl Value {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Value::Null(kind) => *kind,
            Value::Int(_) => Kind::Int,
            Value::Bool(_) => Kind::Bool,
            Value::Text(_) => Kind::Text,
            Value::Bytes(_) => Kind::Bytes,
            Value::Id(_) => Kind::Id,
            Value::Time(_) => Kind::Time,
        }
    }
}

macro_rules! from {
    ($($from:ty => $kind:ident, |$value:ident| $into:expr;)*) => {
        $(
            impl From<$from> for Value {
                fn from($value: $from) -> Value {
                    $into
                }
            }
            impl From<Option<$from>> for Value {
                fn from(value: Option<$from>) -> Value {
                    value.map_or(Value::Null(Kind::$kind), Value::from)
                }
            }
        )*
    };
}

from! {
    i64 => Int, |value| Value::Int(value);
    u32 => Int, |value| Value::Int(i64::from(value));
    u8 => Int, |value| Value::Int(i64::from(value));
    // Counts and durations: none comes near 2^63, and one that did would still be the most there is.
    u64 => Int, |value| Value::Int(i64::try_from(value).unwrap_or(i64::MAX));
    usize => Int, |value| Value::Int(i64::try_from(value).unwrap_or(i64::MAX));
    bool => Bool, |value| Value::Bool(value);
    &str => Text, |value| Value::Text(without_nul(value.to_owned()));
    String => Text, |value| Value::Text(without_nul(value));
    Vec<u8> => Bytes, |value| Value::Bytes(value);
    [u8; 16] => Bytes, |value| Value::Bytes(value.to_vec());
    Uuid => Id, |value| Value::Id(value);
    Timestamp => Time, |value| Value::Time(in_microseconds(value));
    AssetId => Bytes, |value| Value::Bytes(value.bytes().to_vec());
    KeyPrefix => Text, |value| Value::Text(value.into());
    ScanId => Text, |value| Value::Text(value.into());
    UserId => Id, |value| Value::Id(value.as_uuid());
}

/// PostgreSQL keeps no NUL in a text, and what targets say may hold some.
pub(crate) fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn in_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// One row of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Row(pub(crate) Vec<Value>);

impl Row {
    fn wrong(&self, column: usize, wanted: Kind) -> StoreError {
        let found = self.0.get(column).map(Value::kind);
        StoreError::Damaged(format!("column {column} of a row is {found:?} instead of {wanted:?}"))
    }

    fn is_null(&self, column: usize) -> bool {
        matches!(self.0.get(column), Some(Value::Null(_)))
    }

    fn unless_null<T>(
        &self,
        column: usize,
        read: impl FnOnce(&Row, usize) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        if self.is_null(column) { Ok(None) } else { read(self, column).map(Some) }
    }

    pub(crate) fn int(&self, column: usize) -> Result<i64, StoreError> {
        match self.0.get(column) {
            Some(Value::Int(value)) => Ok(*value),
            _ => Err(self.wrong(column, Kind::Int)),
        }
    }

    /// A count.
    pub(crate) fn count(&self, column: usize) -> Result<u64, StoreError> {
        u64::try_from(self.int(column)?).map_err(|_| self.wrong(column, Kind::Int))
    }

    pub(crate) fn maybe_count(&self, column: usize) -> Result<Option<u64>, StoreError> {
        self.unless_null(column, Row::count)
    }

    pub(crate) fn small(&self, column: usize) -> Result<u32, StoreError> {
        u32::try_from(self.int(column)?).map_err(|_| self.wrong(column, Kind::Int))
    }

    pub(crate) fn bool(&self, column: usize) -> Result<bool, StoreError> {
        match self.0.get(column) {
            Some(Value::Bool(value)) => Ok(*value),
            // SQLite has no truth values.
            Some(Value::Int(value)) => Ok(*value != 0),
            _ => Err(self.wrong(column, Kind::Bool)),
        }
    }

    pub(crate) fn text(&self, column: usize) -> Result<&str, StoreError> {
        match self.0.get(column) {
            Some(Value::Text(value)) => Ok(value),
            _ => Err(self.wrong(column, Kind::Text)),
        }
    }

    pub(crate) fn maybe_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        if self.is_null(column) { Ok(None) } else { self.text(column).map(Some) }
    }

    pub(crate) fn key(&self, column: usize) -> Result<[u8; 16], StoreError> {
        match self.0.get(column) {
            Some(Value::Bytes(value)) => {
                value.as_slice().try_into().map_err(|_| self.wrong(column, Kind::Bytes))
            }
            _ => Err(self.wrong(column, Kind::Bytes)),
        }
    }

    pub(crate) fn id(&self, column: usize) -> Result<Uuid, StoreError> {
        match self.0.get(column) {
            Some(Value::Id(value)) => Ok(*value),
            // SQLite has no UUIDs.
            Some(Value::Bytes(value)) => Uuid::from_slice(value).map_err(|_| self.wrong(column, Kind::Id)),
            _ => Err(self.wrong(column, Kind::Id)),
        }
    }

    pub(crate) fn maybe_id(&self, column: usize) -> Result<Option<Uuid>, StoreError> {
        self.unless_null(column, Row::id)
    }

    pub(crate) fn time(&self, column: usize) -> Result<Timestamp, StoreError> {
        match self.0.get(column) {
            Some(Value::Time(value)) => Ok(*value),
            // SQLite has no times.
            Some(Value::Int(value)) => {
                Timestamp::from_microsecond(*value).map_err(|_| self.wrong(column, Kind::Time))
            }
            _ => Err(self.wrong(column, Kind::Time)),
        }
    }

    pub(crate) fn maybe_time(&self, column: usize) -> Result<Option<Timestamp>, StoreError> {
        self.unless_null(column, Row::time)
    }

    /// A document.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, column: usize) -> Result<T, StoreError> {
        serde_json::from_str(self.text(column)?)
            .map_err(|error| StoreError::Damaged(format!("a document cannot be read: {error}")))
    }

    pub(crate) fn maybe_json<T: serde::de::DeserializeOwned>(
        &self,
        column: usize,
    ) -> Result<Option<T>, StoreError> {
        if self.is_null(column) { Ok(None) } else { self.json(column).map(Some) }
    }

    /// A word of a closed set.
    pub(crate) fn word<T: std::str::FromStr>(&self, column: usize) -> Result<T, StoreError>
    where
        T::Err: std::fmt::Display,
    {
        self.text(column)?.parse().map_err(|error: T::Err| StoreError::Damaged(error.to_string()))
    }
}

/// A document, as it is stored. JSON escapes NUL, so hostile text comes back as it was.
pub(crate) fn json<T: serde::Serialize>(document: &T) -> Result<Value, StoreError> {
    serde_json::to_string(document)
        .map(Value::Text)
        .map_err(|error| StoreError::Damaged(format!("a document cannot be written: {error}")))
}

/// `$4, $5, $6`: places for so many values from a number on.
pub(crate) fn places(first: usize, count: usize) -> String {
    let mut text = String::with_capacity(count * 5);
    for number in first..first + count {
        if number > first {
            text.push_str(", ");
        }
        text.push('$');
        text.push_str(&number.to_string());
    }
    text
}

/// `($1, $2), ($3, $4)`: places for so many rows.
pub(crate) fn rows_of_places(rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * (columns * 5 + 4));
    for row in 0..rows {
        if row > 0 {
            text.push_str(", ");
        }
        text.push('(');
        text.push_str(&places(row * columns + 1, columns));
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_from_one() {
        assert_eq!(places(1, 3), "$1, $2, $3");
        assert_eq!(places(4, 0), "");
        assert_eq!(rows_of_places(2, 2), "($1, $2), ($3, $4)");
    }

    #[test]
    fn what_a_database_cannot_keep_is_replaced() {
        assert_eq!(Value::from("a\0b"), Value::Text("a\u{fffd}b".to_owned()));
        assert_eq!(json(&"a\0b").unwrap(), Value::Text("\"a\\u0000b\"".to_owned()));
        let time = Timestamp::from_nanosecond(1_234_567_891).unwrap();
        assert_eq!(Value::from(time), Value::Time(Timestamp::from_microsecond(1_234_567).unwrap()));
    }
}
