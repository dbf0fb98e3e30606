//! `rampart tenant`.

use std::process::ExitCode;

use model::Scope;
use store::NewTenant;

use super::{operate, operator, print_json, print_table, short_time};
use crate::{
    cli::{TenantCommand, say},
    configuration::Configuration,
};

pub(crate) fn tenant(configuration: &Configuration, command: &TenantCommand) -> anyhow::Result<ExitCode> {
    operate(configuration, async |desk| {
        match command {
            TenantCommand::Create { name, weight, most_in_flight, json } => {
                let new = NewTenant { name: name.clone(), weight: *weight, most_in_flight: *most_in_flight };
                let tenant = desk.store.create_tenant(new, operator()).await?;
                desk.store.put_scope(tenant.id, "loopback", Scope::loopback(), operator()).await?;
                if *json { print_json(&tenant)? } else { say(&format!("tenant {name}: {}\n", tenant.id)) }
            }
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
