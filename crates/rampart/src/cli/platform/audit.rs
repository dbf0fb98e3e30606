//! The options of `rampart audit`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use model::audit::ChainEnd;

use crate::cli::values::{between, duration};

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List what was done to the tenant, the newest first
    List(AuditListArguments),
    /// Find out whether an entry was changed, taken out, put in or moved, and whether the chain is the one that was signed
    Verify(AuditVerifyArguments),
    /// Print every entry as JSON Lines, the oldest first
    Export {
        /// Of what was done to all tenants at once, instead of the tenant's
        #[arg(long)]
        installation: bool,

        /// Only those after the entry at this position
        #[arg(long, value_name = "POSITION", default_value_t = 0)]
        after: u64,
    },
    /// List the signed checkpoints of the chain, the newest first
    Checkpoints(AuditCheckpointsArguments),
    /// Make and show the key that checkpoints are signed with
    #[command(subcommand)]
    Key(AuditKeyCommand),
}

#[derive(Debug, Args)]
pub(crate) struct AuditListArguments {
    /// Only this action, such as scan.submit, or a family of them, such as scan
    #[arg(long, value_name = "ACTION")]
    pub(crate) action: Option<String>,

    /// Only of those whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) by: Option<String>,

    /// Only of the last TIME, such as 7d
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) since: Option<Duration>,

    /// Only what was done in this request, by the id that its answer has
    #[arg(long, value_name = "ID")]
    pub(crate) request: Option<String>,

    /// Only what was refused
    #[arg(long)]
    pub(crate) refused: bool,

    /// Also what was done to all tenants at once, such as a stop of everything
    #[arg(long)]
    pub(crate) all: bool,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = between::<usize, 1, 100_000>)]
    pub(crate) limit: usize,

    /// Only older than the one with this number
    #[arg(long, value_name = "ID")]
    pub(crate) before: Option<u64>,

    /// Only newer than the one with this number
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<u64>,

    /// The oldest first
    #[arg(long)]
    pub(crate) oldest_first: bool,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AuditVerifyArguments {
    /// Of what was done to all tenants at once, instead of the tenant's
    #[arg(long)]
    pub(crate) installation: bool,

    /// Key that checkpoints are to be signed with, its public half in PEM; several when it was changed [default: the one of
    /// --audit-key]
    #[arg(long, value_name = "FILE")]
    pub(crate) signed_by: Vec<PathBuf>,

    /// It must still contain what an earlier verify ended with
    #[arg(long, value_name = "POSITION:SEAL", conflicts_with = "export")]
    pub(crate) contains: Option<ChainEnd>,

    /// Not the chain that is there, but what `rampart audit export` has printed of it: also of what was purged since
    #[arg(long, value_name = "FILE")]
    pub(crate) export: Option<PathBuf>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AuditCheckpointsArguments {
    /// Of what was done to all tenants at once, instead of the tenant's
    #[arg(long)]
    pub(crate) installation: bool,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = between::<usize, 1, 100_000>)]
    pub(crate) limit: usize,

    /// Only those before the one with this number
    #[arg(long, value_name = "NUMBER")]
    pub(crate) before: Option<u64>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditKeyCommand {
    /// Make a key, and print its public half
    Create {
        /// The file that is made, for its owner alone
        file: PathBuf,
    },
    /// Print the public half of a key
    Show {
        /// The file of the key [default: the one of --audit-key]
        file: Option<PathBuf>,
    },
}
