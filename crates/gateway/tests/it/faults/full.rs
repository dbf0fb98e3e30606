//! A database whose disk has no room: nothing is changed by half, who reads goes on reading, and when there is room again all goes on
//! by itself.

use futures_util::future::join_all;
use model::{ApiKey, Role};
use serde_json::json;
use store::AuditFilter;
use testkit::postgres::{Options, Server};

use super::{PATIENCE, require_polite, until_ready};
use crate::{
    ground::{Answer, Ground},
    postgres::Postgres,
};

/// Room for what a new server keeps, for the tables and for what is written ahead.
const MEGABYTES: u32 = 160;
/// Who ask for something at the same moment.
const AT_ONCE: usize = 8;
/// Rounds until there is no room: much fewer are needed.
const ROUNDS: usize = 500;

async fn make_keys(ground: &Ground, owner: &ApiKey, made: &mut usize) -> Vec<Answer> {
    let round = *made;
    let asking = (0..AT_ONCE).map(async |number| {
        let body = json!({ "name": format!("made {round} {number}"), "role": "viewer" });
        ground.post("/api/v1/keys", owner, body).await
    });
    let answers = join_all(asking).await;
    *made += answers.iter().filter(|answer| answer.status == 201).count();
    answers
}

/// Everything that was said to be made is there, and nothing else, and each is told once.
async fn require_as_told(ground: &Ground, made: usize) {
    // One more is the owner's.
    assert_eq!(ground.store.keys(ground.tenant).await.unwrap().len(), made + 1);
    let filter = AuditFilter { action: Some("key.create".to_owned()), ..AuditFilter::default() };
    assert_eq!(ground.store.audit(ground.tenant, filter, 10_000).await.unwrap().len(), made + 1);
    assert!(ground.store.verify_audit(Some(ground.tenant), &[], None).await.unwrap().is_ok());
}

async fn until_all_are_made(ground: &Ground, owner: &ApiKey, made: &mut usize) {
    let until = std::time::Instant::now() + PATIENCE;
    while !make_keys(ground, owner, made).await.iter().all(|answer| answer.status == 201) {
        assert!(std::time::Instant::now() < until, "it does not go on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_room_refuses_changes_lets_read_and_goes_on_when_there_is_some() {
    // Little is kept ready to be written ahead.
    let settings = ["min_wal_size=32MB", "max_wal_size=32MB"].map(str::to_owned).to_vec();
    let options = Options { settings, room: Some(MEGABYTES), ..Options::default() };
    let database = Postgres::alone_with(options).await;
    let ground = Ground::above(database.store(4).await).await;
    let owner = ground.key(Role::Owner).await;
    let mut made = 0;
    assert!(make_keys(&ground, &owner, &mut made).await.iter().all(|answer| answer.status == 201));

    // No room for another page of a table.
    database.with(Server::fill_disk).await;
    let mut refused = Vec::new();
    for _ in 0..ROUNDS {
        let answers = make_keys(&ground, &owner, &mut made).await;
        refused.extend(answers.into_iter().filter(|answer| answer.status != 201));
        if refused.len() > 2 * AT_ONCE {
            break;
        }
    }
    assert!(refused.len() > 2 * AT_ONCE, "there is room for all");
    for answer in &refused {
        require_polite(answer, &database);
        assert!(answer.problem(503, "unavailable").contains("no room"), "{answer:?}");
    }
    for path in ["/health", "/ready", "/api/v1/me", "/api/v1/scans", "/api/v1/audit", "/api/v1/keys"] {
        let answer = ground.get(path, &owner).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    database.with(Server::free_disk).await;
    until_all_are_made(&ground, &owner, &mut made).await;
    require_as_told(&ground, made).await;

    // None for what is written ahead, without which the database ends, and does not come back while there is none.
    database.with(Server::fill_disk).await;
    database.with(Server::write_until_it_ends).await;
    until_ready(&ground, false).await;
    for answer in make_keys(&ground, &owner, &mut made).await {
        require_polite(&answer, &database);
    }
    require_polite(&ground.get("/api/v1/scans", &owner).await, &database);
    database.with(Server::free_disk).await;
    until_ready(&ground, true).await;
    until_all_are_made(&ground, &owner, &mut made).await;
    require_as_told(&ground, made).await;
    database.require_rest(4).await;
}
