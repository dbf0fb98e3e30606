//! What goes wrong on the way to a server, and what no server is asked for.

use std::process::Command;

use testkit::http::{HttpServer, ok};

use super::Both;
use crate::run::{assert_exit, text};

#[track_caller]
fn refused(mut command: Command, says: &[&str]) -> String {
    let output = command.output().unwrap();
    assert_exit(&output, 2);
    let said = text(&output.stderr);
    for word in says {
        assert!(said.contains(word), "{command:?}: no `{word}` in {said}");
    }
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    said
}

#[test]
fn who_asks_wrongly_is_told_what_is_wrong() {
    let both = Both::start(&[]);
    let (url, key) = (both.url(), both.key.clone());
    let list = |further: &[&str]| both.elsewhere(&[&["task", "list"], further].concat());
    let with_key = |further: &[&str]| {
        let mut command = list(further);
        command.env("RAMPART_KEY", &key);
        command
    };
    let at = ["--server", &url[..]];
    // Without a key, with something else, and with one that nobody knows.
    refused(list(&at), &["RAMPART_KEY", "--key-file", "`rampart key create`"]);
    let mut cut = list(&at);
    cut.env("RAMPART_KEY", &key[..40]);
    let said = refused(cut, &["there is no key in RAMPART_KEY"]);
    assert!(!said.contains(&key[17..22]), "{said}");
    let mut unknown = list(&at);
    unknown.env("RAMPART_KEY", model::ApiKey::from_random([7; 4], [7; 24]).expose());
    refused(unknown, &["the key is not known", "(request "]);
    refused(list(&["--server", &url, "--key-file", "missing"]), &["cannot read `missing` for --key-file"]);
    let file = both.path().join("key");
    std::fs::write(&file, format!("{key}\n")).unwrap();
    let from_file = list(&["--server", &url, "--key-file", file.to_str().unwrap()]).output().unwrap();
    assert_exit(&from_file, 0);
    // As an argument it is no option at all.
    refused(list(&["--server", &url, "--key", &key]), &["--key"]);

    // Nobody, somebody else, and somewhere that others see.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    refused(with_key(&["--server", &away]), &[&away, "cannot be reached", "refused"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let page = runtime.block_on(HttpServer::start(|_| ok("<h1>Welcome</h1>")));
    let other = format!("http://{}", page.address());
    refused(with_key(&["--server", &other]), &["cannot be read", "may be no Rampart"]);
    refused(with_key(&["--server", "scan.example.com"]), &["--server", "https://HOST"]);
    refused(with_key(&["--server", "http://192.0.2.1:8440"]), &["192.0.2.1", "https", "--without-tls"]);
    refused(
        with_key(&["--server", &format!("{url}/elsewhere")]),
        &["there is no such route", "openapi.json"],
    );
    refused(with_key(&["--server", "https://localhost:1", "--server-ca", "missing.pem"]), &["missing.pem"]);
    // As `rampart up` says where it is.
    assert_exit(&with_key(&["--server", &format!("{url}/api/v1")]).output().unwrap(), 0);

    // Two places, or whose things, at once.
    let at = |option: &str, value: &str| with_key(&["--server", &url, option, value]);
    refused(at("--database", "sqlite:x.db"), &["--server and --database", "RAMPART_DATABASE"]);
    refused(at("--data", "x"), &["--server and --data", "RAMPART_DATA"]);
    refused(at("--tenant", "default"), &["--server and --tenant", "a key belongs to a tenant"]);
    refused(list(&["--without-tls"]), &["--without-tls is about --server"]);
    // These are about this machine, or about all tenants: they have no such option.
    for words in [&["admin", "list"][..], &["up"], &["migrate"], &["worker"]] {
        let output = both.here(&[words, &["--server", &url]].concat());
        assert_exit(&output, 2);
        assert!(text(&output.stderr).contains("unexpected argument '--server'"), "{}", text(&output.stderr));
    }
    both.up.end();
}

#[test]
fn what_is_not_there_and_what_is_not_allowed_is_told_by_the_server() {
    let both = Both::start(&[]);
    let file = both.path().join("scope.toml");
    std::fs::write(&file, "authorised_by = 'J. Doe'\nnetworks = ['127.0.0.0/8']\n").unwrap();
    let file = file.to_str().unwrap();
    let none = "0123456789abcdef";
    let (task, fingerprint) = ("01a1fd8e-79c0-70ed-8374-bfa2b54ad121", "00112233445566778899aabbccddeeff");
    let ask = |key: &str, words: &[&str]| {
        let mut command = both.elsewhere(words);
        command.env("RAMPART_SERVER", both.url()).env("RAMPART_KEY", key);
        command
    };
    let decide = ["--verdict", "triaged", "--reason", "r"];
    for (words, says) in [
        (&["scan", "show", none][..], &["there is no scan `0123456789abcdef`"][..]),
        (&["scan", "cancel", none], &["there is no scan"]),
        (&["scan", "diff", none], &["there is no scan"]),
        (&["scan", "report", none], &["there is no scan"]),
        (&["scan", "submit", "192.0.2.1"], &["the scan was not begun", "(scope `loopback`)"]),
        (&["scan", "submit", "127.0.0.1", "--scope", "nope"], &["there is no scope `nope`"]),
        (&["scan", "submit", "127.0.0.1", "--only", "nope"], &["there is no check `nope`"]),
        (&["scan", "submit", "127.0.0.1", "--idempotency-key", "a b"], &["1 to 128 visible characters"]),
        (&["task", "show", task], &["there is no task"]),
        (&["task", "cancel"], &["which tasks?"]),
        (&["finding", "show", fingerprint], &["there is no finding"]),
        (&["finding", "list", "--scan", none], &["there is no scan"]),
        (&[&["finding", "decide", fingerprint][..], &decide].concat(), &["nothing is decided", fingerprint]),
        (&["schedule", "show", "weekly"], &["the tenant of the key has no schedule `weekly`"]),
        (&["schedule", "create", "s", "192.0.2.1", "--every", "6h"], &["the schedule was not made", "scope"]),
        (&["scope", "delete", "nope"], &["there is no scope `nope`", "`rampart scope list`"]),
        (&["key", "revoke", "00000000"], &["there is no key `00000000`", "`rampart key list`"]),
        (&["key", "rotate", "00000000"], &["there is no key `00000000`"]),
        (&["stop", "--reason", "r", "--scan", none], &["nothing is stopped", "there is no scan"]),
        (&["resume", "--reason", "r"], &["nothing is lifted: no stop holds"]),
    ] {
        refused(ask(&both.key, words), says);
    }

    let viewer = both.key_of("viewer");
    let scan = text(&both.here(&["scan", "submit", "127.0.0.1:9", "--stages", "ports"]).stdout);
    for (words, permission) in [
        (&["scan", "submit", "127.0.0.1"][..], "scans.submit"),
        (&["scan", "cancel", scan.trim()], "scans.cancel"),
        (&["schedule", "create", "s", "127.0.0.1", "--every", "6h"], "schedules.manage"),
        (&["scope", "put", "office", file], "scopes.manage"),
        (&["scope", "delete", "loopback"], "scopes.manage"),
        (&["key", "list"], "keys.read"),
        (&["key", "create", "more", "--role", "viewer"], "keys.manage"),
        (&[&["finding", "decide", fingerprint][..], &decide].concat(), "findings.decide"),
        (&["task", "cancel", "--all"], "tasks.manage"),
        (&["task", "redrive", "--all"], "tasks.manage"),
        (&["task", "purge"], "tasks.manage"),
        (&["audit", "list"], "audit.read"),
        (&["audit", "checkpoints"], "audit.read"),
        (&["stop", "--reason", "r"], "stops.order"),
        (&["resume", "--reason", "r"], "stops.lift"),
    ] {
        let says = format!("the role viewer has no permission {permission}: whoever manages keys and people");
        refused(ask(&viewer, words), &[&says, " (request "]);
    }
    refused(
        ask(&both.key_of("administrator"), &["key", "create", "k", "--role", "owner"]),
        &["may not give"],
    );

    // What a key does not reach.
    let elsewhere = "leave --server out, and RAMPART_SERVER unset, where the database is";
    refused(ask(&both.key, &["task", "exercise"]), &["no work that is none", elsewhere, &both.url()]);
    for words in [
        &["stop", "--reason", "r", "--everything"][..],
        &["stop", "--reason", "r", "--stage", "ports"],
        &["stop", "--reason", "r", "--of-tenant", "acme"],
        &["resume", "--reason", "r", "--stage", "ports"],
        &["audit", "verify", "--installation"],
        &["audit", "export", "--installation"],
        &["audit", "list", "--all"],
        &["audit", "checkpoints", "--installation"],
    ] {
        refused(ask(&both.key, words), &["the tenant does not run the platform", "--platform-tenant"]);
    }
    let by = [&["finding", "decide", fingerprint][..], &decide, &["--by", "J. Doe"]].concat();
    refused(ask(&both.key, &by), &["--by", "whose key it was asked with"]);
    refused(ask(&both.key, &["resume", "--reason", "r", "--by", "J. Doe"]), &["--by", "leave it out"]);
    both.up.end();
}
