//! Ways that are missing or that nobody needs are found, and what does not fit into quota and connections: in production, with something else
//! in one place.

use cluster::{capacity, network};
use serde_json::json;

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
