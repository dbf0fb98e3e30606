//! Every table of tenants, and everything that one tenant can try with the rows of another.

use tokio_postgres::{Client, SimpleQueryMessage, error::SqlState};

use super::rows::{A, B, Table, connect, seed, tables};
use crate::ground::Ground;

/// What came of a statement: how many rows, or why not.
pub(super) type Outcome = Result<u64, SqlState>;

/// As the tenant's role, with that tenant set, and undone afterwards. The connection has a transaction open.
pub(super) async fn attempt(client: &Client, tenant: Option<&str>, sql: &str) -> Outcome {
    let tenant = tenant.map(|tenant| format!("SET LOCAL rampart.tenant = '{tenant}';")).unwrap_or_default();
    let sql = format!("SAVEPOINT attempt; SET LOCAL ROLE rampart_tenant; {tenant} {sql}");
    let answered = client.simple_query(&sql).await;
    client.batch_execute("ROLLBACK TO attempt").await.unwrap();
    let answers = answered.map_err(|error| {
        error.code().cloned().unwrap_or_else(|| panic!("{sql}: the connection is gone: {error}"))
    })?;
    let count = answers.iter().rev().find_map(|answer| match answer {
        SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
        _ => None,
    });
    Ok(count.expect("a statement ends"))
}

fn refused(outcome: &Outcome) -> bool {
    *outcome == Err(SqlState::INSUFFICIENT_PRIVILEGE)
}

/// What tenant B can do with the rows of A in one table. Both have one; the connection has a transaction open.
pub(super) async fn breaches(client: &Client, table: &Table, all: &[Table]) -> Vec<String> {
    let name = format!("rampart.{}", table.name);
    let payload = table.payload();
    let mut breaches = Vec::new();
    let mut expect = |what: String, outcome: Outcome, good: &dyn Fn(&Outcome) -> bool| {
        if !good(&outcome) {
            breaches.push(format!("{name}: {what}: {outcome:?}"));
        }
    };
    let nothing = |outcome: &Outcome| *outcome == Ok(0) || refused(outcome);

    let own = attempt(client, Some(B), &format!("SELECT 1 FROM {name} WHERE tenant_id = '{B}'")).await;
    expect("sees its own row".to_owned(), own, &|outcome| *outcome == Ok(1));
    for (what, sql) in [
        ("reads", format!("SELECT 1 FROM {name} WHERE tenant_id IS DISTINCT FROM '{B}'")),
        (
            "reads in a join",
            format!(
                "SELECT 1 FROM {name} AS one JOIN {name} AS other USING (tenant_id) WHERE one.tenant_id = '{A}'"
            ),
        ),
        (
            "updates",
            format!("UPDATE {name} SET {payload} = {payload} WHERE tenant_id IS DISTINCT FROM '{B}'"),
        ),
        ("deletes", format!("DELETE FROM {name} WHERE tenant_id IS DISTINCT FROM '{B}'")),
    ] {
        expect(what.to_owned(), attempt(client, Some(B), &sql).await, &nothing);
    }
    for (what, sql) in [
        ("locks", format!("SELECT 1 FROM {name} WHERE tenant_id = '{A}' FOR UPDATE")),
        ("locks for a key", format!("SELECT 1 FROM {name} WHERE tenant_id = '{A}' FOR KEY SHARE")),
    ] {
        expect(what.to_owned(), attempt(client, Some(B), &sql).await, &nothing);
    }
    let without_condition =
        attempt(client, Some(B), &format!("UPDATE {name} SET {payload} = {payload}")).await;
    expect("updates without a condition".to_owned(), without_condition, &|outcome| {
        *outcome == Ok(1) || refused(outcome)
    });
    for (what, sql) in [
        ("gives its row away", format!("UPDATE {name} SET tenant_id = '{A}' WHERE tenant_id = '{B}'")),
        ("inserts", table.insert(all, |column| if column == "tenant_id" { 'a' } else { 'c' })),
        ("truncates", format!("TRUNCATE {name} CASCADE")),
        ("switches row-level security off", format!("ALTER TABLE {name} DISABLE ROW LEVEL SECURITY")),
    ] {
        expect(what.to_owned(), attempt(client, Some(B), &sql).await, &|outcome| refused(outcome));
    }
    for key in &table.unique {
        let conflict = |insert: String| {
            format!("{insert} ON CONFLICT ({}) DO UPDATE SET {payload} = excluded.{payload}", key.join(", "))
        };
        let same = conflict(table.insert(all, |_| 'a'));
        let outcome = attempt(client, Some(B), &same).await;
        expect(format!("upserts on {key:?}"), outcome, &|outcome| refused(outcome));
        // As its own row, but for what makes it meet the other.
        let own = |column: &str| match column {
            "tenant_id" => 'b',
            column if key.iter().any(|name| name == column) => 'a',
            _ => 'c',
        };
        let changes_other = format!(
            "WITH changed AS ({} RETURNING tenant_id) SELECT 1 FROM changed WHERE tenant_id <> '{B}'",
            conflict(table.insert(all, own))
        );
        let outcome = attempt(client, Some(B), &changes_other).await;
        expect(format!("upserts its own row on {key:?} of the other"), outcome, &|outcome| {
            *outcome == Ok(0) || refused(outcome) || *outcome == Err(SqlState::FOREIGN_KEY_VIOLATION)
        });
    }
    for key in &table.foreign {
        let pointing = key.within_tenant();
        if pointing.is_empty() {
            continue;
        }
        let sql = table.insert(all, |column| match column {
            "tenant_id" => 'b',
            column if pointing.contains(&column) => 'a',
            _ => 'c',
        });
        let outcome = attempt(client, Some(B), &sql).await;
        expect(format!("points with {pointing:?} at the other's row"), outcome, &|outcome| {
            refused(outcome) || *outcome == Err(SqlState::FOREIGN_KEY_VIOLATION)
        });
    }
    for nobody in [None, Some("")] {
        let sql = format!("SELECT 1 FROM {name}");
        expect(format!("reads as {nobody:?}"), attempt(client, nobody, &sql).await, &nothing);
        let sql = format!("DELETE FROM {name}");
        expect(format!("deletes as {nobody:?}"), attempt(client, nobody, &sql).await, &nothing);
        let sql = table.insert(all, |_| 'c');
        expect(format!("inserts as {nobody:?}"), attempt(client, nobody, &sql).await, &|outcome| {
            refused(outcome)
        });
    }
    breaches
}

fn user_url(ground: &Ground) -> String {
    match &ground.location {
        store::Location::Postgres { url, .. } => url.clone(),
        store::Location::Sqlite(_) => panic!("this is about PostgreSQL"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenant_can_do_nothing_with_the_rows_of_another_in_any_table() {
    let ground = Ground::postgres().await;
    let owner = connect(&ground.owner).await;
    let all = tables(&owner).await;
    assert!(all.len() >= 18, "only {} tables", all.len());
    seed(&owner, &all).await;
    // As a real user of the application, and as a superuser who has become the tenant's role.
    let user = connect(&user_url(&ground)).await;
    for client in [&user, &owner] {
        client.batch_execute("BEGIN").await.unwrap();
        let mut found = Vec::new();
        for table in &all {
            found.extend(breaches(client, table, &all).await);
        }
        client.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(found, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_tenant_and_without_a_role_there_is_nothing() {
    let ground = Ground::postgres().await;
    let owner = connect(&ground.owner).await;
    let all = tables(&owner).await;
    seed(&owner, &all).await;
    let user = connect(&user_url(&ground)).await;
    for table in &all {
        let name = &table.name;
        let count = format!("SELECT count(*) FROM rampart.{name}");
        let as_tenant = "BEGIN; SET LOCAL ROLE rampart_tenant";
        // On one connection: never set, set, and set before.
        for (tenant, rows) in [(None, 0), (Some(A), 1), (None, 0), (Some(""), 0), (None, 0)] {
            user.batch_execute(as_tenant).await.unwrap();
            if let Some(tenant) = tenant {
                let sql = "SELECT set_config('rampart.tenant', $1, true)";
                user.execute(sql, &[&tenant]).await.unwrap();
            }
            let seen: i64 = user.query_one(&count, &[]).await.unwrap().get(0);
            assert_eq!(seen, rows, "{name} as {tenant:?}");
            user.batch_execute("COMMIT").await.unwrap();
        }
        // Before it, nothing is set; afterwards it is set to nothing.
        let setting = user.query_one("SELECT current_setting('rampart.tenant', true)", &[]).await.unwrap();
        assert_eq!(setting.get::<_, Option<&str>>(0), Some(""), "{name}");
        user.batch_execute(&format!("{as_tenant}; SET LOCAL rampart.tenant = 'everybody'")).await.unwrap();
        let error = user.query(&count, &[]).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INVALID_TEXT_REPRESENTATION), "{name}");
        user.batch_execute("ROLLBACK").await.unwrap();
        // Whoever forgets to become somebody is nobody, also with a tenant set.
        user.batch_execute(&format!("BEGIN; SET LOCAL rampart.tenant = '{A}'")).await.unwrap();
        let error = user.query(&count, &[]).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{name}");
        user.batch_execute("ROLLBACK").await.unwrap();
    }
}
