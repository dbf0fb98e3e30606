//! `rampart audit`.

mod verifying;

use std::process::ExitCode;

use client::{AuditQuery, Client};
use jiff::SignedDuration;
use model::{AuditEntry, TenantId, audit::Checkpoint, list::TimeOrder};
use store::AuditFilter;

use super::{audit_keys, operate, place::Place, print_json, print_table, put, short_time};
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
        AuditCommand::Verify(asked) => verifying::verify(&place, asked).await,
        AuditCommand::Export { installation, after } => {
            let tenant = chain(&place, *installation).await?;
            export(&place, tenant, *after).await.map(|()| ExitCode::SUCCESS)
        }
        AuditCommand::Checkpoints(asked) => checkpoints(&place, asked).await.map(|()| ExitCode::SUCCESS),
        AuditCommand::Key(_) => Ok(ExitCode::SUCCESS),
    })
}

/// The chain that is meant.
async fn chain(place: &Place, installation: bool) -> anyhow::Result<Option<TenantId>> {
    match installation {
        true => Ok(None),
        false => place.tenant().await.map(Some),
    }
}

/// Of a chain that a server tells, a page from after an entry on.
fn oldest_first(chain: Option<TenantId>, after: Option<u64>) -> AuditQuery {
    let installation = chain.is_none();
    AuditQuery {
        order: TimeOrder::OldestFirst,
        limit: Some(500),
        after,
        installation,
        ..AuditQuery::default()
    }
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

async fn export(place: &Place, tenant: Option<TenantId>, mut after: u64) -> anyhow::Result<()> {
    let desk = match place {
        Place::Here(desk) => desk,
        Place::There(client) => return export_from(client, tenant, after).await,
    };
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

/// The same of what a server tells.
async fn export_from(client: &Client, chain: Option<TenantId>, after: u64) -> anyhow::Result<()> {
    let mut next = None;
    loop {
        let page = client.audit(&oldest_first(chain, next)).await?;
        for entry in page.items.iter().filter(|entry| entry.position > after) {
            put(&(serde_json::to_string(entry)? + "\n"))?;
        }
        next = page.next;
        if next.is_none() {
            return Ok(());
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
