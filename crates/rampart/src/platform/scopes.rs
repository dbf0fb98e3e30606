//! `rampart scope put` and `list`: the platform's scopes.

use std::process::ExitCode;

use anyhow::Context;
use model::TenantId;
use serde_json::json;
use store::Store;

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

pub(crate) fn delete_scope(configuration: &Configuration, name: &str) -> anyhow::Result<ExitCode> {
    operate(configuration, async |desk| {
        let tenant = desk.tenant().await?;
        let deleted = desk.store.delete_scope(tenant, name, None, operator()).await;
        deleted.context("`rampart scope list` shows the tenant's scopes")?;
        say(&format!("deleted: {name}; scans that run go on within what it allowed\n"));
        if let Some(warning) = schedules_without(&desk.store, tenant, name).await? {
            say(&warning);
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Which schedules cannot begin their scans without that scope.
pub(super) async fn schedules_without(
    store: &Store,
    tenant: TenantId,
    scope: &str,
) -> anyhow::Result<Option<String>> {
    let schedules = store.schedules(tenant).await?;
    let names: Vec<&str> = schedules
        .iter()
        .filter(|schedule| schedule.request.scope == scope)
        .map(|schedule| schedule.name.as_str())
        .collect();
    let names = names.join(", ");
    Ok((!names.is_empty())
        .then(|| format!("these schedules name it and begin nothing without it: {names}\n")))
}

pub(crate) fn list_scopes(configuration: &Configuration, json: bool) -> anyhow::Result<ExitCode> {
    operate(configuration, async |desk| {
        let scopes = desk.stale_reads().await?.scopes(desk.tenant().await?).await?;
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
