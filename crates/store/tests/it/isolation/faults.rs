//! Lines that are cut or go dead, servers that die, and a pool that is empty: what is asked again goes well, and has happened once.

use std::sync::Arc;

use model::{Scope, Stage};
use store::StoreError;
use testkit::{
    postgres::{Options, Server},
    proxy::TcpProxy,
};

use super::{
    rows::{connect, quiet, waiting},
    scan,
};
use crate::ground::{Ground, Worker, exercise};

const LOCK: &str = "BEGIN; LOCK TABLE rampart.scopes IN ACCESS EXCLUSIVE MODE";

async fn put_scope(ground: &Ground, name: &str) -> Result<(), StoreError> {
    ground.store.put_scope(ground.tenant, name, Scope::loopback(), "test".to_owned()).await
}

async fn scopes(ground: &Ground) -> Vec<String> {
    let scopes = ground.store.scopes(ground.tenant).await.unwrap();
    scopes.into_iter().map(|(name, _)| name).collect()
}

#[track_caller]
fn passing<T: std::fmt::Debug>(outcome: Result<T, StoreError>) {
    let error = outcome.unwrap_err();
    assert!(error.is_passing(), "{error:?}");
}

async fn through_proxy() -> (Arc<Ground>, TcpProxy) {
    let server = tokio::task::spawn_blocking(|| Server::shared().address()).await.unwrap();
    let proxy = TcpProxy::start(server).await;
    let address = proxy.address();
    (Arc::new(Ground::server(move || address).await), proxy)
}

/// Something that waits in the middle of its transaction.
fn begin_to_put(ground: &Arc<Ground>, name: &'static str) -> tokio::task::JoinHandle<Result<(), StoreError>> {
    let ground = Arc::clone(ground);
    tokio::spawn(async move { put_scope(&ground, name).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_cut_in_the_middle_leaves_nothing_half_done() {
    let (ground, proxy) = through_proxy().await;
    let (owner, other) = (connect(&ground.owner).await, connect(&ground.owner).await);
    owner.batch_execute(LOCK).await.unwrap();
    let asked = begin_to_put(&ground, "first");
    waiting(&other, 1).await;
    proxy.cut().await;
    passing(asked.await.unwrap());
    proxy.refuse(true).await;
    passing(put_scope(&ground, "second").await);
    proxy.refuse(false).await;
    owner.batch_execute("ROLLBACK").await.unwrap();
    put_scope(&ground, "third").await.unwrap();
    quiet(&owner).await;
    assert_eq!(scopes(&ground).await, ["third"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_whose_answer_is_lost_is_asked_again_and_has_happened_once() {
    let (ground, proxy) = through_proxy().await;
    let owner = connect(&ground.owner).await;
    let scan = scan::begin(&ground.store, ground.tenant).await;
    let claimed = Worker::new(1).claim_of(&ground, &Stage::SCANNING, 1).await;
    let settlement = scan::settlement(claimed[0].lease);
    // Every change of a task holds its commit up, for as long as somebody else has the lock.
    let sql = "CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS \
               $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$; \
               CREATE CONSTRAINT TRIGGER hold AFTER UPDATE ON rampart.tasks DEFERRABLE INITIALLY DEFERRED FOR EACH ROW \
               EXECUTE FUNCTION public.hold(); SELECT pg_advisory_lock(42)";
    owner.batch_execute(sql).await.unwrap();
    let asked = {
        let (ground, settlement) = (Arc::clone(&ground), settlement.clone());
        tokio::spawn(async move { ground.store.settle(vec![settlement]).await })
    };
    waiting(&owner, 1).await;
    proxy.cut().await;
    passing(asked.await.unwrap());
    owner.batch_execute("SELECT pg_advisory_unlock(42)").await.unwrap();
    quiet(&owner).await;
    let answers = ground.store.settle(vec![settlement]).await.unwrap();
    let settled = answers[0].as_ref().unwrap();
    assert_eq!((settled.state, settled.again), ("completed", true));
    let record = ground.store.scan(ground.tenant, scan).await.unwrap();
    assert_eq!((record.traffic.requests, record.findings, record.assets), (7, 1, 1));
    let results = ground.store.unit_results(ground.tenant, scan, None, 10).await.unwrap();
    assert_eq!(results.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_and_comes_back_is_worked_with_at_once() {
    let server =
        Arc::new(tokio::task::spawn_blocking(|| Server::start_with(Options::default())).await.unwrap());
    let (upstream, address) = (Arc::clone(&server), server.address());
    let ground = Arc::new(Ground::on(move || upstream, move || address, 4).await);
    let task = ground.enqueue([exercise()]).await[0];
    for (round, orderly) in [false, true].into_iter().enumerate() {
        let (owner, other) = (connect(&ground.owner).await, connect(&ground.owner).await);
        owner.batch_execute(LOCK).await.unwrap();
        let asked = ["one", "two", "three"].map(|name| (name, begin_to_put(&ground, name)));
        waiting(&other, 3).await;
        if orderly {
            let server = Arc::clone(&server);
            tokio::task::spawn_blocking(move || server.restart()).await.unwrap();
        } else {
            let stopped = Arc::clone(&server);
            tokio::task::spawn_blocking(move || stopped.stop_at_once()).await.unwrap();
        }
        // The lock ends with its session: whoever gets it before their own session ends is through.
        let mut kept = Vec::new();
        for (name, asked) in asked {
            match asked.await.unwrap() {
                Ok(()) => kept.push(name),
                refused => passing(refused),
            }
        }
        assert!(kept.len() < 3, "round {round}: nobody was told that the server died");
        if !orderly {
            passing(ground.store.tenants().await);
            let server = Arc::clone(&server);
            tokio::task::spawn_blocking(move || server.start_again()).await.unwrap();
        }
        assert_eq!(ground.state(task).await, "queued", "round {round}: what was committed is there");
        let there = scopes(&ground).await;
        kept.sort_unstable();
        assert_eq!(there, kept, "round {round}: who was told that it is kept has it, and nobody else");
        for name in there {
            ground.store.delete_scope(ground.tenant, &name, None, "test").await.unwrap();
        }
    }
    put_scope(&ground, "one").await.unwrap();
    assert_eq!(Worker::new(1).claim(&ground, 1).await.len(), 1);
}

#[tokio::test]
async fn when_every_connection_is_at_work_others_wait_for_so_long_and_are_told() {
    let shared = tokio::task::spawn_blocking(Server::shared).await.unwrap();
    let ground = Arc::new(Ground::on(move || shared, move || shared.address(), 1).await);
    let (owner, other) = (connect(&ground.owner).await, connect(&ground.owner).await);
    owner.batch_execute(LOCK).await.unwrap();
    let asked = begin_to_put(&ground, "first");
    waiting(&other, 1).await;
    // Nothing but the clock moves now.
    tokio::time::pause();
    passing(put_scope(&ground, "second").await);
    tokio::time::resume();
    owner.batch_execute("ROLLBACK").await.unwrap();
    asked.await.unwrap().unwrap();
    put_scope(&ground, "third").await.unwrap();
    assert_eq!(scopes(&ground).await, ["first", "third"]);
}

#[tokio::test]
async fn a_line_that_has_gone_dead_is_given_up() {
    let (ground, proxy) = through_proxy().await;
    put_scope(&ground, "first").await.unwrap();
    proxy.stall(true);
    tokio::time::pause();
    // On a connection that was open, and on one that does not come about.
    passing(put_scope(&ground, "second").await);
    passing(put_scope(&ground, "third").await);
    tokio::time::resume();
    proxy.cut().await;
    proxy.stall(false);
    put_scope(&ground, "fourth").await.unwrap();
    let owner = connect(&ground.owner).await;
    quiet(&owner).await;
    assert_eq!(scopes(&ground).await, ["first", "fourth"]);
}
