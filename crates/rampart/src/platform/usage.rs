//! `rampart usage`: what tenants have used.

use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;
use model::{Severity, TenantId, usage::Usage};
use serde::Serialize;

use super::{Desk, length, operate, place::Place, print_json, print_table, put};
use crate::{cli::UsageArguments, configuration::Whereabouts};

/// What one of all tenants has used.
#[derive(Serialize)]
struct OfTenant {
    name: String,
    tenant: TenantId,
    #[serde(flatten)]
    usage: Usage,
}

pub(super) fn usage(whereabouts: &Whereabouts, asked: &UsageArguments) -> anyhow::Result<ExitCode> {
    operate(whereabouts, async |place| {
        let (since, until) = match asked.month {
            Some(month) => (Some(month.since), Some(month.until)),
            None => (asked.since, asked.until),
        };
        match (&place, asked.all) {
            (_, false) => {
                let usage = place.usage(since, until).await?;
                match asked.json {
                    true => print_json(&usage)?,
                    false => print_table(&HEAD[1..], &[row(&usage)])?,
                }
            }
            (Place::Here(desk), true) => of_all(desk, since, until, asked.json).await?,
            (Place::There(_), true) => {
                bail!(
                    "--all is answered where the database is: a key is of one tenant, and sees what that has used"
                )
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

const HEAD: [&str; 6] = ["TENANT", "SCANS", "WORKED", "SENT", "COST", "NEW FINDINGS"];

/// One after the other: each goes through all that is kept of that time. Nothing is said before everything is known, so that who tries
/// again counts nobody twice.
async fn of_all(
    desk: &Desk,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    json: bool,
) -> anyhow::Result<()> {
    let (mut rows, mut lines) = (Vec::new(), String::new());
    for tenant in desk.store.tenants().await? {
        let usage = desk.usage(tenant.id, since, until).await?;
        if json {
            let of_tenant = OfTenant { name: tenant.name, tenant: tenant.id, usage };
            lines.push_str(&(serde_json::to_string(&of_tenant)? + "\n"));
        } else {
            rows.push([vec![tenant.name], row(&usage)].concat());
        }
    }
    match json {
        true => put(&lines),
        false => print_table(&HEAD, &rows),
    }
}

fn row(usage: &Usage) -> Vec<String> {
    let Usage { scans, traffic, worked, cost, unpriced_scans, new_findings, .. } = usage;
    let cost = cost.map(|cost| cost.to_string());
    // What is not known is no part of it, and not nothing.
    let unpriced = (*unpriced_scans > 0).then(|| format!("{unpriced_scans} scans without a price"));
    let cost: Vec<String> = cost.into_iter().chain(unpriced).collect();
    let found = Severity::DESCENDING.into_iter().filter_map(|severity| {
        let count = new_findings.get(&severity)?;
        Some(format!("{count} {severity}"))
    });
    vec![
        scans.to_string(),
        length(std::time::Duration::from_secs(worked.as_secs())),
        (traffic.requests + traffic.probes + traffic.queries).to_string(),
        cost.join(", "),
        found.collect::<Vec<_>>().join(", "),
    ]
}
