//! `rampart deploy`: what stands between an overlay and a cluster that people rely on.

mod promote;
mod secrets;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use cluster::{
    api::InCluster,
    checklist::{Line, Standing, checklist},
    difference::{self, Change, ChangeKind, Difference},
    kubectl, kustomize,
};
use report::terminal::sanitise;
use serde_json::{Value, json};

use crate::{
    cli::{
        DeployCheckArguments, DeployCommand, DeployDiffArguments, DeployOverlayArguments,
        DeployScaleArguments, print_json, put, say,
    },
    platform::operators_runtime,
    scan::EXIT_UNDETERMINED,
};

/// Something is missing, or would change.
const EXIT_MISSING: u8 = 1;
/// Whom Debian trusts, and with it the image.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Where overlays are in a checkout.
const OVERLAYS: &str = "deploy/kubernetes/overlays";
/// Where everything is that has a namespace.
const NAMESPACE: &str = "rampart";

pub(crate) fn run(command: &DeployCommand) -> anyhow::Result<ExitCode> {
    match command {
        DeployCommand::Check(arguments) => check(arguments),
        DeployCommand::Diff(arguments) => diff(arguments),
        DeployCommand::Secrets(DeployOverlayArguments { overlay }) => {
            secrets::print(&kustomize::read(&directory(overlay)?)?)
        }
        DeployCommand::Program { into } => copy_program(into),
        DeployCommand::Scale(arguments) => scale(arguments),
        DeployCommand::Promote(arguments) => promote::promote(arguments),
        DeployCommand::Rollback(arguments) => promote::rollback(arguments),
    }
}

/// What another container runs, and the certificates that are trusted here, as an image of others may trust nobody.
fn copy_program(into: &Path) -> anyhow::Result<ExitCode> {
    let cannot = || format!("cannot copy this program into `{}`", into.display());
    let certificates = Path::new(CERTIFICATES);
    if certificates.exists() {
        copy_whole(certificates, into, "ca-certificates.crt").with_context(cannot)?;
    }
    let program = std::env::current_exe().with_context(cannot)?;
    copy_whole(&program, into, "rampart").with_context(cannot)?;
    Ok(ExitCode::SUCCESS)
}

/// Under its name it is there as a whole or not at all, and can be run if it could be.
fn copy_whole(file: &Path, into: &Path, name: &str) -> std::io::Result<()> {
    let unfinished = into.join(format!(".{name}"));
    std::fs::copy(file, &unfinished)?;
    std::fs::rename(unfinished, into.join(name))
}

/// What one of them is refused keeps nobody from scaling the others.
fn scale(arguments: &DeployScaleArguments) -> anyhow::Result<ExitCode> {
    let cluster = InCluster::at(arguments.kubernetes.clone(), &arguments.service_account)?;
    let runtime = operators_runtime()?;
    let mut refused = Vec::new();
    for (name, count) in &arguments.wanted {
        match runtime.block_on(cluster.scale(name, *count)) {
            Ok(true) => say(&format!("{name}: {count}\n")),
            Ok(false) => say(&format!("{name} is not there\n")),
            Err(error) => refused.push(format!("{name}: {}", sanitise(&error.to_string()))),
        }
    }
    match refused.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => bail!("{}", refused.join("\n")),
    }
}

fn directory(overlay: &str) -> anyhow::Result<PathBuf> {
    let has = |directory: &Path| directory.join("kustomization.yaml").is_file();
    let places = [PathBuf::from(overlay), Path::new(OVERLAYS).join(overlay)];
    match places.into_iter().find(|place| has(place)) {
        Some(place) => Ok(place),
        None => bail!(
            "there is no overlay `{overlay}`: name a directory with a kustomization.yaml, or, in a checkout, one of {OVERLAYS}"
        ),
    }
}

fn check(arguments: &DeployCheckArguments) -> anyhow::Result<ExitCode> {
    let manifests = kustomize::read(&directory(&arguments.overlay.overlay)?)?;
    let served = match arguments.offline {
        true => None,
        false => match kubectl::served(arguments.context.as_deref(), NAMESPACE) {
            Ok(served) => Some(served),
            // Whoever names a cluster wants that one to be asked.
            Err(error) if arguments.context.is_some() => return Err(error.into()),
            Err(error) => {
                say(&format!("no cluster is asked: {}\n", sanitise(&error.to_string())));
                None
            }
        },
    };
    let lines = checklist(&manifests, served.as_ref());
    match arguments.json {
        true => print_json(&lines)?,
        false => put(&table(&lines))?,
    }
    let any = |standing| lines.iter().any(|line| line.standing == standing);
    Ok(match () {
        () if any(Standing::Missing) => ExitCode::from(EXIT_MISSING),
        () if any(Standing::NotCheckable) => ExitCode::from(EXIT_UNDETERMINED),
        () => ExitCode::SUCCESS,
    })
}

fn table(lines: &[Line]) -> String {
    let word = |standing| match standing {
        Standing::Ok => "ok",
        Standing::LeftOut => "left out",
        Standing::Missing => "missing",
        Standing::NotCheckable => "not checkable",
    };
    let mut text = String::new();
    for Line { name, standing, says, mend } in lines {
        for (number, says) in says.lines().enumerate() {
            let (word, name) = if number == 0 { (word(*standing), *name) } else { ("", "") };
            text.push_str(&format!("{word:<13}  {name:<13}  {}\n", sanitise(says)));
        }
        if let Some(mend) = mend {
            text.push_str(&format!("{:<13}  {:<13}  -> {mend}\n", "", ""));
        }
    }
    let count = |standing| lines.iter().filter(|line| line.standing == standing).count();
    let standings = [Standing::Ok, Standing::LeftOut, Standing::Missing, Standing::NotCheckable];
    let [ok, left_out, missing, open] = standings.map(count);
    text + &format!("{ok} ok, {left_out} left out, {missing} missing, {open} not checkable\n")
}

fn diff(arguments: &DeployDiffArguments) -> anyhow::Result<ExitCode> {
    let wanted = kustomize::read(&directory(&arguments.overlay.overlay)?)?;
    let changes = match &arguments.against {
        Some(other) => difference::between(&kustomize::read(&directory(other)?)?, &wanted),
        None => difference::in_cluster(&kubectl::live(arguments.context.as_deref(), &wanted)?),
    };
    let mut text = String::new();
    for change in &changes {
        text.push_str(&shown(change));
    }
    if changes.is_empty() {
        text.push_str("nothing changes\n");
    }
    put(&text)?;
    Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_MISSING) })
}

fn shown(change: &Change) -> String {
    let Change { object, kind } = change;
    let pods = if change.replaces_pods() { ", and its pods are replaced" } else { "" };
    match kind {
        ChangeKind::Added => format!("+ {object}\n"),
        ChangeKind::OfUnknownKind => {
            format!("? {object}: the cluster does not know this kind; install what defines it first\n")
        }
        ChangeKind::Removed => format!("- {object}: it stays until somebody deletes it\n"),
        ChangeKind::Changed(differences) => {
            let mut text = format!("~ {object}{pods}\n");
            for Difference { place, before, after } in differences {
                // Secrets are told to be others, and not what they are.
                let is_secret = object.starts_with("Secret/") && !place.starts_with("/metadata");
                let say = |value: &Option<Value>| match value {
                    None => "nothing".to_owned(),
                    Some(_) if is_secret => "…".to_owned(),
                    Some(value) => sanitise(&json!(value).to_string()).to_string(),
                };
                text.push_str(&format!("    {place}: {} -> {}\n", say(before), say(after)));
            }
            text
        }
    }
}
