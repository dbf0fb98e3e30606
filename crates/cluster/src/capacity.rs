//! Does the most that autoscaling asks for fit: into the quota of the namespace, and into the connections of the database?

use serde_json::Value;

use crate::{
    Defect,
    manifests::{Manifests, Object, Pod, list, quantity},
    network::environment,
};

/// A worker's heartbeat, and what watches for what happens, connect beside the pool of their process.
const BESIDE: u64 = 2;
/// Connections that one process opens, unless somebody says otherwise.
const CONNECTIONS: u64 = 10;
/// Left to superusers, to whoever prepares the database and to operators' commands.
const LEFT: u64 = 10;

/// What all pods together may come to, each figure in thousandths but for `pods`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Demand {
    /// How many.
    pub pods: u128,
    /// Cores asked for.
    pub requests_cpu: u128,
    /// Bytes asked for.
    pub requests_memory: u128,
    /// Cores at most.
    pub limits_cpu: u128,
    /// Bytes at most.
    pub limits_memory: u128,
}

/// How many pods an object makes at most, with those that come before others go.
pub fn most_pods(manifests: &Manifests, object: &Object) -> u64 {
    let scaler = manifests.of_kind("ScaledObject").chain(manifests.of_kind("HorizontalPodAutoscaler")).find(
        |scaler| {
            scaler.text("/spec/scaleTargetRef/name") == Some(object.name())
                && scaler.text("/spec/scaleTargetRef/kind").unwrap_or("Deployment") == object.kind()
        },
    );
    let most = scaler.and_then(|scaler| {
        scaler.number("/spec/maxReplicaCount").or_else(|| scaler.number("/spec/maxReplicas"))
    });
    // A Rollout that has taken over a Deployment has its pods beside those that it had before, until these are gone.
    let taken_over = manifests.of_kind("Rollout").find(|rollout| {
        rollout.text("/spec/workloadRef/name") == Some(object.name()) && object.kind() == "Deployment"
    });
    if let Some(rollout) = taken_over {
        return 2 * most_pods(manifests, rollout);
    }
    let most = most.or_else(|| object.number("/spec/replicas")).unwrap_or(1).max(0) as u64;
    let surge = match object.at("/spec/strategy/rollingUpdate/maxSurge") {
        Some(Value::String(percent)) => {
            let percent: u64 = percent.trim_end_matches('%').parse().unwrap_or(100);
            (most * percent).div_ceil(100)
        }
        Some(Value::Number(pods)) => pods.as_u64().unwrap_or_default(),
        _ => 0,
    };
    most + surge
}

/// What everything comes to when all of it is as large as it may become.
pub fn demand(manifests: &Manifests) -> Demand {
    let mut demand = Demand::default();
    let mut add = |pods: u128, of: &dyn Fn(&str, &str) -> u128| {
        demand.pods += pods;
        demand.requests_cpu += pods * of("requests", "cpu");
        demand.requests_memory += pods * of("requests", "memory");
        demand.limits_cpu += pods * of("limits", "cpu");
        demand.limits_memory += pods * of("limits", "memory");
    };
    for pod in manifests.pods() {
        add(most_pods(manifests, pod.object).into(), &|when, what| of_pod(&pod, when, what));
    }
    for cluster in manifests.of_kind("Cluster") {
        // One more while an instance is made anew.
        let instances = cluster.number("/spec/instances").unwrap_or(1).max(0) as u128 + 1;
        let of = |when: &str, what: &str| {
            let own = cluster.at(&format!("/spec/resources/{when}/{what}"));
            // What takes its WAL away runs in the same pods.
            let place = format!("/spec/instanceSidecarConfiguration/resources/{when}/{what}");
            let beside = manifests.of_kind("ObjectStore").filter_map(|store| store.at(&place));
            own.into_iter().chain(beside).filter_map(quantity).sum()
        };
        add(instances, &of);
    }
    for pooler in manifests.of_kind("Pooler") {
        let instances = pooler.number("/spec/instances").unwrap_or(1).max(0) as u128;
        let of = |when: &str, what: &str| {
            let containers = pooler.list("/spec/template/spec/containers");
            containers
                .filter_map(|container| quantity(container.pointer(&format!("/resources/{when}/{what}"))?))
                .sum()
        };
        add(instances + instances.div_ceil(4), &of);
    }
    demand
}

/// Containers run together; those that begin before them run one after the other.
fn of_pod(pod: &Pod<'_>, when: &str, what: &str) -> u128 {
    let place = format!("/resources/{when}/{what}");
    let one = |container: &Value| container.pointer(&place).and_then(quantity).unwrap_or(0);
    let together: u128 = pod.containers().map(one).sum();
    let before = pod.all_containers().map(one).max().unwrap_or(0);
    together.max(before)
}

/// Connections to PostgreSQL that all processes may open together, and how many are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connections {
    /// By all processes.
    pub wanted: u64,
    /// By the server, or by the poolers before it when one of them is away.
    pub taken: u64,
    /// What poolers open at the server, and what it takes; nothing where there is none.
    pub behind: Option<(u64, u64)>,
}

/// As they are in these manifests; nothing where no server stands in them.
pub fn connections(manifests: &Manifests) -> Option<Connections> {
    let wanted = manifests.pods().filter_map(|pod| {
        // Nobody who goes on reads a replica: operators' commands do, of which each opens few connections and ends.
        // Who copies the database replicates, for which it has places of its own (max_wal_senders); who scales asks it nothing.
        let role = pod.role().filter(|role| {
            list(role, "/args").next().is_none_or(|what| what != "backup" && what != "deploy")
        })?;
        let each = environment(manifests, role)
            .get("RAMPART_DATABASE_CONNECTIONS")
            .and_then(|text| text.parse().ok());
        Some(most_pods(manifests, pod.object) * (each.unwrap_or(CONNECTIONS) + BESIDE))
    });
    let wanted = wanted.sum();
    let parameter =
        |object: &Object, place: &str| object.text(place).and_then(|text| text.parse::<u64>().ok());
    if let Some(pooler) = manifests.of_kind("Pooler").next() {
        let instances = pooler.number("/spec/instances").unwrap_or(1).max(1) as u64;
        let each = parameter(pooler, "/spec/pgbouncer/parameters/max_client_conn").unwrap_or(100);
        let pool = parameter(pooler, "/spec/pgbouncer/parameters/default_pool_size").unwrap_or(20)
            + parameter(pooler, "/spec/pgbouncer/parameters/reserve_pool_size").unwrap_or(0);
        let cluster = manifests.of_kind("Cluster").next()?;
        let server = parameter(cluster, "/spec/postgresql/parameters/max_connections").unwrap_or(100);
        return Some(Connections {
            wanted,
            taken: each * (instances - 1).max(1),
            behind: Some((pool * instances, server.saturating_sub(LEFT))),
        });
    }
    let server = manifests.named("StatefulSet", "database")?;
    let arguments =
        server.list("/spec/template/spec/containers").flat_map(|container| list(container, "/args"));
    let most = arguments
        .filter_map(|argument| argument.as_str()?.strip_prefix("max_connections=")?.parse::<u64>().ok());
    Some(Connections { wanted, taken: most.last().unwrap_or(100).saturating_sub(LEFT), behind: None })
}

/// What does not fit.
pub fn defects(manifests: &Manifests) -> Vec<Defect> {
    let mut defects = Vec::new();
    let mut tell = |rule, subject: String, what| defects.push(Defect { rule, subject, what });
    let demand = demand(manifests);
    for quota in manifests.of_kind("ResourceQuota") {
        let figures = [
            ("pods", demand.pods * 1_000),
            ("requests.cpu", demand.requests_cpu),
            ("requests.memory", demand.requests_memory),
            ("limits.cpu", demand.limits_cpu),
            ("limits.memory", demand.limits_memory),
        ];
        for (name, wanted) in figures {
            let hard = quota.at("/spec/hard").and_then(|hard| quantity(hard.get(name)?));
            if hard.is_none_or(|hard| hard < wanted) {
                let (wanted, hard) = (wanted.div_ceil(1_000), hard.map(|hard| hard / 1_000));
                let hard = hard.map_or("nothing".to_owned(), |hard| hard.to_string());
                tell(
                    "capacity/quota",
                    quota.path(),
                    format!("{name} may come to {wanted}, and {hard} is allowed"),
                );
            }
        }
    }
    if let Some(Connections { wanted, taken, behind }) = connections(manifests) {
        if wanted > taken {
            let what = format!("all processes may open {wanted} connections, and {taken} are taken");
            tell("capacity/connections", "the database".to_owned(), what);
        }
        if let Some((opened, taken)) = behind.filter(|(opened, taken)| opened > taken) {
            let what = format!("the poolers may open {opened} connections, and {taken} are taken");
            tell("capacity/connections", "the database".to_owned(), what);
        }
    }
    defects
}
