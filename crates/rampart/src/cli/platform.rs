//! The options of the platform's commands.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use model::{CheckId, PortSet, Priority, Profile, ScanId, ScheduleId, Stage, TaskId};

use super::scan::{duration, scanning_stage};
use crate::configuration::{Configuration, ConfigurationArguments};

/// A command that works with the platform: where that is, and what it is asked.
#[derive(Debug, Args)]
pub(crate) struct OnPlatform<T: Args> {
    #[command(flatten)]
    pub(crate) arguments: T,
    #[command(flatten)]
    configuration: ConfigurationArguments,
}

impl<T: Args> OnPlatform<T> {
    pub(crate) fn configuration(&self) -> anyhow::Result<Configuration> {
        Configuration::read(&self.configuration)
    }
}

/// The same for a family of commands.
#[derive(Debug, Args)]
pub(crate) struct FamilyOnPlatform<T: Subcommand> {
    #[command(subcommand)]
    pub(crate) command: T,
    #[command(flatten)]
    configuration: ConfigurationArguments,
}

impl<T: Subcommand> FamilyOnPlatform<T> {
    pub(crate) fn configuration(&self) -> anyhow::Result<Configuration> {
        Configuration::read(&self.configuration)
    }
}

#[derive(Debug, Args)]
pub(crate) struct NoArguments {}

#[derive(Debug, Args)]
pub(crate) struct JsonArguments {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlatformCommand {
    /// Run the whole platform in this process: queue, workers, schedules, on one file
    Up(OnPlatform<UpArguments>),
    /// Work on the platform's tasks
    Worker(OnPlatform<WorkerArguments>),
    /// Look after the platform: schedules, lost workers, deadlines; one leads, others stand by
    Orchestrator(OnPlatform<NoArguments>),
    /// Emergency stop: nothing more is sent, until a person lifts it
    Stop(OnPlatform<StopArguments>),
    /// Lift an emergency stop
    Resume(OnPlatform<ResumeArguments>),
    /// List, show, cancel and redrive the platform's tasks
    Task(FamilyOnPlatform<TaskCommand>),
    /// Begin scans by the clock
    Schedule(FamilyOnPlatform<ScheduleCommand>),
    /// Make and list tenants
    Tenant(FamilyOnPlatform<TenantCommand>),
    /// Prepare a PostgreSQL database, or bring it up to date; --database names it as its owner
    Migrate(OnPlatform<MigrateArguments>),
    /// Check configuration, connections, clock and limits, and say what to do
    Doctor(OnPlatform<JsonArguments>),
}

#[derive(Debug, Args)]
pub(crate) struct ScopePutArguments {
    /// Its name
    pub(crate) name: String,

    /// The scope file
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct UpArguments {
    /// Address to listen on: health, readiness [default: 127.0.0.1:8440]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,

    /// Tasks at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    pub(crate) concurrency: usize,

    /// How long tasks may go on after Ctrl-C; what is not done by then is done after the next start
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(crate) drain: Duration,

    /// Start the demo estate in this process too, with the scope `demo` that allows it
    #[arg(long)]
    pub(crate) demo: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WorkerArguments {
    /// Stages to work for: discover, ports, crawl, check, report, exercise
    #[arg(
        long = "stage",
        value_name = "STAGES",
        value_delimiter = ',',
        default_value = "discover,ports,crawl,check,report"
    )]
    pub(crate) stages: Vec<Stage>,

    /// Tasks at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    pub(crate) concurrency: usize,

    /// How long tasks may go on after the request to terminate; what is not done by then is handed back
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = duration)]
    pub(crate) drain: Duration,

    /// How long this process may be silent before others get its tasks; it is heard of three times as often
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = a_second_at_least)]
    pub(crate) lease: Duration,
}

fn a_second_at_least(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < Duration::from_secs(1) { Err("a second is the least".to_owned()) } else { Ok(time) }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("`{text}` is not a number from 1 on"))
}

/// How far a stop reaches: everything, unless something is named
#[derive(Debug, Args)]
pub(crate) struct ReachArguments {
    /// Only what belongs to a tenant
    #[arg(long = "of-tenant", value_name = "NAME", group = "reach")]
    pub(crate) of_tenant: Option<String>,

    /// Only a scan, of the tenant that --tenant names
    #[arg(long, value_name = "SCAN", group = "reach")]
    pub(crate) scan: Option<ScanId>,

    /// Only a stage
    #[arg(long, value_name = "STAGE", group = "reach")]
    pub(crate) stage: Option<Stage>,
}

#[derive(Debug, Args)]
pub(crate) struct StopArguments {
    /// Why; it is written down
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) reason: String,

    #[command(flatten)]
    pub(crate) reach: ReachArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArguments {
    /// Why; it is written down
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) reason: String,

    /// The person who lifts it; it is written down
    #[arg(long, value_name = "PERSON", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) by: String,

    #[command(flatten)]
    pub(crate) reach: ReachArguments,
}

#[derive(Debug, Args)]
pub(crate) struct TaskFilterArguments {
    /// These tasks
    pub(crate) ids: Vec<TaskId>,

    /// Only of a scan
    #[arg(long, value_name = "SCAN")]
    pub(crate) scan: Option<ScanId>,

    /// Only of a stage
    #[arg(long, value_name = "STAGE")]
    pub(crate) stage: Option<Stage>,

    /// Only those whose last failure contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) failure: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// List tasks, oldest first, with how many there are in each state
    List {
        #[command(flatten)]
        filter: TaskFilterArguments,
        /// Only in this state: queued, running, completed, cancelled, dead
        #[arg(long, value_name = "STATE", value_parser = ["queued", "running", "completed", "cancelled", "dead"])]
        state: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
        /// Go on after this one
        #[arg(long, value_name = "TASK")]
        after: Option<TaskId>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show everything about a task
    Show {
        /// Which
        id: TaskId,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Cancel tasks: what waits at once, what runs as soon as its worker hears of it
    Cancel {
        #[command(flatten)]
        filter: TaskFilterArguments,
        /// All of the tenant's, when nothing else says which
        #[arg(long)]
        all: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Try dead tasks again, from the beginning
    Redrive {
        #[command(flatten)]
        filter: TaskFilterArguments,
        /// All dead ones, when nothing else says which
        #[arg(long)]
        all: bool,
        /// At most so many a second; without it all at once
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        rate: Option<u32>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget tasks that ended some time ago
    Purge {
        #[command(flatten)]
        filter: TaskFilterArguments,
        /// Those that ended longer ago than this
        #[arg(long, value_name = "TIME", default_value = "168h", value_parser = duration)]
        older_than: Duration,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask for tasks that do nothing: what a queue and its workers can do is measured with them
    Exercise {
        /// How many
        #[arg(long, value_name = "N", default_value_t = 1)]
        count: usize,
        /// How long each takes; without it no time at all
        #[arg(long, value_name = "TIME", value_parser = duration)]
        hold: Option<Duration>,
        /// How urgent they are: low, normal, high, urgent
        #[arg(long, default_value = "normal")]
        priority: Priority,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArguments {
    /// Names, addresses, networks, host:port, URLs; `-` reads them from standard input
    #[arg(value_name = "TARGET", required = true)]
    pub(crate) targets: Vec<String>,

    #[command(flatten)]
    pub(crate) request: RequestArguments,

    /// Wait for the end, and exit as a scan in this process would
    #[arg(long)]
    pub(crate) wait: bool,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a scan is asked to do.
#[derive(Debug, Args)]
pub(crate) struct RequestArguments {
    /// The tenant's scope that allows it
    #[arg(long, value_name = "NAME", default_value = "loopback")]
    pub(crate) scope: String,

    /// Stages to run: discover, ports, crawl, check
    #[arg(
        long,
        value_name = "STAGES",
        value_delimiter = ',',
        value_parser = scanning_stage,
        default_value = "discover,ports,crawl,check"
    )]
    pub(crate) stages: Vec<Stage>,

    /// How far to go: quick, standard or deep
    #[arg(long, default_value = "standard")]
    pub(crate) profile: Profile,

    /// Ports to look at; the profile's by default
    #[arg(long, value_name = "PORTS")]
    pub(crate) ports: Option<PortSet>,

    /// Only these checks
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub(crate) only: Vec<String>,

    /// How urgent it is: low, normal, high, urgent
    #[arg(long, default_value = "normal")]
    pub(crate) priority: Priority,

    /// Do not look again at what was looked at in this time and has not changed
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) unchanged_for: Option<Duration>,

    /// End after so many requests, probes and queries
    #[arg(long, value_name = "N")]
    pub(crate) most_packets: Option<u64>,

    /// End after so many things found
    #[arg(long, value_name = "N")]
    pub(crate) most_assets: Option<u64>,

    /// End after so many units of work
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) most_units: Option<u64>,

    /// End after this time
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) deadline: Option<Duration>,
}

impl RequestArguments {
    pub(crate) fn request(&self) -> model::ScanRequest {
        let usual = model::ScanRequest::within(&self.scope);
        model::ScanRequest {
            profile: self.profile,
            stages: self.stages.iter().copied().collect(),
            ports: self.ports.clone(),
            only: self.only.iter().map(|id| CheckId::new(id)).collect(),
            priority: self.priority,
            unchanged_for: self.unchanged_for.unwrap_or_default(),
            budget: model::scan::Budget {
                packets: self.most_packets,
                time: self.deadline,
                assets: self.most_assets,
                units: self.most_units.unwrap_or(usual.budget.units),
            },
            ..usual
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ScanListArguments {
    /// Only those that run
    #[arg(long)]
    pub(crate) running: bool,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OneScanArguments {
    /// Which
    pub(crate) id: ScanId,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// Which
    pub(crate) id: ScanId,

    /// Compare with this one; by default the one before it with the same targets and options
    #[arg(long, value_name = "SCAN")]
    pub(crate) with: Option<ScanId>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScanCommand {
    /// Ask the platform for a scan
    Submit(Box<OnPlatform<SubmitArguments>>),
    /// List the platform's scans, the latest first
    List(OnPlatform<ScanListArguments>),
    /// Show a scan of the platform
    Show(OnPlatform<OneScanArguments>),
    /// Show what a scan saw that the one before it did not, and the other way round
    Diff(OnPlatform<DiffArguments>),
    /// Cancel a scan: what was found until then stays
    Cancel(OnPlatform<OneScanArguments>),
}

impl ScanCommand {
    pub(crate) fn configuration(&self) -> anyhow::Result<Configuration> {
        match self {
            ScanCommand::Submit(asked) => asked.configuration(),
            ScanCommand::List(asked) => asked.configuration(),
            ScanCommand::Show(asked) | ScanCommand::Cancel(asked) => asked.configuration(),
            ScanCommand::Diff(asked) => asked.configuration(),
        }
    }
}

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

#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Make a tenant
    Create {
        /// Its name
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        name: String,
        /// Its share against the others'
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
        weight: u32,
        /// Tasks at work at once, at most
        #[arg(long, value_name = "N", default_value_t = 10_000)]
        most_in_flight: u64,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List tenants
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArguments {
    /// Who may work with the database: these users get the roles for it
    #[arg(long, value_name = "USER", value_delimiter = ',')]
    pub(crate) grant_to: Vec<String>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}
