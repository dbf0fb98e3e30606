//! Asking a cluster what it is, by `kubectl`, which knows how to come in.

use std::{collections::BTreeSet, process::Command, time::Duration};

use serde_json::Value;

use crate::{
    checklist::Served,
    manifests::{list, text},
};

/// For how long one question waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a cluster did not say what it is.
#[derive(Debug, thiserror::Error)]
pub enum KubectlError {
    /// The program cannot be run.
    #[error("kubectl cannot be run: {0}")]
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

/// What is in the cluster of these, if anything is.
pub fn live(
    context: Option<&str>,
    kind: &str,
    group: &str,
    namespace: Option<&str>,
    name: &str,
) -> Result<Option<Value>, KubectlError> {
    let kind = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
    let namespace = namespace.map(|namespace| format!("--namespace={namespace}"));
    let words = ["get", &kind, name, "--output=json", "--ignore-not-found"];
    let told = ask(context, &words.into_iter().chain(namespace.as_deref()).collect::<Vec<_>>())?;
    match told.trim() {
        "" => Ok(None),
        text => Ok(Some(serde_json::from_str(text)?)),
    }
}

/// What kubectl answers.
pub fn ask(context: Option<&str>, words: &[&str]) -> Result<String, KubectlError> {
    let mut command = Command::new("kubectl");
    command.arg(format!("--request-timeout={}s", PATIENCE.as_secs()));
    command.args(context.map(|context| format!("--context={context}")));
    let output = command.args(words).output()?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            // What it says before is how it tried.
            let said = String::from_utf8_lossy(&output.stderr);
            Err(KubectlError::Refused(said.lines().last().unwrap_or_default().to_owned()))
        }
    }
}
