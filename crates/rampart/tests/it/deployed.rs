//! What the manifests of `deploy/` say is what this program takes: its arguments, its environment, its probes; and its image is one that
//! a hardened cluster runs.

mod answered;
mod checklist;
mod deletion_cost;
mod difference;
mod image;
mod promoting;
mod rolling;
mod runbooks;
mod scale;
mod scaling;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use cluster::{
    kustomize,
    manifests::{Manifests, list, text},
    network::environment,
};
use serde_json::Value;
use testkit::tools::{root, search_path};

use crate::run::{assert_exit, rampart, text as said};

fn overlay(name: &str) -> Manifests {
    let directory = root().join("deploy/kubernetes/overlays").join(name);
    Manifests::parse(&kustomize::build_with(&directory, &search_path()).unwrap()).unwrap()
}

/// An overlay with a component that it does not have.
fn on_top(name: &str, component: &str) -> Manifests {
    let scratch = tempfile::tempdir_in(root().join("target")).unwrap();
    let up = "../../deploy/kubernetes";
    let text = format!("resources: [{up}/overlays/{name}]\ncomponents: [{up}/components/{component}]\n");
    fs::write(scratch.path().join("kustomization.yaml"), text).unwrap();
    Manifests::parse(&kustomize::build_with(scratch.path(), &search_path()).unwrap()).unwrap()
}

/// Runs a container's command here, with files where its volumes would be and a database that is not there.
fn begun(manifests: &Manifests, container: &Value) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let mut command = rampart(directory.path());
    command.args(list(container, "/args").filter_map(Value::as_str));
    for (name, value) in environment(manifests, container) {
        let mut value = value.to_owned();
        // Roles would wait, and answer where somebody else does.
        if ["RAMPART_DATABASE_WAIT", "OWNER_DATABASE"].contains(&name) {
            continue;
        }
        let mounts = list(container, "/volumeMounts").filter_map(|mount| text(mount, "/mountPath"));
        if let Some(at) = mounts.filter(|at| *at != "/tmp").find(|at| value.contains(at)) {
            let here = directory.path().join(at.trim_start_matches('/'));
            fs::create_dir_all(&here).unwrap();
            value = value.replace(at, here.to_str().unwrap());
            if name.ends_with("_FILE") {
                fs::write(&value, "a password\n").unwrap();
            }
        } else {
            assert!(!value.contains("/run/"), "{name} is {value}, and nothing is mounted there");
        }
        if name == "RAMPART_DATABASE" || name == "RAMPART_REPLICA" {
            value = format!(
                "postgres://{}",
                value.split_once("://").unwrap().1.replace("@database", "@127.0.0.1.database")
            );
        }
        command.env(name, value);
    }
    // What a cluster gives a service account with a role in the cloud.
    let token = directory.path().join("token");
    fs::write(&token, "a token\n").unwrap();
    command
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", token)
        .env("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/rampart");
    command.output().unwrap()
}

#[test]
fn every_container_is_started_with_what_this_program_takes() {
    let mut seen = BTreeSet::new();
    for name in ["development", "staging", "production"] {
        let manifests = overlay(name);
        for pod in manifests.pods().filter(|pod| pod.role().is_some()) {
            for container in pod.all_containers() {
                let output = begun(&manifests, container);
                let place = format!("{name} {} {}", pod.object.path(), text(container, "/name").unwrap());
                assert_exit(&output, 2);
                let said = said(&output.stderr);
                // Nothing is wrong with what it is told: it goes on to what is not there.
                let arguments: Vec<&str> = list(container, "/args").filter_map(Value::as_str).collect();
                let lacking: &[&str] = match arguments[..] {
                    ["deploy", "program", ..] => &["cannot copy this program into `/program`"],
                    ["backup", "drill", ..] => &["cannot read the key file"],
                    ["backup", ..] => {
                        &["`placeholder-of-the-recipients` is no recipient", "database-ca/ca.crt`"]
                    }
                    _ => &["127.0.0.1.database"],
                };
                assert!(lacking.iter().any(|lacking| said.contains(lacking)), "{place}: {said}");
                seen.insert(place);
            }
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
}

/// A name that nobody reads is left out without a word.
#[test]
fn every_setting_is_read_by_somebody_who_is_given_it() {
    let mut known: BTreeMap<Vec<&str>, String> = BTreeMap::new();
    let all = ["development", "staging", "production"].map(overlay);
    for manifests in &all {
        let mut is_read: BTreeMap<&str, bool> = BTreeMap::new();
        for pod in manifests.pods().filter(|pod| pod.role().is_some()) {
            for container in pod.all_containers() {
                let words: Vec<&str> = list(container, "/args")
                    .filter_map(Value::as_str)
                    .take_while(|word| !word.starts_with('-') && !word.contains('='))
                    .collect();
                let help = known.entry(words.clone()).or_insert_with(|| {
                    let output = rampart(&root()).args(&words).arg("--help").output().unwrap();
                    said(&output.stdout)
                });
                let names = environment(manifests, container).into_keys();
                for name in names.filter(|name| name.starts_with("RAMPART_")) {
                    // `[env: NAME=]` or `[env: NAME]`, wherever the line ends.
                    let takes = help
                        .split_whitespace()
                        .any(|word| word.strip_prefix(name).is_some_and(|rest| rest.starts_with([']', '='])));
                    *is_read.entry(name).or_default() |= takes;
                }
            }
        }
        let unread: Vec<&&str> =
            is_read.iter().filter(|(_, is_read)| !**is_read).map(|(name, _)| name).collect();
        assert!(unread.is_empty() && is_read.len() > 8, "{unread:?} of {is_read:?}");
    }
}

#[test]
fn workers_are_scaled_as_the_simulation_says() {
    let pace = model::scaling::PACE;
    for scaled in
        overlay("production").of_kind("ScaledObject").filter(|object| object.name().starts_with("worker-"))
    {
        let behavior = scaled.at("/spec/advanced/horizontalPodAutoscalerConfig/behavior").unwrap();
        let number = |place: &str| behavior.pointer(place).and_then(Value::as_u64).unwrap();
        assert_eq!(
            (
                number("/scaleUp/policies/0/value"),
                number("/scaleUp/policies/1/value"),
                number("/scaleUp/policies/0/periodSeconds"),
                number("/scaleUp/policies/1/periodSeconds"),
                number("/scaleDown/policies/0/value"),
                number("/scaleDown/policies/0/periodSeconds"),
                number("/scaleDown/stabilizationWindowSeconds"),
                scaled.number("/spec/cooldownPeriod").unwrap() as u32,
            ),
            (
                pace.up_workers,
                pace.up_percent,
                pace.up_seconds.into(),
                pace.up_seconds.into(),
                pace.down_workers,
                pace.down_seconds.into(),
                pace.hold_seconds.into(),
                pace.cooldown_seconds,
            ),
            "{}",
            scaled.path()
        );
        assert_eq!(behavior.pointer("/scaleUp/selectPolicy"), Some(&Value::from("Max")), "{}", scaled.path());
        assert!(scaled.number("/spec/maxReplicaCount").unwrap() as u64 <= pace.most, "{}", scaled.path());
        // Half of a minute at most until somebody decides; the pod has the other half to start.
        assert!(scaled.number("/spec/pollingInterval").unwrap() <= 15, "{}", scaled.path());
        let url = scaled.text("/spec/triggers/0/metadata/url").unwrap();
        let stages = url.rsplit('/').next().unwrap();
        let arguments = overlay("production");
        let worker = arguments.named("Deployment", scaled.name()).unwrap();
        let given =
            worker.list("/spec/template/spec/containers").flat_map(|container| list(container, "/args"));
        let given: Vec<&str> = given
            .filter_map(Value::as_str)
            .filter_map(|argument| argument.strip_prefix("--stage="))
            .collect();
        assert_eq!(given, [stages], "{}: what is counted is what is worked on", scaled.path());
    }
}

/// What a worker may need by its arguments fits into what its pod may take.
#[test]
fn a_worker_has_the_memory_that_its_tasks_may_take() {
    let mebibytes = |text: &str| text.strip_suffix("MiB").and_then(|number| number.parse::<u128>().ok());
    for name in ["development", "staging", "production"] {
        let manifests = overlay(name);
        for pod in manifests.pods().filter(|pod| pod.object.name().starts_with("worker-")) {
            let role = pod.role().unwrap();
            let argument = |wanted: &str| {
                let arguments = list(role, "/args").filter_map(Value::as_str);
                arguments
                    .filter_map(|argument| argument.strip_prefix(wanted))
                    .last()
                    .unwrap_or_else(|| panic!("{wanted}"))
            };
            let each = mebibytes(argument("--task-memory=")).unwrap()
                + mebibytes(argument("--task-output=")).unwrap();
            let most = argument("--concurrency=").parse::<u128>().unwrap() * each + 256;
            let limit =
                cluster::manifests::quantity(role.pointer("/resources/limits/memory").unwrap()).unwrap();
            let limit = limit / (1_000 << 20);
            assert!(most <= limit, "{name} {}: {most} MiB of {limit}", pod.object.path());
        }
    }
}

/// Rules of buckets are about what is put there, and leave it where it is for as long as the guide says.
#[test]
fn what_is_in_a_bucket_becomes_cold_after_a_month_where_the_manifests_put_it() {
    let rules = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(root().join("deploy/objects").join(name)).unwrap()).unwrap()
    };
    let production = overlay("production");
    let url = production.of_kind("ConfigMap").find_map(|map| map.text("/data/RAMPART_OBJECTS")).unwrap();
    let prefix = Value::from(format!("{}/", url.rsplit('/').next().unwrap()));
    let s3 = rules("lifecycle-s3.json");
    let of_s3: Vec<&Value> = list(&s3, "/Rules").collect();
    assert!(
        of_s3.iter().all(|rule| rule["Filter"]["Prefix"] == prefix && rule["Status"] == "Enabled"),
        "{s3}"
    );
    assert_eq!(of_s3[0]["Transitions"][0]["Days"], 30);
    let gcs = rules("lifecycle-gcs.json");
    let of_gcs: Vec<&Value> = list(&gcs, "/lifecycle/rule").collect();
    assert!(of_gcs.iter().all(|rule| rule["condition"]["matchesPrefix"][0] == prefix), "{gcs}");
    assert_eq!(of_gcs[0]["condition"]["age"], 30);
    // Nobody else deletes what a finding names.
    assert!(!s3.to_string().contains("Expiration") && !gcs.to_string().contains("Delete"));
}

/// Whoever wants to see a difference needs programs of Kubernetes: without them they are told which.
#[test]
fn without_kustomize_it_says_what_to_install() {
    let overlay = root().join("deploy/kubernetes/overlays/development");
    let mut command = rampart(&root());
    let output = command
        .args(["deploy", "check", "--offline", "--overlay"])
        .arg(overlay)
        .env("PATH", "/nowhere")
        .output()
        .unwrap();
    assert_exit(&output, 2);
    assert!(said(&output.stderr).contains("neither kustomize nor kubectl"), "{}", said(&output.stderr));
}

/// The other container finds it in a directory that both see, with whom it trusts.
#[test]
fn the_program_is_copied_for_a_container_of_others() {
    let directory = tempfile::tempdir().unwrap();
    let into = directory.path().to_str().unwrap();
    // Again, as when a pod begins anew with the same directory.
    for _ in 0..2 {
        assert_exit(&deploy(&["program", "--into", into]), 0);
    }
    let output = Command::new(directory.path().join("rampart")).arg("--version").output().unwrap();
    assert_eq!(said(&output.stdout), said(&rampart(&root()).arg("--version").output().unwrap().stdout));
    let trusted = fs::read("/etc/ssl/certs/ca-certificates.crt").ok();
    assert_eq!(fs::read(directory.path().join("ca-certificates.crt")).ok(), trusted);
    assert_exit(&deploy(&["program", "--into", "/nowhere"]), 2);
}

/// A script in the place of kubectl. Where programs are found then: this one before all others.
fn kubectl(directory: &Path, script: &str) -> OsString {
    let program = directory.join("kubectl");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let others = search_path();
    env::join_paths([directory.to_owned()].into_iter().chain(env::split_paths(&others))).unwrap()
}

/// A command with the programs that test.sh installs.
fn deploy(words: &[&str]) -> Output {
    let mut command: Command = rampart(&root());
    command.arg("deploy").args(words).env("PATH", search_path()).output().unwrap()
}

#[test]
fn secrets_are_printed_for_whatever_nobody_makes_and_differ_each_time() {
    let [one, other] = [(); 2].map(|()| deploy(&["secrets", "--overlay", "staging"]));
    assert_exit(&one, 0);
    let elsewhere = "made elsewhere, and to be added: backup-identity, backups, objects\n";
    assert!(said(&one.stderr).contains(elsewhere), "{}", said(&one.stderr));
    let manifests = Manifests::parse(&said(&one.stdout)).unwrap();
    let names: Vec<&str> = manifests.of_kind("Secret").map(|secret| secret.name()).collect();
    assert_eq!(
        names,
        ["audit", "database", "database-backup", "database-owner", "database-superuser", "doorbell"]
    );
    let others = Manifests::parse(&said(&other.stdout)).unwrap();
    for secret in manifests.objects() {
        let data = secret.at("/stringData").unwrap().as_object().unwrap();
        let other = others.named("Secret", secret.name()).unwrap().at("/stringData").unwrap();
        for (key, value) in data.iter().filter(|(key, _)| *key != "username") {
            assert_ne!(Some(value), other.get(key), "{}", secret.path());
            assert!(value.as_str().is_some_and(|value| value.len() >= 64), "{}", secret.path());
        }
    }
    // They are what a store would bring, so that the operator of a database takes either.
    let production = overlay("production");
    let mut compared = 0;
    for external in production.of_kind("ExternalSecret") {
        let Some(secret) = manifests.named("Secret", external.name()) else { continue };
        let of = |place: &str| external.at(&format!("/spec/target/template{place}"));
        assert_eq!(secret.at("/type"), of("/type"), "{}", secret.path());
        assert_eq!(secret.at("/stringData/username"), of("/data/username"), "{}", secret.path());
        assert_eq!(
            secret.at("/metadata/labels/cnpg.io~1reload"),
            of("/metadata/labels/cnpg.io~1reload"),
            "{}",
            secret.path()
        );
        compared += 1;
    }
    assert_eq!(compared, 5, "audit, doorbell and three of the database");
    let key = manifests.named("Secret", "audit").unwrap().text("/stringData/audit.key").unwrap().to_owned();
    model::audit::AuditKey::from_pem(&key).unwrap();
    assert_exit(&deploy(&["secrets", "--overlay", "development"]), 2);
}
