//! Keys, as an operator makes them and a program uses them.

use std::time::{Duration, Instant};

use crate::{
    platform::{Up, json, run},
    run::{assert_exit, text},
};

#[test]
fn a_key_is_made_used_listed_rotated_and_revoked() {
    let directory = tempfile::tempdir().unwrap();
    let ask = |words: &[&str]| run(directory.path(), words);
    let up = Up::start(directory.path(), &[]);
    let status = |key: &str| up.ask_as(key.trim(), "/api/v1/me")[..12].to_owned();
    let made = ask(&["key", "create", "pipeline", "--role", "scanner", "--network", "127.0.0.0/8,::1/128"]);
    assert_exit(&made, 0);
    let key = text(&made.stdout);
    assert_eq!(key.lines().count(), 1, "alone on standard output: {key}");
    assert!(
        text(&made.stderr).contains("pipeline: scanner; the key is shown once"),
        "{}",
        text(&made.stderr)
    );
    assert_eq!(status(&key), "HTTP/1.1 200");
    let far = ask(&["key", "create", "far", "--role", "viewer", "--network", "10.0.0.0/8", "--for", "90d"]);
    assert_eq!(status(&text(&far.stdout)), "HTTP/1.1 401");

    let listed = json(&ask(&["key", "list", "--json"]));
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["far", "first", "pipeline"]);
    let table = ask(&["key", "list"]);
    for part in key.trim().rsplit('_').take(1) {
        assert!(!text(&table.stdout).contains(part) && !listed.to_string().contains(part));
    }
    let row = text(&table.stdout).lines().nth(3).unwrap().to_owned();
    assert!(
        row.contains("scanner") && row.contains("127.0.0.0/8 ::1/128") && !row.contains("never"),
        "{row}"
    );

    let prefix = &key[8..16];
    let rotated = ask(&["key", "rotate", prefix, "--overlap", "1h", "--json"]);
    assert_exit(&rotated, 0);
    let next = json(&rotated)["key"].as_str().unwrap().to_owned();
    assert_eq!((status(&key), status(&next)), ("HTTP/1.1 200".to_owned(), "HTTP/1.1 200".to_owned()));
    let again = ask(&["key", "rotate", prefix]);
    assert_exit(&again, 2);
    assert!(text(&again.stderr).contains("took its place"), "{}", text(&again.stderr));
    assert_exit(&ask(&["key", "revoke", prefix]), 0);
    // What another process takes back is believed for a second more.
    let is_unknown = |key: &str| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while status(key) != "HTTP/1.1 401" {
            assert!(Instant::now() < deadline, "it is still known");
            // Only the pause between two looks; nothing depends on its length.
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    is_unknown(&key);
    assert_eq!(status(&next), "HTTP/1.1 200");

    // Somebody gives all of it, or nearly all: no secret is repeated.
    for given in [&key.trim()[..40], &key.trim()[8..], key.trim()] {
        let refused = ask(&["key", "revoke", given]);
        assert_exit(&refused, 2);
        assert!(!text(&refused.stderr).contains(&key[17..22]), "{}", text(&refused.stderr));
    }
    assert_exit(&ask(&["key", "revoke", &next]), 0);
    is_unknown(&next);
    let unknown = ask(&["key", "revoke", "00000000"]);
    assert_exit(&unknown, 2);
    assert!(text(&unknown.stderr).contains("`rampart key list`"), "{}", text(&unknown.stderr));
    up.end();
}

#[test]
fn keys_do_not_go_over_a_network_in_the_clear_unless_somebody_says_so() {
    let directory = tempfile::tempdir().unwrap();
    for role in ["up", "gateway"] {
        let refused = run(directory.path(), &[role, "--listen", "0.0.0.0:0"]);
        assert_exit(&refused, 2);
        let said = text(&refused.stderr);
        assert!(said.contains("--without-tls") && said.contains("0.0.0.0:0"), "{role}: {said}");
        let half = run(directory.path(), &[role, "--tls-certificate", "chain.pem"]);
        assert_exit(&half, 2);
        assert!(text(&half.stderr).contains("--tls-key"), "{role}: {}", text(&half.stderr));
        let nowhere =
            run(directory.path(), &[role, "--tls-certificate", "chain.pem", "--tls-key", "key.pem"]);
        assert_exit(&nowhere, 2);
        assert!(
            text(&nowhere.stderr).contains("cannot read `chain.pem`"),
            "{role}: {}",
            text(&nowhere.stderr)
        );
    }
}
