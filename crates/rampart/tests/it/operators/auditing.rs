//! Who did what, as an operator reads it.

use std::path::Path;

use serde_json::Value;

use crate::{
    platform::{Up, json, run},
    run::{assert_exit, text},
};

#[test]
fn the_audit_tells_who_did_what_to_whom() {
    let directory = tempfile::tempdir().unwrap();
    let ask = |words: &[&str]| run(directory.path(), words);
    Up::start(directory.path(), &[]).end();
    assert_exit(&ask(&["tenant", "create", "acme"]), 0);
    assert_exit(&ask(&["stop", "--reason", "everything", "--stage", "ports"]), 0);
    assert_exit(&ask(&["stop", "--reason", "of one", "--of-tenant", "acme"]), 0);
    let resume = ["resume", "--reason", "cleared", "--by", "J. Doe", "--stage", "ports"];
    assert_exit(&ask(&resume), 0);
    let actions = |words: &[&str]| {
        let listed = json(&ask(&[&["audit", "list", "--json"], words].concat()));
        let entries = listed.as_array().unwrap().iter();
        entries.map(|entry| entry["action"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let own = ["stop.order", "scope.put", "tenant.create"];
    assert_eq!(actions(&["--tenant", "acme"]), own);
    let all = actions(&["--tenant", "acme", "--all"]);
    assert_eq!(all, ["stop.lift", "stop.order", "stop.order", "scope.put", "tenant.create"]);
    assert_eq!(actions(&["--tenant", "acme", "--all", "--limit", "2"]), all[..2]);
    assert_eq!(actions(&["--tenant", "acme", "--all", "--by", "J. Doe"]), all[..1]);
    assert_eq!(actions(&["--tenant", "acme", "--action", "scope", "--since", "1h"]), ["scope.put"]);
    assert_eq!(actions(&["--since", "1ms"]), [""; 0]);
    assert_eq!(actions(&["--action", "stop"]), [""; 0], "it was done to another tenant, or to all");

    let listed = ask(&["audit", "list", "--tenant", "acme", "--limit", "1"]);
    let said = text(&listed.stderr);
    let table = text(&listed.stdout);
    let row: Vec<&str> = table.lines().nth(1).unwrap().split("  ").filter(|cell| !cell.is_empty()).collect();
    assert_eq!(row.len(), 6, "{table}");
    assert_eq!((row[3].trim(), row[5].trim()), ("stop.order", "of one"), "{table}");
    let before = said.trim().rsplit(' ').next().unwrap();
    assert_eq!(before, row[0]);
    assert_eq!(actions(&["--tenant", "acme", "--before", before]), own[1..]);
}

/// As somebody would who has the file, the chain and no wish to be found out.
fn forge(directory: &Path, sql: &str) {
    let database = rusqlite::Connection::open(directory.join("rampart-data/rampart.db")).unwrap();
    database.execute_batch(sql).unwrap();
}

#[test]
fn whoever_changes_the_audit_is_found_out() {
    let directory = tempfile::tempdir().unwrap();
    let ask = |words: &[&str]| run(directory.path(), words);
    Up::start(directory.path(), &[]).end();
    for stop in ["first", "second"] {
        assert_exit(&ask(&["stop", "--reason", stop, "--of-tenant", "default"]), 0);
    }
    let verified = ask(&["audit", "verify"]);
    assert_exit(&verified, 0);
    let end = text(&verified.stdout).lines().nth(1).unwrap().to_owned();
    assert_exit(&ask(&["stop", "--reason", "third", "--of-tenant", "default"]), 0);
    assert_exit(&ask(&["audit", "verify", "--contains", &end]), 0);
    assert_exit(&ask(&["audit", "verify", "--installation"]), 0);
    let exported = ask(&["audit", "export", "--after", "1"]);
    let lines: Vec<Value> =
        text(&exported.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let positions: Vec<u64> = lines.iter().map(|line| line["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (2..=positions.len() as u64 + 1).collect::<Vec<_>>());
    assert_eq!(lines.last().unwrap()["detail"], "third");
    assert_eq!(lines.last().unwrap()["seal"], json(&ask(&["audit", "verify", "--json"]))["seal"]);

    forge(
        directory.path(),
        "DROP TRIGGER audit_is_not_changed; UPDATE audit SET detail = 'nothing' WHERE detail = 'second'",
    );
    let found = ask(&["audit", "verify"]);
    assert_exit(&found, 1);
    assert!(text(&found.stdout).contains("is not as it was sealed"), "{}", text(&found.stdout));
    assert_eq!(json(&ask(&["audit", "verify", "--json"]))["whole"], false);
}
