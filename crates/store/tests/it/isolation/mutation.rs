//! Whether the tests would notice: the schema is made worse in every way, one at a time, and something must turn red.

use super::{
    gate::faults,
    matrix::breaches,
    rows::{connect, seed, tables, texts},
};

/// What is done to the schema, and to which table.
struct Mutation {
    table: String,
    sql: String,
    /// One tenant can do something to another by it, or can do nothing to its own any more.
    shows: bool,
}

fn of_policies(policies: &[(String, String)]) -> Vec<Mutation> {
    let mut mutations = Vec::new();
    for (table, policy) in policies {
        let mut add = |sql: String, shows: bool| {
            mutations.push(Mutation { table: table.clone(), sql, shows });
        };
        let (tenant, on) = (policy == "of_tenant", format!("{policy} ON rampart.{table}"));
        add(format!("DROP POLICY {on}"), tenant);
        if tenant {
            add(format!("ALTER POLICY {on} USING (true)"), true);
            // Where there is no right to write, a policy that lets everything be written shows in the catalogue only.
            add(format!("ALTER POLICY {on} WITH CHECK (true)"), table != "tenants");
            add(format!("ALTER POLICY {on} USING (tenant_id IS NOT NULL) WITH CHECK (true)"), true);
            add(format!("ALTER POLICY {on} TO rampart_tenant, rampart_queue"), false);
            add(format!("ALTER TABLE rampart.{table} NO FORCE ROW LEVEL SECURITY"), false);
            add(format!("ALTER TABLE rampart.{table} DISABLE ROW LEVEL SECURITY"), true);
            add(format!("CREATE POLICY more ON rampart.{table} TO rampart_tenant USING (true)"), true);
            add(format!("CREATE POLICY more ON rampart.{table} TO PUBLIC USING (true)"), true);
            add(format!("GRANT SELECT ON rampart.{table} TO PUBLIC"), false);
            // What others refer to can only be emptied together with them.
            let referred = ["findings", "scans", "tasks", "tenants", "users", "conversations", "comments"];
            let alone = !referred.contains(&table.as_str());
            add(format!("GRANT TRUNCATE ON rampart.{table} TO rampart_tenant"), alone);
        } else {
            // Those of nobody are in no tenant's table.
            add(format!("ALTER POLICY {on} TO rampart_tenant"), policy != "of_nobody");
            // What is too old, over, or purged, it deletes already.
            if !["happenings", "sessions", "audit"].contains(&table.as_str()) {
                add(format!("GRANT DELETE ON rampart.{table} TO rampart_queue"), false);
            }
        }
    }
    mutations
}

/// What touches no single policy.
const OTHERS: &[(&str, &str, bool)] = &[
    ("tasks", "ALTER ROLE rampart_tenant BYPASSRLS", true),
    ("tasks", "ALTER ROLE rampart_tenant SUPERUSER", true),
    ("tasks", "ALTER ROLE rampart_queue CREATEROLE", false),
    ("tasks", "ALTER TABLE rampart.tasks OWNER TO rampart_tenant", true),
    ("tasks", "GRANT rampart_queue TO rampart_tenant", true),
    ("tasks", "GRANT SELECT ON rampart.stops TO rampart_tenant", false),
    ("scans", "GRANT SELECT (request) ON rampart.scans TO rampart_queue", false),
    ("findings", "GRANT SELECT ON rampart.findings TO rampart_queue", false),
    ("tasks", "CREATE VIEW rampart.peek AS SELECT * FROM rampart.tasks", false),
    ("tasks", "CREATE MATERIALIZED VIEW rampart.peek AS SELECT * FROM rampart.tasks", false),
    (
        "tasks",
        "CREATE FUNCTION rampart.peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM rampart.tasks'",
        false,
    ),
    ("tasks", "CREATE TABLE rampart.more (tenant_id uuid, body text)", false),
    ("tasks", "CREATE INDEX more ON rampart.tasks (work)", false),
    ("findings", "ALTER TABLE rampart.findings ADD COLUMN scan_id text", false),
    ("tasks", "ALTER TABLE rampart.tasks DROP CONSTRAINT tasks_tenant_id_scan_id_fkey", true),
    (
        "schedules",
        "UPDATE rampart.schedules SET last_scan = NULL; ALTER TABLE rampart.scans ADD UNIQUE (scan_id); ALTER TABLE rampart.schedules ADD FOREIGN KEY (last_scan) REFERENCES rampart.scans (scan_id)",
        false,
    ),
    (
        "tasks",
        "CREATE OR REPLACE FUNCTION rampart.current_tenant() RETURNS uuid LANGUAGE sql STABLE AS \
     $$ SELECT '00000000-0000-7000-8000-00000000000a'::uuid $$",
        true,
    ),
    ("tasks", "GRANT EXECUTE ON FUNCTION rampart.current_tenant() TO PUBLIC", false),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_policy_that_is_weakened_turns_something_red() {
    // Roles belong to a whole server, so this one is nobody else's.
    let server = tokio::task::spawn_blocking(testkit::postgres::Server::start).await.unwrap();
    let url = server.superuser_url();
    store::migrate(&url, &[]).await.unwrap();
    let client = connect(&url).await;
    client.batch_execute("BEGIN").await.unwrap();
    let all = tables(&client).await;
    seed(&client, &all).await;
    assert_eq!(faults(&client).await, Vec::<String>::new());
    let policies = texts(&client, "SELECT tablename || ' ' || policyname FROM pg_policies ORDER BY 1").await;
    let policies: Vec<(String, String)> = policies
        .iter()
        .filter_map(|both| both.split_once(' ').map(|(table, policy)| (table.to_owned(), policy.to_owned())))
        .collect();
    assert!(policies.len() >= 24, "only {} policies", policies.len());
    let others = OTHERS.iter().map(|(table, sql, shows)| Mutation {
        table: (*table).to_owned(),
        sql: (*sql).to_owned(),
        shows: *shows,
    });
    let mut green = Vec::new();
    let mut count = 0;
    for Mutation { table, sql, shows } in of_policies(&policies).into_iter().chain(others) {
        client.batch_execute("SAVEPOINT mutation").await.unwrap();
        client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let table = all.iter().find(|one| one.name == table).expect("a table of tenants");
        let (in_gate, in_matrix) = (faults(&client).await, breaches(&client, table, &all).await);
        println!("{sql}\n    gate: {}, matrix: {}", in_gate.len(), in_matrix.len());
        if in_gate.is_empty() {
            green.push(format!("{sql}: the gate"));
        }
        if in_matrix.is_empty() == shows {
            green.push(format!("{sql}: the matrix, which found {in_matrix:?}"));
        }
        client.batch_execute("ROLLBACK TO mutation").await.unwrap();
        count += 1;
    }
    assert_eq!(green, Vec::<String>::new(), "of {count} mutations these were not noticed as they should");
    assert_eq!(faults(&client).await, Vec::<String>::new(), "nothing is left of them");
}
