//! `rampart tenant`.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Context;
use model::Scope;
use serde::Serialize;
use store::{NewTenant, TenantRecord};

use super::{Desk, operate_here, operator, print_json, print_table, short_time};
use crate::{
    cli::{TenantCommand, TenantSetArguments, say},
    configuration::Configuration,
};

pub(super) fn tenant(configuration: &Configuration, command: &TenantCommand) -> anyhow::Result<ExitCode> {
    operate_here(configuration, async |desk| {
        match command {
            TenantCommand::Create { name, weight, most_in_flight, json } => {
                let new = NewTenant { name: name.clone(), weight: *weight, most_in_flight: *most_in_flight };
                let tenant = desk.store.create_tenant(new, operator()).await?;
                desk.store.put_scope(tenant.id, "loopback", Scope::loopback(), operator()).await?;
                if *json { print_json(&tenant)? } else { say(&format!("tenant {name}: {}\n", tenant.id)) }
            }
            TenantCommand::Set(asked) => {
                let TenantSetArguments { name, weight, most_in_flight, json } = asked;
                let id = named(&desk, name).await?.id;
                let tenant = desk.store.set_tenant(id, *weight, *most_in_flight, operator()).await?;
                if *json {
                    print_json(&tenant)?;
                } else {
                    let (weight, most) = (tenant.weight, tenant.most_in_flight);
                    say(&format!("tenant {name}: weight {weight}, at most {most} tasks at work at once\n"));
                }
            }
            TenantCommand::Show { name, json } => show(&desk, name, *json).await?,
            TenantCommand::List { json } => {
                let tenants = desk.store.tenants().await?;
                if *json {
                    print_json(&tenants)?;
                } else {
                    let rows: Vec<Vec<String>> = tenants
                        .iter()
                        .map(|tenant| {
                            vec![
                                tenant.name.clone(),
                                tenant.id.to_string(),
                                tenant.weight.to_string(),
                                tenant.most_in_flight.to_string(),
                                short_time(tenant.created_at),
                            ]
                        })
                        .collect();
                    print_table(&["NAME", "TENANT", "WEIGHT", "AT ONCE", "SINCE"], &rows)?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn named(desk: &Desk, name: &str) -> anyhow::Result<TenantRecord> {
    desk.store.tenant_named(name).await.context("`rampart tenant list` shows the tenants")
}

/// A tenant with what its record does not hold.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    tenant: TenantRecord,
    /// So many tasks in each state.
    tasks: BTreeMap<String, u64>,
    scopes: Vec<String>,
    schedules: Vec<String>,
}

async fn show(desk: &Desk, name: &str, json: bool) -> anyhow::Result<()> {
    let tenant = named(desk, name).await?;
    let mut tasks = BTreeMap::new();
    for ((_, state), count) in desk.store.task_counts(tenant.id).await? {
        *tasks.entry(state).or_default() += count;
    }
    let scopes = desk.store.scopes(tenant.id).await?.into_iter().map(|(name, _)| name).collect();
    let schedules = desk.store.schedules(tenant.id).await?;
    let schedules = schedules.into_iter().map(|schedule| schedule.name).collect();
    let shown = Shown { tenant, tasks, scopes, schedules };
    if json {
        return print_json(&shown);
    }
    let Shown { tenant, tasks, scopes, schedules } = shown;
    let tasks: Vec<String> = tasks.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let rows = [
        ("name", tenant.name),
        ("tenant", tenant.id.to_string()),
        ("weight", tenant.weight.to_string()),
        ("most in flight", tenant.most_in_flight.to_string()),
        ("since", short_time(tenant.created_at)),
        ("tasks", tasks.join(", ")),
        ("scopes", scopes.join(", ")),
        ("schedules", schedules.join(", ")),
    ];
    let rows: Vec<Vec<String>> = rows.map(|(name, value)| vec![name.to_owned(), value]).into();
    print_table(&["", ""], &rows)
}
