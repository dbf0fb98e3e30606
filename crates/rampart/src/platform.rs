//! The commands that work with the platform: its roles, and what operators ask of it.

mod account;
mod admin;
mod attendance;
mod audit;
mod audit_keys;
mod comments;
mod deletion_cost;
mod doctor;
mod findings;
mod gateway;
mod keys;
mod migrate;
mod packages;
mod place;
mod processes;
mod reload;
mod roles;
mod scans;
mod schedules;
mod scopes;
mod stops;
mod tasks;
mod tenants;
mod up;
mod usage;
mod users;
mod webhooks;

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use model::{Target, TenantId};
use report::terminal;
use store::{StaleReads, Store, StoreError};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::OnceCell,
};
use tokio_util::sync::CancellationToken;
use worker::doorbell::Doorbell;

use self::place::Place;
pub(crate) use self::{
    gateway::be_watched,
    processes::run as run_role,
    scans::scan,
    scopes::{delete_scope, list_scopes, put_scope},
};
use crate::{
    cli::{PlatformCommand, print_json, put, put_bytes},
    configuration::{Configuration, Whereabouts},
};

pub(crate) fn run(command: &PlatformCommand) -> anyhow::Result<ExitCode> {
    match command {
        PlatformCommand::Up(asked) => up::up(asked),
        PlatformCommand::Gateway(asked) => gateway::gateway(asked),
        PlatformCommand::Worker(asked) => processes::worker(asked),
        PlatformCommand::Orchestrator(asked) => processes::orchestrator(asked),
        PlatformCommand::Stop(asked) => stops::stop(&asked.whereabouts()?, &asked.arguments),
        PlatformCommand::Resume(asked) => stops::resume(&asked.whereabouts()?, &asked.arguments),
        PlatformCommand::Task(asked) => tasks::task(&asked.whereabouts()?, &asked.command),
        PlatformCommand::Package(asked) => packages::package(&asked.whereabouts()?, &asked.command),
        PlatformCommand::Finding(asked) => findings::finding(&asked.whereabouts()?, &asked.command),
        PlatformCommand::Schedule(asked) => schedules::schedule(&asked.whereabouts()?, &asked.command),
        PlatformCommand::Audit(asked) => audit::audit(&asked.whereabouts()?, &asked.command),
        PlatformCommand::Key(asked) => keys::key(&asked.whereabouts()?, &asked.command),
        PlatformCommand::User(asked) => users::user(&asked.whereabouts()?, &asked.command),
        PlatformCommand::Role(asked) => roles::role(&asked.whereabouts()?, &asked.command),
        PlatformCommand::Webhook(asked) => webhooks::webhook(&asked.whereabouts()?, &asked.command),
        PlatformCommand::Admin(asked) => admin::admin(&asked.configuration()?, &asked.command),
        PlatformCommand::Tenant(asked) => tenants::tenant(&asked.whereabouts()?, &asked.command),
        PlatformCommand::Usage(asked) => usage::usage(&asked.whereabouts()?, &asked.arguments),
        PlatformCommand::Migrate(asked) => migrate::migrate(&asked.configuration()?, &asked.arguments),
        PlatformCommand::Doctor(asked) if asked.is_elsewhere() => {
            doctor::doctor_there(&asked.whereabouts()?, asked.arguments.json)
        }
        PlatformCommand::Doctor(asked) => {
            doctor::doctor(asked.configuration_or_why_not(), asked.arguments.json)
        }
    }
}

/// An operator's command: a store, a doorbell, and whose things it is about.
struct Desk {
    store: Store,
    doorbell: Arc<dyn Doorbell>,
    configuration: Configuration,
    tenant: OnceCell<TenantId>,
    /// One for all lists of a command: none sees something older than the one before.
    stale_reads: OnceCell<StaleReads>,
}

impl Desk {
    async fn open(configuration: Configuration) -> anyhow::Result<Desk> {
        let store = configuration.open().await?;
        let doorbell = configuration.doorbell()?;
        let (tenant, stale_reads) = (OnceCell::new(), OnceCell::new());
        Ok(Desk { store, doorbell, configuration, tenant, stale_reads })
    }

    /// For lists: they may be some seconds old.
    async fn stale_reads(&self) -> anyhow::Result<&StaleReads> {
        let reads = self.stale_reads.get_or_try_init(|| self.store.stale_reads()).await;
        reads.context("cannot read from the replica")
    }

    async fn tenant(&self) -> anyhow::Result<TenantId> {
        let named = || self.tenant_named(&self.configuration.tenant, "--tenant");
        self.tenant.get_or_try_init(named).await.copied()
    }

    /// The tenant that an option names.
    async fn tenant_named(&self, name: &str, option: &str) -> anyhow::Result<TenantId> {
        let tenant = self.store.tenant_named(name).await;
        Ok(tenant.with_context(|| format!("{option} names a tenant; `rampart tenant list` shows them"))?.id)
    }

    /// Workers look at once for what is stopped and for what nobody wants any more. Unheard, they look a little later.
    async fn tell_workers(&self) {
        if let Err(error) = self.doorbell.ring(worker::doorbell::Bell::Stop, 1).await {
            crate::cli::say(&format!(
                "nobody could be told at once, workers see it within two seconds: {error}\n"
            ));
        }
    }

    /// That nobody is woken makes it later, not wrong.
    async fn wake(&self, stages: std::collections::BTreeMap<model::Stage, usize>) {
        for (stage, count) in stages {
            if let Err(error) = self.doorbell.ring(worker::doorbell::Bell::Stage(stage), count).await {
                crate::cli::say(&format!("nobody could be woken, so it begins a little later: {error}\n"));
            }
        }
    }
}

/// What the store refuses because of a scope or a setting, with what a person can do about it.
fn with_way_out(error: StoreError) -> anyhow::Error {
    match &error {
        StoreError::OutOfScope { .. } => anyhow::anyhow!(
            "{error}: `rampart scope list` shows what the tenant's scopes allow, --scope NAME chooses one, `rampart scope put NAME FILE` \
             gives the platform another"
        ),
        StoreError::Missing { kind: "scope", name } => anyhow::anyhow!(
            "{error}: `rampart scope list` shows the tenant's, `rampart scope put {name} FILE` makes this one"
        ),
        StoreError::NoPrice => anyhow::anyhow!(
            "{error}: set price_per_worker_hour in rampart.toml, --price-per-worker-hour or RAMPART_PRICE_PER_WORKER_HOUR, or leave \
             --most-cost out"
        ),
        StoreError::KeyTaken(_) => {
            anyhow::anyhow!("{error}: ask for the same again, or give this one a key of its own")
        }
        StoreError::KeySpent(_) => anyhow::anyhow!("{error}: give another one a key of its own"),
        _ => error.into(),
    }
}

/// Runs an operator's command on a database.
fn operate_here<F>(configuration: &Configuration, command: impl FnOnce(Desk) -> F) -> anyhow::Result<ExitCode>
where
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    operators_runtime()?.block_on(async {
        let desk = Desk::open(configuration.clone()).await?;
        command(desk).await
    })
}

/// Runs an operator's command, wherever what it is about is.
fn operate<F>(whereabouts: &Whereabouts, command: impl FnOnce(Place) -> F) -> anyhow::Result<ExitCode>
where
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    operators_runtime()?.block_on(async {
        let place = Place::open(whereabouts).await?;
        command(place).await
    })
}

/// For a command that does one thing after another.
pub(crate) fn operators_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")
}

/// Who asks, for the audit: the user of this machine.
fn operator() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    format!("{} at the command line", user.map_or_else(|| "somebody".to_owned(), |user| user.name))
}

/// Cancelled by Ctrl-C or the request to terminate; a second one ends the process at once.
pub(crate) fn interrupted() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let stop = token.clone();
    let listen = |kind| signal(kind).context("cannot listen for interrupts");
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if first { stop.cancel() } else { crate::scan::leave_at_once() }
        }
    });
    Ok(token)
}

/// Targets as arguments; `-` reads them from standard input, one a line.
fn targets(words: &[String]) -> anyhow::Result<Vec<Target>> {
    let mut targets = Vec::new();
    for word in words {
        if word != "-" {
            targets.push(word.parse()?);
            continue;
        }
        for (number, line) in std::io::stdin().lines().enumerate() {
            let line = line.context("cannot read targets from standard input")?;
            let text = line.trim();
            if !text.is_empty() && !text.starts_with('#') {
                targets.push(text.parse().with_context(|| format!("line {} of standard input", number + 1))?);
            }
        }
    }
    Ok(targets)
}

/// Columns for people: as wide as they need to be, the last as it comes.
pub(crate) fn print_table(head: &[&str], rows: &[Vec<String>]) -> anyhow::Result<()> {
    let mut widths: Vec<usize> = head.iter().map(|title| title.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(terminal::sanitise(cell).chars().count());
        }
    }
    let mut table = String::new();
    let titles: Vec<String> = head.iter().map(|title| (*title).to_owned()).collect();
    let titles = titles.iter().any(|title| !title.is_empty()).then_some(&titles);
    for row in titles.into_iter().chain(rows) {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let cell = terminal::sanitise(cell);
            if column + 1 == row.len() {
                line.push_str(&cell);
            } else {
                line.push_str(&format!("{cell:<0$}  ", widths[column]));
            }
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    put(&table)
}

/// For tables: to the second, in UTC.
pub(crate) fn short_time(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// For people: `1h 30m`.
fn length(length: std::time::Duration) -> String {
    jiff::SignedDuration::try_from(length)
        .map_or_else(|_| format!("{length:?}"), |length| format!("{length:#}"))
}
