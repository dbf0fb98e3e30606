//! Arguments become settings once; nobody else reads them again.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context, bail};
use model::{Limits, PortSet, Profile, ScanId, Scope, Stage};
use scanner::{
    check::{CheckSet, Reproduce, shell_quoted},
    crawl::{CrawlOptions, RobotsPolicy},
    discover::{DiscoverOptions, WordList},
    dns,
    http::Identity,
    pipeline::{Checking, ScanOptions},
    ports,
    socket::Dialer,
};
use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::{
    cli::{RobotsChoice, ScanArguments},
    demo::Estate,
    library::Library,
    scope_command,
};

/// What was asked for, checked.
pub(super) struct Settings {
    pub(super) scan: ScanId,
    pub(super) scope: Scope,
    pub(super) limits: Limits,
    pub(super) library: Library,
    /// Templates that will not run: refused by the language or for their risk.
    pub(super) refused: Vec<String>,
    /// What was asked for and is left out from the start.
    pub(super) left_out: Vec<String>,
    /// How many files of those that were asked for hold no template that can run.
    unloaded: usize,
    pub(super) profile: Profile,
    pub(super) stages: BTreeSet<Stage>,
    resolvers: Vec<SocketAddr>,
    ports: PortSet,
    words: WordList,
    variables: BTreeMap<String, String>,
}

impl Settings {
    pub(super) fn new(
        arguments: &ScanArguments,
        estate: Option<&Estate>,
        scan: ScanId,
    ) -> anyhow::Result<Settings> {
        let mut scope = match &arguments.scope {
            Some(file) => scope_command::read(file)?,
            None => Scope::loopback(),
        };
        let resolvers = match estate {
            Some(estate) => vec![estate.name_server()],
            None => resolvers(arguments, &scope)?,
        };
        scope.resolvers.clone_from(&resolvers);
        let limits = scope.ceilings.lower(&limits(arguments));
        let checking = arguments.stages.contains(&Stage::Check);
        // Reading the built-in checks takes longer than a short port scan. Those that somebody names are read in any case, so that
        // mistakes are told.
        let mut library = if checking || !arguments.checks.is_empty() || !arguments.only.is_empty() {
            Library::load(&arguments.checks)?
        } else {
            Library::default()
        };
        library.require_unique_ids()?;
        let mut refused: Vec<String> = library.refused.iter().map(ToString::to_string).collect();
        library.require(&arguments.allow)?;
        let allowed: Vec<String> = arguments.allow.iter().chain(&arguments.only).cloned().collect();
        refused.extend(library.take_out_risky(&allowed));
        if !arguments.only.is_empty() {
            library.keep_only(&arguments.only)?;
            refused.clear();
            library.refused_files = 0;
        }
        if checking && library.templates.is_empty() {
            let first = refused.first().map(|why| format!("; the first reason: {why}")).unwrap_or_default();
            bail!("no check is left to run{first}");
        }
        let wished = chosen_ports(arguments)?;
        let ports = wished.without(&not_in_scope(&scope));
        Ok(Settings {
            scan,
            limits,
            unloaded: library.refused_files,
            library,
            refused,
            profile: arguments.profile,
            stages: arguments.stages.iter().copied().collect(),
            resolvers,
            left_out: left_out_ports(arguments, &wished, &ports)?.into_iter().collect(),
            ports,
            words: words(arguments)?,
            variables: variables(&arguments.variables)?,
            scope,
        })
    }

    /// What the templates that were refused look for was not looked for: that is not the same as not being there. Those left
    /// out for their risk are the user's choice and do not count.
    pub(super) fn unloaded_templates(&self) -> Option<String> {
        let (count, files) = (self.unloaded, if self.unloaded == 1 { "file was" } else { "files were" });
        (count > 0).then(|| format!("check: {count} template {files} refused, so what they look for is unknown: `rampart checks lint` says why"))
    }

    /// Sets the engine up; nothing is sent yet.
    pub(super) fn engine(
        &self,
        arguments: &ScanArguments,
        stop: CancellationToken,
    ) -> anyhow::Result<Engine> {
        let dialer = Dialer::new(self.scope.clone(), self.limits.clone(), stop);
        let contact = arguments.contact.as_deref().map(|contact| format!("; {contact}")).unwrap_or_default();
        if !contact.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
            bail!("--contact may hold printable ASCII only: it goes into a header");
        }
        let user_agent =
            format!("rampart/{} (security scan {}{contact})", env!("CARGO_PKG_VERSION"), self.scan);
        let identity = Identity { user_agent };
        let checking = Checking {
            resolvers: self.resolvers.clone(),
            checks: Arc::new(CheckSet::new(self.library.templates.iter().cloned())),
            scan: self.scan,
            variables: self.variables.clone(),
            reproduce: Reproduce { demo: arguments.demo, options: reproduce_options(arguments) },
        };
        let options = ScanOptions {
            stages: self.stages.clone(),
            ports: self.ports.clone(),
            identify: !arguments.no_identify,
            discover: DiscoverOptions {
                words: self.words.clone(),
                brute_force: true,
                recurse: self.profile == Profile::Deep,
            },
            crawl: CrawlOptions {
                robots: match arguments.robots {
                    RobotsChoice::Obey => RobotsPolicy::Obey,
                    RobotsChoice::Ignore => RobotsPolicy::Ignore,
                    RobotsChoice::Source => RobotsPolicy::UseAsSource,
                },
                ..CrawlOptions::of(self.profile)
            },
        };
        Ok(Engine::new(dialer, identity, checking, Arc::new(options)))
    }
}

fn limits(arguments: &ScanArguments) -> Limits {
    let profile = arguments.profile.limits();
    Limits {
        requests_per_second: arguments.rate.unwrap_or(profile.requests_per_second),
        requests_per_second_per_host: arguments.host_rate.unwrap_or(profile.requests_per_second_per_host),
        probes_per_second: arguments.probe_rate.unwrap_or(profile.probes_per_second),
        queries_per_second: arguments.query_rate.unwrap_or(profile.queries_per_second),
        connections: arguments.connections.unwrap_or(profile.connections),
        connections_per_host: arguments.host_connections.unwrap_or(profile.connections_per_host),
        request_deadline: arguments.timeout.unwrap_or(profile.request_deadline),
        host_deadline: arguments.host_deadline.unwrap_or(profile.host_deadline),
        scan_deadline: arguments.deadline.unwrap_or(profile.scan_deadline),
        crawl_pages: arguments.pages.unwrap_or(profile.crawl_pages),
        crawl_depth: arguments.depth.unwrap_or(profile.crawl_depth),
        ..profile
    }
}

/// The system's name servers are asked only within a scope that somebody wrote: without one nothing leaves this machine, and one
/// on loopback may well pass questions on.
fn resolvers(arguments: &ScanArguments, scope: &Scope) -> anyhow::Result<Vec<SocketAddr>> {
    if arguments.resolver.is_empty() {
        return Ok(match scope.authorised_by {
            Some(_) => dns::system_servers(),
            None => Vec::new(),
        });
    }
    let mut servers = Vec::new();
    for text in &arguments.resolver {
        let server = text
            .parse::<SocketAddr>()
            .or_else(|_| text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53)))
            .map_err(|_| {
                anyhow::anyhow!(
                    "--resolver `{text}` is no address: write 127.0.0.1, 127.0.0.1:5353 or [::1]:53"
                )
            })?;
        if server.port() == 0 {
            bail!("--resolver `{text}`: port 0 is no port to ask on");
        }
        if scope.authorised_by.is_none() && !server.ip().is_loopback() {
            bail!(
                "name server {server} is not on loopback: asking it needs a scope file (--scope; `rampart scope template` prints one)"
            );
        }
        servers.push(server);
    }
    Ok(servers)
}

fn chosen_ports(arguments: &ScanArguments) -> anyhow::Result<PortSet> {
    match &arguments.ports {
        None => Ok(ports::of_profile(arguments.profile)),
        Some(text) => match text.strip_prefix("top-") {
            Some(count) => match count.parse::<usize>() {
                Ok(count @ 1..=1_000) => Ok(ports::top_ports(count)),
                _ => bail!("--ports `{text}`: write top-1 to top-1000, or a list such as 80,443,8000-8100"),
            },
            None => text.parse().with_context(|| format!("--ports `{text}`")),
        },
    }
}

/// Ports that were asked for by name and are not looked at.
fn left_out_ports(
    arguments: &ScanArguments,
    wished: &PortSet,
    allowed: &PortSet,
) -> anyhow::Result<Option<String>> {
    let left = wished.without(allowed);
    let Some(text) = arguments.ports.as_ref().filter(|_| !left.is_empty()) else { return Ok(None) };
    if allowed.is_empty() && arguments.stages.contains(&Stage::Ports) {
        bail!(
            "--ports `{text}`: the scope allows none of them (fragile ports must be named in its `ports`, by themselves or in a short range)"
        );
    }
    Ok(Some(format!("of --ports `{text}` these are fragile or not in scope: {left}")))
}

/// Ports that the scope does not allow are not planned at all.
fn not_in_scope(scope: &Scope) -> PortSet {
    PortSet::all().without(&scope.ports).union(&scope.excluded_ports)
}

/// A list of one's own stands instead of the built-in one.
fn words(arguments: &ScanArguments) -> anyhow::Result<WordList> {
    match &arguments.words {
        Some(file) => Ok(WordList::none().with_file(file)?),
        None => Ok(WordList::of_profile(arguments.profile)),
    }
}

fn variables(given: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for text in given {
        let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            bail!("--var `{text}` is not NAME=VALUE");
        };
        variables.insert(name.to_owned(), value.to_owned());
    }
    Ok(variables)
}

/// The options that a single finding's command needs.
fn reproduce_options(arguments: &ScanArguments) -> Vec<String> {
    let mut options = Vec::new();
    let mut option = |name: &str, value: &str| options.push(format!("{name} {}", shell_quoted(value)));
    if let Some(scope) = &arguments.scope {
        option("--scope", &scope.display().to_string());
    }
    if !arguments.resolver.is_empty() {
        option("--resolver", &arguments.resolver.join(","));
    }
    for path in &arguments.checks {
        option("--checks", &path.display().to_string());
    }
    for variable in &arguments.variables {
        option("--var", variable);
    }
    options
}
