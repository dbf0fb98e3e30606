//! Whether what a command of kubectl names is in any installation.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use cluster::manifests::{Manifests, list, text};
use serde_json::Value;
use testkit::tools::root;

use super::is_placeholder;
use crate::deployed::{on_top, overlay};

/// Beside the overlays, for what they leave to whoever chooses.
const ON_TOP: [(&str, &str); 3] =
    [("staging", "rollouts-blue-green"), ("staging", "sleeping"), ("development", "autoscaling-native")];
/// What no manifest has, and why it is there all the same.
const MADE: [(&str, &str, &str); 6] = [
    ("Secret", "entry-by-hand", "made on the page that names it"),
    ("Job", "restore", "made of the CronJob `drill` on the page that names it"),
    ("Container", "restore", "the same"),
    ("Container", "postgres", "of CloudNativePG's instances"),
    ("Container", "plugin-barman-cloud", "beside CloudNativePG's instances"),
    ("Path", "deploy/kubernetes/overlays/recovery", "written by whoever recovers"),
];
/// Labels that others put on what they make.
const LABELLED: [(&str, &str); 2] = [
    ("cnpg.io/", "CloudNativePG, on pods and jobs"),
    ("kubernetes.io/service-name", "Kubernetes, on what a Service leads to"),
];
/// Kinds that no manifest has.
const OTHERS: [&str; 14] = [
    "Pod",
    "Job",
    "ReplicaSet",
    "Secret",
    "Event",
    "EndpointSlice",
    "CertificateRequest",
    "Order",
    "Challenge",
    "Backup",
    "Node",
    "PersistentVolume",
    "ClusterIssuer",
    "PersistentVolumeClaim",
];
/// Those of them that are in no namespace, and what kustomize puts into one.
const OF_THE_CLUSTER: [&str; 4] =
    ["Node", "PersistentVolume", "ClusterIssuer", "ValidatingAdmissionPolicyBinding"];
const SHORT: [(&str, &str); 4] = [
    ("deploy", "Deployment"),
    ("hpa", "HorizontalPodAutoscaler"),
    ("pvc", "PersistentVolumeClaim"),
    ("rollout", "Rollout"),
];
/// Options whose value is the next word.
const WITH_VALUE: [&str; 33] = [
    "-n",
    "--namespace",
    "-l",
    "--selector",
    "-o",
    "--output",
    "-c",
    "--container",
    "-f",
    "--filename",
    "-k",
    "-p",
    "--patch",
    "--tail",
    "--since",
    "--field-selector",
    "--sort-by",
    "--timeout",
    "--for",
    "--replicas",
    "--type",
    "--subresource",
    "--from",
    "--from-file",
    "--from-literal",
    "--grace-period",
    "--label-columns",
    "--cert",
    "--key",
    "--image",
    "--plugin-name",
    "--method",
    "--context",
];
const WITHOUT: [&str; 15] = [
    "--all",
    "--overwrite",
    "--previous",
    "--prefix",
    "--all-containers",
    "--force",
    "--wait",
    "--ignore-daemonsets",
    "--delete-emptydir-data",
    "--dry-run",
    "--watch",
    "--follow",
    "-it",
    "-w",
    "--help",
];
/// Commands that name objects, and others.
const NAMING: [&str; 8] = ["get", "describe", "delete", "scale", "annotate", "patch", "wait", "top"];
const NOT_NAMING: [&str; 7] = ["apply", "kustomize", "create", "cordon", "drain", "taint", "run"];

/// What a command makes under a name of somebody's choice.
pub(super) fn creates(words: &[String]) -> Option<&str> {
    let at = words.iter().position(|word| word == "create")?;
    (words.get(at + 1)? == "job")
        .then(|| words[at + 2..].iter().find(|word| !word.starts_with('-')))?
        .map(String::as_str)
}

/// Every overlay, and what is on top of it, as one.
pub(super) struct Installations<'a> {
    all: Vec<Manifests>,
    secrets: BTreeSet<String>,
    kinds: BTreeSet<String>,
    created: BTreeSet<&'a str>,
    names: Cell<usize>,
    selectors: Cell<usize>,
}

impl<'a> Installations<'a> {
    pub(super) fn new(created: BTreeSet<&'a str>) -> Installations<'a> {
        let overlays = ["production", "staging", "development"].map(overlay);
        let more = ON_TOP.map(|(below, component)| on_top(below, component));
        let all: Vec<Manifests> = overlays.into_iter().chain(more).collect();
        let mut secrets = BTreeSet::new();
        let mut kinds: BTreeSet<String> = OTHERS.map(str::to_owned).into();
        for object in all.iter().flat_map(Manifests::objects) {
            mentioned(object.value(), "", &mut secrets);
            kinds.insert(object.kind().to_owned());
            if ["Secret", "ExternalSecret"].contains(&object.kind()) {
                secrets.insert(object.name().to_owned());
            }
        }
        Installations { all, secrets, kinds, created, names: Cell::new(0), selectors: Cell::new(0) }
    }

    /// How many names and how many selectors.
    pub(super) fn looked_at(&self) -> (usize, usize) {
        (self.names.get(), self.selectors.get())
    }

    /// What is wrong with a command.
    pub(super) fn wrong(&self, words: &[String]) -> Vec<String> {
        let Some(Line { options, plain, mut wrong }) = Line::of(words) else { return Vec::new() };
        let option = |names: &[&str]| {
            options.iter().filter(|(name, _)| names.contains(name)).map(|(_, value)| *value).next_back()
        };
        let namespace = option(&["-n", "--namespace"]);
        if namespace.is_some_and(|namespace| namespace != "rampart") {
            return wrong;
        }
        let Some((verb, mut rest)) = plain.split_first() else { return wrong };
        let mut wanted: Vec<(String, Vec<&str>)> = Vec::new();
        match *verb {
            "logs" | "exec" | "port-forward" => {
                let first = rest.first().map(|first| first.split_once('/').unwrap_or(("pod", first)));
                wanted.extend(first.map(|(kind, name)| (kind.to_owned(), vec![name])));
                if rest.is_empty() {
                    wanted.push(("pod".to_owned(), Vec::new()));
                }
            }
            "rollout" if rest.is_empty() => {}
            "rollout" => {
                let known = ["status", "restart", "undo", "resume", "pause", "history"].contains(&rest[0]);
                wrong.extend((!known).then(|| format!("there is no `rollout {}`", rest[0])));
                rest = &rest[1..];
                wanted.extend(objects(rest));
            }
            "cnpg" => {
                let name = rest.get(if rest.first() == Some(&"fencing") { 2 } else { 1 });
                wanted.extend(name.map(|name| ("cluster".to_owned(), vec![*name])));
            }
            "argo" => wanted.extend(rest.last().map(|name| ("rollout".to_owned(), vec![*name]))),
            verb if NAMING.contains(&verb) => wanted.extend(objects(rest)),
            verb if NOT_NAMING.contains(&verb) => {}
            verb => wrong.push(format!("there is no `{verb}`")),
        }
        if let Some(from) = option(&["--from"]) {
            wanted.extend(objects(&[from]));
        }
        if let ["create", "secret", _, name, ..] = plain[..] {
            wanted.push(("secret".to_owned(), vec![name]));
        }
        let selector = option(&["-l", "--selector"]);
        for (kind, names) in &wanted {
            let Some(kind) = self.kind(kind) else {
                wrong.push(format!("there is no kind `{kind}`"));
                continue;
            };
            let of_the_cluster = OF_THE_CLUSTER.contains(&kind)
                || self.objects(kind).next().is_some_and(|object| object.namespace().is_none());
            if namespace.is_none() && !of_the_cluster {
                wrong.push("says no namespace".to_owned());
            }
            for name in names.iter().filter(|name| !is_placeholder(name)) {
                self.names.set(self.names.get() + 1);
                if !self.has(kind, name) {
                    wrong.push(format!("no installation has a {kind} `{name}`"));
                }
            }
            if let Some(selector) = selector.filter(|selector| !is_placeholder(selector)) {
                self.selectors.set(self.selectors.get() + 1);
                let of_others = LABELLED.iter().any(|(label, _)| selector.starts_with(label));
                if !of_others && !self.labels(kind).iter().any(|labels| chooses(selector, labels)) {
                    wrong.push(format!("no {kind} of any installation is `{selector}`"));
                }
            }
        }
        for container in options.iter().filter(|(name, _)| ["-c", "--container"].contains(name)) {
            if !self.has("Container", container.1) {
                wrong.push(format!("no pod has a container `{}`", container.1));
            }
        }
        for (_, path) in options.iter().filter(|(name, path)| *name == "-k" || path.starts_with("deploy/")) {
            if !self.has("Path", path) {
                wrong.push(format!("there is no `{path}`"));
            }
        }
        wrong
    }

    /// `deploy`, `deployment`, `deployments` and `deployments.apps` are the same.
    fn kind(&self, word: &str) -> Option<&str> {
        let word = word.split('.').next().unwrap_or_default();
        if let Some((_, kind)) = SHORT.iter().find(|(short, _)| *short == word) {
            return Some(kind);
        }
        self.kinds.iter().map(String::as_str).find(|kind| {
            let one = kind.to_lowercase();
            let many = one.strip_suffix('y').map_or_else(|| format!("{one}s"), |stem| format!("{stem}ies"));
            word == one || word == many
        })
    }

    fn objects<'s>(&'s self, kind: &'s str) -> impl Iterator<Item = &'s cluster::manifests::Object> {
        self.all.iter().flat_map(move |manifests| manifests.of_kind(kind))
    }

    fn has(&self, kind: &str, name: &str) -> bool {
        if MADE.iter().any(|(of, made, _)| (*of, *made) == (kind, name)) {
            return true;
        }
        let numbered = name.rsplit_once('-').filter(|(_, number)| number.parse::<u8>().is_ok());
        let stateful = |name: &str| self.objects("StatefulSet").any(|object| object.name() == name);
        let is_object = || self.objects(kind).any(|object| object.name() == name);
        match kind {
            "Secret" => self.secrets.contains(name),
            "Job" => self.created.contains(name),
            "Pod" => numbered.is_some_and(|(name, _)| {
                stateful(name) || self.objects("Cluster").any(|object| object.name() == name)
            }),
            "PersistentVolumeClaim" => {
                is_object()
                    || numbered.is_some_and(|(name, _)| {
                        name.split_once('-').is_some_and(|(claim, set)| {
                            self.objects("StatefulSet").any(|object| {
                                object.name() == set
                                    && object
                                        .list("/spec/volumeClaimTemplates")
                                        .any(|template| text(template, "/metadata/name") == Some(claim))
                            })
                        })
                    })
            }
            // With a hash behind it.
            "ConfigMap" => self.objects(kind).any(|object| {
                object.name() == name
                    || object.name().rsplit_once('-').is_some_and(|(before, _)| before == name)
            }),
            "Container" => self
                .all
                .iter()
                .flat_map(Manifests::pods)
                .any(|pod| pod.all_containers().any(|container| text(container, "/name") == Some(name))),
            "Path" => root().join(name).exists(),
            _ => is_object(),
        }
    }

    /// The labels of every object of a kind, also of those that others make.
    fn labels<'s>(&'s self, kind: &'s str) -> Vec<BTreeMap<&'s str, &'s str>> {
        match kind {
            "Pod" => self.all.iter().flat_map(Manifests::pods).map(|pod| pod.labels()).collect(),
            "Job" => self
                .objects("CronJob")
                .filter_map(|object| object.at("/spec/jobTemplate/metadata/labels")?.as_object())
                .map(|labels| {
                    labels.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
                })
                .collect(),
            _ => self.objects(kind).map(|object| object.labels()).collect(),
        }
    }
}

/// The secrets that an object mounts, or reads, or has made.
fn mentioned(value: &Value, key: &str, secrets: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if key.to_lowercase().contains("secret") {
                secrets.extend(text(value, "/name").map(str::to_owned));
            }
            for (key, value) in fields {
                mentioned(value, key, secrets);
            }
        }
        Value::Array(_) => list(value, "").for_each(|value| mentioned(value, key, secrets)),
        Value::String(name) if key == "secretName" => {
            secrets.insert(name.clone());
        }
        _ => {}
    }
}

/// Kinds with the names that follow: `deployment a b`, `deployment/a statefulset/b`, `pods,jobs`.
fn objects<'w>(words: &[&'w str]) -> Vec<(String, Vec<&'w str>)> {
    // Annotations that are set or taken away.
    let words: Vec<&str> =
        words.iter().filter(|word| !word.contains('=') && !word.ends_with('-')).copied().collect();
    if words.iter().any(|word| word.contains('/')) {
        let each = words.iter().filter_map(|word| word.split_once('/'));
        return each.map(|(kind, name)| (kind.to_owned(), vec![name])).collect();
    }
    let Some((kinds, names)) = words.split_first() else { return Vec::new() };
    let kinds = kinds.split(',').filter(|kind| *kind != "all" && !is_placeholder(kind));
    kinds.map(|kind| (kind.to_owned(), names.to_vec())).collect()
}

/// A command, taken apart.
struct Line<'w> {
    options: Vec<(&'w str, &'w str)>,
    plain: Vec<&'w str>,
    wrong: Vec<String>,
}

impl<'w> Line<'w> {
    /// Up to what is run in a pod; nothing of a command that is not all there.
    fn of(words: &'w [String]) -> Option<Line<'w>> {
        let mut line = Line { options: Vec::new(), plain: Vec::new(), wrong: Vec::new() };
        let mut rest = words.iter().map(String::as_str).take_while(|word| *word != "--").peekable();
        while let Some(word) = rest.next() {
            if !word.starts_with('-') || word == "-" {
                line.plain.push(word);
                continue;
            }
            let (name, value) =
                word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            if WITH_VALUE.contains(&name) {
                line.options.push((name, value.or_else(|| rest.next())?));
            } else if !WITHOUT.contains(&name) {
                line.wrong.push(format!("there is no `{name}`"));
            }
        }
        Some(line)
    }
}

/// Whether a selector as kubectl takes it chooses what has these labels.
fn chooses(selector: &str, labels: &BTreeMap<&str, &str>) -> bool {
    let mut depth = 0;
    let terms = selector.split(|c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    terms.map(str::trim).all(|term| {
        if let Some((key, values)) = term.split_once(" in ") {
            let mut values = values.trim().trim_matches(['(', ')']).split(',').map(str::trim);
            return labels.get(key.trim()).is_some_and(|label| values.any(|value| value == *label));
        }
        match term.split_once('=') {
            Some((key, value)) => labels.get(key) == Some(&value),
            None => labels.contains_key(term),
        }
    })
}

#[test]
fn selectors_choose_as_kubectl_does() {
    let labels = BTreeMap::from([("a", "1"), ("b", "2")]);
    for (selector, chosen) in [
        ("a=1", true),
        ("a=2", false),
        ("a in (0, 1),b=2", true),
        ("a in (0, 2)", false),
        ("a", true),
        ("c", false),
        ("a=1,c", false),
    ] {
        assert_eq!(chooses(selector, &labels), chosen, "{selector}");
    }
}
