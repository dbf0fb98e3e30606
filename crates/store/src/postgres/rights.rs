//! What whoever prepares a database must be allowed to do, asked before anything is tried: one answer names all that is missing.

use tokio_postgres::{Transaction, types::Type};

use super::error;
use crate::StoreError;

/// Refuses a user who could not finish, with the statements by which an administrator gives what is missing.
pub(super) async fn require(transaction: &Transaction<'_>, grant_to: &[String]) -> Result<(), StoreError> {
    let sql = "SELECT current_user::text, current_database()::text, rolcreaterole OR rolsuper, \
               current_setting('server_version_num')::int FROM pg_roles WHERE rolname = current_user";
    let row = transaction.query_typed_one(sql, &[]).await.map_err(error)?;
    let (user, database, makes_roles, version): (String, String, bool, i32) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    let sql = "SELECT relowner::regrole::text, pg_has_role(current_user, relowner, 'USAGE') FROM pg_class \
               WHERE oid = to_regclass('public.rampart_steps')";
    let prepared = transaction.query_typed(sql, &[]).await.map_err(error)?;
    if let Some(row) = prepared.first()
        && !row.get::<_, bool>(1)
    {
        let owner: String = row.get(0);
        return Err(StoreError::Schema(format!(
            "the tables belong to {owner}, and the database user `{user}` may not change them: connect as {owner}"
        )));
    }
    let mut wanted = Vec::new();
    if prepared.is_empty() {
        let sql = "SELECT has_database_privilege(current_database(), 'CREATE'), has_schema_privilege('public', 'CREATE')";
        let row = transaction.query_typed_one(sql, &[]).await.map_err(error)?;
        if !row.get::<_, bool>(0) {
            wanted.push(format!("GRANT CREATE ON DATABASE {} TO {};", quoted(&database), quoted(&user)));
        }
        if !row.get::<_, bool>(1) {
            wanted.push(format!("GRANT CREATE ON SCHEMA public TO {};", quoted(&user)));
        }
    }
    let sql = "SELECT count(*), coalesce(bool_and(pg_has_role(current_user, oid, 'MEMBER WITH ADMIN OPTION')), false) \
               FROM pg_roles WHERE rolname IN ('rampart_tenant', 'rampart_queue')";
    let row = transaction.query_typed_one(sql, &[]).await.map_err(error)?;
    let (roles, administers): (i64, bool) = (row.get(0), row.get(1));
    // Before PostgreSQL 16 giving roles away changes who gets them, and that takes the right to make roles.
    let grants = !grant_to.is_empty();
    if !makes_roles && (roles < 2 || grants && version < 160_000) {
        wanted.push(format!("ALTER ROLE {} CREATEROLE;", quoted(&user)));
    }
    if grants && roles == 2 && !administers && version >= 160_000 {
        wanted.push(format!("GRANT rampart_tenant, rampart_queue TO {} WITH ADMIN OPTION;", quoted(&user)));
    }
    for grantee in grant_to {
        let sql = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)";
        let row = transaction.query_typed_one(sql, &[(grantee, Type::TEXT)]).await.map_err(error)?;
        if !row.get::<_, bool>(0) {
            wanted.push(format!("CREATE ROLE {} LOGIN PASSWORD '…';", quoted(grantee)));
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    Err(StoreError::Schema(format!(
        "the database user `{user}` lacks rights for that. An administrator of the server gives them in the database `{database}`:\n{}",
        wanted.join("\n")
    )))
}

/// A name as SQL takes any.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
