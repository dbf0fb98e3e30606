//! `rampart deploy check` on copies of overlays: a good one is good, and each mistake in it and in its cluster is found.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use cluster::{checklist::secrets_to_make, kustomize, manifests::Manifests};
use serde_json::{Value, json};
use testkit::tools::{root, search_path};

use super::kubectl;
use crate::run::{rampart, text};

/// Lines about what only a cluster can tell.
const OPEN: [&str; 3] = ["API versions", "storage class", "zones"];

/// A mistake: in which file, what stands there, what is put in its place, and which lines of the list find it.
const MISTAKES: [(&str, &str, &str, &[&str]); 21] = [
    (
        "overlays/production/kustomization.yaml",
        "    digest: sha256:1111",
        "    newTag: latest # ",
        &["image", "rules"],
    ),
    ("components/secrets-external/secrets.yaml", "our-store", "placeholder-of-the-store", &["secrets"]),
    (
        "overlays/production/kustomization.yaml",
        "  - ../../components/secrets-external\n",
        "",
        &["secrets made"],
    ),
    (
        "components/entry-gateway-api/gateway.yaml",
        "hostname: rampart.acme.test",
        "hostname: rampart.example.com",
        &["name"],
    ),
    ("components/entry-gateway-api/gateway.yaml", "our-issuer", "placeholder-of-the-issuer", &["issuer"]),
    ("components/entry-gateway-api/network.yaml", "our-gateway", "placeholder-of-the-gateway", &["entry"]),
    ("components/entry-gateway-api/kustomization.yaml", "10.0.0.0/8", "0.0.0.0/0", &["proxies"]),
    ("components/entry-gateway-api/gateway.yaml", "rampart/edge", "edge", &["edge"]),
    ("overlays/production/kustomization.yaml", "rampart/egress: our", "rampart/else: our", &["egress"]),
    ("overlays/production/kustomization.yaml", "our-addresses", "placeholder-of-the-addresses", &["egress"]),
    ("components/database-operated/backup.yaml", "our-backups", "placeholder-of-the-backups", &["backup"]),
    ("components/backup/kustomization.yaml", "our-recipients", "placeholder-of-the-recipients", &["backup"]),
    ("overlays/production/kustomization.yaml", "  - ../../components/audit-key\n", "", &["audit"]),
    (
        "overlays/production/kustomization.yaml",
        "  - ../../components/monitoring\n",
        "",
        &["monitoring", "network"],
    ),
    ("overlays/production/kustomization.yaml", "  - ../../components/monitoring-alerts\n", "", &["alerts"]),
    ("components/monitoring-alerts/alertmanager.yaml", "our-team", "placeholder-of-the-team", &["alerts"]),
    ("components/policies-kyverno/signed.yaml", "our-org", "placeholder-of-the-org", &["admission"]),
    ("components/objects-s3/kustomization.yaml", "our-objects", "placeholder-of-the-objects", &["objects"]),
    ("components/rollouts/sizes/kustomization.yaml", "\"190\"", "\"60\"", &["capacity"]),
    ("components/doorbell-sentinel/network.yaml", "port: 26379", "port: 26378", &["network"]),
    (
        "base/roles/every/pod.yaml",
        "readOnlyRootFilesystem: true",
        "readOnlyRootFilesystem: false",
        &["rules"],
    ),
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

/// How lines stand that are not ok, by their names.
#[derive(Debug, Default, PartialEq)]
struct Checked {
    code: i32,
    missing: BTreeSet<String>,
    left_out: BTreeSet<String>,
    not_checkable: BTreeSet<String>,
}

/// What is said of an overlay of this copy, and of the cluster whose kubectl is found here.
fn checked(directory: &Path, name: &str, cluster: Option<&OsStr>) -> Checked {
    let overlay: PathBuf = directory.join("overlays").join(name);
    let mut words = vec!["deploy", "check", "--json", "--overlay", overlay.to_str().unwrap()];
    words.extend(if cluster.is_some() { ["--context", "ours"].as_slice() } else { &["--offline"] });
    let mut command = rampart(&root());
    let output = command.args(words).env("PATH", cluster.unwrap_or(&search_path())).output().unwrap();
    let lines: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    let of = |standing: &str| {
        let lines = lines.as_array().unwrap().iter().filter(|line| line["standing"] == standing);
        lines.map(|line| line["name"].as_str().unwrap().to_owned()).collect()
    };
    for line in lines.as_array().unwrap() {
        let wants_mend = line["standing"] == "missing" || line["standing"] == "not_checkable";
        let mend = line["mend"].as_str().is_some_and(|mend| !mend.is_empty());
        assert_eq!(mend, wants_mend, "what is to be done about {line}?");
    }
    Checked {
        code: output.status.code().unwrap(),
        missing: of("missing"),
        left_out: of("left_out"),
        not_checkable: of("not_checkable"),
    }
}

fn names(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn each_mistake_in_a_good_overlay_is_found_alone_and_beside_the_others() {
    let directory = tempfile::tempdir_in(root().join("target")).unwrap();
    let good = directory.path().join("good");
    copied(&good);
    let open = names(&OPEN);
    assert_eq!(
        checked(&good, "production", None),
        Checked { code: 3, not_checkable: open.clone(), ..Checked::default() },
        "nothing is wrong that can be seen from here"
    );

    for (number, (file, from, to, lines)) in MISTAKES.iter().enumerate() {
        let place = directory.path().join(number.to_string());
        copied(&place);
        change(&place.join(file), from, to);
        // A secret that nobody makes may be in the cluster.
        let (unmade, missing): (Vec<&str>, Vec<&str>) =
            lines.iter().partition(|line| **line == "secrets made");
        let wanted = Checked {
            code: if missing.is_empty() { 3 } else { 1 },
            missing: names(&missing),
            not_checkable: names(&unmade).union(&open).cloned().collect(),
            ..Checked::default()
        };
        let found = checked(&place, "production", None);
        assert_eq!(found, wanted, "{file}: {to}");
        fs::remove_dir_all(&place).unwrap();
    }

    let all = directory.path().join("all");
    copied(&all);
    for (file, from, to, _) in MISTAKES {
        change(&all.join(file), from, to);
    }
    let Checked { code, missing, .. } = checked(&all, "production", None);
    // Without the component that brings secrets, it has no placeholder either.
    let wanted = names(&MISTAKES.map(|(.., lines)| lines).concat());
    let wanted: BTreeSet<String> =
        wanted.into_iter().filter(|line| line != "secrets made" && line != "secrets").collect();
    assert_eq!((code, wanted.difference(&missing).collect::<Vec<_>>()), (1, vec![]));
}

/// What the pipeline delivers to: what staging does without it says, and nothing is asked of it that it has no place for.
#[test]
fn staging_is_good_once_its_placeholders_are_given() {
    let directory = tempfile::tempdir_in(root().join("target")).unwrap();
    copied(directory.path());
    let left_out = ["admission", "alerts", "edge", "zones"];
    let overlay = directory.path().join("overlays/staging/kustomization.yaml");
    // The copy says which edge stands before its Gateway.
    let without_edge = checked(directory.path(), "staging", None);
    let to_make = ["API versions", "secrets made", "storage class"];
    let good = |left_out: &[&str]| Checked {
        code: 3,
        missing: names(&[]),
        left_out: names(left_out),
        not_checkable: names(&to_make),
    };
    assert_eq!(without_edge, good(&["admission", "alerts", "zones"]));
    let gateway = directory.path().join("components/entry-gateway-api/gateway.yaml");
    change(&gateway, "rampart/edge", "edge");
    assert_eq!(checked(directory.path(), "staging", None), good(&left_out));
    for line in left_out {
        change(&overlay, &format!("rampart/without-{line}: "), "was-without: ");
        let Checked { code, missing, .. } = checked(directory.path(), "staging", None);
        assert_eq!((code, missing), (1, names(&[line])));
        change(&overlay, "was-without: ", &format!("rampart/without-{line}: "));
    }
}

/// What a kubectl says of a cluster that the test makes up.
struct Cluster {
    versions: BTreeSet<String>,
    classes: Value,
    nodes: Value,
    secrets: BTreeSet<String>,
}

impl Cluster {
    /// One that has all that these want.
    fn of(manifests: &Manifests) -> Cluster {
        let versions = manifests.objects().filter_map(|object| object.text("/apiVersion"));
        let class = json!({ "metadata": { "name": "standard", "annotations": {
            "storageclass.kubernetes.io/is-default-class": "true" } } });
        let nodes = ["a", "b", "c", "a", "b"]
            .map(|zone| json!({ "metadata": { "labels": { "topology.kubernetes.io/zone": zone } } }));
        Cluster {
            versions: versions.map(str::to_owned).collect(),
            classes: json!({ "items": [class] }),
            nodes: json!({ "items": nodes }),
            secrets: secrets_to_make(manifests),
        }
    }

    /// Where a kubectl is found that answers as this one would.
    fn play(&self, directory: &Path) -> OsString {
        let lines =
            |words: &BTreeSet<String>| words.iter().map(|word| format!("{word}\n")).collect::<String>();
        for (name, text) in [
            ("api-versions", lines(&self.versions)),
            ("storageclasses", self.classes.to_string()),
            ("nodes", self.nodes.to_string()),
            ("secrets", lines(&self.secrets)),
        ] {
            fs::write(directory.join(name), text).unwrap();
        }
        let script = format!(
            "#!/bin/sh\nset -eu\ncd '{}'\n[ \"$2\" = --context=ours ]\nif [ \"$3\" = get ]; then shift; fi\ncat \"$3\"\n",
            directory.display()
        );
        kubectl(directory, &script)
    }
}

#[test]
fn what_the_cluster_lacks_is_found() {
    let directory = tempfile::tempdir_in(root().join("target")).unwrap();
    let (copy, programs) = (directory.path().join("copy"), directory.path().join("programs"));
    copied(&copy);
    fs::create_dir(&programs).unwrap();
    for name in ["production", "staging"] {
        let manifests = kustomize::build_with(&copy.join("overlays").join(name), &search_path()).unwrap();
        let manifests = Manifests::parse(&manifests).unwrap();
        let left_out = match name {
            "staging" => names(&["admission", "alerts", "zones"]),
            _ => names(&[]),
        };
        let found = |cluster: &Cluster| {
            let Checked { code, missing, left_out: without, not_checkable } =
                checked(&copy, name, Some(&cluster.play(&programs)));
            assert_eq!((without, not_checkable), (left_out.clone(), names(&[])), "{name}");
            (code, missing)
        };
        assert_eq!(found(&Cluster::of(&manifests)), (0, names(&[])), "{name}");
        let lacks = |change: &dyn Fn(&mut Cluster), line: &str| {
            let mut cluster = Cluster::of(&manifests);
            change(&mut cluster);
            assert_eq!(found(&cluster), (1, names(&[line])), "{name}: {line}");
        };
        lacks(&|cluster| cluster.versions.retain(|version| !version.starts_with("gateway.")), "API versions");
        lacks(&|cluster| cluster.classes = json!({ "items": [] }), "storage class");
        lacks(&|cluster| cluster.classes["items"][0]["metadata"]["annotations"] = json!({}), "storage class");
        match name {
            "staging" => {
                lacks(&|cluster| cluster.secrets.retain(|name| name != "database-owner"), "secrets made")
            }
            _ => lacks(&|cluster| drop(cluster.nodes["items"].as_array_mut().unwrap().remove(2)), "zones"),
        }
    }
    // Whoever names a cluster wants that one to be asked, and nobody answers here.
    let path = kubectl(&programs, "#!/bin/sh\necho no route to it >&2\nexit 1\n");
    let overlay = copy.join("overlays/production");
    let mut command = rampart(&root());
    command.args(["deploy", "check", "--context", "ours", "--overlay"]).arg(overlay);
    let output = command.env("PATH", path).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout).as_ref()), (Some(2), ""));
    assert!(text(&output.stderr).contains("no route to it"), "{}", text(&output.stderr));
}
