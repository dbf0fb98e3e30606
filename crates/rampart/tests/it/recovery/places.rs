//! What may go wrong on the way to a place, and what is left of it: a place that is away, an end in the middle, too little room.

use std::{fs, path::Path};

use nix::sys::signal::Signal;
use testkit::{
    objects::{self, Access},
    tools::as_servers,
};

use super::{Site, Writing, figure, let_write, prepared};
use crate::run::{assert_exit, send, text};

fn all_below(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { directories.push(path) } else { found.push(path.display().to_string()) }
        }
    }
    found
}

#[test]
fn while_the_place_is_away_what_is_written_waits_and_nothing_is_missing_afterwards() {
    let objects = objects::Server::start(Access::Signed);
    let site = Site::new(|_| objects.url());
    let (server, database, copier) = prepared();
    let archiving = site.archive(&copier);
    let backup = site.back_up(&copier);
    objects.stop();
    let writing = Writing::start(&server, &database);
    for _ in 0..3 {
        let_write(&server, &database, 5);
        server.sql("postgres", "SELECT pg_switch_wal()");
    }
    archiving.0.until("/metrics", |page| {
        figure(page, "rampart_archive_failures_total") > Some(0.0)
            && figure(page, "rampart_archive_waiting_files") > Some(1.0)
    });
    objects.start_again();
    let_write(&server, &database, 5);
    drop(writing);
    archiving.catch_up(&server);
    let list = site.json(&["backup", "list", "--json"]);
    assert_eq!(list["backups"][0]["id"], backup.as_str());
    assert!(list["backups"][0]["gap"].is_null(), "{list}");
    let again = site.restored(&[]);
    let count = |server: &testkit::postgres::Server| server.sql(&database, "SELECT count(*) FROM written");
    assert_eq!(count(&again), count(&server));
}

#[test]
fn who_ends_it_in_the_middle_leaves_nothing_behind() {
    let site = Site::new(|directory| format!("file:{}/place", directory.display()));
    let (server, database, copier) = prepared();
    // What cannot be compressed, so that there is a middle.
    server.sql(
        &database,
        "INSERT INTO written (filling) SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 400000) AS n GROUP BY n % 4000",
    );
    let words = ["backup", "create", "--database", &copier, "--recipient", &site.recipient];
    let child = site.command(&words).spawn().unwrap();
    let place = site.directory.path().join("place");
    let streamed = "SELECT coalesce(max(backup_streamed), 0) > 1000000 FROM pg_stat_progress_basebackup";
    server.wait_for_answer(streamed, "t");
    send(Signal::SIGINT, &child);
    let output = child.wait_with_output().unwrap();
    assert_exit(&output, 2);
    assert!(text(&output.stderr).contains("interrupted"), "{}", text(&output.stderr));
    assert_eq!(all_below(&place), Vec::<String>::new());
    let temporary = fs::read_dir(site.directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let temporary: Vec<_> =
        temporary.filter(|name| name.to_str().unwrap().starts_with("rampart-backup-")).collect();
    assert!(temporary.is_empty(), "{temporary:?}");
    site.back_up(&copier);
}

#[test]
fn older_backups_go_and_the_newest_stays() {
    let site = Site::new(|directory| format!("file:{}/place", directory.display()));
    let (server, _, copier) = prepared();
    let archiving = site.archive(&copier);
    let first = site.back_up(&copier);
    for _ in 0..3 {
        server.sql("postgres", "SELECT pg_logical_emit_message(true, '', 'x'); SELECT pg_switch_wal()");
    }
    archiving.catch_up(&server);
    let words = ["backup", "create", "--database", &copier, "--unencrypted", "--keep", "1ms"];
    let second = site.says(&words).trim().to_owned();
    let list = site.json(&["backup", "list", "--json"]);
    assert_eq!(list["backups"].as_array().unwrap().len(), 1);
    assert_eq!(list["backups"][0]["id"], second.as_str());
    let left = all_below(&site.directory.path().join("place"));
    assert!(!left.iter().any(|path| path.contains(&first)), "{left:?}");
    // What only the first needed is gone as well, and what the second needs is there: it opens without any key.
    assert!(!left.iter().any(|path| path.contains("/000000010000000000000001.")), "{left:?}");
    site.says(&["backup", "verify"]);
    let again = site.restored(&[]);
    assert_eq!(again.sql("postgres", "SELECT 1").trim(), "1");
}

#[test]
fn files_that_were_named_are_there_again() {
    let site = Site::new(|directory| format!("file:{}/place", directory.display()));
    let (_server, _, copier) = prepared();
    let configuration = site.directory.path().join("configuration");
    fs::create_dir(&configuration).unwrap();
    fs::write(configuration.join("rampart.toml"), "log = \"info\"\n").unwrap();
    fs::write(configuration.join("audit.pem"), "a key\n").unwrap();
    let words = [
        "backup",
        "create",
        "--database",
        &copier,
        "--recipient",
        &site.recipient,
        "--include",
        "configuration",
    ];
    site.says(&words);
    let [into, files] = ["database", "files"].map(|name| site.path(name));
    site.says(&["backup", "restore", "--identity", "key", "--into", &into, "--files", &files]);
    let below = Path::new(&files).join(configuration.strip_prefix("/").unwrap());
    assert_eq!(fs::read_to_string(below.join("audit.pem")).unwrap(), "a key\n");
    assert_eq!(fs::read_to_string(below.join("rampart.toml")).unwrap(), "log = \"info\"\n");
}

#[test]
fn what_is_not_there_or_not_allowed_is_said_with_what_to_do() {
    let site = Site::new(|directory| format!("file:{}/place", directory.display()));
    let (server, database, copier) = prepared();
    let refused = [
        (&["backup", "list"][..], "there is none"),
        (&["backup", "create", "--database", &copier], "--recipient"),
        (&["backup", "create", "--database", &copier, "--recipient", "somebody"], "is no recipient"),
        (&["backup", "key", "key"], "never overwritten"),
        (&["backup", "key", "nowhere/key"], "cannot make `nowhere/key`"),
        (&["backup", "create", "--unencrypted", "--database", "sqlite:nowhere.db"], "there is no database"),
        (&["backup", "archive", "--unencrypted", "--database", "sqlite:nowhere.db"], "writes nothing ahead"),
    ];
    for (words, says) in refused {
        let said = site.refuses(words, 2);
        assert!(said.contains(says), "{words:?}: {said}");
    }
    // Who may not replicate may not copy either.
    let app = server.url("app", "of-the-tests", &database);
    let said = site.refuses(&["backup", "create", "--unencrypted", "--database", &app], 2);
    assert!(said.contains("psql ended with"), "{said}");
    assert!(!said.contains("of-the-tests"), "{said}");
    // A password that is wrong is not told, and not asked for.
    let wrong = server.url("copier", "wrong-one", &database);
    let said = site.refuses(&["backup", "create", "--unencrypted", "--database", &wrong], 2);
    assert!(said.contains("password authentication failed") && !said.contains("wrong-one"), "{said}");
    // As root there is no drill: PostgreSQL refuses, and it is said before everything is restored.
    if nix::unistd::geteuid().is_root() {
        site.back_up(&copier);
        let mut command = crate::run::rampart(site.directory.path());
        let output = command
            .args(["backup", "drill", "--identity", "key"])
            .env("RAMPART_BACKUPS", &site.place)
            .output();
        let output = output.unwrap();
        assert_exit(&output, 2);
        assert!(text(&output.stderr).contains("does not run as root"), "{}", text(&output.stderr));
    }
    // Without PostgreSQL's programs it is said which are missing.
    let mut command = as_servers(&site.directory.path().join("rampart"));
    let nowhere = command.args(["backup", "verify", "--backup", "never"]).env("RAMPART_BACKUPS", &site.place);
    assert_exit(&nowhere.current_dir(site.directory.path()).output().unwrap(), 2);
}

#[test]
fn a_copy_that_is_sent_in_parts_is_one() {
    let objects = objects::Server::start(Access::Signed);
    let site = Site::new(|_| objects.url());
    let (server, database, copier) = prepared();
    // Half of it is left when it is compressed, and that is more than one part.
    server.sql(
        &database,
        "INSERT INTO written (filling) SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 2500000) AS n GROUP BY n % 25000",
    );
    let backup = site.back_up(&copier);
    let list = site.json(&["backup", "list", "--json"]);
    assert_eq!(list["backups"][0]["id"], backup.as_str());
    assert!(list["backups"][0]["bytes"].as_u64().unwrap() > 33 << 20, "{list}");
    let said = site.says(&["backup", "verify", "--identity", "key"]);
    assert!(said.contains("opened and whole"), "{said}");
}
