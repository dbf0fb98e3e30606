//! A cluster whose controllers the test plays, as far as a release is concerned: one step at each question.

use std::{
    ffi::{OsStr, OsString},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::http::{HttpServer, ok, response};
use tokio::runtime::Runtime;

use crate::deployed::kubectl;

/// In the place of kubectl: it hands on what it is told.
const KUBECTL: &str = r#"#!/bin/bash
set -eu
exec 3<>/dev/tcp/127.0.0.1/PORT
words=$(printf '%s\n' "$@")
printf 'POST / HTTP/1.1\r\nContent-Length: %s\r\n\r\n%s' "$(printf %s "$words" | wc --bytes)" "$words" >&3
IFS=' ' read -r _ status _ <&3
while IFS= read -r line && [ "$line" != $'\r' ]; do
    case $line in Content-Length:*) length=${line#*: } ;; esac
done <&3
head --bytes "${length%$'\r'}" <&3 >answer.$$
if [ "$status" = 200 ]; then cat answer.$$; else cat answer.$$ >&2; exit 1; fi
"#;

/// What the gateway was like while it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) new: u64,
    pub(super) paused: bool,
}

#[derive(Default)]
struct State {
    deployments: Vec<Value>,
    jobs: Vec<Value>,
    sets: Vec<Value>,
    service: Value,
    /// What errors, latency and dead tasks are; nothing where that is not known.
    answers: [String; 3],
    asked: Vec<String>,
    changed: Vec<String>,
    led: Vec<String>,
    looks: Vec<Seen>,
    /// So many more changes are refused.
    hiccups: u32,
    /// Pods of the second image die as soon as people are led to them.
    is_frail: bool,
}

pub(super) struct Cluster {
    state: Arc<Mutex<State>>,
    path: OsString,
    prometheus: HttpServer,
    _api: HttpServer,
    _directory: TempDir,
    _runtime: Runtime,
}

fn containers(images: &[&str]) -> Value {
    images.iter().map(|image| json!({ "image": image })).collect()
}

fn deployment(name: &str, count: u64, images: &[&str], init: &[&str]) -> Value {
    json!({
        "kind": "Deployment",
        "metadata": { "name": name, "uid": name },
        "spec": {
            "replicas": count,
            "minReadySeconds": 10,
            "progressDeadlineSeconds": 600,
            "strategy": { "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } },
            "template": { "spec": { "containers": containers(images), "initContainers": containers(init) } },
        },
    })
}

impl Cluster {
    pub(super) fn start(image: &str) -> Cluster {
        let state = State {
            deployments: vec![
                deployment("archive", 1, &["postgres:17"], &[image]),
                deployment("gateway", 4, &[image], &["busybox:1"]),
                deployment("gateway-events", 2, &[image], &[]),
                deployment("orchestrator", 2, &[image], &[image]),
                // Asleep, or without anything to do.
                deployment("worker-check", 0, &[image], &[]),
            ],
            jobs: vec![json!({
                "kind": "CronJob",
                "metadata": { "name": "sleep" },
                "spec": { "jobTemplate": { "spec": { "template": { "spec": { "containers": containers(&[image]) } } } } },
            })],
            service: json!({
                "kind": "Service",
                "metadata": { "name": "gateway" },
                "spec": { "selector": { "app.kubernetes.io/component": "gateway" } },
            }),
            answers: ["0.002", "1.1", "7"].map(str::to_owned),
            ..State::default()
        };
        let state = Arc::new(Mutex::new(state));
        for _ in 0..20 {
            lock(&state).tick();
        }
        let runtime = Runtime::new().unwrap();
        let told = Arc::clone(&state);
        let api = runtime.block_on(HttpServer::start(move |seen| {
            let text = seen.text();
            let words: Vec<&str> = text.split_once("\r\n\r\n").unwrap().1.lines().collect();
            match lock(&told).do_as_told(&words) {
                Ok(answer) => ok(answer.to_string()),
                Err(why) => response("422 No", &[], why),
            }
        }));
        let asked = Arc::clone(&state);
        let prometheus = runtime.block_on(HttpServer::start(move |seen| {
            let target = format!("http://prometheus{}", seen.target());
            let url = url::Url::parse(&target).unwrap();
            if url.path() != "/api/v1/query" {
                return response("404 Not Found", &[], "404 page not found");
            }
            let (_, question) = url.query_pairs().find(|(name, _)| name == "query").unwrap();
            ok(lock(&asked).answer(&question).to_string())
        }));
        let directory = tempfile::tempdir().unwrap();
        let script = KUBECTL.replace("PORT", &api.address().port().to_string());
        let script = script.replace("answer.", &format!("{}/answer.", directory.path().display()));
        let path = kubectl(directory.path(), &script);
        Cluster { state, path, prometheus, _api: api, _directory: directory, _runtime: runtime }
    }

    /// Where programs are found, and the kubectl of this cluster before all others.
    pub(super) fn path(&self) -> &OsStr {
        &self.path
    }

    pub(super) fn prometheus(&self) -> String {
        format!("http://{}", self.prometheus.address())
    }

    pub(super) fn answers(&self, errors: &str, latency: &str, dead: &str) {
        self.state().answers = [errors, latency, dead].map(str::to_owned);
    }

    /// Its controllers look once more.
    pub(super) fn passes(&self) {
        self.state().tick();
    }

    pub(super) fn make_room(&self) {
        self.state().deployment("gateway")["spec"]["strategy"]["rollingUpdate"]["maxSurge"] = json!("100%");
    }

    pub(super) fn has_a_rollout(&self) {
        let owner = json!({ "kind": "Rollout", "name": "gateway", "uid": "rollout" });
        let set =
            json!({ "kind": "ReplicaSet", "metadata": { "name": "of-it", "ownerReferences": [owner] } });
        self.state().sets.push(set);
    }

    /// Somebody else gives a Deployment an image.
    pub(super) fn give(&self, name: &str, image: &str) {
        self.state().deployment(name)["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    }

    pub(super) fn is_frail(&self, is_frail: bool) {
        self.state().is_frail = is_frail;
    }

    /// As whoever was cut off leaves it.
    pub(super) fn pin(&self, hash: &str) {
        self.state().service["spec"]["selector"]["pod-template-hash"] = json!(hash);
    }

    pub(super) fn refuses_for_a_while(&self) {
        self.state().hiccups = 3;
    }

    /// The image of the program that something has, in all of its containers.
    pub(super) fn image(&self, name: &str) -> String {
        let images = self.images(name);
        let mut ours = images.iter().filter(|image| image.contains("/rampart@"));
        let image = ours.next().unwrap();
        assert!(ours.all(|other| other == image), "{name}: {images:?}");
        image.clone()
    }

    /// What there is of other programs.
    pub(super) fn others(&self) -> Vec<String> {
        let mut images = [self.images("gateway"), self.images("archive")].concat();
        images.retain(|image| !image.contains("/rampart@"));
        images
    }

    fn images(&self, name: &str) -> Vec<String> {
        let state = self.state();
        let found =
            state.deployments.iter().chain(&state.jobs).find(|object| object["metadata"]["name"] == name);
        let found = found.unwrap();
        let pod = found
            .pointer("/spec/template/spec")
            .or_else(|| found.pointer("/spec/jobTemplate/spec/template/spec"));
        let lists = ["containers", "initContainers"]
            .map(|kind| pod.unwrap()[kind].as_array().cloned().unwrap_or_default());
        lists.concat().iter().map(|container| container["image"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) fn is_paused(&self) -> bool {
        self.state().deployment("gateway")["spec"]["paused"] == true
    }

    /// After how many seconds a pod of the gateway counts, and how long one may take.
    pub(super) fn counts_after(&self) -> [u64; 2] {
        let mut state = self.state();
        let gateway = state.deployment("gateway");
        ["/spec/minReadySeconds", "/spec/progressDeadlineSeconds"].map(|path| number(gateway, path))
    }

    pub(super) fn pinned(&self) -> Option<String> {
        self.state().service["spec"]["selector"]["pod-template-hash"].as_str().map(str::to_owned)
    }

    /// What got another image since it was asked last, in its order.
    pub(super) fn changed(&self) -> Vec<String> {
        let mut changed = std::mem::take(&mut self.state().changed);
        let mut seen = Vec::new();
        changed.retain(|name| {
            !seen.contains(name) && {
                seen.push(name.clone());
                true
            }
        });
        changed
    }

    /// Where people were led since it was asked last; to nobody's pods in particular is nothing.
    pub(super) fn led(&self) -> Vec<String> {
        std::mem::take(&mut self.state().led)
    }

    pub(super) fn seen_at_looks(&self) -> Vec<Seen> {
        let mut looks = self.state().looks.clone();
        looks.dedup();
        looks
    }

    /// What was asked of Prometheus, but whether it answers.
    pub(super) fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A panic of who answers is told by whoever asked.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

impl State {
    fn deployment(&mut self, name: &str) -> &mut Value {
        self.deployments.iter_mut().find(|deployment| deployment["metadata"]["name"] == name).unwrap()
    }

    fn do_as_told(&mut self, words: &[&str]) -> Result<Value, String> {
        let [wait, context, words @ ..] = words else { return Err(format!("{words:?}")) };
        assert_eq!((*wait, *context), ("--request-timeout=10s", "--context=ours"));
        match words {
            [
                "get",
                "deployments.apps,replicasets.apps,cronjobs.batch,services",
                "--namespace",
                "rampart",
                "--output=json",
            ] => {
                self.tick();
                let items =
                    [&self.deployments[..], &self.sets, &self.jobs, std::slice::from_ref(&self.service)]
                        .concat();
                Ok(json!({ "kind": "List", "items": items }))
            }
            ["patch", ..] if self.hiccups > 0 => {
                self.hiccups -= 1;
                Err("Error from server (InternalError): the server is not itself".to_owned())
            }
            ["patch", kind, name, "--namespace", "rampart", "--type=json", "--output=name", patch] => {
                let patch: Value = serde_json::from_str(patch.strip_prefix("--patch=").unwrap()).unwrap();
                let object = match *kind {
                    "deployment" => self.deployment(name),
                    "cronjob" => &mut self.jobs[0],
                    "service" => &mut self.service,
                    _ => return Err(format!("{kind}?")),
                };
                assert_eq!(object["metadata"]["name"], *name);
                let mut changed = object.clone();
                for step in patch.as_array().unwrap() {
                    apply(&mut changed, step)?;
                }
                *object = changed;
                if patch.to_string().contains("/image\"") {
                    self.changed.push((*name).to_owned());
                }
                if *kind == "service" {
                    let pinned = &self.service["spec"]["selector"]["pod-template-hash"];
                    self.led.push(pinned.as_str().unwrap_or_default().to_owned());
                }
                self.lead();
                Ok(json!(format!("{kind}/{name}")))
            }
            _ => Err(format!("{words:?}")),
        }
    }

    fn answer(&mut self, question: &str) -> Value {
        let value = if question == "vector(1)" {
            "1"
        } else {
            let orchestrator = &self.deployment("orchestrator")["spec"]["template"];
            let has_begun = !orchestrator.to_string().contains("sha256:1\"");
            if has_begun {
                self.asked.push(question.to_owned());
                self.looked();
            }
            let [errors, latency, dead] = &self.answers;
            match question {
                question if question.contains("histogram_quantile") => latency,
                question if question.contains("rampart_tasks") && !has_begun => "7",
                question if question.contains("rampart_tasks") => dead,
                question if question.contains("requests_total") => errors,
                // Whether there is something to compare with.
                _ => latency,
            }
        };
        let samples: Vec<Value> = match value {
            "" => Vec::new(),
            value => vec![json!({ "metric": {}, "value": [1.0, value] })],
        };
        json!({ "status": "success", "data": { "resultType": "vector", "result": samples } })
    }

    fn looked(&mut self) {
        let paused = self.deployment("gateway")["spec"]["paused"] == true;
        let is_new = |set: &&Value| {
            owner(set) == "gateway" && set["metadata"]["labels"]["pod-template-hash"] == "hash-2"
        };
        let new = self.sets.iter().filter(is_new).map(|set| number(set, "/status/readyReplicas")).sum();
        self.looks.push(Seen { new, paused });
    }

    /// What the controllers do between two questions.
    fn tick(&mut self) {
        let pinned = self.service["spec"]["selector"]["pod-template-hash"].as_str();
        let two_dies = self.is_frail && pinned == Some("hash-2");
        for deployment in &mut self.deployments {
            let name = deployment["metadata"]["name"].as_str().unwrap().to_owned();
            let template = deployment["spec"]["template"].clone();
            let wanted = number(deployment, "/spec/replicas");
            let surge = match &deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"] {
                Value::Number(surge) => surge.as_u64().unwrap(),
                _ => wanted,
            };
            let mut sets: Vec<&mut Value> = self.sets.iter_mut().filter(|set| owner(set) == name).collect();
            // A pod counts when it was ready one question earlier, and never when it is to be ready for longer than anybody asks.
            let available: u64 = sets.iter().map(|set| number(set, "/status/availableReplicas")).sum();
            let total: u64 = sets.iter().map(|set| number(set, "/spec/replicas")).sum();
            let is_paused = deployment["spec"]["paused"] == true;
            let newest = sets.iter().position(|set| set["spec"]["template"] == template);
            match newest {
                // It makes no further ones; and when as many count as are wanted, the others go.
                _ if is_paused => {
                    let counts = |set: &Value| {
                        number(set, "/spec/replicas") == wanted
                            && number(set, "/status/availableReplicas") == wanted
                    };
                    if newest.is_some_and(|newest| counts(sets[newest])) {
                        for (_, set) in sets.iter_mut().enumerate().filter(|(at, _)| Some(*at) != newest) {
                            set["spec"]["replicas"] = json!(0);
                        }
                    }
                }
                None => {
                    let count = (wanted + surge - total).min(wanted);
                    let image = template.to_string();
                    let hash = image.split("sha256:").nth(1).and_then(|rest| rest.get(..1)).unwrap();
                    self.sets.push(json!({
                        "kind": "ReplicaSet",
                        "metadata": {
                            "name": format!("{name}-hash-{hash}"),
                            "labels": { "pod-template-hash": format!("hash-{hash}") },
                            "ownerReferences": [{ "uid": name }],
                        },
                        "spec": { "replicas": count, "template": template },
                        "status": {},
                    }));
                    continue;
                }
                Some(newest) => {
                    let mut spare = available.saturating_sub(wanted);
                    let room = (wanted + surge).saturating_sub(total);
                    for (at, set) in sets.iter_mut().enumerate() {
                        let has = number(set, "/spec/replicas");
                        if at == newest {
                            set["spec"]["replicas"] = json!((has + room).min(wanted));
                        } else {
                            // What is not ready goes first.
                            let idle = has - number(set, "/status/readyReplicas").min(has);
                            let goes = (idle + spare).min(has);
                            spare -= goes.saturating_sub(idle).min(spare);
                            set["spec"]["replicas"] = json!(has - goes);
                        }
                    }
                }
            }
            let mut is_broken = false;
            for set in sets {
                let has = number(set, "/spec/replicas");
                let is_of_no_use = set["spec"].to_string().contains("sha256:3");
                is_broken |= is_of_no_use && has > 0;
                let was_ready = number(set, "/status/readyReplicas").min(has);
                let dies = two_dies && set["spec"].to_string().contains("sha256:2");
                let ready = if is_of_no_use || dies { 0 } else { has.min(number(set, "/status/replicas")) };
                let is_newest = set["spec"]["template"] == template;
                let is_to_stand = is_newest && number(deployment, "/spec/minReadySeconds") > 10;
                let available = if is_to_stand { 0 } else { was_ready };
                set["status"] =
                    json!({ "replicas": has, "readyReplicas": ready, "availableReplicas": available });
            }
            let condition = json!({ "type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "no pod is ready" });
            deployment["status"]["conditions"] = if is_broken { json!([condition]) } else { json!([]) };
        }
        self.lead();
    }

    /// At no moment are there fewer pods for people than are wanted.
    fn lead(&self) {
        let pinned = self.service["spec"]["selector"]["pod-template-hash"].as_str();
        let of_gateway = self.sets.iter().filter(|set| owner(set) == "gateway");
        let led = of_gateway.filter(|set| {
            pinned.is_none_or(|pinned| set["metadata"]["labels"]["pod-template-hash"] == pinned)
        });
        let ready: u64 = led.map(|set| number(set, "/status/readyReplicas")).sum();
        let is_lost = self.is_frail && pinned == Some("hash-2");
        let begins = is_lost || self.sets.iter().all(|set| number(set, "/status/availableReplicas") == 0);
        assert!(ready >= 4 || begins, "{ready} pods for people, led to {pinned:?}");
    }
}

fn owner(set: &Value) -> &str {
    set["metadata"]["ownerReferences"][0]["uid"].as_str().unwrap()
}

/// One step of a JSON patch.
fn apply(object: &mut Value, step: &Value) -> Result<(), String> {
    let (path, value) = (step["path"].as_str().unwrap(), step["value"].clone());
    let (parent, key) = path.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/");
    let parent = object.pointer_mut(parent).ok_or_else(|| format!("{path} is not there"))?;
    let is_there = parent.get(&key).is_some();
    match step["op"].as_str().unwrap() {
        "test" if parent[&key] == value => {}
        "test" => return Err(format!("{path} is another one")),
        "replace" if !is_there => return Err(format!("{path} is not there")),
        "replace" | "add" => parent[&key] = value,
        "remove" if is_there => drop(parent.as_object_mut().unwrap().remove(&key)),
        other => return Err(format!("{other} {path}")),
    }
    Ok(())
}
