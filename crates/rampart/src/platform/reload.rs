//! SIGHUP: the configuration is read again, and what can change without a new start does. Nothing that goes on is broken off.

use std::{
    io::{IsTerminal, stderr},
    sync::Arc,
};

use anyhow::Context;
use gateway::Gateway;
use store::Store;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use worker::{
    deliver::Sender,
    doorbell::{self, Changing, Counts},
    orchestrator::Keeping,
};

use super::gateway::rules;
use crate::{
    cli::ListenArguments,
    configuration::{Configuration, Logging, Process},
};

/// Hears SIGHUP from when it is made. Not at a terminal: when that is closed, what runs in it ends as usual.
pub(super) struct Hangup(Option<Signal>);

/// A process, and what of it goes by the configuration.
pub(super) struct Running {
    pub(super) process: Process,
    /// By which it goes now.
    pub(super) configuration: Configuration,
    pub(super) logging: Logging,
    pub(super) store: Store,
    pub(super) doorbell: Arc<Changing>,
    /// Of a process that answers.
    pub(super) answering: Option<Answering>,
    /// Of a process that looks after what is kept.
    pub(super) keeping: Option<watch::Sender<Keeping>>,
    /// Of a process that sends messages to webhooks.
    pub(super) sender: Option<Arc<Sender>>,
}

/// How requests are answered.
pub(super) struct Answering {
    /// They go before what the configuration says.
    pub(super) arguments: ListenArguments,
    pub(super) gateway: Gateway,
    pub(super) counts: Option<Arc<Counts>>,
}

impl Hangup {
    pub(super) fn listen() -> anyhow::Result<Hangup> {
        if stderr().is_terminal() {
            return Ok(Hangup(None));
        }
        signal(SignalKind::hangup()).map(Some).map(Hangup).context("cannot listen for SIGHUP")
    }

    /// Reads the configuration again each time. What cannot be used is told, and everything goes on as it was.
    pub(super) fn follow(
        self,
        read: impl Fn() -> anyhow::Result<Configuration> + Send + Sync + 'static,
        mut running: Running,
    ) {
        let Hangup(Some(mut hangup)) = self else { return };
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                let waiting = match read() {
                    Ok(says) => running.follow(&says).await,
                    Err(error) => Err(error),
                };
                match waiting {
                    Ok(waiting) => {
                        tracing::info!("the configuration was read again, and holds");
                        if !waiting.is_empty() {
                            let settings = waiting.join(", ");
                            tracing::warn!(settings, "what has changed here needs a new start");
                        }
                    }
                    Err(error) => {
                        tracing::error!(
                            "the configuration cannot be used, and all goes on as it was: {error:#}"
                        );
                    }
                }
            }
        });
    }
}

impl Running {
    /// Goes by what the configuration says by now, and names what of it needs a new start.
    async fn follow(&mut self, says: &Configuration) -> anyhow::Result<Vec<&'static str>> {
        let (next, mut waiting) = self.configuration.followed_by(says, self.process);
        // First all is looked at, then it holds.
        let filter = says.filter()?;
        let keeping = self.keeping.as_ref().map(|_| next.keeping()).transpose()?;
        let bell = next.doorbell != self.configuration.doorbell;
        let bell = bell.then(|| next.doorbell()).transpose()?;
        // Whoever is to send from the next start on, or nothing any more, goes on as before until then, with or without the file.
        let is_as_before = says.webhooks.are_sent() == self.configuration.webhooks.are_sent();
        let keys = match is_as_before && (self.sender.is_some() || self.answering.is_some()) {
            true => next.webhook_keys()?,
            false => None,
        };
        let sending = self.sender.as_ref().zip(keys.clone());
        let sending = sending.map(|(_, keys)| next.sending_with(keys)).transpose()?;
        let rules = match &self.answering {
            Some(Answering { arguments, gateway, .. }) => {
                let webhooks = keys.map(|keys| next.webhooks_with(keys)).or_else(|| gateway.webhooks());
                Some(rules(says, arguments, webhooks)?)
            }
            None => None,
        };
        // It is asked whether it takes the password.
        self.store.turn_to(&next.location()).await.context("database")?;
        let is_rung_elsewhere = bell.is_some();
        if let Some(bell) = bell {
            self.doorbell.change(bell);
        }
        if let Some((Answering { arguments, gateway, counts }, rules)) = self.answering.as_ref().zip(rules) {
            if let Some(counts) = counts.as_ref().filter(|_| is_rung_elsewhere) {
                counts.turn_to(next.doorbell.reveal(), &doorbell::Settings::default())?;
            }
            gateway.rule(rules);
            waiting.retain(|setting| !arguments.say(setting));
        }
        if let Some((sender, keeping)) = self.keeping.as_ref().zip(keeping) {
            sender.send_modify(|before| *before = keeping.after(before));
        }
        if let Some((sender, sending)) = self.sender.as_ref().zip(sending) {
            sender.follow(sending);
        }
        self.configuration = next;
        self.logging.follow(filter)?;
        Ok(waiting)
    }
}
