//! What is to be done next: a pure state machine over units and what they taught.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

use model::{
    DomainName, Endpoint, FoundName, Host, Learned, Protocol, Scope, Service, Site, Source, Stage, Target,
    Unit,
};
use sha2::{Digest, Sha256};
use url::Url;

/// Web ports looked at when a host is the target but the ports stage is not wanted.
const USUAL_WEB_PORTS: [u16; 2] = [443, 80];

/// Turns targets and lessons into units, each once. Last in, first out: what was begun is finished before further targets are
/// taken, so that memory depends on the units at work and not on the length of the target list.
pub struct Frontier {
    stages: BTreeSet<Stage>,
    identify: bool,
    scope: Scope,
    waiting: Vec<Unit>,
    visited: HashSet<[u8; 16]>,
    hosts: HashMap<IpAddr, KnownHost>,
    wanted: HashMap<DomainName, Wanted>,
    zones: HashSet<DomainName>,
    names_left: u32,
}

/// What is known of an address.
#[derive(Default)]
struct KnownHost {
    names: Vec<DomainName>,
    /// Somebody asked for the address itself, so sites are looked at by address too.
    by_address: bool,
    /// HTTP services: port, and inside TLS or not.
    web: Vec<(u16, bool)>,
}

/// What to do with a name once its addresses are known.
#[derive(Default)]
struct Wanted {
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
            zones: HashSet::new(),
            names_left,
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
        if self.visited.insert(key(&unit)) {
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
                self.hosts.entry(*address).or_default().by_address = true;
                self.host(*address, None, true);
            }
            Target::Service(Host::Address(address), port) => {
                self.hosts.entry(*address).or_default().by_address = true;
                self.push(Unit::Identify(Endpoint { name: None, address: *address, port: *port }));
            }
            Target::Url(url) => match target.host() {
                Some(Host::Address(address)) => self.site(url.clone(), None, address),
                Some(Host::Name(name)) => {
                    self.wanted.entry(name.clone()).or_default().urls.push(url.clone());
                    self.look_up(name, Source::Target);
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
                    self.look_up(name.clone(), Source::Target);
                }
            }
            Target::Service(Host::Name(name), port) => {
                self.wanted.entry(name.clone()).or_default().ports.push(*port);
                self.look_up(name.clone(), Source::Target);
            }
        }
    }

    /// Takes one address of a network that is gone through: there may be nothing there.
    pub fn add_address_of_network(&mut self, address: IpAddr) {
        self.hosts.entry(address).or_default().by_address = true;
        self.host(address, None, false);
    }

    fn look_up(&mut self, name: DomainName, source: Source) {
        self.push(Unit::Discover { name, source, brute_force: false });
    }

    /// Takes what a finished unit taught.
    pub fn learn(&mut self, unit: &Unit, learned: &Learned) {
        for found in &learned.found {
            self.name_exists(found);
        }
        for (name, source) in &learned.mentioned {
            self.name_mentioned(name, *source);
        }
        if let Unit::Ports { address, expected: false, .. } = unit
            && learned.open.is_empty()
            && self.hosts.get(address).is_some_and(|known| known.names.is_empty() && known.web.is_empty())
        {
            // Nothing follows from it: a large network of silent addresses takes no memory. Should a name lead there later, it is
            // looked at again.
            self.hosts.remove(address);
            self.visited.remove(&key(unit));
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
            let apex = found.apex || asked_for;
            self.push(Unit::CheckName { name: found.name.clone(), apex, alias: found.alias });
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
            if whole_host {
                self.host(*address, Some(&found.name), asked_for);
            } else if nobody_asked {
                self.also_known_as(*address, &found.name);
            }
            for port in &ports {
                self.remember_name(*address, &found.name);
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
            || self
                .scope
                .names
                .iter()
                .any(|pattern| *pattern != model::NamePattern::Any && pattern.matches(name));
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

    fn remember_name(&mut self, address: IpAddr, name: &DomainName) -> bool {
        let known = self.hosts.entry(address).or_default();
        let new = !known.names.contains(name);
        if new {
            known.names.push(name.clone());
        }
        new
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
        if let Some(name) = name {
            self.also_known_as(address, name);
        }
    }

    /// A further name of an address brings the web sites that are there under that name.
    fn also_known_as(&mut self, address: IpAddr, name: &DomainName) {
        if self.remember_name(address, name) {
            let web = self.hosts.get(&address).map(|known| known.web.clone()).unwrap_or_default();
            for (port, tls) in web {
                self.site_by(Host::Name(name.clone()), address, port, tls);
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
        let names = known.names.clone();
        if known.by_address || names.is_empty() {
            self.site_by(Host::Address(address), address, port, tls);
        }
        for name in names {
            self.site_by(Host::Name(name), address, port, tls);
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

/// What a unit is known by: its text may be long, and there may be millions of them.
fn key(unit: &Unit) -> [u8; 16] {
    let digest = Sha256::digest(unit.to_string().as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

#[cfg(test)]
mod tests;
