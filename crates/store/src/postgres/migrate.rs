//! Brings a database's schema up to date. Forward only: each step is added, none is changed, and the release before must go on
//! working while and after it is taken.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio_postgres::{Client, types::Type};

use super::{error, rights, tls};
use crate::StoreError;

/// In order; the database remembers which it has.
const STEPS: &[(&str, &str)] = &[("0001_begin", include_str!("0001_begin.sql"))];

/// Two that migrate at once wait for each other.
const LOCK: i64 = 0x7261_6d70_6172_7400;

/// Connects as the owner, takes the steps that are missing, and gives the roles to those who are to work with the database. The
/// names of the steps that were taken.
pub async fn migrate(url: &str, grant_to: &[String]) -> Result<Vec<String>, StoreError> {
    let mut client = connect(url).await?;
    let transaction = client.transaction().await.map_err(error)?;
    transaction
        .execute_typed("SELECT pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)])
        .await
        .map_err(error)?;
    rights::require(&transaction, grant_to).await?;
    transaction
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS public.rampart_steps (number bigint PRIMARY KEY, name text NOT NULL, digest bytea NOT NULL, \
             taken_at timestamptz NOT NULL DEFAULT now()); GRANT SELECT ON public.rampart_steps TO PUBLIC",
        )
        .await
        .map_err(error)?;
    let rows = transaction
        .query_typed("SELECT name, digest FROM public.rampart_steps ORDER BY number", &[])
        .await
        .map_err(error)?;
    for (row, (name, text)) in rows.iter().zip(STEPS) {
        let (taken, digest): (String, Vec<u8>) = (row.get(0), row.get(1));
        if taken != *name || digest != Sha256::digest(text).as_slice() {
            return Err(StoreError::Schema(format!(
                "step `{taken}` of the database is not the step `{name}` of this program: it was made by something else"
            )));
        }
    }
    let mut taken = Vec::new();
    for (number, (name, text)) in STEPS.iter().enumerate().skip(rows.len()) {
        transaction.batch_execute(text).await.map_err(error)?;
        let digest = Sha256::digest(text);
        transaction
            .execute_typed(
                "INSERT INTO public.rampart_steps (number, name, digest) VALUES ($1, $2, $3)",
                &[(&(number as i64), Type::INT8), (name, Type::TEXT), (&digest.as_slice(), Type::BYTEA)],
            )
            .await
            .map_err(error)?;
        taken.push((*name).to_owned());
    }
    let sql = "SELECT current_setting('server_version_num')::int";
    let version: i32 = transaction.query_typed_one(sql, &[]).await.map_err(error)?.get(0);
    for user in grant_to {
        let quoted = rights::quoted(user);
        // Without a role asked for, a user has none of its rights: what forgets to ask for one sees nothing, instead of everything
        // that both may see.
        let sql = if version < 160_000 {
            format!("GRANT rampart_tenant, rampart_queue TO {quoted}; ALTER ROLE {quoted} NOINHERIT")
        } else {
            format!("GRANT rampart_tenant, rampart_queue TO {quoted} WITH INHERIT FALSE, SET TRUE")
        };
        transaction.batch_execute(&sql).await.map_err(error)?;
    }
    transaction.commit().await.map_err(error)?;
    Ok(taken)
}

/// Is the schema the one that this program was written for, or a later one that it can work with?
pub(super) async fn require_current(client: &Client) -> Result<(), StoreError> {
    let missing = || {
        StoreError::Schema(
            "the database is not prepared for this program: `rampart migrate` does that".to_owned(),
        )
    };
    let sql = "SELECT to_regclass('public.rampart_steps') IS NOT NULL";
    let prepared: bool = client.query_typed_one(sql, &[]).await.map_err(error)?.get(0);
    if !prepared {
        return Err(missing());
    }
    let sql = "SELECT count(*) FROM public.rampart_steps";
    let taken: i64 = client.query_typed_one(sql, &[]).await.map_err(error)?.get(0);
    if usize::try_from(taken).unwrap_or_default() < STEPS.len() { Err(missing()) } else { Ok(()) }
}

/// Refuses a user for whom row-level security would mean nothing, or too little.
pub(super) async fn require_powerless(client: &Client) -> Result<(), StoreError> {
    let sql = "SELECT bool_or(rolsuper OR rolbypassrls) FROM pg_roles WHERE pg_has_role(session_user, oid, 'MEMBER')";
    let above: bool = client.query_typed_one(sql, &[]).await.map_err(error)?.get(0);
    let sql = "SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('rampart') \
               AND pg_has_role(session_user, relowner, 'MEMBER'))";
    let owns: bool = client.query_typed_one(sql, &[]).await.map_err(error)?.get(0);
    let sql = "SELECT bool_or(pg_has_role(session_user, oid, 'USAGE')) FROM pg_roles \
               WHERE rolname IN ('rampart_tenant', 'rampart_queue')";
    let inherits: Option<bool> = client.query_typed_one(sql, &[]).await.map_err(error)?.get(0);
    let what = match (above, owns, inherits) {
        (true, ..) => "is, or may become, a superuser or somebody who bypasses row-level security",
        (_, true, _) => "owns the tables, or may become their owner",
        (.., Some(true)) => "has the rights of rampart_tenant or rampart_queue without asking for them",
        _ => return Ok(()),
    };
    Err(StoreError::Schema(format!(
        "the database user {what}: connect as one that only may become rampart_tenant and rampart_queue \
         (`rampart migrate --grant-to USER`)"
    )))
}

async fn connect(url: &str) -> Result<Client, StoreError> {
    let tls::Server { config, tls } = tls::server(url)?;
    let (client, connection) = config.connect(tls).await.map_err(error)?;
    // What breaks it is told to whoever waits for an answer.
    tokio::spawn(async move { connection.await.ok() });
    Ok(client)
}

/// The store's clock goes ahead by so much, from what it is now.
pub(super) async fn advance_clock(owner: &str, by: Duration) -> Result<(), StoreError> {
    let client = connect(owner).await?;
    let sql = "SELECT (extract(epoch FROM rampart.store_time() - clock_timestamp()) * 1000)::bigint";
    let ahead: i64 = client.query_typed_one(sql, &[]).await.map_err(error)?.get(0);
    let ahead = i128::from(ahead) + i128::try_from(by.as_millis()).unwrap_or(i128::MAX);
    let sql = format!(
        "CREATE OR REPLACE FUNCTION rampart.store_time() RETURNS timestamptz LANGUAGE sql VOLATILE AS \
         $$ SELECT clock_timestamp() + interval '{ahead} milliseconds' $$"
    );
    client.batch_execute(&sql).await.map_err(error)
}
