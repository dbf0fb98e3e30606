//! The options of `rampart schedule`.

use clap::{ArgGroup, Args, Subcommand};
use model::schedule::Zone;

use super::RequestArguments;
use crate::cli::values::name;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("rhythm").args(["cron", "every"]).required(true)))]
pub(crate) struct ScheduleCreateArguments {
    /// Its name
    #[arg(value_parser = name)]
    pub(crate) name: String,

    /// What it scans
    #[arg(value_name = "TARGET", required = true)]
    pub(crate) targets: Vec<String>,

    /// When, as five cron fields: "0 3 * * 1-5"
    #[arg(long, value_name = "CRON")]
    pub(crate) cron: Option<String>,

    /// When, as an interval: 6h
    #[arg(long, value_name = "TIME")]
    pub(crate) every: Option<String>,

    /// Time zone of --cron, --blackout, --starts and --ends
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) zone: Zone,

    /// Start up to this much later, spread over schedules
    #[arg(long, value_name = "TIME")]
    pub(crate) jitter: Option<String>,

    /// When nothing may start: "Mo-Fr 08:00-18:00", "2026-12-24/2027-01-02"
    #[arg(long, value_name = "WHEN")]
    pub(crate) blackout: Vec<String>,

    /// What becomes of runs that fall into a blackout: postpone, one run for all of them at its end; skip, none
    #[arg(long, value_name = "POLICY", default_value = "postpone", value_parser = ["postpone", "skip"])]
    pub(crate) during_blackout: String,

    /// What becomes of a run while the one before still runs: skip, it does not take place; queue, it waits
    #[arg(long, value_name = "POLICY", default_value = "skip", value_parser = ["skip", "queue"])]
    pub(crate) overlap: String,

    /// No run before: 2026-12-24, 2026-12-24T18:00; --every counts from here
    #[arg(long, value_name = "WHEN")]
    pub(crate) starts: Option<String>,

    /// No run from then on
    #[arg(long, value_name = "WHEN")]
    pub(crate) ends: Option<String>,

    /// What becomes of runs that were missed: once, "skip after 10m", "all up to 5"
    #[arg(long, value_name = "POLICY", default_value = "once")]
    pub(crate) catch_up: String,

    #[command(flatten)]
    pub(crate) request: RequestArguments,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// Begin scans by a rule
    Create(Box<ScheduleCreateArguments>),
    /// List schedules, and when they run next
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show everything about a schedule
    Show {
        #[command(flatten)]
        which: ScheduleArguments,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Let a schedule begin scans again; what was missed is not caught up on
    Enable(ScheduleArguments),
    /// Let a schedule begin no scans for the time being
    Disable(ScheduleArguments),
    /// Forget a schedule; its scans stay
    Delete(ScheduleArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ScheduleArguments {
    /// Its name or its id, as `rampart schedule list` shows them
    #[arg(value_name = "SCHEDULE")]
    pub(crate) schedule: String,
}
