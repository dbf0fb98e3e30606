//! `rampart audit`.

use std::process::ExitCode;

use jiff::SignedDuration;
use model::{AuditEntry, TenantId, audit::ChainEnd};
use serde_json::json;
use store::AuditFilter;

use super::{Desk, operate, place::Place, print_json, print_table, put, short_time};
use crate::{
    cli::{AuditCommand, AuditListArguments, say},
    configuration::Whereabouts,
};

pub(super) fn audit(whereabouts: &Whereabouts, command: &AuditCommand) -> anyhow::Result<ExitCode> {
    operate(whereabouts, async |place| match command {
        AuditCommand::List(asked) => list(&place, asked).await.map(|()| ExitCode::SUCCESS),
        AuditCommand::Verify { installation, contains, json } => {
            let desk = place.here("as whoever runs it could answer whatever they want")?;
            let tenant = if *installation { None } else { Some(desk.tenant().await?) };
            verify(desk, tenant, *contains, *json).await
        }
        AuditCommand::Export { installation, after } => {
            let desk = place.here("as its API tells the newest entries first, and never all of them")?;
            let tenant = if *installation { None } else { Some(desk.tenant().await?) };
            export(desk, tenant, *after).await.map(|()| ExitCode::SUCCESS)
        }
    })
}

async fn verify(
    desk: &Desk,
    tenant: Option<TenantId>,
    seen: Option<ChainEnd>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let walked = desk.store.verify_audit(tenant, seen).await?;
    match &walked {
        Ok(end) if json => {
            print_json(&json!({ "whole": true, "position": end.position, "seal": end.seal }))?;
        }
        Err(broken) if json => print_json(&json!({ "whole": false, "reason": broken.to_string() }))?,
        Ok(end) => {
            put(&format!("whole: {} entries\n{end}\n", end.position))?;
            say(
                "keep the last line elsewhere: with --contains it shows later that nobody made the chain anew\n",
            );
        }
        Err(broken) => put(&format!("not whole: {broken}\n"))?,
    }
    Ok(if walked.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
    let filter =
        AuditFilter { action: asked.action.clone(), by: asked.by.clone(), since, before: asked.before };
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
