//! The options of `rampart webhook`.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use model::HappeningKind;
use url::Url;

use crate::cli::values::{duration, name};

#[derive(Debug, Args)]
pub(crate) struct WebhookCreateArguments {
    /// Its name
    #[arg(value_parser = name)]
    pub(crate) name: String,

    /// Where to: https://…, with nothing secret in it
    pub(crate) url: Url,

    /// What of, with commas between them, such as finding_new,scan_ended; everything without
    #[arg(long, value_name = "EVENTS", value_delimiter = ',')]
    pub(crate) events: Vec<HappeningKind>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("change").args(["url", "events", "everything", "enable", "disable"]).required(true).multiple(true)))]
pub(crate) struct WebhookChangeArguments {
    /// Its name
    pub(crate) name: String,

    /// Where to from now on
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<Url>,

    /// What of from now on
    #[arg(long, value_name = "EVENTS", value_delimiter = ',')]
    pub(crate) events: Option<Vec<HappeningKind>>,

    /// Of everything from now on
    #[arg(long, conflicts_with = "events")]
    pub(crate) everything: bool,

    /// Send again; what happened meanwhile is not sent later
    #[arg(long)]
    pub(crate) enable: bool,

    /// Send nothing for the time being
    #[arg(long, conflicts_with = "enable")]
    pub(crate) disable: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// Tell a receiver what happens; its secret is shown once
    Create(WebhookCreateArguments),
    /// List webhooks, and whether they arrive
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say where to, what of, and whether
    Change(WebhookChangeArguments),
    /// Give a webhook another secret; for a while what is sent is signed with those before, too
    Rotate {
        /// Its name
        name: String,
        /// How long those before go on
        #[arg(long, value_name = "TIME", default_value = "1d", value_parser = duration)]
        overlap: Duration,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget a webhook
    Delete {
        /// Its name
        name: String,
    },
}
