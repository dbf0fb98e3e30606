//! Brings a file's schema up to date. Forward only: each step is added, none is changed.

use rusqlite::Connection;

use super::error;
use crate::StoreError;

/// In order; the file remembers how many it has.
const STEPS: &[&str] = &[include_str!("0001_begin.sql")];

pub(super) fn migrate(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch("BEGIN IMMEDIATE").map_err(error)?;
    let migrated = steps(connection);
    let end = if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" };
    connection.execute_batch(end).map_err(error)?;
    migrated
}

fn steps(connection: &Connection) -> Result<(), StoreError> {
    let version: i64 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(error)?;
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    let Some(left) = STEPS.get(done..) else {
        return Err(StoreError::Schema(format!(
            "the database is at step {version} and this program knows {}: it was used by a newer one",
            STEPS.len()
        )));
    };
    for step in left {
        connection.execute_batch(step).map_err(error)?;
    }
    connection.pragma_update(None, "user_version", STEPS.len() as i64).map_err(error)
}
