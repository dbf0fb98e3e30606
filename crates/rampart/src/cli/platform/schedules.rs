//! The options of `rampart schedule`.

use clap::{Args, Subcommand};
use model::ScheduleId;

use super::RequestArguments;

#[derive(Debug, Args)]
pub(crate) struct ScheduleCreateArguments {
    /// Its name
    pub(crate) name: String,

    /// What it scans
    #[arg(value_name = "TARGET", required = true)]
    pub(crate) targets: Vec<String>,

    /// When, as five cron fields: "0 3 * * 1-5"
    #[arg(long, value_name = "CRON", conflicts_with = "every", required_unless_present = "every")]
    pub(crate) cron: Option<String>,

    /// When, as an interval: 6h
    #[arg(long, value_name = "TIME")]
    pub(crate) every: Option<String>,

    /// Time zone of --cron and --blackout
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) zone: String,

    /// Start up to this much later, spread over schedules
    #[arg(long, value_name = "TIME")]
    pub(crate) jitter: Option<String>,

    /// When nothing may start: "Mo-Fr 08:00-18:00", "2026-12-24/2027-01-02"
    #[arg(long, value_name = "WHEN")]
    pub(crate) blackout: Vec<String>,

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
    /// Let a schedule begin scans again; what was missed is not caught up on
    Enable {
        /// Which
        id: ScheduleId,
    },
    /// Let a schedule begin no scans for the time being
    Disable {
        /// Which
        id: ScheduleId,
    },
    /// Forget a schedule; its scans stay
    Delete {
        /// Which
        id: ScheduleId,
    },
}
