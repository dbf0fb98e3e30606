//! To whom messages to webhooks may go, and with what they are signed.

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use clap::Args;
use client::Trusted;
use model::webhook::{Receivers, WebhookKeys};
use worker::deliver::{Sender, Sending};

use super::Configuration;

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WebhooksArguments {
    /// To whom tenants' webhooks may lead, with commas between them: names, `*.` and a name for all below it, networks, each at port 443, or
    /// at the one behind a `:`; a name leads to public addresses, and to others only when a network has them [default: to nobody]
    #[arg(
        long,
        value_name = "RECEIVERS",
        env = "RAMPART_WEBHOOK_RECEIVERS",
        help_heading = "Platform",
        global = true
    )]
    webhook_receivers: Option<String>,

    /// File with 32 characters or more that nobody can guess: of them the secrets of all webhooks are made; those of older keys, each in a
    /// line below, go on [default: none]
    #[arg(long, value_name = "FILE", env = "RAMPART_WEBHOOK_KEY", help_heading = "Platform", global = true)]
    webhook_key: Option<PathBuf>,

    /// Who signed the certificates of receivers, in PEM [default: whoever this machine trusts]
    #[arg(long, value_name = "FILE", env = "RAMPART_WEBHOOK_CA", help_heading = "Platform", global = true)]
    webhook_ca: Option<PathBuf>,
}

/// Nothing is sent without receivers and a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Webhooks {
    pub(super) receivers: Receivers,
    pub(super) key: Option<PathBuf>,
    pub(super) authorities: Option<PathBuf>,
}

impl Webhooks {
    pub(super) fn of(
        arguments: WebhooksArguments,
        receivers: Option<String>,
        key: Option<PathBuf>,
        authorities: Option<PathBuf>,
    ) -> anyhow::Result<Webhooks> {
        let receivers = arguments.webhook_receivers.or(receivers).unwrap_or_default();
        let receivers: Receivers = receivers.parse().context("webhook_receivers")?;
        let key = arguments.webhook_key.or(key);
        let authorities = arguments.webhook_ca.or(authorities);
        if receivers.is_empty() && (key.is_some() || authorities.is_some()) {
            bail!("webhook_key and webhook_ca are about webhook_receivers, and there are none");
        }
        if !receivers.is_empty() && key.is_none() {
            bail!(
                "webhook_receivers: messages are signed, and there is no key: `openssl rand -hex 32` makes one, webhook_key names the \
                 file with it"
            );
        }
        Ok(Webhooks { receivers, key, authorities })
    }
}

impl Webhooks {
    /// Is anything sent? That is so or not so from the start on.
    pub(crate) fn are_sent(&self) -> bool {
        self.key.is_some()
    }
}

impl Configuration {
    pub(crate) fn webhook_keys(&self) -> anyhow::Result<Option<WebhookKeys>> {
        let Some(file) = &self.webhooks.key else { return Ok(None) };
        let text = fs::read_to_string(file)
            .with_context(|| format!("cannot read `{}` for webhook_key", file.display()))?;
        let keys = WebhookKeys::new(&text);
        keys.map(Some).with_context(|| format!("webhook_key: the keys in `{}`", file.display()))
    }

    /// As the gateway goes by it.
    pub(crate) fn webhooks(&self) -> anyhow::Result<Option<gateway::Webhooks>> {
        Ok(self.webhook_keys()?.map(|keys| self.webhooks_with(keys)))
    }

    pub(crate) fn webhooks_with(&self, keys: WebhookKeys) -> gateway::Webhooks {
        gateway::Webhooks { receivers: self.webhooks.receivers.clone(), keys }
    }

    /// Who sends messages, if any are sent.
    pub(crate) fn sender(&self) -> anyhow::Result<Option<Arc<Sender>>> {
        let Some(keys) = self.webhook_keys()? else { return Ok(None) };
        let product = format!("rampart/{}", env!("CARGO_PKG_VERSION"));
        Ok(Some(Arc::new(Sender::new(self.sending_with(keys)?, product))))
    }

    /// How messages are sent.
    pub(crate) fn sending_with(&self, keys: WebhookKeys) -> anyhow::Result<Sending> {
        let trusted = match &self.webhooks.authorities {
            Some(file) => Trusted::Only(
                fs::read(file).with_context(|| format!("cannot read `{}` for webhook_ca", file.display()))?,
            ),
            None => Trusted::OfThisMachine,
        };
        let tls = Arc::new(trusted.configuration().context("webhook_ca")?);
        Ok(Sending { keys, receivers: self.webhooks.receivers.clone(), tls })
    }
}
