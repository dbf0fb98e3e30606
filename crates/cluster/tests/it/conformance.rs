//! Nothing is wrong with any installation, by the public rule lists and our own.

use std::collections::{BTreeMap, BTreeSet};

use cluster::{Defect, capacity, network, rules};

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

#[test]
fn autoscalers_of_kubernetes_keep_the_pace_of_those_of_keda() {
    let production = &renders::overlay("production").manifests;
    let native = &renders::overlay("development + autoscaling-native").manifests;
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

#[test]
fn the_most_that_autoscaling_asks_for_fits() {
    let wrong = told(["development", "staging", "production"].into_iter().flat_map(|name| {
        let render = renders::overlay(name);
        capacity::defects(&render.manifests).into_iter().map(move |defect| (name, defect))
    }));
    assert!(wrong.is_empty(), "{wrong}");
}
