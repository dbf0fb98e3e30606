//! `psql` as the user that the application logs in as: whatever somebody types who has its password and is of one tenant.

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
};

use super::rows::{A, B, connect, seed, tables};
use crate::ground::Ground;

/// Runs scripts one after the other, each as far as it goes: what was printed, and what was said against it.
async fn psql(url: &str, scripts: &[String]) -> (String, String) {
    // What one leaves open or set is gone before the next.
    let lines: Vec<String> =
        scripts.iter().map(|script| format!("{script};\nROLLBACK;\nDISCARD ALL;\n")).collect();
    let (url, lines) = (url.to_owned(), lines.concat());
    let running = tokio::task::spawn_blocking(move || {
        let mut psql = Command::new("psql")
            .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--dbname", &url])
            .env("LC_MESSAGES", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = psql.stdin.take().unwrap();
        let writing = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
        let output = psql.wait_with_output().unwrap();
        writing.join().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    });
    running.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_types_statements_as_the_application_reads_nothing_of_another_tenant() {
    let ground = Ground::postgres().await;
    let owner = connect(&ground.owner).await;
    let all = tables(&owner).await;
    seed(&owner, &all).await;
    // What the planner knows of the values in all rows.
    owner.batch_execute("ANALYZE").await.unwrap();
    let store::Location::Postgres { url, .. } = ground.location.clone() else { panic!() };
    let as_b = format!("BEGIN; SET LOCAL ROLE rampart_tenant; SET LOCAL rampart.tenant = '{B}';");
    // In every row of A and in none of B stands something that tells.
    let signs: BTreeSet<String> = signs(&owner, &all).await;
    assert!(signs.len() > 20, "{signs:?}");
    let mut refused = 0;
    for table in &all {
        let name = format!("rampart.{}", table.name);
        let scripts = [
            // As nobody.
            format!("SELECT * FROM {name}"),
            format!("TABLE {name}"),
            format!("COPY {name} TO STDOUT"),
            format!("SET rampart.tenant = '{A}'; SELECT * FROM {name}"),
            // As the other tenant.
            format!("{as_b} SELECT * FROM {name}"),
            format!("{as_b} COPY {name} TO STDOUT"),
            format!("{as_b} COPY (SELECT * FROM {name}) TO STDOUT"),
            format!("{as_b} SELECT * FROM {name} WHERE tenant_id = '{A}' OR true"),
            format!("{as_b} PREPARE p AS SELECT * FROM {name}; EXECUTE p"),
            format!("{as_b} DECLARE c CURSOR FOR SELECT * FROM {name}; FETCH ALL FROM c"),
            format!("{as_b} CREATE TEMPORARY TABLE t AS SELECT * FROM {name}; SELECT * FROM t"),
            format!("{as_b} SET LOCAL row_security = off; SELECT * FROM {name}"),
            format!("{as_b} SELECT query_to_xml('SELECT * FROM {name}', true, true, '')"),
            format!(
                "{as_b} SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE tablename = '{}'",
                table.name
            ),
            // A function that tells what it is asked about, and is said to be cheaper than any policy.
            format!(
                "{as_b} CREATE FUNCTION pg_temp.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS \
                 $$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$; SELECT * FROM {name} WHERE pg_temp.tell({name}::text)"
            ),
            // A row that is seen in an error is seen, too.
            format!(
                "{as_b} SELECT * FROM {name} WHERE tenant_id = '{A}' AND 1 / (length({name}::text) * 0) > 0"
            ),
            // Afterwards nobody is anybody.
            format!("{as_b} COMMIT; SELECT * FROM {name}"),
        ];
        let (seen, said) = psql(&url, &scripts).await;
        let told = format!("{seen}{said}");
        let leaked: Vec<&String> = signs.iter().filter(|sign| told.contains(*sign)).collect();
        assert!(leaked.is_empty(), "{name}: {leaked:?} in {told}");
        assert!(!said.contains("closed the connection"), "{name}: {said}");
        refused += said.matches("ERROR:").count();
    }
    assert!(refused > all.len() * 5, "{refused} refused");
    for script in [
        "SET ROLE postgres".to_owned(),
        "SET SESSION AUTHORIZATION postgres".to_owned(),
        format!("{as_b} SET LOCAL ROLE postgres"),
        format!("{as_b} SELECT pg_read_file('postgresql.conf')"),
        format!("{as_b} COPY rampart.tasks TO PROGRAM 'cat'"),
        format!("{as_b} COPY rampart.tasks TO '/tmp/tasks'"),
        format!("{as_b} SELECT lo_import('/etc/hostname')"),
        format!(
            "{as_b} CREATE FUNCTION rampart.mine() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"
        ),
        format!("{as_b} CREATE VIEW public.mine AS SELECT * FROM rampart.tasks"),
        format!(
            "{as_b} CREATE OR REPLACE FUNCTION rampart.current_tenant() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'"
        ),
        format!("{as_b} ALTER TABLE rampart.tasks NO FORCE ROW LEVEL SECURITY"),
        format!("{as_b} CREATE POLICY mine ON rampart.tasks USING (true)"),
        format!("{as_b} GRANT TRUNCATE ON rampart.tasks TO rampart_tenant; TRUNCATE rampart.tasks CASCADE"),
        format!("{as_b} SET LOCAL session_replication_role = replica"),
        "ALTER ROLE rampart_tenant BYPASSRLS".to_owned(),
        "CREATE EXTENSION dblink".to_owned(),
    ] {
        let (seen, said) = psql(&url, std::slice::from_ref(&script)).await;
        assert!(said.contains("ERROR"), "{script}: {seen}{said}");
    }
    // What is counted for all is not read, and not counted on.
    let sql = "SELECT sequencename::text FROM pg_sequences WHERE schemaname = 'rampart'";
    for sequence in super::rows::texts(&owner, sql).await {
        for script in [
            format!("{as_b} SELECT setval('rampart.{sequence}', 1)"),
            format!("SELECT nextval('rampart.{sequence}')"),
            format!("SELECT last_value FROM rampart.{sequence}"),
        ] {
            let (seen, said) = psql(&url, std::slice::from_ref(&script)).await;
            assert!(said.contains("permission denied"), "{script}: {seen}{said}");
        }
    }
}

/// Texts that only stand in rows of A. Its id is in the statements themselves, and so in what is said against them.
async fn signs(owner: &tokio_postgres::Client, all: &[super::rows::Table]) -> BTreeSet<String> {
    let mut signs = BTreeSet::new();
    for table in all {
        let sql = format!(
            "SELECT value FROM rampart.{0} AS whole, jsonb_each_text(to_jsonb(whole)) WHERE tenant_id = '{A}' \
             AND length(value) > 8 AND NOT EXISTS (SELECT FROM rampart.{0} AS other, jsonb_each_text(to_jsonb(other)) AS theirs \
             WHERE other.tenant_id = '{B}' AND theirs.value = jsonb_each_text.value)",
            table.name
        );
        signs.extend(super::rows::texts(owner, &sql).await);
    }
    signs
}
