//! A server that is lost from sight, and one that has gone back to an earlier moment and on from there.

use super::{Site, Writing, let_write, moment, prepared, rows};

#[test]
fn a_server_that_lets_nobody_follow_is_said_to_be_lost_from_sight() {
    let site = Site::new(|directory| format!("file:{}/place", directory.display()));
    let (server, database, copier) = prepared();
    let archiving = site.archive(&copier);
    let first = site.back_up(&copier);
    let gap = || {
        let list = site.json(&["backup", "list", "--json"]);
        list["backups"].as_array().unwrap().last().unwrap()["gap"].clone()
    };

    // Whoever may not log in any more, and may again.
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'copier'";
    server.sql("postgres", "ALTER ROLE copier NOLOGIN");
    server.sql("postgres", terminate);
    archiving.0.says("the server is not followed", 1);
    server.sql("postgres", "ALTER ROLE copier LOGIN");
    archiving.0.says("the server is followed again", 1);

    // A slot that somebody has removed, while the server still has everything.
    server.sql("postgres", "ALTER ROLE copier NOLOGIN");
    server.sql("postgres", terminate);
    archiving.0.says("the server is not followed", 2);
    server.wait_for_answer("SELECT count(*) FROM pg_replication_slots WHERE active", "0");
    server.sql("postgres", "SELECT pg_drop_replication_slot('rampart_backup')");
    server.sql("postgres", "ALTER ROLE copier LOGIN");
    archiving.0.says("the server is followed again", 2);
    archiving.catch_up(&server);
    assert!(gap().is_null(), "{}", gap());

    // Nothing keeps for it what is written while it is away.
    drop(archiving);
    // What it had started goes on without it until the server ends that.
    server.sql("postgres", terminate);
    server.wait_for_answer("SELECT count(*) FROM pg_replication_slots WHERE active", "0");
    server.sql("postgres", "SELECT pg_drop_replication_slot('rampart_backup')");
    for _ in 0..4 {
        server.sql(&database, "INSERT INTO written (filling) VALUES ('unseen')");
        server.sql("postgres", "SELECT pg_switch_wal()");
        server.sql("postgres", "CHECKPOINT");
    }
    let archiving = site.archive(&copier);
    archiving.0.says("a new backup is needed", 1);
    server.sql(&database, "INSERT INTO written (filling) VALUES ('seen')");
    archiving.catch_up(&server);
    assert!(gap().is_string(), "{first} does not lead on");
    assert!(site.refuses(&["backup", "verify"], 1).contains("is missing"));
    site.back_up(&copier);
    archiving.catch_up(&server);
    assert!(gap().is_null(), "{}", gap());
    let again = site.restored(&[]);
    assert_eq!(rows(&again, &database), rows(&server, &database));
}

#[test]
fn what_was_left_and_what_goes_on_can_both_be_had_again() {
    let site = Site::new(|directory| format!("file:{}/place", directory.display()));
    let (server, database, copier) = prepared();
    let archiving = site.archive(&copier);
    site.back_up(&copier);
    let writing = Writing::start(&server, &database);
    let_write(&server, &database, 5);
    let (fork, at_fork) = moment(&server, &database);
    let_write(&server, &database, 5);
    let left = site.back_up(&copier);
    let_write(&server, &database, 5);
    let (late, at_late) = moment(&server, &database);
    let_write(&server, &database, 5);
    drop(writing);
    for _ in 0..3 {
        server.sql(&database, "INSERT INTO written (filling) VALUES ('left')");
        server.sql("postgres", "SELECT pg_switch_wal()");
    }
    archiving.catch_up(&server);
    let at_end = rows(&server, &database);
    drop(archiving);
    server.stop_at_once();

    // It goes on from an earlier moment, followed from the same directory as before.
    let again = site.restored(&["--until", &fork]);
    assert_eq!(rows(&again, &database), at_fork);
    let copier = again.url("copier", "of-the-tests", &database);
    let archiving = site.archive(&copier);
    archiving.0.says("a new backup is needed", 1);
    let goes_on = site.back_up(&copier);
    again.sql(&database, "INSERT INTO written (filling) VALUES ('goes on')");
    archiving.catch_up(&again);

    let newest = site.restored(&[]);
    assert_eq!(rows(&newest, &database), at_fork + 1, "what goes on");
    drop(newest);
    let drilled = site.json(&["backup", "drill", "--identity", "key", "--json"]);
    assert_eq!(drilled["backup"], goes_on.as_str());
    assert_eq!(drilled["troubles"], serde_json::json!([]));
    // A moment of before it went back, and everything that was left then.
    let before = site.restored(&["--until", &late]);
    assert_eq!(rows(&before, &database), at_late);
    drop(before);
    for with in [&["--backup", &left][..], &["--timeline", "1"]] {
        let before = site.restored(with);
        assert_eq!(rows(&before, &database), at_end, "{with:?}");
    }
    let into = site.path("refused");
    let words = ["backup", "restore", "--identity", "key", "--into", &into, "--timeline", "7"];
    assert!(site.refuses(&words, 2).contains("no backup leads to timeline 7"));
}
