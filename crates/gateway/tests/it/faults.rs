//! What happens to a gateway: its database is taken, stops, goes silent. Everybody is answered in time, nothing is done by half, and
//! afterwards all is as if nothing had been.

mod full;
mod gone;

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use hyper::Method;
use model::{ApiKey, Role};
use serde_json::json;
use store::AuditFilter;
use testkit::{postgres::Server, proxy::TcpProxy};

use crate::{
    ground::{Answer, Ground},
    limits,
    live::Follower,
    postgres::Postgres,
};

/// How long a test waits for what must come: much longer than it takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Nobody waits longer for an answer: somewhat more than the gateway gives one.
const LONGEST: Duration = Duration::from_secs(35);

async fn put_scope(ground: &Ground, key: &ApiKey, name: &str) -> Answer {
    let body = json!({ "authorised_by": "test", "networks": ["127.0.0.0/8"] });
    ground.ask(Method::PUT, &format!("/api/v1/scopes/{name}"), Some(key.expose()), Some(body)).await
}

/// It could not be answered, and says so as it should.
#[track_caller]
fn require_polite(answer: &Answer, database: &Postgres) {
    let status = answer.status.as_u16();
    let code = match status {
        503 => "unavailable",
        504 => "timeout",
        _ => panic!("{answer:?}"),
    };
    answer.problem(status, code);
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1, "{answer:?}");
    assert!(status == 504 || answer.body["hint"].is_string(), "{answer:?}");
    // Where the database is, and how it is reached, is nobody's business.
    let told = format!("{} {:?}", answer.body, answer.headers);
    let port = database.server().address().port().to_string();
    for secret in [&port[..], "127.0.0.1", "postgres", "os error", "refused", &database.database.name] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
}

/// The scopes that there are, each with an entry of the audit that tells who wrote it; and none besides.
async fn require_scopes_as_told(ground: &Ground) -> BTreeSet<String> {
    let scopes: BTreeSet<String> =
        ground.store.scopes(ground.tenant).await.unwrap().into_iter().map(|(name, _)| name).collect();
    let filter = AuditFilter { action: Some("scope.put".to_owned()), ..AuditFilter::default() };
    let told = ground.store.audit(ground.tenant, filter, 1_000).await.unwrap();
    let told: BTreeSet<String> = told.into_iter().map(|entry| entry.subject).collect();
    assert_eq!(scopes.len(), told.len(), "{scopes:?} {told:?}");
    assert!(ground.store.verify_audit(Some(ground.tenant), &[], None).await.unwrap().is_ok());
    scopes
}

/// Lets go of time when everybody waits: what takes half a minute is over at once.
async fn without_waiting<T>(what: impl Future<Output = T>) -> T {
    tokio::time::pause();
    let done = what.await;
    tokio::time::resume();
    done
}

#[tokio::test]
async fn when_every_connection_is_taken_all_are_answered_in_time() {
    let database = Postgres::new().await;
    let ground = Ground::above(database.store(2).await).await;
    let key = ground.key(Role::Owner).await;
    assert_eq!(put_scope(&ground, &key, "before").await.status, 200);
    let held = database.lock("scopes").await;
    let begun = tokio::time::Instant::now();
    let taking = join_all(["one", "two"].map(|name| put_scope(&ground, &key, name)));
    let asking = async {
        // Both are at the database before anybody else asks.
        database.wait_for_waiting(2).await;
        without_waiting(async {
            let more = (0..20).map(async |number| match number % 2 {
                0 => ground.get("/api/v1/scans", &key).await,
                _ => put_scope(&ground, &key, &format!("more-{number}")).await,
            });
            let answers = join_all(more).await;
            assert_eq!(ground.ask(Method::GET, "/health", None, None).await.status, 200);
            ground.ask(Method::GET, "/ready", None, None).await.problem(503, "unavailable");
            answers
        })
        .await
    };
    let (taken, refused) = tokio::join!(taking, asking);
    for answer in &refused {
        require_polite(answer, &database);
        assert_eq!(answer.status, 503, "{answer:?}");
    }
    for answer in &taken {
        require_polite(answer, &database);
    }
    assert!(begun.elapsed() < 2 * LONGEST, "{:?}", begun.elapsed());
    drop(held);
    database.require_rest(2).await;
    until_ready(&ground, true).await;
    assert_eq!(put_scope(&ground, &key, "after").await.status, 200);
    let scopes = require_scopes_as_told(&ground).await;
    assert!(scopes.contains("before") && scopes.contains("after"), "{scopes:?}");
    assert!(scopes.iter().all(|name| !name.starts_with("more")), "{scopes:?}");
    database.require_rest(2).await;
}

/// In the middle of changes, the line to the database goes silent; then it goes on, or is cut.
async fn a_silent_line(is_cut: bool) {
    let database = Postgres::new().await;
    let proxy = TcpProxy::start(database.server().address()).await;
    let ground = Ground::above(database.store_at(proxy.address(), 2).await).await;
    let key = ground.key(Role::Owner).await;
    assert_eq!(put_scope(&ground, &key, "before").await.status, 200);
    let held = database.lock("scopes").await;
    let taking = join_all(["one", "two"].map(|name| put_scope(&ground, &key, name)));
    let asking = async {
        database.wait_for_waiting(2).await;
        proxy.stall(true);
        drop(held);
        without_waiting(async {
            let more = (0..6).map(async |_| ground.get("/api/v1/scans", &key).await);
            let answers = join_all(more).await;
            assert_eq!(ground.ask(Method::GET, "/health", None, None).await.status, 200);
            ground.ask(Method::GET, "/ready", None, None).await.problem(503, "unavailable");
            answers
        })
        .await
    };
    let (taken, refused) = tokio::join!(taking, asking);
    for answer in taken.iter().chain(&refused) {
        require_polite(answer, &database);
    }
    if is_cut {
        proxy.cut().await;
    }
    proxy.stall(false);
    let until = Instant::now() + PATIENCE;
    while put_scope(&ground, &key, "after").await.status != 200 {
        assert!(Instant::now() < until, "it does not go on");
    }
    database.require_rest(2).await;
    require_scopes_as_told(&ground).await;
    until_ready(&ground, true).await;
}

#[tokio::test]
async fn a_line_that_goes_silent_and_on_again_leaves_nothing_half_done() {
    a_silent_line(false).await;
}

#[tokio::test]
async fn a_line_that_goes_silent_and_is_cut_leaves_nothing_half_done() {
    a_silent_line(true).await;
}

/// Asks for keys, each until it is made, and tells how often it was refused meanwhile.
async fn make_keys(
    ground: &Ground,
    database: &Postgres,
    owner: &ApiKey,
    whose: &str,
    enough: &AtomicBool,
) -> (usize, usize) {
    let (mut made, mut refused) = (0, 0);
    while !enough.load(Ordering::Relaxed) {
        let name = format!("{whose}-{made}");
        let body = json!({ "name": name, "role": "viewer" });
        let answer = ground.post_once("/api/v1/keys", owner, &name, &body).await;
        match answer.status.as_u16() {
            201 => made += 1,
            _ => {
                require_polite(&answer, database);
                refused += 1;
            }
        }
    }
    (made, refused)
}

async fn until_ready(ground: &Ground, is_ready: bool) {
    let until = Instant::now() + PATIENCE;
    loop {
        let status = ground.ask(Method::GET, "/ready", None, None).await.status.as_u16();
        assert!([200, 503].contains(&status), "{status}");
        if (status == 200) == is_ready {
            return;
        }
        assert!(Instant::now() < until, "ready is {status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Orders a stop and lifts it, however often it has to be asked for.
async fn stop(ground: &Ground, owner: &ApiKey, reason: &str) {
    let until = Instant::now() + PATIENCE;
    for (path, good) in [("/api/v1/stops", 201), ("/api/v1/stops/lift", 200)] {
        while ground.post_once(path, owner, reason, &json!({ "reason": reason })).await.status != good {
            assert!(Instant::now() < until, "{reason}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_dies_and_comes_back_is_worked_with_as_before() {
    let database = Postgres::alone().await;
    let ground = Ground::above(database.store(4).await).await;
    let owner = ground.key(Role::Owner).await;
    let mut follower = Follower::new(&ground, &owner, None).await;
    let enough = AtomicBool::new(false);
    let faults = async {
        stop(&ground, &owner, "first").await;
        for round in ["second", "third"] {
            database.with(Server::stop_at_once).await;
            until_ready(&ground, false).await;
            assert_eq!(ground.ask(Method::GET, "/health", None, None).await.status, 200);
            // Whoever watches sees more than nothing, now of all times.
            let metrics = limits::metrics(&ground).await;
            assert!(metrics.contains("\nrampart_database_answers 0\n"), "{metrics}");
            assert!(metrics.contains("\nrampart_http_requests_total{"), "{metrics}");
            for path in ["/api/v1/scans", "/api/v1/findings", "/api/v1/events"] {
                require_polite(&ground.get(path, &owner).await, &database);
            }
            let again = database.with(Server::start_again);
            tokio::join!(stop(&ground, &owner, round), again);
            until_ready(&ground, true).await;
            let metrics = limits::metrics(&ground).await;
            assert!(metrics.contains("\nrampart_database_answers 1\n"), "{metrics}");
        }
        database.with(Server::restart).await;
        stop(&ground, &owner, "fourth").await;
        enough.store(true, Ordering::Relaxed);
    };
    let ((), one, other) = tokio::join!(
        faults,
        make_keys(&ground, &database, &owner, "one", &enough),
        make_keys(&ground, &database, &owner, "other", &enough),
    );
    assert!(one.0 > 0 && other.0 > 0 && one.1 + other.1 > 0, "{one:?} {other:?}");
    let keys = ground.store.keys(ground.tenant).await.unwrap();
    let count = |whose: &str| keys.iter().filter(|key| key.name.starts_with(&format!("{whose}-"))).count();
    assert_eq!((count("one"), count("other")), (one.0, other.0), "each is made once");
    assert!(ground.store.verify_audit(Some(ground.tenant), &[], None).await.unwrap().is_ok());
    database.require_rest(4).await;

    // Whoever followed is told all of it, once they have come back if their line has ended.
    let (mut told, mut last) = (Vec::new(), None);
    let until = Instant::now() + PATIENCE;
    while told.len() < 4 {
        assert!(Instant::now() < until, "{told:?}");
        match follower.next().await {
            Some((word, id, event)) => {
                assert_ne!(word, "missed");
                last = id.or(last);
                if word == "stop_ordered" {
                    told.push(event["stop"]["reason"].as_str().unwrap().to_owned());
                }
            }
            None => follower = Follower::new(&ground, &owner, last.as_deref()).await,
        }
    }
    assert_eq!(told, ["first", "second", "third", "fourth"]);
}
