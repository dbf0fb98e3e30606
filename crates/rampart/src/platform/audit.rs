//! `rampart audit`.

mod verifying;

use std::process::ExitCode;

use jiff::SignedDuration;
use model::{AuditEntry, TenantId, audit::Checkpoint, list::TimeOrder};
use store::AuditFilter;

use super::{Desk, audit_keys, operate, place::Place, print_json, print_table, put, short_time};
use crate::{
    cli::{AuditCheckpointsArguments, AuditCommand, AuditListArguments, say},
    configuration::Whereabouts,
};

pub(super) fn audit(whereabouts: &Whereabouts, command: &AuditCommand) -> anyhow::Result<ExitCode> {
    if let AuditCommand::Key(command) = command {
        return audit_keys::audit_key(whereabouts, command).map(|()| ExitCode::SUCCESS);
    }
    operate(whereabouts, async |place| match command {
        AuditCommand::List(asked) => list(&place, asked).await.map(|()| ExitCode::SUCCESS),
        AuditCommand::Verify(asked) => {
            let desk = place.here("as whoever runs it could answer whatever they want")?;
            verifying::verify(desk, chain(desk, asked.installation).await?, asked).await
        }
        AuditCommand::Export { installation, after } => {
            let desk = place.here("as its API tells the newest entries first, and never all of them")?;
            export(desk, chain(desk, *installation).await?, *after).await.map(|()| ExitCode::SUCCESS)
        }
        AuditCommand::Checkpoints(asked) => checkpoints(&place, asked).await.map(|()| ExitCode::SUCCESS),
        AuditCommand::Key(_) => Ok(ExitCode::SUCCESS),
    })
}

/// The chain that is meant.
async fn chain(desk: &Desk, installation: bool) -> anyhow::Result<Option<TenantId>> {
    if installation { Ok(None) } else { desk.tenant().await.map(Some) }
}

async fn checkpoints(place: &Place, asked: &AuditCheckpointsArguments) -> anyhow::Result<()> {
    let found = place.audit_checkpoints(asked.installation, asked.before, asked.limit).await?;
    if asked.json {
        return print_json(&found);
    }
    let row = |checkpoint: &Checkpoint| {
        let purged = checkpoint.purged;
        vec![
            checkpoint.number.to_string(),
            short_time(checkpoint.at),
            if purged > 0 { purged.to_string() } else { String::new() },
            checkpoint.key.to_string().chars().take(16).collect(),
            checkpoint.end().to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    print_table(&["NUMBER", "TIME", "PURGED", "KEY", "POSITION:SEAL"], &rows)?;
    if let Some(last) = found.last().filter(|last| found.len() == asked.limit && last.number > 1) {
        say(&format!("there are more: --before {}\n", last.number));
    }
    Ok(())
}

async fn export(desk: &Desk, tenant: Option<TenantId>, mut after: u64) -> anyhow::Result<()> {
    loop {
        let page = match tenant {
            Some(tenant) => desk.store.audit_chain(tenant, after).await?,
            None => desk.store.audit_chain_of_nobody(after).await?,
        };
        let Some(last) = page.entries.last() else { return Ok(()) };
        after = last.position;
        for entry in &page.entries {
            put(&(serde_json::to_string(entry)? + "\n"))?;
        }
    }
}

async fn list(place: &Place, asked: &AuditListArguments) -> anyhow::Result<()> {
    let since = match asked.since {
        Some(length) => Some(place.clock().await?.saturating_sub(SignedDuration::try_from(length)?)?),
        None => None,
    };
    let order = if asked.oldest_first { TimeOrder::OldestFirst } else { TimeOrder::NewestFirst };
    let filter = AuditFilter {
        action: asked.action.clone(),
        by: asked.by.clone(),
        since,
        until: None,
        request: asked.request.clone(),
        refused: asked.refused.then_some(true),
        before: asked.before,
        after: asked.after,
        order,
    };
    let found = place.audit(filter, asked.all, asked.limit).await?;
    if asked.json {
        return print_json(&found);
    }
    let row = |entry: &AuditEntry| {
        vec![
            entry.id.to_string(),
            short_time(entry.at),
            entry.by.clone(),
            entry.origin.map(|origin| origin.to_string()).unwrap_or_default(),
            entry.action.clone(),
            entry.subject.clone(),
            entry.detail.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    print_table(&["ID", "TIME", "BY", "FROM", "ACTION", "SUBJECT", "DETAIL"], &rows)?;
    if let Some(last) = found.last().filter(|_| found.len() == asked.limit) {
        say(&format!("there may be more: --before {}\n", last.id));
    }
    Ok(())
}
