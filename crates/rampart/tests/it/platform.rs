//! `rampart up` and the operators' commands, as somebody who meets them for the first time.

mod broker;
mod costs;
mod full;
mod objects;
mod packets;
mod redriving;
mod shares;
mod side_by_side;
mod slow;
pub(crate) mod watched;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Output, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::run::{assert_balances, assert_exit, findings, rampart, report, send, text};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A running `rampart up`.
pub(crate) struct Up {
    pub(crate) child: Child,
    /// What it said until it was up.
    pub(crate) said: String,
    pub(crate) address: String,
    rest: BufReader<ChildStderr>,
}

impl Up {
    pub(crate) fn start(directory: &Path, arguments: &[&str]) -> Up {
        let mut command = rampart(directory);
        command.args(["up", "--listen", "127.0.0.1:0"]).args(arguments);
        Up::of(command)
    }

    /// One that is started in another way.
    pub(crate) fn of(mut command: Command) -> Up {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut rest = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("  try ") {
            if rest.read_line(&mut said).unwrap() == 0 {
                panic!("it ended: {said} {:?}", child.wait());
            }
        }
        let address = said.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
        Up { child, said, address, rest }
    }

    /// The administrator's key, which it says at its first start.
    pub(crate) fn key(&self) -> String {
        let after = self.said.split("administrator ").nth(1).expect("it is the first start");
        after.split_whitespace().next().unwrap().to_owned()
    }

    fn ask(&self, path: &str) -> String {
        self.ask_as("", path)
    }

    /// With a key.
    pub(crate) fn ask_as(&self, key: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close", self.address);
        write!(stream, "{head}\r\nAuthorization: Bearer {key}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Sends a document, as nobody who is known.
    pub(crate) fn post(&self, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close", self.address);
        let length = body.len();
        write!(stream, "{head}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Ends it in order, and gives what it said since it was up.
    pub(crate) fn end(mut self) -> String {
        send(Signal::SIGTERM, &self.child);
        let mut said = String::new();
        self.rest.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        said
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It is gone already when the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Output {
    rampart(directory).args(arguments).output().unwrap()
}

#[track_caller]
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {} {}", text(&output.stdout), text(&output.stderr)))
}

/// The directory in which the reports of a scan are.
pub(crate) fn reports_of(directory: &Path, scan: &str) -> PathBuf {
    let tenants = std::fs::read_dir(directory.join("rampart-data/reports")).unwrap();
    let found = tenants.map(|tenant| tenant.unwrap().path().join(scan)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("scan {scan} has no reports"))
}

#[test]
fn a_scan_of_the_demo_ends_as_in_one_process_and_the_second_changes_nothing() {
    let _alone = crate::run::alone_with_the_demo();
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &["--demo"]);
    let expected: Vec<&str> = include_str!("demo-findings.txt").lines().collect();
    let mut scans = Vec::new();
    for _ in 0..2 {
        let output =
            run(directory.path(), &["scan", "submit", "--scope", "demo", "acme.test", "--wait", "--json"]);
        assert_exit(&output, 1);
        let record = json(&output);
        assert_eq!(record["state"], "ended", "{record}");
        assert_eq!(record["end"], "complete", "{record}");
        assert_eq!((&record["open_tasks"], &record["dead_tasks"]), (&0.into(), &0.into()), "{record}");
        scans.push(record["id"].as_str().unwrap().to_owned());
        let reports = reports_of(directory.path(), scans.last().unwrap());
        let written = report(&reports.join("report.json"));
        assert_eq!(findings(&written), expected, "the findings of `scan --demo`");
        assert_balances(&written);
        assert_eq!(written["summary"]["complete"], true);
        let counts = written["summary"]["assets"].as_object().unwrap().values();
        let counted: u64 = counts.map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(counted, written["assets"].as_array().unwrap().len() as u64, "things of every kind");
        for finding in written["findings"].as_array().unwrap() {
            assert!(!finding["evidence"].as_array().unwrap().is_empty(), "{finding}");
        }
        assert!(std::fs::read_to_string(reports.join("report.html")).unwrap().contains("git-config"));
    }
    let diff = run(directory.path(), &["scan", "diff", &scans[1]]);
    assert_exit(&diff, 0);
    assert_eq!(text(&diff.stdout), format!("nothing changed since scan {}\n", scans[0]));
    let list = json(&run(directory.path(), &["scan", "list", "--json"]));
    let listed: Vec<&str> =
        list.as_array().unwrap().iter().map(|scan| scan["id"].as_str().unwrap()).collect();
    assert_eq!(listed, [scans[1].as_str(), scans[0].as_str()], "the latest first");
    up.end();
}

#[test]
fn it_says_where_it_is_and_the_key_once_and_finds_everything_again() {
    let directory = tempfile::tempdir().unwrap();
    let first = Up::start(directory.path(), &[]);
    assert!(first.said.contains("administrator rampart_"), "{}", first.said);
    assert!(first.ask("/health").contains("alive"));
    assert!(first.ask("/ready").contains("ready"));
    assert!(first.ask("/nothing").starts_with("HTTP/1.1 404"));
    let key = first.key();
    assert!(first.ask_as(&key, "/api/v1/me").contains("\"role\":\"owner\""));
    for (elsewhere, instead) in [
        (&[][..], "--data"),
        (&["--data", "./rampart-data/../rampart-data"], "--data"),
        (&["--data", "elsewhere", "--database", "sqlite:rampart-data/./rampart.db"], "--database"),
    ] {
        let second = rampart(directory.path())
            .args(["up", "--listen", "127.0.0.1:0"])
            .args(elsewhere)
            .output()
            .unwrap();
        assert_exit(&second, 2);
        let said = text(&second.stderr);
        assert!(
            said.contains("another `rampart up` runs on") && said.contains(instead),
            "{elsewhere:?}: {said}"
        );
    }
    assert_exit(&run(directory.path(), &["task", "exercise", "--count", "3"]), 0);
    wait_for(directory.path(), "completed", 3);
    first.end();
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(directory.path().join("rampart-data/rampart.db")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o077, 0, "the database is nobody else's");
    let again = Up::start(directory.path(), &[]);
    assert!(!again.said.contains("administrator"), "{}", again.said);
    wait_for(directory.path(), "completed", 3);
    assert!(again.ask_as(&key, "/api/v1/me").starts_with("HTTP/1.1 200"), "it is kept");
    again.end();
}

/// Waits until a scan is in that state.
pub(crate) fn wait_for_state(directory: &Path, scan: &str, state: &str) {
    let deadline = Instant::now() + PATIENCE;
    while json(&run(directory, &["scan", "show", scan, "--json"]))["state"] != state {
        assert!(Instant::now() < deadline, "scan {scan} is not {state}");
    }
}

/// Until a scan has ended and its report is written.
pub(crate) fn wait_for_end(directory: &Path, scan: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let reports = run(directory, &["task", "list", "--json", "--scan", scan, "--stage", "report"]);
        let reports = json(&reports);
        if reports.as_array().unwrap().iter().any(|task| task["life"]["state"] == "completed") {
            return;
        }
        assert!(Instant::now() < deadline, "scan {scan} does not end: {reports}");
    }
}

pub(crate) fn wait_for(directory: &Path, state: &str, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let listed = run(
            directory,
            &["task", "list", "--json", "--limit", "100000", "--stage", "exercise", "--state", state],
        );
        let found = json(&listed).as_array().unwrap().len();
        if found == count {
            return;
        }
        assert!(Instant::now() < deadline, "{found} of {count} tasks are {state}");
    }
}

#[test]
fn what_is_at_work_when_it_is_killed_is_done_after_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Up::start(directory.path(), &["--concurrency", "4"]);
    assert_exit(&run(directory.path(), &["task", "exercise", "--count", "8", "--hold", "1h"]), 0);
    wait_for(directory.path(), "running", 4);
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    drop(first);
    let second = Up::start(directory.path(), &["--concurrency", "8", "--drain", "1ms"]);
    // Those that waited are at work again, those of the dead process still have their lease.
    wait_for(directory.path(), "running", 8);
    second.end();
    let left = run(directory.path(), &["task", "list", "--json", "--state", "queued"]);
    let left = json(&left);
    let left = left.as_array().unwrap();
    assert_eq!(left.len(), 4, "handed back");
    assert!(left.iter().all(|task| task["attempts"] == 0), "without having used up an attempt: {left:?}");
    assert_exit(&run(directory.path(), &["task", "cancel", "--all"]), 0);
}

#[test]
fn a_stop_holds_until_a_person_lifts_it() {
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &[]);
    assert_exit(&run(directory.path(), &["task", "exercise", "--count", "5", "--hold", "1h"]), 0);
    wait_for(directory.path(), "running", 5);
    assert_exit(&run(directory.path(), &["stop", "--reason", "wrong customer"]), 0);
    wait_for(directory.path(), "queued", 5);
    // It is looked at once a second.
    let until = Instant::now() + Duration::from_secs(10);
    while !up.ask("/ready").contains("\"stops\":1") {
        assert!(Instant::now() < until, "{}", up.ask("/ready"));
    }
    up.end();
    let again = Up::start(directory.path(), &[]);
    let doctor = json(&run(directory.path(), &["doctor", "--json"]));
    let held = doctor.as_array().unwrap().iter().find(|finding| finding["what"] == "emergency stop").unwrap();
    assert!(held["says"].as_str().unwrap().contains("wrong customer"), "{held}");
    assert_exit(&run(directory.path(), &["resume", "--reason", "was right after all"]), 2);
    wait_for(directory.path(), "queued", 5);
    let resume = ["resume", "--reason", "was right after all", "--by", "J. Doe"];
    assert_exit(&run(directory.path(), &resume), 0);
    wait_for(directory.path(), "running", 5);
    assert_exit(&run(directory.path(), &["task", "cancel", "--all"]), 0);
    again.end();
}

#[test]
fn a_schedule_begins_scans_and_operators_mistakes_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let missing = run(directory.path(), &["task", "list"]);
    assert_exit(&missing, 2);
    assert!(text(&missing.stderr).contains("`rampart up` makes one"), "{}", text(&missing.stderr));
    assert!(!directory.path().join("rampart-data").exists(), "asking makes nothing");
    let up = Up::start(directory.path(), &[]);
    for (arguments, says) in [
        (
            &["scan", "submit", "192.0.2.1"][..],
            "does not contain it (scope `loopback`): `rampart scope list`",
        ),
        (
            &["schedule", "create", "s", "192.0.2.1", "--every", "6h"],
            "(scope `loopback`): `rampart scope list`",
        ),
        (
            &["scan", "submit", "--scope", "nope", "127.0.0.1"],
            "there is no scope `nope`: `rampart scope list`",
        ),
        (&["scan", "show", "0123456789abcdef"], "there is no scan `0123456789abcdef`"),
        (&["task", "show", "01a1fd8e-79c0-70ed-8374-bfa2b54ad121"], "there is no task"),
        (&["task", "cancel"], "which tasks?"),
        (&["task", "list", "--tenant", "nobody"], "there is no tenant `nobody`"),
        (&["schedule", "create", "s", "127.0.0.1", "--cron", "61 * * * *"], "61"),
        (&["schedule", "create", "s", "127.0.0.1", "--every", "1s"], "1s"),
        (&["tenant", "create", "default"], "there is a tenant `default` already"),
        (&["task", "list", "--doorbell", "http://nowhere"], "doorbell"),
    ] {
        let output = run(directory.path(), arguments);
        assert_exit(&output, 2);
        assert!(text(&output.stderr).contains(says), "{arguments:?}: {}", text(&output.stderr));
        assert!(
            !text(&output.stderr).contains("scope template"),
            "{arguments:?}: that is for `rampart scan`"
        );
    }
    let create = [
        "schedule",
        "create",
        "nightly",
        "127.0.0.1:9",
        "--cron",
        "0 3 * * *",
        "--zone",
        "Europe/Berlin",
        "--json",
    ];
    let schedule = json(&run(directory.path(), &create));
    let id = schedule["id"].as_str().unwrap();
    assert_exit(&run(directory.path(), &create), 2);
    assert_exit(&run(directory.path(), &["schedule", "disable", id]), 0);
    let listed = run(directory.path(), &["schedule", "list"]);
    assert!(text(&listed.stdout).contains("disabled"), "{}", text(&listed.stdout));
    assert_exit(&run(directory.path(), &["schedule", "delete", id]), 0);
    assert_eq!(json(&run(directory.path(), &["schedule", "list", "--json"])), Value::Array(Vec::new()));
    up.end();
}
