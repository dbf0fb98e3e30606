//! Ctrl-C in the middle, and going on.

use std::io::Read;

use nix::sys::signal::Signal;

use crate::run::{assert_balances, assert_exit, findings, rampart, report, send, slow_demo, text};

#[test]
fn an_interrupted_scan_reports_what_there_is_and_goes_on_to_the_same_end() {
    let _alone = crate::run::alone_with_the_demo();
    let directory = tempfile::tempdir().unwrap();
    let (mut child, lines) = slow_demo(directory.path(), 40);
    send(Signal::SIGINT, &child);
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

    // Its hosts are known by their addresses: in other ones they would not be found again.
    let header = report(&out.join("scan.json"));
    let network = header["demo"].as_u64().expect("where the estate was");
    let in_the_way = std::net::TcpListener::bind(format!("127.{network}.0.53:5353")).unwrap();
    let resume = || rampart(directory.path()).args(["scan", "--resume", "out"]).output().unwrap();
    let refused = resume();
    assert_exit(&refused, 2);
    assert!(text(&refused.stderr).contains(&format!("127.{network}.0.0/24")), "{}", text(&refused.stderr));
    drop(in_the_way);

    assert_exit(&resume(), 1);
    let whole = report(&out.join("report.json"));
    assert_eq!(whole["summary"]["complete"], true);
    assert_eq!(whole["summary"]["scan"], stopped["summary"]["scan"]);
    assert_eq!(findings(&whole), expected);
    // What both runs sent.
    let sent = |report: &serde_json::Value| {
        ["requests", "probes", "queries"].map(|what| report["summary"][what].as_u64().unwrap())
    };
    let (first, both) = (sent(&stopped), sent(&whole));
    assert!(first.iter().sum::<u64>() > 0);
    assert!(
        first.iter().zip(&both).all(|(first, both)| first <= both) && first != both,
        "{first:?} {both:?}"
    );
    assert_balances(&whole);
}
