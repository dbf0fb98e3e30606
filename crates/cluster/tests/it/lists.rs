//! The public rule lists themselves: what each of them asks is looked at here, or it is said who looks after it.

use std::collections::BTreeSet;

use cluster::rules;

/// What is asked of an installation: the lists, in short, and their rules.
const LISTS: [(&str, &[&str]); 6] = [
    (
        "pss/",
        &[
            "apparmor",
            "capabilities",
            "host-namespaces",
            "host-ports",
            "host-process",
            "namespace",
            "privilege-escalation",
            "privileged",
            "proc-mount",
            "run-as-non-root",
            "seccomp",
            "selinux",
            "sysctls",
            "volume-types",
        ],
    ),
    (
        "C-",
        &[
            "0002", "0005", "0012", "0013", "0016", "0017", "0030", "0034", "0035", "0038", "0041", "0044",
            "0046", "0054", "0055", "0057", "0058", "0059", "0066", "0067", "0068", "0069", "0070", "0270",
            "0271",
        ],
    ),
    (
        "kube-linter/",
        &[
            "access-to-create-pods",
            "access-to-secrets",
            "cluster-admin-role-binding",
            "dangling-horizontalpodautoscaler",
            "dangling-ingress",
            "dangling-networkpolicy",
            "dangling-service",
            "default-service-account",
            "deprecated-service-account-field",
            "docker-sock",
            "drop-net-raw-capability",
            "duplicate-env-var",
            "env-var-secret",
            "exposed-services",
            "host-ipc",
            "host-network",
            "host-pid",
            "invalid-target-ports",
            "latest-tag",
            "liveness-port",
            "minimum-three-replicas",
            "mismatching-selector",
            "no-anti-affinity",
            "no-extensions-v1beta",
            "no-liveness-probe",
            "no-read-only-root-fs",
            "no-readiness-probe",
            "no-rolling-update-strategy",
            "non-existent-service-account",
            "non-isolated-pod",
            "pdb-max-unavailable",
            "pdb-min-available",
            "pdb-unhealthy-pod-eviction-policy",
            "privilege-escalation-container",
            "privileged-container",
            "privileged-ports",
            "read-secret-from-env-var",
            "readiness-port",
            "required-label-owner",
            "run-as-non-root",
            "sensitive-host-mounts",
            "ssh-port",
            "startup-port",
            "unsafe-proc-mount",
            "unsafe-sysctls",
            "unset-cpu-requirements",
            "unset-memory-requirements",
            "use-namespace",
            "wildcard-in-rules",
            "writable-host-mount",
        ],
    ),
    (
        "kube-score/",
        &[
            "container-ephemeral-storage-request-and-limit",
            "container-image-pull-policy",
            "container-image-tag",
            "container-ports-check",
            "container-resources",
            "container-seccomp-profile",
            "container-security-context-readonlyrootfilesystem",
            "container-security-context-user-group-id",
            "cronjob-has-deadline",
            "deployment-has-host-podantiaffinity",
            "deployment-has-poddisruptionbudget",
            "deployment-targeted-by-hpa-does-not-have-replicas-configured",
            "environment-variable-key-duplication",
            "horizontalpodautoscaler-has-target",
            "ingress-targets-service",
            "label-values",
            "networkpolicy-targets-pod",
            "pod-networkpolicy",
            "pod-probes",
            "pod-probes-identical",
            "pod-topology-spread-constraints",
            "poddisruptionbudget-has-policy",
            "service-targets-pod",
            "service-type",
            "stable-version",
            "statefulset-has-poddisruptionbudget",
        ],
    ),
    (
        "polaris/",
        &[
            "cpuLimitsMissing",
            "cpuRequestsMissing",
            "dangerousCapabilities",
            "hostIPCSet",
            "hostNetworkSet",
            "hostPIDSet",
            "hostPathSet",
            "hostPortSet",
            "insecureCapabilities",
            "livenessProbeMissing",
            "memoryLimitsMissing",
            "memoryRequestsMissing",
            "missingPodDisruptionBudget",
            "notReadOnlyRootFilesystem",
            "priorityClassNotSet",
            "privilegeEscalationAllowed",
            "pullPolicyNotAlways",
            "readinessProbeMissing",
            "runAsPrivileged",
            "runAsRootAllowed",
            "tagNotSpecified",
            "topologySpreadConstraint",
        ],
    ),
    (
        "CIS-5.",
        &[
            "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "2.10", "2.12", "2.13", "2.2", "2.3", "2.4", "2.5",
            "2.6", "2.7", "2.8", "3.2", "4.1", "7.1", "7.2", "7.4",
        ],
    ),
];
/// Rules of our own, which no list has.
const OWN: [&str; 5] =
    ["jobs/bounded", "pods/long-enough", "pods/one-owner", "pods/service-account", "routes/to-service"];

#[test]
fn every_rule_of_the_lists_is_looked_at_or_is_somebody_elses() {
    let asked = LISTS.iter().flat_map(|(list, rules)| rules.iter().map(move |rule| format!("{list}{rule}")));
    let asked: BTreeSet<String> = asked.chain(OWN.map(str::to_owned)).collect();
    let looked: BTreeSet<String> = rules::names().into_iter().map(str::to_owned).collect();
    let elsewhere: BTreeSet<String> = rules::ELSEWHERE.iter().map(|(rule, _)| (*rule).to_owned()).collect();
    let both: Vec<&String> = looked.intersection(&elsewhere).collect();
    assert!(both.is_empty(), "looked at, and said to be elsewhere: {both:?}");
    let all: BTreeSet<String> = looked.union(&elsewhere).cloned().collect();
    let missing: Vec<&String> = asked.difference(&all).collect();
    assert!(missing.is_empty(), "nobody looks at {missing:?}");
    let more: Vec<&String> = all.difference(&asked).collect();
    assert!(more.is_empty(), "no list has {more:?}");
    for (rule, reason) in rules::ELSEWHERE {
        assert!(reason.len() > 10, "{rule}: {reason}");
    }
}
