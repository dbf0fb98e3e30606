//! `rampart role`: what people and programs may do.

use std::{collections::BTreeSet, process::ExitCode};

use model::record::{NewRole, RoleRecord};

use super::{operate, print_json, print_table, put};
use crate::{
    cli::{RoleCommand, RolePermissionsArguments, say},
    configuration::Whereabouts,
};

pub(super) fn role(whereabouts: &Whereabouts, command: &RoleCommand) -> anyhow::Result<ExitCode> {
    operate(whereabouts, async |place| {
        match command {
            RoleCommand::List { json } => {
                let roles = place.roles().await?;
                if *json { print_json(&roles)? } else { list(&roles)? }
            }
            RoleCommand::Show { name, json } => {
                let role = place.role(name).await?;
                if *json { print_json(&role)? } else { put(&lines(&role))? }
            }
            RoleCommand::Create(RolePermissionsArguments { name, permissions }) => {
                let permissions = permissions.iter().copied().collect();
                made(&place.create_role(NewRole { name: name.clone(), permissions }).await?);
            }
            RoleCommand::Change(RolePermissionsArguments { name, permissions }) => {
                let permissions: BTreeSet<_> = permissions.iter().copied().collect();
                made(&place.change_role(name, permissions).await?);
            }
            RoleCommand::Delete { name } => {
                place.delete_role(name).await?;
                say(&format!("the role {name} is not there any more\n"));
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn lines(role: &RoleRecord) -> String {
    role.permissions.iter().map(|permission| format!("{permission}\n")).collect()
}

fn made(RoleRecord { name, permissions, .. }: &RoleRecord) {
    let words: Vec<String> = permissions.iter().map(ToString::to_string).collect();
    say(&format!("whoever has the role {name} may {}\n", words.join(", ")));
}

fn list(roles: &[RoleRecord]) -> anyhow::Result<()> {
    let row = |role: &RoleRecord| {
        let maker = role.created_by.clone().unwrap_or_else(|| "built in".to_owned());
        vec![role.name.to_string(), role.permissions.len().to_string(), maker]
    };
    print_table(&["NAME", "PERMISSIONS", "MADE BY"], &roles.iter().map(row).collect::<Vec<_>>())
}
