//! The same policies, told by pgTAP: its words and not ours.

use super::rows::{A, connect, seed, tables, texts};
use crate::ground::Ground;

/// Lines of TAP, one a row.
const PLAN: &str = "
SELECT 'begin', (no_plan())::text
UNION ALL SELECT tablename, policies_are('rampart', tablename, CASE
        WHEN tablename = 'audit' THEN ARRAY['of_tenant', 'of_queue', 'of_nobody']::name[]
        WHEN tablename = 'audit_checkpoints' THEN ARRAY['of_tenant', 'of_nobody']::name[]
        WHEN tablename IN ('tenants', 'tasks', 'scans', 'schedules', 'webhooks', 'keys', 'roles', 'request_keys', 'users', 'sessions', 'audit_ends', 'happenings', 'happening_ends') THEN ARRAY['of_tenant', 'of_queue']::name[]
        ELSE ARRAY['of_tenant']::name[] END)
    FROM (SELECT c.relname AS tablename FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        WHERE c.relnamespace = 'rampart'::regnamespace AND c.relkind = 'r') AS of_tenants
UNION ALL SELECT tablename, policy_roles_are('rampart', tablename, 'of_tenant'::name, ARRAY['rampart_tenant']::name[])
    FROM pg_policies WHERE policyname = 'of_tenant'
UNION ALL SELECT tablename, policy_cmd_is('rampart', tablename, 'of_tenant'::name, 'ALL') FROM pg_policies WHERE policyname = 'of_tenant'
UNION ALL SELECT tablename, policy_roles_are('rampart', tablename, 'of_queue'::name, ARRAY['rampart_queue']::name[])
    FROM pg_policies WHERE policyname = 'of_queue'
UNION ALL SELECT tablename, policy_cmd_is('rampart', tablename, 'of_queue'::name, cmd) FROM (VALUES ('tenants'::name, 'ALL'), ('tasks', 'ALL'),
    ('scans', 'SELECT'), ('schedules', 'SELECT'), ('webhooks', 'SELECT'), ('keys', 'ALL'), ('roles', 'SELECT'), ('request_keys', 'ALL'), ('users', 'SELECT'), ('sessions', 'ALL'), ('audit', 'INSERT'), ('audit_ends', 'ALL'), ('happenings', 'ALL'), ('happening_ends', 'ALL')) AS wanted (tablename, cmd)
UNION ALL SELECT tablename, policy_roles_are('rampart', tablename, 'of_nobody'::name, ARRAY['rampart_queue']::name[])
    FROM pg_policies WHERE policyname = 'of_nobody'
UNION ALL SELECT tablename, policy_cmd_is('rampart', tablename, 'of_nobody'::name, 'ALL') FROM pg_policies WHERE policyname = 'of_nobody'
UNION ALL SELECT role, isnt_superuser(role) FROM (VALUES ('rampart_tenant'::name), ('rampart_queue')) AS roles (role)
UNION ALL SELECT role, isnt_member_of(role, ARRAY['pg_read_all_data', 'pg_write_all_data', other]::name[])
    FROM (VALUES ('rampart_tenant'::name, 'rampart_queue'), ('rampart_queue', 'rampart_tenant')) AS roles (role, other)
UNION ALL SELECT relname, is_empty(format('SELECT 1 FROM rampart.%I WHERE tenant_id IS DISTINCT FROM %L', relname, '{TENANT}'),
    format('%s shows one tenant', relname))
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
    WHERE c.relnamespace = 'rampart'::regnamespace AND c.relkind = 'r' AND current_user = 'rampart_tenant'
        AND has_table_privilege(c.oid, 'SELECT')
";

async fn not_ok(client: &tokio_postgres::Client) -> (usize, Vec<String>) {
    let sql = PLAN.replace("{TENANT}", A);
    let mut lines = Vec::new();
    // As who sees everything, for the catalogue; and as a tenant, for the rows.
    for role in ["", "SET LOCAL ROLE rampart_tenant"] {
        let begin = format!(
            "SAVEPOINT tap; {role}; SET LOCAL rampart.tenant = '{A}'; SET LOCAL search_path = public, pg_temp"
        );
        client.batch_execute(&begin).await.unwrap();
        let tap = format!("SELECT line FROM ({sql}) AS tap (what, line) WHERE line ~ '^(not )?ok'");
        lines.extend(texts(client, &tap).await);
        client.batch_execute("ROLLBACK TO tap").await.unwrap();
    }
    let bad = lines.iter().filter(|line| line.starts_with("not ok")).cloned().collect();
    (lines.len(), bad)
}

#[tokio::test(flavor = "multi_thread")]
async fn pgtap_finds_every_policy_as_it_should_be_and_notices_when_one_is_not() {
    let ground = Ground::postgres().await;
    let owner = connect(&ground.owner).await;
    let available =
        texts(&owner, "SELECT name::text FROM pg_available_extensions WHERE name = 'pgtap'").await;
    assert_eq!(available, ["pgtap"], "apt-get install --no-install-recommends pgtap (test.sh does)");
    owner.batch_execute("CREATE EXTENSION pgtap SCHEMA public").await.unwrap();
    let all = tables(&owner).await;
    seed(&owner, &all).await;
    owner.batch_execute("BEGIN").await.unwrap();
    let (lines, bad) = not_ok(&owner).await;
    assert!(lines >= 4 * all.len(), "only {lines} lines");
    assert_eq!(bad, Vec::<String>::new());
    for sql in [
        "DROP POLICY of_tenant ON rampart.findings",
        "ALTER POLICY of_tenant ON rampart.findings USING (true)",
        "ALTER POLICY of_tenant ON rampart.findings TO PUBLIC",
        "ALTER TABLE rampart.findings DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY more ON rampart.findings FOR SELECT USING (true)",
        "CREATE TABLE rampart.more (tenant_id uuid)",
    ] {
        owner.batch_execute(&format!("SAVEPOINT mutation; {sql}")).await.unwrap();
        let (_, bad) = not_ok(&owner).await;
        assert!(!bad.is_empty(), "{sql}");
        owner.batch_execute("ROLLBACK TO mutation").await.unwrap();
    }
}
