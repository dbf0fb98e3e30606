//! Ways that are missing or that nobody needs are found, and what does not fit into quota and connections: in production, with something else
//! in one place.

use cluster::{capacity, network};
use serde_json::{Value, json};

use crate::{found::with, renders};

#[test]
fn ways_that_are_missing_or_needless_are_found() {
    let production = &renders::overlay("production").text;
    let settings = renders::overlay("production")
        .manifests
        .of_kind("ConfigMap")
        .find(|map| map.name().starts_with("settings"));
    let settings: &'static str = Box::leak(settings.unwrap().path().into_boxed_str());
    for (object, place, value, told) in [
        (
            "NetworkPolicy/rampart/to-doorbell",
            "/spec/egress/0/ports/0",
            None,
            "Deployment/rampart/gateway: needs a way to StatefulSet/rampart/doorbell at port 6379",
        ),
        (
            "NetworkPolicy/rampart/doorbell-sentinel",
            "/spec/ingress/0/ports/1",
            None,
            "StatefulSet/rampart/doorbell: is closed to Deployment/rampart/gateway at port 26379",
        ),
        (
            "NetworkPolicy/rampart/names",
            "/spec/egress/0/ports/x",
            Some(json!({ "port": 22 })),
            "Deployment/rampart/gateway: has a way to the name servers at port 22",
        ),
        (
            "NetworkPolicy/rampart/names",
            "/spec/egress/0/to/x",
            Some(json!({ "ipBlock": { "cidr": "10.96.0.0/24" } })),
            "Deployment/rampart/gateway: has a way to the outside at port 53",
        ),
        (
            "NetworkPolicy/rampart/entry",
            "/spec/podSelector",
            Some(json!({})),
            "Deployment/rampart/worker-check: is open to namespace placeholder-of-the-gateway at port 8440",
        ),
        (
            "NetworkPolicy/rampart/entry",
            "/spec/ingress",
            Some(json!([])),
            "Deployment/rampart/gateway: is closed to",
        ),
        (
            "NetworkPolicy/rampart/autoscaler",
            "/spec/ingress/0/from",
            None,
            "Deployment/rampart/gateway: is open to anybody at port 9440",
        ),
        (
            settings,
            "/data/RAMPART_DOORBELL",
            Some(json!("amqps://queue.example.com")),
            "Deployment/rampart/gateway: needs a way to the outside at port 5671",
        ),
        (
            "NetworkPolicy/rampart/to-backups",
            "/spec/egress/1",
            None,
            "CronJob/rampart/drill: needs a way to the outside at port 443",
        ),
        (
            "NetworkPolicy/rampart/backup-to-database",
            "/spec/podSelector/matchExpressions/0/values/x",
            Some(json!("drill")),
            "CronJob/rampart/drill: has a way to Cluster/database at port 5432",
        ),
        (
            "NetworkPolicy/rampart/database-from-backup",
            "/spec/podSelector/matchLabels/cnpg.io~1cluster",
            Some(json!("another")),
            "Cluster/database: is closed to Deployment/rampart/archive at port 5432",
        ),
        (
            "NetworkPolicy/rampart/pooler",
            "/spec/egress/1",
            None,
            "Pooler/database-pooler: needs a way to anybody at port 6443",
        ),
        (
            "NetworkPolicy/rampart/pooler",
            "/spec/egress/0/ports/x",
            Some(json!({ "port": 8000 })),
            "Pooler/database-pooler: has a way to Cluster/database at port 8000",
        ),
        (
            "NetworkPolicy/rampart/database-operated",
            "/spec/egress/0/ports/1",
            None,
            "Cluster/database: needs a way to Cluster/database at port 8000",
        ),
        (
            settings,
            "/data/RAMPART_TRACES",
            Some(json!("https://collector.example.com:4318")),
            "Deployment/rampart/gateway: needs a way to the outside at port 4318",
        ),
        (
            settings,
            "/data/RAMPART_TRACES",
            Some(json!("http://collector.tracing.svc:4318")),
            "Deployment/rampart/gateway: needs a way to namespace tracing at port 4318",
        ),
    ] {
        let manifests = with(production, object, place, value.clone());
        let defects: Vec<String> = network::defects(&manifests).iter().map(ToString::to_string).collect();
        assert!(
            defects.iter().any(|defect| defect.starts_with(told)),
            "{object} {place} {value:?}: {told} is not in {defects:#?}"
        );
    }
    // Where proxies and name servers have addresses of their nodes, or of their Service.
    let block = json!({ "ipBlock": { "cidr": "10.0.0.0/24" } });
    for (object, place, value) in [
        ("NetworkPolicy/rampart/entry", "/spec/ingress/0/from", json!([block])),
        (
            "NetworkPolicy/rampart/names",
            "/spec/egress/0/to/x",
            json!({ "ipBlock": { "cidr": "10.96.0.10/32" } }),
        ),
    ] {
        let defects = network::defects(&with(production, object, place, Some(value)));
        assert!(defects.is_empty(), "{object}: {defects:?}");
    }
    let open = with(production, "NetworkPolicy/rampart/targets", "/spec/egress/0/to/0/ipBlock/except", None);
    assert!(network::defects(&open).iter().any(|defect| defect.rule == "network/metadata"));
}

/// Each private network that stands open within what is public is found by its name, whoever may go there.
#[test]
fn private_networks_that_are_not_left_out_are_found() {
    let production = renders::overlay("production");
    let told = |policy: &str, place: &str, value: Option<Value>| -> Vec<String> {
        let object = format!("NetworkPolicy/rampart/{policy}");
        let manifests = with(&production.text, &object, place, value);
        network::defects(&manifests).iter().map(ToString::to_string).collect()
    };
    for (policy, rule, who, port) in [
        ("targets", 0, &["worker-check"][..], "any port"),
        ("to-objects", 0, &["worker-check", "gateway", "orchestrator"], "port 443"),
        ("to-backups", 1, &["archive"], "port 443"),
    ] {
        let place = format!("/spec/egress/{rule}/to/0/ipBlock/except");
        let left_out = production.manifests.named("NetworkPolicy", policy).unwrap().at(&place).unwrap();
        let left_out: Vec<&str> = left_out.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        for network in ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"] {
            let number = left_out.iter().position(|one| *one == network);
            let number = number.unwrap_or_else(|| panic!("{policy} does not leave out {network}"));
            let defects = told(policy, &format!("{place}/{number}"), None);
            for who in who {
                let wanted =
                    format!("Deployment/rampart/{who}: has a way to the private network {network} at {port}");
                let is_told = defects.iter().any(|defect| defect.starts_with(&wanted));
                assert!(is_told, "{policy}: {wanted} is not in {defects:#?}");
            }
        }
    }
    let halves = json!({ "cidr": "8.0.0.0/6", "except": ["10.0.0.0/9", "10.128.0.0/9"] });
    for (policy, block, wanted) in [
        ("targets", json!({ "cidr": "10.1.0.0/16" }), Some("the private network 10.1.0.0/16 at any port")),
        ("targets", json!({ "cidr": "::/0" }), Some("the private network fc00::/7 at any port")),
        ("targets", halves, None),
        // At the port of a server that the configuration names.
        ("to-objects", json!({ "cidr": "10.1.2.3/32" }), None),
    ] {
        let defects = told(policy, "/spec/egress/0/to/x", Some(json!({ "ipBlock": block })));
        match wanted {
            Some(wanted) => {
                assert!(defects.iter().any(|defect| defect.contains(wanted)), "{block}: {defects:?}")
            }
            None => assert!(defects.is_empty(), "{block}: {defects:?}"),
        }
    }
}

#[test]
fn what_does_not_fit_is_found() {
    let production = &renders::overlay("production").text;
    for (object, place, value, told) in [
        ("ResourceQuota/rampart/rampart", "/spec/hard/pods", json!("150"), "pods may come to"),
        (
            "ResourceQuota/rampart/rampart",
            "/spec/hard/limits.memory",
            json!("64Gi"),
            "limits.memory may come to",
        ),
        ("ScaledObject/rampart/worker-check", "/spec/maxReplicaCount", json!(1000), "all processes may open"),
        (
            "Pooler/rampart/database-pooler",
            "/spec/pgbouncer/parameters/default_pool_size",
            json!("200"),
            "the poolers may open",
        ),
    ] {
        let defects = capacity::defects(&with(production, object, place, Some(value)));
        assert!(defects.iter().any(|defect| defect.what.starts_with(told)), "{object} {place}: {defects:?}");
    }
}
