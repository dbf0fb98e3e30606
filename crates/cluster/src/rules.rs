//! The public rule lists, each rule by the name that its list gives it, so that whoever runs those tools finds nothing either.
//!
//! Sources: the Pod Security Standards (profile `restricted`); Kubescape's NSA framework (`C-…`); kube-linter's checks, the default ones
//! and those of the optional that say something about an installation; kube-score; Polaris; the CIS benchmark, section 5.
//! What such a list asks of a cluster and not of manifests stands in [`ELSEWHERE`].

mod objects;
mod pods;

pub(crate) use self::objects::operated;

use crate::{
    Defect,
    manifests::{Manifests, Object, Pod},
};

/// What a rule looks at, and what it says of it: nothing when all is right.
enum Look {
    /// At each pod.
    Pod(fn(&Manifests, &Pod<'_>) -> Vec<String>),
    /// At each object.
    Object(fn(&Manifests, &Object) -> Vec<String>),
}

/// One thing to look at, under all the names that lists give it.
struct Rule {
    names: &'static [&'static str],
    look: Look,
}

/// Rules of the lists about what is in no manifest, and who looks after it.
pub const ELSEWHERE: &[(&str, &str)] = &[
    ("C-0005", "of the API server: it has no port without TLS any more"),
    ("C-0058", "of the kubelet's version: a symlink in a subPath"),
    ("C-0059", "of the ingress controller: its snippets"),
    ("C-0066", "of the API server: secrets are encrypted where they are kept"),
    ("C-0067", "of the API server: its audit log"),
    (
        "C-0068",
        "Pod Security Policies are gone since Kubernetes 1.25; the namespace has a Pod Security Standard",
    ),
    ("C-0069", "of the kubelet: nobody asks it without a name"),
    ("C-0070", "of the kubelet: its own certificate authority"),
    ("kube-linter/no-extensions-v1beta", "no version that is served knows it: the schemas refuse it"),
    ("kube-linter/deprecated-service-account-field", "the rule pods/service-account refuses it"),
    (
        "kube-linter/minimum-three-replicas",
        "an overlay says how many there are; production has three of whatever answers",
    ),
];

/// The names of every rule that is looked at.
pub fn names() -> Vec<&'static str> {
    rules().flat_map(|rule| rule.names).copied().collect()
}

/// Everything that is wrong by these rules, and is not excused where it stands.
pub fn defects(manifests: &Manifests) -> Vec<Defect> {
    let mut defects = Vec::new();
    for Rule { names, look } in rules() {
        let mut tell = |object: &Object, wrong: Vec<String>| {
            for what in wrong {
                let told = names.iter().filter(|name| excuse(object, name).is_none());
                defects.extend(told.map(|rule| Defect { rule, subject: object.path(), what: what.clone() }));
            }
        };
        match look {
            Look::Pod(look) => manifests.pods().for_each(|pod| tell(pod.object, look(manifests, &pod))),
            Look::Object(look) => {
                manifests.objects().for_each(|object| tell(object, look(manifests, object)))
            }
        }
    }
    defects.sort();
    defects.dedup();
    defects
}

/// Why a rule does not hold for an object, as the tool of the list reads it there.
pub fn excuse<'a>(object: &'a Object, rule: &str) -> Option<&'a str> {
    let reason = |key: String| object.annotation(&key).filter(|reason| reason.len() > 10);
    match rule.split_once('/') {
        Some(("kube-linter", check)) => reason(format!("ignore-check.kube-linter.io/{check}")),
        Some(("kube-score", check)) => {
            let ignored = object.annotation("kube-score/ignore")?;
            ignored.split(',').any(|ignored| ignored.trim() == check).then_some(ignored)
        }
        Some(("polaris", check)) => {
            object.annotation(&format!("polaris.fairwinds.com/{check}-exempt")).filter(|word| *word == "true")
        }
        _ => reason(format!("rampart/excused-{rule}")),
    }
}

/// Whether what has such a name is a secret, and not where one is, nor a script that looks after one.
fn sounds_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    let sounds = ["PASSWORD", "SECRET", "TOKEN", "CREDENTIAL"].iter().any(|word| name.contains(word));
    sounds && !["_FILE", "_PATH", ".SH"].iter().any(|end| name.ends_with(end))
}

fn rules() -> impl Iterator<Item = &'static Rule> {
    pods::RULES.iter().chain(objects::RULES)
}
