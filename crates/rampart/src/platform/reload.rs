//! SIGHUP, or a file that has changed: the configuration is read again, and what can change without a new start does. Nothing that goes
//! on is broken off.

use std::{
    future::pending,
    io::{IsTerminal, stderr},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use gateway::Gateway;
use store::Store;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::{Interval, MissedTickBehavior, interval},
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

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Hears SIGHUP from when it is made. Not at a terminal: when that is closed, what runs in it ends as usual.
pub(super) struct Hangup {
    signal: Option<Signal>,
    look: Option<Interval>,
}

/// A process, and what of it goes by the configuration.
pub(super) struct Running {
    pub(super) process: Process,
    /// By which it goes now.
    pub(super) configuration: Configuration,
    /// Settings that need a new start and were given by flags: what the configuration says of them holds no more after one.
    pub(super) given: Vec<&'static str>,
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
    /// And looks at files, too, where somebody wants that.
    pub(super) fn listen(follow_files: bool) -> anyhow::Result<Hangup> {
        let signal = match stderr().is_terminal() {
            true => None,
            false => Some(signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?),
        };
        let look = follow_files.then(|| {
            let mut look = interval(LOOK);
            look.set_missed_tick_behavior(MissedTickBehavior::Delay);
            look
        });
        Ok(Hangup { signal, look })
    }

    /// Waits until the configuration is to be read again: what its files look like differs from what was `seen` when it was read
    /// last, or what they said then could not be used, `again`.
    async fn heard(&mut self, running: &Running, seen: &mut Vec<Look>, again: bool) {
        let Hangup { signal, look } = self;
        let hung_up = async {
            match signal {
                // It never ends.
                Some(signal) => drop(signal.recv().await),
                None => pending().await,
            }
        };
        let changed = async {
            let Some(look) = look else { return pending().await };
            loop {
                look.tick().await;
                let now = running.looks();
                if now != *seen || again {
                    *seen = now;
                    return;
                }
            }
        };
        tokio::select! {
            () = hung_up => {}
            () = changed => {}
        }
    }

    /// Reads the configuration again each time. What cannot be used is told, and everything goes on as it was.
    pub(super) fn follow(
        self,
        read: impl Fn() -> anyhow::Result<Configuration> + Send + Sync + 'static,
        mut running: Running,
    ) {
        let mut hangup = self;
        let mut seen = running.looks();
        let mut refused: Option<String> = None;
        tokio::spawn(async move {
            loop {
                // What is refused may be right a moment later: a file has its new password before the database does.
                hangup.heard(&running, &mut seen, refused.is_some()).await;
                let waiting = match read() {
                    Ok(says) => running.follow(&says).await,
                    Err(error) => Err(error),
                };
                match waiting {
                    Ok(waiting) => {
                        refused = None;
                        tracing::info!("the configuration was read again, and holds");
                        if !waiting.is_empty() {
                            let settings = waiting.join(", ");
                            tracing::warn!(settings, "what has changed here needs a new start");
                        }
                    }
                    Err(error) => {
                        let why = format!("{error:#}");
                        if refused.as_ref() != Some(&why) {
                            tracing::error!(
                                "the configuration cannot be used, and all goes on as it was: {why}"
                            );
                        }
                        refused = Some(why);
                    }
                }
            }
        });
    }
}

/// What a file looks like from outside: one that was put in its place looks different.
type Look = Option<(u64, u64, Option<SystemTime>)>;

impl Running {
    fn looks(&self) -> Vec<Look> {
        let look = |path: &PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.ino(), metadata.len(), metadata.modified().ok()))
        };
        let arguments = self.answering.as_ref().map(|answering| &answering.arguments);
        let providers = arguments.and_then(|arguments| arguments.identity_providers.as_ref());
        self.configuration.files().iter().chain(providers).map(look).collect()
    }

    /// Goes by what the configuration says by now, and names what of it needs a new start.
    async fn follow(&mut self, says: &Configuration) -> anyhow::Result<Vec<&'static str>> {
        let (next, mut waiting) = self.configuration.followed_by(says, self.process);
        // First all is looked at, then it holds.
        let filter = says.filter()?;
        let keeping = self.keeping.as_ref().map(|_| next.keeping()).transpose()?;
        let bell = next.doorbell_url() != self.configuration.doorbell_url();
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
        waiting.retain(|setting| !self.given.contains(setting));
        if let Some((Answering { gateway, counts, .. }, rules)) = self.answering.as_ref().zip(rules) {
            if let Some(counts) = counts.as_ref().filter(|_| is_rung_elsewhere) {
                counts.turn_to(next.doorbell_url().reveal(), &doorbell::Settings::default())?;
            }
            gateway.rule(rules);
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
