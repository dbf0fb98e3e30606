//! What kustomize makes of overlays, and of kustomizations that a test writes.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex},
    thread,
};

use cluster::{kustomize, manifests::Manifests};
use testkit::tools::{root, search_path};

/// What is in a component's place in another installation: of each of these an installation has one.
pub(crate) const CHOICES: [&[&[&str]]; 4] = [
    // First what has pods of its own: what comes after it is about those, too.
    &[&["entry-node-port"], &["entry-gateway-api"], &["entry-gateway-api", "live-events"]],
    &[
        &["database-single"],
        &["database-operated"],
        &["database-single", "backup", "backup-key", "backup-database-single"],
        &["database-operated", "backup", "backup-database-operated"],
    ],
    &[
        &["doorbell-single"],
        &["doorbell-sentinel"],
        &["doorbell-rabbitmq-single"],
        &["doorbell-rabbitmq", "doorbell-rabbitmq-secret"],
    ],
    &[&["objects-volume"], &["objects-s3"], &["objects-s3", "objects-s3-key"]],
];
/// What is put on top of an overlay.
const ON_TOP: [(&str, &[&str]); 8] = [
    ("development", &["autoscaling-native"]),
    ("staging", &["sleeping"]),
    ("production", &["rollouts", "rollouts/sizes", "spot"]),
    ("production", &["rollouts-blue-green", "rollouts/sizes"]),
    ("production", &["beside", "rollouts/sizes"]),
    ("production", &["scan-egress"]),
    ("staging", &["sleeping", "node-local-dns"]),
    ("production", &["node-local-dns"]),
];
/// An overlay with other components in the place of some that it has.
const IN_PLACE: [(&str, &[&str], &[&str]); 2] = [
    ("staging", &["doorbell-single", "doorbell-single/kept"], &["doorbell-rabbitmq-single"]),
    ("production", &["doorbell-sentinel"], &["doorbell-rabbitmq", "doorbell-rabbitmq-secret"]),
];
/// What any installation may have beside them.
pub(crate) const ADDITIONS: [&str; 17] = [
    "audit-key",
    "secrets-placeholder",
    "scan-private",
    "node-local-dns",
    "user-namespaces",
    "webhooks",
    "zones",
    "autoscaling",
    "autoscaling-slow",
    "spot",
    "registry",
    "policies",
    "policies-kyverno",
    "monitoring",
    "monitoring-alerts",
    "monitoring-dashboards",
    "traces",
];

pub(crate) fn kubernetes() -> PathBuf {
    root().join("deploy/kubernetes")
}

/// One of the installations that are looked at.
pub(crate) struct Render {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) manifests: Manifests,
}

/// Every overlay, and for each two choices an installation that has them.
pub(crate) fn all() -> &'static [Render] {
    static ALL: LazyLock<Vec<Render>> = LazyLock::new(|| {
        let mut wanted: Vec<(String, PathBuf)> = Vec::new();
        let mut overlays: Vec<PathBuf> =
            fs::read_dir(kubernetes().join("overlays")).unwrap().map(|entry| entry.unwrap().path()).collect();
        overlays.sort();
        assert!(overlays.len() >= 3, "{overlays:?}");
        for overlay in overlays {
            wanted.push((overlay.file_name().unwrap().to_str().unwrap().to_owned(), overlay));
        }
        // What whoever runs the cluster applies beside any of them.
        for entry in fs::read_dir(kubernetes().join("cluster")).unwrap() {
            let entry = entry.unwrap();
            wanted.push((format!("cluster/{}", entry.file_name().display()), entry.path()));
        }
        let scratch = tempfile::tempdir_in(root().join("target")).unwrap();
        let up = "../../../deploy/kubernetes";
        let of_base = combinations().into_iter().map(|components| (format!("{up}/base"), components));
        let on_top = ON_TOP
            .iter()
            .map(|(overlay, components)| (format!("{up}/overlays/{overlay}"), components.to_vec()));
        for (number, (below, components)) in of_base.chain(on_top).enumerate() {
            let directory = scratch.path().join(number.to_string());
            write(&directory, &below, &components);
            let name = below.rsplit('/').next().unwrap_or_default();
            wanted.push((format!("{name} + {}", components.join(" + ")), directory));
        }
        for (overlay, without, with) in IN_PLACE {
            let name = format!("{overlay} with {}", with.join(" + "));
            let directory = scratch.path().join(name.replace(' ', "-"));
            write_in_place(&directory, overlay, without, with);
            wanted.push((name, directory));
        }
        let (wanted, rendered) = (Mutex::new(wanted), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(2, |count| count.get()) {
                scope.spawn(|| {
                    while let Some((name, directory)) = { wanted.lock().unwrap().pop() } {
                        let text = kustomize::build_with(&directory, &search_path());
                        let text = text.unwrap_or_else(|error| panic!("{name}: {error}"));
                        let manifests =
                            Manifests::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
                        rendered.lock().unwrap().push(Render { name, text, manifests });
                    }
                });
            }
        });
        let mut rendered = rendered.into_inner().unwrap();
        rendered.sort_by(|one, other| one.name.cmp(&other.name));
        rendered
    });
    &ALL
}

pub(crate) fn overlay(name: &str) -> &'static Render {
    all().iter().find(|render| render.name == name).unwrap_or_else(|| panic!("there is no overlay {name}"))
}

/// Lists of components in which any two choices meet, with none and with all of the additions that fit.
fn combinations() -> Vec<Vec<&'static str>> {
    let mut combinations: Vec<Vec<usize>> = Vec::new();
    let meets =
        |chosen: &[usize], pair: &[(usize, usize); 2]| pair.iter().all(|(of, choice)| chosen[*of] == *choice);
    for (first, choices) in CHOICES.iter().enumerate() {
        for (second, others) in CHOICES.iter().enumerate().skip(first + 1) {
            for one in 0..choices.len() {
                for other in 0..others.len() {
                    let pair = [(first, one), (second, other)];
                    if combinations.iter().any(|chosen| meets(chosen, &pair)) {
                        continue;
                    }
                    // What is not in the pair is whatever makes most of the others.
                    let number = combinations.len();
                    let mut chosen: Vec<usize> = CHOICES
                        .iter()
                        .enumerate()
                        .map(|(of, choices)| (number + of) % choices.len())
                        .collect();
                    (chosen[first], chosen[second]) = (one, other);
                    combinations.push(chosen);
                }
            }
        }
    }
    let components = |(number, chosen): (usize, &Vec<usize>)| {
        let chosen = chosen.iter().enumerate().flat_map(|(of, choice)| CHOICES[of][*choice].iter().copied());
        let additions = ADDITIONS.into_iter().filter(|_| number % 2 == 0);
        chosen.chain(additions).collect()
    };
    combinations.iter().enumerate().map(components).collect()
}

/// A kustomization of what is below, and these components.
fn write(directory: &Path, below: &str, components: &[&str]) {
    fs::create_dir_all(directory).unwrap();
    // Kustomize wants relative paths: from two levels below `target`.
    let up = "../../../deploy/kubernetes";
    let components: String = components.iter().map(|name| format!("  - {up}/components/{name}\n")).collect();
    let text = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: rampart\nresources:\n  - {below}\n\
         components:\n{components}  - {up}/components/labels\nimages:\n  - name: rampart\n    digest: sha256:{}\n",
        "1".repeat(64)
    );
    fs::write(directory.join("kustomization.yaml"), text).unwrap();
}

/// The kustomization of an overlay, with these components where the first of those was.
fn write_in_place(directory: &Path, overlay: &str, without: &[&str], with: &[&str]) {
    let file = kubernetes().join("overlays").join(overlay).join("kustomization.yaml");
    let line = |name: &&str| format!("  - ../../components/{name}\n");
    let mut text = fs::read_to_string(file).unwrap();
    for (number, name) in without.iter().enumerate() {
        assert!(text.contains(&line(name)), "{overlay} does not have {name}");
        let instead = if number == 0 { with.iter().map(line).collect() } else { String::new() };
        text = text.replacen(&line(name), &instead, 1);
    }
    fs::create_dir_all(directory).unwrap();
    let text = text.replace("../../", "../../../deploy/kubernetes/");
    fs::write(directory.join("kustomization.yaml"), text).unwrap();
}
