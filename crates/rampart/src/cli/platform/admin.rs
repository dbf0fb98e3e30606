//! The options of `rampart admin`.

use clap::{Args, Subcommand};
use model::{Role, UserName};

#[derive(Debug, Args)]
pub(crate) struct AdminCreateArguments {
    /// By what they log in, such as j.doe@acme.test
    pub(crate) name: UserName,

    /// What they may do [default: owner]
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Option<Role>,

    /// Read the password from standard input; without it an invitation is printed, with which they choose one
    #[arg(long)]
    pub(crate) password_stdin: bool,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Let somebody in who administers the tenant
    Create(AdminCreateArguments),
    /// Give somebody another password, read from standard input; their sessions end
    Password {
        /// By what they log in
        name: UserName,
    },
    /// List who may log in
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}
