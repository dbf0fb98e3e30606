//! The options of `rampart schedule`.

use clap::{ArgGroup, Args, Subcommand};
use model::{Priority, Profile, Stage, schedule::Zone};

use super::RequestArguments;
use crate::cli::{scan::scanning_stage, values::name};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("rhythm").args(["cron", "every"]).required(true)))]
pub(crate) struct ScheduleCreateArguments {
    /// Its name
    #[arg(value_parser = name)]
    pub(crate) name: String,

    /// What it scans
    #[arg(value_name = "TARGET", required = true)]
    pub(crate) targets: Vec<String>,

    #[command(flatten)]
    pub(crate) rule: RuleArguments,

    #[command(flatten)]
    pub(crate) request: RequestArguments,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// When runs begin; what of it is not given is as it was, or as it is by itself.
#[derive(Debug, Args)]
pub(crate) struct RuleArguments {
    /// When, as five cron fields: "0 3 * * 1-5"
    #[arg(long, value_name = "CRON")]
    pub(crate) cron: Option<String>,

    /// When, as an interval: 6h
    #[arg(long, value_name = "TIME")]
    pub(crate) every: Option<String>,

    /// Time zone of --cron, --blackout, --starts and --ends; UTC by itself
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Option<Zone>,

    /// Start up to this much later, spread over schedules; 0s by itself
    #[arg(long, value_name = "TIME")]
    pub(crate) jitter: Option<String>,

    /// When nothing may start: "Mo-Fr 08:00-18:00", "2026-12-24/2027-01-02"; none takes those away that there are
    #[arg(long, value_name = "WHEN")]
    pub(crate) blackout: Vec<String>,

    /// What becomes of runs that fall into a blackout: postpone, one run for all of them at its end, as by itself; skip, none
    #[arg(long, value_name = "POLICY", value_parser = ["postpone", "skip"])]
    pub(crate) during_blackout: Option<String>,

    /// What becomes of a run while the one before still runs: skip, it does not take place, as by itself; queue, it waits
    #[arg(long, value_name = "POLICY", value_parser = ["skip", "queue"])]
    pub(crate) overlap: Option<String>,

    /// No run before: 2026-12-24, 2026-12-24T18:00; --every counts from here; none takes it away
    #[arg(long, value_name = "WHEN")]
    pub(crate) starts: Option<String>,

    /// No run from then on; none takes it away
    #[arg(long, value_name = "WHEN")]
    pub(crate) ends: Option<String>,

    /// What becomes of runs that were missed: once, as by itself, "skip after 10m", "all up to 5"
    #[arg(long, value_name = "POLICY")]
    pub(crate) catch_up: Option<String>,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("rhythm").args(["cron", "every"])))]
pub(crate) struct ScheduleChangeArguments {
    #[command(flatten)]
    pub(crate) which: ScheduleArguments,

    /// What it scans, instead of what it did
    #[arg(value_name = "TARGET")]
    pub(crate) targets: Vec<String>,

    #[command(flatten)]
    pub(crate) rule: RuleArguments,

    /// The tenant's scope that allows it
    #[arg(long, value_name = "NAME")]
    pub(crate) scope: Option<String>,

    /// Stages to run: discover, ports, crawl, check
    #[arg(long, value_name = "STAGES", value_delimiter = ',', value_parser = scanning_stage)]
    pub(crate) stages: Option<Vec<Stage>>,

    /// How far to go: quick, standard or deep
    #[arg(long)]
    pub(crate) profile: Option<Profile>,

    /// Ports to look at; none for the profile's
    #[arg(long, value_name = "PORTS")]
    pub(crate) ports: Option<String>,

    /// Only these checks; none for all
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub(crate) only: Option<Vec<String>>,

    /// How urgent it is: low, normal, high, urgent
    #[arg(long)]
    pub(crate) priority: Option<Priority>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// Begin scans by a rule
    Create(Box<ScheduleCreateArguments>),
    /// Change when a schedule begins scans, and of what; what is not given stays, and what was missed is not caught up on
    Change(Box<ScheduleChangeArguments>),
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
