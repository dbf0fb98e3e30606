//! The same of an installation on one machine: a file.

use std::fs;

use serde_json::Value;

use super::Site;
use crate::{platform::Up, run::assert_exit};

#[test]
fn an_installation_on_one_file_is_had_again_as_it_was_at_each_backup() {
    let site = Site::new(|directory| format!("file:{}/place", directory.display()));
    let run = |words: &[&str]| assert_exit(&site.run(words), 0);
    let tenants = |database: &str| -> Vec<String> {
        let list = site.json(&["tenant", "list", "--json", "--database", database]);
        list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    // It makes the file, and goes on while that is copied.
    let up = Up::of(site.command(&["up", "--listen", "127.0.0.1:0"]));
    let database = format!("sqlite:{}", site.path("rampart-data/rampart.db"));
    run(&["tenant", "create", "first", "--database", &database]);
    let at_first = tenants(&database);
    let create = ["backup", "create", "--database", &database, "--recipient", &site.recipient];
    let first = site.says(&create).trim().to_owned();
    run(&["tenant", "create", "second", "--database", &database]);
    let second = site.says(&create).trim().to_owned();
    let list = site.json(&["backup", "list", "--json"]);
    let ids: Vec<&str> =
        list["backups"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [&first, &second]);
    site.says(&["backup", "verify", "--identity", "key"]);
    let drilled: Value = site.json(&["backup", "drill", "--identity", "key", "--json"]);
    assert_eq!(drilled["troubles"], Value::Array(vec![]));
    assert_eq!(drilled["backup"], second.as_str());
    assert!(drilled["databases"][0]["audit_entries"].as_u64().unwrap() >= 2, "{drilled}");
    // Whoever wants more than there is to be had is told so.
    let least = ["backup", "drill", "--identity", "key", "--rpo", "1ms", "--rto", "1ms"];
    let said = site.refuses(&least, 1);
    assert!(said.contains("trouble: it took ") && said.contains(" s are lost"), "{said}");

    drop(up);
    for (id, tenants_then) in [(&first, at_first), (&second, tenants(&database))] {
        let into = site.path(id);
        site.says(&["backup", "restore", "--identity", "key", "--backup", id, "--into", &into]);
        assert_eq!(tenants(&format!("sqlite:{into}/rampart.db")), tenants_then);
    }

    let kept = site.directory.path().join("place/sqlite/base").join(&second).join("base.sqlite.zst.age");
    let mut bytes = fs::read(&kept).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&kept, bytes).unwrap();
    let said = site.refuses(&["backup", "verify"], 1);
    assert!(said.contains(&format!("{second}  damaged")), "{said}");
    site.refuses(&["backup", "drill", "--identity", "key"], 2);
}
