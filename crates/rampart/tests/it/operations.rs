//! docs/operations.md says of the configuration what the binary says, and of the platform's commands every option.

use std::{collections::BTreeMap, path::Path};

use crate::run::{assert_exit, rampart, text};

fn document(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)).unwrap()
}

/// The help of each option, as one line. Options are less indented than what is said about them, in which others are named.
fn options(command: &[&str]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let mut asked = rampart(directory.path());
    asked.args(command).arg("--help");
    let output = asked.output().unwrap();
    assert_exit(&output, 0);
    let mut options: Vec<String> = Vec::new();
    for line in text(&output.stdout).lines() {
        let begins = line.starts_with("      --");
        let line = line.trim();
        match options.last_mut() {
            Some(last) if !begins => last.push_str(&format!(" {line}")),
            _ if begins => options.push(line.to_owned()),
            _ => {}
        }
    }
    options
}

fn flag(option: &str) -> &str {
    option.split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap()
}

/// What stands between `[name` and the next of `]` and `=`.
fn bracket<'o>(option: &'o str, name: &str) -> Option<&'o str> {
    let value = option.split_once(&format!("[{name}: "))?.1;
    value.split([']', '=']).next()
}

/// Key, flag, environment and default of each row.
fn table() -> Vec<[String; 4]> {
    let text = document("operations.md");
    let rows = text.split("| key | flag | environment | default |\n").nth(1).unwrap();
    let rows = rows.lines().skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<String> =
            row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
        cells.try_into().unwrap_or_else(|cells| panic!("not four cells: {cells:?}"))
    })
    .collect()
}

#[test]
fn every_key_of_the_configuration_is_in_the_table_with_its_flag_environment_and_default() {
    let table = table();
    let mut wanted = BTreeMap::new();
    for option in options(&["up"]) {
        let environment = bracket(&option, "env").map(str::to_owned);
        if let Some(environment) = environment {
            let default = bracket(&option, "default").map(str::to_owned);
            wanted.insert(flag(&option).to_owned(), (environment, default));
        }
    }
    let mut written = BTreeMap::new();
    for [_, flag, environment, default] in &table {
        // A help that tells no default has none to compare.
        let told = wanted.get(flag).is_some_and(|(_, default)| default.is_some());
        written.insert(flag.clone(), (environment.clone(), told.then(|| default.clone())));
    }
    assert_eq!(written, wanted);

    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("rampart.toml"), "no_such_key = 1\n").unwrap();
    let refused = rampart(directory.path()).args(["task", "list"]).output().unwrap();
    assert_exit(&refused, 2);
    let error = text(&refused.stderr);
    let expected = error.split("expected one of ").nth(1).unwrap();
    let mut keys: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let mut documented: Vec<&str> =
        table.iter().map(|[key, ..]| key.as_str()).filter(|key| *key != "-").collect();
    keys.sort_unstable();
    documented.sort_unstable();
    assert_eq!(documented, keys);
}

#[test]
fn every_option_of_the_platform_is_explained() {
    let documents = document("operations.md") + &document("user-guide.md");
    let mut missing = Vec::new();
    for command in [
        &["up"][..],
        &["gateway"],
        &["worker"],
        &["orchestrator"],
        &["migrate"],
        &["doctor"],
        &["stop"],
        &["resume"],
        &["scan", "submit"],
        &["scan", "list"],
        &["scan", "show"],
        &["scan", "diff"],
        &["scan", "cancel"],
        &["scan", "comment"],
        &["scan", "comments"],
        &["finding", "list"],
        &["finding", "show"],
        &["finding", "decide"],
        &["finding", "comment"],
        &["finding", "comments"],
        &["audit", "list"],
        &["audit", "verify"],
        &["audit", "export"],
        &["audit", "checkpoints"],
        &["user", "invite"],
        &["user", "change"],
        &["key", "create"],
        &["key", "list"],
        &["key", "rotate"],
        &["key", "revoke"],
        &["package", "analyze"],
        &["package", "result"],
        &["task", "list"],
        &["task", "show"],
        &["task", "cancel"],
        &["task", "redrive"],
        &["task", "purge"],
        &["task", "exercise"],
        &["schedule", "create"],
        &["schedule", "list"],
        &["schedule", "show"],
        &["schedule", "enable"],
        &["schedule", "disable"],
        &["schedule", "delete"],
        &["tenant", "create"],
        &["tenant", "list"],
        &["tenant", "set"],
        &["tenant", "show"],
        &["scope", "put"],
        &["scope", "list"],
        &["scope", "delete"],
    ] {
        let names = options(command);
        assert!(!names.is_empty(), "{command:?} has no options");
        for option in names.iter().map(|option| flag(option)) {
            let explained = documents.match_indices(option).any(|(at, _)| {
                !documents[at + option.len()..].starts_with(|c: char| c.is_ascii_lowercase() || c == '-')
            });
            if !explained {
                missing.push(format!("{} {option}", command.join(" ")));
            }
        }
    }
    assert!(missing.is_empty(), "not explained in docs/:\n  {}", missing.join("\n  "));
}
