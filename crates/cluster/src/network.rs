//! Who may speak to whom, and who has to: what network policies leave open, against what the configuration of each pod leads to.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use serde_json::Value;

use crate::{
    Defect,
    manifests::{Manifests, Object, Pod, list, selects, text},
    rules::operated,
};

const RULE: &str = "network/edges";
/// Clouds tell whoever asks there who the machine is, and what it may: nobody needs to.
const METADATA: [&str; 2] = ["169.254.169.254/32", "fd00:ec2::254/128"];
/// Networks of organisations, of providers, and of links: whoever may go to what is public may not go there.
const PRIVATE: [&str; 7] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "fe80::/10",
];
/// The policy that opens private networks to scans, one by one.
const PRIVATE_TARGETS: &str = "private-targets";
/// Stages whose workers speak to whatever a scope allows.
const SCANNING: [&str; 4] = ["discover", "ports", "crawl", "check"];

/// Where somebody goes, or comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Pods of an object.
    Pods(String),
    /// The cluster's name servers.
    Names,
    /// Pods of another namespace.
    Namespace(String),
    /// Whatever is public, and what of private networks a policy names on purpose.
    Outside,
    /// A private network that is open because nobody has left it out.
    Private(IpNet),
    /// Whoever reaches the node.
    Anywhere,
}

/// A way from or to a place, to a port; to all of them without one.
type Edge = (Place, Option<u16>);

/// A pod, or a kind of pod that an operator makes.
struct Party<'a> {
    path: String,
    labels: BTreeMap<&'a str, &'a str>,
    pod: Option<Pod<'a>>,
}

/// What is closed and needed, and what is open and not needed.
pub fn defects(manifests: &Manifests) -> Vec<Defect> {
    let parties = parties(manifests);
    let mut defects = Vec::new();
    let mut tell = |subject: &str, what: String| {
        defects.push(Defect { rule: RULE, subject: subject.to_owned(), what });
    };
    let needed: BTreeMap<&str, BTreeSet<Edge>> = parties
        .iter()
        .map(|party| {
            let needed = party.pod.as_ref().map(|pod| needs(manifests, &parties, pod));
            (party.path.as_str(), needed.unwrap_or_else(|| needs_of_operated(party)))
        })
        .collect();
    for party in &parties {
        let (out, inward) =
            (open(manifests, &parties, party, "Egress"), open(manifests, &parties, party, "Ingress"));
        if let Some(needed) = needed.get(party.path.as_str()) {
            for edge in needed.difference(&out) {
                tell(&party.path, format!("needs a way to {}, and none is open", shown(edge)));
            }
            for edge in out.difference(needed) {
                // Whoever may go anywhere outside needs no narrower way.
                if !matches!(edge, (Place::Outside, Some(_)) if needed.contains(&(Place::Outside, None))) {
                    tell(&party.path, format!("has a way to {}, and needs none", shown(edge)));
                }
            }
        }
        let comes = |from: &str, port: Option<u16>| {
            let way = (Place::Pods(party.path.clone()), port);
            needed.get(from).is_some_and(|needed| needed.contains(&way))
        };
        for edge in &inward {
            let is_needed = match &edge.0 {
                Place::Pods(from) => comes(from, edge.1),
                _ => expected(manifests, party).contains(edge),
            };
            if !is_needed {
                tell(&party.path, format!("is open to {}, who has no reason to come", shown(edge)));
            }
        }
        for edge in expected(manifests, party).difference(&inward) {
            tell(&party.path, format!("is closed to {}, who is to come", shown(edge)));
        }
        for (from, needed) in &needed {
            for (_, port) in needed.iter().filter(|(to, _)| *to == Place::Pods(party.path.clone())) {
                if !inward.contains(&(Place::Pods((*from).to_owned()), *port)) {
                    let way = shown(&(Place::Pods((*from).to_owned()), *port));
                    tell(&party.path, format!("is closed to {way}, who has to come"));
                }
            }
        }
    }
    defects.extend(manifests.of_kind("NetworkPolicy").flat_map(to_metadata));
    defects.sort();
    defects
}

fn shown((place, port): &Edge) -> String {
    let port = port.map_or("any port".to_owned(), |port| format!("port {port}"));
    match place {
        Place::Pods(path) => format!("{path} at {port}"),
        Place::Names => format!("the name servers at {port}"),
        Place::Namespace(name) => format!("namespace {name} at {port}"),
        Place::Outside => format!("the outside at {port}"),
        Place::Private(network) => format!("the private network {network} at {port}"),
        Place::Anywhere => format!("anybody at {port}"),
    }
}

fn parties(manifests: &Manifests) -> Vec<Party<'_>> {
    let own =
        manifests.pods().map(|pod| Party { path: pod.object.path(), labels: pod.labels(), pod: Some(pod) });
    let operated = operated(manifests).into_iter().map(|labels| {
        let path = match labels.get("cnpg.io/poolerName") {
            Some(pooler) => format!("Pooler/{pooler}"),
            None => format!("Cluster/{}", labels.get("cnpg.io/cluster").copied().unwrap_or_default()),
        };
        Party { path, labels, pod: None }
    });
    own.chain(operated).collect()
}

/// The variables of a container.
pub fn environment<'a>(manifests: &'a Manifests, container: &'a Value) -> BTreeMap<&'a str, &'a str> {
    let data = |name: &str| manifests.named("ConfigMap", name).and_then(|map| map.at("/data")?.as_object());
    let maps = list(container, "/envFrom").filter_map(|from| data(text(from, "/configMapRef/name")?));
    let of_maps = maps.flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
    let own = list(container, "/env").filter_map(|variable| {
        let name = text(variable, "/name")?;
        let of_key = || {
            let map = data(text(variable, "/valueFrom/configMapKeyRef/name")?)?;
            map.get(text(variable, "/valueFrom/configMapKeyRef/key")?)?.as_str()
        };
        Some((name, text(variable, "/value").or_else(of_key)?))
    });
    of_maps.chain(own).collect()
}

/// What a pod's configuration leads to.
fn needs(manifests: &Manifests, parties: &[Party<'_>], pod: &Pod<'_>) -> BTreeSet<Edge> {
    let mut needed = BTreeSet::new();
    if pod.role().is_none() {
        // Servers that speak among themselves do so on the ports that they have.
        let alone = pod.object.number("/spec/replicas").unwrap_or(1) == 1 || pod.is_job();
        if !alone {
            let ports = pod.containers().flat_map(|container| list(container, "/ports"));
            let ports = ports.filter_map(|port| port.get("containerPort")?.as_u64());
            needed.extend(ports.map(|port| (Place::Pods(pod.object.path()), Some(port as u16))));
            needed.extend(names());
        }
        return needed;
    }
    for container in pod.all_containers() {
        let environment = environment(manifests, container);
        let is_role = Some(container) == pod.role();
        let urls = ["RAMPART_DATABASE", "RAMPART_REPLICA", "RAMPART_DOORBELL", "RAMPART_TRACES"];
        let urls = urls.iter().filter_map(|name| environment.get(name).copied());
        for (scheme, host, port) in urls.flat_map(hosts) {
            needed.extend(names());
            let places = at_host(manifests, parties, &host);
            needed.extend(places.iter().map(|place| (place.clone(), Some(port))));
            if scheme.contains("sentinel") {
                // Where the primary is, which they name.
                needed.extend(places.into_iter().map(|place| (place, Some(6_379))));
            }
        }
        let arguments: Vec<&str> = list(container, "/args").filter_map(Value::as_str).collect();
        if environment.contains_key("RAMPART_TELL_KUBERNETES") || arguments.starts_with(&["deploy", "scale"])
        {
            needed.extend(names());
            needed.extend(to_the_api());
        }
        let places = ["RAMPART_OBJECTS", "RAMPART_BACKUPS"].iter().filter_map(|name| environment.get(name));
        for place in places.filter(|place| !place.starts_with("file:")) {
            let endpoint = place.split_once("endpoint=").and_then(|(_, url)| hosts(url).pop());
            needed.extend(names());
            needed.insert((Place::Outside, Some(endpoint.map_or(443, |(_, _, port)| port))));
        }
        let stages = arguments
            .iter()
            .filter_map(|argument| argument.strip_prefix("--stage="))
            .flat_map(|stages| stages.split(','));
        // Without receivers nobody sends messages.
        let sends = environment.contains_key("RAMPART_WEBHOOK_RECEIVERS");
        let goes_out = |stage: &str| SCANNING.contains(&stage) || (stage == "deliver" && sends);
        if is_role && stages.into_iter().any(goes_out) {
            needed.extend(names());
            needed.insert((Place::Outside, None));
        }
    }
    needed
}

fn names() -> [Edge; 1] {
    [(Place::Names, Some(53))]
}

/// The cluster's API, before and behind the address of its service.
fn to_the_api() -> [Edge; 2] {
    [443, 6_443].map(|port| (Place::Anywhere, Some(port)))
}

/// What CloudNativePG makes is led by the cluster's API; instances speak among themselves, and poolers to them. Where copies go is open
/// with the API's port.
fn needs_of_operated(party: &Party<'_>) -> BTreeSet<Edge> {
    let cluster = party.labels.get("cnpg.io/cluster").copied().unwrap_or_default();
    let instances = Place::Pods(format!("Cluster/{cluster}"));
    let mut needed: BTreeSet<Edge> = names().into_iter().chain(to_the_api()).collect();
    if party.path.starts_with("Cluster/") {
        needed.insert((instances.clone(), Some(8_000)));
    }
    needed.insert((instances, Some(5_432)));
    needed
}

/// Scheme, host and port of all servers that a URL names.
fn hosts(url: &str) -> Vec<(String, String, u16)> {
    let Some((scheme, rest)) = url.split_once("://") else { return Vec::new() };
    let usual = match scheme {
        "postgres" | "postgresql" => 5_432,
        "amqp" => 5_672,
        "amqps" => 5_671,
        "https" => 443,
        "http" => 80,
        scheme if scheme.contains("sentinel") => 26_379,
        _ => 6_379,
    };
    let place = rest.split(['/', '?']).next().unwrap_or_default();
    let servers = place.rsplit('@').next().unwrap_or_default();
    let servers = servers.split(',').filter(|server| !server.is_empty());
    let one = |server: &str| match server.rsplit_once(':') {
        Some((host, port)) => (scheme.to_owned(), host.to_owned(), port.parse().unwrap_or(usual)),
        None => (scheme.to_owned(), server.to_owned(), usual),
    };
    servers.map(one).collect()
}

/// Who answers under a name.
fn at_host(manifests: &Manifests, parties: &[Party<'_>], host: &str) -> BTreeSet<Place> {
    let mut labels = host.split('.');
    let (first, second) = (labels.next().unwrap_or_default(), labels.next().unwrap_or_default());
    let service = [first, second].into_iter().find_map(|name| manifests.named("Service", name));
    let of_service = |service: &Object| {
        let chosen = parties.iter().filter(|party| service.leads_to(&party.labels));
        chosen.map(|party| Place::Pods(party.path.clone())).collect()
    };
    // As CloudNativePG names the services that it makes.
    let cluster = first.rsplit_once('-').filter(|(_, role)| ["rw", "ro", "r"].contains(role));
    let operated = match cluster.and_then(|(cluster, _)| manifests.named("Cluster", cluster)) {
        Some(cluster) => Some(format!("Cluster/{}", cluster.name())),
        None => manifests.named("Pooler", first).map(|pooler| format!("Pooler/{}", pooler.name())),
    };
    match (service, operated) {
        (Some(service), _) => of_service(service),
        (None, Some(path)) => [Place::Pods(path)].into(),
        (None, None) if labels.next() == Some("svc") => [Place::Namespace(second.to_owned())].into(),
        (None, None) => [Place::Outside].into(),
    }
}

/// What policies leave open to a party, outwards or inwards.
fn open(manifests: &Manifests, parties: &[Party<'_>], party: &Party<'_>, direction: &str) -> BTreeSet<Edge> {
    let (field, peers) = match direction {
        "Egress" => ("/spec/egress", "/to"),
        _ => ("/spec/ingress", "/from"),
    };
    let policies = manifests.of_kind("NetworkPolicy").filter(|policy| {
        let is_about = policy.list("/spec/policyTypes").any(|kind| kind == direction);
        is_about && selects(policy.at("/spec/podSelector"), &party.labels)
    });
    let mut edges = BTreeSet::new();
    for (policy, rule) in policies.flat_map(|policy| policy.list(field).map(move |rule| (policy, rule))) {
        let mut ports: Vec<Option<u16>> = list(rule, "/ports")
            .map(|port| port.get("port").and_then(Value::as_u64).map(|port| port as u16))
            .collect();
        if ports.is_empty() {
            ports.push(None);
        }
        // Whoever comes from a private network comes from outside.
        let is_meant = direction != "Egress" || policy.name() == PRIVATE_TARGETS || !ports.contains(&None);
        let mut places = BTreeSet::new();
        for peer in list(rule, peers) {
            match peer.get("ipBlock") {
                Some(block) if direction == "Egress" => places.extend(at_block(block, is_meant)),
                Some(_) => drop(places.insert(Place::Outside)),
                None => places.extend(at_peer(parties, peer)),
            }
        }
        let is_wide = |cidr: &str| !cidr.ends_with("/32") && !cidr.ends_with("/128");
        if places.contains(&Place::Names)
            && !list(rule, peers).filter_map(|peer| text(peer, "/ipBlock/cidr")).any(is_wide)
        {
            // Single addresses beside the cluster's name servers are where else these answer: at their Service's, or at each node.
            places.retain(|place| !matches!(place, Place::Outside | Place::Private(_)));
        }
        if rule.get(&peers[1..]).is_none() {
            places.insert(Place::Anywhere);
        }
        edges.extend(places.iter().flat_map(|place| ports.iter().map(|port| (place.clone(), *port))));
    }
    edges
}

/// Where a block of addresses leads: outside, and into each private network in it that is not left out. One that is private as a whole is
/// named on purpose: where a server of the configuration is, at its port, or what is scanned.
fn at_block(block: &Value, is_meant: bool) -> BTreeSet<Place> {
    let Some(whole) = block.get("cidr").and_then(network) else { return [Place::Outside].into() };
    let left_out = IpNet::aggregate(&list(block, "/except").filter_map(network).collect());
    let private: Vec<IpNet> = PRIVATE.iter().filter_map(|network| network.parse().ok()).collect();
    if private.iter().any(|private| private.contains(&whole)) {
        return [if is_meant { Place::Outside } else { Place::Private(whole) }].into();
    }
    let is_left_out = |private: &IpNet| left_out.iter().any(|network| network.contains(private));
    let open = private.into_iter().filter(|private| whole.contains(private) && !is_left_out(private));
    open.map(Place::Private).chain([Place::Outside]).collect()
}

fn network(value: &Value) -> Option<IpNet> {
    value.as_str().and_then(|text| text.parse().ok())
}

fn at_peer(parties: &[Party<'_>], peer: &Value) -> BTreeSet<Place> {
    match peer.get("namespaceSelector") {
        None => {
            let meant = parties.iter().filter(|party| selects(peer.get("podSelector"), &party.labels));
            meant.map(|party| Place::Pods(party.path.clone())).collect()
        }
        Some(selector) => {
            let name = selector.pointer("/matchLabels/kubernetes.io~1metadata.name").and_then(Value::as_str);
            let is_names = text(peer, "/podSelector/matchLabels/k8s-app") == Some("kube-dns");
            match name {
                Some("kube-system") if is_names => [Place::Names].into(),
                Some(name) => [Place::Namespace(name.to_owned())].into(),
                None => [Place::Anywhere].into(),
            }
        }
    }
}

/// Who comes from elsewhere: by the way in, to read numbers, or to lead what an operator has made.
fn expected(manifests: &Manifests, party: &Party<'_>) -> BTreeSet<Edge> {
    let mut expected = BTreeSet::new();
    let place_of = |policy: &str| {
        let policy = manifests.named("NetworkPolicy", policy)?;
        let from = policy.list("/spec/ingress").flat_map(|rule| list(rule, "/from")).next()?;
        let namespace = text(from, "/namespaceSelector/matchLabels/kubernetes.io~1metadata.name");
        // Pods in their nodes' network have addresses, and no labels that count.
        let addresses = from.get("ipBlock").map(|_| Place::Outside);
        namespace.map(|name| Place::Namespace(name.to_owned())).or(addresses)
    };
    // Where no policy says from where, nobody is let in.
    let from =
        |policy: &str| place_of(policy).unwrap_or_else(|| Place::Namespace(format!("of the {policy}")));
    let answers = |port: u64| {
        let ports = party
            .pod
            .into_iter()
            .flat_map(|pod| pod.containers())
            .flat_map(|container| list(container, "/ports"));
        ports.filter_map(|one| one.get("containerPort")?.as_u64()).any(|one| one == port)
    };
    let is_led_to = |service: &&Object| service.leads_to(&party.labels);
    if answers(8_440) {
        let node_port = manifests
            .of_kind("Service")
            .filter(is_led_to)
            .any(|service| service.text("/spec/type") == Some("NodePort"));
        let routed = manifests
            .of_kind("HTTPRoute")
            .flat_map(|route| route.list("/spec/rules"))
            .flat_map(|rule| list(rule, "/backendRefs"));
        let routed = routed.filter_map(|backend| manifests.named("Service", text(backend, "/name")?));
        if node_port {
            expected.insert((Place::Anywhere, Some(8_440)));
        } else if routed.into_iter().any(|service| is_led_to(&service)) {
            expected.insert((from("entry"), Some(8_440)));
        }
    }
    let asked = manifests.of_kind("ScaledObject").flat_map(|object| object.list("/spec/triggers"));
    let asked = asked.filter_map(|trigger| hosts(text(trigger, "/metadata/url")?).pop());
    let asked = asked.filter_map(|(_, host, _)| manifests.named("Service", host.split('.').next()?));
    if asked.into_iter().any(|service| is_led_to(&service)) {
        expected.insert((from("autoscaler"), Some(9_440)));
    }
    let monitors =
        manifests.of_kind("PodMonitor").any(|monitor| selects(monitor.at("/spec/selector"), &party.labels));
    if monitors {
        let port = if party.path.starts_with("Cluster/") {
            9_187
        } else if party.path.starts_with("Pooler/") {
            9_127
        } else {
            9_440
        };
        expected.insert((from("monitoring"), Some(port)));
    }
    let operator = || Place::Namespace("cnpg-system".to_owned());
    if party.path.starts_with("Cluster/") {
        expected.extend([(operator(), Some(8_000)), (operator(), Some(5_432))]);
    } else if party.path.starts_with("Pooler/") {
        expected.insert((operator(), Some(9_127)));
    }
    expected
}

/// Ways to where a cloud tells who its machines are.
fn to_metadata(policy: &Object) -> Vec<Defect> {
    let blocks =
        policy.list("/spec/egress").flat_map(|rule| list(rule, "/to")).filter_map(|peer| peer.get("ipBlock"));
    let reaches = |block: &Value, address: &IpNet| {
        let within = |net: IpNet| net.contains(address);
        block.get("cidr").and_then(network).is_some_and(within)
            && !list(block, "/except").filter_map(network).any(within)
    };
    let addresses: Vec<IpNet> = METADATA.iter().filter_map(|address| address.parse().ok()).collect();
    let open = blocks.filter(|block| addresses.iter().any(|address| reaches(block, address)));
    let what = "leaves the metadata service of a cloud open: leave 169.254.0.0/16 out".to_owned();
    open.map(|_| Defect { rule: "network/metadata", subject: policy.path(), what: what.clone() }).collect()
}
