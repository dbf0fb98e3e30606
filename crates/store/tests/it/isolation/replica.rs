//! On a replica a tenant sees its own rows, as on the primary.

use std::{collections::BTreeSet, path::Path};

use model::{Scope, TenantId};
use store::{Location, ScanFilter, StaleReads, TaskFilter};

use super::{
    answers::{furnished, text},
    matrix::attempt,
    rows::{A, B, connect, seed, tables},
    things::Things,
};
use crate::replica::{EVER, Pair};

/// Every method that reads what may be stale, asked about things.
async fn ask(reads: &StaleReads, method: &str, tenant: TenantId, things: Things) -> String {
    match method {
        "scan" => text(&reads.scan(tenant, things.scan).await),
        "scans" => text(&reads.scans(tenant, ScanFilter::default(), 10).await),
        "difference" => text(&reads.difference(tenant, things.scan, things.other_scan).await),
        "task" => text(&reads.task(tenant, things.task).await),
        "tasks" => text(&reads.tasks(tenant, TaskFilter::default(), None, 10).await),
        "task_counts" => text(&reads.task_counts(tenant).await),
        "schedules" => text(&reads.schedules(tenant).await),
        "scopes" => text(&reads.scopes(tenant).await),
        other => panic!("{other} is not asked: add it to `isolation::replica::ask`"),
    }
}

fn methods() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/stale.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let (_, reads) = source.split_once("impl StaleReads").unwrap();
    let public = reads.split("    pub async fn ").skip(1).filter_map(|rest| rest.split_once('('));
    public.map(|(name, _)| name.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_anothers_is_not_there_on_a_replica_either() {
    let pair = Pair::start().await;
    let ground = pair.ground(EVER).await;
    let things = furnished(&ground).await;
    let intruder = ground.another_tenant("intruder").await;
    let scope = ground.store.put_scope(intruder, "its own", Scope::loopback(), "test".to_owned());
    scope.await.unwrap();
    pair.follow().await;
    let methods = methods();
    assert!(methods.len() >= 8, "{methods:?}");
    let about = async |method: &str, tenant, things| {
        let reads = ground.store.stale_reads().await.unwrap();
        ask(&reads, method, tenant, things).await
    };
    let mut seen = Vec::new();
    for method in &methods {
        let nothing = things.that_never_were();
        let of_nothing = nothing.unnamed(about(method, intruder, nothing).await);
        let of_others = things.unnamed(about(method, intruder, things).await);
        assert_eq!(of_others, of_nothing, "{method}");
        assert!(!of_others.contains("Statement") && !of_others.contains("secret"), "{method}: {of_others}");
        let own = about(method, ground.tenant, things).await;
        assert_ne!(things.unnamed(own.clone()), of_others, "{method}: there is something to see");
        seen.push((method, own, about(method, intruder, things).await));
    }
    pair.with(|primary, _| primary.stop_at_once()).await;
    for (method, own, of_others) in seen {
        let missing = of_others.contains("Missing");
        assert_eq!(about(method, ground.tenant, things).await, own, "{method}: it was the replica's answer");
        let of_others_there = about(method, intruder, things).await;
        assert!(of_others_there == of_others || missing, "{method}: {of_others_there}");
        assert!(!of_others_there.contains("secret"), "{method}: {of_others_there}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_themselves_show_a_tenant_its_own_rows_only() {
    let pair = Pair::start().await;
    let ground = pair.ground(EVER).await;
    let owner = connect(&ground.owner).await;
    let all = tables(&owner).await;
    seed(&owner, &all).await;
    pair.follow().await;
    let Location::Postgres { replica: Some(replica), .. } = &ground.location else { panic!() };
    let client = connect(&replica.url).await;
    client.batch_execute("BEGIN").await.unwrap();
    for table in &all {
        let count = |of: &str| format!("SELECT FROM rampart.{} WHERE tenant_id {of}", table.name);
        for (tenant, of, rows) in [
            (Some(B), format!("= '{B}'"), 1),
            (Some(B), format!("IS DISTINCT FROM '{B}'"), 0),
            (Some(A), "IS NOT NULL".to_owned(), 1),
            (Some(""), "IS NOT NULL".to_owned(), 0),
            (None, "IS NOT NULL".to_owned(), 0),
        ] {
            let seen = attempt(&client, tenant, &count(&of)).await;
            assert_eq!(seen, Ok(rows), "{} as {tenant:?}: {of}", table.name);
        }
    }
    client.batch_execute("ROLLBACK").await.unwrap();
}
