//! The options of `rampart scan submit` and of what is asked about scans of the platform.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use model::{CheckId, Money, PortSet, Priority, Profile, ScanId, Stage};

use super::{Anywhere, ScanCommentArguments, ScanCommentListArguments};
use crate::{
    cli::scan::scanning_stage,
    cli::values::{between, duration, name, some_money},
    configuration::Whereabouts,
};

#[derive(Debug, Args)]
pub(crate) struct SubmitArguments {
    /// Names, addresses, networks, host:port, URLs; `-` reads them from standard input
    #[arg(value_name = "TARGET", required = true)]
    pub(crate) targets: Vec<String>,

    #[command(flatten)]
    pub(crate) request: RequestArguments,

    /// Asked for again under the same key it is the same scan for a day: whoever got no answer may ask again
    #[arg(long, value_name = "KEY", value_parser = name)]
    pub(crate) idempotency_key: Option<String>,

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
    #[arg(long, value_name = "N", value_parser = between::<u64, 1, 1_000_000_000_000>)]
    pub(crate) most_packets: Option<u64>,

    /// End after so many things found
    #[arg(long, value_name = "N", value_parser = between::<u64, 1, 1_000_000_000_000>)]
    pub(crate) most_assets: Option<u64>,

    /// End after so many units of work
    #[arg(long, value_name = "N", value_parser = between::<u64, 1, 1_000_000_000_000>)]
    pub(crate) most_units: Option<u64>,

    /// End when the time of workers has cost so much, such as 2.50; --price-per-worker-hour says what it costs
    #[arg(long, value_name = "AMOUNT", value_parser = some_money)]
    pub(crate) most_cost: Option<Money>,

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
                cost: self.most_cost,
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
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = between::<usize, 1, 100_000>)]
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

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Which
    pub(crate) id: ScanId,

    /// html or json
    #[arg(long, value_name = "FORMAT", default_value = "html")]
    pub(crate) format: report::Format,

    /// Write it to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScanCommand {
    /// Ask the platform for a scan
    Submit(Box<Anywhere<SubmitArguments>>),
    /// List the platform's scans, the latest first
    List(Anywhere<ScanListArguments>),
    /// Show a scan of the platform
    Show(Anywhere<OneScanArguments>),
    /// Show what a scan saw that the one before it did not, and the other way round
    Diff(Anywhere<DiffArguments>),
    /// Print the report of a scan that has ended
    Report(Anywhere<ReportArguments>),
    /// Cancel a scan: what was found until then stays
    Cancel(Anywhere<OneScanArguments>),
    /// Say something about a scan to others who work with it
    Comment(Anywhere<ScanCommentArguments>),
    /// List what was said about a scan, the oldest first
    Comments(Anywhere<ScanCommentListArguments>),
}

impl ScanCommand {
    pub(crate) fn whereabouts(&self) -> anyhow::Result<Whereabouts> {
        match self {
            ScanCommand::Submit(asked) => asked.whereabouts(),
            ScanCommand::List(asked) => asked.whereabouts(),
            ScanCommand::Show(asked) | ScanCommand::Cancel(asked) => asked.whereabouts(),
            ScanCommand::Report(asked) => asked.whereabouts(),
            ScanCommand::Diff(asked) => asked.whereabouts(),
            ScanCommand::Comment(asked) => asked.whereabouts(),
            ScanCommand::Comments(asked) => asked.whereabouts(),
        }
    }
}
