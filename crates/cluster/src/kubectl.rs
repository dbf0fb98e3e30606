//! Asking a cluster what it is, by `kubectl`, which knows how to come in.

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    checklist::Served,
    manifests::{Manifests, Object, list, text},
    promotion::Installation,
};

/// For how long one question waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a cluster did not say what it is.
#[derive(Debug, thiserror::Error)]
pub enum KubectlError {
    /// The program cannot be run.
    #[error("kubectl cannot be run: is it installed, and on the PATH?")]
    Run(#[from] std::io::Error),
    /// It ended with an error.
    #[error("kubectl: {0}")]
    Refused(String),
    /// It wrote what cannot be read.
    #[error("kubectl wrote no JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What the cluster of a context says of itself; of the current one without.
pub fn served(context: Option<&str>, namespace: &str) -> Result<Served, KubectlError> {
    let versions = ask(context, &["api-versions"])?.lines().map(str::to_owned).collect();
    let classes: Value = serde_json::from_str(&ask(context, &["get", "storageclasses", "--output=json"])?)?;
    let nodes: Value = serde_json::from_str(&ask(context, &["get", "nodes", "--output=json"])?)?;
    let is_usual = |class: &Value| {
        text(class, "/metadata/annotations/storageclass.kubernetes.io~1is-default-class") == Some("true")
    };
    let classes = list(&classes, "/items")
        .filter_map(|class| Some((text(class, "/metadata/name")?.to_owned(), is_usual(class))));
    let zones: BTreeSet<String> = list(&nodes, "/items")
        .filter_map(|node| text(node, "/metadata/labels/topology.kubernetes.io~1zone").map(str::to_owned))
        .collect();
    let names = ["--output=custom-columns=NAME:.metadata.name", "--no-headers", "--ignore-not-found"];
    let secrets = ask(context, &[&["get", "secrets", "--namespace", namespace][..], &names].concat())?;
    let secrets = secrets.lines().map(|line| line.trim().to_owned()).collect();
    Ok(Served {
        versions,
        storage_classes: classes.collect(),
        secrets,
        zones,
        nodes: list(&nodes, "/items").count(),
    })
}

/// What has pods in a namespace, and what leads to them.
pub fn installation(context: Option<&str>, namespace: &str) -> Result<Installation, KubectlError> {
    let kinds = "deployments.apps,replicasets.apps,cronjobs.batch,services";
    let told = ask(context, &["get", kinds, "--namespace", namespace, "--output=json"])?;
    let mut told: Value = serde_json::from_str(&told)?;
    let items = told.get_mut("items").map(Value::take);
    Ok(Installation::of(serde_json::from_value(items.unwrap_or_default())?))
}

/// Changes an object by a JSON patch (RFC 6902).
pub fn patch(
    context: Option<&str>,
    namespace: &str,
    kind: &str,
    name: &str,
    patch: &[Value],
) -> Result<(), KubectlError> {
    let patch = format!("--patch={}", Value::from(patch));
    let words = ["patch", kind, name, "--namespace", namespace, "--type=json", "--output=name", &patch];
    ask(context, &words).map(drop)
}

/// What a cluster has of an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Live {
    /// It is there, and is this.
    There(Value),
    /// It is not there.
    Absent,
    /// Nor can it be: the cluster does not know what it is.
    OfUnknownKind,
}

/// What the cluster has of each of these.
pub fn live<'m>(
    context: Option<&str>,
    wanted: &'m Manifests,
) -> Result<Vec<(&'m Object, Live)>, KubectlError> {
    let mut unknown: BTreeSet<String> = BTreeSet::new();
    loop {
        let known = wanted.objects().filter(|object| !unknown.contains(&unknown_kind(object)));
        let documents: Vec<String> = known.map(|object| object.value().to_string()).collect();
        let words = ["get", "--filename=-", "--output=json", "--ignore-not-found"];
        let output = run(context, &words, &documents.join("\n"))?;
        if output.status.success() {
            // Nothing at all is written where nothing is there.
            let told = match output.stdout.trim_ascii() {
                b"" => Value::Null,
                text => serde_json::from_slice(text)?,
            };
            let live = |object| match unknown.contains(&unknown_kind(object)) {
                true => Live::OfUnknownKind,
                false => in_answer(&told, object).map_or(Live::Absent, |live| Live::There(live.clone())),
            };
            return Ok(wanted.objects().map(|object| (object, live(object))).collect());
        }
        // The others are asked for again: an answer beside an error may lack anything.
        let (said, before) = (String::from_utf8_lossy(&output.stderr), unknown.len());
        unknown.extend(wanted.objects().map(unknown_kind).filter(|words| said.contains(words)));
        if unknown.len() == before {
            return Err(refusal(&output));
        }
    }
}

/// How kubectl says that a cluster does not know of what kind an object is.
fn unknown_kind(object: &Object) -> String {
    let version = object.text("/apiVersion").unwrap_or_default();
    format!("no matches for kind {:?} in version {version:?}", object.kind())
}

fn in_answer<'a>(told: &'a Value, object: &Object) -> Option<&'a Value> {
    list(told, "/items").find(|live| {
        text(live, "/apiVersion") == object.text("/apiVersion")
            && text(live, "/kind") == Some(object.kind())
            && text(live, "/metadata/name") == Some(object.name())
            // Without a namespace it is of the whole cluster, or in the namespace of the context.
            && (object.namespace().is_none() || text(live, "/metadata/namespace") == object.namespace())
    })
}

/// What kubectl answers.
fn ask(context: Option<&str>, words: &[&str]) -> Result<String, KubectlError> {
    let output = run(context, words, "")?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(refusal(&output)),
    }
}

fn refusal(output: &Output) -> KubectlError {
    // What it says before is how it tried.
    let said = String::from_utf8_lossy(&output.stderr);
    KubectlError::Refused(said.lines().last().unwrap_or_default().to_owned())
}

fn run(context: Option<&str>, words: &[&str], input: &str) -> Result<Output, KubectlError> {
    let mut command = Command::new("kubectl");
    command.arg(format!("--request-timeout={}s", PATIENCE.as_secs()));
    command.args(context.map(|context| format!("--context={context}"))).args(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let stdin = child.stdin.take();
    thread::scope(|scope| {
        // It may write before it has read everything. Why it does not read on it says itself.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
        Ok(child.wait_with_output()?)
    })
}
