//! A table that was dropped, a server that was killed, a file that was overwritten, a volume that is gone: on a place in object storage.

use std::{fs, io::Write, os::unix::fs::FileExt, path::PathBuf};

use serde_json::Value;
use testkit::objects::{self, Access};

use super::{Site, Writing, let_write, moment, prepared, rows};

#[test]
fn whatever_is_lost_is_had_again_with_seconds_missing_at_most() {
    let objects = objects::Server::start(Access::Signed);
    let site = Site::new(|_| objects.url());
    let (server, database, copier) = prepared();
    let archiving = site.archive(&copier);
    let writing = Writing::start(&server, &database);
    let first = site.back_up(&copier);
    let_write(&server, &database, 50);

    // Somebody drops a table: as it was just before.
    let (before, committed) = moment(&server, &database);
    let_write(&server, &database, 5);
    drop(writing);
    server.sql(&database, "DROP TABLE written; CREATE TABLE afterwards ()");
    archiving.catch_up(&server);
    let again = site.restored(&["--until", &before]);
    assert_eq!(rows(&again, &database), committed);
    assert_eq!(again.sql(&database, "SELECT to_regclass('afterwards')").trim(), "");
    // It is a database like any other: it takes writes, and the roles' passwords are the same.
    again.sql(&database, "INSERT INTO written (filling) VALUES ('after')");
    drop(again);
    let drilled: Value =
        site.json(&["backup", "drill", "--identity", "key", "--until", &before, "--rpo", "60s", "--json"]);
    assert_eq!(drilled["troubles"], Value::Array(vec![]));
    assert!(drilled["rpo_seconds"].as_f64().unwrap() < 5.0, "{drilled}");
    assert_eq!(drilled["databases"][0]["database"], database.as_str());
    // Both tenants' chains and that of the installation, with who made the tenants.
    assert!(drilled["databases"][0]["audit_chains"].as_u64().unwrap() >= 2, "{drilled}");
    assert!(drilled["databases"][0]["audit_entries"].as_u64().unwrap() >= 2, "{drilled}");

    // The archive is killed in the middle, and its directory has what it had: nothing is missing.
    server.sql(
        &database,
        "CREATE TABLE written (at timestamptz NOT NULL DEFAULT clock_timestamp(), filling text NOT NULL)",
    );
    let writing = Writing::start(&server, &database);
    let_write(&server, &database, 5);
    drop(archiving);
    let_write(&server, &database, 5);
    server.sql("postgres", "SELECT pg_switch_wal()");
    let_write(&server, &database, 5);
    let archiving = site.archive(&copier);
    let second = site.back_up(&copier);
    let_write(&server, &database, 20);
    archiving.catch_up(&server);

    // The server is killed under load, and with it goes its disk.
    let (_, committed) = moment(&server, &database);
    server.stop_at_once();
    drop(writing);
    // What had come from the server by then goes on to the place.
    archiving.0.until("/metrics", |page| super::figure(page, "rampart_archive_waiting_files") == Some(0.0));
    drop(archiving);
    fs::remove_dir_all(server.data()).unwrap();
    let again = site.restored(&[]);
    let had = rows(&again, &database);
    assert!(had + 100 > committed, "{had} of {committed} rows: two seconds of writing are lost at most");
    drop(again);
    // From the first backup as well: what was written since is whole.
    let again = site.restored(&["--backup", &first]);
    assert_eq!(rows(&again, &database), had);
    drop(again);

    let list = site.json(&["backup", "list", "--json"]);
    let ids: Vec<&str> =
        list["backups"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [&first, &second]);
    assert!(list["backups"].as_array().unwrap().iter().all(|one| one["gap"].is_null()), "{list}");
    assert_eq!(list["drills"].as_array().unwrap().len(), 1);
    damaged(&site, &objects.objects(), [&first, &second], &database, &before);
}

/// A byte that has changed, a file that is missing: seen by who looks, refused by who restores.
fn damaged(site: &Site, objects: &std::path::Path, [first, second]: [&str; 2], database: &str, before: &str) {
    for with in [&["backup", "verify"][..], &["backup", "verify", "--identity", "key"]] {
        let said = site.says(with);
        assert_eq!(said.lines().count(), 2, "{said}");
        assert!(!said.contains("damaged"), "{said}");
    }
    let system = fs::read_dir(objects).unwrap().map(|entry| entry.unwrap().path());
    let system: PathBuf = system.filter(|path| path.join("base").is_dir()).collect::<Vec<_>>().remove(0);
    let base = system.join("base").join(second).join("base.tar.zst.age");
    let whole = fs::read(&base).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&base).unwrap();
    let middle = whole.len() / 2;
    file.write_all_at(&[whole[middle] ^ 1], middle as u64).unwrap();
    for with in [&["backup", "verify"][..], &["backup", "verify", "--identity", "key"]] {
        let said = site.refuses(with, 1);
        assert!(said.contains(&format!("{second}  damaged")), "{said}");
        assert!(!said.contains(&format!("{first}  damaged")), "{said}");
    }
    let into = site.path("refused");
    let said = site.refuses(&["backup", "restore", "--identity", "key", "--into", &into], 2);
    assert!(said.contains("damaged") && said.contains("base.tar.zst.age"), "{said}");
    site.refuses(&["backup", "drill", "--identity", "key"], 2);
    fs::File::create(&base).unwrap().write_all(&whole).unwrap();

    // Of what was written since the first backup one file goes: that is a gap, and what is before it can still be had.
    let mut wal: Vec<PathBuf> =
        fs::read_dir(system.join("wal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    wal.retain(|path| !path.to_str().unwrap().contains("partial"));
    wal.sort();
    let missing = wal[wal.len() - 2].clone();
    let name = missing.file_name().unwrap().to_str().unwrap()[..24].to_owned();
    let kept = fs::read(&missing).unwrap();
    fs::remove_file(&missing).unwrap();
    let said = site.refuses(&["backup", "verify", "--backup", first], 1);
    assert!(said.contains(&format!("`{name}` is missing")), "{said}");
    let drilled = site.refuses(&["backup", "drill", "--identity", "key", "--backup", first], 1);
    assert!(drilled.contains(&format!("trouble: `{name}` is missing")), "{drilled}");
    fs::write(&missing, &kept).unwrap();
    site.says(&["backup", "verify", "--backup", first]);

    // A byte of it has changed: what is later than that cannot be had, and what is earlier can.
    let mut changed = fs::read(&missing).unwrap();
    changed[30] ^= 1;
    fs::write(&missing, changed).unwrap();
    let said =
        site.refuses(&["backup", "restore", "--identity", "key", "--backup", first, "--into", &into], 2);
    assert!(said.contains("damaged") && said.contains(&name) && said.contains("--until"), "{said}");
    let again = site.restored(&["--backup", first, "--until", before]);
    assert_eq!(again.sql(database, "SELECT to_regclass('afterwards')").trim(), "");
    drop(again);
    fs::write(&missing, &kept).unwrap();

    // A key that is not the right one, and none.
    site.says(&["backup", "key", "another"]);
    let said = site.says(&["backup", "verify", "--identity", "another"]);
    assert!(said.contains("as it was put there") && !said.contains("damaged"), "{said}");
    for (with, says) in [(&["--identity", "another"][..], "encrypted for others"), (&[][..], "--identity")] {
        let words = [&["backup", "restore", "--into", &into][..], with].concat();
        let said = site.refuses(&words, 2);
        assert!(said.contains(says), "{said}");
    }
    // A moment before there was anything, one that is not there yet, and a directory that has something.
    for (with, says) in [
        (["--until", "2001-01-01T00:00:00Z"], "no backup was done by"),
        (["--until", "2101-01-01T00:00:00Z"], "is later"),
        (["--backup", "never"], "there is no backup `never`"),
    ] {
        let words = [&["backup", "restore", "--identity", "key", "--into", &into][..], &with].concat();
        let said = site.refuses(&words, 2);
        assert!(said.contains(says), "{said}");
    }
    let full = site.path(".");
    let said = site.refuses(&["backup", "restore", "--identity", "key", "--into", &full], 2);
    assert!(said.contains("there is something in it"), "{said}");
}

#[test]
fn a_data_file_that_was_overwritten_is_left_behind() {
    let site = Site::new(|directory| format!("file:{}/place", directory.display()));
    let (server, database, copier) = prepared();
    let archiving = site.archive(&copier);
    site.back_up(&copier);
    server.sql(
        &database,
        "INSERT INTO written (filling) SELECT repeat('x', 500) FROM generate_series(1, 2000)",
    );
    let file = server.sql(&database, "SELECT pg_relation_filepath('written')");
    server.sql(&database, "CHECKPOINT");
    archiving.catch_up(&server);
    server.stop_at_once();
    let table = server.data().join(file.trim());
    let garbage = vec![0xa5; fs::metadata(&table).unwrap().len() as usize];
    fs::OpenOptions::new().write(true).open(&table).unwrap().write_all_at(&garbage, 0).unwrap();
    server.start_again();
    let lost = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rows(&server, &database)));
    assert!(lost.is_err(), "nobody can read it any more");
    server.stop_at_once();
    let again = site.restored(&[]);
    assert_eq!(rows(&again, &database), 2000);
}
