//! What operators are told of scans, stops and passwords.

use std::time::Duration;

use serde_json::json as document;
use store::{Location, Store, Terms};

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
fn a_password_in_a_file_belongs_to_a_url_that_has_room_for_it() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("password"), "TopSecret9\n").unwrap();
    std::fs::write(directory.path().join("empty"), "\n").unwrap();
    for (file, doorbell, says) in [
        ("password", Some("none"), None),
        ("nowhere", Some("none"), None),
        ("password", None, Some("has a password already, or names nobody")),
        ("password", Some("redis://:secret@h"), Some("has a password already, or names nobody")),
        ("empty", Some("redis://h"), Some("there is no password in `empty`")),
        ("nowhere", Some("redis://h"), Some("cannot read `nowhere`")),
    ] {
        let mut command = rampart(directory.path());
        command.args(["tenant", "list"]).env("RAMPART_DOORBELL_PASSWORD_FILE", file);
        let output = command.envs(doorbell.map(|url| ("RAMPART_DOORBELL", url))).output().unwrap();
        assert_exit(&output, 2);
        let said = text(&output.stderr);
        // Where nothing is wrong with it, it comes to a database that is not there.
        assert!(said.contains(says.unwrap_or("there is no database")), "{file} {doorbell:?}: {said}");
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
fn what_a_scan_could_not_find_out_is_told_whoever_asks() {
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &[]);
    let targets: Vec<String> = (1..=7).map(|last| format!("http://127.77.0.{last}:9/")).collect();
    let mut submit = vec!["scan", "submit", "--stages", "check", "--wait", "--json"];
    submit.extend(targets.iter().map(String::as_str));
    let waited = run(directory.path(), &submit);
    assert_exit(&waited, 3);
    let waited = json(&waited);
    let count = waited["undetermined_count"].as_u64().unwrap();
    assert!(count >= 7, "{waited}");
    let named = waited["undetermined"].as_array().unwrap();
    assert_eq!(named.len() as u64, count.min(20), "{waited}");
    assert_eq!(waited["first_targets"], document!(targets[..5]), "{waited}");
    assert_eq!((&waited["end"], &waited["targets"]), (&document!("complete"), &document!(7)));
    let id = waited["id"].as_str().unwrap();
    let shown = json(&run(directory.path(), &["scan", "show", id, "--json"]));
    assert_eq!(shown["undetermined"], waited["undetermined"]);
    let shown = text(&run(directory.path(), &["scan", "show", id]).stdout);
    let first = format!("undetermined  {}", named[0].as_str().unwrap());
    assert!(shown.lines().any(|line| line == first), "{shown}");
    assert!(shown.lines().any(|line| line.trim() == format!("{} more", count - 5)), "{shown}");
    let targets = format!("7 of 7 begun: {} and 2 more", targets[..5].join(" "));
    assert!(shown.contains(&targets), "{shown}");

    let used_up = ["scan", "submit", "127.0.0.1", "127.0.0.2", "--most-units", "1", "--wait", "--json"];
    let used_up = json(&run(directory.path(), &used_up));
    let shown = text(&run(directory.path(), &["scan", "show", used_up["id"].as_str().unwrap()]).stdout);
    assert!(shown.contains("budget (units)\n"), "{shown}");
    let said = up.end();
    assert!(said.contains("ending: tasks may go on for 5s at most (Ctrl-C again ends at once)"), "{said}");
}

#[test]
fn who_submits_or_looks_is_told_of_the_stops_that_hold_the_scan() {
    let directory = tempfile::tempdir().unwrap();
    Up::start(directory.path(), &[]).end();
    let ask = |arguments: &[&str]| run(directory.path(), arguments);
    let submit = ["scan", "submit", "127.0.0.1:9", "--stages", "ports"];
    assert_exit(&ask(&["stop", "--reason", "elsewhere", "--stage", "crawl"]), 0);
    let submitted = ask(&submit);
    assert!(!text(&submitted.stderr).contains("emergency stop"), "{}", text(&submitted.stderr));
    assert_exit(&ask(&["stop", "--reason", "wrong network", "--stage", "ports"]), 0);
    let submitted = ask(&submit);
    assert_exit(&submitted, 0);
    let said = text(&submitted.stderr);
    let way_out = "wrong network; `rampart resume --stage ports --reason TEXT --by PERSON` lifts it";
    assert!(said.contains("an emergency stop holds, the scan waits: ") && said.contains(way_out), "{said}");
    let shown = text(&ask(&["scan", "show", text(&submitted.stdout).trim()]).stdout);
    let stopped: Vec<&str> = shown.lines().filter(|line| line.starts_with("stopped")).collect();
    assert!(stopped.len() == 1 && stopped[0].contains(way_out), "{shown}");
    assert!(shown.contains("nothing so far"), "{shown}");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_that_begins_nothing_does_not_look_as_if_it_did() {
    let directory = tempfile::tempdir().unwrap();
    let ask = |arguments: &[&str]| tokio::task::block_in_place(|| run(directory.path(), arguments));
    tokio::task::block_in_place(|| Up::start(directory.path(), &[])).end();
    assert_exit(&ask(&["schedule", "create", "nightly", "127.0.0.1:9", "--every", "1h"]), 0);
    assert_exit(&ask(&["scope", "delete", "loopback"]), 0);
    let location = Location::Sqlite(directory.path().join("rampart-data/rampart.db"));
    let store = Store::open(&location).await.unwrap();
    store.advance_clock("", Duration::from_secs(2 * 60 * 60)).await.unwrap();
    store.follow_schedules(&Terms::default()).await.unwrap();
    let why = "began no scan: there is no scope `loopback`";
    for (command, place) in [("list", "nightly: the run of "), ("show", "last run"), ("doctor", "schedule")] {
        let output = match command {
            "doctor" => ask(&["doctor"]),
            "show" => ask(&["schedule", "show", "nightly"]),
            command => ask(&["schedule", command]),
        };
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(said.lines().any(|line| line.starts_with(place) && line.contains(why)), "{command}: {said}");
    }
    let listed = json(&ask(&["schedule", "list", "--json"]));
    assert!(listed[0]["refused"]["at"].is_string() && listed[0]["refused"]["reason"].is_string(), "{listed}");
}
