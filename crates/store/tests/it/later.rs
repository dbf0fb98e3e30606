//! This program with a schema that a later release has brought further.

use std::path::Path;

use store::{Store, StoreError};
use tokio_postgres::NoTls;

use crate::ground::Ground;

/// What a step needs that only adds: whoever knows the first is welcome.
pub(crate) const NOTHING_NEW: i64 = 1;

/// As [`testkit::postgres::later_step`].
pub(crate) fn take_in_sqlite(file: &Path, needs: i64) {
    let connection = rusqlite::Connection::open(file).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'rampart_steps'";
    let mut asked = connection.prepare(sql).unwrap();
    let tables = asked.query_map((), |row| row.get(0)).unwrap().collect::<Result<Vec<String>, _>>().unwrap();
    assert!(tables.len() >= 18, "only {tables:?}");
    let columns = tables.iter().map(|table| {
        format!(
            "ALTER TABLE {table} ADD COLUMN later_note TEXT DEFAULT 'of a later release'; \
             ALTER TABLE {table} ADD COLUMN later_count INTEGER NOT NULL DEFAULT 7;"
        )
    });
    let columns: String = columns.collect();
    let more = "CREATE TABLE later_things (thing INTEGER PRIMARY KEY, note TEXT NOT NULL); \
                CREATE INDEX tasks_by_note ON tasks (tenant_id, later_note);";
    connection.execute_batch(&format!("BEGIN; {columns} {more} COMMIT")).unwrap();
    let sql = "INSERT INTO rampart_steps (number, name, digest, needs, taken_at) VALUES (1, ?1, ?2, ?3, 0)";
    connection.execute(sql, ("0002_later", [2_u8; 32], needs)).unwrap();
}

pub(crate) async fn take_in_postgres(owner: &str, needs: i64) {
    let (client, connection) = tokio_postgres::connect(owner, NoTls).await.unwrap();
    // It ends with its client.
    tokio::spawn(async move { connection.await.ok() });
    client.batch_execute(&testkit::postgres::later_step(needs)).await.unwrap();
}

#[track_caller]
fn assert_left_behind<T: std::fmt::Debug>(refused: Result<T, StoreError>) {
    let Err(StoreError::Schema(why)) = &refused else { panic!("{refused:?}") };
    assert!(why.contains("`0002_later`, which needs a program that knows 2 steps"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_step_that_leaves_this_program_behind_is_seen_before_anything_is_done() {
    let Ground { store, location, _directory, .. } = Ground::sqlite().await;
    drop(store);
    let store::Location::Sqlite(file) = &location else { panic!() };
    take_in_sqlite(file, 2);
    assert_left_behind(Store::open(&location).await);

    let Ground { store, location, owner, .. } = Ground::postgres().await;
    drop(store);
    take_in_postgres(&owner, 2).await;
    assert_left_behind(Store::open(&location).await);
    assert_left_behind(store::migrate(&owner, &[]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn migrating_what_is_further_takes_no_step() {
    let ground = Ground::later_postgres().await;
    assert_eq!(store::migrate(&ground.owner, &[]).await.unwrap(), Vec::<String>::new());
}
