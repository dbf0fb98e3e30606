//! `rampart audit`.

use std::{cmp::Reverse, process::ExitCode};

use jiff::SignedDuration;
use store::{AuditEntry, AuditFilter};

use super::{Desk, operate, print_json, print_table, short_time};
use crate::{
    cli::{AuditCommand, AuditListArguments, say},
    configuration::Configuration,
};

pub(super) fn audit(configuration: &Configuration, command: &AuditCommand) -> anyhow::Result<ExitCode> {
    operate(configuration, async |desk| match command {
        AuditCommand::List(asked) => list(&desk, asked).await.map(|()| ExitCode::SUCCESS),
    })
}

async fn list(desk: &Desk, asked: &AuditListArguments) -> anyhow::Result<()> {
    let since = match asked.since {
        Some(length) => Some(desk.store.clock().await?.saturating_sub(SignedDuration::try_from(length)?)?),
        None => None,
    };
    let filter =
        AuditFilter { action: asked.action.clone(), by: asked.by.clone(), since, before: asked.before };
    let mut found = desk.store.audit(desk.tenant().await?, filter.clone(), asked.limit).await?;
    if asked.all {
        found.extend(desk.store.audit_of_nobody(filter, asked.limit).await?);
        found.sort_unstable_by_key(|entry| Reverse(entry.id));
        found.truncate(asked.limit);
    }
    if asked.json {
        return print_json(&found);
    }
    let row = |entry: &AuditEntry| {
        vec![
            entry.id.to_string(),
            short_time(entry.at),
            entry.by.clone(),
            entry.action.clone(),
            entry.subject.clone(),
            entry.detail.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    print_table(&["ID", "TIME", "BY", "ACTION", "SUBJECT", "DETAIL"], &rows)?;
    if let Some(last) = found.last().filter(|_| found.len() == asked.limit) {
        say(&format!("there may be more: --before {}\n", last.id));
    }
    Ok(())
}
