//! `rampart migrate`.

use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;

use super::print_json;
use crate::{
    cli::{MigrateArguments, say},
    configuration::{Configuration, DatabaseUrl},
};

pub(crate) fn migrate(
    configuration: &Configuration,
    arguments: &MigrateArguments,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let taken = match &configuration.database {
            // A file is brought up to date when it is opened.
            DatabaseUrl::Sqlite(_) => {
                configuration.open().await?;
                Vec::new()
            }
            DatabaseUrl::Postgres(url) => store::migrate(url.reveal(), &arguments.grant_to)
                .await
                .with_context(|| format!("cannot prepare the database {url}"))?,
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
