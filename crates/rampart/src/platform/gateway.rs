//! `rampart gateway`: the API, in a process of its own; and where it listens, for `rampart up`, too.

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context, bail};
use checks::{Template, template::Info};
use gateway::{Counting, Gateway, News, Rates, Rules, Surroundings, Tls, Watched, Webhooks};
use model::record::CheckRecord;
use prometheus_client::registry::Registry;
use store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use worker::doorbell::{Bell, Changing, Counts, Doorbell, ring_aside};

use super::{
    interrupted, processes,
    reload::{Answering, Hangup, Running},
};
use crate::{
    cli::{GatewayArguments, ListenArguments, OnPlatform, WatchArguments, say},
    configuration::{Configuration, Process},
    library::Library,
};

/// An address that is taken.
pub(super) struct Listening {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<Arc<Tls>>,
    /// Where the API is.
    pub(super) url: String,
}

/// Takes the address for it. Keys are not sent in the clear over a network that others may read, unless somebody says that they are
/// not.
pub(super) async fn listen(
    configuration: &Configuration,
    arguments: &ListenArguments,
) -> anyhow::Result<Listening> {
    let listen = arguments.listen.unwrap_or(configuration.listen);
    let given = arguments.tls_certificate.clone().zip(arguments.tls_key.clone());
    let tls = match given.or_else(|| configuration.tls.clone()) {
        Some((certificate, key)) => Some(Arc::new(Tls::read(&certificate, &key)?)),
        None => None,
    };
    if !listen.ip().is_loopback() && tls.is_none() && !arguments.without_tls {
        bail!(
            "whoever is on the way to {listen} could read the keys that are sent there: give --tls-certificate and --tls-key, listen on \
             127.0.0.1 or ::1 behind a proxy that encrypts, or say with --without-tls that nobody else is on the way"
        );
    }
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; --listen names another address"))?;
    let address = listener.local_addr().context("cannot tell where it listens")?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    Ok(Listening { listener, tls, url: format!("{scheme}://{address}/api/v1") })
}

/// How it treats whoever asks. Asked for first: what is wrong with it is told before anything is made or said.
pub(super) fn rules(
    configuration: &Configuration,
    arguments: &ListenArguments,
    webhooks: Option<Webhooks>,
) -> anyhow::Result<Rules> {
    let (public_url, file) = (arguments.public_url.as_deref(), arguments.identity_providers.as_deref());
    let Rates { at_once, address, key, tenant, login, sign_up } = configuration.rates;
    Ok(Rules {
        rates: Rates {
            at_once: arguments.address_at_once.unwrap_or(at_once),
            address: arguments.address_rate.unwrap_or(address),
            key: arguments.key_rate.unwrap_or(key),
            tenant: arguments.tenant_rate.unwrap_or(tenant),
            login: arguments.login_rate.unwrap_or(login),
            sign_up: arguments.sign_up_rate.unwrap_or(sign_up),
        },
        proxies: arguments.trusted_proxies.clone().unwrap_or_else(|| configuration.trusted_proxies.clone()),
        identity_providers: configuration.identity_providers(public_url, file)?,
        platform_tenant: arguments.platform_tenant.clone().or_else(|| configuration.platform_tenant.clone()),
        webhooks,
    })
}

/// What it answers with. From the moment on at which somebody asked for its end it says that it is not ready.
pub(super) fn assemble(
    configuration: &Configuration,
    rules: Rules,
    store: Store,
    doorbell: Arc<Changing>,
    counts: Option<Arc<Counts>>,
    ending: CancellationToken,
    registry: Registry,
) -> anyhow::Result<Gateway> {
    let library = Library::built_in();
    let checks = library.templates.iter().map(|template| (template.id.clone(), record(template)));
    let around = Surroundings {
        terms: configuration.terms(),
        checks: checks.collect(),
        resolvers: scanner::dns::system_servers(),
        reports: configuration.objects()?,
        tell: Box::new(tell(doorbell)),
        counting: counts.map(counting),
        registry,
        ending,
    };
    Ok(Gateway::new(store, around, rules))
}

/// What people are told of a check.
fn record(template: &Template) -> CheckRecord {
    let Info {
        name,
        author,
        severity,
        confidence,
        description,
        impact,
        remediation,
        references,
        tags,
        classification,
        metadata: _,
    } = template.info.clone();
    let (id, authors) = (template.id.clone(), author);
    CheckRecord {
        id,
        name,
        severity,
        confidence,
        tags,
        description,
        impact,
        remediation,
        references,
        classification,
        authors,
    }
}

/// Answers those who watch, where somebody said so.
pub(super) async fn watch(
    configuration: &Configuration,
    arguments: &WatchArguments,
    gateway: &Gateway,
    closed: &CancellationToken,
) -> anyhow::Result<()> {
    if let Some(listener) = listen_to_watchers(configuration, arguments).await? {
        tokio::spawn(gateway::serve_metrics(listener, gateway.clone(), closed.clone()));
    }
    Ok(())
}

/// The same of a process that answers nobody else.
pub(crate) async fn be_watched(
    configuration: &Configuration,
    arguments: &WatchArguments,
    watched: Watched,
) -> anyhow::Result<()> {
    if let Some(listener) = listen_to_watchers(configuration, arguments).await? {
        // Until the process has ended: that it ends is told there, too.
        tokio::spawn(gateway::serve_watched(listener, watched, CancellationToken::new()));
    }
    Ok(())
}

async fn listen_to_watchers(
    configuration: &Configuration,
    arguments: &WatchArguments,
) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = arguments.metrics.or(configuration.metrics) else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address} for --metrics"))?;
    let address = listener.local_addr().context("cannot tell where it listens")?;
    say(&format!("the metrics are at http://{address}/metrics\n"));
    Ok(Some(listener))
}

/// Counts with the other gateways.
fn counting(counts: Arc<Counts>) -> Counting {
    Box::new(move |shared| {
        let counts = Arc::clone(&counts);
        Box::pin(async move { counts.add(&shared).await.map_err(|error| error.to_string()) })
    })
}

/// Rings for what workers should hear of, without waiting for it.
fn tell(doorbell: Arc<Changing>) -> impl Fn(News) {
    let doorbell: Arc<dyn Doorbell> = doorbell;
    move |news| {
        let bells = match news {
            News::Planned(stages) => {
                stages.into_iter().map(|(stage, count)| (Bell::Stage(stage), count)).collect()
            }
            News::Ended => vec![(Bell::Stop, 1)],
        };
        ring_aside(&doorbell, bells);
    }
}

pub(super) fn gateway(asked: &OnPlatform<GatewayArguments>) -> anyhow::Result<ExitCode> {
    let (configuration, arguments) = (&asked.configuration()?, &asked.arguments);
    let rules = rules(configuration, &arguments.listen, configuration.webhooks()?)?;
    processes::run(configuration, Process::Gateway, async |logging| {
        let (stop, hangup) = (interrupted()?, Hangup::listen(arguments.start.follow_files)?);
        let Listening { listener, tls, url } = listen(configuration, &arguments.listen).await?;
        let store = processes::open(configuration, &arguments.start, &stop).await?;
        say(&format!("the gateway listens on {url}\n"));
        let closed = CancellationToken::new();
        let doorbell = configuration.changing_doorbell()?;
        let (counts, bell) = (configuration.counts()?.map(Arc::new), Arc::clone(&doorbell));
        let gateway = assemble(
            configuration,
            rules,
            store.clone(),
            bell,
            counts.clone(),
            stop.clone(),
            gateway::registry(),
        )?;
        let answering = Answering { arguments: arguments.listen.clone(), gateway: gateway.clone(), counts };
        let running = Running {
            process: Process::Gateway,
            configuration: configuration.clone(),
            given: arguments.listen.given(),
            logging,
            store,
            doorbell,
            answering: Some(answering),
            keeping: None,
            sender: None,
        };
        hangup.follow(asked.reader(), running);
        watch(configuration, &arguments.listen.watch, &gateway, &closed).await?;
        let answering = tokio::spawn(gateway::serve(listener, tls, gateway, closed.clone(), arguments.drain));
        stop.cancelled().await;
        // Whoever sends requests here learns first that it is not ready any more.
        tokio::time::sleep(arguments.linger).await;
        closed.cancel();
        answering.await.context("the gateway ended early")?;
        tracing::info!("the gateway has answered everything");
        Ok(ExitCode::SUCCESS)
    })
}
