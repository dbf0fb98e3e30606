//! A table that was dropped, a server that was killed and its disk that is gone, a file that was overwritten, while Rampart works: what
//! is there again, and how much is lost. On a place in object storage, and in a directory.

use std::{fs, io::Write, os::unix::fs::FileExt, path::PathBuf, thread, time::Duration};

use jiff::Timestamp;
use rand::RngExt;
use serde_json::Value;
use testkit::objects::{self, Access};

use super::{
    Site, WRITTEN, Writing,
    at_work::{AtWork, assert_goes_on, assert_well, examined},
    let_write, moment, prepared, rows,
};

/// The most that may be lost.
const LOST: Duration = Duration::from_secs(60);
/// How many rows are written between a look and the end of everything: at fifty a second any moment until the next one.
const ROWS: std::ops::RangeInclusive<u64> = 1..=800;

#[test]
fn a_table_that_was_dropped_is_there_again_as_it_was_before() {
    let objects = objects::Server::start(Access::Signed);
    let site = Site::new(|_| objects.url());
    let (server, database, copier) = prepared();
    let archiving = site.archive(&copier);
    let at_work = AtWork::begin(&site, &server, &database);
    let writing = Writing::start(&server, &database);
    let first = site.back_up(&copier);
    let_write(&server, &database, 50);
    at_work.tells(5);

    // Somebody drops a table, and another one of Rampart's, while it works: as it was just before.
    let (before, committed) = moment(&server, &database);
    let_write(&server, &database, 5);
    at_work.tells(2);
    drop(writing);
    // Where this and somebody at work wait for one another it is the other who gives up.
    server.sql(
        &database,
        "SET deadlock_timeout = '1h'; DROP TABLE rampart.tasks CASCADE; DROP TABLE written; CREATE TABLE afterwards ()",
    );
    let told = at_work.end();
    archiving.catch_up(&server);
    let again = site.restored(&["--until", &before]);
    assert_eq!(rows(&again, &database), committed);
    assert_eq!(again.sql(&database, "SELECT to_regclass('afterwards')").trim(), "");
    let then: Timestamp = before.parse().unwrap();
    assert_well(&site, (&again, &database), &told, then, then);
    // It is a database like any other: it takes writes, and the roles' passwords are the same.
    again.sql(&database, "INSERT INTO written (filling) VALUES ('after')");
    drop(again);
    let drilled: Value =
        site.json(&["backup", "drill", "--identity", "key", "--until", &before, "--rpo", "60s", "--json"]);
    assert_eq!(drilled["troubles"], Value::Array(vec![]));
    assert!(drilled["rpo_seconds"].as_f64().unwrap() < 5.0, "{drilled}");
    assert_eq!(drilled["databases"][0]["database"], database.as_str());
    // Both tenants' chains, with who made the tenants and who began scans.
    assert!(drilled["databases"][0]["audit_chains"].as_u64().unwrap() >= 2, "{drilled}");
    assert!(drilled["databases"][0]["audit_entries"].as_u64().unwrap() >= 7, "{drilled}");

    // The archive is killed in the middle, and its directory has what it had: nothing is missing.
    server.sql(&database, WRITTEN);
    let writing = Writing::start(&server, &database);
    let_write(&server, &database, 5);
    drop(archiving);
    let_write(&server, &database, 5);
    server.sql("postgres", "SELECT pg_switch_wal()");
    let_write(&server, &database, 5);
    let archiving = site.archive(&copier);
    let second = site.back_up(&copier);
    let_write(&server, &database, 20);
    drop(writing);
    archiving.catch_up(&server);
    drop(archiving);
    // From either backup: what was written since the first is whole.
    for backup in [&first, &second] {
        let again = site.restored(&["--backup", backup]);
        assert_eq!(rows(&again, &database), rows(&server, &database));
    }

    let list = site.json(&["backup", "list", "--json"]);
    let ids: Vec<&str> =
        list["backups"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [&first, &second]);
    assert!(list["backups"].as_array().unwrap().iter().all(|one| one["gap"].is_null()), "{list}");
    assert_eq!(list["drills"].as_array().unwrap().len(), 1);
    damaged(&site, &objects.objects(), [&first, &second], &database, &before);
}

#[test]
fn a_server_that_is_killed_with_its_disk_and_its_archive_has_lost_less_than_a_minute() {
    let site = Site::new(|directory| format!("file:{}/place", directory.display()));
    let (server, database, copier) = prepared();
    let begun = Timestamp::now().as_duration().as_secs_f64();
    // As it ships: nobody says how often it looks.
    let archiving = site.archive_with(&copier, &[]);
    let writing = Writing::start(&server, &database);
    let (at_work, look) = thread::scope(|scope| {
        let look = scope.spawn(|| archiving.looks_after(begun));
        let at_work = AtWork::begin(&site, &server, &database);
        at_work.tells(3);
        site.back_up(&copier);
        (at_work, look.join().unwrap())
    });
    let key = at_work.key.clone();
    // It has looked once at its beginning: from one look to the next it is no longer than this.
    let longest = Duration::from_secs_f64(look - begun);
    assert!(longest <= LOST, "{longest:.1?} from one look to the next");

    // Everything ends at once, and whatever nobody has looked at yet is lost.
    let more = rand::rng().random_range(ROWS);
    let_write(&server, &database, more);
    drop(archiving);
    server.stop_at_once();
    let killed = Timestamp::now();
    drop(writing);
    let told = at_work.end();
    fs::remove_dir_all(server.data()).unwrap();

    let drill = ["backup", "drill", "--identity", "key", "--rpo", "60s", "--rto", "1h", "--json"];
    let drilled: Value = site.json(&drill);
    assert_eq!(drilled["troubles"], Value::Array(vec![]));
    let again = site.restored(&[]);
    let newest =
        "SELECT to_char(max(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM written";
    let newest: Timestamp = again.sql(&database, newest).trim().parse().unwrap();
    let lost = Duration::try_from(killed.duration_since(newest)).unwrap();
    println!(
        "killed {more} rows after a look of one in {longest:.1?}: RPO {lost:.1?}, of the drill {:.1} s; RTO {:.1} s",
        drilled["rpo_seconds"].as_f64().unwrap(),
        drilled["rto_seconds"].as_f64().unwrap()
    );
    assert!(lost <= LOST, "{lost:.1?} are lost");
    assert_well(&site, (&again, &database), &told, newest, killed);
    assert_goes_on(&site, (&again, &database), &key, &told[0]);
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
    let at_work = AtWork::begin(&site, &server, &database);
    site.back_up(&copier);
    server.sql(
        &database,
        "INSERT INTO written (filling) SELECT repeat('x', 500) FROM generate_series(1, 2000)",
    );
    // What nobody changes any more, so that the server does not write it anew from what it has written ahead.
    let files = ["written", "rampart.scopes"].map(|table| {
        let file = server.sql(&database, &format!("SELECT pg_relation_filepath('{table}')"));
        server.data().join(file.trim())
    });
    server.sql(&database, "CHECKPOINT");
    at_work.tells(5);
    let (by, _) = moment(&server, &database);
    archiving.catch_up(&server);
    server.stop_at_once();
    for file in &files {
        let garbage = vec![0xa5; fs::metadata(file).unwrap().len() as usize];
        fs::OpenOptions::new().write(true).open(file).unwrap().write_all_at(&garbage, 0).unwrap();
    }
    server.start_again();
    let lost = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rows(&server, &database)));
    assert!(lost.is_err(), "nobody can read it any more");
    let (code, found) = examined(&site, &server, &database);
    assert!(code == Some(1) && found.contains("broken"), "{found}");
    let told = at_work.end();
    server.stop_at_once();
    let again = site.restored(&[]);
    assert_eq!(rows(&again, &database), 2000);
    assert_well(&site, (&again, &database), &told, by.parse().unwrap(), Timestamp::MAX);
}
