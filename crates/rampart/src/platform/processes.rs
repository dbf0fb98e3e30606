//! An installation on several processes: workers and orchestrators.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::Args;
use traces::Traces;
use worker::{Checks, Pool, PoolOptions, Stages};

use super::{Desk, interrupted, reload::Hangup};
use crate::{
    cli::{OnPlatform, WorkerArguments},
    configuration::{Configuration, Logging},
    library::Library,
};

/// What they read again.
const LOG: &str = "the log's filter is";

/// The checks of this process, as workers want them.
pub(super) fn checks(demo: bool) -> anyhow::Result<Checks> {
    let mut library = Library::built_in();
    library.require_unique_ids()?;
    library.take_out_risky(&[]);
    Ok(Checks::new(library.templates, format!("rampart/{}", env!("CARGO_PKG_VERSION")), demo))
}

/// Runs a role, which goes on until it is told to end, with what it says under that name.
pub(super) fn run(
    configuration: &Configuration,
    service: &'static str,
    role: impl AsyncFnOnce(Logging) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let (logging, traces) = configuration.start_logging(service, runtime.handle())?;
    let ended = runtime.block_on(role(logging));
    // While the runtime still sends.
    if let Some(Err(error)) = traces.map(Traces::end) {
        tracing::warn!(%error, "the process ends before the collector has taken all traces");
    }
    ended
}

pub(super) fn worker(asked: &OnPlatform<WorkerArguments>) -> anyhow::Result<ExitCode> {
    let (configuration, arguments) = (&asked.configuration()?, &asked.arguments);
    scanner::socket::raise_descriptor_limit();
    run(configuration, "rampart-worker", async |logging| {
        Hangup::listen()?.follow(asked.reader(), logging, LOG, |_| Ok(()));
        let stop = interrupted()?;
        let desk = Desk::open(configuration.clone()).await?;
        let objects = configuration.make_objects()?;
        let store = configuration.with_evidence(desk.store)?;
        let stages = Stages::new(store.clone(), checks(false)?, objects);
        let options = PoolOptions {
            stages: arguments.stages.clone(),
            concurrency: arguments.concurrency,
            drain: arguments.drain,
            lease: arguments.lease,
        };
        let stages = Arc::new(stages.within(arguments.ceilings.of_tasks()));
        let pool = Pool::new(store, desk.doorbell, stages, options);
        if let Err(error) = pool.introduce().await {
            tracing::warn!(%error, "the worker cannot say that it is there; it goes on trying");
        }
        tracing::info!(stages = ?arguments.stages, concurrency = arguments.concurrency, "the worker is ready");
        pool.run(stop).await.context("the worker cannot work")?;
        tracing::info!("the worker has handed everything back");
        Ok(ExitCode::SUCCESS)
    })
}

pub(super) fn orchestrator<T: Args>(asked: &OnPlatform<T>) -> anyhow::Result<ExitCode> {
    let configuration = asked.configuration()?;
    run(&configuration, "rampart-orchestrator", async |logging| {
        Hangup::listen()?.follow(asked.reader(), logging, LOG, |_| Ok(()));
        let stop = interrupted()?;
        let desk = Desk::open(configuration.clone()).await?;
        let store = configuration.with_evidence(desk.store)?;
        let keeping = configuration.keeping()?;
        worker::orchestrator::run(store, desk.doorbell, configuration.terms(), keeping, stop).await;
        Ok(ExitCode::SUCCESS)
    })
}
