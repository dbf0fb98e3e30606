//! The tenants' tables as the catalogue tells of them, and rows for each: a table that is new is tested without being named.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use tokio_postgres::{Client, NoTls};

/// A foreign key.
pub(super) struct ForeignKey {
    columns: Vec<String>,
    table: String,
    foreign: Vec<String>,
}

struct Column {
    name: String,
    kind: String,
    /// The first word that a condition on the column allows.
    word: Option<String>,
}

/// A table with a column `tenant_id`.
pub(super) struct Table {
    pub(super) name: String,
    columns: Vec<Column>,
    pub(super) unique: Vec<Vec<String>>,
    pub(super) foreign: Vec<ForeignKey>,
}

/// Of whom a value is: `a` and `b` have rows in every table, `c` has none.
pub(super) type Whose = char;

pub(super) const A: &str = "00000000-0000-7000-8000-00000000000a";
pub(super) const B: &str = "00000000-0000-7000-8000-00000000000b";

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    // It ends with its client.
    tokio::spawn(async move { connection.await.ok() });
    client
}

/// The first column of each row, as text.
pub(super) async fn texts(client: &Client, sql: &str) -> Vec<String> {
    let rows = client.query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

/// Every table of tenants; those that others refer to come first.
pub(super) async fn tables(client: &Client) -> Vec<Table> {
    let names = texts(
        client,
        "SELECT relname::text FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'tenant_id' \
         WHERE relnamespace = 'rampart'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname",
    )
    .await;
    let mut left = Vec::new();
    for name in names {
        left.push(table(client, name).await);
    }
    let mut ordered: Vec<Table> = Vec::new();
    while !left.is_empty() {
        let known: BTreeSet<String> = ordered.iter().map(|table| table.name.clone()).collect();
        let ready = |table: &Table| {
            table.foreign.iter().all(|key| key.table == table.name || known.contains(&key.table))
        };
        let at = left.iter().position(ready).expect("no two tables need each other first");
        ordered.push(left.remove(at));
    }
    ordered
}

async fn table(client: &Client, name: String) -> Table {
    let of = format!("'rampart.{name}'::regclass");
    let sql = format!(
        "SELECT attname::text, format_type(atttypid, NULL), (SELECT substring(pg_get_constraintdef(pg_constraint.oid) FROM \
         '''([^'']*)''') FROM pg_constraint WHERE contype = 'c' AND conrelid = attrelid AND conkey = ARRAY[attnum] LIMIT 1) \
         FROM pg_attribute WHERE attrelid = {of} AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    );
    let columns = client.query(&sql, &[]).await.unwrap();
    let columns =
        columns.iter().map(|row| Column { name: row.get(0), kind: row.get(1), word: row.get(2) }).collect();
    let names = "(SELECT array_agg(attname::text ORDER BY place) FROM unnest(keys) WITH ORDINALITY AS key (number, place) \
                 JOIN pg_attribute ON attrelid = of AND attnum = number)";
    let sql = format!(
        "SELECT {names} FROM (SELECT indrelid AS of, indkey::int2[] AS keys FROM pg_index WHERE indrelid = {of} \
         AND indisunique AND indpred IS NULL AND indexprs IS NULL) AS indexes"
    );
    let unique = client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let sql = format!(
        "SELECT relname::text, (SELECT array_agg(attname::text ORDER BY place) FROM unnest(conkey) WITH ORDINALITY AS key \
         (number, place) JOIN pg_attribute ON attrelid = conrelid AND attnum = number), (SELECT array_agg(attname::text \
         ORDER BY place) FROM unnest(confkey) WITH ORDINALITY AS key (number, place) JOIN pg_attribute ON attrelid = confrelid \
         AND attnum = number) FROM pg_constraint JOIN pg_class ON pg_class.oid = confrelid WHERE conrelid = {of} AND contype = 'f'"
    );
    let foreign = client.query(&sql, &[]).await.unwrap();
    let foreign = foreign
        .iter()
        .map(|row| ForeignKey { table: row.get(0), columns: row.get(1), foreign: row.get(2) })
        .collect();
    Table { name, columns, unique, foreign }
}

impl ForeignKey {
    /// Those that say which row of the tenant.
    pub(super) fn within_tenant(&self) -> Vec<&str> {
        self.columns.iter().map(String::as_str).filter(|column| *column != "tenant_id").collect()
    }
}

impl Table {
    /// A column that no key needs, to be written to.
    pub(super) fn payload(&self) -> &str {
        let last = self.columns.iter().rev().find(|column| column.name != "tenant_id");
        &last.expect("a table has more than a tenant").name
    }

    fn value(&self, column: &Column, whose: Whose, all: &[Table]) -> String {
        if column.name == "tenant_id" {
            return format!("'00000000-0000-7000-8000-00000000000{whose}'");
        }
        if (self.name.as_str(), column.name.as_str()) == ("conversations", "scan_id") {
            // It is about a finding already.
            return "NULL".to_owned();
        }
        for key in &self.foreign {
            if let Some(place) = key.columns.iter().position(|name| *name == column.name)
                && let Some(other) = all.iter().find(|table| table.name == key.table)
                && let Some(foreign) = other.columns.iter().find(|other| other.name == key.foreign[place])
            {
                return other.value(foreign, whose, all);
            }
        }
        if (self.name.as_str(), column.name.as_str()) == ("evidence", "object") {
            // It is in its row already.
            return "NULL".to_owned();
        }
        let text = format!("{} {} {whose}", self.name, column.name);
        match (column.kind.as_str(), &column.word) {
            ("text", Some(word)) => format!("'{word}'"),
            ("text", None) => format!("'{text}'"),
            ("uuid", _) => format!("md5('{text}')::uuid"),
            ("bytea", _) => format!("decode(md5('{text}'), 'hex')"),
            // Beyond what the database has counted to by itself.
            ("bigint" | "integer", _) => (u32::from(whose) - u32::from('a') + 901).to_string(),
            ("boolean", _) => "false".to_owned(),
            ("timestamp with time zone", _) => "'2030-01-01T00:00:00Z'".to_owned(),
            (other, _) => panic!("{}.{}: no value of type {other} is known here", self.name, column.name),
        }
    }

    /// A row whose columns are of whom the function says.
    pub(super) fn insert(&self, all: &[Table], whose: impl Fn(&str) -> Whose) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        let values: Vec<String> =
            self.columns.iter().map(|column| self.value(column, whose(&column.name), all)).collect();
        format!(
            "INSERT INTO rampart.{} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
            self.name,
            names.join(", "),
            values.join(", ")
        )
    }
}

/// Gives `a` and `b` a row in each table, as somebody whom no policy binds.
pub(super) async fn seed(client: &Client, all: &[Table]) {
    for table in all {
        for whose in ['a', 'b'] {
            let sql = table.insert(all, |_| whose);
            client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
    }
}

/// Until so many transactions of the database wait for a lock.
pub(super) async fn waiting(client: &Client, count: usize) {
    let sql = "SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until(client, sql, &[&count.to_string()]).await;
}

/// Until no transaction of the database is open but the asker's own. One whose asker has gone ends by itself.
pub(super) async fn quiet(client: &Client) {
    let sql = "SELECT state || ': ' || query FROM pg_stat_activity WHERE datname = current_database() \
               AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle'";
    until(client, sql, &[]).await;
}

/// Asks again and again, for a minute at most.
async fn until(client: &Client, sql: &str, wanted: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let seen = texts(client, sql).await;
        if seen == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{seen:?} instead of {wanted:?}");
        tokio::task::yield_now().await;
    }
}
