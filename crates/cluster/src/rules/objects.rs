//! Rules about everything that is no pod: services, policies, rights, autoscaling, jobs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Look, Rule, sounds_secret};
use crate::manifests::{Manifests, Object, Pod, list, selects, text};

const fn object(names: &'static [&'static str], look: fn(&Manifests, &Object) -> Vec<String>) -> Rule {
    Rule { names, look: Look::Object(look) }
}

pub(super) const RULES: &[Rule] = &[
    object(&["kube-linter/use-namespace", "CIS-5.7.4", "CIS-5.7.1"], |_, object| {
        let is_wide = WIDE.contains(&object.kind());
        match object.namespace() {
            None | Some("default") if !is_wide => vec!["lies in the namespace of everybody".to_owned()],
            Some(_) if is_wide => vec!["is of the whole cluster, and lies in no namespace".to_owned()],
            _ => Vec::new(),
        }
    }),
    object(&["pss/namespace"], |_, object| {
        let levels = ["enforce", "audit", "warn"].into_iter().filter(|_| object.kind() == "Namespace");
        let labels = object.labels();
        let missing = levels.filter(|level| {
            let label = |suffix: &str| {
                labels.get(format!("pod-security.kubernetes.io/{level}{suffix}").as_str()).copied()
            };
            label("") != Some("restricted")
                || !label("-version").is_some_and(|version| version.starts_with("v1."))
        });
        missing.map(|level| format!("does not {level} the profile restricted of a version")).collect()
    }),
    object(&["kube-linter/required-label-owner"], |_, object| match object.labels().contains_key("owner") {
        true => Vec::new(),
        false => vec!["nobody is named who is asked about it: label owner".to_owned()],
    }),
    object(&["kube-score/label-values"], |_, object| {
        let labels = object.labels();
        let wrong = labels.iter().filter(|(_, value)| !is_label(value));
        wrong.map(|(key, value)| format!("label {key} has the value `{value}`, which is none")).collect()
    }),
    object(&["kube-score/stable-version"], |_, object| {
        let version = object.text("/apiVersion").unwrap_or_default();
        let is_built_in = !object.group().contains('.') || object.group().ends_with(".k8s.io");
        match is_built_in
            && (version.contains("alpha") || version.contains("beta"))
            && !object.group().ends_with("x-k8s.io")
        {
            true => vec![format!("{version} may be gone with the next release")],
            false => Vec::new(),
        }
    }),
    object(&["kube-linter/mismatching-selector"], |manifests, object| {
        let pods = manifests.pods().filter(|pod| pod.object.path() == object.path() && !pod.is_job());
        let strange = pods.filter(|pod| !selects(object.at("/spec/selector"), &pod.labels()));
        strange.map(|_| "does not select its own pods".to_owned()).collect()
    }),
    object(&["pods/one-owner"], |manifests, object| {
        // Whoever selects the pods of another counts them for its own.
        let others = manifests.pods().filter(|pod| pod.object.path() != object.path() && !pod.is_job());
        let is_owner = matches!(object.kind(), "Deployment" | "StatefulSet" | "DaemonSet");
        let taken = others.filter(|pod| is_owner && selects(object.at("/spec/selector"), &pod.labels()));
        taken.map(|pod| format!("selects the pods of {}, too", pod.object.path())).collect()
    }),
    object(&["kube-linter/no-rolling-update-strategy"], |_, object| {
        let is_rolling = object.text("/spec/strategy/type") == Some("RollingUpdate")
            && object.number("/spec/strategy/rollingUpdate/maxUnavailable") == Some(0);
        match object.kind() == "Deployment" && !is_rolling {
            true => vec!["is away while it is replaced: roll with maxUnavailable 0".to_owned()],
            false => Vec::new(),
        }
    }),
    object(
        &[
            "kube-linter/dangling-service",
            "kube-score/service-targets-pod",
            "kube-linter/invalid-target-ports",
        ],
        |manifests, object| {
            if object.kind() != "Service" {
                return Vec::new();
            }
            let meant: Vec<Pod<'_>> = manifests.pods().filter(|pod| object.leads_to(&pod.labels())).collect();
            if meant.is_empty() {
                return vec!["leads to no pod".to_owned()];
            }
            let has = |pod: &Pod<'_>, wanted: &Value| {
                let mut ports = pod.containers().flat_map(|container| list(container, "/ports"));
                ports
                    .any(|port| port.get("name") == Some(wanted) || port.get("containerPort") == Some(wanted))
            };
            let ports = object
                .list("/spec/ports")
                .filter_map(|port| port.get("targetPort").or_else(|| port.get("port")));
            let nowhere = ports.filter(|port| !meant.iter().all(|pod| has(pod, port)));
            nowhere.map(|port| format!("leads to port {port}, which its pods do not have")).collect()
        },
    ),
    object(&["kube-linter/exposed-services", "kube-score/service-type"], |_, object| {
        let is_open = matches!(object.text("/spec/type"), Some("NodePort" | "LoadBalancer"));
        match object.kind() == "Service" && is_open {
            true => vec!["is reached from outside of the cluster by itself".to_owned()],
            false => Vec::new(),
        }
    }),
    object(
        &[
            "kube-score/deployment-has-poddisruptionbudget",
            "kube-score/statefulset-has-poddisruptionbudget",
            "polaris/missingPodDisruptionBudget",
        ],
        |manifests, object| {
            let pods = manifests.pods().filter(|pod| pod.object.path() == object.path() && !pod.is_job());
            let is_kept = |pod: &Pod<'_>| {
                let labels = pod.labels();
                manifests
                    .of_kind("PodDisruptionBudget")
                    .filter(|budget| selects(budget.at("/spec/selector"), &labels))
                    .count()
                    == 1
            };
            pods.filter(|pod| !is_kept(pod))
                .map(|_| "has no PodDisruptionBudget, or several".to_owned())
                .collect()
        },
    ),
    object(
        &[
            "kube-linter/pdb-max-unavailable",
            "kube-linter/pdb-min-available",
            "kube-linter/pdb-unhealthy-pod-eviction-policy",
            "kube-score/poddisruptionbudget-has-policy",
        ],
        |_, object| {
            if object.kind() != "PodDisruptionBudget" {
                return Vec::new();
            }
            let mut wrong = Vec::new();
            if object.at("/spec/maxUnavailable").is_none_or(|most| most == 0 || most == "0%") {
                wrong.push("lets no node be drained: set maxUnavailable to 1 or more".to_owned());
            }
            if object.text("/spec/unhealthyPodEvictionPolicy") != Some("AlwaysAllow") {
                wrong.push(
                    "a pod that cannot work holds up a node: set unhealthyPodEvictionPolicy to AlwaysAllow"
                        .to_owned(),
                );
            }
            wrong
        },
    ),
    object(
        &["C-0030", "C-0054", "kube-linter/non-isolated-pod", "kube-score/pod-networkpolicy", "CIS-5.3.2"],
        |manifests, object| {
            let pods = manifests.pods().filter(|pod| pod.object.path() == object.path());
            let open = pods.flat_map(|pod| {
                let labels = pod.labels();
                let is_isolated = move |direction: &&str| {
                    manifests.of_kind("NetworkPolicy").any(|policy| {
                        selects(policy.at("/spec/podSelector"), &labels)
                            && policy.list("/spec/policyTypes").any(|kind| kind == *direction)
                    })
                };
                ["Ingress", "Egress"].into_iter().filter(move |direction| !is_isolated(direction))
            });
            open.map(|direction| format!("no network policy says anything about its {direction}")).collect()
        },
    ),
    object(
        &["kube-score/networkpolicy-targets-pod", "kube-linter/dangling-networkpolicy"],
        |manifests, object| {
            if object.kind() != "NetworkPolicy" {
                return Vec::new();
            }
            let selector = object.at("/spec/podSelector");
            let is_of_operator = operated(manifests).iter().any(|labels| selects(selector, labels));
            let is_of_pods = manifests.pods().any(|pod| selects(selector, &pod.labels()));
            match is_of_operator || is_of_pods {
                true => Vec::new(),
                false => vec!["is about no pod".to_owned()],
            }
        },
    ),
    object(
        &[
            "kube-score/horizontalpodautoscaler-has-target",
            "kube-score/deployment-targeted-by-hpa-does-not-have-replicas-configured",
            "kube-linter/dangling-horizontalpodautoscaler",
        ],
        |manifests, object| {
            if !matches!(object.kind(), "HorizontalPodAutoscaler" | "ScaledObject") {
                return Vec::new();
            }
            let kind = object.text("/spec/scaleTargetRef/kind").unwrap_or("Deployment");
            let name = object.text("/spec/scaleTargetRef/name").unwrap_or_default();
            match manifests.named(kind, name) {
                None => vec![format!("scales {kind} {name}, which is not there")],
                Some(target) if target.at("/spec/replicas").is_some() => {
                    vec![format!(
                        "{kind} {name} says itself how many it has, and both go on changing it: leave replicas out"
                    )]
                }
                Some(_) => {
                    let others = |other: &&Object| {
                        other.path() != object.path()
                            && other.at("/spec/scaleTargetRef") == object.at("/spec/scaleTargetRef")
                    };
                    let mut scalers =
                        manifests.of_kind("HorizontalPodAutoscaler").chain(manifests.of_kind("ScaledObject"));
                    scalers
                        .find(others)
                        .map(|other| format!("{} scales the same", other.path()))
                        .into_iter()
                        .collect()
                }
            }
        },
    ),
    object(&["kube-score/cronjob-has-deadline", "jobs/bounded"], |_, object| {
        let wanted: &[(&str, &str)] = match object.kind() {
            "CronJob" => &[
                ("/spec/startingDeadlineSeconds", "startingDeadlineSeconds"),
                ("/spec/successfulJobsHistoryLimit", "successfulJobsHistoryLimit"),
                ("/spec/failedJobsHistoryLimit", "failedJobsHistoryLimit"),
                ("/spec/timeZone", "timeZone"),
                ("/spec/jobTemplate/spec/activeDeadlineSeconds", "activeDeadlineSeconds"),
                ("/spec/jobTemplate/spec/backoffLimit", "backoffLimit"),
                ("/spec/jobTemplate/spec/ttlSecondsAfterFinished", "ttlSecondsAfterFinished"),
            ],
            "Job" => &[
                ("/spec/activeDeadlineSeconds", "activeDeadlineSeconds"),
                ("/spec/backoffLimit", "backoffLimit"),
                ("/spec/ttlSecondsAfterFinished", "ttlSecondsAfterFinished"),
            ],
            _ => &[],
        };
        let mut wrong: Vec<String> = wanted
            .iter()
            .filter(|(place, _)| object.at(place).is_none())
            .map(|(_, name)| format!("has no {name}"))
            .collect();
        if object.kind() == "CronJob" && object.text("/spec/concurrencyPolicy") != Some("Forbid") {
            wrong.push("may run twice at once: set concurrencyPolicy to Forbid".to_owned());
        }
        wrong
    }),
    object(
        &[
            "C-0002",
            "C-0035",
            "kube-linter/access-to-create-pods",
            "kube-linter/access-to-secrets",
            "kube-linter/wildcard-in-rules",
            "CIS-5.1.2",
            "CIS-5.1.3",
            "CIS-5.1.4",
        ],
        |_, object| {
            let is_role = matches!(object.kind(), "Role" | "ClusterRole");
            let rules = object.list("/rules").filter(|_| is_role);
            let wrong = rules.filter_map(|rule| {
                let has = |field: &str, words: &[&str]| {
                    list(rule, field).filter_map(Value::as_str).any(|one| words.contains(&one))
                };
                let all = ["/verbs", "/resources", "/apiGroups"].into_iter().any(|field| has(field, &["*"]));
                let changes = has("/verbs", &["create"]);
                match () {
                    () if all => Some("gives everything by `*`: name what is needed"),
                    () if changes && has("/resources", &MAKERS) => Some("may make pods, and so be anybody"),
                    () if has("/resources", &["secrets"]) => {
                        Some("may have secrets: mount those that are needed")
                    }
                    () if has("/resources", &["pods/exec", "pods/attach"]) => Some("may go into pods"),
                    () => None,
                }
            });
            wrong.map(str::to_owned).collect()
        },
    ),
    object(&["C-0012"], |_, object| {
        let data = ["/data", "/binaryData"].into_iter().filter_map(|place| object.at(place)?.as_object());
        let entries = data.filter(|_| object.kind() == "ConfigMap").flatten();
        let secret = entries.filter(|(key, value)| {
            let value = value.as_str().unwrap_or_default();
            !value.is_empty() && (sounds_secret(key) || looks_secret(value))
        });
        secret.map(|(key, _)| format!("has a secret in {key}, which everybody reads who reads it")).collect()
    }),
    object(&["kube-linter/cluster-admin-role-binding", "CIS-5.1.1"], |_, object| {
        let is_binding = matches!(object.kind(), "RoleBinding" | "ClusterRoleBinding");
        match is_binding && matches!(object.text("/roleRef/name"), Some("cluster-admin" | "admin" | "edit")) {
            true => vec!["makes somebody an administrator".to_owned()],
            false => Vec::new(),
        }
    }),
    object(
        &["kube-linter/dangling-ingress", "kube-score/ingress-targets-service", "routes/to-service"],
        |manifests, object| {
            if object.kind() != "HTTPRoute" {
                return Vec::new();
            }
            let backends = object.list("/spec/rules").flat_map(|rule| list(rule, "/backendRefs"));
            let nowhere = backends.filter(|backend| {
                let service = text(backend, "/name").and_then(|name| manifests.named("Service", name));
                !service.is_some_and(|service| {
                    service.list("/spec/ports").any(|port| port.get("port") == backend.get("port"))
                })
            });
            nowhere
                .map(|backend| format!("leads to {}, which is no port of a service", backend["name"]))
                .collect()
        },
    ),
];

/// What pods come of.
const MAKERS: [&str; 9] = [
    "pods",
    "deployments",
    "statefulsets",
    "daemonsets",
    "replicasets",
    "replicationcontrollers",
    "jobs",
    "cronjobs",
    "rollouts",
];

/// Kinds that belong to the whole cluster.
const WIDE: [&str; 10] = [
    "Namespace",
    "PriorityClass",
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ClusterSecretStore",
    "ClusterIssuer",
    "ClusterPolicy",
    "CiliumEgressGatewayPolicy",
];

/// The labels of pods that CloudNativePG makes of what stands here.
pub(crate) fn operated(manifests: &Manifests) -> Vec<BTreeMap<&str, &str>> {
    let clusters = manifests.of_kind("Cluster").filter(|object| object.group() == "postgresql.cnpg.io");
    let clusters = clusters.map(|cluster| {
        BTreeMap::from([("cnpg.io/cluster", cluster.name()), ("cnpg.io/podRole", "instance")])
    });
    let poolers = manifests.of_kind("Pooler").map(|pooler| {
        let mut labels =
            BTreeMap::from([("cnpg.io/poolerName", pooler.name()), ("cnpg.io/podRole", "pooler")]);
        labels.extend(pooler.text("/spec/cluster/name").map(|cluster| ("cnpg.io/cluster", cluster)));
        let own =
            pooler.at("/spec/template/metadata/labels").and_then(Value::as_object).into_iter().flatten();
        labels.extend(own.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))));
        labels
    });
    clusters.chain(poolers).collect()
}

/// Keys, tokens and passwords by the marks that they have.
fn looks_secret(value: &str) -> bool {
    let marks = ["PRIVATE KEY-----", "AGE-SECRET-KEY-", "eyJhbGciO", "AKIA"];
    let has_password = |url: &str| {
        let place = url.split(['/', '?']).next().unwrap_or_default();
        place.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    };
    marks.iter().any(|mark| value.contains(mark)) || value.split("://").skip(1).any(has_password)
}

fn is_label(value: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    value.is_empty()
        || (value.len() <= 63
            && value.starts_with(ends)
            && value.ends_with(ends)
            && value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)))
}
