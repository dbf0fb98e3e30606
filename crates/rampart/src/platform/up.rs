//! `rampart up`: every role in one process, on one file.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use ::gateway::Rules;
use anyhow::{Context, bail};
use model::{ApiKey, Role, Scope, Stage, TenantId};
use store::{NewKey, NewTenant, Store, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use worker::{OrchestratorFigures, Pool, PoolOptions, Stages, doorbell::Doorbell};

use super::{
    audit_keys,
    gateway::{self, Listening},
    interrupted, keys, length, processes,
    reload::{Answering, Hangup, Running},
    scopes,
};
use crate::{
    cli::{OnPlatform, UpArguments, say},
    configuration::{Configuration, DatabaseUrl, Logging, Process},
    demo::Estate,
};

/// The scope that every new tenant of `rampart up` has: this machine.
const LOOPBACK: &str = "loopback";
/// The scope of the demo estate.
const DEMO: &str = "demo";
const BY_DEMO: &str = "rampart up --demo";

pub(super) fn up(asked: &OnPlatform<UpArguments>) -> anyhow::Result<ExitCode> {
    let configuration = asked.configuration()?;
    let rules = gateway::rules(&configuration, &asked.arguments.listen, configuration.webhooks()?)?;
    scanner::socket::raise_descriptor_limit();
    processes::run(&configuration, Process::Up, async |logging| {
        run(asked, &configuration, logging, rules).await
    })
}

async fn run(
    asked: &OnPlatform<UpArguments>,
    configuration: &Configuration,
    logging: Logging,
    rules: Rules,
) -> anyhow::Result<ExitCode> {
    let arguments = &asked.arguments;
    let (stop, hangup) = (interrupted()?, Hangup::listen(false)?);
    DirBuilder::new().recursive(true).mode(0o700).create(&configuration.data).with_context(|| {
        format!("cannot make the directory `{}`; --data names another", configuration.data.display())
    })?;
    let _alone = alone(configuration)?;
    let Listening { listener, tls, url } = gateway::listen(configuration, &arguments.listen).await?;
    if let DatabaseUrl::Sqlite(path) = &configuration.database {
        keep_private(path)?;
    }
    let store = configuration.make().await?;
    let objects = configuration.make_objects()?;
    let store = configuration.with_evidence(store)?;
    let reports = objects.describe_reports();
    let made_key = audit_keys::make_missing(configuration)?;
    let (tenant, key) = first_start(&store, &configuration.tenant).await?;
    let estate = match arguments.demo {
        true => Some(start_demo(&store, tenant).await?),
        false => {
            forget_demo(&store, tenant).await?;
            None
        }
    };
    let doorbell = configuration.changing_doorbell()?;
    let sender = configuration.sender()?;
    let served = processes::served(&Stage::SERVED, sender.as_deref());
    let stages =
        Stages::new(store.clone(), processes::checks(arguments.demo)?, objects).sending(sender.clone());
    let options = PoolOptions {
        stages: served,
        concurrency: arguments.concurrency,
        drain: arguments.drain,
        // It hears itself, so this is for the machine that slept.
        lease: worker::pool::LEASE,
    };
    let stages = Arc::new(stages.within(arguments.ceilings.of_tasks()));
    let bell: Arc<dyn Doorbell> = doorbell.clone();
    let pool = Pool::new(store.clone(), Arc::clone(&bell), stages, options);
    pool.introduce().await.context("the workers cannot be made known")?;
    greet(configuration, &reports, &url, key.as_ref(), made_key.as_deref(), estate.is_some());
    let closed = CancellationToken::new();
    let (own, counts) = (store.clone(), configuration.counts()?.map(Arc::new));
    let (bells, ending) = (Arc::clone(&doorbell), stop.clone());
    let (figures, mut registry) = (Arc::new(OrchestratorFigures::default()), ::gateway::registry());
    figures.register(&mut registry);
    pool.figures().register(&mut registry);
    let gateway = gateway::assemble(configuration, rules, own, bells, counts.clone(), ending, registry)?;
    let (keeping, kept) = watch::channel(configuration.keeping()?);
    let answering = Answering { arguments: arguments.listen.clone(), gateway: gateway.clone(), counts };
    let running = Running {
        process: Process::Up,
        configuration: configuration.clone(),
        given: arguments.listen.given(),
        logging,
        store: store.clone(),
        doorbell,
        answering: Some(answering),
        keeping: Some(keeping),
        sender,
    };
    hangup.follow(asked.reader(), running);
    gateway::watch(configuration, &arguments.listen.watch, &gateway, &closed).await?;
    let answering = tokio::spawn(::gateway::serve(listener, tls, gateway, closed.clone(), arguments.drain));
    let terms = configuration.terms();
    let orchestrating = worker::orchestrator::run(figures, store, bell, terms, kept, stop.clone());
    let orchestrating = tokio::spawn(orchestrating);
    tokio::spawn(tell_of_the_end(stop.clone(), arguments.drain));
    let worked = pool.run(stop).await.context("the workers cannot work");
    closed.cancel();
    answering.await.context("the gateway ended early")?;
    orchestrating.await.context("the orchestrator ended early")?;
    worked?;
    say("rampart is down; the next `rampart up` goes on from here\n");
    Ok(ExitCode::SUCCESS)
}

/// Who pressed Ctrl-C sees that it was heard.
async fn tell_of_the_end(stop: CancellationToken, drain: Duration) {
    stop.cancelled().await;
    let drain = length(drain);
    say(&format!("ending: tasks may go on for {drain} at most (Ctrl-C again ends at once)\n"));
}

fn greet(
    configuration: &Configuration,
    reports: &str,
    url: &str,
    key: Option<&ApiKey>,
    made_key: Option<&str>,
    demo: bool,
) {
    let mut text = format!(
        "rampart {} is up\n  listens on    {url}\n  database      {}\n  reports       {}\n",
        env!("CARGO_PKG_VERSION"),
        configuration.database,
        reports,
    );
    if let Some(key) = key {
        text.push_str(&format!(
            "  administrator {}\n                this key is shown once: keep it\n",
            key.expose()
        ));
    }
    text.push_str(made_key.unwrap_or_default());
    text.push_str(match demo {
        true => "  try           rampart scan submit --scope demo acme.test --wait\n",
        false => "  try           rampart scan submit 127.0.0.1 --wait\n",
    });
    say(&text);
}

/// Holds the directory, and the file if that is elsewhere, for as long as it lives: a second process there would run everything
/// twice.
fn alone(configuration: &Configuration) -> anyhow::Result<Vec<File>> {
    let data = &configuration.data;
    let mut places = vec![(data.join("rampart.lock"), data, "another directory with --data")];
    if let DatabaseUrl::Sqlite(file) = &configuration.database {
        // In the directory it is the same one.
        places.push((file.with_extension("lock"), file, "another database with --database"));
    }
    let mut held: Vec<(PathBuf, File)> = Vec::new();
    for (path, of, instead) in places {
        keep_private(&path)?;
        let describe = || format!("cannot write `{}`", path.display());
        // However it is spelled.
        let path = path.canonicalize().with_context(describe)?;
        if held.iter().any(|(other, _)| *other == path) {
            continue;
        }
        let lock = OpenOptions::new().write(true).open(&path).with_context(describe)?;
        match lock.try_lock() {
            Ok(()) => held.push((path, lock)),
            Err(std::fs::TryLockError::WouldBlock) => {
                bail!(
                    "another `rampart up` runs on `{}`: end that one first, or name {instead}",
                    of.display()
                )
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(error).with_context(describe),
        }
    }
    Ok(held.into_iter().map(|(_, lock)| lock).collect())
}

/// Makes a file for its owner alone: findings and evidence are nobody else's. SQLite gives its other files the same permissions.
fn keep_private(path: &Path) -> anyhow::Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .with_context(|| format!("cannot make the directory `{}`", directory.display()))?;
    }
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// The tenant that commands are about, and its administrator's key when there was none.
async fn first_start(store: &Store, name: &str) -> anyhow::Result<(TenantId, Option<ApiKey>)> {
    let tenant = match store.tenant_named(name).await {
        Ok(tenant) => tenant.id,
        Err(StoreError::Missing { .. }) => {
            let made = store.create_tenant(NewTenant::named(name), "rampart up".to_owned()).await?;
            store.put_scope(made.id, LOOPBACK, Scope::loopback(), "rampart up".to_owned()).await?;
            made.id
        }
        Err(error) => return Err(error.into()),
    };
    let key = keys::random();
    let new = NewKey { name: "first".to_owned(), role: Role::Owner, networks: Vec::new(), expires_at: None };
    let is_first = store.first_key(tenant, key.clone(), new, "rampart up".to_owned()).await?;
    Ok((tenant, is_first.then_some(key)))
}

async fn start_demo(store: &Store, tenant: TenantId) -> anyhow::Result<Estate> {
    let scopes = store.scopes(tenant).await?;
    if scopes.iter().any(|(name, scope)| name == DEMO && !is_of_a_demo(scope)) {
        bail!(
            "the scope `{DEMO}` is one that somebody wrote, and --demo would replace it: give it another name with `rampart scope put`, \
             then `rampart scope delete {DEMO}`"
        );
    }
    let estate = Estate::start().await.context("cannot start the demo estate")?;
    store.put_scope(tenant, DEMO, scope_of_a_demo(vec![estate.name_server()]), BY_DEMO.to_owned()).await?;
    Ok(estate)
}

fn scope_of_a_demo(resolvers: Vec<std::net::SocketAddr>) -> Scope {
    Scope { resolvers, ..Scope::loopback() }
}

/// What a person writes says who authorised it.
fn is_of_a_demo(scope: &Scope) -> bool {
    *scope == scope_of_a_demo(scope.resolvers.clone())
}

/// The estate of an earlier `--demo` is gone, so what allowed it goes too.
async fn forget_demo(store: &Store, tenant: TenantId) -> anyhow::Result<()> {
    let scopes = store.scopes(tenant).await?;
    if !scopes.iter().any(|(name, scope)| name == DEMO && is_of_a_demo(scope)) {
        return Ok(());
    }
    store.delete_scope(tenant, DEMO, None, "rampart up".to_owned()).await?;
    say(&format!(
        "the scope `{DEMO}` of an earlier `rampart up --demo` is removed: its estate is not there any more\n"
    ));
    if let Some(warning) = scopes::schedules_without(&store.schedules(tenant).await?, DEMO) {
        say(&warning);
    }
    Ok(())
}
