//! Rules about pods and their containers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Look, Rule, sounds_secret};
use crate::manifests::{Manifests, Pod, list, selects, text};

/// A user or group above this is nobody of any image or node.
const HIGHEST_KNOWN_ID: i64 = 10_000;
/// Kinds of volumes that the profile `restricted` permits.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
const SYSCTLS: [&str; 6] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
];

const fn pod(names: &'static [&'static str], look: fn(&Manifests, &Pod<'_>) -> Vec<String>) -> Rule {
    Rule { names, look: Look::Pod(look) }
}

pub(super) const RULES: &[Rule] = &[
    pod(
        &[
            "pss/run-as-non-root",
            "C-0013",
            "kube-linter/run-as-non-root",
            "polaris/runAsRootAllowed",
            "CIS-5.2.7",
        ],
        |_, pod| {
            each(pod, |container| {
                let is_said = setting(pod, container, "runAsNonRoot") == Some(&Value::Bool(true));
                let is_root = setting(pod, container, "runAsUser").and_then(Value::as_i64) == Some(0);
                (!is_said || is_root).then(|| "may run as root: set runAsNonRoot".to_owned())
            })
        },
    ),
    pod(
        &[
            "pss/privilege-escalation",
            "C-0016",
            "kube-linter/privilege-escalation-container",
            "polaris/privilegeEscalationAllowed",
            "CIS-5.2.6",
        ],
        |_, pod| {
            each(pod, |container| {
                let allowed = container.pointer("/securityContext/allowPrivilegeEscalation");
                (allowed != Some(&Value::Bool(false)))
                    .then(|| "may gain privileges: set allowPrivilegeEscalation to false".to_owned())
            })
        },
    ),
    pod(
        &[
            "pss/capabilities",
            "C-0046",
            "kube-linter/drop-net-raw-capability",
            "polaris/insecureCapabilities",
            "polaris/dangerousCapabilities",
            "CIS-5.2.8",
            "CIS-5.2.10",
        ],
        |_, pod| {
            each(pod, |container| {
                let drops_all = list(container, "/securityContext/capabilities/drop").any(|one| one == "ALL");
                let adds =
                    list(container, "/securityContext/capabilities/add").any(|one| one != "NET_BIND_SERVICE");
                (!drops_all || adds).then(|| "keeps capabilities: drop ALL, and add none".to_owned())
            })
        },
    ),
    pod(&["pss/seccomp", "C-0055", "kube-score/container-seccomp-profile", "CIS-5.7.2"], |_, pod| {
        each(pod, |container| {
            let profile =
                setting(pod, container, "seccompProfile").and_then(|profile| text(profile, "/type"));
            (!matches!(profile, Some("RuntimeDefault" | "Localhost")))
                .then(|| "has no seccomp profile: set RuntimeDefault".to_owned())
        })
    }),
    pod(
        &[
            "pss/privileged",
            "C-0057",
            "kube-linter/privileged-container",
            "polaris/runAsPrivileged",
            "CIS-5.2.2",
        ],
        |_, pod| {
            each(pod, |container| {
                let privileged = container.pointer("/securityContext/privileged");
                (privileged == Some(&Value::Bool(true))).then(|| "is privileged".to_owned())
            })
        },
    ),
    pod(
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
        |_, pod| {
            let shared = ["hostNetwork", "hostPID", "hostIPC"];
            let is_shared = |name: &&str| pod.at(&format!("/{name}")) == Some(&Value::Bool(true));
            shared.into_iter().filter(is_shared).map(|name| format!("{name} is the node's")).collect()
        },
    ),
    pod(&["pss/host-ports", "C-0044", "polaris/hostPortSet", "CIS-5.2.13"], |_, pod| {
        each(pod, |container| {
            let takes = list(container, "/ports").any(|port| port.get("hostPort").is_some());
            takes.then(|| "takes a port of the node".to_owned())
        })
    }),
    pod(
        &[
            "pss/volume-types",
            "kube-linter/sensitive-host-mounts",
            "kube-linter/docker-sock",
            "kube-linter/writable-host-mount",
            "polaris/hostPathSet",
            "CIS-5.2.12",
        ],
        |_, pod| {
            let known = |volume: &Value| VOLUMES.iter().any(|kind| volume.get(kind).is_some());
            let name = |volume: &Value| text(volume, "/name").unwrap_or_default().to_owned();
            let others = pod.volumes().filter(|volume| !known(volume));
            others
                .map(|volume| format!("volume {} is of a kind that reaches the node", name(volume)))
                .collect()
        },
    ),
    pod(&["pss/sysctls", "kube-linter/unsafe-sysctls"], |_, pod| {
        let names = pod.at("/securityContext").into_iter().flat_map(|context| list(context, "/sysctls"));
        let unsafe_ones =
            names.filter_map(|sysctl| text(sysctl, "/name")).filter(|name| !SYSCTLS.contains(name));
        unsafe_ones.map(|name| format!("changes {name} of the node")).collect()
    }),
    pod(
        &[
            "pss/proc-mount",
            "kube-linter/unsafe-proc-mount",
            "pss/selinux",
            "pss/apparmor",
            "pss/host-process",
        ],
        |_, pod| {
            each(pod, |container| {
                let context = container.get("securityContext");
                let special = ["procMount", "seLinuxOptions", "appArmorProfile", "windowsOptions"];
                let is_set = |name: &&str| {
                    context.is_some_and(|context| context.get(*name).is_some())
                        || pod.at("/securityContext").is_some_and(|context| context.get(*name).is_some())
                };
                special.iter().find(|name| is_set(name)).map(|name| format!("has a {name} of its own"))
            })
        },
    ),
    pod(
        &[
            "C-0017",
            "kube-linter/no-read-only-root-fs",
            "kube-score/container-security-context-readonlyrootfilesystem",
            "polaris/notReadOnlyRootFilesystem",
        ],
        |_, pod| {
            each(pod, |container| {
                let read_only = container.pointer("/securityContext/readOnlyRootFilesystem");
                (read_only != Some(&Value::Bool(true)))
                    .then(|| "may write into its image: set readOnlyRootFilesystem".to_owned())
            })
        },
    ),
    pod(&["kube-score/container-security-context-user-group-id"], |_, pod| {
        each(pod, |container| {
            let id = |name: &str| setting(pod, container, name).and_then(Value::as_i64).unwrap_or_default();
            let is_known = |name: &&str| id(name) <= HIGHEST_KNOWN_ID;
            let known = ["runAsUser", "runAsGroup"].into_iter().find(is_known);
            known.map(|name| {
                format!("{name} may be somebody's on the node: take one above {HIGHEST_KNOWN_ID}")
            })
        })
    }),
    pod(
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
        |_, pod| {
            each(pod, |container| {
                let places = ["requests", "limits"].into_iter().flat_map(|when| {
                    ["cpu", "memory", "ephemeral-storage"].map(|what| format!("/resources/{when}/{what}"))
                });
                let missing: Vec<String> =
                    places.filter(|place| container.pointer(place).is_none()).collect();
                (!missing.is_empty()).then(|| format!("says nothing about {}", missing.join(", ")))
            })
        },
    ),
    pod(
        &["kube-linter/latest-tag", "kube-score/container-image-tag", "polaris/tagNotSpecified"],
        |_, pod| {
            each(pod, |container| {
                let image = text(container, "/image").unwrap_or_default();
                let name = image.rsplit('/').next().unwrap_or_default();
                let is_exact = image.contains("@sha256:")
                    || name.split_once(':').is_some_and(|(_, tag)| tag != "latest");
                (!is_exact).then(|| format!("image {image} is another one tomorrow: give a digest or a tag"))
            })
        },
    ),
    pod(&["kube-score/container-image-pull-policy", "polaris/pullPolicyNotAlways"], |_, pod| {
        each(pod, |container| {
            (text(container, "/imagePullPolicy") != Some("Always"))
                .then(|| "takes whatever image is on the node: pull Always".to_owned())
        })
    }),
    pod(
        &[
            "kube-linter/no-liveness-probe",
            "kube-linter/no-readiness-probe",
            "kube-score/pod-probes",
            "polaris/livenessProbeMissing",
            "polaris/readinessProbeMissing",
        ],
        |_, pod| {
            let probes = ["startupProbe", "livenessProbe", "readinessProbe"];
            let containers = pod.containers().filter(|_| !pod.is_job());
            let missing = containers.flat_map(|container| {
                let missing = probes.iter().filter(|probe| container.get(**probe).is_none());
                missing.map(move |probe| of(container, &format!("has no {probe}")))
            });
            missing.collect()
        },
    ),
    pod(&["kube-score/pod-probes-identical"], |_, pod| {
        each(pod, |container| {
            let [live, ready] = ["livenessProbe", "readinessProbe"].map(|probe| container.get(probe));
            (live.is_some() && live == ready)
                .then(|| "is killed whenever it is not ready: probe other things".to_owned())
        })
    }),
    pod(
        &[
            "kube-linter/liveness-port",
            "kube-linter/readiness-port",
            "kube-linter/startup-port",
            "kube-score/container-ports-check",
        ],
        |_, pod| {
            each(pod, |container| {
                let has = |wanted: &Value| {
                    list(container, "/ports").any(|port| {
                        port.get("name") == Some(wanted) || port.get("containerPort") == Some(wanted)
                    })
                };
                let probes = ["startupProbe", "livenessProbe", "readinessProbe"].into_iter();
                let asked = probes.filter_map(|probe| {
                    let probe = container.get(probe)?;
                    probe.pointer("/httpGet/port").or_else(|| probe.pointer("/tcpSocket/port"))
                });
                let nowhere: Vec<String> = asked.filter(|port| !has(port)).map(Value::to_string).collect();
                (!nowhere.is_empty())
                    .then(|| format!("is probed at a port that it does not have: {}", nowhere.join(", ")))
            })
        },
    ),
    pod(&["C-0034", "CIS-5.1.6"], |_, pod| {
        let wants = pod.at("/automountServiceAccountToken");
        let uses = pod.volumes().any(|volume| {
            list(volume, "/projected/sources").any(|source| source.get("serviceAccountToken").is_some())
        });
        match wants == Some(&Value::Bool(false)) || uses {
            true => Vec::new(),
            false => vec![
                "is given a token for the cluster's API: set automountServiceAccountToken to false"
                    .to_owned(),
            ],
        }
    }),
    pod(
        &[
            "pods/service-account",
            "kube-linter/default-service-account",
            "kube-linter/non-existent-service-account",
            "CIS-5.1.5",
        ],
        |manifests, pod| {
            if pod.at("/serviceAccount").is_some() {
                return vec!["serviceAccount is an old name: write serviceAccountName".to_owned()];
            }
            let name = pod.at("/serviceAccountName").and_then(Value::as_str).unwrap_or("default");
            match name != "default" && manifests.named("ServiceAccount", name).is_some() {
                true => Vec::new(),
                false => vec![format!("service account {name} is everybody's, or nobody makes it")],
            }
        },
    ),
    pod(
        &["C-0012", "kube-linter/env-var-secret", "kube-linter/read-secret-from-env-var", "CIS-5.4.1"],
        |_, pod| {
            each(pod, |container| {
                let mut variables = list(container, "/env");
                let of_secret = |variable: &Value| {
                    let name = text(variable, "/name").unwrap_or_default();
                    variable.pointer("/valueFrom/secretKeyRef").is_some() || sounds_secret(name)
                };
                let all = list(container, "/envFrom").any(|from| from.get("secretRef").is_some());
                (all || variables.any(of_secret))
                    .then(|| "has a secret in its environment: mount it as a file".to_owned())
            })
        },
    ),
    pod(&["kube-linter/duplicate-env-var", "kube-score/environment-variable-key-duplication"], |_, pod| {
        each(pod, |container| {
            let mut names: Vec<_> =
                list(container, "/env").filter_map(|variable| text(variable, "/name")).collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            (names.len() < all).then(|| "says twice what a variable is".to_owned())
        })
    }),
    pod(&["kube-linter/ssh-port", "kube-linter/privileged-ports"], |_, pod| {
        each(pod, |container| {
            let low = list(container, "/ports")
                .filter_map(|port| port.get("containerPort")?.as_i64())
                .find(|port| *port < 1_024);
            low.map(|port| format!("listens on port {port}, which is root's"))
        })
    }),
    pod(&["kube-linter/no-anti-affinity", "kube-score/deployment-has-host-podantiaffinity"], |_, pod| {
        let labels = pod.labels();
        let terms = |how: &str| {
            let place = format!("/affinity/podAntiAffinity/{how}DuringSchedulingIgnoredDuringExecution");
            pod.at(&place).and_then(Value::as_array).into_iter().flatten()
        };
        let preferred = terms("preferred").filter_map(|term| term.get("podAffinityTerm"));
        let is_apart = terms("required").chain(preferred).any(|term| keeps_apart(term, &labels));
        let is_one = pod.is_job() || pod.object.number("/spec/replicas") == Some(1);
        match is_apart || is_one {
            true => Vec::new(),
            false => vec!["its pods may all be on one node: keep them apart by podAntiAffinity".to_owned()],
        }
    }),
    pod(&["polaris/topologySpreadConstraint", "kube-score/pod-topology-spread-constraints"], |_, pod| {
        let labels = pod.labels();
        let mut constraints =
            pod.at("/topologySpreadConstraints").and_then(Value::as_array).into_iter().flatten();
        let is_spread = constraints.any(|constraint| keeps_apart(constraint, &labels));
        match pod.is_job() || is_spread {
            true => Vec::new(),
            false => {
                vec!["its pods may all be in one place: spread them by topologySpreadConstraints".to_owned()]
            }
        }
    }),
    pod(&["polaris/priorityClassNotSet"], |manifests, pod| {
        let class = pod.at("/priorityClassName").and_then(Value::as_str).unwrap_or_default();
        match manifests.named("PriorityClass", class).is_some() {
            true => Vec::new(),
            false => vec![format!("priority class `{class}` is none that is made here")],
        }
    }),
    pod(&["pods/long-enough"], |_, pod| {
        let grace = pod.at("/terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(30);
        let arguments = pod.role().into_iter().flat_map(|role| list(role, "/args")).filter_map(Value::as_str);
        let ends: i64 = arguments
            .filter_map(|argument| {
                argument.strip_prefix("--linger=").or_else(|| argument.strip_prefix("--drain="))
            })
            .filter_map(|time| time.strip_suffix('s')?.parse::<i64>().ok())
            .sum();
        match grace > ends {
            true => Vec::new(),
            false => vec![format!("is killed after {grace} s, and needs {ends} s to end")],
        }
    }),
];

/// Whether a term is about the pod's own kind, and says of what there are several.
fn keeps_apart(term: &Value, labels: &BTreeMap<&str, &str>) -> bool {
    let is_somewhere = text(term, "/topologyKey").is_some_and(|key| !key.is_empty());
    is_somewhere && selects(term.get("labelSelector"), labels)
}

/// What is wrong with each container.
fn each<'a>(pod: &Pod<'a>, wrong: impl Fn(&'a Value) -> Option<String>) -> Vec<String> {
    pod.all_containers().filter_map(|container| Some(of(container, &wrong(container)?))).collect()
}

fn of(container: &Value, what: &str) -> String {
    format!("container {} {what}", text(container, "/name").unwrap_or("without a name"))
}

/// What a container says of its security, or its pod for all.
fn setting<'a>(pod: &Pod<'a>, container: &'a Value, name: &str) -> Option<&'a Value> {
    let own = container.get("securityContext").and_then(|context| context.get(name));
    own.or_else(|| pod.at("/securityContext")?.get(name))
}
