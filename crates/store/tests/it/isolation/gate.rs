//! What the catalogue must say. A table, a policy or a right that is new is looked at here before it is anywhere.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use super::rows::{connect, texts};
use crate::ground::Ground;

/// Each finds what must not be, one row a fault.
const FAULTS: &[&str] = &[
    // Enabled without forced, policies mean nothing to the owner.
    "SELECT format('%s: row-level security is not enabled and forced', attrelid::regclass) FROM pg_attribute \
     JOIN pg_class ON pg_class.oid = attrelid WHERE attname = 'tenant_id' AND relkind IN ('r', 'p', 'f') \
     AND NOT attisdropped AND NOT (relrowsecurity AND relforcerowsecurity)",
    "SELECT format('%s: not exactly one policy of the tenant, for everything, reading and writing', attrelid::regclass) \
     FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid WHERE attname = 'tenant_id' AND relkind IN ('r', 'p', 'f') \
     AND 1 <> (SELECT count(*) FILTER (WHERE polpermissive AND polcmd = '*' AND polroles = ARRAY['rampart_tenant'::regrole::oid] \
     AND replace(pg_get_expr(polqual, polrelid), 'rampart.', '') = '(tenant_id = ( SELECT current_tenant() AS current_tenant))' \
     AND replace(pg_get_expr(polwithcheck, polrelid), 'rampart.', '') = '(tenant_id = ( SELECT current_tenant() AS current_tenant))') \
     + count(*) FILTER (WHERE 'rampart_tenant'::regrole = ANY (polroles)) - 1 FROM pg_policy WHERE polrelid = attrelid)",
    "SELECT format('%s: policy %s is for somebody else', polrelid::regclass, polname) FROM pg_policy \
     WHERE NOT polroles <@ ARRAY['rampart_tenant'::regrole::oid, 'rampart_queue'::regrole::oid] OR cardinality(polroles) <> 1",
    "SELECT format('%s: the tenant is read from elsewhere', oid::regprocedure) FROM pg_proc \
     WHERE proname = 'current_tenant' AND (provolatile <> 's' OR btrim(prosrc) <> \
     'SELECT nullif(current_setting(''rampart.tenant'', true), '''')::uuid')",
    "SELECT format('role %s may do too much', rolname) FROM pg_roles WHERE rolname IN ('rampart_tenant', 'rampart_queue') \
     AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication OR rolcanlogin)",
    "SELECT format('role %s is a member of %s', member::regrole, roleid::regrole) FROM pg_auth_members \
     WHERE member IN ('rampart_tenant'::regrole, 'rampart_queue'::regrole)",
    "SELECT format('role %s owns something in this database', refobjid::regrole) FROM pg_shdepend WHERE deptype = 'o' \
     AND refobjid IN ('rampart_tenant'::regrole, 'rampart_queue'::regrole) \
     AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
    "SELECT format('view %s shows what its owner may see', oid::regclass) FROM pg_class WHERE relkind = 'v' \
     AND relnamespace IN ('rampart'::regnamespace, 'public'::regnamespace) \
     AND NOT coalesce(reloptions @> ARRAY['security_invoker=true'], false)",
    "SELECT format('%s keeps a copy that no policy covers', oid::regclass) FROM pg_class WHERE relkind = 'm'",
    "SELECT format('function %s runs as its owner', pg_proc.oid::regprocedure) FROM pg_proc WHERE prosecdef \
     AND pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)",
    "SELECT format('%s: everybody may %s', pg_class.oid::regclass, privilege_type) FROM pg_class, aclexplode(relacl) \
     WHERE grantee = 0 AND relnamespace IN ('rampart'::regnamespace, 'public'::regnamespace) \
     AND NOT (pg_class.oid = 'public.rampart_steps'::regclass AND privilege_type = 'SELECT')",
    "SELECT format('%s.%s: everybody may %s', attrelid::regclass, attname, privilege_type) FROM pg_attribute JOIN pg_class \
     ON pg_class.oid = attrelid AND relnamespace = 'rampart'::regnamespace, aclexplode(attacl) WHERE grantee = 0",
    "SELECT format('%s: everybody may %s', nspname, privilege_type) FROM pg_namespace, aclexplode(nspacl) \
     WHERE grantee = 0 AND nspname = 'rampart'",
    "SELECT format('%s: everybody may execute it', pg_proc.oid::regprocedure) FROM pg_proc WHERE pronamespace = \
     'rampart'::regnamespace AND (proacl IS NULL OR EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0))",
    // TRUNCATE, REFERENCES and TRIGGER go past every policy.
    "SELECT format('%s: %s may %s', pg_class.oid::regclass, grantee::regrole, privilege_type) FROM pg_class, \
     aclexplode(relacl) WHERE grantee IN ('rampart_tenant'::regrole, 'rampart_queue'::regrole) \
     AND privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')",
    "SELECT format('%s has no tenant, and tenants may %s it', pg_class.oid::regclass, privilege_type) FROM pg_class, \
     aclexplode(relacl) WHERE grantee = 'rampart_tenant'::regrole \
     AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'tenant_id')",
    // The check of a foreign key goes past every policy: only the tenant in it keeps it at home.
    "SELECT format('%s: foreign key %s may point at another tenant', conrelid::regclass, conname) FROM pg_constraint \
     WHERE contype = 'f' AND connamespace = 'rampart'::regnamespace AND NOT EXISTS (SELECT FROM unnest(conkey, confkey) \
     AS key (here, there) JOIN pg_attribute AS mine ON mine.attrelid = conrelid AND mine.attnum = here \
     JOIN pg_attribute AS other ON other.attrelid = confrelid AND other.attnum = there \
     WHERE mine.attname = 'tenant_id' AND other.attname = 'tenant_id')",
];

/// What there may be besides, each with its reason.
struct Allowed {
    what: &'static str,
    sql: &'static str,
    list: &'static [(&'static str, &'static str)],
}

const ALLOWED: &[Allowed] = &[
    Allowed {
        what: "index that does not begin with the tenant",
        sql: "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indrelid AND relnamespace = \
              'rampart'::regnamespace WHERE EXISTS (SELECT FROM pg_attribute WHERE attrelid = indrelid AND attname = 'tenant_id') \
              AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = indrelid AND attnum = indkey[0] AND attname = 'tenant_id')",
        list: &[
            ("rampart.tenants_name_key", "no two tenants have one name; only the queue's role makes them"),
            ("rampart.scans_running", "the queue looks for scans of all tenants whose time is up"),
            ("rampart.tasks_due", "the queue jumps from tenant to tenant within a stage"),
            ("rampart.tasks_unwanted", "a worker looks for what it has of all tenants that nobody wants"),
            ("rampart.tasks_leased", "the queue looks for leases of all tenants that have run out"),
            ("rampart.schedules_to_look_at", "the queue looks for schedules of all tenants that are due"),
            ("rampart.keys_pkey", "whose a key is, is what it is looked up for; prefixes are random"),
            ("rampart.users_invitation_key", "whose an invitation is, is what it is looked up for"),
            ("rampart.sessions_digest_key", "whose a session is, is what it is looked up for"),
            ("rampart.audit_pkey", "some entries are of no tenant"),
            ("rampart.happenings_by_age", "the queue forgets what happened to all tenants"),
        ],
    },
    Allowed {
        what: "table without a tenant",
        sql: "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'rampart'::regnamespace \
              AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'tenant_id')",
        list: &[
            ("rampart.stops", "a stop may cover everything; tenants have no right to it"),
            ("rampart.leaders", "offices are of processes"),
            ("rampart.workers", "processes work for all tenants"),
        ],
    },
    Allowed {
        what: "column that names another row and is no foreign key",
        sql: "SELECT attrelid::regclass || '.' || attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid AND \
              relnamespace = 'rampart'::regnamespace AND relkind IN ('r', 'p') WHERE attnum > 0 AND NOT attisdropped \
              AND attname ~ '(_id|_scan|fingerprint|baseline)$' AND attname <> 'tenant_id' AND NOT EXISTS (SELECT FROM \
              pg_constraint WHERE conrelid = attrelid AND contype = 'f' AND attnum = ANY (conkey)) AND NOT EXISTS (SELECT FROM \
              pg_constraint WHERE conrelid = attrelid AND contype = 'p' AND conkey[cardinality(conkey)] = attnum \
              AND cardinality(conkey) <= 2)",
        list: &[
            ("rampart.scans.baseline", "compared by id within the tenant; the older scan may be gone"),
            ("rampart.unit_results.task_id", "results outlive their tasks"),
            ("rampart.unit_visits.scan_id", "what was learned outlives the scan"),
            ("rampart.unit_visits.task_id", "what was learned outlives the task"),
            ("rampart.assets.task_id", "what was seen outlives the task"),
            ("rampart.findings.task_id", "what was seen outlives the task"),
            ("rampart.sightings.task_id", "what was seen outlives the task"),
            ("rampart.evidence.task_id", "what was seen outlives the task"),
            ("rampart.task_keys.task_id", "a key outlives a task that is purged"),
            ("rampart.findings.check_id", "checks are files, not rows"),
            ("rampart.sightings.check_id", "checks are files, not rows"),
            ("rampart.evidence.scan_id", "evidence outlives the scan that it was seen in"),
            ("rampart.comments.user_id", "what somebody said outlives them"),
            ("rampart.schedules.last_scan", "a schedule outlives its scans"),
            ("rampart.scans.request_id", "a request is no row, but a word by which lines are found"),
            ("rampart.tasks.request_id", "a request is no row, but a word by which lines are found"),
        ],
    },
    Allowed {
        what: "policy of the queue",
        sql: "SELECT format('%s %s %s using %s check %s', tablename, policyname, cmd, qual, with_check) FROM pg_policies \
              WHERE 'rampart_queue' = ANY (roles)",
        list: &[
            ("tenants of_queue ALL using true check true", "tenants are made, and have shares"),
            ("tasks of_queue ALL using true check true", "tasks are claimed, and leases kept"),
            ("scans of_queue SELECT using true check ", "scans whose time is up"),
            ("schedules of_queue SELECT using true check ", "schedules that are due"),
            ("webhooks of_queue SELECT using true check ", "webhooks that have not been given what happened"),
            ("keys of_queue ALL using true check true", "whose a key is"),
            ("request_keys of_queue ALL using true check true", "stops that were ordered under a key"),
            ("roles of_queue SELECT using true check ", "what whoever is known may do"),
            ("users of_queue SELECT using true check ", "whose a name is"),
            ("sessions of_queue ALL using true check true", "whose a session is, and those that are over"),
            ("audit of_queue INSERT using  check true", "what is done to all"),
            (
                "audit_ends of_queue ALL using true check true",
                "what is done to all, and stops of one, go on there",
            ),
            (
                "audit of_nobody ALL using (tenant_id IS NULL) check (tenant_id IS NULL)",
                "and nothing of what was done to one",
            ),
            (
                "audit_checkpoints of_nobody ALL using (tenant_id = '00000000-0000-0000-0000-000000000000'::uuid) \
                 check (tenant_id = '00000000-0000-0000-0000-000000000000'::uuid)",
                "what was signed of what was done to all",
            ),
            ("happening_ends of_queue ALL using true check true", "what happens to all goes on there"),
            (
                "happenings of_queue ALL using true check true",
                "what all are told, and what is too old to be told",
            ),
        ],
    },
    Allowed {
        what: "right of the queue",
        sql: "SELECT format('%s %s', relname, string_agg(privilege_type, ' ' ORDER BY privilege_type)) FROM pg_class, \
              aclexplode(relacl) WHERE grantee = 'rampart_queue'::regrole GROUP BY relname UNION ALL \
              SELECT format('%s %s (%s)', relname, privilege_type, string_agg(attname, ' ' ORDER BY attname)) FROM pg_class \
              JOIN pg_attribute ON attrelid = pg_class.oid, aclexplode(attacl) WHERE grantee = 'rampart_queue'::regrole \
              GROUP BY relname, privilege_type",
        list: &[
            ("tenants INSERT SELECT UPDATE", "tenants are made, and have shares"),
            ("tasks SELECT", "what is claimed is handed out whole"),
            (
                "tasks UPDATE (attempts begun cancelling death ended_at last_failure lease_number lease_until not_before redriven \
                 started_at state worker)",
                "the life of a task, and not whose or what it is",
            ),
            (
                "scans SELECT (deadline ended_at most_worked open_tasks scan_id state stopping tenant_id worked)",
                "nothing of what was asked for or found",
            ),
            ("schedules SELECT (enabled look_again schedule_id tenant_id)", "nothing of what is asked for"),
            ("webhooks SELECT (enabled followed tenant_id)", "nothing of where they are"),
            ("keys INSERT SELECT", "whose a key is"),
            ("request_keys INSERT SELECT UPDATE", "stops that were ordered under a key"),
            ("roles SELECT", "what whoever is known may do"),
            ("users SELECT", "whose a name is, and what lets them in"),
            ("sessions DELETE SELECT", "whose a session is, and those that are over"),
            (
                "audit DELETE INSERT SELECT",
                "written, and read where it is of no tenant; never changed, and deleted where a checkpoint says so",
            ),
            ("audit_checkpoints INSERT SELECT", "written and never changed or deleted"),
            ("audit_ends INSERT SELECT UPDATE", "where chains end, and nothing of what is in them"),
            ("happenings DELETE INSERT", "what all are told, and what is too old to be told"),
            ("happenings SELECT (at position tenant_id)", "how old it is, and nothing of what it was"),
            ("happening_ends INSERT SELECT UPDATE", "the numbers of what all are told"),
            ("stops DELETE INSERT SELECT UPDATE", "they hold for all"),
            ("leaders INSERT SELECT UPDATE", "offices are of processes"),
            ("workers DELETE INSERT SELECT UPDATE", "processes work for all tenants"),
        ],
    },
];

/// What is wrong with the schema.
pub(super) async fn faults(client: &Client) -> Vec<String> {
    let mut faults = Vec::new();
    for sql in FAULTS {
        faults.extend(texts(client, sql).await);
    }
    for Allowed { what, sql, list } in ALLOWED {
        let found: BTreeSet<String> = texts(client, sql).await.into_iter().collect();
        let allowed: BTreeSet<String> = list.iter().map(|(name, _)| (*name).to_owned()).collect();
        faults.extend(found.difference(&allowed).map(|name| format!("{what}: {name}")));
        faults.extend(allowed.difference(&found).map(|name| format!("{what}, not there any more: {name}")));
    }
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_lets_no_tenant_see_another() {
    let ground = Ground::postgres().await;
    let owner = connect(&ground.owner).await;
    assert_eq!(faults(&owner).await, Vec::<String>::new());
}
