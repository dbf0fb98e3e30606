//! What is applied is what the versions of Kubernetes and the operators know, to the last field.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cluster::manifests::list;
use serde_json::Value;
use testkit::tools;

use crate::renders;

fn check(files: &[PathBuf]) -> (Option<i32>, String) {
    let here = tools::root().join("crates/cluster/tests/it/schemas");
    let python = tools::program("schemas/bin/python");
    let output = Command::new(python).arg(here.join("check.py")).args(files).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

/// Each installation in a file of its own; a table of contents for whoever reads what is wrong with which.
fn written(directory: &Path) -> (Vec<PathBuf>, String) {
    let texts = renders::all().iter().map(|render| (render.name.as_str(), render.text.clone()));
    in_files(directory, texts)
}

fn in_files<'a>(directory: &Path, texts: impl Iterator<Item = (&'a str, String)>) -> (Vec<PathBuf>, String) {
    let (mut files, mut contents) = (Vec::new(), String::new());
    for (number, (name, text)) in texts.enumerate() {
        let file = directory.join(format!("{number}.yaml"));
        fs::write(&file, text).unwrap();
        files.push(file);
        contents.push_str(&format!("{number}.yaml is {name}\n"));
    }
    (files, contents)
}

#[test]
fn every_installation_is_as_the_schemas_want_it() {
    let directory = tempfile::tempdir().unwrap();
    let (files, contents) = written(directory.path());
    assert_eq!(check(&files), (Some(0), String::new()), "{contents}");
}

#[test]
fn the_schemas_find_what_is_wrong_and_nothing_else() {
    let samples = tools::root().join("crates/cluster/tests/it/schemas/samples");
    assert_eq!(check(&[samples.join("good.yaml")]), (Some(0), String::new()));
    let wrong = fs::read_to_string(samples.join("bad.txt")).unwrap();
    assert_eq!(check(&[samples.join("bad.yaml")]), (Some(1), wrong));
}

/// Checkov leaves out what an annotation says, with a reason or without.
#[test]
fn whatever_checkov_is_to_leave_out_has_a_reason() {
    let mut seen = 0;
    for render in renders::all() {
        let of_objects = render.manifests.objects().map(|object| (object, object.value()));
        let of_pods = render.manifests.pods().map(|pod| (pod.object, pod.template));
        for (object, value) in of_objects.chain(of_pods) {
            let annotations = value.pointer("/metadata/annotations").and_then(Value::as_object);
            for (_, skip) in
                annotations.into_iter().flatten().filter(|(key, _)| key.starts_with("checkov.io/skip"))
            {
                let (check, reason) = skip.as_str().unwrap().split_once('=').unwrap_or_default();
                let is_said = check.starts_with("CKV") && reason.len() > 10;
                assert!(is_said, "{}: {}: {skip}", render.name, object.path());
                seen += 1;
            }
        }
    }
    assert!(seen > 0);
}

#[test]
fn checkov_finds_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(tools::program("checkov/bin/checkov"));
    command.args([
        "--framework",
        "kubernetes",
        "--skip-download",
        "--compact",
        "--quiet",
        "--output",
        "json",
    ]);
    // It compares all that it is given with one another, and takes minutes for many installations: it sees the overlays, and each choice
    // with all that fits, and of these what several have in common once.
    let mut seen = BTreeSet::new();
    let texts = renders::all().iter().filter(|render| render.is_full()).map(|render| {
        let documents = render.text.split("\n---\n").filter(|document| seen.insert(*document));
        (render.name.as_str(), documents.collect::<Vec<_>>().join("\n---\n"))
    });
    let (files, contents) = in_files(directory.path(), texts);
    for file in &files {
        command.arg("--file").arg(file);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let told: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    let failed: Vec<String> = list(&told, "/results/failed_checks")
        .map(|check| format!("{} {} {}", check["check_id"], check["resource"], check["file_path"]))
        .collect();
    assert_eq!(failed, [""; 0], "{contents}");
    assert!(told["summary"]["passed"].as_u64().unwrap() > 1_000, "{}", told["summary"]);
    assert_eq!(told["summary"]["parsing_errors"], 0);
}
