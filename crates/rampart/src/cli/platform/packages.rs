//! The options of `rampart package`.

use std::time::Duration;

use clap::Subcommand;
use model::{PackageUrl, Priority, TaskId};

use crate::cli::values::duration;

#[derive(Debug, Subcommand)]
pub(crate) enum PackageCommand {
    /// Ask for the analysis of a package; one that is known and no older than a day is answered at once
    Analyze {
        /// Which, such as pkg:npm/left-pad@1.3.0
        purl: PackageUrl,
        /// Wait for the end, and print what it says
        #[arg(long)]
        wait: bool,
        /// How urgent it is: low, normal, high, urgent
        #[arg(long, default_value = "normal")]
        priority: Priority,
        /// How long one try may take: 1m to 4h, in whole minutes
        #[arg(long, value_name = "TIME", default_value = "30m", value_parser = minutes)]
        timeout: u32,
        /// Where it stands, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what the analysis of a package says, as JSON
    Result {
        /// The task that `analyze` has named
        task: TaskId,
    },
}

/// As long as an API takes it.
fn minutes(text: &str) -> Result<u32, String> {
    const MINUTE: Duration = Duration::from_secs(60);
    let asked = duration(text)?;
    let minutes = u32::try_from(asked.as_secs() / 60).unwrap_or(u32::MAX);
    match (1..=240).contains(&minutes) && MINUTE * minutes == asked {
        true => Ok(minutes),
        false => Err(format!("`{text}` is not between 1m and 4h in whole minutes")),
    }
}
