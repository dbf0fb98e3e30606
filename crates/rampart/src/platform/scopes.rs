//! `rampart scope put` and `list`: the platform's scopes.

use std::process::ExitCode;

use serde_json::json;

use super::{operate, operator, print_json, print_table};
use crate::{
    cli::{ScopePutArguments, say},
    configuration::Configuration,
    scope_command,
};

pub(crate) fn put_scope(
    configuration: &Configuration,
    arguments: &ScopePutArguments,
) -> anyhow::Result<ExitCode> {
    operate(configuration, async |desk| {
        let mut scope = scope_command::read(&arguments.file)?;
        if scope.resolvers.is_empty() {
            scope.resolvers = scanner::dns::system_servers();
        }
        let name = &arguments.name;
        desk.store.put_scope(desk.tenant().await?, name, scope, operator()).await?;
        say(&format!("scope {name}: scans name it with --scope {name}\n"));
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) fn list_scopes(configuration: &Configuration, json: bool) -> anyhow::Result<ExitCode> {
    operate(configuration, async |desk| {
        let scopes = desk.store.scopes(desk.tenant().await?).await?;
        if json {
            let list: Vec<_> =
                scopes.iter().map(|(name, scope)| json!({ "name": name, "scope": scope })).collect();
            print_json(&list)?;
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<Vec<String>> = scopes
            .iter()
            .map(|(name, scope)| {
                let author = scope.authorised_by.clone().unwrap_or_else(|| "-".to_owned());
                vec![name.clone(), author, scope.describe()]
            })
            .collect();
        print_table(&["NAME", "AUTHORISED BY", "ALLOWS"], &rows)?;
        Ok(ExitCode::SUCCESS)
    })
}
