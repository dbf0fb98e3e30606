//! Who did what, as an operator reads it.

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
