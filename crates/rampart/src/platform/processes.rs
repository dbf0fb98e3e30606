//! An installation on several processes: workers and orchestrators.

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use cluster::api::InCluster;
use gateway::Watched;
use model::Stage;
use store::{Store, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use traces::Traces;
use worker::{Checks, OrchestratorFigures, Pool, PoolOptions, Stages, deliver::Sender};

use super::{
    deletion_cost,
    gateway::be_watched,
    interrupted,
    reload::{Hangup, Running},
};
use crate::{
    cli::{OnPlatform, OrchestratorArguments, StartArguments, WorkerArguments},
    configuration::{Configuration, Logging, Process},
    library::Library,
};

/// The checks of this process, as workers want them.
pub(super) fn checks(demo: bool) -> anyhow::Result<Checks> {
    let mut library = Library::built_in();
    library.require_unique_ids()?;
    library.take_out_risky(&[]);
    Ok(Checks::new(library.templates, format!("rampart/{}", env!("CARGO_PKG_VERSION")), demo))
}

/// Of these stages those that this process can work for: who may send no messages leaves them to others.
pub(super) fn served(stages: &[Stage], sender: Option<&Sender>) -> Vec<Stage> {
    let can = |stage: &&Stage| **stage != Stage::Deliver || sender.is_some();
    stages.iter().filter(can).copied().collect()
}

/// Runs a role, which goes on until it is told to end, with what it says of itself.
pub(crate) fn run(
    configuration: &Configuration,
    process: Process,
    role: impl AsyncFnOnce(Logging) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let (logging, traces) = configuration.start_logging(process, runtime.handle())?;
    let ended = runtime.block_on(role(logging));
    // While the runtime still sends.
    if let Some(Err(error)) = traces.map(Traces::end) {
        tracing::warn!(%error, "the process ends before the collector has taken all traces");
    }
    ended
}

/// Opens the database and where evidence is kept, and waits for what is not there yet, or that nobody has prepared yet: where everything
/// is started at once, nobody says in which order. Who is told to end does not wait any longer.
pub(super) async fn open(
    configuration: &Configuration,
    start: &StartArguments,
    stop: &CancellationToken,
) -> anyhow::Result<Store> {
    let wait = start.database_wait.unwrap_or_default();
    let may_come =
        |error: &anyhow::Error| error.downcast_ref::<StoreError>().is_some_and(StoreError::may_be_ready_soon);
    let tell = |error: &anyhow::Error| {
        let what = match error.downcast_ref() {
            Some(StoreError::NoDirectory(_)) => "a directory",
            _ => "the database",
        };
        tracing::warn!(?wait, "waiting for {what}: {error:#}");
    };
    let attempt = async || configuration.with_evidence(configuration.open().await?);
    tokio::select! {
        opened = until_there(wait, attempt, may_come, tell) => opened,
        () = stop.cancelled() => bail!("told to end while it waited"),
    }
}

/// Tries for so long, while errors say that what is wanted may come. The first of them is told.
pub(super) async fn until_there<T, E>(
    wait: Duration,
    attempt: impl AsyncFn() -> Result<T, E>,
    may_come: impl Fn(&E) -> bool,
    tell: impl FnOnce(&E),
) -> Result<T, E> {
    let until = Instant::now() + wait;
    let mut tell = Some(tell);
    loop {
        match attempt().await {
            Err(error) if may_come(&error) && Instant::now() < until => {
                if let Some(tell) = tell.take() {
                    tell(&error);
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            ended => return ended,
        }
    }
}

pub(super) fn worker(asked: &OnPlatform<WorkerArguments>) -> anyhow::Result<ExitCode> {
    let (configuration, arguments) = (&asked.configuration()?, &asked.arguments);
    scanner::socket::raise_descriptor_limit();
    run(configuration, Process::Worker, async |logging| {
        let (stop, hangup) = (interrupted()?, Hangup::listen(arguments.start.follow_files)?);
        let objects = configuration.make_objects()?;
        let store = open(configuration, &arguments.start, &stop).await?;
        let doorbell = configuration.changing_doorbell()?;
        let sender = configuration.sender()?;
        let running = Running {
            process: Process::Worker,
            configuration: configuration.clone(),
            given: arguments.watch.given(),
            logging,
            store: store.clone(),
            doorbell: Arc::clone(&doorbell),
            answering: None,
            keeping: None,
            sender: sender.clone(),
        };
        hangup.follow(asked.reader(), running);
        let stages = Stages::new(store.clone(), checks(false)?, objects);
        let stages_served = served(&arguments.stages, sender.as_deref());
        if stages_served.is_empty() {
            bail!(
                "there is nothing to work for: messages are sent by who has --webhook-receivers and --webhook-key"
            );
        }
        let options = PoolOptions {
            stages: stages_served.clone(),
            concurrency: arguments.concurrency,
            drain: arguments.drain,
            lease: arguments.lease,
        };
        let stages = Arc::new(stages.within(arguments.ceilings.of_tasks()).sending(sender));
        let pool = Pool::new(store.clone(), doorbell, stages, options);
        let (figures, mut registry) = (pool.figures(), gateway::registry());
        figures.register(&mut registry);
        let watched = Watched::new(registry, Some(store), move || figures.trouble(), stop.clone());
        be_watched(configuration, &arguments.watch, watched).await?;
        if let Err(error) = pool.introduce().await {
            tracing::warn!(%error, "the worker cannot say that it is there; it goes on trying");
        }
        tracing::info!(stages = ?stages_served, concurrency = arguments.concurrency, "the worker is ready");
        pool.run(stop).await.context("the worker cannot work")?;
        tracing::info!("the worker has handed everything back");
        Ok(ExitCode::SUCCESS)
    })
}

pub(super) fn orchestrator(asked: &OnPlatform<OrchestratorArguments>) -> anyhow::Result<ExitCode> {
    let (configuration, arguments) = (asked.configuration()?, &asked.arguments);
    run(&configuration, Process::Orchestrator, async |logging| {
        let (stop, hangup) = (interrupted()?, Hangup::listen(arguments.start.follow_files)?);
        let store = open(&configuration, &arguments.start, &stop).await?;
        let doorbell = configuration.changing_doorbell()?;
        let (keeping, kept) = watch::channel(configuration.keeping()?);
        let running = Running {
            process: Process::Orchestrator,
            configuration: configuration.clone(),
            given: arguments.watch.given(),
            logging,
            store: store.clone(),
            doorbell: Arc::clone(&doorbell),
            answering: None,
            keeping: Some(keeping),
            sender: None,
        };
        hangup.follow(asked.reader(), running);
        let (figures, mut registry) = (Arc::new(OrchestratorFigures::default()), gateway::registry());
        figures.register(&mut registry);
        let (own, seen) = (store.clone(), Arc::clone(&figures));
        let watched = Watched::new(registry, Some(own), move || seen.trouble(), stop.clone());
        be_watched(&configuration, &arguments.watch, watched).await?;
        if let Some(server) = &arguments.tell_kubernetes {
            let cluster = InCluster::at(server.clone(), &arguments.service_account);
            let cluster = cluster.context("--tell-kubernetes")?;
            let telling = deletion_cost::tell(cluster, store.clone(), Arc::clone(&figures), stop.clone());
            tokio::spawn(telling);
        }
        worker::orchestrator::run(figures, store, doorbell, configuration.terms(), kept, stop).await;
        Ok(ExitCode::SUCCESS)
    })
}
