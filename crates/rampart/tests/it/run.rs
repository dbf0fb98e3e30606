//! Runs the built binary.

use std::{
    io::{BufRead, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// The binary, in a directory of its own, without the caller's colours.
pub(crate) fn rampart(directory: &Path) -> Command {
    release(Path::new(THIS), directory)
}

/// The binary of this release.
pub(crate) const THIS: &str = env!("CARGO_BIN_EXE_rampart");

/// As [`rampart`], of whichever release.
pub(crate) fn release(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A scan of the demo after its first finding, slow enough that the last is far away; and the lines that are still to come.
pub(crate) fn slow_demo(directory: &Path, host_rate: u32) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = rampart(directory)
        .args(["scan", "--demo", "--output", "out", "--host-rate", &host_rate.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().expect("a first finding").unwrap();
    (child, lines)
}

pub(crate) fn send(signal: Signal, child: &Child) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

/// What a JSON report holds.
#[track_caller]
pub(crate) fn report(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// `check location` of every finding, sorted.
pub(crate) fn findings(report: &Value) -> Vec<String> {
    let mut found: Vec<String> = report["findings"]
        .as_array()
        .expect("a list of findings")
        .iter()
        .map(|finding| format!("{} {}", finding["check"].as_str().unwrap(), place(&finding["location"])))
        .collect();
    found.sort();
    found
}

fn place(location: &Value) -> String {
    match &location["at"] {
        Value::String(text) => text.clone(),
        endpoint => {
            let host = endpoint["name"].as_str().or(endpoint["address"].as_str()).unwrap();
            format!("{host}:{}", endpoint["port"])
        }
    }
}

/// The account must balance: every pair planned has ended once.
#[track_caller]
pub(crate) fn assert_balances(report: &Value) {
    let checks = report["summary"]["ledger"].as_object().unwrap();
    assert!(!checks.is_empty(), "no check was accounted for");
    for (check, account) in checks {
        let sum = |reasons: &Value| {
            reasons.as_object().map_or(0, |map| map.values().map(|count| count.as_u64().unwrap()).sum())
        };
        let number = |key: &str| account[key].as_u64().unwrap();
        let ended =
            number("matched") + number("not_matched") + sum(&account["failed"]) + sum(&account["skipped"]);
        assert_eq!(number("planned"), ended, "{check}: {account}");
    }
}

/// Asserts on the exit status and says everything when it is another.
#[track_caller]
pub(crate) fn assert_exit(output: &Output, code: i32) {
    let status = output.status.code();
    assert_eq!(status, Some(code), "stdout: {}\nstderr: {}", text(&output.stdout), text(&output.stderr));
}

/// One demo estate at a time: a second one takes another network of loopback, and an interrupted scan would find its own
/// taken when it goes on.
pub(crate) fn alone_with_the_demo() -> std::sync::MutexGuard<'static, ()> {
    static DEMO: std::sync::Mutex<()> = std::sync::Mutex::new(());
    DEMO.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
