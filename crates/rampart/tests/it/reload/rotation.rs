//! Passwords and keys that are changed while everything goes on, and what needs a new start.

use std::{
    fs,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use testkit::{
    http::{HttpServer, Seen, ok},
    postgres, redis,
};

use super::status;
use crate::{
    platform::{json, run},
    run::{assert_exit, text},
    telemetry::{Logged, until},
};

const AGAIN: &str = "the configuration was read again";
const REFUSED: &str = "the configuration cannot be used, and all goes on as it was";

#[test]
fn the_passwords_of_database_and_broker_are_changed_and_no_request_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let (server, broker) = (postgres::Server::start(), redis::Server::start());
    let database = server.create_database_with_user();
    let prepare = ["migrate", "--grant-to", &database.user, "--database", &database.owner_url];
    assert_exit(&run(directory.path(), &prepare), 0);
    let write = |password: &str, of_broker: &str| {
        let (user, name) = (&database.user, &database.name);
        let at = |address: SocketAddr| address.to_string();
        let text = format!(
            "database = 'postgres://{user}:{password}@{}/{name}'\ndoorbell = 'redis://app:{of_broker}@{}'\n\
             key_rate = 100000\naddress_rate = 100000\ntenant_rate = 100000\n",
            at(server.address()),
            at(broker.address())
        );
        fs::write(directory.path().join("rampart.toml"), text).unwrap();
    };
    let change = |password: &str| {
        server.sql("postgres", &format!("ALTER ROLE {} PASSWORD '{password}'", database.user));
        broker.ask(&[
            "ACL",
            "SETUSER",
            "app",
            "on",
            "resetpass",
            &format!(">{password}"),
            "~*",
            "&*",
            "+@all",
        ]);
    };
    change("first-of-all");
    write("first-of-all", "first-of-all");
    let up = Logged::start(directory.path(), &[]);
    let key = format!("Authorization: Bearer {}", up.key);
    let answered = || {
        let answer = up.ask("/api/v1/tasks", &["-H", &key]);
        assert_eq!(status(&answer), "200", "{answer}\n{}", up.said());
    };
    // Connections of the broker by their ids, of the database by when they were made.
    let ringers = || -> Vec<String> {
        let list = broker.ask(&["CLIENT", "LIST"]);
        let of_app = list.lines().filter(|line| line.contains(" user=app "));
        of_app.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
    };
    let backends = |condition: &str| {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}' AND {condition}",
            database.user
        );
        server.sql("postgres", &sql).trim().parse::<usize>().unwrap()
    };
    let (ends, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let asking: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    while !ends.load(Ordering::Relaxed) {
                        answered();
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let goes_on = || {
            let before = asked.load(Ordering::Relaxed);
            let is_over = || asking.iter().any(thread::ScopedJoinHandle::is_finished);
            until(|| (asked.load(Ordering::Relaxed) > before + 20 || is_over()).then_some(()));
        };
        goes_on();
        until(|| (!ringers().is_empty()).then_some(()));
        let before = ringers();
        change("second-one");
        // Whoever has a connection goes on, and whoever has none waits for one.
        goes_on();
        write("wrong-one", "second-one");
        up.hang_up(REFUSED);
        goes_on();
        write("second-one", "second-one");
        let now = server.sql("postgres", "SELECT clock_timestamp()");
        up.hang_up(AGAIN);
        // All that was there before goes by itself, when it has had its say.
        until(|| (backends(&format!("backend_start < '{}'", now.trim())) == 0).then_some(()));
        until(|| ringers().iter().all(|ringer| !before.contains(ringer)).then_some(()));
        goes_on();
        ends.store(true, Ordering::Relaxed);
        asking.into_iter().for_each(|asking| asking.join().unwrap());
    });
    // What comes after that comes with the new password.
    let said = up.said().len();
    server.sql(
        "postgres",
        &format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = '{}'",
            database.user
        ),
    );
    broker.ask(&["CLIENT", "KILL", "USER", "app"]);
    // One that was killed may be lent before anybody has noticed.
    until(|| (0..20).all(|_| status(&up.ask("/api/v1/tasks", &["-H", &key])) == "200").then_some(()));
    until(|| (ringers().len() >= 2).then_some(()));
    assert!(backends("true") > 0);
    let said = up.said()[said..].to_owned();
    assert!(!said.contains("WRONGPASS") && !said.contains("password authentication failed"), "{said}");
    let said = up.end();
    for password in ["first-of-all", "second-one", "wrong-one"] {
        assert!(!said.contains(password), "{password} is told: {said}");
    }
}

#[test]
fn what_needs_a_new_start_is_named_and_the_rest_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rampart.toml");
    fs::write(&file, "").unwrap();
    let up = Logged::start(directory.path(), &[]);
    let named = |settings: &str| {
        fs::write(&file, settings).unwrap();
        let before = up.said().len();
        up.hang_up(AGAIN);
        // The line about the settings follows, or the next thing that it is asked.
        up.hang_up(AGAIN);
        let said = up.said()[before..].to_owned();
        let lines = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let about =
            lines.filter(|line| line["fields"]["message"] == "what has changed here needs a new start");
        let told: Vec<String> =
            about.map(|line| line["fields"]["settings"].as_str().unwrap().to_owned()).collect();
        told.first().cloned().unwrap_or_default()
    };
    // These are taken, or said by the arguments.
    assert_eq!(named("log = 'info'\nkey_rate = 7\nkeep_scans = '400d'\nlisten = '127.0.0.1:1'\n"), "");
    assert_eq!(named("log_format = 'text'\nmetrics = '127.0.0.1:1'\ntrusted_proxies = []\n"), "");
    let all = "data = 'elsewhere'\ndatabase_connections = 3\ndoorbell = 'redis://127.0.0.1:1'\ntenant = 'another'\n\
               price_per_worker_hour = '0.05'\nobjects = 'file:there'\ntraces = 'http://127.0.0.1:1'\nkey_rate = 8\n";
    let needed =
        "data, database, database_connections, objects, doorbell, tenant, price_per_worker_hour, traces";
    assert_eq!(named(all), needed);
    assert_eq!(named(all), needed, "as long as it is so");
    assert_eq!(named(""), "");
    up.end();
}

#[test]
fn another_key_signs_the_audit_from_sighup_on() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("rampart.toml"), "").unwrap();
    let up = Logged::start(directory.path(), &[]);
    until(|| up.said().contains("the audit was signed").then_some(()));
    assert_exit(&run(directory.path(), &["audit", "key", "create", "other.key"]), 0);
    fs::write(directory.path().join("rampart.toml"), "audit_key = 'missing.key'\n").unwrap();
    up.hang_up(REFUSED);
    fs::write(directory.path().join("rampart.toml"), "audit_key = 'other.key'\n").unwrap();
    up.hang_up(AGAIN);
    let (key, json_type) = (format!("Authorization: Bearer {}", up.key), "Content-Type: application/json");
    let stop = up.ask("/api/v1/stops", &["-H", &key, "-H", json_type, "-d", r#"{"reason":"to be signed"}"#]);
    assert_eq!(status(&stop), "201", "{stop}");
    // What was done is signed at the end.
    up.end();
    let checkpoints = json(&run(directory.path(), &["audit", "checkpoints", "--json"]));
    let keys: Vec<&str> =
        checkpoints.as_array().unwrap().iter().map(|signed| signed["key"].as_str().unwrap()).collect();
    assert!(keys.len() > 1 && keys.first() != keys.last(), "{checkpoints}");
    let both = ["--signed-by", "other.key", "--signed-by", "rampart-data/audit.key"];
    let verified = run(directory.path(), &[&["audit", "verify"], &both[..]].concat());
    assert_exit(&verified, 0);
    assert!(!text(&verified.stdout).contains("nothing"), "{}", text(&verified.stdout));
}

#[test]
fn another_key_signs_messages_beside_the_one_before_from_sighup_on() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let receiver = runtime.block_on(HttpServer::start(|_| ok("")));
    let directory = tempfile::tempdir().unwrap();
    let [old, new] = ["0123456789abcdef", "fedcba9876543210"].map(|half| half.repeat(2));
    let give = |keys: &str| fs::write(directory.path().join("webhook.key"), keys).unwrap();
    give(&old);
    let settings = "webhook_receivers = '127.0.0.0/8:*'\nwebhook_key = 'webhook.key'\n";
    fs::write(directory.path().join("rampart.toml"), settings).unwrap();
    let up = Logged::start(directory.path(), &[]);
    let (key, json_type) = (format!("Authorization: Bearer {}", up.key), "Content-Type: application/json");
    let send = |path: &str, body: &str| up.ask(path, &["-H", &key, "-H", json_type, "-d", body]);
    let secret = |answer: &str| answer.split("\"secret\":\"").nth(1).unwrap()[..50].to_owned();
    let url = format!("http://{}/hook", receiver.address());
    let made =
        send("/api/v1/webhooks", &format!(r#"{{"name":"chat","url":"{url}","events":["scan_begun"]}}"#));
    assert_eq!(status(&made), "201", "{made}");
    // How many signatures the next message has.
    let signatures = || {
        let before = receiver.seen().len();
        let asked = r#"{"targets":["127.0.0.1:9"],"request":{"scope":"loopback","stages":["ports"]}}"#;
        let begun = send("/api/v1/scans", asked);
        assert_eq!(status(&begun), "202", "{begun}");
        let message = until(|| receiver.seen().get(before).map(Seen::text));
        let line = message.lines().find(|line| line.starts_with("webhook-signature: ")).unwrap();
        line.split(' ').count() - 1
    };
    assert_eq!(signatures(), 1);
    give("too short");
    up.hang_up(REFUSED);
    assert_eq!(signatures(), 1);
    give(&format!("{new}\n{old}\n"));
    up.hang_up(AGAIN);
    assert_eq!(signatures(), 2);
    // Who is given a secret is given one of the new key.
    let id = made.split("\"id\":\"").nth(1).unwrap()[..36].to_owned();
    let rotated = send(&format!("/api/v1/webhooks/{id}/rotate"), r#"{"overlap_seconds":0}"#);
    assert_eq!((signatures(), secret(&rotated) == secret(&made)), (2, false), "{rotated}");
    give(&new);
    up.hang_up(AGAIN);
    assert_eq!(signatures(), 1);
    // Whether anything is sent at all waits for a new start, and holds up nothing else until then.
    fs::remove_file(directory.path().join("webhook.key")).unwrap();
    fs::write(directory.path().join("rampart.toml"), "key_rate = 7\n").unwrap();
    up.hang_up("webhook_receivers, webhook_key");
    assert_eq!(signatures(), 1);
    let said = up.end();
    assert!(!said.contains(&old) && !said.contains(&new), "{said}");
}
