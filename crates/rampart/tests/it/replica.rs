//! The platform's commands with a replica of the database.

use std::{
    process::Output,
    time::{Duration, Instant},
};

use testkit::postgres::Server;

use crate::{
    platform::{json, run},
    run::{assert_exit, text},
};

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the doctor says of the replica.
#[track_caller]
fn diagnosis(output: &Output) -> String {
    let said = text(&output.stdout);
    let line = said.lines().find(|line| line.starts_with("replica"));
    line.unwrap_or_else(|| panic!("{said}{}", text(&output.stderr))).to_owned()
}

#[test]
fn lists_come_from_the_replica_and_the_doctor_tells_how_it_stands() {
    let directory = tempfile::tempdir().unwrap();
    let primary = Server::start();
    let database = primary.create_database_with_user();
    let prepare = ["migrate", "--grant-to", &database.user, "--database", &database.owner_url];
    assert_exit(&run(directory.path(), &prepare), 0);
    let url = database.url_at(primary.address());
    let alone = |words: &[&str]| run(directory.path(), &[words, &["--database", url.as_str()][..]].concat());
    assert_exit(&alone(&["tenant", "create", "default"]), 0);
    assert_exit(&alone(&["task", "exercise", "--count", "1"]), 0);
    let replica = primary.start_replica();
    let there = database.url_at(replica.address());
    let beside = |words: &[&str], lag: &str| {
        alone(&[words, &["--replica", there.as_str(), "--replica-lag", lag]].concat())
    };
    // Whatever is written is replayed, and then the replica knows how old it is.
    assert_exit(&alone(&["task", "exercise", "--count", "1"]), 0);
    primary.wait_for_replica(&replica);
    // The server writes some of its own accord.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = diagnosis(&beside(&["doctor"], "1h"));
        assert!(said.contains(" ok ") && Instant::now() < deadline, "{said}");
        if said.contains(" 0 bytes behind") {
            break;
        }
    }

    replica.pause_replay();
    assert_exit(&alone(&["task", "exercise", "--count", "1"]), 0);
    let list = ["task", "list", "--json"];
    let count = |output: Output| json(&output).as_array().unwrap().len();
    assert_eq!(count(alone(&list)), 3);
    assert_eq!(count(beside(&list, "1h")), 2, "as the replica has them");
    assert_eq!(count(beside(&list, "1ms")), 3, "the replica is too far behind");
    let said = diagnosis(&beside(&["doctor"], "1ms"));
    assert!(said.contains(" warning ") && !said.contains(" 0 bytes behind"), "{said}");

    replica.stop_at_once();
    assert_eq!(count(beside(&list, "1h")), 3);
    let gone = beside(&["doctor"], "1h");
    assert!(diagnosis(&gone).contains(" warning "), "{}", diagnosis(&gone));
    assert!(!text(&gone.stdout).contains("of-the-tests"), "no password is shown");

    // No replica, but the database itself: lists say so, and what reads nothing there goes on.
    let twice = |words: &[&str]| alone(&[words, &["--replica", url.as_str()]].concat());
    let refused = twice(&list);
    assert_exit(&refused, 2);
    assert!(text(&refused.stderr).contains("takes writes"), "{}", text(&refused.stderr));
    assert!(diagnosis(&twice(&["doctor"])).contains(" broken "));
    assert_exit(&twice(&["stop", "--reason", "a drill"]), 0);

    let of_a_file = run(directory.path(), &["task", "list", "--replica", &there]);
    assert_exit(&of_a_file, 2);
    assert!(text(&of_a_file.stderr).contains("is a file and has none"), "{}", text(&of_a_file.stderr));
}
