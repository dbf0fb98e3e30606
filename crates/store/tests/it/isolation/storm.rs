//! Many at once, of many tenants, who go away in the middle.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use model::{NewTask, Scope, TenantId};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use store::{StoreError, TaskFilter};

use super::rows::{connect, quiet, texts, waiting};
use crate::ground::{Ground, exercise};

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

/// What one operation writes, all of it or nothing: tasks with a key each, or a scope and its entry in the audit.
async fn operate(ground: &Ground, tenant: TenantId, letter: usize, number: usize) -> Result<(), StoreError> {
    let by = || format!("tenant {letter}");
    if number.is_multiple_of(2) {
        let keyed = |part: usize| NewTask {
            idempotency_key: Some(format!("{letter}/{number}/{part}")),
            ..exercise()
        };
        ground.store.enqueue(tenant, (0..3).map(keyed).collect()).await.map(drop)
    } else {
        ground.store.put_scope(tenant, &format!("{letter}/{number}"), Scope::loopback(), by()).await
    }
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
    let mut running = Vec::new();
    for number in 0..OPERATIONS {
        let letter = dice.random_range(0..TENANTS);
        let polls = if dice.random_range(0..3) == 0 { usize::MAX } else { dice.random_range(1..6) };
        let (ground, tenant) = (Arc::clone(&ground), tenants[letter]);
        running.push(tokio::spawn(async move {
            let future = async { operate(&ground, tenant, letter, number).await };
            let done = Leaves { future: Box::pin(future), polls }.await;
            (letter, number, done)
        }));
    }
    let mut done: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut gone: BTreeSet<(usize, usize)> = BTreeSet::new();
    for operation in running {
        let (letter, number, outcome) = operation.await.unwrap();
        match outcome {
            Some(outcome) => {
                outcome.unwrap_or_else(|error| panic!("seed {seed}: {number}: {error}"));
                done.insert((letter, number));
            }
            None => _ = gone.insert((letter, number)),
        }
    }
    assert!(done.len() > 50 && gone.len() > 50, "seed {seed}: {} done, {} gone", done.len(), gone.len());
    quiet(&owner).await;

    // Everything that was answered is there; of what was not, all or nothing; and nothing in the wrong place.
    for (letter, tenant) in tenants.iter().enumerate() {
        let mut parts: BTreeMap<(usize, usize), BTreeSet<&str>> = BTreeMap::new();
        let sql = format!(
            "SELECT idempotency_key FROM rampart.task_keys WHERE tenant_id = '{tenant}' AND EXISTS (SELECT FROM \
                           rampart.tasks WHERE tasks.tenant_id = task_keys.tenant_id AND tasks.task_id = task_keys.task_id)"
        );
        let keys = texts(&owner, &sql).await;
        for key in &keys {
            let [of, number, part] = key.split('/').collect::<Vec<_>>()[..] else { panic!("{key}") };
            parts.entry((of.parse().unwrap(), number.parse().unwrap())).or_default().insert(part);
        }
        let sql = format!(
            "SELECT subject FROM rampart.audit WHERE tenant_id = '{tenant}' AND action = 'scope.put' \
                           AND actor = 'tenant {letter}'"
        );
        let told = texts(&owner, &sql).await;
        let scopes = ground.store.scopes(*tenant).await.unwrap();
        assert_eq!(told.len(), scopes.len(), "seed {seed}: a scope and its entry");
        for (name, _) in &scopes {
            assert!(told.contains(name), "seed {seed}: {name}");
            let (of, number) = name.split_once('/').unwrap();
            parts.insert((of.parse().unwrap(), number.parse().unwrap()), ["0", "1", "2"].into());
        }
        let seen = ground.store.tasks(*tenant, TaskFilter::default(), None, 10_000).await.unwrap();
        assert!(seen.iter().all(|task| task.tenant == *tenant), "seed {seed}");
        assert_eq!(seen.len(), keys.len(), "seed {seed}");
        for (operation, parts) in &parts {
            assert_eq!((operation.0, parts.len()), (letter, 3), "seed {seed}: {operation:?}");
            assert!(done.contains(operation) || gone.contains(operation), "seed {seed}: {operation:?}");
        }
        for operation in done.iter().filter(|operation| operation.0 == letter) {
            assert!(parts.contains_key(operation), "seed {seed}: {operation:?} was answered");
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
