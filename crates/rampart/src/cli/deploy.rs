//! The options of `rampart deploy`.

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, Subcommand};
use cluster::promotion::{Course, Steps};
use url::Url;

use super::values::duration;

#[derive(Debug, Subcommand)]
pub(crate) enum DeployCommand {
    /// Go through what must be true before people rely on an installation: ok, missing, or not checkable, and how to mend it
    Check(DeployCheckArguments),
    /// Say what applying an overlay changes in the cluster, or against another overlay
    Diff(DeployDiffArguments),
    /// Print the secrets that an overlay's pods mount and that nobody makes there, with values that nobody can guess
    Secrets(DeployOverlayArguments),
    /// Copy this program, and the certificates that are trusted here, into a directory, for a container that has the other programs it
    /// needs: PostgreSQL's, for backups
    Program {
        /// Directory that both containers see
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
    },
    /// In a pod whose service account may patch their scale, say how many pods Deployments are to have
    Scale(DeployScaleArguments),
    /// Let a release take over: the orchestrator first, then the gateway in steps that are looked at, then the rest. When it does worse
    /// than the one before, when its pods do not come, or on Ctrl-C, everything goes back by itself
    Promote(DeployPromoteArguments),
    /// Go back to the release before the last `promote`, all at once
    Rollback(DeployRollbackArguments),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("judge").args(["prometheus", "unwatched", "stand"]).required(true))]
pub(crate) struct DeployPromoteArguments {
    /// The release's image, best by its digest: another one of the same name as what runs
    pub(crate) image: String,

    /// The Prometheus that watches the cluster, such as http://127.0.0.1:9090 after `kubectl port-forward`
    #[arg(long, value_name = "URL")]
    pub(crate) prometheus: Option<Url>,

    /// Ask no Prometheus: only pods that do not come are a reason to go back
    #[arg(long)]
    pub(crate) unwatched: bool,

    /// Let all of its gateways stand beside the others before people are led to them, at once; back is as quick while it is looked at.
    /// Needs the component `beside`
    #[arg(long, conflicts_with = "steps")]
    pub(crate) blue_green: bool,

    /// With --blue-green: end when they stand there. The same without --stand goes on
    #[arg(long, requires = "blue_green")]
    pub(crate) stand: bool,

    /// Shares of the gateways, in percent, at which it is looked at. Pods come as many at once as `maxSurge` says, and at least one
    #[arg(long, value_name = "PERCENT,…", default_value = "10,50,100", value_parser = steps)]
    pub(crate) steps: Steps,

    /// How long each step is looked at, at least
    #[arg(long, value_name = "TIME", default_value = "4m", value_parser = duration)]
    pub(crate) hold: Duration,

    /// How often it is looked at
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = duration)]
    pub(crate) every: Duration,

    /// How long pods may take, and how much longer than --hold there may be too little to tell
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub(crate) patience: Duration,

    /// Cluster, as kubectl names it [default: kubectl's current one]
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) context: Option<String>,
}

impl DeployPromoteArguments {
    pub(crate) fn course(&self) -> Course {
        match (self.blue_green, self.stand) {
            (false, _) => Course::InSteps,
            (true, false) => Course::BlueGreen,
            (true, true) => Course::Stand,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DeployRollbackArguments {
    /// How long pods may take
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub(crate) patience: Duration,

    /// Cluster, as kubectl names it [default: kubectl's current one]
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) context: Option<String>,
}

fn steps(text: &str) -> Result<Steps, String> {
    // What is no number is no share.
    Steps::new(text.split(',').map(|share| share.trim().parse().unwrap_or(0)).collect())
}

#[derive(Debug, Args)]
pub(crate) struct DeployScaleArguments {
    /// Which, and how many: `worker-check=2`. One that is not there is told, and left out
    #[arg(required = true, value_name = "DEPLOYMENT=COUNT", value_parser = scale)]
    pub(crate) wanted: Vec<(String, u32)>,

    /// Where the API of the pod's cluster is
    #[arg(long, value_name = "URL", default_value = "https://kubernetes.default.svc")]
    pub(crate) kubernetes: Url,

    /// Where the files of the pod's service account are
    #[arg(long, value_name = "DIR", default_value = cluster::api::ACCOUNT)]
    pub(crate) service_account: PathBuf,
}

fn scale(text: &str) -> Result<(String, u32), String> {
    let wanted = text.split_once('=').and_then(|(name, count)| Some((name, count.parse().ok()?)));
    // It becomes a part of a path.
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    match wanted {
        Some((name, count)) if is_name(name) => Ok((name.to_owned(), count)),
        _ => Err("expected the name of a Deployment and a number, such as `worker-check=2`".to_owned()),
    }
}

/// Which installation
#[derive(Debug, Args)]
pub(crate) struct DeployOverlayArguments {
    /// Which: a directory with a kustomization.yaml, or one of deploy/kubernetes/overlays by its name
    #[arg(long, value_name = "OVERLAY")]
    pub(crate) overlay: String,
}

#[derive(Debug, Args)]
pub(crate) struct DeployCheckArguments {
    #[command(flatten)]
    pub(crate) overlay: DeployOverlayArguments,

    /// Cluster to ask, as kubectl names it [default: kubectl's current one, if there is one]
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) context: Option<String>,

    /// Ask no cluster
    #[arg(long, conflicts_with = "context")]
    pub(crate) offline: bool,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeployDiffArguments {
    #[command(flatten)]
    pub(crate) overlay: DeployOverlayArguments,

    /// Compare with another overlay, and ask no cluster
    #[arg(long, value_name = "OVERLAY", conflicts_with = "context")]
    pub(crate) against: Option<String>,

    /// Cluster to ask, as kubectl names it [default: kubectl's current one]
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) context: Option<String>,
}
