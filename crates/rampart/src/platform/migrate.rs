//! `rampart migrate`.

use std::process::ExitCode;

use anyhow::Context;
use report::terminal::sanitise;
use serde_json::json;
use store::{Location, StoreError};

use super::{print_json, processes};
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

/// Waits for a server that is not there yet.
async fn migrate_within(url: &str, arguments: &MigrateArguments) -> Result<Vec<String>, StoreError> {
    let wait = arguments.start.database_wait.unwrap_or_default();
    let may_come = |error: &StoreError| matches!(error, StoreError::Unavailable(_));
    let tell = |error: &StoreError| {
        say(&format!("waiting for the database: {}\n", sanitise(&error.to_string())));
    };
    processes::until_there(wait, async || store::migrate(url, &arguments.grant_to).await, may_come, tell)
        .await
}
