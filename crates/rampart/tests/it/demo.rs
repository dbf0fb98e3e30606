//! The first thing a stranger does.

use crate::run::{assert_balances, assert_exit, findings, rampart, report, text};

#[test]
fn the_demo_is_found_out_completely_and_reported_in_every_format() {
    let _alone = crate::run::alone_with_the_demo();
    let directory = tempfile::tempdir().unwrap();
    let output = rampart(directory.path())
        .args(["scan", "--demo", "--output", "out", "--format", "html,json,jsonl,sarif,csv,markdown"])
        .output()
        .unwrap();
    assert_exit(&output, 1);
    let out = directory.path().join("out");
    let json = report(&out.join("report.json"));
    let expected: Vec<&str> = include_str!("demo-findings.txt").lines().collect();
    // Another second number of 127.x is taken when the first is in use; names stay.
    assert_eq!(findings(&json), expected, "the findings of the demo changed: compare with demo-findings.txt");
    assert_balances(&json);
    assert_eq!(json["summary"]["complete"], true);
    for finding in json["findings"].as_array().unwrap() {
        let evidence = finding["evidence"].as_array().unwrap();
        assert!(!evidence.is_empty(), "{finding}");
        // A server that speaks first is shown without having been asked.
        let greeted = finding["location"]["kind"] == "service";
        assert!(greeted || evidence.iter().all(|exchange| exchange["request"] != ""), "{finding}");
        let command = finding["reproduce"].as_str().unwrap();
        assert!(command.starts_with("rampart scan --demo --only "), "{command}");
    }
    let printed = text(&output.stdout);
    assert_eq!(printed.lines().count(), expected.len(), "one line a finding: {printed}");
    for file in ["report.html", "findings.jsonl", "report.sarif", "findings.csv", "report.md"] {
        let text = std::fs::read_to_string(out.join(file)).unwrap();
        assert!(text.contains("git-config"), "{file} does not name a finding");
    }
    let left: Vec<_> = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".part")), "{left:?}");
}

#[test]
fn the_printed_command_shows_one_finding_again() {
    let _alone = crate::run::alone_with_the_demo();
    let directory = tempfile::tempdir().unwrap();
    let output = rampart(directory.path())
        .args(["scan", "--demo", "--only", "git-config", "--format", "jsonl"])
        .output()
        .unwrap();
    assert_exit(&output, 1);
    let lines = text(&output.stdout);
    assert!(lines.lines().count() >= 1, "{lines}");
    assert!(lines.lines().all(|line| line.contains("\"git-config\"")), "{lines}");
}

#[test]
fn a_second_run_does_not_touch_the_first() {
    let _alone = crate::run::alone_with_the_demo();
    let directory = tempfile::tempdir().unwrap();
    let scan = |arguments: &[&str]| {
        rampart(directory.path())
            .args(["scan", "--demo", "--only", "git-config"])
            .args(arguments)
            .output()
            .unwrap()
    };
    assert_exit(&scan(&["--output", "out"]), 1);
    let again = scan(&["--output", "out"]);
    assert_exit(&again, 2);
    assert!(text(&again.stderr).contains("--resume"), "{}", text(&again.stderr));
    assert_exit(&scan(&[]), 1);
    assert_exit(&scan(&[]), 1);
    let reports = std::fs::read_dir(directory.path().join("rampart-reports")).unwrap().count();
    assert_eq!(reports, 2);
}
