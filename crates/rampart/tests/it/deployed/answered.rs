//! What Kubernetes asks of pods, and where it leads people, is answered by the roles that run in them.

use std::{collections::BTreeSet, net::SocketAddr};

use cluster::{
    manifests::{Manifests, Pod, list, text},
    network::environment,
};
use serde_json::Value;

use super::overlay;
use crate::{
    installation::Installation,
    platform::watched::{SCOPE, Watched},
};

/// The roles that run until somebody ends them.
const ROLES: [&str; 3] = ["gateway", "orchestrator", "worker"];

/// What is asked of which role at which of its ports.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    role: &'static str,
    port: String,
    path: String,
}

/// Which role a pod's container is, if it is one that goes on.
fn role<'a>(pod: &Pod<'a>) -> Option<(&'static str, &'a Value)> {
    let container = pod.role().filter(|_| !pod.is_job())?;
    let word = list(container, "/args").next()?.as_str()?;
    ROLES.into_iter().find(|role| *role == word).map(|role| (role, container))
}

fn probes(name: &str, manifests: &Manifests, asked: &mut BTreeSet<Asked>) {
    for pod in manifests.pods() {
        let Some((role, container)) = role(&pod) else { continue };
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let place = format!("{name} {} {probe}", pod.object.path());
            let of = container.get(probe).unwrap_or_else(|| panic!("{place} is not there"));
            let [port, path] = ["/httpGet/port", "/httpGet/path"].map(|at| text(of, at).unwrap().to_owned());
            assert_eq!(
                path == "/ready",
                probe == "readinessProbe",
                "{place}: only who is not ready is left alone, and not killed"
            );
            asked.insert(Asked { role, port, path });
        }
    }
}

fn numbers(manifests: &Manifests, asked: &mut BTreeSet<Asked>) {
    for monitor in manifests.of_kind("PodMonitor").filter(|monitor| monitor.name() == "roles") {
        for endpoint in monitor.list("/spec/podMetricsEndpoints") {
            let [port, path] = ["/port", "/path"].map(|at| text(endpoint, at).unwrap().to_owned());
            asked.extend(ROLES.map(|role| Asked { role, port: port.clone(), path: path.clone() }));
        }
    }
}

/// The ports that pods say they have are those where their roles listen.
fn assert_ports(name: &str, manifests: &Manifests) {
    for pod in manifests.pods() {
        let Some((_, container)) = role(&pod) else { continue };
        let listens = list(container, "/args")
            .filter_map(|argument| argument.as_str()?.strip_prefix("--listen="))
            .map(|at| ("http", at));
        let watched = environment(manifests, container).get("RAMPART_METRICS").map(|at| ("metrics", *at));
        let listens: BTreeSet<(&str, u64)> = listens
            .chain(watched)
            .map(|(port, at)| (port, at.parse::<SocketAddr>().unwrap().port().into()))
            .collect();
        let said: BTreeSet<(&str, u64)> = list(container, "/ports")
            .map(|port| (text(port, "/name").unwrap(), port["containerPort"].as_u64().unwrap()))
            .collect();
        assert_eq!(said, listens, "{name} {}", pod.object.path());
    }
}

#[test]
fn what_is_asked_of_pods_is_answered() {
    let mut asked = BTreeSet::new();
    let mut led = BTreeSet::new();
    for name in ["development", "staging", "production"] {
        let manifests = overlay(name);
        probes(name, &manifests, &mut asked);
        numbers(&manifests, &mut asked);
        assert_ports(name, &manifests);
        let rules = manifests.of_kind("HTTPRoute").flat_map(|route| route.list("/spec/rules"));
        led.extend(rules.flat_map(|rule| list(rule, "/matches")).map(|at| {
            assert_eq!(text(at, "/path/type"), Some("PathPrefix"), "{at}");
            text(at, "/path/value").unwrap().to_owned()
        }));
    }
    assert_eq!(asked.len(), 10, "{asked:?}");
    assert_eq!(led.iter().collect::<Vec<_>>(), ["/api/v1", "/api/v1/events"]);

    let installation = Installation::start(SCOPE);
    let roles = ROLES.map(|role| {
        let mut command = installation.command(&[role, "--metrics", "127.0.0.1:0", "--log", "warn"]);
        if role == "gateway" {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        Watched::start(command)
    });
    let of = |name: &str| &roles[ROLES.iter().position(|role| *role == name).unwrap()];
    for Asked { role, port, path } in &asked {
        of(role).comes_to_at(port, path, 200);
        assert_eq!(of(role).ask_at(port, "/nothing").0, 404, "{role} {port}");
    }
    // The API, and what only those who log in may follow.
    of("gateway").comes_to_at("http", "/api/v1/", 200);
    of("gateway").comes_to_at("http", "/api/v1/events", 401);
}
