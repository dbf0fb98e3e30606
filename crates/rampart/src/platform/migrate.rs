//! `rampart migrate`.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::json;
use store::{Location, StoreError};

use super::print_json;
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
    let until = Instant::now() + arguments.start.database_wait.unwrap_or_default();
    loop {
        match store::migrate(url, &arguments.grant_to).await {
            Err(StoreError::Unavailable(_)) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            ended => return ended,
        }
    }
}
