//! The check stage: templates against names, services and sites, over the wire.

mod drive;
mod finding;
mod perform;

use std::{collections::HashSet, sync::Arc};

use checks::{
    Run, RunOptions, RunTarget, Template,
    template::{BlockRequest, ProtocolKind},
};
use model::{CheckId, DomainName, Finding, Ledger, Location, Outcome, Protocol, Service, Site, Unit};
use tokio::{sync::mpsc, time::Instant};

pub use self::finding::{Reproduce, shell_quoted};
use self::{
    drive::{Drive, drive},
    perform::Performer,
};
use crate::{pipeline::Scan, services};

/// The templates of a scan, sorted by what they are run against.
#[derive(Debug, Default)]
pub struct CheckSet {
    sites: Vec<Arc<Template>>,
    names: Vec<Arc<Template>>,
    services: Vec<Arc<Template>>,
    handshakes: Vec<Arc<Template>>,
}

impl CheckSet {
    /// A template that speaks several protocols runs where its first block does.
    pub fn new(templates: impl IntoIterator<Item = Arc<Template>>) -> CheckSet {
        let mut set = CheckSet::default();
        for template in templates {
            let list = match template.blocks.first().map(|block| block.request.protocol()) {
                Some(ProtocolKind::Http) => &mut set.sites,
                Some(ProtocolKind::Dns) => &mut set.names,
                Some(ProtocolKind::Tcp) => &mut set.services,
                Some(ProtocolKind::Tls) => &mut set.handshakes,
                None => continue,
            };
            list.push(template);
        }
        set
    }

    /// How many templates.
    pub fn len(&self) -> usize {
        self.sites.len() + self.names.len() + self.services.len() + self.handshakes.len()
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks about aliases mean names that are one; all others mean the names where a zone begins, or that somebody asked
    /// for: that `www` has no SPF record is no finding.
    fn for_name(&self, kinds: NameKinds) -> impl Iterator<Item = &Arc<Template>> {
        let about_aliases = |template: &Template| {
            template.info.tags.iter().any(|tag| tag == "cname")
                || template.blocks.iter().any(
                    |block| matches!(&block.request, BlockRequest::Dns(dns) if dns.record_type == "CNAME"),
                )
        };
        self.names
            .iter()
            .filter(move |template| if about_aliases(template) { kinds.alias } else { kinds.apex })
    }

    /// The checks that the unit's account holds.
    pub(crate) fn of_unit<'s>(&'s self, unit: &'s Unit) -> Box<dyn Iterator<Item = &'s CheckId> + Send + 's> {
        let id = |template: &'s Arc<Template>| &template.id;
        match unit {
            Unit::CheckSite(_) => Box::new(self.sites.iter().map(id)),
            Unit::CheckService(service) => Box::new(self.for_service(service).map(id)),
            Unit::CheckName { apex, alias, .. } => {
                Box::new(self.for_name(NameKinds { apex: *apex, alias: *alias }).map(id))
            }
            Unit::Discover { .. }
            | Unit::Ports { .. }
            | Unit::Identify(_)
            | Unit::Knock(_)
            | Unit::Crawl(_) => Box::new(std::iter::empty()),
        }
    }

    fn for_service(&self, service: &Service) -> impl Iterator<Item = &Arc<Template>> {
        let dialogues = self.services.iter().filter(|template| speaks_to(template, service));
        let handshakes = self.handshakes.iter().filter(|_| service.tls.is_some());
        dialogues.chain(handshakes)
    }
}

/// The tag of templates that look for what lacks encryption: they say nothing about a service inside TLS.
const CLEARTEXT: &str = "cleartext";

/// A TCP template means the services that speak a protocol it is tagged with, wherever they are. On its own ports it also
/// means services that nothing was recognised on, and, when it is tagged with no protocol that service detection knows, those
/// that speak something else than HTTP: a web server has no business with questions of other protocols, and would only be
/// silent until the deadline. A template without ports means every service that is not a web site.
fn speaks_to(template: &Template, service: &Service) -> bool {
    let protocol = service.protocol.0.as_ref();
    let tagged = |name: &str| template.info.tags.iter().any(|tag| tag == name);
    if service.tls.is_some() && tagged(CLEARTEXT) {
        return false;
    }
    let ports = template.tcp_ports();
    if ports.is_empty() {
        return service.protocol != Protocol::HTTP;
    }
    if service.protocol == Protocol::UNKNOWN {
        return ports.contains(&service.endpoint.port);
    }
    let means_another = || service.protocol == Protocol::HTTP || services::protocols().any(tagged);
    tagged(protocol) || ports.contains(&service.endpoint.port) && !means_another()
}

/// What is known of a name, for the choice of checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameKinds {
    /// A zone begins here, or somebody asked for the name.
    pub apex: bool,
    /// It has a CNAME record.
    pub alias: bool,
}

/// What the checks of one unit came to.
#[derive(Debug, Default)]
pub struct Checked {
    /// Every pair planned, and how it ended.
    pub ledger: Ledger,
    /// What somebody should act on.
    pub findings: Vec<Finding>,
    /// Pairs that failed: check, reason. At most [`Checked::KEPT_FAILURES`] of them.
    pub failures: Vec<(CheckId, String)>,
}

impl Checked {
    const KEPT_FAILURES: usize = 20;

    fn account(&mut self, template: &Template, outcome: Outcome, failure: Option<String>) {
        self.ledger.plan(&template.id, 1);
        self.ledger.end(&template.id, outcome);
        if let Outcome::Failed(reason) = outcome
            && self.failures.len() < Checked::KEPT_FAILURES
        {
            self.failures.push((template.id.clone(), failure.unwrap_or_else(|| reason.to_string())));
        }
    }
}

/// Runs the HTTP checks on a site.
pub async fn site(
    scan: &Scan,
    site: &Site,
    deadline: Instant,
    found: mpsc::UnboundedSender<Finding>,
) -> Checked {
    let address = site.endpoint.address;
    let target = RunTarget::web(site.base.clone(), Some(address));
    let place = Location::Url(site.base.clone());
    let performer = Performer::new(scan, site.endpoint.clone(), site.base.scheme() == "https");
    run_all(scan, scan.checks.sites.iter(), &target, &place, &performer, deadline, found).await
}

/// Runs the DNS checks on a name.
pub async fn name(
    scan: &Scan,
    name: &DomainName,
    kinds: NameKinds,
    deadline: Instant,
    found: mpsc::UnboundedSender<Finding>,
) -> Checked {
    let target = RunTarget::domain(name.clone(), None);
    let place = Location::Domain(name.clone());
    let performer = Performer::for_names(scan);
    run_all(scan, scan.checks.for_name(kinds), &target, &place, &performer, deadline, found).await
}

/// Runs the TCP and TLS checks on a service.
pub async fn service(
    scan: &Scan,
    service: &Service,
    deadline: Instant,
    found: mpsc::UnboundedSender<Finding>,
) -> Checked {
    let host = service.endpoint.host().to_string();
    let tls = service.tls.is_some();
    let target = RunTarget::service(&host, service.endpoint.port, tls, Some(service.endpoint.address));
    let place = Location::Service(service.endpoint.clone());
    let performer = Performer::new(scan, service.endpoint.clone(), service.tls.is_some());
    run_all(scan, scan.checks.for_service(service), &target, &place, &performer, deadline, found).await
}

async fn run_all(
    scan: &Scan,
    templates: impl Iterator<Item = &Arc<Template>>,
    target: &RunTarget,
    place: &Location,
    performer: &Performer<'_>,
    deadline: Instant,
    found: mpsc::UnboundedSender<Finding>,
) -> Checked {
    let limits = scan.dialer.limits();
    let options = RunOptions {
        variables: scan.options.variables.clone(),
        seed: scan.options.scan.bits(),
        now: jiff::Timestamp::now(),
        max_redirects: limits.redirects as usize,
    };
    let runs: Vec<(Arc<Template>, Run)> = templates
        .map(|template| (Arc::clone(template), Run::new(Arc::clone(template), target, &options)))
        .collect();
    let settings = Drive {
        concurrency: scan.connections_per_unit(),
        deadline,
        failures_allowed: limits.failures_per_host,
        counters: scan.dialer.counters(),
        stop: scan.dialer.stop(),
    };
    let mut checked = Checked::default();
    let mut said = HashSet::new();
    drive(runs, performer, &settings, &mut |template, verdict| {
        for hit in verdict.matches {
            let finding = finding::from_match(template, hit, place, &scan.options.reproduce);
            // A template may say the same thing of the same place twice, for example by two paths that redirect to one page.
            if said.insert(finding.fingerprint) {
                // Whoever listens is gone only when the whole scan is being dropped.
                let _ = found.send(finding);
            }
        }
        checked.account(template, verdict.outcome, verdict.failure);
    })
    .await;
    checked
}
