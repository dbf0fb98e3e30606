//! Whoever asks the server is told what whoever asks the database is.

use super::{Both, Careless, first};
use crate::{
    platform::json,
    run::{assert_exit, text},
};

#[test]
fn every_question_has_the_same_answer_here_and_there() {
    let site = Careless::start();
    let both = Both::start(&[]);
    let ask = |words: &[&str]| {
        let output = both.here(words);
        assert_exit(&output, 0);
        output
    };
    for code in [1, 1] {
        assert_exit(&both.here(&site.submit(&["--wait"])), code);
    }
    ask(&["scan", "submit", "127.0.0.1:9", "--stages", "ports"]);
    ask(&[
        "schedule",
        "create",
        "nightly",
        "127.0.0.1:9",
        "--cron",
        "0 3 * * *",
        "--zone",
        "Europe/Berlin",
        "--starts",
        "2100-01-01",
    ]);
    ask(&["task", "exercise", "--count", "3"]);
    let scope = "authorised_by = 'J. Doe'\nnames = ['*.example.com']\nports = '1-65535,9100'\n";
    std::fs::write(both.path().join("scope.toml"), scope).unwrap();
    ask(&["scope", "put", "office", "scope.toml"]);
    ask(&["key", "create", "pipeline", "--role", "scanner", "--network", "10.0.0.0/8", "--for", "90d"]);
    crate::platform::wait_for(both.path(), "completed", 3);

    let finding = first(&ask(&["finding", "list", "--json"]), "fingerprint");
    let scans = json(&ask(&["scan", "list", "--json"]));
    let scans: Vec<&str> =
        scans.as_array().unwrap().iter().map(|scan| scan["id"].as_str().unwrap()).collect();
    crate::platform::wait_for_end(both.path(), scans[0]);
    let (second, oldest) = (scans[1], scans[2]);
    let task = first(&ask(&["task", "list", "--json"]), "id");
    let questions: Vec<Vec<&str>> = vec![
        vec!["task", "list", "--json"],
        vec!["task", "list", "--limit", "2", "--json"],
        vec!["task", "list", "--after", &task, "--state", "completed", "--json"],
        vec!["task", "list", &task, "--json"],
        vec!["task", "list", &task, "--stage", "exercise", "--json"],
        vec!["task", "list", "--failure", "no such failure", "--json"],
        vec!["task", "list"],
        vec!["task", "show", &task, "--json"],
        vec!["task", "show", &task],
        vec!["finding", "list", "--json"],
        vec!["finding", "list", "--severity", "low", "--state", "open,reopened", "--check", "git-config"],
        vec!["finding", "list", "--state", "false-positive,fixed", "--json"],
        vec!["finding", "list", "--scan", oldest, "--json"],
        vec!["finding", "list", "--after", &finding, "--json"],
        vec!["finding", "show", &finding, "--json"],
        vec!["finding", "show", &finding],
        vec!["schedule", "list", "--json"],
        vec!["schedule", "list"],
        vec!["schedule", "show", "nightly", "--json"],
        vec!["schedule", "show", "nightly"],
        vec!["scope", "list", "--json"],
        vec!["scope", "list"],
        vec!["key", "list", "--json"],
        vec!["key", "list"],
        vec!["audit", "list", "--json"],
        vec!["audit", "list", "--action", "scan", "--since", "1d", "--limit", "2"],
        vec!["audit", "list", "--by", "nobody", "--json"],
        vec!["audit", "checkpoints", "--before", "2", "--json"],
        vec!["audit", "checkpoints", "--before", "2"],
        vec!["scan", "list", "--json"],
        vec!["scan", "list", "--running"],
        vec!["scan", "list", "--limit", "1"],
        vec!["scan", "show", second, "--json"],
        vec!["scan", "diff", second, "--json"],
        vec!["scan", "diff", second],
        vec!["scan", "diff", oldest, "--with", second, "--json"],
        vec!["scan", "report", second],
        vec!["scan", "report", second, "--format", "json"],
    ];
    for question in questions {
        let there = both.there(&question);
        let here = both.here(&question);
        assert_exit(&here, 0);
        assert_exit(&there, 0);
        assert_eq!(text(&there.stdout), text(&here.stdout), "{question:?}");
        assert_eq!(text(&there.stderr), text(&here.stderr), "{question:?}");
        assert!(!here.stdout.is_empty(), "{question:?}");
    }

    // What differs is where the reports are, and how they are brought.
    let show = ["scan", "show", second];
    let (here, there) = (text(&both.here(&show).stdout), text(&both.there(&show).stdout));
    let lines = |shown: &str| shown.lines().filter(|line| !line.starts_with("reports")).count();
    assert_eq!(lines(&here), lines(&there), "{here}{there}");
    assert!(
        there.contains(&format!("`rampart scan report {second}` brings them from {}", both.url())),
        "{there}"
    );
    let file = both.directory.path().join("report.html");
    let report = ["scan", "report", second, "--output", file.to_str().unwrap()];
    assert_exit(&both.there(&report), 0);
    assert_eq!(std::fs::read(&file).unwrap(), both.here(&report[..3]).stdout);
    both.up.end();
}

#[test]
fn a_scan_that_is_waited_for_there_ends_as_it_does_here() {
    let site = Careless::start();
    let both = Both::start(&[]);
    let wait = site.submit(&["--wait"]);
    let first = both.there(&wait);
    assert_exit(&first, 1);
    let said = text(&first.stdout);
    assert!(said.contains("git-config") && said.contains("undetermined  nothing"), "{said}");
    let second = both.here(&wait);
    assert_exit(&second, 1);
    let line = |output: &[u8]| text(output).lines().next().unwrap().to_owned();
    assert_eq!(line(&first.stdout), line(&second.stdout), "the finding");
    let third = both.there(&wait);
    assert!(text(&third.stdout).contains("nothing changed since scan"), "{}", text(&third.stdout));

    // Nothing found, and nothing left open.
    let clean =
        ["scan", "submit", &site.url, "--stages", "check", "--only", "environment-file", "--wait", "--json"];
    let clean = both.there(&clean);
    assert_exit(&clean, 0);
    assert_eq!(json(&clean)["undetermined_count"], 0);
    // What could not be found out is told whoever may read scans.
    let closed = ["scan", "submit", "http://127.77.0.1:9/", "--stages", "check", "--wait", "--json"];
    let undetermined = both.there(&closed);
    assert_exit(&undetermined, 3);
    assert!(json(&undetermined)["undetermined_count"].as_u64().unwrap() > 0);
    let scanner = both.there_as(&both.key_of("scanner"), &closed);
    assert_exit(&scanner, 3);
    let told = json(&scanner);
    assert_eq!(
        told["undetermined_count"].as_u64(),
        told["undetermined"].as_array().map(|all| all.len() as u64)
    );
    assert_eq!(told["first_targets"], serde_json::json!(["http://127.77.0.1:9/"]));
    let here = json(&both.here(&["scan", "show", told["id"].as_str().unwrap(), "--json"]));
    for known in ["undetermined_count", "undetermined", "first_targets"] {
        assert_eq!(told[known], here[known], "{known}");
    }
    both.up.end();
}
