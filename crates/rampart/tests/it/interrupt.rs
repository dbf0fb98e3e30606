//! Ctrl-C in the middle, and going on.

use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

use crate::run::{assert_balances, findings, rampart, report};

fn interrupt(process: u32) {
    let status = std::process::Command::new("kill").args(["-INT", &process.to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn an_interrupted_scan_reports_what_there_is_and_goes_on_to_the_same_end() {
    let _alone = crate::run::alone_with_the_demo();
    let directory = tempfile::tempdir().unwrap();
    // Slow enough that the first finding comes long before the last.
    let mut child = rampart(directory.path())
        .args(["scan", "--demo", "--output", "out", "--host-rate", "40"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().expect("a first finding").unwrap();
    interrupt(child.id());
    let rest = lines.count();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap();
    assert!(matches!(status.code(), Some(1 | 3)), "{status}: {said}");
    assert!(said.contains("--resume out"), "{said}");

    let out = directory.path().join("out");
    let stopped = report(&out.join("report.json"));
    assert_eq!(stopped["summary"]["complete"], false);
    assert_balances(&stopped);
    let expected: Vec<&str> = include_str!("demo-findings.txt").lines().collect();
    let first = findings(&stopped);
    assert!(first.len() <= rest + 1 && first.len() < expected.len(), "{} of {}", first.len(), expected.len());

    let resumed = rampart(directory.path()).args(["scan", "--resume", "out"]).output().unwrap();
    assert_eq!(resumed.status.code(), Some(1), "{}", crate::run::text(&resumed.stderr));
    let whole = report(&out.join("report.json"));
    assert_eq!(whole["summary"]["complete"], true);
    assert_eq!(whole["summary"]["scan"], stopped["summary"]["scan"]);
    assert_eq!(findings(&whole), expected);
    assert_balances(&whole);
}
