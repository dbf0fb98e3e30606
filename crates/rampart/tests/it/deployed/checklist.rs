//! `rampart deploy check` on a copy of the production overlay: a good one is good, and each mistake is found.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use testkit::tools::root;

use super::deploy;
use crate::run::text;

/// Lines about what only a cluster can tell.
const OPEN: [&str; 3] = ["API versions", "storage class", "zones"];

/// A mistake: in which file, what stands there, what is put in its place, and which line of the list finds it.
const MISTAKES: [(&str, &str, &str, &str); 18] = [
    ("overlays/production/kustomization.yaml", "    digest: sha256:1111", "    newTag: latest # ", "image"),
    ("components/secrets-external/secrets.yaml", "our-store", "placeholder-of-the-store", "secrets"),
    ("overlays/production/kustomization.yaml", "  - ../../components/secrets-external\n", "", "secrets made"),
    (
        "components/entry-gateway-api/gateway.yaml",
        "hostname: rampart.acme.test",
        "hostname: rampart.example.com",
        "name",
    ),
    ("components/entry-gateway-api/gateway.yaml", "our-issuer", "placeholder-of-the-issuer", "issuer"),
    ("components/entry-gateway-api/network.yaml", "our-gateway", "placeholder-of-the-gateway", "entry"),
    ("components/entry-gateway-api/kustomization.yaml", "10.0.0.0/8", "0.0.0.0/0", "proxies"),
    ("components/entry-gateway-api/gateway.yaml", "rampart/edge", "edge", "edge"),
    ("overlays/production/kustomization.yaml", "rampart/egress: our", "rampart/else: our", "egress"),
    ("overlays/production/kustomization.yaml", "our-addresses", "placeholder-of-the-addresses", "egress"),
    ("components/database-operated/backup.yaml", "our-backups", "placeholder-of-the-backups", "backup"),
    ("components/backup/kustomization.yaml", "our-recipients", "placeholder-of-the-recipients", "backup"),
    ("overlays/production/kustomization.yaml", "  - ../../components/audit-key\n", "", "audit"),
    ("overlays/production/kustomization.yaml", "  - ../../components/monitoring\n", "", "monitoring"),
    ("overlays/production/kustomization.yaml", "  - ../../components/monitoring-alerts\n", "", "alerts"),
    ("components/production-sizes/kustomization.yaml", "pods: \"170\"", "pods: \"60\"", "capacity"),
    ("components/doorbell-sentinel/network.yaml", "port: 26379", "port: 26378", "network"),
    ("base/roles/every/pod.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "rules"),
];

/// A copy of what stands in `deploy/kubernetes`, with every placeholder given.
fn copied(to: &Path) {
    copy(&root().join("deploy/kubernetes"), to);
    let gateway = to.join("components/entry-gateway-api/gateway.yaml");
    change(
        &gateway,
        "kind: Gateway\nmetadata:\n",
        "kind: Gateway\nmetadata:\n  annotations: { rampart/edge: cloudflare }\n",
    );
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            let text = fs::read_to_string(&from).unwrap();
            let text = text.replace("placeholder-of-the-", "our-").replace("example.com", "acme.test");
            fs::write(&to, text.replace(&"0".repeat(64), &"1".repeat(64))).unwrap();
        }
    }
}

fn change(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} does not say {from}", file.display());
    fs::write(file, text.replacen(from, to, 1)).unwrap();
}

/// The exit code, and the lines that are not ok: what is missing, and what cannot be told.
fn checked(directory: &Path) -> (i32, BTreeSet<String>, BTreeSet<String>) {
    let overlay: PathBuf = directory.join("overlays/production");
    let output = deploy(&["check", "--offline", "--json", "--overlay", overlay.to_str().unwrap()]);
    let lines: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    let of = |standing: &str| {
        let lines = lines.as_array().unwrap().iter().filter(|line| line["standing"] == standing);
        lines
            .inspect(|line| {
                assert!(
                    line["mend"].as_str().is_some_and(|mend| !mend.is_empty()),
                    "nobody says how to mend {line}"
                )
            })
            .map(|line| line["name"].as_str().unwrap().to_owned())
            .collect()
    };
    (output.status.code().unwrap(), of("missing"), of("not_checkable"))
}

#[test]
fn each_mistake_in_a_good_overlay_is_found_alone_and_beside_the_others() {
    let directory = tempfile::tempdir_in(root().join("target")).unwrap();
    let good = directory.path().join("good");
    copied(&good);
    let open: BTreeSet<String> = OPEN.map(str::to_owned).into();
    assert_eq!(
        checked(&good),
        (3, BTreeSet::new(), open.clone()),
        "nothing is wrong that can be seen from here"
    );

    for (number, (file, from, to, line)) in MISTAKES.iter().enumerate() {
        let place = directory.path().join(number.to_string());
        copied(&place);
        change(&place.join(file), from, to);
        let (code, missing, not_checkable) = checked(&place);
        // A secret that nobody makes may be in the cluster.
        let found = if *line == "secrets made" { &not_checkable } else { &missing };
        assert!(found.contains(*line), "{file}: {to} is not found by {line}: {missing:?} {not_checkable:?}");
        assert_eq!(code, if *line == "secrets made" { 3 } else { 1 }, "{file}: {to}");
        fs::remove_dir_all(&place).unwrap();
    }

    let all = directory.path().join("all");
    copied(&all);
    for (file, from, to, _) in MISTAKES {
        change(&all.join(file), from, to);
    }
    let (code, missing, _) = checked(&all);
    let wanted: BTreeSet<String> = MISTAKES
        .iter()
        .map(|(.., line)| (*line).to_owned())
        .filter(|line| line != "secrets made" && line != "secrets")
        .collect();
    assert_eq!((code, wanted.difference(&missing).collect::<Vec<_>>()), (1, vec![]));
}
