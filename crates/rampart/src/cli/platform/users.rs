//! The options of `rampart user`.

use clap::{Args, Subcommand};
use model::{Role, UserName};

#[derive(Debug, Args)]
pub(crate) struct UserChangeArguments {
    /// By what they log in
    pub(crate) name: UserName,

    /// What they may do from now on
    #[arg(long, value_name = "ROLE", required_unless_present_any = ["disable", "enable"])]
    pub(crate) role: Option<Role>,

    /// They may not log in any more
    #[arg(long)]
    pub(crate) disable: bool,

    /// They may log in again
    #[arg(long, conflicts_with = "disable")]
    pub(crate) enable: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// List who may log in
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Invite somebody: prints an invitation, once, with which they choose a password
    Invite {
        /// By what they log in, such as j.doe@acme.test
        name: UserName,
        /// What they may do: owner, administrator, operator, analyst, auditor, viewer, or a role of your own
        #[arg(long, value_name = "ROLE", required_unless_present = "again")]
        role: Option<Role>,
        /// They are there already, and have lost their password: what they log in with is good for nothing any more
        #[arg(long, conflicts_with = "role")]
        again: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what somebody may do, or that they may not log in; their sessions end
    Change(UserChangeArguments),
    /// Forget somebody; the audit still tells what they did
    Delete {
        /// By what they log in
        name: UserName,
    },
}
