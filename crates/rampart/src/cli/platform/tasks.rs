//! The options of `rampart task`.

use std::time::Duration;

use clap::{Args, Subcommand};
use model::{Priority, ScanId, Stage, TaskId};

use crate::cli::values::{between, duration};

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
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = between::<usize, 1, 100_000>)]
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
        #[arg(long, value_name = "N", value_parser = between::<u32, 1, 1_000_000>)]
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
        #[arg(long, value_name = "TIME", default_value = "7d", value_parser = duration)]
        older_than: Duration,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask for tasks that do nothing: what a queue and its workers can do is measured with them
    Exercise {
        /// How many
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = between::<usize, 1, 10_000_000>)]
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
