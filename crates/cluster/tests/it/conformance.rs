//! Nothing is wrong with any installation, by the public rule lists and our own.

use std::collections::{BTreeMap, BTreeSet};

use cluster::{Defect, capacity, manifests::list, network, rules};
use serde_json::Value;

use crate::renders;

/// A line for each defect, with the installations that have it.
fn told(defects: impl IntoIterator<Item = (&'static str, Defect)>) -> String {
    let mut of: BTreeMap<Defect, BTreeSet<&str>> = BTreeMap::new();
    for (render, defect) in defects {
        of.entry(defect).or_default().insert(render);
    }
    of.iter()
        .map(|(defect, renders)| {
            format!("{defect}: {} such as {}\n", renders.len(), renders.first().unwrap())
        })
        .collect()
}

fn of_all(look: fn(&cluster::manifests::Manifests) -> Vec<Defect>) -> String {
    told(
        renders::all().iter().flat_map(|render| {
            look(&render.manifests).into_iter().map(|defect| (render.name.as_str(), defect))
        }),
    )
}

#[test]
fn no_public_rule_list_finds_anything() {
    let wrong = of_all(rules::defects);
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_ways_that_are_open_are_those_that_are_needed() {
    let wrong = of_all(network::defects);
    assert!(wrong.is_empty(), "{wrong}");
}

/// A patch for a policy that is called otherwise is left out without a word.
#[test]
fn whoever_asks_the_clusters_name_servers_may_ask_the_nodes_own() {
    let mut seen = BTreeSet::new();
    for render in renders::all().iter().filter(|render| render.name.contains("node-local-dns")) {
        for policy in render.manifests.of_kind("NetworkPolicy") {
            for rule in policy.list("/spec/egress") {
                let is = |peer: &Value, path: &str, wanted: &str| {
                    peer.pointer(path).and_then(Value::as_str) == Some(wanted)
                };
                if !list(rule, "/to").any(|peer| is(peer, "/podSelector/matchLabels/k8s-app", "kube-dns")) {
                    continue;
                }
                let may = list(rule, "/to").any(|peer| is(peer, "/ipBlock/cidr", "169.254.20.10/32"));
                assert!(may, "{}: {}", render.name, policy.path());
                seen.insert(policy.name());
            }
        }
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}

#[test]
fn autoscalers_of_kubernetes_keep_the_pace_of_those_of_keda() {
    // What is scaled is a Deployment there, too.
    let production = &renders::overlay("production without rollouts").manifests;
    let native = &renders::overlay(&format!("base + {}", renders::NATIVE.join(" + "))).manifests;
    let mut seen = 0;
    for scaled in native.of_kind("HorizontalPodAutoscaler") {
        let asked = production.named("ScaledObject", scaled.name()).unwrap();
        let behavior = asked.at("/spec/advanced/horizontalPodAutoscalerConfig/behavior");
        assert_eq!(scaled.at("/spec/behavior"), behavior, "{}", scaled.path());
        assert_eq!(scaled.at("/spec/maxReplicas"), asked.at("/spec/maxReplicaCount"), "{}", scaled.path());
        assert_eq!(scaled.at("/spec/scaleTargetRef"), asked.at("/spec/scaleTargetRef"), "{}", scaled.path());
        let least = if scaled.name() == "gateway" { 3 } else { 0 };
        assert_eq!(scaled.number("/spec/minReplicas"), Some(least), "{}", scaled.path());
        seen += 1;
    }
    assert_eq!(seen, 6);
}

/// Whoever is put to sleep is woken again, as many as there were, by somebody who may do that and no more.
#[test]
fn staging_wakes_as_it_was() {
    let staging = &renders::overlay("staging + sleeping").manifests;
    let said = |name: &str| -> BTreeMap<String, i64> {
        let container =
            staging.named("CronJob", name).unwrap().at("/spec/jobTemplate/spec/template/spec/containers/0");
        let wanted = list(container.unwrap(), "/args").filter_map(|word| word.as_str()?.split_once('='));
        wanted.map(|(name, count)| (name.to_owned(), count.parse().unwrap())).collect()
    };
    let roles = staging.pods().filter(|pod| pod.labels().get("app.kubernetes.io/name") == Some(&"rampart"));
    let had: BTreeMap<String, i64> = roles
        .map(|pod| (pod.object.name().to_owned(), pod.object.number("/spec/replicas").unwrap()))
        .collect();
    assert_eq!(said("wake"), had);
    assert_eq!(said("sleep"), had.keys().map(|name| (name.clone(), 0)).collect());
    let rules = staging.named("Role", "sleeping").unwrap().list("/rules");
    let named: BTreeSet<&str> =
        rules.flat_map(|rule| list(rule, "/resourceNames")).filter_map(|name| name.as_str()).collect();
    assert_eq!(named, had.keys().map(String::as_str).collect());
}

/// With bounds of its own it is smaller everywhere, and as fast.
#[test]
fn small_autoscaling_is_smaller() {
    let production = renders::overlay("production");
    let small = renders::overlay("staging + autoscaling + autoscaling-events + autoscaling-small");
    let bound = |render: &renders::Render, name: &str, end: &str| {
        let scaled = render.manifests.named("ScaledObject", name).unwrap();
        scaled.number(&format!("/spec/{end}ReplicaCount")).unwrap()
    };
    let mut seen = 0;
    for scaled in production.manifests.of_kind("ScaledObject") {
        let name = scaled.name();
        assert!(bound(small, name, "max") < bound(production, name, "max"), "{name}");
        assert!(bound(small, name, "min") <= bound(production, name, "min"), "{name}");
        assert!(bound(small, name, "min") < bound(small, name, "max"), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 7);
}

/// KEDA keeps the most all the same, and would keep the fewest whoever asks for no more than those.
#[test]
fn working_hours_have_more_than_nights_and_no_more_than_the_most() {
    let mut seen = BTreeSet::new();
    for render in renders::all().iter().filter(|render| render.name.contains("autoscaling-hours")) {
        for scaled in render.manifests.of_kind("ScaledObject") {
            for trigger in scaled.list("/spec/triggers").filter(|trigger| trigger["type"] == "cron") {
                let of = |name: &str| trigger["metadata"][name].as_str().unwrap();
                let wanted: i64 = of("desiredReplicas").parse().unwrap();
                let bound = |place: &str| scaled.number(place).unwrap();
                let place = format!("{}: {}", render.name, scaled.path());
                assert!(bound("/spec/minReplicaCount") < wanted, "{place}");
                assert!(wanted <= bound("/spec/maxReplicaCount"), "{place}");
                assert_ne!(of("start"), of("end"), "{place}");
                seen.insert(scaled.name());
            }
        }
    }
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        ["gateway", "worker-check", "worker-crawl", "worker-discover", "worker-ports"]
    );
}

#[test]
fn the_most_that_autoscaling_asks_for_fits() {
    let wrong = of_all(capacity::defects);
    assert!(wrong.is_empty(), "{wrong}");
}
