//! What operators ask of the platform, and what they are told when they ask in a wrong way.

mod auditing;
mod deciding;
mod for_programs;
mod keeping;
mod keys;
mod people;
mod told;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
};

use serde_json::Value;

use crate::{
    platform::{Up, json, run, wait_for},
    run::{assert_exit, rampart, text},
};

#[test]
fn a_schedule_keeps_every_rule_and_is_found_by_name_or_id() {
    let directory = tempfile::tempdir().unwrap();
    Up::start(directory.path(), &[]).end();
    let ask = |arguments: &[&str]| run(directory.path(), &[&["schedule"], arguments].concat());
    let create = [
        "create",
        "nightly",
        "127.0.0.1:9",
        "--cron",
        "0 3 * * 1-5",
        "--zone",
        "Europe/Berlin",
        "--jitter",
        "20m",
        "--blackout",
        "Sa-Su",
        "--during-blackout",
        "skip",
        "--overlap",
        "queue",
        "--starts",
        "2100-01-01",
        "--ends",
        "2100-12-24T18:00",
    ];
    let created = ask(&create);
    assert_exit(&created, 0);
    // On the clocks of Berlin, where the year begins on a Friday.
    assert!(text(&created.stderr).contains("first run 2100-01-01 02:00:00 UTC"), "{}", text(&created.stderr));
    let schedule = json(&ask(&["show", "nightly", "--json"]));
    let rule = &schedule["rule"];
    for (key, value) in [
        ("during_blackout", "skip"),
        ("overlap", "queue"),
        ("starts", "2099-12-31T23:00:00Z"),
        ("ends", "2100-12-24T17:00:00Z"),
    ] {
        assert_eq!(rule[key], value, "{rule}");
    }
    let id = schedule["id"].as_str().unwrap();
    let shown = text(&ask(&["show", id]).stdout);
    for line in ["during blackout  skip", "overlap          queue", "starts           2099-12-31 23:00:00"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let listed = text(&ask(&["list"]).stdout);
    let summary = "cron 0 3 * * 1-5 Europe/Berlin, jitter 20m, blackouts 1, skip, overlap queue, from 2099-12-31 23:00:00, \
                   until 2100-12-24 17:00:00";
    assert!(listed.contains(summary), "{listed}");

    // The name of one is the id of another.
    assert_exit(&ask(&["create", id, "127.0.0.1:9", "--every", "6h"]), 0);
    let named_by_name = json(&ask(&["list", "--json"]));
    let other = named_by_name.as_array().unwrap().iter().find(|schedule| schedule["name"] == id).unwrap();
    let other = other["id"].as_str().unwrap();
    for (which, says) in [("weekly", "no schedule `weekly`"), (id, other)] {
        for command in ["show", "enable", "disable", "delete"] {
            let refused = ask(&[command, which]);
            assert_exit(&refused, 2);
            assert!(text(&refused.stderr).contains(says), "{command} {which}: {}", text(&refused.stderr));
        }
    }
    assert_exit(&ask(&["delete", other]), 0);
    assert_exit(&ask(&["disable", "nightly"]), 0);
    assert_eq!(json(&ask(&["show", id, "--json"]))["enabled"], false);
    assert_exit(&ask(&["enable", id]), 0);
    assert_eq!(json(&ask(&["show", "nightly", "--json"]))["enabled"], true);
    assert_exit(&ask(&["delete", "nightly"]), 0);
    assert_eq!(json(&ask(&["list", "--json"])), Value::Array(Vec::new()));
}

#[test]
fn a_configuration_that_cannot_be_used_is_named_with_its_line_and_the_doctor_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    Up::start(directory.path(), &[]).end();
    std::fs::write(directory.path().join("rampart.toml"), "log = 'info'\ntenannt = 'acme'\n").unwrap();
    let refused = run(directory.path(), &["task", "list"]);
    assert_exit(&refused, 2);
    let says = "error: the configuration `rampart.toml`, line 2: unknown field `tenannt`";
    assert!(text(&refused.stderr).starts_with(says), "{}", text(&refused.stderr));
    let doctor = run(directory.path(), &["doctor", "--json"]);
    assert_exit(&doctor, 1);
    let findings = json(&doctor);
    let verdict = |what: &str| {
        let found: Vec<&Value> =
            findings.as_array().unwrap().iter().filter(|finding| finding["what"] == what).collect();
        assert_eq!(found.len(), 1, "{what}: {findings}");
        (found[0]["verdict"].as_str().unwrap(), found[0]["says"].as_str().unwrap())
    };
    let (is, says) = verdict("configuration");
    assert!(is == "broken" && says.contains("line 2"), "{is}: {says}");
    assert_eq!(verdict("database").0, "ok", "the others are looked at");
}

#[test]
fn a_reader_who_goes_away_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    Up::start(directory.path(), &[]).end();
    assert_exit(&run(directory.path(), &["schedule", "create", "s", "127.0.0.1:9", "--every", "6h"]), 0);
    for arguments in [
        &["task", "list"][..],
        &["task", "list", "--json"],
        &["schedule", "list", "--json"],
        &["schedule", "show", "s"],
        &["scope", "list"],
        &["tenant", "list", "--json"],
        &["scan", "submit", "127.0.0.1:9"],
        &["scan", "submit", "127.0.0.1:9", "--json"],
        &["scan", "list"],
        &["finding", "list"],
        &["audit", "list"],
        &["doctor"],
        &["--help"],
        &["checks", "list"],
        &["scope", "template"],
        &["simulate", "--requests", "50", "--flood", "none", "--json"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = rampart(directory.path()).args(arguments).stdout(writer).output().unwrap();
        assert_exit(&output, 0);
        let said = text(&output.stderr);
        assert!(!said.contains("error") && !said.contains("panicked"), "{arguments:?}: {said}");
    }
}

#[test]
fn what_is_at_work_is_asked_to_stop_and_what_waits_is_cancelled() {
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &["--concurrency", "1"]);
    assert_exit(&run(directory.path(), &["task", "exercise", "--count", "3", "--hold", "1h"]), 0);
    wait_for(directory.path(), "running", 1);
    let cancelled = json(&run(directory.path(), &["task", "cancel", "--stage", "exercise", "--json"]));
    assert_eq!(cancelled, serde_json::json!({ "cancelled": 2, "asked_to_stop": 1 }));
    let again = run(directory.path(), &["task", "cancel", "--stage", "exercise"]);
    // Its worker may have heard of it by now.
    let said = text(&again.stderr);
    assert!(said.starts_with("cancelled: 0\n"), "{said}");
    wait_for(directory.path(), "cancelled", 3);
    let listed = text(&run(directory.path(), &["task", "list", "--limit", "1"]).stderr);
    let says = "all tasks of the tenant, also those that are not listed:\n3 cancelled in stage exercise\n";
    assert!(listed.ends_with(says), "{listed}");
    up.end();
}

#[test]
fn whoever_lifts_a_stop_is_told_the_command_that_does() {
    let directory = tempfile::tempdir().unwrap();
    Up::start(directory.path(), &[]).end();
    let ask = |arguments: &[&str]| {
        let output = run(directory.path(), arguments);
        (output.status.code(), text(&output.stderr))
    };
    let (code, said) = ask(&["stop", "--reason", "r", "--of-tenant", "nobody"]);
    assert!(code == Some(2) && said.contains("--of-tenant names a tenant"), "{said}");
    assert!(said.contains("there is no tenant `nobody`"), "{said}");
    let resume = ["resume", "--reason", "cleared", "--by", "J. Doe"];
    let (code, said) = ask(&resume);
    assert!(code == Some(2) && said.contains("no stop holds"), "{said}");

    assert_eq!(ask(&["tenant", "create", "acme corp"]).0, Some(0));
    let scan =
        text(&run(directory.path(), &["scan", "submit", "127.0.0.1:9", "--tenant", "acme corp"]).stdout);
    let scan = scan.trim();
    let (_, ordered) = ask(&["stop", "--reason", "wrong", "--scan", scan, "--tenant", "acme corp"]);
    assert!(ordered.contains(&format!("`rampart resume --scan {scan} --tenant 'acme corp' ")), "{ordered}");
    for narrow in [["--of-tenant", "acme corp"], ["--stage", "ports"]] {
        assert_eq!(ask(&[&["stop", "--reason", "wrong"][..], &narrow].concat()).0, Some(0));
    }
    let commands = [
        format!("rampart resume --scan {scan} --tenant 'acme corp' --reason TEXT --by PERSON"),
        "rampart resume --of-tenant 'acme corp' --reason TEXT --by PERSON".to_owned(),
        "rampart resume --stage ports --reason TEXT --by PERSON".to_owned(),
    ];
    let (code, said) = ask(&resume);
    assert_eq!(code, Some(2), "{said}");
    let (_, doctor) = (0, text(&run(directory.path(), &["doctor"]).stdout));
    for command in &commands {
        assert!(said.lines().any(|line| line.trim() == command), "{command}: {said}");
        assert!(doctor.contains(command), "{command}: {doctor}");
    }
    // As they were told.
    let narrow: [&[&str]; 3] =
        [&["--scan", scan, "--tenant", "acme corp"], &["--of-tenant", "acme corp"], &["--stage", "ports"]];
    for (left, narrow) in narrow.iter().enumerate() {
        let (code, said) = ask(&[&resume[..], narrow].concat());
        assert_eq!(code, Some(0), "{said}");
        let still = commands.iter().filter(|command| said.contains(command.as_str())).count();
        assert_eq!(still, 2 - left, "{said}");
    }
}

#[test]
fn the_reports_of_a_scan_are_named_where_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &[]);
    let submit = ["scan", "submit", "127.0.0.1:9", "--stages", "ports", "--wait", "--json"];
    let scan = json(&run(directory.path(), &submit));
    let scan = scan["id"].as_str().unwrap();
    let shown = text(&run(directory.path(), &["scan", "show", scan]).stdout);
    let path = |shown: &str| {
        let line = shown.lines().find_map(|line| line.strip_prefix("reports")).unwrap();
        line.trim().to_owned()
    };
    assert!(directory.path().join(path(&shown)).join("report.html").is_file(), "{shown}");
    let elsewhere =
        ["scan", "show", scan, "--data", "elsewhere", "--database", "sqlite:rampart-data/rampart.db"];
    let shown = path(&text(&run(directory.path(), &elsewhere).stdout));
    assert!(shown.ends_with("the worker that wrote them, which is not `elsewhere` here"), "{shown}");
    assert!(shown.contains(&format!("/{scan} in the data directory")), "{shown}");
    up.end();
}

#[test]
fn the_scope_of_the_demo_goes_with_it_and_nobody_elses_does() {
    let _alone = crate::run::alone_with_the_demo();
    let directory = tempfile::tempdir().unwrap();
    let scopes = || {
        let listed = json(&run(directory.path(), &["scope", "list", "--json"]));
        let names = listed.as_array().unwrap().iter().map(|scope| scope["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<String>>()
    };
    Up::start(directory.path(), &["--demo"]).end();
    assert_eq!(scopes(), ["demo", "loopback"]);
    let create = ["schedule", "create", "s", "acme.test", "--scope", "demo", "--every", "6h"];
    assert_exit(&run(directory.path(), &create), 0);
    let without = Up::start(directory.path(), &[]);
    assert!(without.said.contains("`rampart up --demo` is removed"), "{}", without.said);
    assert!(without.said.contains("begin nothing without it: s\n"), "{}", without.said);
    without.end();
    assert_eq!(scopes(), ["loopback"]);

    let written = "authorised_by = 'J. Doe'\nnetworks = ['127.0.0.0/8']\n";
    std::fs::write(directory.path().join("scope.toml"), written).unwrap();
    assert_exit(&run(directory.path(), &["scope", "put", "demo", "scope.toml"]), 0);
    Up::start(directory.path(), &[]).end();
    assert_eq!(scopes(), ["demo", "loopback"], "somebody wrote it");
    let refused = run(directory.path(), &["up", "--demo", "--listen", "127.0.0.1:0"]);
    assert_exit(&refused, 2);
    assert!(text(&refused.stderr).contains("`rampart scope delete demo`"), "{}", text(&refused.stderr));
    let deleted = run(directory.path(), &["scope", "delete", "demo"]);
    assert_exit(&deleted, 0);
    assert!(text(&deleted.stderr).contains("begin nothing without it: s\n"), "{}", text(&deleted.stderr));
    assert_eq!(scopes(), ["loopback"]);
    assert_exit(&run(directory.path(), &["scope", "delete", "demo"]), 2);
}

#[test]
fn who_may_not_prepare_a_database_is_told_the_statements_that_help() {
    let directory = tempfile::tempdir().unwrap();
    let server = testkit::postgres::Server::start();
    let database = server.create_database();
    server.sql(&database, "CREATE ROLE preparer LOGIN PASSWORD 'of-the-tests'");
    let migrate = |user: &str| {
        let url = server.url(user, "of-the-tests", &database);
        run(directory.path(), &["migrate", "--grant-to", "app", "--database", &url])
    };
    let refused = migrate("preparer");
    assert_exit(&refused, 2);
    let said = text(&refused.stderr);
    let statements: Vec<&str> = said.lines().map(str::trim).filter(|line| line.ends_with(';')).collect();
    assert_eq!(
        statements,
        [
            format!("GRANT CREATE ON DATABASE \"{database}\" TO \"preparer\";").as_str(),
            "GRANT CREATE ON SCHEMA public TO \"preparer\";",
            "ALTER ROLE \"preparer\" CREATEROLE;",
            "CREATE ROLE \"app\" LOGIN PASSWORD '…';",
        ],
        "{said}"
    );
    for statement in statements {
        server.sql(&database, statement);
    }
    assert_exit(&migrate("preparer"), 0);
    server.sql(&database, "CREATE ROLE another LOGIN PASSWORD 'of-the-tests'");
    let refused = migrate("another");
    assert_exit(&refused, 2);
    assert!(text(&refused.stderr).contains("the tables belong to preparer"), "{}", text(&refused.stderr));
    let url = server.url("preparer", "of-the-tests", &database);
    let doctor = text(&run(directory.path(), &["doctor", "--database", &url]).stdout);
    let missing = doctor.lines().find(|line| line.starts_with("data directory")).unwrap();
    assert!(missing.contains("does not exist") && !missing.contains("rampart up"), "{doctor}");
}

/// A process whose standard error is read line by line.
struct Talking {
    child: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Talking {
    fn start(directory: &Path, arguments: &[&str]) -> Talking {
        let mut child = rampart(directory).args(arguments).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Talking { child, lines }
    }

    /// Reads until a line contains this.
    #[track_caller]
    fn hear(&mut self, what: &str) -> String {
        let found = self.lines.by_ref().map(|line| line.unwrap()).find(|line| line.contains(what));
        found.unwrap_or_else(|| panic!("it never said `{what}`: {:?}", self.child.wait()))
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        // It is gone already when the test waited for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn who_submits_is_told_that_nobody_is_at_work_and_who_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &[]);
    let submit = ["scan", "submit", "127.0.0.1:9", "--stages", "ports"];
    let with_somebody = run(directory.path(), &submit);
    assert_eq!(text(&with_somebody.stderr), "");
    up.end();
    let with_nobody = run(directory.path(), &submit);
    assert_exit(&with_nobody, 0);
    let said = text(&with_nobody.stderr);
    assert!(said.contains("nobody is at work") && said.contains("`rampart up`"), "{said}");

    let mut worker = Talking::start(directory.path(), &["worker", "--stage", "ports"]);
    worker.hear("the worker is ready");
    let said = text(&run(directory.path(), &submit).stderr);
    assert!(
        said.contains("nobody works for report") && said.contains("`rampart worker --stage report`"),
        "{said}"
    );
    let doctor = text(&run(directory.path(), &["doctor"]).stdout);
    assert!(
        doctor.contains("1 at work, none of them for discover and crawl and check and report ->"),
        "{doctor}"
    );
    assert!(doctor.contains("none leads"), "{doctor}");
    drop(worker);

    let mut waiting = Talking::start(directory.path(), &[&submit[..], &["--wait"]].concat());
    // The killed one is counted until it was silent for long enough.
    let said = waiting.hear("nobody");
    assert!(said.contains("it waits"), "{said}");
    let up = Up::start(directory.path(), &[]);
    let status = waiting.child.wait().unwrap();
    assert!(matches!(status.code(), Some(0 | 3)), "{status}");
    up.end();
}
