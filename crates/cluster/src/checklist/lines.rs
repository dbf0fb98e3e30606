//! The lines of the list, each a look at the manifests or at what the cluster says.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{EXAMPLE, Line, PLACEHOLDER, Served, secrets_to_make};
use crate::manifests::{Manifests, Object, Pod, list, selects, text};

/// As many as a database of three instances wants, and the loss of one leaves two.
const ZONES: usize = 3;
const NO_CLUSTER: &str = "give --context, or make one current: it is asked by kubectl";

/// Texts within a value, wherever they stand, with the places.
fn texts(value: &Value, place: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => found.push((place.to_owned(), text.clone())),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| texts(item, &format!("{place}/{index}"), found));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(name, item)| texts(item, &format!("{place}/{name}"), found))
        }
        _ => {}
    }
}

/// Where objects say one of these words.
fn saying<'a>(objects: impl Iterator<Item = &'a Object>, words: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    for object in objects {
        let mut found = Vec::new();
        for part in ["/spec", "/data", "/stringData"] {
            if let Some(value) = object.at(part) {
                texts(value, part, &mut found);
            }
        }
        let says = found.iter().filter(|(_, text)| words.iter().any(|word| text.contains(word)));
        wrong.extend(says.map(|(place, text)| format!("{}: {place} is {text}", object.path())));
    }
    wrong
}

fn settings(manifests: &Manifests) -> Option<&Object> {
    manifests.of_kind("ConfigMap").find(|map| map.name().starts_with("settings"))
}

fn setting<'a>(manifests: &'a Manifests, name: &str) -> Option<&'a str> {
    settings(manifests)?.at("/data")?.get(name)?.as_str()
}

pub(super) fn image(manifests: &Manifests) -> Line {
    let images = |wants_ours: bool| -> BTreeSet<&str> {
        let containers = manifests
            .pods()
            .flat_map(|pod| pod.all_containers().map(move |container| (pod.role().is_some(), container)));
        // Who says what is run in it runs this program in an image of others, which lacks it.
        let is_meant = |(is_role, container): &(bool, &Value)| {
            (*is_role && container.get("command").is_none()) == wants_ours
        };
        containers.filter(is_meant).filter_map(|(_, container)| text(container, "/image")).collect()
    };
    let digest = |image: &str| image.split_once("@sha256:").map(|(_, digest)| digest.to_owned());
    let is_nowhere = |image: &str| {
        image.contains(EXAMPLE) || digest(image).is_some_and(|digest| digest.trim_matches('0').is_empty())
    };
    let (ours, mut others) = (images(true), images(false));
    others.extend(manifests.of_kind("Cluster").filter_map(|cluster| cluster.text("/spec/imageName")));
    let unpinned = ours.iter().copied().filter(|image| digest(image).is_none() || is_nowhere(image));
    let wrong: Vec<&str> = unpinned.chain(others.iter().copied().filter(|image| is_nowhere(image))).collect();
    match wrong.is_empty() {
        true => Line::ok("image", ours.into_iter().collect::<Vec<_>>().join(", ")),
        false => Line::missing(
            "image",
            wrong
                .iter()
                .map(|image| format!("{image} is no image of a registry of yours by its digest"))
                .collect::<Vec<_>>()
                .join("\n"),
            "in the overlay: kustomize edit set image rampart=REGISTRY/NAME@sha256:DIGEST; imageName of the Cluster is patched there",
        ),
    }
}

pub(super) fn placeholder_secrets(manifests: &Manifests) -> Line {
    let decoded = |value: &Value| value.as_str().and_then(decode).unwrap_or_default();
    let known = manifests.of_kind("Secret").filter(|secret| {
        let data = secret.at("/data").and_then(Value::as_object).into_iter().flatten();
        let plain = secret.at("/stringData").and_then(Value::as_object).into_iter().flatten();
        data.map(|(_, value)| decoded(value))
            .chain(plain.filter_map(|(_, value)| value.as_str().map(str::to_owned)))
            .any(|value| value.contains(PLACEHOLDER))
    });
    let mut wrong: Vec<String> =
        known.map(|secret| format!("{} is what everybody can read", secret.path())).collect();
    let stores = saying(manifests.of_kind("ExternalSecret"), &[PLACEHOLDER]);
    wrong.extend(stores);
    match wrong.is_empty() {
        true => Line::ok("secrets", "none of them is a placeholder"),
        false => Line::missing(
            "secrets",
            wrong.join("\n"),
            "put your own in their place: encrypted by SOPS, or from a store by External Secrets (docs/kubernetes.md, Secrets)",
        ),
    }
}

pub(super) fn secrets_that_are_made(manifests: &Manifests, served: Option<&Served>) -> Line {
    let name = "secrets made";
    let to_make = secrets_to_make(manifests);
    let names = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let mend = "rampart deploy secrets prints them: make them before the rest is applied (docs/kubernetes.md, Secrets)";
    match served {
        _ if to_make.is_empty() => Line::ok(name, "all that pods mount are made here"),
        None => Line::not_checkable(name, format!("nothing here makes {}", names(&to_make)), mend),
        Some(served) => {
            let missing: BTreeSet<String> = to_make.difference(&served.secrets).cloned().collect();
            match missing.is_empty() {
                true => Line::ok(name, format!("{} are in the cluster", names(&to_make))),
                false => Line::missing(
                    name,
                    format!("nobody has made {}: pods that mount them do not start", names(&missing)),
                    mend,
                ),
            }
        }
    }
}

pub(super) fn host_names(manifests: &Manifests) -> Line {
    let entry = ["Gateway", "HTTPRoute", "Certificate", "Ingress"];
    let objects = manifests.objects().filter(|object| entry.contains(&object.kind()));
    let mut wrong = saying(objects, &[EXAMPLE]);
    let url = setting(manifests, "RAMPART_PUBLIC_URL");
    wrong.extend(url.filter(|url| url.contains(EXAMPLE)).map(|url| format!("RAMPART_PUBLIC_URL is {url}")));
    match (wrong.is_empty(), url) {
        (true, Some(url)) => Line::ok("name", url),
        (true, None) => Line::missing(
            "name",
            "nobody says under which name people come",
            "set RAMPART_PUBLIC_URL in the overlay's settings",
        ),
        (false, _) => {
            Line::missing("name", wrong.join("\n"), "patch the name under which people come into the overlay")
        }
    }
}

pub(super) fn issuer(manifests: &Manifests) -> Line {
    let issuers: BTreeSet<&str> = manifests
        .of_kind("Certificate")
        .filter_map(|certificate| certificate.text("/spec/issuerRef/name"))
        .collect();
    match issuers.iter().find(|issuer| issuer.contains(PLACEHOLDER)) {
        Some(issuer) => Line::missing(
            "issuer",
            format!("certificates are of {issuer}"),
            "patch /spec/issuerRef of each Certificate to an issuer of cert-manager",
        ),
        None if issuers.is_empty() => {
            Line::missing("issuer", "there is no certificate", "add components/entry-gateway-api")
        }
        None => Line::ok("issuer", issuers.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

pub(super) fn entry(manifests: &Manifests) -> Line {
    let unnamed = saying(manifests.named("NetworkPolicy", "entry").into_iter(), &[PLACEHOLDER]);
    let class = manifests.of_kind("Gateway").find_map(|gateway| gateway.text("/spec/gatewayClassName"));
    match class {
        Some(class) if class.contains(PLACEHOLDER) => Line::missing(
            "entry",
            format!("the Gateway is of class {class}"),
            "patch /spec/gatewayClassName to a class of the cluster: kubectl get gatewayclasses",
        ),
        Some(_) if !unnamed.is_empty() => Line::missing(
            "entry",
            unnamed.join("\n"),
            "patch the NetworkPolicy entry to the namespace of the Gateway's pods, or to the addresses of nodes where these are in their network",
        ),
        Some(class) => Line::ok("entry", format!("a Gateway of class {class}")),
        None => Line::missing(
            "entry",
            "there is no Gateway: nobody comes in encrypted",
            "add components/entry-gateway-api",
        ),
    }
}

pub(super) fn proxies(manifests: &Manifests) -> Line {
    match setting(manifests, "RAMPART_TRUSTED_PROXIES") {
        Some(networks) if networks.contains("0.0.0.0/0") || networks.contains("::/0") => Line::missing(
            "proxies",
            "everybody is believed when they say for whom they ask",
            "set RAMPART_TRUSTED_PROXIES to the network of the Gateway's pods",
        ),
        Some(networks) => {
            Line::ok("proxies", format!("{networks} are believed when they say for whom they ask"))
        }
        None => Line::missing(
            "proxies",
            "nobody is believed when they say for whom they ask: limits would be about the Gateway",
            "set RAMPART_TRUSTED_PROXIES to the network of the Gateway's pods",
        ),
    }
}

pub(super) fn edge(manifests: &Manifests) -> Line {
    let edge = manifests.of_kind("Gateway").find_map(|gateway| gateway.annotation("rampart/edge"));
    match edge {
        Some(edge) => Line::ok(
            "edge",
            format!("rules of {edge} stand before the Gateway, somebody says; deploy/edge has them"),
        ),
        None => Line::absent(
            manifests,
            "edge",
            "nobody says which edge stands before the Gateway",
            "apply the rules of deploy/edge, and annotate the Gateway with rampart/edge: cloudflare or aws",
        ),
    }
}

pub(super) fn egress(manifests: &Manifests) -> Line {
    let said = manifests.of_kind("Namespace").find_map(|namespace| namespace.annotation("rampart/egress"));
    match said {
        Some(addresses) if !addresses.contains(PLACEHOLDER) => {
            Line::ok("egress", format!("scans come from {addresses}, somebody says"))
        }
        _ => Line::missing(
            "egress",
            "nobody says from which addresses scans come",
            "let scanning workers leave by addresses that stay (components/scan-egress, cluster/egress-cilium, or the cluster's own way out), \
             and say them in the annotation rampart/egress of the namespace",
        ),
    }
}

pub(super) fn objects(manifests: &Manifests) -> Line {
    match setting(manifests, "RAMPART_OBJECTS") {
        Some(url) if url.contains(PLACEHOLDER) || url.contains(EXAMPLE) => Line::missing(
            "objects",
            format!("evidence and reports go to {url}"),
            "set RAMPART_OBJECTS to a bucket of yours in the overlay's settings",
        ),
        Some(url) if url.starts_with("file:") => Line::missing(
            "objects",
            format!("evidence and reports go to {url}, which pods on other nodes do not see"),
            "use components/objects-s3 in the place of objects-volume",
        ),
        Some(_) => Line::ok("objects", "evidence and reports go to a bucket"),
        None => Line::missing(
            "objects",
            "evidence goes into the database, and reports where they are lost",
            "add components/objects-s3",
        ),
    }
}

pub(super) fn backup(manifests: &Manifests) -> Line {
    let own = |name: &str| {
        let said = manifests.of_kind("ConfigMap").filter_map(|map| map.at("/data")?.get(name)?.as_str());
        said.filter(|text| text.contains(PLACEHOLDER) || text.contains(EXAMPLE))
            .map(|text| format!("{name} is {text}"))
            .collect::<Vec<_>>()
    };
    let (mut wrong, mut mends) = (Vec::new(), Vec::new());
    for (found, mend) in [
        (
            saying(manifests.of_kind("ObjectStore"), &[PLACEHOLDER]),
            "patch the ObjectStore to a bucket of another account, with object lock",
        ),
        (
            own("RAMPART_BACKUPS"),
            "set RAMPART_BACKUPS to a bucket of another account, with object lock, in the overlay's ConfigMap backup",
        ),
        (
            own("RAMPART_BACKUP_RECIPIENTS"),
            "make a key with rampart backup key, and set RAMPART_BACKUP_RECIPIENTS there to what it prints",
        ),
    ] {
        if !found.is_empty() {
            wrong.extend(found);
            mends.push(mend);
        }
    }
    let is_regular = manifests.of_kind("ScheduledBackup").next().is_some()
        || manifests.of_kind("CronJob").any(|job| job.name().contains("backup"));
    match (wrong.is_empty(), is_regular) {
        (false, _) => Line::missing("backup", wrong.join("\n"), mends.join("; ")),
        (true, false) => Line::missing(
            "backup",
            "nothing copies the database regularly",
            "add components/backup, or database-operated with its own",
        ),
        (true, true) => Line::ok("backup", "copies are made regularly"),
    }
}

pub(super) fn audit_key(manifests: &Manifests) -> Line {
    let signs = manifests.pods().filter_map(|pod| pod.role()).flat_map(|role| list(role, "/env"));
    match signs.filter_map(|variable| text(variable, "/name")).any(|name| name == "RAMPART_AUDIT_KEY") {
        true => Line::ok("audit", "the orchestrator signs it with a key that is not in the database"),
        false => Line::absent(
            manifests,
            "audit",
            "nobody signs it: whoever has the database can write it anew",
            "add components/audit-key",
        ),
    }
}

pub(super) fn monitoring(manifests: &Manifests) -> Line {
    let has = |kind| manifests.of_kind(kind).next().is_some();
    let mut wrong = Vec::new();
    let is_watched = |pod: &Pod<'_>| {
        let labels = pod.labels();
        manifests.of_kind("PodMonitor").any(|monitor| selects(monitor.at("/spec/selector"), &labels))
    };
    // What a job has to tell is told by others.
    let unwatched = manifests.pods().filter(|pod| pod.role().is_some() && !pod.is_job() && !is_watched(pod));
    wrong.extend(unwatched.map(|pod| format!("nobody collects the numbers of {}", pod.object.path())));
    if !has("PrometheusRule") {
        wrong.push("no rules look at them".to_owned());
    }
    let leading_nowhere = saying(manifests.of_kind("PrometheusRule"), &[EXAMPLE]).len();
    if leading_nowhere > 0 {
        wrong.push(format!("{leading_nowhere} links to runbooks lead to {EXAMPLE}"));
    }
    match wrong.is_empty() {
        true => Line::ok("monitoring", "numbers are collected, and rules look at them"),
        false => Line::missing(
            "monitoring",
            wrong.join("\n"),
            "add components/monitoring, and say where runbooks are (docs/monitoring.md)",
        ),
    }
}

pub(super) fn alert_channels(manifests: &Manifests) -> Line {
    let channels: Vec<&Object> = manifests.of_kind("AlertmanagerConfig").collect();
    let wrong = saying(channels.iter().copied(), &[PLACEHOLDER, EXAMPLE]);
    match (channels.is_empty(), wrong.is_empty()) {
        (true, _) => Line::absent(
            manifests,
            "alerts",
            "nobody is told when a rule fires",
            "add components/monitoring-alerts",
        ),
        (false, false) => {
            Line::missing("alerts", wrong.join("\n"), "patch the receivers to your own channels")
        }
        (false, true) => Line::ok("alerts", "somebody is told when a rule fires"),
    }
}

pub(super) fn policies(manifests: &Manifests) -> Line {
    let kinds = ["ValidatingAdmissionPolicy", "NamespacedImageValidatingPolicy", "ImageValidatingPolicy"];
    let policies = || manifests.objects().filter(|object| kinds.contains(&object.kind()));
    let parameters = manifests.of_kind("ConfigMap").filter(|map| map.name().starts_with("policies"));
    let wrong = saying(policies().chain(parameters), &[PLACEHOLDER, EXAMPLE]);
    let bound = manifests.of_kind("ValidatingAdmissionPolicyBinding").count();
    match (bound, wrong.is_empty()) {
        (0, _) => Line::absent(
            manifests,
            "admission",
            "nothing looks at what is applied later",
            "add components/policies",
        ),
        (_, false) => {
            Line::missing("admission", wrong.join("\n"), "patch the ConfigMap policies, and who signs images")
        }
        (_, true) => {
            Line::ok("admission", format!("{} policies look at what is applied", policies().count()))
        }
    }
}

pub(super) fn storage_class(manifests: &Manifests, served: Option<&Served>) -> Line {
    let claims = manifests.of_kind("PersistentVolumeClaim").map(|claim| claim.text("/spec/storageClassName"));
    let templates = manifests.objects().flat_map(|object| object.list("/spec/volumeClaimTemplates"));
    let templates = templates.map(|claim| text(claim, "/spec/storageClassName"));
    let clusters = manifests.of_kind("Cluster").map(|cluster| cluster.text("/spec/storage/storageClass"));
    let wanted: BTreeSet<Option<&str>> = claims.chain(templates).chain(clusters).collect();
    let Some(served) = served else {
        return Line::not_checkable("storage class", "the cluster is not asked which it has", NO_CLUSTER);
    };
    let wrong: Vec<String> = wanted
        .iter()
        .filter_map(|class| match class {
            Some(class) => {
                (!served.storage_classes.contains_key(*class)).then(|| format!("there is no class {class}"))
            }
            None => (!served.storage_classes.values().any(|is_usual| *is_usual))
                .then(|| "no class is taken where none is named".to_owned()),
        })
        .collect();
    match wrong.is_empty() {
        true => Line::ok("storage class", "every volume gets one"),
        false => Line::missing(
            "storage class",
            wrong.join("\n"),
            "name a class of the cluster in the overlay: kubectl get storageclasses",
        ),
    }
}

pub(super) fn api_versions(manifests: &Manifests, served: Option<&Served>) -> Line {
    let wanted: BTreeSet<&str> =
        manifests.objects().filter_map(|object| object.text("/apiVersion")).collect();
    let Some(served) = served else {
        return Line::not_checkable(
            "API versions",
            format!("{} are used: {}", wanted.len(), joined(&wanted)),
            NO_CLUSTER,
        );
    };
    let missing: BTreeSet<&str> =
        wanted.iter().copied().filter(|version| !served.versions.contains(*version)).collect();
    match missing.is_empty() {
        true => Line::ok("API versions", format!("the cluster serves all {}", wanted.len())),
        false => Line::missing(
            "API versions",
            format!("the cluster does not serve {}", joined(&missing)),
            "install the operators that bring them (docs/kubernetes.md, What a cluster must have)",
        ),
    }
}

pub(super) fn zones(manifests: &Manifests, served: Option<&Served>) -> Line {
    let are_spread = manifests
        .pods()
        .flat_map(|pod| list(pod.template, "/spec/topologySpreadConstraints"))
        .any(|constraint| text(constraint, "/topologyKey") == Some("topology.kubernetes.io/zone"));
    match served {
        _ if !are_spread => {
            Line::absent(manifests, "zones", "pods may all be in one zone", "add components/zones")
        }
        None => Line::not_checkable("zones", format!("pods are spread over {ZONES} zones"), NO_CLUSTER),
        Some(served) if served.zones.len() < ZONES => Line::missing(
            "zones",
            format!("the {} nodes are in {} zones, and not in {ZONES}", served.nodes, served.zones.len()),
            "add nodes in further zones, with the label topology.kubernetes.io/zone",
        ),
        Some(served) => Line::ok("zones", format!("{} nodes in {} zones", served.nodes, served.zones.len())),
    }
}

fn joined(words: &BTreeSet<&str>) -> String {
    words.iter().copied().collect::<Vec<_>>().join(", ")
}

/// Base64 (RFC 4648), as secrets are written.
fn decode(text: &str) -> Option<String> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}
