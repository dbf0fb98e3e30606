//! The options of `rampart key`.

use std::time::Duration;

use clap::{Args, Subcommand};
use ipnet::IpNet;
use model::Role;

use crate::cli::values::{duration, name};

#[derive(Debug, Args)]
pub(crate) struct KeyCreateArguments {
    /// What it is for: its name
    #[arg(value_parser = name)]
    pub(crate) name: String,

    /// What whoever has it may do: owner, administrator, operator, analyst, auditor, viewer, scanner for a machine, or a role
    /// of your own
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Role,

    /// Only from these networks, such as 10.0.0.0/8; from anywhere without any
    #[arg(long = "network", value_name = "NETWORKS", value_delimiter = ',')]
    pub(crate) networks: Vec<IpNet>,

    /// How long it is good, such as 90d; until it is revoked without
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) good_for: Option<Duration>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key; it is shown once
    Create(KeyCreateArguments),
    /// List keys: what they may do and when they were used last, never the keys themselves
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make another key in the place of one, which goes on for a while
    Rotate {
        /// The 8 digits that the key begins with, after rampart_
        #[arg(value_name = "PREFIX")]
        prefix: String,
        /// How long the old one goes on
        #[arg(long, value_name = "TIME", default_value = "1d", value_parser = duration)]
        overlap: Duration,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a key back, at once
    Revoke {
        /// The 8 digits that the key begins with, after rampart_
        #[arg(value_name = "PREFIX")]
        prefix: String,
    },
}
