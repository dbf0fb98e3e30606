//! Rules of the house that no compiler checks.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use crate::run::THIS;

const LONGEST_FILE: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every file that belongs to the project, with its text; binary files have none.
fn files() -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the project's files");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).unwrap();
    let files: Vec<(String, String)> = names
        .lines()
        .filter_map(|name| Some((name.to_owned(), std::fs::read_to_string(root().join(name)).ok()?)))
        .collect();
    assert!(files.len() > 100, "only {} files were found", files.len());
    files
}

fn rust_files() -> Vec<(String, String)> {
    files().into_iter().filter(|(name, _)| name.ends_with(".rs")).collect()
}

/// The part before the tests, for rules that hold for shipped code only.
fn shipped(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

fn is_test_file(name: &str) -> bool {
    name.contains("/tests/")
        || name.ends_with("/tests.rs")
        || name.starts_with("crates/testkit/")
        || name.contains("/examples/")
}

#[track_caller]
fn none(what: &str, offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{what}:\n  {}", offenders.join("\n  "));
}

#[test]
fn files_are_short_enough_to_read() {
    let long = rust_files().into_iter().filter_map(|(name, text)| {
        let lines = text.lines().count();
        (lines > LONGEST_FILE).then(|| format!("{name}: {lines} lines, at most {LONGEST_FILE}"))
    });
    none("split these by what they are about", long.collect());
    let main = std::fs::read_to_string(root().join("crates/rampart/src/main.rs")).unwrap();
    assert!(main.lines().count() < 60, "main.rs only wires");
}

#[test]
fn rooms_have_names_that_say_something() {
    let vague = |name: &String| {
        name.split('/').any(|part| {
            let part = part.trim_end_matches(".rs");
            ["util", "utils", "common", "helper", "helpers", "misc"].contains(&part)
        })
    };
    none("rooms without a subject", rust_files().into_iter().map(|(name, _)| name).filter(vague).collect());
}

#[test]
fn nothing_is_ignored_stubbed_or_unwrapped() {
    let mut offenders = Vec::new();
    for (name, text) in rust_files() {
        if name.ends_with("tests/it/tidy.rs") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            for word in ["#[ignore", "todo!(", "unimplemented!(", "assert!(true)", "allow(dead_code"] {
                if line.contains(word) {
                    offenders.push(format!("{name}:{}: {word}", number + 1));
                }
            }
        }
        if !is_test_file(&name) {
            for (number, line) in shipped(&text).lines().enumerate() {
                if line.contains(".unwrap()") && !line.trim_start().starts_with("//") {
                    offenders.push(format!("{name}:{}: unwrap outside of tests", number + 1));
                }
            }
        }
    }
    none("not finished", offenders);
}

#[test]
fn sockets_are_opened_in_one_room() {
    let openers = [
        "TcpStream::connect",
        "TcpSocket::",
        "UdpSocket::bind",
        "socket2::Socket",
        "Socket::new(",
        "UnixStream::connect",
        "TcpListener::bind",
    ];
    let may = |name: &str| {
        name.starts_with("crates/scanner/src/socket")
            || name.starts_with("crates/rampart/src/demo")
            // Listens, and sends to nobody but who asked.
            || name == "crates/rampart/src/platform/gateway.rs"
            || is_test_file(name)
    };
    let mut offenders = Vec::new();
    for (name, text) in rust_files().into_iter().filter(|(name, _)| name.starts_with("crates/") && !may(name))
    {
        for (number, line) in shipped(&text).lines().enumerate() {
            if openers.iter().any(|opener| line.contains(opener)) && !line.trim_start().starts_with("//") {
                offenders.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    none("sockets are opened by scanner::socket::Dialer", offenders);
}

/// Who must not know whom (ARCHITECTURE.md).
#[test]
fn crates_keep_to_their_rooms() {
    // Only the store speaks with databases, only the worker with brokers, and only one room with collectors of traces.
    const DATABASES: &[&str] = &["rusqlite", "tokio-postgres", "deadpool-postgres", "object_store"];
    const BROKERS: &[&str] = &["redis", "lapin"];
    const COLLECTORS: &[&str] =
        &["opentelemetry", "opentelemetry_sdk", "opentelemetry-otlp", "tracing-opentelemetry"];
    let forbidden = [
        (
            "model",
            &["tokio", "checks", "scanner", "report", "store", "worker", "gateway", "regex", "hickory-proto"]
                [..],
        ),
        ("checks", &["tokio", "scanner", "report", "store", "worker", "rustls", "socket2", "getrandom"]),
        ("report", &["tokio", "checks", "scanner", "store", "worker", "rustls"]),
        ("scanner", &["report", "store", "worker", "clap", "rampart"]),
        ("store", &["checks", "scanner", "report", "worker", "clap", "rampart"]),
        ("worker", &["gateway", "clap", "rampart"]),
        (
            "traces",
            &["checks", "scanner", "report", "store", "worker", "gateway", "client", "clap", "rampart"],
        ),
        ("gateway", &["scanner", "checks", "client", "clap", "rampart"]),
        ("client", &["checks", "scanner", "report", "store", "worker", "gateway", "clap", "rampart"]),
    ];
    let without = |name: &str| match name {
        "store" => [BROKERS, COLLECTORS].concat(),
        "worker" => [DATABASES, COLLECTORS].concat(),
        "traces" => [DATABASES, BROKERS].concat(),
        _ => [DATABASES, BROKERS, COLLECTORS].concat(),
    };
    let known =
        ["model", "checks", "report", "scanner", "store", "worker", "gateway", "client", "traces", "rampart"];
    let forbidden = known.map(|name| {
        let named = forbidden.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, others)| others);
        (name, [named, &without(name)].concat())
    });
    let mut offenders = Vec::new();
    for (name, others) in forbidden {
        let manifest = std::fs::read_to_string(root().join(format!("crates/{name}/Cargo.toml"))).unwrap();
        let dependencies =
            manifest.split("[dependencies]").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap();
        for other in others {
            if dependencies.lines().any(|line| line.split([' ', '=', '.']).next() == Some(other)) {
                offenders.push(format!("{name} must not depend on {other}"));
            }
        }
    }
    none("dependencies point at model", offenders);
}

#[test]
fn every_option_is_in_the_user_guide() {
    let guide = std::fs::read_to_string(root().join("docs/user-guide.md")).unwrap();
    let mut missing = Vec::new();
    for command in [
        &["scan"][..],
        &["checks", "list"],
        &["checks", "lint"],
        &["checks", "test"],
        &["scope", "show"],
        &["simulate"],
        &["man"],
    ] {
        let help = Command::new(THIS).args(command).arg("--help").output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        for word in help.split_whitespace().filter(|word| word.starts_with("--")) {
            let option: String = word.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            if option.len() > 2 && !guide.contains(&format!("`{option}")) {
                missing.push(format!("{} {option}", command.join(" ")));
            }
        }
    }
    missing.sort();
    missing.dedup();
    none("docs/user-guide.md does not explain", missing);
}

#[test]
fn every_action_of_the_audit_is_in_the_operations_guide() {
    let is_action = |word: &&str| {
        let is_word =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        word.split_once('.').is_some_and(|(family, done)| is_word(family) && is_word(done))
    };
    let files = rust_files();
    let audited = files.iter().map(|(name, text)| (name, shipped(text)));
    let audited = audited.filter(|(name, text)| {
        let is_written = name.starts_with("crates/store/src/") && text.contains("Act::new(");
        is_written || name.starts_with("crates/model/src/audit/")
    });
    let wanted: BTreeSet<&str> = audited.flat_map(|(_, text)| text.split('"').filter(is_action)).collect();
    assert!(wanted.contains("user.second_factor_end") && wanted.len() > 30, "{wanted:?}");
    let guide = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let listed = guide.split("\nThe actions: ").nth(1).unwrap().split("\n\n").next().unwrap();
    let listed: BTreeSet<&str> = listed.split('`').filter(is_action).collect();
    assert_eq!(listed, wanted);
}

#[test]
fn every_check_has_examples_and_every_example_a_check() {
    let below = |folder: &str| -> Vec<String> {
        let mut names: Vec<String> = files()
            .into_iter()
            .map(|(name, _)| name)
            .filter_map(|name| Some(name.strip_prefix(folder)?.strip_suffix(".yaml")?.to_owned()))
            .filter(|name| !name.starts_with("examples/"))
            .collect();
        names.sort();
        names
    };
    let (checks, examples) = (below("checks/"), below("checks/examples/"));
    assert!(checks.len() >= 120, "only {} checks", checks.len());
    assert_eq!(checks, examples);
}

/// Jobs begin with what each of them would install otherwise.
#[test]
fn the_image_of_the_workflows_has_the_packages_of_the_tests() {
    let read = |name: &str| std::fs::read_to_string(root().join(name)).unwrap();
    let (tests, image) = (read("test.sh"), read("deploy/delivery/Containerfile"));
    let servers = tests.split("\nservers=(").nth(1).unwrap().split(')').next().unwrap();
    let others =
        tests.lines().filter_map(|line| line.split_once("|| install_packages ")).map(|(_, names)| names);
    let wanted: BTreeSet<&str> = others.chain([servers]).flat_map(str::split_whitespace).collect();
    assert!(wanted.contains("postgresql") && wanted.contains("npm") && wanted.len() > 30, "{wanted:?}");
    let installed = image.split("apt-get install ").nth(1).unwrap().split("&&").next().unwrap();
    let installed: BTreeSet<&str> = installed.split_whitespace().collect();
    none(
        "deploy/delivery/Containerfile lacks",
        wanted.difference(&installed).map(|name| (*name).to_owned()).collect(),
    );
}

#[test]
fn the_licence_and_the_documents_are_there() {
    for document in
        ["LICENSE", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
    {
        let text = std::fs::read_to_string(root().join(document)).unwrap_or_default();
        assert!(text.lines().count() > 5, "{document} is missing or empty");
    }
}

/// What was tried out is not left where everybody comes in.
#[test]
fn the_first_directory_has_what_everybody_needs_and_nothing_else() {
    let files = files();
    let found: BTreeSet<&str> = files.iter().filter_map(|(file, _)| file.split('/').next()).collect();
    let expected = [
        ".ci",
        ".gitignore",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "bench",
        "checks",
        "clippy.toml",
        "crates",
        "deny.toml",
        "deploy",
        "docs",
        "fuzz",
        "rustfmt.toml",
        "test.sh",
    ];
    assert_eq!(found, expected.into());
}
