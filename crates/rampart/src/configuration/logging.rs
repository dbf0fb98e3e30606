//! What the roles say to standard error.

use anyhow::Context;
use tracing_subscriber::{EnvFilter, reload};

use super::{Configuration, LogFormat};

/// Decides which lines are written; it can be said anew.
pub(crate) struct Logging(Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl Logging {
    /// Goes by this from now on.
    pub(crate) fn follow(&self, filter: EnvFilter) -> anyhow::Result<()> {
        (self.0)(filter).context("the log cannot be changed")
    }
}

impl Configuration {
    /// Which lines are written.
    pub(crate) fn filter(&self) -> anyhow::Result<EnvFilter> {
        EnvFilter::try_new(&self.log).with_context(|| {
            format!("log: `{}` is no filter; write for example info or worker=debug", self.log)
        })
    }

    pub(crate) fn start_logging(&self) -> anyhow::Result<Logging> {
        let lines = tracing_subscriber::fmt().with_env_filter(self.filter()?).with_writer(std::io::stderr);
        Ok(match self.log_format {
            LogFormat::Text => {
                let lines = lines.with_ansi(false).with_target(false).with_filter_reloading();
                let handle = lines.reload_handle();
                lines.init();
                Logging(Box::new(move |filter| handle.reload(filter)))
            }
            LogFormat::Json => {
                let lines = lines.json().with_filter_reloading();
                let handle = lines.reload_handle();
                lines.init();
                Logging(Box::new(move |filter| handle.reload(filter)))
            }
        })
    }
}
