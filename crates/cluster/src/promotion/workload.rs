//! What of a namespace has the program in it, and what changes that.

use serde_json::{Value, json};

use super::Standing;
use crate::manifests::{list, text};

/// Where a workload says what image it had before.
const BEFORE: &str = "rampart/image-before";
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

    /// The image that it had before the last promotion.
    pub fn image_before(&self) -> Option<&'a str> {
        self.annotation(BEFORE)
    }

    /// Does it make no pods, as Argo Rollouts makes those that it describes?
    pub fn is_of_a_rollout(&self) -> bool {
        self.annotation("rollout.argoproj.io/workload-generation").is_some()
    }

    /// Does it wait with replacing its pods?
    pub fn is_paused(&self) -> bool {
        self.object.pointer("/spec/paused").and_then(Value::as_bool).unwrap_or(false)
    }

    /// May all pods of a release stand beside all of the one before?
    pub fn has_room_beside(&self) -> bool {
        let strategy = |name: &str| self.object.pointer(&format!("/spec/strategy/rollingUpdate/{name}"));
        let is_none = |value: &Value| value == &json!(0) || value == &json!("0%");
        strategy("maxSurge") == Some(&json!("100%")) && strategy("maxUnavailable").is_some_and(is_none)
    }

    /// What makes its containers have an image, in the place of what they have of the same program, and a Deployment go on with that
    /// or wait; as a JSON patch (RFC 6902), which fails when somebody else has changed an image meanwhile.
    pub fn change(&self, to: &str, paused: bool) -> Vec<Value> {
        let program = image_name(to);
        let mut patch = Vec::new();
        for (path, had) in self.containers() {
            if image_name(had) == program && had != to {
                patch.push(json!({ "op": "test", "path": path, "value": had }));
                patch.push(json!({ "op": "replace", "path": path, "value": to }));
            }
        }
        let before = self.image(program).filter(|before| *before != to);
        // Whoever goes back to what was there before keeps what that is called: there is no way further back.
        if let Some(before) = before.filter(|_| self.image_before() != Some(to)) {
            if self.object.pointer("/metadata/annotations").is_none() {
                patch.push(json!({ "op": "add", "path": "/metadata/annotations", "value": {} }));
            }
            let path = format!("/metadata/annotations/{}", BEFORE.replace('/', "~1"));
            patch.push(json!({ "op": "add", "path": path, "value": before }));
        }
        if self.kind == Kind::Deployment {
            patch.push(json!({ "op": "add", "path": "/spec/paused", "value": paused }));
        }
        patch
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

    fn patch(object: &Value, to: &str, paused: bool) -> Vec<Value> {
        Workload { kind: Kind::of(object).unwrap(), object }.change(to, paused)
    }

    #[test]
    fn every_container_of_the_program_changes_and_no_other() {
        let [main, init] =
            ["containers/0", "initContainers/1"].map(|at| format!("/spec/template/spec/{at}/image"));
        let test = |path: &str| json!({ "op": "test", "path": path, "value": ONE });
        let replace = |path: &str| json!({ "op": "replace", "path": path, "value": TWO });
        let before =
            json!({ "op": "add", "path": "/metadata/annotations/rampart~1image-before", "value": ONE });
        let paused = |paused: bool| json!({ "op": "add", "path": "/spec/paused", "value": paused });
        let images = [test(&main), replace(&main), test(&init), replace(&init)];
        let expected = [&images[..], &[before.clone(), paused(true)]].concat();
        assert_eq!(patch(&deployment(ONE, &json!({})), TWO, true), expected);
        // Where none was written down yet there is no place for it either.
        let without = json!({ "op": "add", "path": "/metadata/annotations", "value": {} });
        let mut bare = deployment(ONE, &json!({}));
        bare["metadata"].as_object_mut().unwrap().remove("annotations");
        assert_eq!(patch(&bare, TWO, true), [&images[..], &[without, before, paused(true)]].concat());
        // What has it already only goes on, and who goes back keeps what is written down.
        assert_eq!(patch(&deployment(TWO, &json!({})), TWO, false), [paused(false)]);
        assert_eq!(
            patch(&deployment(ONE, &json!({ BEFORE: TWO })), TWO, false),
            [&images[..], &[paused(false)]].concat()
        );
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
        let changes = patch(&job, TWO, true);
        assert_eq!(changes[1], json!({ "op": "replace", "path": path, "value": TWO }));
        assert_eq!(changes.len(), 3, "{changes:?}");
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
