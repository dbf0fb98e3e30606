//! The options of `rampart role`.

use clap::{Args, Subcommand};
use model::{Permission, Role, RoleName};

#[derive(Debug, Args)]
pub(crate) struct RolePermissionsArguments {
    /// What it is called, such as triage
    pub(crate) name: RoleName,

    /// What whoever has it may do, such as findings.read findings.decide; `rampart role show owner` lists everything
    #[arg(value_name = "PERMISSION", required = true)]
    pub(crate) permissions: Vec<Permission>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    /// List the roles that every tenant has, and those that this one has made
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what whoever has a role may do
    Show {
        /// What it is called
        name: Role,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a role of permissions
    Create(RolePermissionsArguments),
    /// Say what whoever has a role may do from now on, and nothing else
    Change(RolePermissionsArguments),
    /// Take a role back that nobody has any more
    Delete {
        /// What it is called
        name: RoleName,
    },
}
