//! The options of `rampart deploy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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
