//! What a transaction leaves behind on a connection that others use after it: nothing.

use testkit::{pgbouncer, postgres};

use store::{Location, Store};

use super::{rows::connect, scan};
use crate::{
    ground::{Ground, Worker, exercise, settle},
    keys::{key, named},
};

/// What a session may carry from one transaction to the next.
const STATE: &str = "SELECT concat_ws('; ', 'role ' || current_user, 'tenant ' || coalesce(current_setting('rampart.tenant', true), ''), \
    'path ' || current_setting('search_path'), 'timeouts ' || concat_ws(' ', current_setting('statement_timeout'), \
    current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout')), \
    'prepared ' || (SELECT count(*) FROM pg_prepared_statements), 'cursors ' || (SELECT count(*) FROM pg_cursors), \
    'advisory locks ' || (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()), \
    'temporary ' || (SELECT count(*) FROM pg_class WHERE relpersistence = 't'))";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_tenant_stays_on_a_connection_of_a_pool() {
    let ground = Ground::postgres().await;
    let Location::Postgres { url, .. } = ground.location.clone() else { panic!() };
    // One connection for all, so that whatever one client leaves the other meets.
    let bouncer = tokio::task::spawn_blocking(|| pgbouncer::Server::start(postgres::Server::shared(), 1));
    let bouncer = bouncer.await.unwrap();
    let direct = postgres::Server::shared().address().to_string();
    let url = url.replace(&direct, &bouncer.address().to_string());
    let other = connect(&url).await;
    let state = |answers: Vec<tokio_postgres::SimpleQueryMessage>| {
        answers.iter().find_map(|answer| match answer {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    };
    let fresh = state(other.simple_query(STATE).await.unwrap()).unwrap();
    assert!(fresh.contains("tenant ;") && fresh.contains("timeouts 0 0 0"), "{fresh}");

    let store = Store::open(&Location::Postgres { url, connections: 3, replica: None }).await.unwrap();
    let mut ground = ground;
    ground.store = store;
    let scan = scan::begin(&ground.store, ground.tenant).await;
    ground.enqueue([exercise()]).await;
    let claimed = Worker::new(1).claim(&ground, 1).await;
    settle(&ground, claimed[0].lease, store::Ending::Completed).await.unwrap();
    ground.store.first_key(ground.tenant, key(1), named("first"), "test".to_owned()).await.unwrap();
    assert_eq!(state(other.simple_query(STATE).await.unwrap()).unwrap(), fresh, "after what went well");

    ground
        .store
        .cancel_scan(ground.tenant, model::ScanId::from_random(1), "test".to_owned())
        .await
        .unwrap_err();
    ground
        .store
        .cancel_tasks(ground.tenant, store::TaskFilter::of_scan(scan), u64::MAX, "\0".to_owned())
        .await
        .unwrap();
    assert_eq!(state(other.simple_query(STATE).await.unwrap()).unwrap(), fresh, "after what did not");
    let nobody = other.query("SELECT 1 FROM rampart.tasks", &[]).await.unwrap_err();
    assert_eq!(nobody.code(), Some(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE));
}

/// A user of a database, made by these statements; why the store is not opened for it.
async fn refusal(statements: &str) -> String {
    let ground = Ground::postgres().await;
    let Location::Postgres { url, .. } = ground.location.clone() else { panic!() };
    let own = url.split("//").nth(1).and_then(|rest| rest.split(':').next()).unwrap().to_owned();
    let owner = connect(&ground.owner).await;
    let user = format!("{own}_other");
    let sql = statements.replace("SOMEBODY", &user);
    owner
        .batch_execute(&format!("CREATE ROLE {user} LOGIN PASSWORD 'of-the-tests' NOINHERIT; {sql}"))
        .await
        .unwrap();
    let location = Location::Postgres { url: url.replacen(&own, &user, 1), connections: 1, replica: None };
    assert!(!format!("{location:?}").contains("of-the-tests"), "{location:?}");
    match Store::open(&location).await {
        Err(error) => error.to_string(),
        Ok(store) => match store.tenants().await {
            Err(error) => error.to_string(),
            Ok(_) => "welcome".to_owned(),
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_for_whom_policies_mean_nothing_is_refused() {
    for (statements, why) in [
        ("GRANT rampart_tenant, rampart_queue TO SOMEBODY", "welcome"),
        ("ALTER ROLE SOMEBODY SUPERUSER", "superuser"),
        ("GRANT rampart_tenant, rampart_queue TO SOMEBODY; ALTER ROLE SOMEBODY BYPASSRLS", "bypasses"),
        ("GRANT rampart_tenant, rampart_queue TO SOMEBODY; GRANT postgres TO SOMEBODY", "superuser"),
        (
            "GRANT rampart_tenant, rampart_queue TO SOMEBODY; ALTER TABLE rampart.tasks OWNER TO SOMEBODY",
            "owns the tables",
        ),
        // From PostgreSQL 16 on it is the grant that says so, with what the role says at that moment as its default.
        (
            "ALTER ROLE SOMEBODY INHERIT; GRANT rampart_tenant, rampart_queue TO SOMEBODY",
            "without asking for them",
        ),
        ("GRANT rampart_tenant TO SOMEBODY", "--grant-to"),
        ("", "--grant-to"),
    ] {
        let said = refusal(statements).await;
        assert!(said.contains(why), "{statements}: {said}");
    }
}
