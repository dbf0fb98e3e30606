//! `rampart scope put` and `list`: the platform's scopes.

use std::{path::Path, process::ExitCode};

use serde_json::json;

use super::{operate, operator, print_json, print_table};
use crate::{cli::say, configuration::Configuration, scope_command};

/// What is asked of the platform's scopes.
pub(crate) enum ScopeRequest<'a> {
    /// Keep one.
    Put { name: &'a str, file: &'a Path },
    /// Show them.
    List { json: bool },
}

pub(crate) fn scope(configuration: &Configuration, request: ScopeRequest<'_>) -> anyhow::Result<ExitCode> {
    operate(configuration, async |desk| {
        let tenant = desk.tenant().await?;
        match request {
            ScopeRequest::Put { name, file } => {
                let mut scope = scope_command::read(file)?;
                if scope.resolvers.is_empty() {
                    scope.resolvers = scanner::dns::system_servers();
                }
                desk.store.put_scope(tenant, name, scope, operator()).await?;
                say(&format!("scope {name}: scans name it with --scope {name}\n"));
            }
            ScopeRequest::List { json } => {
                let scopes = desk.store.scopes(tenant).await?;
                if json {
                    let list: Vec<_> =
                        scopes.iter().map(|(name, scope)| json!({ "name": name, "scope": scope })).collect();
                    print_json(&list)?;
                } else {
                    let rows: Vec<Vec<String>> = scopes
                        .iter()
                        .map(|(name, scope)| {
                            let author = scope.authorised_by.clone().unwrap_or_else(|| "-".to_owned());
                            vec![name.clone(), author, scope.describe()]
                        })
                        .collect();
                    print_table(&["NAME", "AUTHORISED BY", "ALLOWS"], &rows)?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}
