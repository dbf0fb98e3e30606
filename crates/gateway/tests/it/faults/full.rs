//! A database whose disk has no room: nothing is changed by half, who reads goes on reading, and when there is room again all goes on
//! by itself.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

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

/// Somebody who asks for keys, each under an idempotency key.
struct Asker<'g> {
    ground: &'g Ground,
    owner: ApiKey,
    /// How many keys they have asked for.
    asked: usize,
    /// Those that they were not told are made.
    unmade: Vec<usize>,
}

impl Asker<'_> {
    async fn ask_for(&self, number: usize) -> Answer {
        let (name, path) = (format!("made {number}"), "/api/v1/keys");
        let body = json!({ "name": name, "role": "viewer" });
        self.ground.post_once(path, &self.owner, &format!("deploy-{number}"), &body).await
    }

    /// For some more at the same moment. What was refused.
    async fn make_keys(&mut self) -> Vec<Answer> {
        let numbers = self.asked..self.asked + AT_ONCE;
        self.asked += AT_ONCE;
        let answers = join_all(numbers.clone().map(|number| self.ask_for(number))).await;
        let refused = numbers.zip(answers).filter(|(_, answer)| answer.status != 201);
        let (unmade, refused): (Vec<usize>, Vec<Answer>) = refused.unzip();
        self.unmade.extend(unmade);
        refused
    }

    /// Again for what was refused, until all of it is made. Then it is there, once, and told once.
    async fn require_all(&mut self) {
        let until = Instant::now() + PATIENCE;
        while let Some(number) = self.unmade.last() {
            if self.ask_for(*number).await.status == 201 {
                self.unmade.pop();
            }
            assert!(Instant::now() < until, "it does not go on");
        }
        // One more is the owner's.
        let (store, tenant) = (&self.ground.store, self.ground.tenant);
        assert_eq!(store.keys(tenant).await.unwrap().len(), self.asked + 1);
        let filter = AuditFilter { action: Some("key.create".to_owned()), ..AuditFilter::default() };
        assert_eq!(store.audit(tenant, filter, 10_000).await.unwrap().len(), self.asked + 1);
        assert!(store.verify_audit(Some(tenant), &[], None).await.unwrap().is_ok());
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
    let mut asker = Asker { ground: &ground, owner: owner.clone(), asked: 0, unmade: Vec::new() };
    assert!(asker.make_keys().await.is_empty());

    // No room for another page of a table.
    database.with(Server::fill_disk).await;
    let mut refused = Vec::new();
    for _ in 0..ROUNDS {
        refused.extend(asker.make_keys().await);
        if refused.len() > 2 * AT_ONCE {
            break;
        }
    }
    assert!(refused.len() > 2 * AT_ONCE, "there is room for all");
    for answer in &refused {
        require_polite(answer, &database);
        assert!(answer.problem(503, "unavailable").contains("no room"), "{answer:?}");
    }
    let there = ground.store.keys(ground.tenant).await.unwrap().len();
    assert_eq!(there, asker.asked - asker.unmade.len() + 1, "what is refused is not done");
    for path in ["/health", "/ready", "/api/v1/me", "/api/v1/scans", "/api/v1/audit", "/api/v1/keys"] {
        let answer = ground.get(path, &owner).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    database.with(Server::free_disk).await;
    asker.require_all().await;

    // None for what is written ahead, without which the database ends, whatever it was at; it comes back when it finds some.
    database.with(Server::fill_disk).await;
    let has_ended = AtomicBool::new(false);
    let ending = async {
        database.with(Server::write_until_it_ends).await;
        has_ended.store(true, Ordering::Relaxed);
    };
    let asking = async {
        let mut refused = Vec::new();
        while !has_ended.load(Ordering::Relaxed) {
            refused.extend(asker.make_keys().await);
            let read = ground.get("/api/v1/scans", &owner).await;
            refused.extend(Some(read).filter(|read| read.status != 200));
        }
        refused
    };
    let ((), refused) = tokio::join!(ending, asking);
    for answer in &refused {
        require_polite(answer, &database);
    }
    database.with(Server::free_disk).await;
    until_ready(&ground, true).await;
    asker.require_all().await;
    database.require_rest(4).await;
}
