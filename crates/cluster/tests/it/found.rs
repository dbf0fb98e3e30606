//! Each rule finds what it is about: a mistake is made in what is applied, and told by all the names that lists have for it.

use std::collections::BTreeSet;

use cluster::{manifests::Manifests, rules};
use serde_json::{Value, json};

use crate::renders;

/// Object, place, what is put there (nothing takes away what is there), and who finds it.
type Mistake = (&'static str, &'static str, Option<Value>, &'static [&'static str]);

const GATEWAY: &str = "Deployment/rampart/gateway";
const CONTAINER: &str = "/spec/template/spec/containers/0";

/// Who finds pods that nothing isolates, and a policy that is about nobody.
const UNISOLATED: [&str; 7] = [
    "C-0030",
    "C-0054",
    "kube-linter/non-isolated-pod",
    "kube-score/pod-networkpolicy",
    "CIS-5.3.2",
    "kube-score/networkpolicy-targets-pod",
    "kube-linter/dangling-networkpolicy",
];

/// A render with something else in one place.
pub(crate) fn with(text: &str, object: &str, place: &str, value: Option<Value>) -> Manifests {
    let mut documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let is_meant = |document: &Value| {
        let part = |place| document.pointer(place).and_then(Value::as_str).unwrap_or("-");
        format!("{}/{}/{}", part("/kind"), part("/metadata/namespace"), part("/metadata/name")) == object
    };
    let document =
        documents.iter_mut().find(|document| is_meant(document)).unwrap_or_else(|| panic!("no {object}"));
    let (parent, key) = place.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/").replace("~0", "~");
    match document.pointer_mut(parent).unwrap_or_else(|| panic!("{object} has no {parent}")) {
        Value::Object(fields) => match value {
            Some(value) => drop(fields.insert(key, value)),
            None => drop(fields.remove(&key).unwrap_or_else(|| panic!("{object} has no {place}"))),
        },
        Value::Array(items) => match value {
            Some(value) => items.push(value),
            None => drop(items.remove(key.parse().unwrap())),
        },
        _ => panic!("{place} is no place"),
    }
    let text: Vec<String> = documents.iter().map(Value::to_string).collect();
    Manifests::parse(&text.join("\n---\n")).unwrap()
}

fn mistakes() -> Vec<Mistake> {
    let of_container =
        |place: &str| -> &'static str { Box::leak(format!("{CONTAINER}{place}").into_boxed_str()) };
    let pod =
        |place: &str| -> &'static str { Box::leak(format!("/spec/template/spec{place}").into_boxed_str()) };
    let context = of_container("/securityContext/x").trim_end_matches("/x");
    let inside = |name: &str| -> &'static str { Box::leak(format!("{context}/{name}").into_boxed_str()) };
    vec![
        (
            GATEWAY,
            inside("runAsUser"),
            Some(json!(0)),
            &[
                "pss/run-as-non-root",
                "C-0013",
                "kube-linter/run-as-non-root",
                "polaris/runAsRootAllowed",
                "CIS-5.2.7",
                "kube-score/container-security-context-user-group-id",
            ],
        ),
        (
            GATEWAY,
            inside("allowPrivilegeEscalation"),
            None,
            &[
                "pss/privilege-escalation",
                "C-0016",
                "kube-linter/privilege-escalation-container",
                "polaris/privilegeEscalationAllowed",
                "CIS-5.2.6",
            ],
        ),
        (
            GATEWAY,
            inside("capabilities"),
            Some(json!({ "drop": ["NET_RAW"] })),
            &[
                "pss/capabilities",
                "C-0046",
                "kube-linter/drop-net-raw-capability",
                "polaris/insecureCapabilities",
                "polaris/dangerousCapabilities",
                "CIS-5.2.8",
                "CIS-5.2.10",
            ],
        ),
        (
            GATEWAY,
            inside("seccompProfile"),
            Some(json!({ "type": "Unconfined" })),
            &["pss/seccomp", "C-0055", "kube-score/container-seccomp-profile", "CIS-5.7.2"],
        ),
        (
            GATEWAY,
            inside("privileged"),
            Some(json!(true)),
            &[
                "pss/privileged",
                "C-0057",
                "kube-linter/privileged-container",
                "polaris/runAsPrivileged",
                "CIS-5.2.2",
            ],
        ),
        (
            GATEWAY,
            inside("readOnlyRootFilesystem"),
            Some(json!(false)),
            &[
                "C-0017",
                "kube-linter/no-read-only-root-fs",
                "kube-score/container-security-context-readonlyrootfilesystem",
                "polaris/notReadOnlyRootFilesystem",
            ],
        ),
        (
            GATEWAY,
            inside("procMount"),
            Some(json!("Unmasked")),
            &[
                "pss/proc-mount",
                "kube-linter/unsafe-proc-mount",
                "pss/selinux",
                "pss/apparmor",
                "pss/host-process",
            ],
        ),
        (
            GATEWAY,
            pod("/hostNetwork"),
            Some(json!(true)),
            &[
                "pss/host-namespaces",
                "C-0038",
                "C-0041",
                "kube-linter/host-ipc",
                "kube-linter/host-network",
                "kube-linter/host-pid",
                "polaris/hostIPCSet",
                "polaris/hostPIDSet",
                "polaris/hostNetworkSet",
                "CIS-5.2.3",
                "CIS-5.2.4",
                "CIS-5.2.5",
            ],
        ),
        (
            GATEWAY,
            of_container("/ports/x"),
            Some(json!({ "containerPort": 80, "hostPort": 80 })),
            &[
                "pss/host-ports",
                "C-0044",
                "polaris/hostPortSet",
                "CIS-5.2.13",
                "kube-linter/ssh-port",
                "kube-linter/privileged-ports",
            ],
        ),
        (
            GATEWAY,
            pod("/volumes/x"),
            Some(json!({ "name": "node", "hostPath": { "path": "/" } })),
            &[
                "pss/volume-types",
                "kube-linter/sensitive-host-mounts",
                "kube-linter/docker-sock",
                "kube-linter/writable-host-mount",
                "polaris/hostPathSet",
                "CIS-5.2.12",
            ],
        ),
        (
            GATEWAY,
            pod("/securityContext/sysctls"),
            Some(json!([{ "name": "kernel.msgmax", "value": "1" }])),
            &["pss/sysctls", "kube-linter/unsafe-sysctls"],
        ),
        (
            GATEWAY,
            of_container("/resources/limits"),
            None,
            &[
                "C-0270",
                "C-0271",
                "kube-linter/unset-cpu-requirements",
                "kube-linter/unset-memory-requirements",
                "kube-score/container-resources",
                "kube-score/container-ephemeral-storage-request-and-limit",
                "polaris/cpuRequestsMissing",
                "polaris/cpuLimitsMissing",
                "polaris/memoryRequestsMissing",
                "polaris/memoryLimitsMissing",
            ],
        ),
        (
            GATEWAY,
            of_container("/image"),
            Some(json!("rampart:latest")),
            &["kube-linter/latest-tag", "kube-score/container-image-tag", "polaris/tagNotSpecified"],
        ),
        (
            GATEWAY,
            of_container("/imagePullPolicy"),
            Some(json!("Never")),
            &["kube-score/container-image-pull-policy", "polaris/pullPolicyNotAlways"],
        ),
        (
            GATEWAY,
            of_container("/readinessProbe"),
            None,
            &[
                "kube-linter/no-liveness-probe",
                "kube-linter/no-readiness-probe",
                "kube-score/pod-probes",
                "polaris/livenessProbeMissing",
                "polaris/readinessProbeMissing",
            ],
        ),
        (
            GATEWAY,
            of_container("/readinessProbe"),
            Some(
                json!({ "failureThreshold": 6, "httpGet": { "path": "/health", "port": "http" }, "periodSeconds": 10, "timeoutSeconds": 5 }),
            ),
            &["kube-score/pod-probes-identical"],
        ),
        (
            GATEWAY,
            of_container("/readinessProbe/httpGet/port"),
            Some(json!("nothing")),
            &[
                "kube-linter/liveness-port",
                "kube-linter/readiness-port",
                "kube-linter/startup-port",
                "kube-score/container-ports-check",
            ],
        ),
        (GATEWAY, pod("/automountServiceAccountToken"), None, &["C-0034", "CIS-5.1.6"]),
        (
            GATEWAY,
            pod("/serviceAccountName"),
            Some(json!("default")),
            &[
                "pods/service-account",
                "kube-linter/default-service-account",
                "kube-linter/non-existent-service-account",
                "CIS-5.1.5",
            ],
        ),
        (GATEWAY, pod("/serviceAccount"), Some(json!("gateway")), &["pods/service-account"]),
        (
            GATEWAY,
            of_container("/env"),
            Some(json!([{ "name": "KEY", "valueFrom": { "secretKeyRef": {} } }])),
            &["C-0012", "kube-linter/env-var-secret", "kube-linter/read-secret-from-env-var", "CIS-5.4.1"],
        ),
        (
            GATEWAY,
            of_container("/env"),
            Some(json!([{ "name": "A_PASSWORD", "value": "s3cret" }])),
            &["C-0012"],
        ),
        (
            GATEWAY,
            of_container("/env"),
            Some(json!([{ "name": "A" }, { "name": "A" }])),
            &["kube-linter/duplicate-env-var", "kube-score/environment-variable-key-duplication"],
        ),
        (
            GATEWAY,
            pod("/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution"),
            Some(json!([])),
            &["kube-linter/no-anti-affinity", "kube-score/deployment-has-host-podantiaffinity"],
        ),
        (
            GATEWAY,
            pod(
                "/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/0/podAffinityTerm/labelSelector",
            ),
            Some(json!({ "matchLabels": { "a": "b" } })),
            &["kube-linter/no-anti-affinity"],
        ),
        (GATEWAY, pod("/topologySpreadConstraints"), Some(json!([])), &["polaris/topologySpreadConstraint"]),
        (
            GATEWAY,
            pod("/affinity"),
            None,
            &["kube-linter/no-anti-affinity", "kube-score/deployment-has-host-podantiaffinity"],
        ),
        (
            GATEWAY,
            pod("/topologySpreadConstraints"),
            None,
            &["polaris/topologySpreadConstraint", "kube-score/pod-topology-spread-constraints"],
        ),
        (GATEWAY, pod("/priorityClassName"), Some(json!("important")), &["polaris/priorityClassNotSet"]),
        (GATEWAY, pod("/terminationGracePeriodSeconds"), Some(json!(30)), &["pods/long-enough"]),
        (
            GATEWAY,
            "/metadata/namespace",
            Some(json!("default")),
            &["kube-linter/use-namespace", "CIS-5.7.4", "CIS-5.7.1"],
        ),
        (
            "Namespace/-/rampart",
            "/metadata/labels/pod-security.kubernetes.io~1enforce",
            Some(json!("baseline")),
            &["pss/namespace"],
        ),
        (GATEWAY, "/metadata/labels/owner", None, &["kube-linter/required-label-owner"]),
        (GATEWAY, "/metadata/labels/owner", Some(json!("two words")), &["kube-score/label-values"]),
        (
            "PodDisruptionBudget/rampart/gateway",
            "/apiVersion",
            Some(json!("policy/v1beta1")),
            &["kube-score/stable-version"],
        ),
        (
            GATEWAY,
            "/spec/selector/matchLabels/other",
            Some(json!("one")),
            &["kube-linter/mismatching-selector"],
        ),
        (GATEWAY, "/spec/selector/matchLabels/app.kubernetes.io~1component", None, &["pods/one-owner"]),
        (
            GATEWAY,
            "/spec/strategy/type",
            Some(json!("Recreate")),
            &["kube-linter/no-rolling-update-strategy"],
        ),
        (
            "Service/rampart/gateway",
            "/spec/selector/more",
            Some(json!("nobody")),
            &[
                "kube-linter/dangling-service",
                "kube-score/service-targets-pod",
                "kube-linter/invalid-target-ports",
            ],
        ),
        (
            "Service/rampart/gateway",
            "/spec/ports/x",
            Some(json!({ "port": 1, "targetPort": "nothing" })),
            &["kube-linter/invalid-target-ports"],
        ),
        (
            "Service/rampart/gateway",
            "/spec/type",
            Some(json!("LoadBalancer")),
            &["kube-linter/exposed-services", "kube-score/service-type"],
        ),
        (
            "PodDisruptionBudget/rampart/gateway",
            "/spec/selector",
            Some(json!({ "matchLabels": { "a": "b" } })),
            &[
                "kube-score/deployment-has-poddisruptionbudget",
                "kube-score/statefulset-has-poddisruptionbudget",
                "polaris/missingPodDisruptionBudget",
            ],
        ),
        (
            "PodDisruptionBudget/rampart/gateway",
            "/spec/maxUnavailable",
            Some(json!(0)),
            &[
                "kube-linter/pdb-max-unavailable",
                "kube-linter/pdb-min-available",
                "kube-linter/pdb-unhealthy-pod-eviction-policy",
                "kube-score/poddisruptionbudget-has-policy",
            ],
        ),
        (
            "ScaledObject/rampart/gateway",
            "/spec/scaleTargetRef/name",
            Some(json!("nobody")),
            &[
                "kube-score/horizontalpodautoscaler-has-target",
                "kube-score/deployment-targeted-by-hpa-does-not-have-replicas-configured",
                "kube-linter/dangling-horizontalpodautoscaler",
            ],
        ),
        (
            // The gateway's own count is its Rollout's.
            "Deployment/rampart/gateway-events",
            "/spec/replicas",
            Some(json!(3)),
            &["kube-score/deployment-targeted-by-hpa-does-not-have-replicas-configured"],
        ),
        (
            "ScaledObject/rampart/worker-check",
            "/spec/scaleTargetRef/name",
            Some(json!("worker-ports")),
            &["kube-linter/dangling-horizontalpodautoscaler"],
        ),
        (GATEWAY, "/kind", Some(json!("CronJob")), &["kube-score/cronjob-has-deadline", "jobs/bounded"]),
        (
            "HTTPRoute/rampart/gateway",
            "/spec/rules/0/backendRefs/0/port",
            Some(json!(1)),
            &["kube-linter/dangling-ingress", "kube-score/ingress-targets-service", "routes/to-service"],
        ),
    ]
}

/// What would be in a map that everybody reads.
fn told_to_everybody() -> Vec<(&'static str, &'static str)> {
    vec![
        ("A_PASSWORD", "s3cret"),
        ("api-token", "s3cret"),
        ("key.pem", "-----BEGIN PRIVATE KEY-----\nMC4C"),
        ("A_DATABASE", "postgres://one:s3cret@database/one"),
        ("A_BUCKET", "aws: AKIAIOSFODNN7EXAMPLE"),
    ]
}

/// Rights, which this installation gives to nobody.
fn rights() -> Vec<(Value, &'static [&'static str])> {
    let role = |rule: Value| json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "x", "namespace": "rampart" }, "rules": [rule] });
    let all: &[&str] = &[
        "C-0002",
        "C-0035",
        "kube-linter/access-to-create-pods",
        "kube-linter/access-to-secrets",
        "kube-linter/wildcard-in-rules",
        "CIS-5.1.2",
        "CIS-5.1.3",
        "CIS-5.1.4",
    ];
    vec![
        (role(json!({ "apiGroups": [""], "resources": ["*"], "verbs": ["get"] })), all),
        (role(json!({ "apiGroups": [""], "resources": ["pods"], "verbs": ["create"] })), all),
        (role(json!({ "apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create"] })), all),
        (role(json!({ "apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["create"] })), all),
        (role(json!({ "apiGroups": ["apps"], "resources": ["daemonsets"], "verbs": ["create"] })), all),
        (role(json!({ "apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["create"] })), all),
        (role(json!({ "apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"] })), all),
        (role(json!({ "apiGroups": ["batch"], "resources": ["cronjobs"], "verbs": ["create"] })), all),
        (role(json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"] })), all),
        (role(json!({ "apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get"] })), all),
        (
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": "x", "namespace": "rampart" }, "roleRef": { "name": "cluster-admin" } }),
            &["kube-linter/cluster-admin-role-binding", "CIS-5.1.1"],
        ),
    ]
}

fn by(manifests: &Manifests) -> BTreeSet<&'static str> {
    rules::defects(manifests).into_iter().map(|defect| defect.rule).collect()
}

#[test]
fn every_rule_finds_what_it_is_about_by_every_name() {
    let production = &renders::overlay("production").text;
    let mut found = BTreeSet::new();
    for (object, place, value, names) in mistakes() {
        let told = by(&with(production, object, place, value.clone()));
        for name in names {
            assert!(told.contains(name), "{object} {place} {value:?}: {name} is not in {told:?}");
        }
        found.extend(names.iter().copied());
    }
    // Where a pod has another policy for either direction it is isolated all the same: the database of one pod has one for one.
    let development = &renders::overlay("development").text;
    let (policy, nobody) = ("NetworkPolicy/rampart/deny-all", Some(json!({ "matchLabels": { "a": "b" } })));
    let told = by(&with(development, policy, "/spec/podSelector", nobody));
    for name in UNISOLATED {
        assert!(told.contains(name), "{name} is not in {told:?}");
    }
    found.extend(UNISOLATED);
    for (object, names) in rights() {
        let told = by(&Manifests::parse(&format!("{production}\n---\n{object}\n")).unwrap());
        for name in names {
            assert!(told.contains(name), "{object}: {name} is not in {told:?}");
        }
        found.extend(names.iter().copied());
    }
    let all: BTreeSet<&str> = rules::names().into_iter().collect();
    assert_eq!(all.difference(&found).collect::<Vec<_>>(), [&""; 0], "rules that no mistake is made for");
}

#[test]
fn secrets_that_everybody_reads_are_found() {
    let production = &renders::overlay("production").text;
    let map = |key: &str, value: &str| {
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "x", "namespace": "rampart" }, "data": { key: value } });
        by(&Manifests::parse(&format!("{production}\n---\n{map}\n")).unwrap())
    };
    for (key, value) in told_to_everybody() {
        assert!(map(key, value).contains("C-0012"), "{key}: {value}");
    }
    for (key, value) in [
        ("A_PASSWORD_FILE", "/run/a/password"),
        ("A_PASSWORD", ""),
        ("A_DATABASE", "postgres://one@database/one?a=b:c@d"),
    ] {
        assert!(!map(key, value).contains("C-0012"), "{key}: {value}");
    }
}

#[test]
fn an_excuse_holds_for_its_rule_and_no_other() {
    let production = &renders::overlay("production").text;
    let annotated = |annotations: Value| {
        let manifests = with(production, GATEWAY, "/spec/strategy/type", Some(json!("Recreate")));
        let text: Vec<String> = manifests.objects().map(|object| object.value().to_string()).collect();
        with(&text.join("\n---\n"), GATEWAY, "/metadata/annotations", Some(annotations))
    };
    let rule = "kube-linter/no-rolling-update-strategy";
    assert!(by(&annotated(json!({}))).contains(rule));
    assert!(
        by(&annotated(json!({ "ignore-check.kube-linter.io/other": "for a good reason" }))).contains(rule)
    );
    assert!(
        by(&annotated(json!({ "ignore-check.kube-linter.io/no-rolling-update-strategy": "no" })))
            .contains(rule),
        "no is no reason"
    );
    let reason = json!({ "ignore-check.kube-linter.io/no-rolling-update-strategy": "for a good reason" });
    assert!(!by(&annotated(reason)).contains(rule));
}
