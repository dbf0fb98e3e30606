//! `rampart deploy diff`, against another overlay and against a cluster that a program in kubectl's place plays.

use std::{fs, path::Path, process::Output};

use serde_json::{Value, json};
use testkit::tools::root;

use super::{deploy, kubectl, overlay};
use crate::run::{assert_exit, rampart, text as said};

/// What kubectl writes when it is asked for what a cluster does not know.
const UNKNOWN: &str = "resource mapping not found for name: \"gateway\" namespace: \"rampart\" from \"STDIN\": no matches for kind \
     \"ScaledObject\" in version \"keda.sh/v1alpha1\"\nensure CRDs are installed first\n";

#[test]
fn a_difference_says_what_is_made_what_changes_and_what_stays() {
    let output = deploy(&["diff", "--overlay", "production", "--against", "staging"]);
    assert_exit(&output, 1);
    let told = said(&output.stdout);
    for line in [
        "+ Cluster/rampart/database\n",
        "- StatefulSet/rampart/database: it stays until somebody deletes it\n",
        "~ Deployment/rampart/gateway, and its pods are replaced\n",
        "    /spec/template/spec/containers/0/resources/limits/cpu: \"500m\" -> \"2\"\n",
    ] {
        assert!(told.contains(line), "{line}{told}");
    }
    let same = deploy(&["diff", "--overlay", "staging", "--against", "staging"]);
    assert_exit(&same, 0);
    assert_eq!(said(&same.stdout), "nothing changes\n");
}

/// Beside a cluster whose kubectl answers this, knows no KEDA for the reason that it gives, and counts how often it is asked.
fn beside_cluster(directory: &Path, answer: &Value, unknown: &str) -> Output {
    fs::write(directory.join("answer"), answer.to_string()).unwrap();
    fs::write(directory.join("unknown"), unknown).unwrap();
    let script = format!(
        "#!/bin/sh\nset -eu\ncd '{}'\necho \"$*\" >>asked\nif grep -q '\"apiVersion\":\"keda.sh/'; then\n  cat unknown >&2\n  exit 1\nfi\ncat answer\n",
        directory.display()
    );
    let words = ["deploy", "diff", "--overlay", "production", "--context", "ours"];
    rampart(&root()).args(words).env("PATH", kubectl(directory, &script)).output().unwrap()
}

#[test]
fn a_cluster_is_asked_for_everything_at_once_and_what_it_does_not_know_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let wanted = overlay("production");
    let there = wanted.objects().filter(|object| object.group() != "keda.sh").map(|object| {
        let mut live = object.value().clone();
        live["metadata"]["uid"] = json!("whatever a cluster adds");
        live
    });
    let mut there: Vec<Value> = there.collect();
    let live = |there: &[Value]| json!({ "kind": "List", "items": there });
    let output = beside_cluster(directory.path(), &live(&there), UNKNOWN);
    assert_exit(&output, 1);
    let scaled = wanted.objects().filter(|object| object.group() == "keda.sh");
    let scaled: Vec<String> = scaled
        .map(|object| {
            let why = "the cluster does not know this kind; install what defines it first";
            format!("? {}: {why}\n", object.path())
        })
        .collect();
    assert!(scaled.len() > 3, "{scaled:?}");
    assert_eq!(said(&output.stdout), scaled.concat());
    let asked = fs::read_to_string(directory.path().join("asked")).unwrap();
    let once = "--request-timeout=10s --context=ours get --filename=- --output=json --ignore-not-found\n";
    assert_eq!(asked, once.repeat(2), "once more for each answer that names what is not known");

    // Another image, and one object less.
    let path = |live: &Value| {
        format!("{}/{}", live["kind"].as_str().unwrap(), live["metadata"]["name"].as_str().unwrap())
    };
    there.retain(|live| path(live) != "Service/gateway");
    let gateway = there.iter_mut().find(|live| path(live) == "Deployment/gateway").unwrap();
    gateway["spec"]["template"]["spec"]["containers"][0]["image"] = json!("another");
    let told = said(&beside_cluster(directory.path(), &live(&there), UNKNOWN).stdout);
    for line in [
        "+ Service/rampart/gateway\n",
        "~ Deployment/rampart/gateway, and its pods are replaced\n    /spec/template/spec/containers/0/image: \"another\" -> ",
    ] {
        assert!(told.contains(line), "{line}{told}");
    }
    assert_eq!(told.lines().count(), scaled.len() + 3, "{told}");
}

#[test]
fn a_cluster_that_refuses_is_no_cluster_without_objects() {
    let directory = tempfile::tempdir().unwrap();
    let refused = "Error from server (Forbidden): secrets is forbidden\n";
    let output = beside_cluster(directory.path(), &json!({}), refused);
    assert_exit(&output, 2);
    assert!(said(&output.stderr).contains("secrets is forbidden"), "{}", said(&output.stderr));
    assert_eq!(said(&output.stdout), "");
}
