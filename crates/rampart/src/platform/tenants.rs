//! `rampart tenant`.

use std::{collections::BTreeMap, process::ExitCode};

use model::{TenantId, record::TenantChange};
use serde::Serialize;
use store::{NewTenant, TenantRecord};

use super::{Desk, operate, place::Place, print_json, print_table, short_time, users};
use crate::{
    cli::{TenantCommand, TenantSetArguments, say},
    configuration::Whereabouts,
};

pub(super) fn tenant(whereabouts: &Whereabouts, command: &TenantCommand) -> anyhow::Result<ExitCode> {
    operate(whereabouts, async |place| {
        match command {
            TenantCommand::Create { name, weight, most_in_flight, owner, json } => {
                let new = NewTenant { name: name.clone(), weight: *weight, most_in_flight: *most_in_flight };
                let (tenant, invited) = place.create_tenant(new, owner.clone()).await?;
                match invited {
                    Some(invited) => users::show(&invited, *json)?,
                    None if *json => print_json(&tenant)?,
                    None => say(&format!("tenant {name}: {}\n", tenant.id)),
                }
            }
            TenantCommand::Set(asked) => {
                let TenantSetArguments { name, weight, most_in_flight, json } = asked;
                let change = TenantChange { weight: *weight, most_in_flight: *most_in_flight };
                let tenant = place.set_tenant(place.tenant_named(name).await?.id, change).await?;
                if *json {
                    print_json(&tenant)?;
                } else {
                    let (weight, most) = (tenant.weight, tenant.most_in_flight);
                    say(&format!("tenant {name}: weight {weight}, at most {most} tasks at work at once\n"));
                }
            }
            TenantCommand::Show { name, json } => show(&place, name, *json).await?,
            TenantCommand::List { json } => {
                let tenants = place.all_tenants().await?;
                if *json { print_json(&tenants)? } else { list(&tenants)? }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn list(tenants: &[TenantRecord]) -> anyhow::Result<()> {
    let row = |tenant: &TenantRecord| {
        let TenantRecord { id, name, weight, most_in_flight, created_at } = tenant;
        let shares = [weight.to_string(), most_in_flight.to_string()];
        [vec![name.clone(), id.to_string()], shares.to_vec(), vec![short_time(*created_at)]].concat()
    };
    print_table(
        &["NAME", "TENANT", "WEIGHT", "AT ONCE", "SINCE"],
        &tenants.iter().map(row).collect::<Vec<_>>(),
    )
}

/// A tenant with what its record does not hold. What is within it a server tells its own people only.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    tenant: TenantRecord,
    #[serde(flatten)]
    within: Option<Within>,
}

/// What is within a tenant.
#[derive(Serialize)]
struct Within {
    /// So many tasks in each state.
    tasks: BTreeMap<String, u64>,
    scopes: Vec<String>,
    schedules: Vec<String>,
}

async fn show(place: &Place, name: &str, json: bool) -> anyhow::Result<()> {
    let tenant = place.tenant_named(name).await?;
    let within = match place {
        Place::Here(desk) => Some(within(desk, tenant.id).await?),
        Place::There(_) => None,
    };
    if json {
        return print_json(&Shown { tenant, within });
    }
    let mut rows = vec![
        ("name", tenant.name),
        ("tenant", tenant.id.to_string()),
        ("weight", tenant.weight.to_string()),
        ("most in flight", tenant.most_in_flight.to_string()),
        ("since", short_time(tenant.created_at)),
    ];
    if let Some(Within { tasks, scopes, schedules }) = within {
        let tasks: Vec<String> = tasks.iter().map(|(state, count)| format!("{count} {state}")).collect();
        rows.push(("tasks", tasks.join(", ")));
        rows.push(("scopes", scopes.join(", ")));
        rows.push(("schedules", schedules.join(", ")));
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    print_table(&["", ""], &rows)
}

async fn within(desk: &Desk, tenant: TenantId) -> anyhow::Result<Within> {
    let mut tasks = BTreeMap::new();
    for ((_, state), count) in desk.store.task_counts(tenant).await? {
        *tasks.entry(state).or_default() += count;
    }
    let scopes = desk.store.scopes(tenant).await?.into_iter().map(|(name, _)| name).collect();
    let schedules = desk.store.schedules(tenant).await?;
    let schedules = schedules.into_iter().map(|schedule| schedule.name).collect();
    Ok(Within { tasks, scopes, schedules })
}
