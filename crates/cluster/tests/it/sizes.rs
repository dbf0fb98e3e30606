//! How many there are of what, how large they are, and how fast they come and go: the overlays, read as the table that they stand for.

use cluster::{
    checklist::secrets_to_make,
    manifests::{Manifests, Object, list},
};
use serde_json::Value;

use crate::renders;

/// One line for each thing that has pods or keeps data: its name, how many of it, and what it asks for and may have at most.
fn sizes(manifests: &Manifests) -> Vec<String> {
    let mut lines: Vec<String> = manifests
        .objects()
        .filter_map(|object| match object.kind() {
            "Deployment" | "StatefulSet" => Some(pods(manifests, object)),
            "Cluster" => Some(format!(
                "{} {} of {}, kept for {}",
                object.name(),
                object.number("/spec/instances")?,
                object.text("/spec/storage/size")?,
                manifests.of_kind("ObjectStore").next()?.text("/spec/retentionPolicy")?
            )),
            "Pooler" => Some(format!("{} {}", object.name(), object.number("/spec/instances")?)),
            "PersistentVolumeClaim" => {
                Some(format!("{} {}", object.name(), object.text("/spec/resources/requests/storage")?))
            }
            "CronJob" => Some(format!(
                "{} at {}, {} s at most",
                object.name(),
                object.text("/spec/schedule")?,
                object.number("/spec/jobTemplate/spec/activeDeadlineSeconds")?
            )),
            _ => None,
        })
        .collect();
    lines.sort();
    lines
}

fn pods(manifests: &Manifests, object: &Object) -> String {
    let scaled = manifests
        .of_kind("ScaledObject")
        .find(|scaled| scaled.text("/spec/scaleTargetRef/name") == Some(object.name()));
    let count = match scaled {
        None => object.number("/spec/replicas").unwrap_or(1).to_string(),
        Some(scaled) => {
            let bound = |name: &str| scaled.number(&format!("/spec/{name}ReplicaCount")).unwrap();
            let behavior = scaled.at("/spec/advanced/horizontalPodAutoscalerConfig/behavior").unwrap();
            let triggers: Vec<String> = scaled.list("/spec/triggers").map(trigger).collect();
            format!(
                "{}-{} by {}; up {}, down {}",
                bound("min"),
                bound("max"),
                triggers.join(", "),
                pace(&behavior["scaleUp"]),
                pace(&behavior["scaleDown"])
            )
        }
    };
    let container = object.at("/spec/template/spec/containers/0").unwrap();
    let size = |of: &str| {
        let of = &container["resources"][of];
        format!("{}, {}", of["cpu"].as_str().unwrap(), of["memory"].as_str().unwrap())
    };
    let volumes = object.list("/spec/volumeClaimTemplates");
    let volumes: String = volumes
        .map(|volume| format!("; {}", volume["spec"]["resources"]["requests"]["storage"].as_str().unwrap()))
        .collect();
    format!("{} {count}; {} / {}{volumes}", object.name(), size("requests"), size("limits"))
}

fn trigger(trigger: &Value) -> String {
    let metadata = &trigger["metadata"];
    match trigger["type"].as_str().unwrap() {
        "prometheus" => format!("{} requests/s", metadata["threshold"].as_str().unwrap()),
        "metrics-api" => metadata["valueLocation"].as_str().unwrap().to_owned(),
        kind => format!("{kind} {} %", metadata["value"].as_str().unwrap()),
    }
}

fn pace(behavior: &Value) -> String {
    let policies = list(behavior, "/policies").map(|policy| {
        let unit = if policy["type"] == "Percent" { " %" } else { "" };
        format!("{}{unit} in {} s", policy["value"], policy["periodSeconds"])
    });
    policies.collect::<Vec<_>>().join(" or ")
}

fn assert_sizes(overlay: &str, expected: &[&str]) {
    assert_eq!(sizes(&renders::overlay(overlay).manifests), expected, "{overlay}");
}

#[test]
fn development_has_one_of_each() {
    let expected = [
        "database 1; 250m, 256Mi / 2, 1Gi; 2Gi",
        "doorbell 1; 50m, 64Mi / 500m, 256Mi",
        "gateway 1; 20m, 64Mi / 500m, 512Mi",
        "objects 2Gi",
        "orchestrator 1; 20m, 64Mi / 500m, 512Mi",
        "worker-check 1; 20m, 64Mi / 1, 2Gi",
        "worker-crawl 1; 20m, 64Mi / 1, 2Gi",
        "worker-discover 1; 20m, 64Mi / 1, 2Gi",
        "worker-ports 1; 20m, 64Mi / 1, 2Gi",
        "worker-report 1; 20m, 64Mi / 1, 2Gi",
    ];
    assert_sizes("development", &expected);
}

#[test]
fn staging_has_two_of_each() {
    let expected = [
        "archive 1; 50m, 128Mi / 500m, 512Mi",
        "backup at 0 2 * * *, 21600 s at most",
        "database 1; 250m, 2Gi / 2, 4Gi; 50Gi",
        "doorbell 1; 50m, 64Mi / 500m, 256Mi; 5Gi",
        "drill at 0 5 * * 0, 14400 s at most",
        "gateway 2; 100m, 128Mi / 500m, 512Mi",
        "gateway-events 2; 100m, 128Mi / 500m, 512Mi",
        "monthly-report at 0 6 1 * *, 21600 s at most",
        "orchestrator 2; 100m, 128Mi / 500m, 512Mi",
        "spool 10Gi",
        "worker-check 2; 250m, 512Mi / 1, 2Gi",
        "worker-crawl 2; 250m, 512Mi / 1, 2Gi",
        "worker-discover 2; 250m, 512Mi / 1, 2Gi",
        "worker-ports 2; 250m, 512Mi / 1, 2Gi",
        "worker-report 2; 250m, 512Mi / 1, 2Gi",
    ];
    assert_sizes("staging", &expected);
}

#[test]
fn production_has_as_many_as_there_is_work_for() {
    let expected = [
        "archive 1; 50m, 128Mi / 500m, 512Mi",
        "backup at 0 2 * * *, 21600 s at most",
        "database 3 of 200Gi, kept for 30d",
        "database-pooler 3",
        "doorbell 3; 100m, 256Mi / 1, 1Gi; 50Gi",
        "drill at 0 5 * * 0, 14400 s at most",
        "gateway 3-20 by cpu 70 %, memory 80 %, 100 requests/s; up 2 in 60 s, down 1 in 300 s; 500m, 512Mi / 2, 2Gi",
        "gateway-events 3-5 by cpu 70 %, memory 80 %; up 2 in 60 s, down 1 in 300 s; 500m, 512Mi / 2, 2Gi",
        "monthly-report at 0 6 1 * *, 21600 s at most",
        "orchestrator 2; 100m, 128Mi / 500m, 512Mi",
        "spool 10Gi",
        "worker-check 3-20 by desired_workers; up 10 in 60 s or 100 % in 60 s, down 1 in 600 s; 250m, 512Mi / 1, 2Gi",
        "worker-crawl 3-20 by desired_workers; up 10 in 60 s or 100 % in 60 s, down 1 in 600 s; 250m, 512Mi / 1, 2Gi",
        "worker-discover 3-20 by desired_workers; up 10 in 60 s or 100 % in 60 s, down 1 in 600 s; 250m, 512Mi / 1, 2Gi",
        "worker-ports 3-20 by desired_workers; up 10 in 60 s or 100 % in 60 s, down 1 in 600 s; 250m, 512Mi / 1, 2Gi",
        "worker-report 0-10 by desired_workers; up 10 in 60 s or 100 % in 60 s, down 1 in 600 s; 250m, 512Mi / 1, 2Gi",
    ];
    assert_sizes("production", &expected);
}

/// RabbitMQ in the place of Redis, and every secret that it needs comes from where the others come from.
#[test]
fn rabbitmq_is_one_in_staging_and_three_in_production() {
    let staging = &renders::overlay("staging with doorbell-rabbitmq-single").manifests;
    let production =
        &renders::overlay("production with doorbell-rabbitmq + doorbell-rabbitmq-secret").manifests;
    let doorbell = |of| sizes(of).into_iter().filter(|line| line.starts_with("doorbell")).collect::<Vec<_>>();
    assert_eq!(doorbell(staging), ["doorbell 1; 250m, 512Mi / 1, 1Gi; 30Gi"]);
    assert_eq!(doorbell(production), ["doorbell 3; 250m, 512Mi / 1, 1Gi; 100Gi"]);
    let nodes = |of: &Manifests| {
        let maps = of.of_kind("ConfigMap").filter(|map| map.name().starts_with("doorbell-configuration"));
        let texts: Vec<String> = maps.map(|map| map.at("/data").unwrap().to_string()).collect();
        texts.concat().matches("classic_config.nodes.").count()
    };
    assert_eq!((nodes(staging), nodes(production)), (0, 3));
    let with_redis = secrets_to_make(&renders::overlay("production").manifests);
    assert_eq!(secrets_to_make(production), with_redis);
    assert!(secrets_to_make(staging).contains("doorbell-cookie"));
}
