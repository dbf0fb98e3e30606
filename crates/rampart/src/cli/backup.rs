//! The options of `rampart backup`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{OnPlatform, platform::WatchArguments, values::duration};

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Make the key that opens backups, and print the recipient for whom they are encrypted
    Key {
        /// File to write; it must not be there yet. Keep it where the backups are not
        file: PathBuf,
    },
    /// Copy the database while it goes on, and configuration and keys with it; --database names it as a user who may replicate
    Create(OnPlatform<BackupCreateArguments>),
    /// Keep what PostgreSQL writes ahead, while it is written: with it any moment since a backup can be had again
    Archive(OnPlatform<BackupArchiveArguments>),
    /// List backups: from when, how large, and until when everything since can be had again
    List(BackupListArguments),
    /// Read every byte of the backups and compare; with --identity open them, and compare each file with what the server said of it
    Verify(BackupVerifyArguments),
    /// Write the database as it was into a directory, for a server that is then started there
    Restore(BackupRestoreArguments),
    /// Restore beside everything else, start a server that nobody else can reach, look whether all is well, and say how long it took
    /// and how much was lost
    Drill(BackupDrillArguments),
}

/// Where backups are
#[derive(Debug, Clone, Args)]
pub(crate) struct PlaceArguments {
    /// Place for backups: `file:DIRECTORY`, `s3://KEY:SECRET@BUCKET/PREFIX` or `gs://BUCKET/PREFIX`, as for --objects
    #[arg(long, value_name = "URL", env = "RAMPART_BACKUPS", hide_env_values = true)]
    pub(crate) backups: String,
}

/// Who can read backups
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct RecipientArguments {
    /// Recipients who can read it: `age1…`, as `rampart backup key` prints them
    #[arg(
        long = "recipient",
        value_name = "RECIPIENT",
        env = "RAMPART_BACKUP_RECIPIENTS",
        value_delimiter = ','
    )]
    pub(crate) recipients: Vec<String>,

    /// Let everybody read it who can read the place
    #[arg(long)]
    pub(crate) unencrypted: bool,
}

/// Backups that are there, and what opens them
#[derive(Debug, Clone, Args)]
pub(crate) struct KeptArguments {
    #[command(flatten)]
    pub(crate) place: PlaceArguments,

    /// File with the key, as `rampart backup key` makes it
    #[arg(long, value_name = "FILE", env = "RAMPART_BACKUP_IDENTITY")]
    pub(crate) identity: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BackupCreateArguments {
    #[command(flatten)]
    pub(crate) place: PlaceArguments,

    #[command(flatten)]
    pub(crate) recipients: RecipientArguments,

    /// Files and directories to keep beside the database: configuration, keys, reports; may be given again
    #[arg(long = "include", value_name = "PATH")]
    pub(crate) include: Vec<PathBuf>,

    /// Afterwards remove backups that are older than this, and what only they need; the newest always stays
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) keep: Option<Duration>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArchiveArguments {
    #[command(flatten)]
    pub(crate) place: PlaceArguments,

    #[command(flatten)]
    pub(crate) recipients: RecipientArguments,

    /// Directory for what has not come to the place yet; on a disk that stays
    #[arg(long, value_name = "DIR", env = "RAMPART_BACKUP_SPOOL", default_value = "rampart-spool")]
    pub(crate) spool: PathBuf,

    /// Name of the slot at the server, which keeps there what has not come here; one for each place
    #[arg(long, value_name = "NAME", default_value = "rampart_backup")]
    pub(crate) slot: String,

    /// How often what is being written is kept: so much is lost, at most, with the server
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = duration)]
    pub(crate) every: Duration,

    #[command(flatten)]
    pub(crate) watch: WatchArguments,
}

#[derive(Debug, Args)]
pub(crate) struct BackupListArguments {
    #[command(flatten)]
    pub(crate) place: PlaceArguments,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BackupVerifyArguments {
    #[command(flatten)]
    pub(crate) kept: KeptArguments,

    /// Only this backup [default: all]
    #[arg(long, value_name = "ID")]
    pub(crate) backup: Option<String>,

    /// Directory with room for one database [default: where temporary files are]
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which moment of what was kept
#[derive(Debug, Clone, Args)]
pub(crate) struct MomentArguments {
    #[command(flatten)]
    pub(crate) kept: KeptArguments,

    /// From this backup [default: the newest that was done by then]
    #[arg(long, value_name = "ID")]
    pub(crate) backup: Option<String>,

    /// With everything that was committed by then and nothing later, such as 2026-11-23T10:15:00Z [default: all there is]
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,

    /// Of a database that was restored before, and has gone on from there: in which of its timelines [default: the one it was in by then]
    #[arg(long, value_name = "N")]
    pub(crate) timeline: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct BackupRestoreArguments {
    #[command(flatten)]
    pub(crate) moment: MomentArguments,

    /// Directory for the database; not there yet, or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) into: PathBuf,

    /// Directory for the files that were kept beside it; not there yet, or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) files: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BackupDrillArguments {
    #[command(flatten)]
    pub(crate) moment: MomentArguments,

    /// Directory with room for the database [default: where temporary files are]
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,

    /// A superuser of the database, as it is in the backup
    #[arg(long, value_name = "NAME", default_value = "postgres")]
    pub(crate) superuser: String,

    /// How much may be lost: the recovery point objective; more is trouble
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) rpo: Option<Duration>,

    /// How long it may take until the database takes writes again: the recovery time objective; more is trouble
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) rto: Option<Duration>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}
