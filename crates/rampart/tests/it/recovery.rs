//! What was lost is had again: the platform on PostgreSQL, backed up while it works, and every way in which it may be lost.

mod at_work;
mod disaster;
mod following;
mod one_file;
mod places;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use testkit::{
    postgres,
    tools::{as_servers, of_debian},
};

use crate::{
    platform::watched::Watched,
    run::{assert_exit, rampart, text},
};

/// What somebody fills beside Rampart, row by row.
const WRITTEN: &str =
    "CREATE TABLE written (at timestamptz NOT NULL DEFAULT clock_timestamp(), filling text NOT NULL)";

/// The program where, and as somebody as whom, PostgreSQL's programs run.
struct Site {
    directory: tempfile::TempDir,
    /// Where backups are.
    place: String,
    recipient: String,
}

impl Site {
    fn new(place: impl FnOnce(&Path) -> String) -> Site {
        let directory = tempfile::tempdir().unwrap();
        // Others have to come in, and to write there.
        fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let program = rampart(directory.path()).args(["deploy", "program", "--into", "."]).output().unwrap();
        assert_exit(&program, 0);
        let place = place(directory.path());
        let mut site = Site { directory, place, recipient: String::new() };
        site.recipient = site.says(&["backup", "key", "key"]).trim().to_owned();
        site
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = as_servers(&self.directory.path().join("rampart"));
        command
            .args(words)
            .current_dir(self.directory.path())
            .env("RAMPART_BACKUPS", &self.place)
            .env("TMPDIR", self.directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// What it prints, which must be something good.
    #[track_caller]
    fn says(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_exit(&output, 0);
        text(&output.stdout)
    }

    /// What it says when it refuses.
    #[track_caller]
    fn refuses(&self, words: &[&str], code: i32) -> String {
        let output = self.run(words);
        assert_exit(&output, code);
        text(&output.stdout) + &text(&output.stderr)
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.says(words)).unwrap()
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// A backup of a server, by its name.
    #[track_caller]
    fn back_up(&self, database: &str) -> String {
        let words = ["backup", "create", "--database", database, "--recipient", &self.recipient];
        self.says(&words).trim().to_owned()
    }

    /// Keeps what the server writes ahead, as soon as this returns, and looks often.
    fn archive(&self, database: &str) -> Archiving {
        self.archive_with(database, &["--every", "1s"])
    }

    /// The same, with these options.
    fn archive_with(&self, database: &str, options: &[&str]) -> Archiving {
        let words = ["backup", "archive", "--database", database, "--recipient", &self.recipient];
        let rest = [&["--metrics", "127.0.0.1:0"], options].concat();
        let watched = Watched::start(self.command(&[&words[..], &rest[..]].concat()));
        watched.comes_to("/ready", 200, "ready");
        Archiving(watched)
    }

    /// A server on what is restored.
    fn restored(&self, words: &[&str]) -> postgres::Server {
        postgres::Server::start_on(|data| {
            let into = data.to_str().unwrap();
            self.says(&[&["backup", "restore", "--identity", "key", "--into", into], words].concat());
        })
    }
}

struct Archiving(Watched);

impl Archiving {
    /// What was written by now is in the place.
    #[track_caller]
    fn catch_up(&self, server: &postgres::Server) {
        // Whoever looks sees a later moment than this one only after everything of this one is there.
        let now: f64 =
            server.sql("postgres", "SELECT extract(epoch FROM clock_timestamp())").trim().parse().unwrap();
        self.looks_after(now + 1.0);
    }

    /// Waits for a look that was begun later; when that was. All times are seconds since 1970.
    #[track_caller]
    fn looks_after(&self, time: f64) -> f64 {
        let looked = |page: &str| figure(page, "rampart_archive_current_timestamp_seconds");
        let page = self.0.until("/metrics", |page| looked(page) > Some(time));
        looked(&page).unwrap()
    }
}

/// The value of a metric without labels.
fn figure(page: &str, name: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// A server with a database of Rampart and one who may copy everything: its database, and how the latter reaches it.
fn prepared() -> (postgres::Server, String, String) {
    let server = postgres::Server::start();
    let database = server.create_database();
    server.sql(&database, "CREATE ROLE app LOGIN PASSWORD 'of-the-tests'");
    server.sql(&database, "CREATE ROLE copier LOGIN REPLICATION PASSWORD 'of-the-tests'");
    // What loses a page says so.
    server.sql(&database, WRITTEN);
    let (owner, password) = server.superuser();
    let directory = tempfile::tempdir().unwrap();
    let run = |words: &[&str], url: &str| {
        let output = rampart(directory.path()).args(words).args(["--database", url]).output().unwrap();
        assert_exit(&output, 0);
    };
    run(&["migrate", "--grant-to", "app"], &server.url(owner, password, &database));
    let app = server.url("app", "of-the-tests", &database);
    for tenant in ["default", "another"] {
        run(&["tenant", "create", tenant], &app);
    }
    let copier = server.url("copier", "of-the-tests", &database);
    (server, database, copier)
}

/// Somebody who commits a row again and again, until this is dropped or the server is gone.
struct Writing(Child);

impl Writing {
    fn start(server: &postgres::Server, database: &str) -> Writing {
        let (user, password) = server.superuser();
        let mut psql = as_servers(&of_debian("postgresql", "psql"));
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname"]);
        psql.arg(server.url(user, password, database)).stdin(Stdio::piped());
        let mut child = psql.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let statement = "INSERT INTO written (filling) SELECT repeat(md5(random()::text), 30) \\watch 0.02\n";
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), statement.as_bytes()).unwrap();
        Writing(child)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until so many more rows are committed.
#[track_caller]
fn let_write(server: &postgres::Server, database: &str, rows: u64) {
    let now: u64 = server.sql(database, "SELECT count(*) FROM written").trim().parse().unwrap();
    let until = testkit::postgres::Server::sql;
    let begun = std::time::Instant::now();
    while until(server, database, "SELECT count(*) FROM written").trim().parse::<u64>().unwrap() < now + rows
    {
        assert!(begun.elapsed() < crate::platform::PATIENCE, "nobody writes");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// A moment of the database, as it says it, and what was committed by then.
fn moment(server: &postgres::Server, database: &str) -> (String, u64) {
    let sql = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), \
               (SELECT count(*) FROM written)";
    let said = server.sql(database, sql);
    let (time, rows) = said.trim().split_once('|').unwrap();
    (time.to_owned(), rows.parse().unwrap())
}

fn rows(server: &postgres::Server, database: &str) -> u64 {
    server.sql(database, "SELECT count(*) FROM written").trim().parse().unwrap()
}
