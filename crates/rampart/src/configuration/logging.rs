//! What the roles say to standard error, and to a collector of traces.

use anyhow::Context;
use client::Trusted;
use tokio::runtime::Handle;
use traces::{Settings, Traces};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, layer::SubscriberExt, registry, reload, util::SubscriberInitExt,
};
use uuid::Uuid;

use super::{Configuration, LogFormat, Process};

/// Decides which lines are written; it can be said anew.
pub(crate) struct Logging(reload::Handle<EnvFilter, Registry>);

impl Logging {
    /// Goes by this from now on.
    pub(crate) fn follow(&self, filter: EnvFilter) -> anyhow::Result<()> {
        self.0.reload(filter).context("the log cannot be changed")
    }
}

impl Configuration {
    /// Which lines are written.
    pub(crate) fn filter(&self) -> anyhow::Result<EnvFilter> {
        EnvFilter::try_new(&self.log).with_context(|| {
            format!("log: `{}` is no filter; write for example info or worker=debug", self.log)
        })
    }

    /// From now on it is said what happens, and traced, where somebody wants that, by this runtime.
    pub(crate) fn start_logging(
        &self,
        process: Process,
        runtime: &Handle,
    ) -> anyhow::Result<(Logging, Option<Traces>)> {
        let (filter, handle) = reload::Layer::new(self.filter()?);
        let lines = fmt::layer().with_writer(std::io::stderr);
        // What is traced does not go by what is written.
        let lines = match self.log_format {
            LogFormat::Text => lines.with_ansi(false).with_target(false).with_filter(filter).boxed(),
            LogFormat::Json => lines.json().with_filter(filter).boxed(),
        };
        let lines = registry().with(lines);
        let traces = match self.trace_settings(process.service())? {
            None => {
                lines.init();
                None
            }
            Some(settings) => {
                let started = traces::start(settings, runtime.clone());
                let (layer, traces) = started.context("traces cannot be sent")?;
                lines.with(layer).init();
                Some(traces)
            }
        };
        Ok((Logging(handle), traces))
    }

    fn trace_settings(&self, service: &'static str) -> anyhow::Result<Option<Settings>> {
        let Some(collector) = self.traces.clone() else { return Ok(None) };
        let trusted = match collector.scheme() {
            "https" => Trusted::OfThisMachine.configuration(),
            // What is not encrypted needs nobody who vouches for it.
            _ => Trusted::nobody(),
        };
        Ok(Some(Settings {
            collector,
            headers: self.traces_headers.clone(),
            trusted: trusted.context("traces")?,
            ratio: self.traces_ratio,
            service,
            version: env!("CARGO_PKG_VERSION"),
            instance: Uuid::now_v7().to_string(),
        }))
    }
}
