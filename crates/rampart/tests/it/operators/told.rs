//! What operators are told of scans, stops and passwords.

use serde_json::json as document;

use crate::{
    platform::{Up, json, run},
    run::{assert_exit, rampart, text},
};

#[test]
fn no_password_is_printed_however_unusual_the_url_is() {
    let directory = tempfile::tempdir().unwrap();
    for (variable, value) in [
        ("RAMPART_DATABASE", "postgres://u:TopSecret9"),
        ("RAMPART_DATABASE", "host=127.0.0.1 password=TopSecret9"),
        ("RAMPART_DATABASE", "postgres://u:Top#Secret9@127.0.0.1/x"),
        ("RAMPART_DATABASE", "postgres://u:Top?Secret9@127.0.0.1/x"),
        ("RAMPART_DATABASE", "postgres://u@127.0.0.1:1/x?password=Top@Secret9"),
        ("RAMPART_REPLICA", "host=127.0.0.1 password=TopSecret9"),
        ("RAMPART_REPLICA", "postgres://u:TopSecret9"),
        ("RAMPART_DOORBELL", "redis://:Top#Secret9@h"),
        ("RAMPART_DOORBELL", "amqp://u:Top#Secret9@h"),
        ("RAMPART_DOORBELL", "amqp://u:TopSecret9"),
        ("RAMPART_DOORBELL", "TopSecret9"),
        ("RAMPART_OBJECTS", "TopSecret9"),
    ] {
        for arguments in [&["doctor"][..], &["doctor", "--json"], &["task", "list"]] {
            let output = rampart(directory.path()).env(variable, value).args(arguments).output().unwrap();
            let said = text(&output.stdout) + &text(&output.stderr);
            assert!(
                !said.is_empty() && !said.contains("Secret9"),
                "{variable}={value} {arguments:?}: {said}"
            );
        }
    }
}

#[test]
fn a_stop_of_a_scan_that_the_tenant_does_not_have_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    Up::start(directory.path(), &[]).end();
    assert_exit(&run(directory.path(), &["tenant", "create", "acme corp"]), 0);
    let scan = text(&run(directory.path(), &["scan", "submit", "127.0.0.1:9"]).stdout);
    let scan = scan.trim();
    for (tenant, quoted, of) in
        [("default", "default", "0000000000000000"), ("acme corp", "'acme corp'", scan)]
    {
        let refused = run(directory.path(), &["stop", "--reason", "wrong", "--scan", of, "--tenant", tenant]);
        assert_exit(&refused, 2);
        let said = text(&refused.stderr);
        assert!(said.contains("nothing is stopped") && said.contains("there is no scan"), "{said}");
        assert!(said.contains(&format!("`rampart scan list --tenant {quoted}`")), "{said}");
    }
    let doctor = text(&run(directory.path(), &["doctor"]).stdout);
    assert!(doctor.contains("none holds"), "{doctor}");
    assert_exit(&run(directory.path(), &["stop", "--reason", "wrong", "--scan", scan]), 0);
}

#[test]
fn a_schedule_that_could_begin_nothing_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    Up::start(directory.path(), &[]).end();
    let refused = run(directory.path(), &["schedule", "create", "s", "-", "--every", "6h"]);
    assert_exit(&refused, 2);
    assert!(text(&refused.stderr).contains("there is no target"), "{}", text(&refused.stderr));
    assert_eq!(json(&run(directory.path(), &["schedule", "list", "--json"])), document!([]));
    let refused = run(directory.path(), &["schedule", "create", "s", "127.0.0.1"]);
    assert_exit(&refused, 2);
    let said = text(&refused.stderr);
    assert!(said.contains("--cron") && said.contains("--every"), "{said}");
}
