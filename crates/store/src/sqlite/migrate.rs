//! Brings a file's schema up to date.

use rusqlite::Connection;

use super::error;
use crate::{
    StoreError,
    steps::{Step, Taken, left},
};

/// In order; the file remembers which it has.
pub(crate) const STEPS: &[Step] =
    &[Step { name: "0001_begin", sql: include_str!("0001_begin.sql"), needs: 1 }];

pub(super) fn migrate(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch("BEGIN IMMEDIATE").map_err(error)?;
    let migrated = steps(connection);
    let end = if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" };
    connection.execute_batch(end).map_err(error)?;
    migrated
}

fn steps(connection: &Connection) -> Result<(), StoreError> {
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS rampart_steps (number INTEGER PRIMARY KEY, name TEXT NOT NULL, digest BLOB NOT NULL, \
             needs INTEGER NOT NULL, taken_at INTEGER NOT NULL) STRICT",
        )
        .map_err(error)?;
    let before = taken(connection).map_err(error)?;
    for (number, step) in (before.len()..).zip(left(STEPS, &before)?) {
        connection.execute_batch(step.sql).map_err(error)?;
        let sql = "INSERT INTO rampart_steps (number, name, digest, needs, taken_at) \
                   VALUES (?1, ?2, ?3, ?4, unixepoch() * 1000000)";
        let values = (number as i64, step.name, step.digest(), step.needs as i64);
        connection.execute(sql, values).map_err(error)?;
    }
    Ok(())
}

/// The steps that the file has taken, in order.
fn taken(connection: &Connection) -> rusqlite::Result<Vec<Taken>> {
    let mut asked = connection.prepare("SELECT name, digest, needs FROM rampart_steps ORDER BY number")?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Taken { name: row.get(0)?, digest: row.get(1)?, needs: row.get::<_, i64>(2)?.unsigned_abs() })
    };
    asked.query_map((), read)?.collect()
}
