//! What kustomize makes of overlays, and of kustomizations that a test writes.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex},
    thread,
};

use cluster::{
    kustomize,
    manifests::{Manifests, list},
};
use serde_json::Value;
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
/// By autoscalers of Kubernetes, as large as by KEDA.
pub(crate) const NATIVE: [&str; 6] = [
    "entry-gateway-api",
    "database-operated",
    "doorbell-sentinel",
    "objects-s3",
    "autoscaling-native",
    "production-sizes",
];
/// What is put on top of an overlay, several together.
const ON_TOP: [(&str, &[&str]); 9] = [
    ("base", &NATIVE),
    ("development", &["autoscaling-native", "autoscaling-small"]),
    ("development", &["autoscaling", "autoscaling-small"]),
    ("staging", &["sleeping", "node-local-dns"]),
    ("staging", &["autoscaling", "autoscaling-events", "autoscaling-small"]),
    ("staging", &["registry", "policies", "policies-kyverno"]),
    ("staging", &["monitoring-alerts", "monitoring-alerts-secret"]),
    ("production", &["objects-private", "backup-private", "scan-private", "scan-egress"]),
    ("production", &["autoscaling-slow", "autoscaling-hours", "spot", "node-local-dns"]),
];
/// An overlay with other components in the place of some that it has.
const IN_PLACE: [(&str, &[&str], &[&str]); 5] = [
    ("production", &["rollouts"], &["rollouts-blue-green"]),
    ("production", &["rollouts"], &["beside"]),
    ("production", &["rollouts", "rollouts/sizes"], &[]),
    ("staging", &["doorbell-single", "doorbell-single/kept"], &["doorbell-rabbitmq-single"]),
    ("production", &["doorbell-sentinel"], &["doorbell-rabbitmq", "doorbell-rabbitmq-secret"]),
];
/// What is put on top of overlays by itself.
const ALONE: [(&str, &[&str]); 25] = [
    ("audit-key", &["development"]),
    ("autoscaling-hours", &["production"]),
    ("autoscaling-slow", &["production"]),
    ("backup-private", &["staging", "production"]),
    ("large-volumes", &["development"]),
    ("monitoring", &["development"]),
    ("monitoring-alerts", &["staging"]),
    ("monitoring-dashboards", &["development"]),
    ("monthly-report", &["development"]),
    ("node-local-dns", &["development", "staging", "production"]),
    ("objects-private", &["staging", "production"]),
    ("policies", &["staging"]),
    ("policies-kyverno", &["staging"]),
    ("production-sizes", &["development", "staging"]),
    ("registry", &["development", "staging"]),
    ("scan-egress", &["development", "staging", "production"]),
    ("scan-private", &["development", "staging", "production"]),
    ("secrets-external", &["staging"]),
    ("secrets-placeholder", &["staging"]),
    ("sleeping", &["development", "staging"]),
    ("spot", &["staging", "production"]),
    ("user-namespaces", &["development"]),
    ("webhooks", &["development", "staging", "production"]),
    ("zones", &["development", "staging"]),
    ("beside", &["staging"]),
];
/// What any installation may have beside its choices, and beside which of them; first what has pods of its own.
pub(crate) const ADDITIONS: [(&str, &str); 29] = [
    ("monthly-report", ""),
    ("audit-key", ""),
    ("secrets-placeholder", "database-single"),
    ("secrets-external", "database-operated"),
    ("scan-private", ""),
    ("scan-egress", ""),
    ("objects-private", "objects-s3"),
    ("backup-private", "backup"),
    ("user-namespaces", ""),
    ("webhooks", ""),
    ("zones", ""),
    ("autoscaling", ""),
    ("autoscaling-events", "live-events"),
    ("autoscaling-slow", ""),
    ("autoscaling-hours", "database-operated"),
    ("autoscaling-small", "database-single"),
    ("production-sizes", "database-operated"),
    ("spot", ""),
    ("registry", ""),
    ("policies", ""),
    ("policies-kyverno", ""),
    ("monitoring", ""),
    ("monitoring-database", "database-operated"),
    ("monitoring-drills", "backup"),
    ("monitoring-alerts", ""),
    ("monitoring-alerts-secret", "database-operated"),
    ("monitoring-dashboards", ""),
    ("traces", ""),
    ("node-local-dns", ""),
];
/// Who is scaled has no count: an overlay on top of one that says counts takes them away.
const UNCOUNTED: &str = "patches:
  - target: { kind: Deployment, name: gateway|gateway-events|worker-.* }
    patch: |
      - { op: test, path: /spec/replicas, value: 2 }
      - { op: remove, path: /spec/replicas }
";

pub(crate) fn kubernetes() -> PathBuf {
    root().join("deploy/kubernetes")
}

/// One of the installations that are looked at.
pub(crate) struct Render {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) manifests: Manifests,
}

impl Render {
    /// Whether it is as somebody applies it, or has all that goes together.
    pub(crate) fn is_full(&self) -> bool {
        let goes_always = ADDITIONS.iter().filter(|(_, beside)| beside.is_empty());
        !self.name.contains(" + ")
            || goes_always.map(|(addition, _)| addition).all(|addition| self.name.contains(addition))
    }
}

/// What is written for it, and what it is called: what lies below, and components.
fn written() -> Vec<(&'static str, Vec<&'static str>)> {
    let of_base = combinations().into_iter().map(|components| ("base", components));
    let on_top = ON_TOP.iter().map(|(overlay, components)| (*overlay, components.to_vec()));
    let alone = ALONE
        .iter()
        .flat_map(|(addition, overlays)| overlays.iter().map(move |overlay| (*overlay, vec![*addition])));
    of_base.chain(on_top).chain(alone).collect()
}

/// Every overlay, for each two choices an installation that has them, with nothing more and with all that fits, and overlays with more.
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
        for (number, (below, components)) in written().into_iter().enumerate() {
            let directory = scratch.path().join(number.to_string());
            write(&directory, below, &components);
            wanted.push((format!("{below} + {}", components.join(" + ")), directory));
        }
        for (overlay, without, with) in IN_PLACE {
            let name = match with {
                [] => format!("{overlay} without {}", without[0]),
                with => format!("{overlay} with {}", with.join(" + ")),
            };
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
    let choices = combinations.iter().map(|chosen| -> Vec<&str> {
        let chosen = chosen.iter().enumerate();
        chosen.flat_map(|(of, choice)| CHOICES[of][*choice].iter().copied()).collect()
    });
    choices
        .flat_map(|chosen| {
            let fits = |beside: &str| beside.is_empty() || chosen.contains(&beside);
            let additions =
                ADDITIONS.iter().filter(|(_, beside)| fits(beside)).map(|(addition, _)| *addition);
            let with_all = chosen.iter().copied().chain(additions).collect();
            [chosen, with_all]
        })
        .collect()
}

/// A kustomization of what is below, and these components.
fn write(directory: &Path, below: &str, components: &[&str]) {
    fs::create_dir_all(directory).unwrap();
    // Kustomize wants relative paths: from two levels below `target`.
    let up = "../../../deploy/kubernetes";
    let below_it = if below == "base" { "base".to_owned() } else { format!("overlays/{below}") };
    let patches = if below == "staging" && components.contains(&"autoscaling") { UNCOUNTED } else { "" };
    let all = components.iter().copied().chain(["labels"]);
    let components: String = all.map(|name| format!("  - {up}/components/{name}\n")).collect();
    let text = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: rampart\nresources:\n  - {up}/{below_it}\n\
         components:\n{components}{patches}images:\n  - name: rampart\n    digest: sha256:{}\n",
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

/// The components that the list of an overlay names.
fn of_overlay(name: &str) -> BTreeSet<String> {
    let file = kubernetes().join("overlays").join(name).join("kustomization.yaml");
    let read: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let places = list(&read, "/components").filter_map(Value::as_str);
    places.map(|place| place.strip_prefix("../../components/").unwrap().to_owned()).collect()
}

#[test]
fn every_component_is_in_some_installation() {
    let mut there = BTreeSet::new();
    for entry in fs::read_dir(kubernetes().join("components")).unwrap() {
        there.insert(entry.unwrap().file_name().into_string().unwrap());
    }
    let mut rendered: BTreeSet<String> = written()
        .iter()
        .flat_map(|(_, components)| components)
        .map(|name| name.split('/').next().unwrap().to_owned())
        .collect();
    let of_overlays = ["development", "staging", "production"].into_iter().flat_map(of_overlay);
    rendered.extend(of_overlays.map(|name| name.split('/').next().unwrap().to_owned()));
    // What others are made of.
    for name in &there {
        let file = kubernetes().join("components").join(name).join("kustomization.yaml");
        let read: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let brought = list(&read, "/components").filter_map(|place| place.as_str()?.strip_prefix("../"));
        rendered.extend(brought.filter(|place| there.contains(*place)).map(str::to_owned));
    }
    let in_place = IN_PLACE.into_iter().flat_map(|(_, _, with)| with);
    rendered.extend(in_place.map(|name| name.split('/').next().unwrap().to_owned()));
    assert_eq!(rendered, there);
}

/// Put on top of what has it already it would show nothing.
#[test]
fn what_is_put_on_an_overlay_is_not_there_yet() {
    for (below, components) in written().iter().filter(|(below, _)| *below != "base") {
        let there = of_overlay(below);
        for name in components {
            assert!(!there.contains(*name), "{below} has {name}");
        }
    }
}
