//! `rampart migrate`.

use std::process::ExitCode;

use anyhow::{Context, bail};
use report::terminal::sanitise;
use serde_json::json;
use store::{Location, StoreError};

use super::{interrupted, print_json, processes};
use crate::{
    cli::{MigrateArguments, say},
    configuration::Configuration,
};

pub(super) fn migrate(
    configuration: &Configuration,
    arguments: &MigrateArguments,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let taken = match configuration.location() {
            // A file is brought up to date when it is opened.
            Location::Sqlite(_) => {
                configuration.open().await?;
                Vec::new()
            }
            Location::Postgres { url, .. } => migrate_within(&url, arguments)
                .await
                .with_context(|| format!("cannot prepare the database {}", configuration.database))?,
        };
        if arguments.json {
            print_json(&json!({ "taken": taken }))?;
        } else if taken.is_empty() {
            say("the database is up to date\n");
        } else {
            say(&format!("taken: {}\n", taken.join(", ")));
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Waits for a server that is not there yet, until somebody interrupts it.
async fn migrate_within(url: &str, arguments: &MigrateArguments) -> anyhow::Result<Vec<String>> {
    let stop = interrupted()?;
    let wait = arguments.start.database_wait.unwrap_or_default();
    let may_come = |error: &StoreError| matches!(error, StoreError::Unavailable(_));
    let tell = |error: &StoreError| {
        say(&format!("waiting for the database: {}\n", sanitise(&error.to_string())));
    };
    let migrate = async || store::migrate(url, &arguments.grant_to).await;
    tokio::select! {
        taken = processes::until_there(wait, migrate, may_come, tell) => Ok(taken?),
        // What was begun is taken back by the server.
        () = stop.cancelled() => bail!("interrupted: the same again goes on"),
    }
}
