//! What is stored, without asking the store.

use std::collections::BTreeMap;

use rusqlite::types::ValueRef;
use serde_json::Value;
use store::Location;

use crate::ground::Ground;

/// The rows of a table that are the tenant's.
pub(crate) async fn rows(ground: &Ground, table: &str) -> Vec<BTreeMap<String, Value>> {
    if let Location::Sqlite(file) = &ground.location {
        let database = rusqlite::Connection::open(file).unwrap();
        let mut statement = database.prepare(&format!("SELECT * FROM {table} WHERE tenant_id = ?1")).unwrap();
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let read = |row: &rusqlite::Row<'_>| {
            names
                .iter()
                .enumerate()
                .map(|(column, name)| {
                    let value = match row.get_ref(column)? {
                        ValueRef::Null => Value::Null,
                        ValueRef::Integer(number) => number.into(),
                        ValueRef::Real(number) => number.into(),
                        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
                        ValueRef::Blob(bytes) => hex(bytes).into(),
                    };
                    Ok((name.clone(), value))
                })
                .collect()
        };
        let tenant = ground.tenant.as_uuid().as_bytes().to_vec();
        return statement.query_map([tenant], read).unwrap().collect::<Result<_, _>>().unwrap();
    }
    let (owner, connection) = tokio_postgres::connect(&ground.owner, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(async move { connection.await.ok() });
    let sql = format!(
        "SELECT to_jsonb(known)::text FROM rampart.{table} AS known WHERE tenant_id = '{}'",
        ground.tenant
    );
    let rows = owner.query(&sql, &[]).await.unwrap();
    rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
}

/// Changes what is stored, as whoever runs the database can. Whether the database let them.
pub(crate) async fn forge(ground: &Ground, sql: &str) -> Result<(), String> {
    if let Location::Sqlite(file) = &ground.location {
        let database = rusqlite::Connection::open(file).unwrap();
        return database.execute_batch(sql).map_err(|error| error.to_string());
    }
    let (owner, connection) = tokio_postgres::connect(&ground.owner, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(async move { connection.await.ok() });
    owner.batch_execute(&format!("SET search_path = rampart; {sql}")).await.map_err(|error| error.to_string())
}

/// Who did what to how many, and which: what the audit says of actions that begin like this, in order.
pub(crate) async fn audited(ground: &Ground, action: &str) -> Vec<[String; 4]> {
    let mut entries = rows(ground, "audit").await;
    entries.retain(|entry| entry["action"].as_str().unwrap().starts_with(action));
    entries.sort_by_key(|entry| entry["sequence"].as_i64());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    entries
        .iter()
        .map(|entry| ["actor", "action", "subject", "detail"].map(|name| text(&entry[name])))
        .collect()
}
