//! `rampart scope put` and `list`: the platform's scopes.

use std::process::ExitCode;

use serde_json::json;
use store::ScheduleRecord;

use super::{operate, print_json, print_table};
use crate::{
    cli::{ScopePutArguments, say},
    configuration::Whereabouts,
    scope_command,
};

pub(crate) fn put_scope(
    whereabouts: &Whereabouts,
    arguments: &ScopePutArguments,
) -> anyhow::Result<ExitCode> {
    operate(whereabouts, async |place| {
        let (written, scope) = scope_command::read_as_written(&arguments.file)?;
        let name = &arguments.name;
        place.put_scope(name, &written, scope).await?;
        say(&format!("scope {name}: scans name it with --scope {name}\n"));
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) fn delete_scope(whereabouts: &Whereabouts, name: &str) -> anyhow::Result<ExitCode> {
    operate(whereabouts, async |place| {
        place.delete_scope(name).await?;
        say(&format!("deleted: {name}; scans that run go on within what it allowed\n"));
        if let Some(warning) = schedules_without(&place.schedules().await?, name) {
            say(&warning);
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Which schedules cannot begin their scans without that scope.
pub(super) fn schedules_without(schedules: &[ScheduleRecord], scope: &str) -> Option<String> {
    let names: Vec<&str> = schedules
        .iter()
        .filter(|schedule| schedule.request.scope == scope)
        .map(|schedule| schedule.name.as_str())
        .collect();
    let names = names.join(", ");
    (!names.is_empty()).then(|| format!("these schedules name it and begin nothing without it: {names}\n"))
}

pub(crate) fn list_scopes(whereabouts: &Whereabouts, json: bool) -> anyhow::Result<ExitCode> {
    operate(whereabouts, async |place| {
        let scopes = place.stale_scopes().await?;
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
