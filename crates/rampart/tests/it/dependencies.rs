//! What is built in from elsewhere: allowed licences, known sources, no known vulnerabilities, nothing that is not used.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use semver::Version;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn toml(path: &Path) -> toml::Table {
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

/// Every package of a build for the platforms that the policy names, as Cargo tells.
fn packages() -> Vec<Value> {
    let policy = toml(&root().join("deny.toml"));
    let platforms = texts(&policy["graph"]["targets"]);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1"])
        .args(platforms.iter().flat_map(|platform| ["--filter-platform", platform]))
        .current_dir(root())
        .output()
        .unwrap();
    crate::run::assert_exit(&output, 0);
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let built: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["id"].as_str().unwrap())
        .collect();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let packages: Vec<Value> =
        packages.filter(|package| built.contains(package["id"].as_str().unwrap())).cloned().collect();
    assert!(packages.len() > 100, "only {} packages", packages.len());
    packages
}

fn foreign() -> Vec<Value> {
    packages().into_iter().filter(|package| !package["source"].is_null()).collect()
}

fn texts(list: &toml::Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// An SPDX expression with at most one level of parentheses; `/` is how old crates write OR.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let plain = expression.replace('/', " OR ");
    let licence = |name: &str| {
        let name = name.trim().trim_matches(['(', ')']);
        allowed.contains(name.split(" WITH ").next().unwrap_or(name))
    };
    // AND binds tighter than OR, except for what parentheses hold together.
    match plain.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((choice, rest)) => {
            choice.split(" OR ").any(licence)
                && rest.split(" AND ").filter(|part| !part.trim().is_empty()).all(licence)
        }
        None => plain.split(" OR ").any(|choice| choice.split(" AND ").all(licence)),
    }
}

#[test]
fn licences_sources_and_bans_are_as_the_policy_says() {
    let policy = toml(&root().join("deny.toml"));
    let allowed = texts(&policy["licenses"]["allow"]);
    let banned: BTreeSet<String> = policy["bans"]["deny"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ban| ban["crate"].as_str().unwrap().to_owned())
        .collect();
    let mut complaints = Vec::new();
    for package in foreign() {
        let name = package["name"].as_str().unwrap();
        if !is_allowed(package["license"].as_str().unwrap_or("none"), &allowed) {
            complaints.push(format!("{name}: licence {}", package["license"]));
        }
        if !package["source"].as_str().unwrap().starts_with("registry+") {
            complaints.push(format!("{name}: source {}", package["source"]));
        }
        if banned.contains(name) {
            complaints.push(format!("{name}: banned"));
        }
    }
    assert_eq!(complaints, Vec::<String>::new());
    // The check itself can fail.
    for (expression, is) in [
        ("GPL-3.0", false),
        ("MIT AND GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("(MIT OR GPL-3.0) AND Unicode-3.0", true),
        ("(MIT OR Apache-2.0) AND GPL-3.0", false),
        ("MIT/Apache-2.0", true),
    ] {
        assert_eq!(is_allowed(expression, &allowed), is, "{expression}");
    }
}

/// In the events of one OSV range, is the version affected? <https://ossf.github.io/osv-schema/#affectedrangesevents-fields>
fn is_affected(version: &Version, events: &[Value]) -> bool {
    let mut affected = false;
    for event in events {
        let at = |key: &str| {
            event[key].as_str().map(|text| match text {
                "0" => Version::new(0, 0, 0),
                text => text.parse().unwrap_or_else(|error| panic!("version {text}: {error}")),
            })
        };
        if at("introduced").is_some_and(|introduced| *version >= introduced) {
            affected = true;
        }
        if at("fixed").is_some_and(|fixed| *version >= fixed)
            || at("last_affected").is_some_and(|last| *version > last)
        {
            affected = false;
        }
    }
    affected
}

#[test]
fn no_dependency_has_a_known_vulnerability() {
    let database = root().join("../shared/data/osv/cargo/all.zip");
    if !database.is_file() {
        println!("skipped: there is no advisory database at {}", database.display());
        return;
    }
    let output = Command::new("unzip").arg("-p").arg(&database).output().unwrap();
    crate::run::assert_exit(&output, 0);
    let advisories: Vec<Value> =
        serde_json::Deserializer::from_slice(&output.stdout).into_iter().collect::<Result<_, _>>().unwrap();
    assert!(advisories.len() > 500, "only {} advisories", advisories.len());
    let policy = toml(&root().join("deny.toml"));
    let excused: BTreeSet<String> = policy["advisories"]["ignore"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            assert!(one["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{one:?} has no reason");
            one["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let met = RefCell::new(BTreeSet::new());
    let known = |name: &str, version: &Version| -> Vec<String> {
        let mut found = Vec::new();
        for advisory in advisories.iter().filter(|advisory| advisory["withdrawn"].is_null()) {
            for affected in advisory["affected"].as_array().into_iter().flatten() {
                // Crates that nobody maintains any more and the like are not vulnerable for that.
                let informational = !affected["database_specific"]["informational"].is_null();
                let ranges = affected["ranges"].as_array().into_iter().flatten();
                let id = advisory["id"].as_str().unwrap();
                if affected["package"]["name"] == name
                    && !informational
                    && ranges
                        .filter(|range| range["type"] == "SEMVER")
                        .any(|range| is_affected(version, range["events"].as_array().unwrap()))
                {
                    match excused.contains(id) {
                        true => _ = met.borrow_mut().insert(id.to_owned()),
                        false => found.push(format!("{name} {version}: {id} {}", advisory["summary"])),
                    }
                }
            }
        }
        found
    };
    let vulnerable: Vec<String> = foreign()
        .iter()
        .flat_map(|package| {
            known(package["name"].as_str().unwrap(), &package["version"].as_str().unwrap().parse().unwrap())
        })
        .collect();
    assert_eq!(vulnerable, Vec::<String>::new());
    assert_eq!(met.take(), excused, "what is excused and not there is excused no more");
    // RUSTSEC-2021-0003, buffer overflow in `insert_many`, fixed in 1.6.1.
    assert!(!known("smallvec", &Version::new(1, 6, 0)).is_empty());
    assert!(known("smallvec", &Version::new(1, 6, 1)).is_empty());
}

fn rust_files(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_dependency_is_used_and_brings_no_features_that_nobody_chose() {
    let workspace = toml(&root().join("Cargo.toml"));
    let declared = workspace["workspace"]["dependencies"].as_table().unwrap();
    for (name, dependency) in declared.iter().filter(|(_, dependency)| dependency.get("path").is_none()) {
        let features = dependency.get("default-features").and_then(toml::Value::as_bool);
        assert_eq!(features, Some(false), "{name}: default features");
    }
    let mut used = BTreeSet::new();
    let mut unused = Vec::new();
    for package in packages().iter().filter(|package| package["source"].is_null()) {
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
        let folder = manifest.parent().unwrap();
        let (mut shipped, mut tests) = (String::new(), String::new());
        rust_files(&folder.join("src"), &mut shipped);
        for other in ["tests", "examples", "benches"] {
            rust_files(&folder.join(other), &mut tests);
        }
        tests.push_str(&shipped);
        let manifest = toml(&manifest);
        for (table, text) in [("dependencies", &shipped), ("dev-dependencies", &tests)] {
            for name in
                manifest.get(table).and_then(toml::Value::as_table).into_iter().flat_map(|table| table.keys())
            {
                used.insert(name.clone());
                // The library of `md-5` is called `md5`.
                let library = if name == "md-5" { "md5".to_owned() } else { name.replace('-', "_") };
                let stands = |after: &str| text.contains(&format!("{library}{after}"));
                if !(stands("::") || stands("!") || text.contains(&format!("use {library}"))) {
                    unused.push(format!("{} {table}: {name}", package["name"]));
                }
            }
        }
    }
    unused.extend(
        declared.keys().filter(|name| !used.contains(*name)).map(|name| format!("workspace: {name}")),
    );
    assert_eq!(unused, Vec::<String>::new());
}
