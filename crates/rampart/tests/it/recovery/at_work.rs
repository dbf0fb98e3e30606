//! Rampart itself at work on a database that is about to be lost, and what it says of one that is there again.

use std::{
    net::SocketAddr,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::postgres;

use super::Site;
use crate::{
    asking::{asked, begin_scan},
    platform::{PATIENCE, watched::Watched},
    run::{assert_exit, send, text},
};

/// How often somebody asks for a scan, each of which is an entry of the audit.
const EVERY: Duration = Duration::from_millis(250);
/// Signs the audit, and is not in the database.
const AUDIT_KEY: &str = "audit.key";

/// A scan that somebody was told of.
pub(super) struct Told {
    pub(super) id: String,
    pub(super) asked: Timestamp,
    pub(super) answered: Timestamp,
}

/// What whoever asks was told.
#[derive(Default)]
struct Seen {
    told: Mutex<Vec<Told>>,
    refused: Mutex<Vec<String>>,
    over: AtomicBool,
}

/// A gateway, an orchestrator that signs the audit and a worker, and somebody who asks for scans, until this is dropped.
pub(super) struct AtWork {
    pub(super) key: String,
    pub(super) gateway: SocketAddr,
    orchestrator: Watched,
    _others: [Watched; 2],
    seen: Arc<Seen>,
    asks: Option<JoinHandle<()>>,
}

impl AtWork {
    /// Begins on a database that has tenants and nothing else, and has signed that.
    #[track_caller]
    pub(super) fn begin(site: &Site, server: &postgres::Server, database: &str) -> AtWork {
        site.says(&["audit", "key", "create", AUDIT_KEY]);
        let made =
            operator(site, server, database, &["key", "create", "asker", "--role", "administrator"]).output();
        let made = made.unwrap();
        assert_exit(&made, 0);
        let at_work = AtWork::go_on(site, server, database, text(&made.stdout).trim());
        let until = Instant::now() + PATIENCE;
        for tenant in ["default", "another"] {
            while verified(site, server, database, &["--tenant", tenant])["signed"].is_null() {
                assert!(Instant::now() < until, "nobody signs the audit");
            }
        }
        at_work
    }

    /// The same with a key that the database has.
    #[track_caller]
    pub(super) fn go_on(site: &Site, server: &postgres::Server, database: &str, key: &str) -> AtWork {
        let start = |words: &[&str]| {
            let mut command = operator(site, server, database, words);
            command.args(["--metrics", "127.0.0.1:0", "--log", "warn"]);
            Watched::start(command)
        };
        let rates = ["--address-rate=100000", "--key-rate=100000", "--tenant-rate=100000"];
        let gateway = start(&[&["gateway", "--listen", "127.0.0.1:0"][..], &rates].concat());
        let worker = start(&["worker", "--concurrency", "4"]);
        let orchestrator = start(&["orchestrator", "--audit-key", AUDIT_KEY]);
        for role in [&gateway, &worker] {
            role.comes_to("/ready", 200, "ready");
        }
        orchestrator.comes_to("/metrics", 200, "rampart_orchestrator_leads 1\n");
        let (entry, key) = (gateway.listens(), key.to_owned());
        let seen = Arc::<Seen>::default();
        let asks = thread::spawn({
            let (seen, key) = (Arc::clone(&seen), key.clone());
            move || ask(entry, &key, &seen)
        });
        AtWork { key, gateway: entry, orchestrator, _others: [gateway, worker], seen, asks: Some(asks) }
    }

    /// Waits until somebody was told of so many more scans.
    #[track_caller]
    pub(super) fn tells(&self, more: usize) {
        let told = || self.seen.told.lock().unwrap().len();
        let (enough, until) = (told() + more, Instant::now() + PATIENCE);
        while told() < enough {
            assert!(Instant::now() < until, "{:?}", self.seen.refused.lock().unwrap().last());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Nobody asks any more: what they were told.
    pub(super) fn end(mut self) -> Vec<Told> {
        self.nobody_asks();
        std::mem::take(&mut *self.seen.told.lock().unwrap())
    }

    /// The same, and whoever signs ends in order: everything is signed.
    #[track_caller]
    pub(super) fn end_in_order(mut self) -> Vec<Told> {
        self.nobody_asks();
        send(Signal::SIGTERM, &self.orchestrator.child);
        assert!(self.orchestrator.child.wait().unwrap().success());
        self.end()
    }

    fn nobody_asks(&mut self) {
        self.seen.over.store(true, Ordering::Relaxed);
        if let Some(asks) = self.asks.take() {
            asks.join().unwrap();
        }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.seen.over.store(true, Ordering::Relaxed);
    }
}

/// Asks until it is over, also of a gateway that has lost its database.
fn ask(entry: SocketAddr, key: &str, seen: &Seen) {
    for number in 0.. {
        if seen.over.load(Ordering::Relaxed) {
            return;
        }
        let asked = Timestamp::now();
        match begin_scan(entry, key, "loopback", &format!("{asked}-{number}")) {
            Ok(id) => seen.told.lock().unwrap().push(Told { id, asked, answered: Timestamp::now() }),
            Err(error) => seen.refused.lock().unwrap().push(error),
        }
        thread::sleep(EVERY);
    }
}

/// A command of Rampart with a database.
fn operator(site: &Site, server: &postgres::Server, database: &str, words: &[&str]) -> Command {
    let mut command = site.command(words);
    command.env("RAMPART_DATABASE", server.url("app", "of-the-tests", database));
    command
}

/// What `audit verify` says of a chain with the key that is not in the database: nothing but good.
#[track_caller]
fn verified(site: &Site, server: &postgres::Server, database: &str, chain: &[&str]) -> Value {
    let words = [&["audit", "verify", "--json", "--signed-by", AUDIT_KEY], chain].concat();
    let output = operator(site, server, database, &words).output().unwrap();
    // Nothing may be signed yet, and that is said.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}{}", text(&output.stdout), text(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(told["whole"] == true && (told["signed"].is_null() || output.status.success()), "{told}");
    told
}

/// What `doctor` finds, and how it ends.
pub(super) fn examined(site: &Site, server: &postgres::Server, database: &str) -> (Option<i32>, String) {
    let output = operator(site, server, database, &["doctor"]).output().unwrap();
    (output.status.code(), text(&output.stdout))
}

/// Rampart finds nothing wrong with a database that is there again: neither its doctor nor who walks the audit. It has every scan that
/// somebody was told of by that moment, none that was asked for later than the other, and each with its entry in the audit.
#[track_caller]
pub(super) fn assert_well(
    site: &Site,
    (server, database): (&postgres::Server, &str),
    told: &[Told],
    by: Timestamp,
    none_after: Timestamp,
) {
    let [chain, another] =
        ["default", "another"].map(|tenant| verified(site, server, database, &["--tenant", tenant]));
    assert!(!chain["signed"].is_null() && !another["signed"].is_null(), "{chain} {another}");
    verified(site, server, database, &["--installation"]);
    let (code, found) = examined(site, server, database);
    assert!(code == Some(0) && !found.contains("broken"), "{found}");

    let there = server.sql(database, "SELECT scan_id FROM rampart.scans");
    let there: std::collections::BTreeSet<&str> = there.lines().collect();
    let due: Vec<&Told> = told.iter().filter(|told| told.answered <= by).collect();
    let missing: Vec<&str> =
        due.iter().map(|told| told.id.as_str()).filter(|id| !there.contains(id)).collect();
    assert!(
        !due.is_empty() && missing.is_empty(),
        "{} of {} are missing: {missing:?}",
        missing.len(),
        due.len()
    );
    let undone = told.iter().filter(|told| told.asked > none_after && there.contains(told.id.as_str()));
    assert_eq!(undone.count(), 0, "they were asked for after {none_after}");
    let halves = "SELECT count(*) FROM rampart.scans FULL JOIN \
                  (SELECT subject FROM rampart.audit WHERE action = 'scan.submit' AND NOT refused) AS said \
                  ON subject = scan_id WHERE subject IS NULL OR scan_id IS NULL";
    assert_eq!(server.sql(database, halves).trim(), "0", "done and not told, or told and not done");
    println!(
        "{} scans are there of the {} of which somebody was told, {} of them by {by}; the audit is whole, {chain}",
        there.len(),
        told.len(),
        due.len()
    );
}

/// Rampart goes on there as if nothing had been: with the keys that people have, with what they were told of, and with its audit, which
/// is signed to its end.
#[track_caller]
pub(super) fn assert_goes_on(
    site: &Site,
    (server, database): (&postgres::Server, &str),
    key: &str,
    told: &Told,
) {
    let at_work = AtWork::go_on(site, server, database, key);
    let line = format!("GET /api/v1/scans/{}", told.id);
    asked(at_work.gateway, &at_work.key, &line, "", "").unwrap();
    at_work.tells(3);
    let (_, found) = examined(site, server, database);
    for well in ["database", "workers", "orchestrator"] {
        let line = found.lines().find(|line| line.starts_with(well));
        assert!(line.is_some_and(|line| line.contains(" ok ")), "{found}");
    }
    at_work.end_in_order();
    let chain = verified(site, server, database, &[]);
    assert_eq!(chain["unsigned"], 0, "{chain}");
}
