//! What is to be done next: a pure state machine over units and what they taught.
//!
//! One that lives as long as its scan keeps everything in memory. One that stands for a moment, inside the transaction that commits
//! a result, is given what [`Frontier::subjects`] asks for by [`Frontier::recall`], and gives it back by [`Frontier::knowledge`].

mod knowledge;
mod targets;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};
use url::Url;

pub use self::{
    knowledge::{Fact, Subject},
    targets::{Piece, pieces},
};
use crate::{
    DomainName, Endpoint, FoundName, Host, Learned, NameAspect, NamePattern, Protocol, Scope, Service, Site,
    Source, Stage, Target, Unit, UnitKey,
};

/// Web ports looked at when a host is the target but the ports stage is not wanted.
const USUAL_WEB_PORTS: [u16; 2] = [443, 80];

/// Turns targets and lessons into units, each once. Last in, first out: what was begun is finished before further targets are
/// taken, so that memory depends on the units at work and not on the length of the target list.
pub struct Frontier {
    stages: BTreeSet<Stage>,
    identify: bool,
    scope: Scope,
    waiting: Vec<Unit>,
    visited: HashSet<UnitKey>,
    hosts: HashMap<IpAddr, KnownHost>,
    wanted: HashMap<DomainName, Wanted>,
    /// What was found out about names, for targets that come later.
    resolved: HashMap<DomainName, FoundName>,
    zones: HashSet<DomainName>,
    names_left: u32,
    /// Units that count as not done any more.
    forgotten: Vec<UnitKey>,
}

/// What is known of an address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownHost {
    /// How its web sites are asked for: by its names, and by the address itself when somebody asked for that; and on which ports.
    asked_as: BTreeMap<Host, Ports>,
    /// HTTP services: port, and inside TLS or not.
    web: Vec<(u16, bool)>,
}

/// On which ports the sites of a name are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ports {
    All,
    Only(BTreeSet<u16>),
}

impl Ports {
    fn contains(&self, port: u16) -> bool {
        match self {
            Ports::All => true,
            Ports::Only(ports) => ports.contains(&port),
        }
    }

    fn add(&mut self, more: Ports) {
        match (&mut *self, more) {
            (Ports::Only(ports), Ports::Only(more)) => ports.extend(more),
            (Ports::Only(_), Ports::All) => *self = Ports::All,
            (Ports::All, _) => {}
        }
    }
}

/// What to do with a name once its addresses are known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    whole_host: bool,
    ports: Vec<u16>,
    urls: Vec<Url>,
}

impl Frontier {
    /// `names_left` bounds the names that are followed up though nobody asked for them.
    pub fn new(stages: BTreeSet<Stage>, scope: Scope, names_left: u32) -> Frontier {
        Frontier {
            stages,
            identify: true,
            scope,
            waiting: Vec::new(),
            visited: HashSet::new(),
            hosts: HashMap::new(),
            wanted: HashMap::new(),
            resolved: HashMap::new(),
            zones: HashSet::new(),
            names_left,
            forgotten: Vec::new(),
        }
    }

    /// Whether open ports are asked what listens there; they are by default.
    pub fn identifying(self, identify: bool) -> Frontier {
        Frontier { identify, ..self }
    }

    /// The next unit.
    pub fn next_unit(&mut self) -> Option<Unit> {
        self.waiting.pop()
    }

    /// How many are waiting.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn wants(&self, stage: Stage) -> bool {
        self.stages.contains(&stage)
    }

    fn push(&mut self, unit: Unit) {
        if self.visited.insert(unit.key()) {
            self.waiting.push(unit);
        }
    }

    /// Takes one target. Networks come here address by address.
    pub fn add_target(&mut self, target: &Target) {
        match target {
            Target::Network(network) => {
                network.hosts().for_each(|address| self.add_address_of_network(address));
            }
            Target::Host(Host::Address(address)) => {
                self.asked_as(*address, Host::Address(*address), Ports::All);
                self.host(*address, None, true);
            }
            Target::Service(Host::Address(address), port) => {
                self.asked_as(*address, Host::Address(*address), Ports::Only([*port].into()));
                self.push(Unit::Identify(Endpoint { name: None, address: *address, port: *port }));
            }
            Target::Url(url) => match target.host() {
                Some(Host::Address(address)) => self.site(url.clone(), None, address),
                Some(Host::Name(name)) => {
                    self.wanted.entry(name.clone()).or_default().urls.push(url.clone());
                    self.look_up_target(name);
                }
                None => {}
            },
            Target::Host(Host::Name(name)) => {
                self.wanted.entry(name.clone()).or_default().whole_host = true;
                if self.wants(Stage::Discover) {
                    self.zones.insert(name.clone());
                    let (name, source) = (name.clone(), Source::Target);
                    self.push(Unit::Discover { name, source, brute_force: true });
                } else {
                    self.look_up_target(name.clone());
                }
            }
            Target::Service(Host::Name(name), port) => {
                self.wanted.entry(name.clone()).or_default().ports.push(*port);
                self.look_up_target(name.clone());
            }
        }
    }

    /// A list names hosts more than once, and a page may have named one before: what is known by then is not asked again.
    fn look_up_target(&mut self, name: DomainName) {
        match self.resolved.get(&name).cloned() {
            Some(found) => self.name_exists(&found),
            None => self.look_up(name, Source::Target),
        }
    }

    /// Takes one address of a network that is gone through: there may be nothing there.
    pub fn add_address_of_network(&mut self, address: IpAddr) {
        self.asked_as(address, Host::Address(address), Ports::All);
        self.host(address, None, false);
    }

    fn look_up(&mut self, name: DomainName, source: Source) {
        self.push(Unit::Discover { name, source, brute_force: false });
    }

    /// Takes what a finished unit taught.
    pub fn learn(&mut self, unit: &Unit, learned: &Learned) {
        for found in &learned.found {
            self.resolved.insert(found.name.clone(), found.clone());
            self.name_exists(found);
        }
        for (name, source) in &learned.mentioned {
            self.name_mentioned(name, *source);
        }
        if let Unit::Ports { address, expected: false, .. } = unit
            && learned.open.is_empty()
            && self.hosts.get(address).is_some_and(|known| known.asked_as.len() < 2 && known.web.is_empty())
        {
            // Nothing follows from it: a large network of silent addresses takes no memory. Should a name lead there later, it is
            // looked at again.
            self.hosts.remove(address);
            self.visited.remove(&unit.key());
            self.forgotten.push(unit.key());
        }
        if let Unit::Ports { address, name, .. } = unit
            && self.identify
        {
            for port in &learned.open {
                self.push(Unit::Identify(Endpoint { name: name.clone(), address: *address, port: *port }));
            }
        }
        if let Some(service) = &learned.service {
            self.service_found(service);
        }
    }

    fn name_exists(&mut self, found: &FoundName) {
        let asked_for = self.wanted.contains_key(&found.name);
        if self.wants(Stage::Check) {
            let aspects = [(NameAspect::Alias, found.alias), (NameAspect::Zone, found.apex || asked_for)];
            for (aspect, _) in aspects.into_iter().filter(|(_, applies)| *applies) {
                self.push(Unit::CheckName { name: found.name.clone(), aspect });
            }
        }
        let permitted: Vec<IpAddr> = found
            .addresses
            .iter()
            .copied()
            .filter(|address| self.scope.permits_address(*address, Some(&found.name)).is_ok())
            .collect();
        let wanted = self.wanted.get(&found.name);
        // The scope says what may be touched, the targets what was asked for: a name that is only in scope is known by its records,
        // and on the addresses that are looked at anyway by its sites.
        let below_a_target = self.zones.iter().any(|zone| found.name.is_within(zone));
        let whole_host = below_a_target || wanted.is_some_and(|wanted| wanted.whole_host);
        let nobody_asked = !below_a_target && wanted.is_none();
        let ports = wanted.map(|wanted| wanted.ports.clone()).unwrap_or_default();
        let urls = wanted.map(|wanted| wanted.urls.clone()).unwrap_or_default();
        for address in &permitted {
            let name = Host::Name(found.name.clone());
            if whole_host {
                self.asked_as(*address, name.clone(), Ports::All);
                self.host(*address, Some(&found.name), asked_for);
            } else if nobody_asked {
                self.asked_as(*address, name.clone(), Ports::All);
            }
            for port in &ports {
                self.asked_as(*address, name.clone(), Ports::Only([*port].into()));
                self.push(Unit::Identify(Endpoint {
                    name: Some(found.name.clone()),
                    address: *address,
                    port: *port,
                }));
            }
        }
        if let Some(address) = permitted.first() {
            for url in urls {
                self.site(url, Some(found.name.clone()), *address);
            }
        }
    }

    /// A name nobody asked for: followed up within the scope, when names are wanted at all, and within the bound.
    fn name_mentioned(&mut self, name: &DomainName, source: Source) {
        let relevant = source == Source::Pointer
            || self.zones.iter().any(|zone| name.is_within(zone))
            || self.scope.names.iter().any(|pattern| *pattern != NamePattern::Any && pattern.matches(name));
        if !self.wants(Stage::Discover)
            || !relevant
            || self.names_left == 0
            || self.scope.permits_name(name).is_err()
        {
            return;
        }
        let before = self.waiting.len();
        self.look_up(name.clone(), source);
        if self.waiting.len() > before {
            self.names_left -= 1;
        }
    }

    /// An address to look at as a whole.
    fn host(&mut self, address: IpAddr, name: Option<&DomainName>, expected: bool) {
        if self.wants(Stage::Ports) {
            self.push(Unit::Ports { address, name: name.cloned(), expected });
        } else if self.wants(Stage::Crawl) || self.wants(Stage::Check) {
            for port in USUAL_WEB_PORTS {
                self.push(Unit::Knock(Endpoint { name: name.cloned(), address, port }));
            }
        }
    }

    /// A further way to ask for the web sites of an address brings those that are known already.
    fn asked_as(&mut self, address: IpAddr, host: Host, ports: Ports) {
        let known = self.hosts.entry(address).or_default();
        let wanted = known.asked_as.entry(host.clone()).or_insert_with(|| Ports::Only(BTreeSet::new()));
        let before = wanted.clone();
        wanted.add(ports);
        let wanted = wanted.clone();
        if wanted != before {
            let web = known.web.clone();
            for (port, tls) in web.into_iter().filter(|(port, _)| wanted.contains(*port)) {
                self.site_by(host.clone(), address, port, tls);
            }
        }
    }

    fn service_found(&mut self, service: &Service) {
        let Endpoint { address, port, .. } = service.endpoint;
        if self.wants(Stage::Check) {
            self.push(Unit::CheckService(service.clone()));
        }
        if service.protocol != Protocol::HTTP {
            return;
        }
        let tls = service.tls.is_some();
        let known = self.hosts.entry(address).or_default();
        known.web.push((port, tls));
        let hosts: Vec<Host> = known
            .asked_as
            .iter()
            .filter(|(_, ports)| ports.contains(port))
            .map(|(host, _)| host.clone())
            .collect();
        for host in hosts {
            self.site_by(host, address, port, tls);
        }
    }

    fn site_by(&mut self, host: Host, address: IpAddr, port: u16, tls: bool) {
        let name = match &host {
            Host::Name(name) => Some(name.clone()),
            Host::Address(_) => None,
        };
        let scheme = if tls { "https" } else { "http" };
        let endpoint = Endpoint { name: name.clone(), address, port };
        if let Ok(base) = Url::parse(&format!("{scheme}://{endpoint}/")) {
            self.site(base, name, address);
        }
    }

    fn site(&mut self, base: Url, name: Option<DomainName>, address: IpAddr) {
        let Some(port) = base.port_or_known_default() else { return };
        let site = Site { base, endpoint: Endpoint { name, address, port } };
        if self.wants(Stage::Crawl) {
            self.push(Unit::Crawl(site.clone()));
        }
        // Pushed last: findings come before further pages.
        if self.wants(Stage::Check) {
            self.push(Unit::CheckSite(site));
        }
    }
}

#[cfg(test)]
mod tests;
