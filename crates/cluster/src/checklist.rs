//! What must be true of an installation before people rely on it, line by line: what is there, what is missing, and what nobody can
//! tell without the cluster.

mod lines;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::{
    capacity,
    manifests::{self, Manifests},
    network, rules,
};

/// What is left in manifests for whoever runs an installation to say.
pub const PLACEHOLDER: &str = "placeholder-of-";
/// What an installation does without says an annotation of its namespace, this and the name of the line, and why.
const WITHOUT: &str = "rampart/without-";
/// Names that nobody has (RFC 2606).
const EXAMPLE: &str = "example.com";

/// How a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is there.
    Ok,
    /// It is not there, and whoever runs the installation says why.
    LeftOut,
    /// It is not there, or not as it has to be.
    Missing,
    /// Nobody can tell from here.
    NotCheckable,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What it is about, in a word or two.
    pub name: &'static str,
    /// How it stands.
    pub standing: Standing,
    /// What was seen, a line each.
    pub says: String,
    /// What to do about it; nothing where it is ok.
    pub mend: Option<String>,
}

/// What a cluster says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Served {
    /// Groups and versions of its API: `apps/v1`, `v1`.
    pub versions: BTreeSet<String>,
    /// Its storage classes, and whether each is taken where nobody names one.
    pub storage_classes: BTreeMap<String, bool>,
    /// The zones of its nodes.
    pub zones: BTreeSet<String>,
    /// How many nodes it has.
    pub nodes: usize,
    /// The names of the secrets that are in the installation's namespace.
    pub secrets: BTreeSet<String>,
}

/// Secrets that pods mount and nobody makes here: whoever runs the installation does.
pub fn secrets_to_make(manifests: &Manifests) -> BTreeSet<String> {
    let mut made: BTreeSet<String> =
        manifests.of_kind("Secret").map(|secret| secret.name().to_owned()).collect();
    let text = |kind: &'static str, place: &'static str| {
        manifests.of_kind(kind).filter_map(move |object| object.text(place).map(str::to_owned))
    };
    made.extend(text("ExternalSecret", "/spec/target/name"));
    made.extend(text("Certificate", "/spec/secretName"));
    made.extend(manifests.of_kind("Cluster").map(|cluster| format!("{}-ca", cluster.name())));
    let volumes = manifests.pods().flat_map(|pod| pod.volumes());
    let wanted = volumes.filter(|volume| volume.pointer("/secret/optional") != Some(&Value::Bool(true)));
    let wanted = wanted.filter_map(|volume| manifests::text(volume, "/secret/secretName").map(str::to_owned));
    wanted.filter(|name| !made.contains(name)).collect()
}

/// All lines for an installation, in the order in which they are best mended; `served` is what its cluster says, if that could be asked.
pub fn checklist(manifests: &Manifests, served: Option<&Served>) -> Vec<Line> {
    let mut list = vec![
        lines::image(manifests),
        lines::placeholder_secrets(manifests),
        lines::secrets_that_are_made(manifests, served),
        lines::host_names(manifests),
        lines::issuer(manifests),
        lines::entry(manifests),
        lines::proxies(manifests),
        lines::edge(manifests),
        lines::egress(manifests),
        lines::objects(manifests),
        lines::backup(manifests),
        lines::audit_key(manifests),
        lines::monitoring(manifests),
        lines::alert_channels(manifests),
        lines::policies(manifests),
    ];
    list.push(of_defects(
        "capacity",
        capacity::defects(manifests),
        "the most that autoscaling asks for fits into the quota and the database's connections",
        "raise the quota, or ask for less",
    ));
    list.push(of_defects(
        "network",
        network::defects(manifests),
        "the ways that are open are those that the configuration needs",
        "open what is needed in a NetworkPolicy, and close what is not",
    ));
    list.push(of_defects(
        "rules",
        rules::defects(manifests),
        "no public rule list finds anything",
        "mend it, or excuse it where it stands with a reason",
    ));
    list.push(lines::storage_class(manifests, served));
    list.push(lines::api_versions(manifests, served));
    list.push(lines::zones(manifests, served));
    list
}

fn of_defects(name: &'static str, defects: Vec<crate::Defect>, right: &str, mend: &str) -> Line {
    let told: Vec<String> = defects.iter().map(ToString::to_string).collect();
    match told.is_empty() {
        true => Line::ok(name, right),
        false => Line::missing(name, told.join("\n"), mend),
    }
}

impl Line {
    fn ok(name: &'static str, says: impl Into<String>) -> Line {
        Line { name, standing: Standing::Ok, says: says.into(), mend: None }
    }

    fn missing(name: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Line {
        Line { name, standing: Standing::Missing, says: says.into(), mend: Some(mend.into()) }
    }

    /// As [`missing`](Line::missing), for what an installation may do without.
    fn absent(
        manifests: &Manifests,
        name: &'static str,
        says: impl Into<String>,
        mend: impl Into<String>,
    ) -> Line {
        let without = format!("{WITHOUT}{name}");
        let why = manifests.of_kind("Namespace").find_map(|namespace| namespace.annotation(&without));
        match why.filter(|why| !why.trim().is_empty()) {
            Some(why) => Line { name, standing: Standing::LeftOut, says: why.to_owned(), mend: None },
            None => Line::missing(name, says, mend),
        }
    }

    fn not_checkable(name: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Line {
        Line { name, standing: Standing::NotCheckable, says: says.into(), mend: Some(mend.into()) }
    }
}
