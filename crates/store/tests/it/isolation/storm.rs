//! Many at once, of many tenants, who go away in the middle.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use model::{NewTask, ScanRequest, Scope, Severity, Stage, TaskId, TenantId, UnitResult};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use store::{Ending, Lease, NewScan, Settlement, StoreError, TaskFilter};
use tokio_postgres::Client;
use uuid::Uuid;

use super::rows::{connect, quiet, texts, waiting};
use crate::{
    findings::finding,
    ground::{Ground, Worker, exercise},
};

const OPERATIONS: usize = 500;
const TENANTS: usize = 7;

/// Is polled so often and not more: then whoever asked has gone away.
struct Leaves<F> {
    future: Pin<Box<F>>,
    polls: usize,
}

impl<F: Future> Future for Leaves<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        let polled = self.future.as_mut().poll(context).map(Some);
        if polled.is_pending() && self.polls == 0 { Poll::Ready(None) } else { polled }
    }
}

/// What somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Enqueue,
    PutScope,
    Submit,
    Claim,
    Settle,
}

/// Each writes all of it or nothing: tasks with a key each, a scope and its entry in the audit, a scan with its targets and tasks, the
/// leases of whatever was claimed, the end of a task and what was found.
const KINDS: [Kind; 5] = [Kind::Enqueue, Kind::PutScope, Kind::Submit, Kind::Claim, Kind::Settle];

fn kind(number: usize) -> Kind {
    KINDS[number % KINDS.len()]
}

fn worker(number: usize) -> Worker {
    Worker::new(1_000 + number as u128)
}

fn scan_of(by: &str, targets: &[&str]) -> NewScan {
    NewScan {
        request: ScanRequest { stages: [Stage::Ports].into(), ..ScanRequest::within("home") },
        targets: targets.iter().map(|target| target.parse().unwrap()).collect(),
        by: by.into(),
        checks: "1".to_owned(),
        price: None,
    }
}

/// What is to be settled: units that somebody has at work.
async fn at_work(ground: &Ground, tenants: &[TenantId], letters: &[usize]) -> BTreeMap<usize, Lease> {
    let mut scans = BTreeMap::new();
    for (number, letter) in letters.iter().enumerate().filter(|(number, _)| kind(*number) == Kind::Settle) {
        let new = scan_of("test", &["127.0.0.1"]);
        scans.insert(ground.store.submit_scan(tenants[*letter], new).await.unwrap().0, number);
    }
    let claimed = Worker::new(1).claim_of(ground, &[Stage::Ports], OPERATIONS).await;
    claimed.iter().map(|task| (scans[&task.lease.scan.unwrap()], task.lease)).collect()
}

/// The tasks that it got, if it was to get any.
async fn operate(
    ground: &Ground,
    tenant: TenantId,
    (letter, number): (usize, usize),
    lease: Option<Lease>,
) -> Result<Vec<TaskId>, StoreError> {
    let store = &ground.store;
    let part = |part: usize| format!("{letter}/{number}/{part}");
    match kind(number) {
        Kind::Enqueue => {
            let keyed = |place| NewTask { idempotency_key: Some(part(place)), ..exercise() };
            store.enqueue(tenant, (0..3).map(keyed).collect()).await?;
        }
        Kind::PutScope => {
            let by = format!("tenant {letter}");
            store.put_scope(tenant, &format!("{letter}/{number}"), Scope::loopback(), by).await?;
        }
        Kind::Submit => {
            let new = scan_of(&format!("{letter}/{number}"), &["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
            store.submit_scan(tenant, new).await?;
        }
        Kind::Claim => {
            let request = worker(number).wants(&[Stage::Exercise], 3);
            return Ok(store.claim(request).await?.iter().map(|task| task.lease.task).collect());
        }
        Kind::Settle => {
            let findings = (0..3).map(|place| finding(&part(place), Severity::High)).collect();
            let ending = Ending::Unit(Box::new(UnitResult { findings, ..UnitResult::default() }));
            let lease = lease.expect("every unit is at work");
            for answer in store.settle(vec![Settlement::silent(lease, ending)]).await? {
                answer.unwrap_or_else(|refused| panic!("{letter}/{number}: {refused}"));
            }
        }
    }
    Ok(Vec::new())
}

/// Which parts of which operations a statement finds: it gives `letter/number/part`, each once.
async fn parts(owner: &Client, sql: &str) -> BTreeMap<(usize, usize), BTreeSet<String>> {
    let mut parts: BTreeMap<(usize, usize), BTreeSet<String>> = BTreeMap::new();
    for key in texts(owner, sql).await {
        let [of, number, part] = key.split('/').collect::<Vec<_>>()[..] else { panic!("{key}") };
        let operation = (of.parse().unwrap(), number.parse().unwrap());
        assert!(parts.entry(operation).or_default().insert(part.to_owned()), "{key} is there twice: {sql}");
    }
    parts
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_stay_apart_when_hundreds_go_away_in_the_middle() {
    let seed: u64 = rand::random();
    // Shown when the test fails.
    println!("seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let ground = Arc::new(Ground::postgres().await);
    let owner = connect(&ground.owner).await;
    let mut tenants = vec![ground.tenant];
    for letter in 1..TENANTS {
        tenants.push(ground.another_tenant(&format!("tenant {letter}")).await);
    }
    for tenant in &tenants {
        ground.store.put_scope(*tenant, "home", Scope::loopback(), "test".to_owned()).await.unwrap();
    }
    let letters: Vec<usize> = (0..OPERATIONS).map(|_| dice.random_range(0..TENANTS)).collect();
    let leases = at_work(&ground, &tenants, &letters).await;
    let mut running = Vec::new();
    for (number, letter) in letters.into_iter().enumerate() {
        let polls = if dice.random_range(0..3) == 0 { usize::MAX } else { dice.random_range(1..6) };
        let (ground, tenant, lease) = (Arc::clone(&ground), tenants[letter], leases.get(&number).copied());
        running.push(tokio::spawn(async move {
            let future = async { operate(&ground, tenant, (letter, number), lease).await };
            let done = Leaves { future: Box::pin(future), polls }.await;
            (letter, number, done)
        }));
    }
    let mut done: BTreeMap<(usize, usize), Vec<TaskId>> = BTreeMap::new();
    let mut gone: BTreeSet<(usize, usize)> = BTreeSet::new();
    for operation in running {
        let (letter, number, outcome) = operation.await.unwrap();
        match outcome {
            Some(outcome) => {
                let got = outcome.unwrap_or_else(|error| panic!("seed {seed}: {number}: {error}"));
                done.insert((letter, number), got);
            }
            None => _ = gone.insert((letter, number)),
        }
    }
    assert!(done.len() > 50 && gone.len() > 50, "seed {seed}: {} done, {} gone", done.len(), gone.len());
    for kind_of in KINDS {
        let of = |operation: &&(usize, usize)| kind(operation.1) == kind_of;
        let (done, gone) = (done.keys().filter(of).count(), gone.iter().filter(of).count());
        assert!(done > 0 && gone > 0, "seed {seed}: {kind_of:?}: {done} done, {gone} gone");
    }
    quiet(&owner).await;

    // Everything that was answered is there; of what was not, all or nothing; and nothing in the wrong place.
    for (letter, tenant) in tenants.iter().enumerate() {
        let of = format!("tenant_id = '{tenant}'");
        let mut there = parts(
            &owner,
            &format!(
                "SELECT idempotency_key FROM rampart.task_keys WHERE {of} AND EXISTS (SELECT FROM rampart.tasks \
                 WHERE tasks.tenant_id = task_keys.tenant_id AND tasks.task_id = task_keys.task_id)"
            ),
        )
        .await;
        let keys: usize = there.values().map(BTreeSet::len).sum();
        let exercises = TaskFilter { stage: Some(Stage::Exercise), ..TaskFilter::default() };
        let seen = ground.store.tasks(*tenant, exercises, None, 10_000).await.unwrap();
        assert!(seen.iter().all(|task| task.tenant == *tenant), "seed {seed}");
        assert_eq!(seen.len(), keys, "seed {seed}");

        let sql = format!(
            "SELECT subject FROM rampart.audit WHERE {of} AND action = 'scope.put' AND actor = 'tenant {letter}'"
        );
        let told = texts(&owner, &sql).await;
        let mut scopes = ground.store.scopes(*tenant).await.unwrap();
        scopes.retain(|(name, _)| name != "home");
        assert_eq!(told.len(), scopes.len(), "seed {seed}: a scope and its entry");
        for (name, _) in &scopes {
            assert!(told.contains(name), "seed {seed}: {name}");
            let (of, number) = name.split_once('/').unwrap();
            let whole = ["0", "1", "2"].map(str::to_owned).into();
            there.insert((of.parse().unwrap(), number.parse().unwrap()), whole);
        }

        let of_scans = async |table: &str| {
            let sql = format!(
                "SELECT submitted_by || '/' || row_number() OVER (PARTITION BY submitted_by) FROM rampart.scans \
                 JOIN rampart.{table} USING (tenant_id, scan_id) WHERE {of} AND submitted_by <> 'test'"
            );
            parts(&owner, &sql).await
        };
        let submitted = of_scans("scan_targets").await;
        assert_eq!(of_scans("tasks").await, submitted, "seed {seed}: a task of each target");
        assert_eq!(of_scans("scan_units").await, submitted, "seed {seed}");
        let sql = format!(
            "SELECT actor || '/' || subject FROM rampart.audit WHERE {of} AND action = 'scan.submit' AND actor <> 'test'"
        );
        assert!(parts(&owner, &sql).await.keys().eq(submitted.keys()), "seed {seed}: a scan and its entry");
        there.extend(submitted);

        let of_findings = async |table: &str| {
            let sql = format!(
                "SELECT findings.check_id FROM rampart.findings JOIN rampart.{table} USING (tenant_id, fingerprint) \
                 WHERE {of}"
            );
            parts(&owner, &sql).await
        };
        let settled = of_findings("sightings").await;
        assert_eq!(of_findings("evidence").await, settled, "seed {seed}");
        for (number, lease) in leases.iter().filter(|(_, lease)| lease.tenant == *tenant) {
            let is_settled = settled.contains_key(&(letter, *number));
            let (state, open) = if is_settled { ("completed", 0) } else { ("running", 1) };
            let task = ground.store.task(*tenant, lease.task).await.unwrap();
            let scan = ground.store.scan(*tenant, lease.scan.unwrap()).await.unwrap();
            assert_eq!((task.task.life.word(), scan.open_tasks), (state, open), "seed {seed}: {number}");
        }
        there.extend(settled);

        for (operation, parts) in &there {
            assert_eq!((operation.0, parts.len()), (letter, 3), "seed {seed}: {operation:?}");
            let asked = done.contains_key(operation) || gone.contains(operation);
            assert!(asked, "seed {seed}: {operation:?}");
        }
        let kept = |operation: &&(usize, usize)| operation.0 == letter && kind(operation.1) != Kind::Claim;
        for operation in done.keys().filter(kept) {
            assert!(there.contains_key(operation), "seed {seed}: {operation:?} was answered");
        }
    }

    // Who was answered has what it was told; who went away has leases that run out, or nothing.
    let sql = "SELECT task_id::text FROM rampart.tasks WHERE state NOT IN ('queued', 'running') AND stage = 'exercise' \
               OR (state = 'running') <> (lease_number = 1 AND attempts = 1 AND begun AND worker IS NOT NULL \
               AND lease_until IS NOT NULL AND started_at IS NOT NULL) AND state <> 'completed'";
    assert_eq!(texts(&owner, sql).await, Vec::<String>::new(), "seed {seed}: claimed by half");
    for operation in done.keys().chain(&gone).filter(|operation| kind(operation.1) == Kind::Claim) {
        let id = Uuid::from_u128(worker(operation.1).id().bits());
        let sql = format!("SELECT task_id::text FROM rampart.tasks WHERE worker = '{id}'");
        let held: BTreeSet<String> = texts(&owner, &sql).await.into_iter().collect();
        match done.get(operation) {
            Some(got) => assert_eq!(held, got.iter().map(ToString::to_string).collect(), "seed {seed}"),
            None => assert!(held.len() <= 3, "seed {seed}: {held:?}"),
        }
    }

    // The pool has all of its connections: so many transactions are open at the same time.
    let sql = "BEGIN; LOCK TABLE rampart.scopes IN ACCESS EXCLUSIVE MODE";
    owner.batch_execute(sql).await.unwrap();
    let held: Vec<_> = (0..5)
        .map(|number| {
            let (ground, tenant) = (Arc::clone(&ground), tenants[number]);
            tokio::spawn(async move { ground.store.scopes(tenant).await.map(drop) })
        })
        .collect();
    let other = connect(&ground.owner).await;
    waiting(&other, 4).await;
    owner.batch_execute("ROLLBACK").await.unwrap();
    for asked in held {
        asked.await.unwrap().unwrap();
    }
    quiet(&owner).await;
}
