//! Which templates a target is looked at with.

use std::sync::Arc;

use checks::{
    Template,
    template::{BlockRequest, ProtocolKind},
};
use model::{CheckId, NameAspect, Protocol, Service, Unit};

use crate::services;

/// The templates of a scan, sorted by what they are run against.
#[derive(Debug, Default)]
pub struct CheckSet {
    pub(super) sites: Vec<Arc<Template>>,
    names: Vec<Arc<Template>>,
    services: Vec<Arc<Template>>,
    /// Those of `sites` that are about every page of a site.
    pub(super) pages: Vec<Arc<Template>>,
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
        set.pages = set.sites.iter().filter(|template| is_about_every_page(template)).cloned().collect();
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

    /// Checks about aliases mean names that are one; all others mean zones.
    pub(super) fn for_name(&self, aspect: NameAspect) -> impl Iterator<Item = &Arc<Template>> {
        let about_aliases = |template: &Template| {
            template.info.tags.iter().any(|tag| tag == "cname")
                || template.blocks.iter().any(
                    |block| matches!(&block.request, BlockRequest::Dns(dns) if dns.record_type == "CNAME"),
                )
        };
        self.names.iter().filter(move |template| about_aliases(template) == (aspect == NameAspect::Alias))
    }

    /// The checks that the unit's account holds.
    pub(crate) fn of_unit<'s>(&'s self, unit: &'s Unit) -> Box<dyn Iterator<Item = &'s CheckId> + Send + 's> {
        let id = |template: &'s Arc<Template>| &template.id;
        match unit {
            Unit::CheckSite(_) => Box::new(self.sites.iter().map(id)),
            Unit::CheckService(service) => Box::new(self.for_service(service).map(id)),
            Unit::CheckName { aspect, .. } => Box::new(self.for_name(*aspect).map(id)),
            Unit::Discover { .. }
            | Unit::Ports { .. }
            | Unit::Identify(_)
            | Unit::Knock(_)
            | Unit::Crawl(_) => Box::new(std::iter::empty()),
        }
    }

    pub(super) fn for_service(&self, service: &Service) -> impl Iterator<Item = &Arc<Template>> {
        let dialogues = self.services.iter().filter(|template| speaks_to(template, service));
        let handshakes = self.handshakes.iter().filter(|_| service.tls.is_some());
        dialogues.chain(handshakes)
    }
}

/// The tag of templates that ask for the page itself, and can be held against every page that the crawl fetched.
const EVERY_PAGE: &str = "every-page";

fn is_about_every_page(template: &Template) -> bool {
    template.info.tags.iter().any(|tag| tag == EVERY_PAGE) && template.max_requests() == 1
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
