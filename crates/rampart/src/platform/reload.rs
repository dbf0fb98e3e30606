//! SIGHUP: the configuration is read again, and what can change without a new start does. Nothing that goes on is broken off.

use std::io::{IsTerminal, stderr};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::configuration::{Configuration, Logging};

/// Hears SIGHUP from when it is made. Not at a terminal: when that is closed, what runs in it ends as usual.
pub(super) struct Hangup(Option<Signal>);

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
        read: impl Fn() -> anyhow::Result<Configuration> + Send + 'static,
        logging: Logging,
        what: &'static str,
        change: impl Fn(&Configuration) -> anyhow::Result<()> + Send + 'static,
    ) {
        let Hangup(Some(mut hangup)) = self else { return };
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                let changed = read().and_then(|configuration| {
                    // First all is looked at, then it holds.
                    let filter = configuration.filter()?;
                    change(&configuration)?;
                    logging.follow(filter)
                });
                match changed {
                    Ok(()) => {
                        tracing::info!(
                            "the configuration was read again: {what} as it says, the rest with the next start"
                        );
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
