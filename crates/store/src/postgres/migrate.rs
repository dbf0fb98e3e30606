//! Brings a database's schema up to date.

use std::time::Duration;

use tokio_postgres::{Client, GenericClient, error::SqlState, types::Type};

use super::{error, rights, tls};
use crate::{
    StoreError,
    steps::{Step, Taken, left},
};

/// In order; the database remembers which it has.
pub(crate) const STEPS: &[Step] =
    &[Step { name: "0001_begin", sql: include_str!("0001_begin.sql"), needs: 1 }];

/// Two that migrate at once wait for each other.
const LOCK: i64 = 0x7261_6d70_6172_7400;

/// For so long a step waits for a table that others work with. Whoever comes after it waits for as long, and all who have waited for a
/// second are looked at for deadlocks, which somebody would lose.
/// <https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-LOCK-TIMEOUT>
const LOCK_TIMEOUT: Duration = Duration::from_millis(400);
/// The same at each tenth try: a vacuum lets go for those only who have waited for a second (`deadlock_timeout`).
const PAST_A_VACUUM: Duration = Duration::from_millis(1_500);
/// Until it tries again. What waited behind it has gone on by then.
const PAUSE: Duration = Duration::from_secs(1);
/// Some minutes: no statement of Rampart takes longer than one.
const TRIES: u32 = 120;

/// Connects as the owner, takes the steps that are missing, and gives the roles to those who are to work with the database. The
/// names of the steps that were taken. Whoever works with the database meanwhile does not wait for one who waits, but for the steps
/// themselves; a table that somebody does not let go of for minutes is [`StoreError::Busy`].
pub async fn migrate(url: &str, grant_to: &[String]) -> Result<Vec<String>, StoreError> {
    migrate_by(STEPS, url, grant_to).await
}

async fn migrate_by(steps: &[Step], url: &str, grant_to: &[String]) -> Result<Vec<String>, StoreError> {
    let mut client = connect(url).await?;
    let mut tries = 1..=TRIES;
    loop {
        let number = tries.next();
        let wait = if number.is_some_and(|number| number % 10 == 0) { PAST_A_VACUUM } else { LOCK_TIMEOUT };
        match take(steps, &mut client, grant_to, wait).await {
            Err(Untaken::Held(_)) if number.is_some() => tokio::time::sleep(PAUSE).await,
            Err(Untaken::Held(error) | Untaken::For(error)) => return Err(error),
            Ok(taken) => return Ok(taken),
        }
    }
}

/// Why steps were not taken.
enum Untaken {
    /// Somebody else works with a table: it may go better soon. Who cancels a step means it.
    Held(StoreError),
    For(StoreError),
}

impl From<StoreError> for Untaken {
    fn from(error: StoreError) -> Untaken {
        Untaken::For(error)
    }
}

/// All of it, or nothing.
async fn take(
    steps: &[Step],
    client: &mut Client,
    grant_to: &[String],
    wait: Duration,
) -> Result<Vec<String>, Untaken> {
    let transaction = client.transaction().await.map_err(error)?;
    transaction
        .execute_typed("SELECT pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)])
        .await
        .map_err(error)?;
    rights::require(&transaction, grant_to).await?;
    transaction
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS public.rampart_steps (number bigint PRIMARY KEY, name text NOT NULL, digest bytea NOT NULL, \
             needs bigint NOT NULL, taken_at timestamptz NOT NULL DEFAULT now()); GRANT SELECT ON public.rampart_steps TO PUBLIC",
        )
        .await
        .map_err(error)?;
    let before = taken(&transaction).await?;
    let missing = left(steps, &before)?;
    let sql = format!("SET LOCAL lock_timeout = {}", wait.as_millis());
    transaction.batch_execute(&sql).await.map_err(error)?;
    for (number, step) in (before.len()..).zip(missing) {
        // Whichever step is the first that is missing.
        transaction.batch_execute("SET LOCAL search_path = rampart").await.map_err(error)?;
        transaction.batch_execute(step.sql).await.map_err(|reason| {
            let is_held = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED];
            match reason.code().is_some_and(|code| is_held.contains(code)) {
                true => Untaken::Held(error(reason)),
                false => Untaken::For(error(reason)),
            }
        })?;
        let (number, digest, needs) = (number as i64, step.digest(), step.needs as i64);
        transaction
            .execute_typed(
                "INSERT INTO public.rampart_steps (number, name, digest, needs) VALUES ($1, $2, $3, $4)",
                &[
                    (&number, Type::INT8),
                    (&step.name, Type::TEXT),
                    (&digest.as_slice(), Type::BYTEA),
                    (&needs, Type::INT8),
                ],
            )
            .await
            .map_err(error)?;
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
    Ok(missing.iter().map(|step| step.name.to_owned()).collect())
}

/// The steps that the database has taken, in order.
async fn taken(client: &impl GenericClient) -> Result<Vec<Taken>, StoreError> {
    let sql = "SELECT name, digest, needs FROM public.rampart_steps ORDER BY number";
    let rows = client.query_typed(sql, &[]).await.map_err(error)?;
    let read = |row: &tokio_postgres::Row| Taken {
        name: row.get(0),
        digest: row.get(1),
        needs: row.get::<_, i64>(2).unsigned_abs(),
    };
    Ok(rows.iter().map(read).collect())
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
    if left(STEPS, &taken(client).await?)?.is_empty() { Ok(()) } else { Err(missing()) }
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

#[cfg(test)]
mod tests {
    use testkit::postgres;

    use super::*;

    #[tokio::test]
    async fn a_step_waits_for_who_works_and_keeps_nobody_waiting() {
        let server = postgres::Server::start();
        let database = server.create_database();
        let (owner, password) = server.superuser();
        let url = server.url(owner, password, &database);
        migrate(&url, &[]).await.unwrap();

        // Somebody reads for long.
        let mut reader = connect(&url).await.unwrap();
        let reading = reader.transaction().await.unwrap();
        reading.batch_execute("SELECT FROM rampart.tasks").await.unwrap();
        let sql = "ALTER TABLE tasks ADD COLUMN note text";
        let steps = [Step { ..STEPS[0] }, Step { name: "0002_note", sql, needs: 1 }];
        let migrating = tokio::spawn(async move { migrate_by(&steps, &url, &[]).await });

        // Whoever comes while it waits is let in, again and again.
        let client = connect(&server.url(owner, password, &database)).await.unwrap();
        client.batch_execute("SET statement_timeout = '30s'").await.unwrap();
        for _ in 0..3 {
            let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'";
            while client.query_typed_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
                assert!(!migrating.is_finished());
                tokio::task::yield_now().await;
            }
            client.batch_execute("SELECT FROM rampart.tasks").await.unwrap();
        }
        assert!(!migrating.is_finished());

        reading.commit().await.unwrap();
        assert_eq!(migrating.await.unwrap().unwrap(), ["0002_note"]);
        client.batch_execute("SELECT note FROM rampart.tasks").await.unwrap();
    }
}
