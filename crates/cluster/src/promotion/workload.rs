//! What of a namespace has the program in it, and what changes that.

use serde_json::{Value, json};

use super::{Standing, Way};
use crate::manifests::{list, text};

/// Where a workload says which image it was given last by a promotion,
const PROMOTED: &str = "rampart/image-promoted";
/// which one it had before,
const BEFORE: &str = "rampart/image-before";
/// and, while the pods of two releases stand beside one another, after how many seconds a pod counts and how long one may take to come
/// otherwise.
const STANDS: &str = "rampart/stands-beside";
/// So many seconds no pod counts that is to stand beside others: a Deployment lets the others be for as long.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#min-ready-seconds>
const STAND: u64 = 365 * 24 * 60 * 60;
/// By which Kubernetes tells the pods of a Deployment's releases apart.
const HASH: &str = "pod-template-hash";

/// What has the program in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Has pods all the time.
    Deployment,
    /// Has them at times.
    CronJob,
}

impl Kind {
    /// As kubectl takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Deployment => "deployment",
            Kind::CronJob => "cronjob",
        }
    }

    fn of(object: &Value) -> Option<Kind> {
        match text(object, "/kind") {
            Some("Deployment") => Some(Kind::Deployment),
            Some("CronJob") => Some(Kind::CronJob),
            _ => None,
        }
    }

    /// Where it says what its pods are like.
    fn pod(self) -> &'static str {
        match self {
            Kind::Deployment => "/spec/template/spec",
            Kind::CronJob => "/spec/jobTemplate/spec/template/spec",
        }
    }
}

/// How far a Deployment may go with its pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// As far as it goes.
    Free,
    /// It makes no further ones. What it has is scaled on.
    Paused,
    /// It makes all of them, and takes none of the others away.
    Beside,
}

/// What was seen of a namespace at once.
#[derive(Debug)]
pub struct Installation(Vec<Value>);

impl Installation {
    /// Its Deployments, ReplicaSets, CronJobs and Services.
    pub fn of(objects: Vec<Value>) -> Installation {
        Installation(objects)
    }

    /// A Deployment by its name.
    pub fn deployment(&self, name: &str) -> Option<Workload<'_>> {
        let found = self.workloads().find(|workload| workload.name() == name);
        found.filter(|workload| workload.kind == Kind::Deployment)
    }

    /// Deployments, then CronJobs, in the order in which they were told.
    pub fn workloads(&self) -> impl Iterator<Item = Workload<'_>> {
        let of = |wanted| {
            let all = self.0.iter().filter_map(|object| Some(Workload { kind: Kind::of(object)?, object }));
            all.filter(move |workload| workload.kind == wanted)
        };
        of(Kind::Deployment).chain(of(Kind::CronJob))
    }

    /// How far a Deployment has come with an image; not at all without one.
    pub fn standing(&self, deployment: &str, image: &str) -> Standing {
        let Some(Workload { object, .. }) = self.deployment(deployment) else { return Standing::default() };
        let uid = text(object, "/metadata/uid");
        let is_owned = |set: &&Value| {
            list(set, "/metadata/ownerReferences").any(|owner| uid.is_some() && text(owner, "/uid") == uid)
        };
        let sets = self.0.iter().filter(|object| text(object, "/kind") == Some("ReplicaSet"));
        let sets = sets.filter(is_owned);
        // A ReplicaSet's pods are told where a Deployment's are.
        let program = image_name(image);
        let image_of = |set| Workload { kind: Kind::Deployment, object: set }.image(program);
        let sets: Vec<_> = sets.map(|set| (set, image_of(set))).collect();
        Standing::of(object, &sets, image)
    }

    /// Does Argo Rollouts make a Deployment's pods?
    pub fn is_of_a_rollout(&self, deployment: &str) -> bool {
        let of_it = |owner: &Value| {
            text(owner, "/kind") == Some("Rollout") && text(owner, "/name") == Some(deployment)
        };
        self.0.iter().any(|object| list(object, "/metadata/ownerReferences").any(of_it))
    }

    /// The release whose pods alone a Service leads to, if so.
    pub fn pinned(&self, service: &str) -> Option<&str> {
        let is_it = |object: &&Value| {
            text(object, "/kind") == Some("Service") && text(object, "/metadata/name") == Some(service)
        };
        text(self.0.iter().find(is_it)?, &format!("/spec/selector/{HASH}"))
    }
}

/// Something that has the program in it.
#[derive(Debug, Clone, Copy)]
pub struct Workload<'a> {
    /// What it is.
    pub kind: Kind,
    object: &'a Value,
}

impl<'a> Workload<'a> {
    /// How it is called.
    pub fn name(&self) -> &'a str {
        text(self.object, "/metadata/name").unwrap_or_default()
    }

    /// The image with such a name that its containers have; of two different ones the first.
    pub fn image(&self, program: &str) -> Option<&'a str> {
        self.containers().map(|(_, image)| image).find(|image| image_name(image) == program)
    }

    /// The image that it had before it was promoted to this one.
    pub fn image_before(&self, promoted: &str) -> Option<&'a str> {
        self.annotation(BEFORE).filter(|_| self.annotation(PROMOTED) == Some(promoted))
    }

    /// The image that it was promoted to last.
    pub fn image_promoted(&self) -> Option<&'a str> {
        self.annotation(PROMOTED)
    }

    /// The image of its first container, whatever that is.
    pub fn first_image(&self) -> Option<&'a str> {
        self.containers().map(|(_, image)| image).next()
    }

    /// How far it goes.
    pub fn hold(&self) -> Hold {
        match self.object.pointer("/spec/paused").and_then(Value::as_bool) {
            Some(true) => Hold::Paused,
            _ if self.stands() => Hold::Beside,
            _ => Hold::Free,
        }
    }

    /// Not by its annotation: `kubectl rollout undo` takes that away, or brings it back from a release before.
    fn stands(&self) -> bool {
        self.object
            .pointer("/spec/minReadySeconds")
            .and_then(Value::as_u64)
            .is_some_and(|after| after >= STAND)
    }

    /// What makes it forget what it was promoted to: it went back from there, and nothing leads any further back.
    pub fn forget(&self) -> Vec<Value> {
        match self.image_promoted() {
            None | Some("") => Vec::new(),
            Some(_) => vec![add(&annotation_path(PROMOTED), "")],
        }
    }

    /// May all pods of a release stand beside all of the one before?
    pub fn has_room_beside(&self) -> bool {
        let strategy = |name: &str| self.object.pointer(&format!("/spec/strategy/rollingUpdate/{name}"));
        let is_none = |value: &Value| value == &json!(0) || value == &json!("0%");
        strategy("maxSurge") == Some(&json!("100%")) && strategy("maxUnavailable").is_some_and(is_none)
    }

    /// What makes its containers have an image, in the place of what they have of the same program, and a Deployment go so far with that;
    /// as a JSON patch (RFC 6902), which fails when somebody else has changed an image meanwhile. On the way on it is written down what
    /// there was before; whoever goes back leaves that as it is.
    pub fn change(&self, to: &str, hold: Hold, way: Way) -> Vec<Value> {
        let program = image_name(to);
        let mut patch = Vec::new();
        for (path, had) in self.containers() {
            if image_name(had) == program && had != to {
                patch.push(json!({ "op": "test", "path": path, "value": had }));
                patch.push(json!({ "op": "replace", "path": path, "value": to }));
            }
        }
        let before = self.image(program).filter(|before| *before != to && way == Way::On);
        let mut annotations = Vec::new();
        if let Some(before) = before {
            annotations.push(add(&annotation_path(BEFORE), before));
            annotations.push(add(&annotation_path(PROMOTED), to));
        }
        if self.kind == Kind::Deployment {
            patch.push(add("/spec/paused", hold == Hold::Paused));
            match (self.stands(), hold) {
                (false, Hold::Beside) => {
                    let [ready, progress] = [("minReadySeconds", 0), ("progressDeadlineSeconds", 600)]
                        .map(|(name, usual)| self.object["spec"][name].as_u64().unwrap_or(usual));
                    annotations.push(add(&annotation_path(STANDS), format!("{ready} {progress}")));
                    patch.extend(counts_after(STAND, STAND + 1));
                }
                (true, Hold::Free) => {
                    let before = self.annotation(STANDS).unwrap_or_default();
                    let number = |at| before.split(' ').nth(at).and_then(|number| number.parse().ok());
                    patch.extend(counts_after(number(0).unwrap_or(10), number(1).unwrap_or(600)));
                }
                _ => {}
            }
        }
        if !annotations.is_empty() && self.object.pointer("/metadata/annotations").is_none() {
            patch.push(json!({ "op": "add", "path": "/metadata/annotations", "value": {} }));
        }
        [patch, annotations].concat()
    }

    fn annotation(&self, key: &str) -> Option<&'a str> {
        self.object.pointer("/metadata/annotations")?.get(key).and_then(Value::as_str)
    }

    /// Where each container says which image it has, and which that is.
    fn containers(&self) -> impl Iterator<Item = (String, &'a str)> + use<'a> {
        let (object, pod) = (self.object, self.kind.pod());
        ["containers", "initContainers"].into_iter().flat_map(move |kind| {
            let containers = list(object, &format!("{pod}/{kind}")).enumerate();
            containers.filter_map(move |(number, container)| {
                Some((format!("{pod}/{kind}/{number}/image"), text(container, "/image")?))
            })
        })
    }
}

fn add(path: &str, value: impl Into<Value>) -> Value {
    json!({ "op": "add", "path": path, "value": value.into() })
}

fn annotation_path(key: &str) -> String {
    format!("/metadata/annotations/{}", key.replace('/', "~1"))
}

fn counts_after(ready: u64, progress: u64) -> [Value; 2] {
    [add("/spec/minReadySeconds", ready), add("/spec/progressDeadlineSeconds", progress)]
}

/// What makes a Service lead to the pods of one release, or, without one, to those of all; as a JSON patch.
pub fn pin(hash: Option<&str>) -> Vec<Value> {
    let path = format!("/spec/selector/{HASH}");
    // Added first: what is not there cannot be removed.
    let mut patch = vec![json!({ "op": "add", "path": path, "value": hash.unwrap_or_default() })];
    if hash.is_none() {
        patch.push(json!({ "op": "remove", "path": path }));
    }
    patch
}

/// Of an image its name, without which one it is.
pub fn image_name(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        // What follows the last colon may be a port.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "host:5000/rampart@sha256:1";
    const TWO: &str = "host:5000/rampart@sha256:2";

    fn containers(images: &[&str]) -> Value {
        images.iter().map(|image| json!({ "image": image })).collect()
    }

    fn deployment(image: &str, annotations: &Value) -> Value {
        let pod = json!({
            "initContainers": containers(&["host:5000/busybox:1", image]),
            "containers": containers(&[image, "host:5000/rampart-other:1"]),
        });
        json!({
            "kind": "Deployment",
            "metadata": { "name": "gateway", "annotations": annotations },
            "spec": { "template": { "spec": pod } },
        })
    }

    fn patch(object: &Value, to: &str, hold: Hold) -> Vec<Value> {
        Workload { kind: Kind::of(object).unwrap(), object }.change(to, hold, Way::On)
    }

    #[test]
    fn every_container_of_the_program_changes_and_no_other() {
        let [main, init] =
            ["containers/0", "initContainers/1"].map(|at| format!("/spec/template/spec/{at}/image"));
        let test = |path: &str| json!({ "op": "test", "path": path, "value": ONE });
        let replace = |path: &str| json!({ "op": "replace", "path": path, "value": TWO });
        let written = [add(&annotation_path(BEFORE), ONE), add(&annotation_path(PROMOTED), TWO)];
        let paused = |paused: bool| add("/spec/paused", paused);
        let images = [test(&main), replace(&main), test(&init), replace(&init)];
        let expected = [&images[..], &[paused(true)], &written].concat();
        assert_eq!(patch(&deployment(ONE, &json!({})), TWO, Hold::Paused), expected);
        // Where none was written down yet there is no place for it either.
        let without = add("/metadata/annotations", json!({}));
        let mut bare = deployment(ONE, &json!({}));
        bare["metadata"].as_object_mut().unwrap().remove("annotations");
        let expected = [&images[..], &[paused(true), without], &written].concat();
        assert_eq!(patch(&bare, TWO, Hold::Paused), expected);
        // What has it already only goes on, and who goes back writes nothing down.
        assert_eq!(patch(&deployment(TWO, &json!({})), TWO, Hold::Free), [paused(false)]);
        let object = deployment(ONE, &json!({ BEFORE: TWO, PROMOTED: ONE }));
        let workload = Workload { kind: Kind::Deployment, object: &object };
        assert_eq!(workload.change(TWO, Hold::Free, Way::Back), [&images[..], &[paused(false)]].concat());
        assert_eq!((workload.image_before(ONE), workload.image_before(TWO)), (Some(TWO), None));
    }

    #[test]
    fn what_stands_beside_others_counts_for_nothing_until_it_is_let_go() {
        let mut object = deployment(TWO, &json!({}));
        object["spec"]["minReadySeconds"] = json!(10);
        object["spec"]["progressDeadlineSeconds"] = json!(900);
        fn workload(object: &Value) -> Workload<'_> {
            Workload { kind: Kind::Deployment, object }
        }
        let stands = [
            &[add("/spec/paused", false)][..],
            &counts_after(STAND, STAND + 1),
            &[add(&annotation_path(STANDS), "10 900")],
        ];
        assert_eq!(workload(&object).change(TWO, Hold::Beside, Way::On), stands.concat());
        object["metadata"]["annotations"][STANDS] = json!("10 900");
        assert_eq!(workload(&object).hold(), Hold::Free, "it is left of an earlier one");
        object["spec"]["minReadySeconds"] = json!(STAND);
        assert_eq!(workload(&object).hold(), Hold::Beside);
        assert_eq!(
            workload(&object).change(TWO, Hold::Beside, Way::On),
            [add("/spec/paused", false)],
            "it is not forgotten"
        );
        let free = [&[add("/spec/paused", false)][..], &counts_after(10, 900)];
        assert_eq!(workload(&object).change(TWO, Hold::Free, Way::Back), free.concat());
        // Whoever has taken the annotation away has not taken away the rest.
        object["metadata"]["annotations"] = json!({});
        let free = [&[add("/spec/paused", false)][..], &counts_after(10, 600)];
        assert_eq!(workload(&object).change(TWO, Hold::Free, Way::Back), free.concat());
    }

    #[test]
    fn jobs_change_too_and_have_nothing_to_pause() {
        let pod = json!({ "containers": containers(&[ONE]) });
        let job = json!({
            "kind": "CronJob",
            "metadata": { "name": "sleep", "annotations": {} },
            "spec": { "jobTemplate": { "spec": { "template": { "spec": pod } } } },
        });
        let path = "/spec/jobTemplate/spec/template/spec/containers/0/image";
        let changes = patch(&job, TWO, Hold::Paused);
        assert_eq!(changes[1], json!({ "op": "replace", "path": path, "value": TWO }));
        assert_eq!(changes.len(), 4, "{changes:?}");
    }

    #[test]
    fn what_a_deployment_owns_is_counted_and_nothing_of_another() {
        let mut deployment = deployment(TWO, &json!({}));
        deployment["metadata"]["uid"] = json!("d");
        let set = |owner: &str, image: &str, ready: u32| {
            json!({
                "kind": "ReplicaSet",
                "metadata": { "ownerReferences": [{ "uid": owner }] },
                "spec": { "replicas": ready, "template": { "spec": { "containers": containers(&[image]) } } },
                "status": { "readyReplicas": ready, "replicas": ready },
            })
        };
        let service = json!({ "kind": "Service", "metadata": { "name": "gateway" }, "spec": { "selector": { HASH: "x" } } });
        let objects = vec![set("d", TWO, 2), set("d", ONE, 3), set("another", TWO, 40), service, deployment];
        let installation = Installation::of(objects);
        let standing = installation.standing("gateway", TWO);
        assert_eq!((standing.ready, standing.others), (2, 3));
        assert_eq!(installation.standing("nothing", TWO), Standing::default());
        assert_eq!(installation.pinned("gateway"), Some("x"));
        assert_eq!(installation.pinned("another"), None);
    }

    #[test]
    fn there_is_room_beside_where_as_many_more_may_be_made() {
        for (strategy, expected) in [
            (json!({ "maxSurge": "100%", "maxUnavailable": 0 }), true),
            (json!({ "maxSurge": "25%", "maxUnavailable": 0 }), false),
            (json!({ "maxSurge": "100%", "maxUnavailable": 1 }), false),
            (json!({}), false),
        ] {
            let object = json!({ "spec": { "strategy": { "rollingUpdate": strategy } } });
            assert_eq!(
                Workload { kind: Kind::Deployment, object: &object }.has_room_beside(),
                expected,
                "{object}"
            );
        }
    }

    #[test]
    fn the_name_of_an_image_is_without_which_one() {
        for (image, expected) in [
            ("rampart", "rampart"),
            ("rampart:1", "rampart"),
            ("host:5000/a/rampart", "host:5000/a/rampart"),
            ("host:5000/a/rampart:1@sha256:0", "host:5000/a/rampart"),
        ] {
            assert_eq!(image_name(image), expected);
        }
    }
}
