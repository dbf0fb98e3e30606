//! What the queue promises.

use std::{collections::BTreeMap, time::Duration};

use model::{
    Authority, Priority, Reach, Stage, TaskId,
    task::{Death, Life, Refused, Retry, RetryPolicy},
};
use store::{AuditFilter, Beat, Ending, Reclaimed, Settlement, TaskFilter};

use crate::{
    ground::{Ground, LEASE, Worker, exercise, exercise_of, failure, settle},
    stored,
};

crate::contract! {
    a_task_is_claimed_once_and_completed_once
    a_silent_worker_loses_its_task_and_what_it_says_then_counts_for_nothing
    every_reclaim_is_an_attempt_and_a_poisonous_task_dies
    a_failed_task_waits_and_a_terminal_one_does_not
    handing_back_uses_up_no_attempt
    what_was_begun_goes_first_when_it_comes_back
    tasks_that_are_delayed_wait_by_the_clock_of_the_store
    a_key_makes_two_requests_one_task
    what_waits_is_cancelled_at_once_and_what_runs_is_told
    as_many_are_cancelled_as_was_said_and_none_twice
    the_dead_are_listed_redriven_and_purged
    a_stop_holds_claims_and_survives_a_restart
    tenants_take_turns_whatever_one_of_them_floods
    what_is_urgent_goes_first_and_what_is_not_goes_in_time
    a_tenant_has_no_more_at_work_than_it_may
    many_claimers_together_leave_a_tenant_within_its_bound
    many_claimers_get_each_task_once
    one_leads_and_another_takes_over
    a_batch_is_answered_one_by_one
    what_ended_long_ago_is_forgotten_and_the_dead_are_not
}

async fn a_task_is_claimed_once_and_completed_once(ground: Ground) {
    let [id] = ground.enqueue([exercise()]).await[..] else { panic!() };
    let (one, other) = (Worker::new(1), Worker::new(2));
    let claimed = one.claim(&ground, 10).await;
    assert_eq!(claimed.iter().map(|claim| claim.lease.task).collect::<Vec<_>>(), [id]);
    assert_eq!((claimed[0].attempt, claimed[0].lease.number.number()), (1, 1));
    assert_eq!(other.claim(&ground, 10).await, []);
    assert_eq!(ground.store.backlog().await.unwrap().depth(&[Stage::Exercise]), 1);
    let settled = settle(&ground, claimed[0].lease, Ending::Completed).await.unwrap();
    assert_eq!((settled.state, settled.again), ("completed", false));
    // Whoever never heard the answer asks again.
    let again = settle(&ground, claimed[0].lease, Ending::Completed).await.unwrap();
    assert_eq!((again.state, again.again), ("completed", true));
    let refused = settle(&ground, claimed[0].lease, failure(Retry::Later)).await.unwrap_err();
    assert!(matches!(refused, Refused::Fenced { .. }), "{refused}");
    assert_eq!(ground.state(id).await, "completed");
    assert_eq!(ground.store.backlog().await.unwrap().depth(&[Stage::Exercise]), 0);
    assert_eq!(one.claim(&ground, 10).await, []);
    let record = ground.task(id).await;
    assert!(record.started_at.is_some() && record.ended_at >= record.started_at);
}

async fn a_silent_worker_loses_its_task_and_what_it_says_then_counts_for_nothing(ground: Ground) {
    let id = ground.enqueue([exercise()]).await[0];
    let (silent, other) = (Worker::new(1), Worker::new(2));
    let lost = silent.claim(&ground, 1).await[0].lease;
    ground.advance(LEASE - Duration::from_secs(2)).await;
    assert_eq!(ground.store.reclaim(100).await.unwrap().tasks, 0, "it has time");
    assert_eq!(ground.store.heartbeat(vec![lost], LEASE).await.unwrap(), [Beat::Extended]);
    ground.advance(LEASE - Duration::from_secs(2)).await;
    assert_eq!(ground.store.reclaim(100).await.unwrap().tasks, 0, "it was heard of");
    ground.advance(Duration::from_secs(3)).await;
    assert_eq!(ground.store.reclaim(100).await.unwrap().tasks, 1);
    assert_eq!(ground.store.reclaim(100).await.unwrap().tasks, 0, "once");
    assert_eq!(ground.store.heartbeat(vec![lost], LEASE).await.unwrap(), [Beat::Lost]);
    ground.advance(Duration::from_secs(10)).await;
    let claimed = other.claim(&ground, 1).await;
    assert_eq!((claimed[0].lease.task, claimed[0].attempt, claimed[0].lease.number.number()), (id, 2, 2));
    for ending in [Ending::Completed, failure(Retry::Never), Ending::HandedBack { not_before: None }] {
        let refused = settle(&ground, lost, ending).await.unwrap_err();
        assert!(matches!(refused, Refused::Fenced { .. }), "{refused}");
    }
    assert_eq!(ground.state(id).await, "running");
    settle(&ground, claimed[0].lease, Ending::Completed).await.unwrap();
    assert!(settle(&ground, lost, Ending::Completed).await.is_err());
    assert_eq!(ground.task(id).await.task.attempts, 2);
}

async fn every_reclaim_is_an_attempt_and_a_poisonous_task_dies(ground: Ground) {
    let policy = RetryPolicy { attempts: 3, ..RetryPolicy::default() };
    let id = ground.enqueue([model::NewTask { policy, ..exercise() }]).await[0];
    for attempt in 1..=3 {
        // The longest wait between tries is over.
        ground.advance(Duration::from_secs(60)).await;
        let claimed = Worker::new(attempt).claim(&ground, 1).await;
        assert_eq!(u128::from(claimed[0].attempt), attempt);
        ground.advance(LEASE + Duration::from_secs(1)).await;
        let dead = if attempt == 3 { vec![id] } else { Vec::new() };
        assert_eq!(ground.store.reclaim(100).await.unwrap(), Reclaimed { tasks: 1, dead });
    }
    ground.advance(Duration::from_secs(3_600)).await;
    assert_eq!(Worker::new(9).claim(&ground, 1).await, []);
    let record = ground.task(id).await;
    assert_eq!(record.task.life, Life::Dead { why: Death::Attempts });
    let said = record.task.last_failure.unwrap();
    assert!(said.contains("was not heard of"), "{said}");
}

async fn a_failed_task_waits_and_a_terminal_one_does_not(ground: Ground) {
    let ids = ground.enqueue([exercise(), exercise(), exercise()]).await;
    let worker = Worker::new(1);
    let claimed: BTreeMap<TaskId, _> =
        worker.claim(&ground, 3).await.into_iter().map(|claim| (claim.lease.task, claim.lease)).collect();
    settle(&ground, claimed[&ids[0]], failure(Retry::Later)).await.unwrap();
    settle(&ground, claimed[&ids[1]], failure(Retry::Never)).await.unwrap();
    let patience = Duration::from_secs(500);
    settle(&ground, claimed[&ids[2]], failure(Retry::NotBefore(patience))).await.unwrap();
    assert_eq!(ground.task(ids[1]).await.task.life, Life::Dead { why: Death::Terminal });
    assert_eq!(ground.task(ids[1]).await.task.last_failure.unwrap(), "the disk is on fire");
    ground.advance(Duration::from_secs(3)).await;
    let again = worker.claim(&ground, 3).await;
    assert_eq!(again.iter().map(|claim| claim.lease.task).collect::<Vec<_>>(), [ids[0]]);
    ground.advance(patience).await;
    assert_eq!(worker.claim(&ground, 3).await[0].lease.task, ids[2]);
}

async fn handing_back_uses_up_no_attempt(ground: Ground) {
    let id = ground.enqueue([exercise()]).await[0];
    let worker = Worker::new(1);
    for round in 1..=20 {
        let claimed = worker.claim(&ground, 1).await;
        assert_eq!((claimed[0].attempt, claimed[0].lease.number.number()), (1, round));
        let settled =
            settle(&ground, claimed[0].lease, Ending::HandedBack { not_before: None }).await.unwrap();
        assert_eq!(settled.state, "queued");
    }
    assert_eq!(ground.task(id).await.task.attempts, 0);
}

async fn what_was_begun_goes_first_when_it_comes_back(ground: Ground) {
    let worker = Worker::new(1);
    ground.enqueue((0..3).map(|_| exercise_of(Priority::Low))).await;
    let held: Vec<_> = worker.claim(&ground, 3).await.into_iter().map(|claim| claim.lease).collect();
    ground.advance(Duration::from_secs(1)).await;
    ground.enqueue((0..50).map(|_| exercise_of(Priority::Urgent))).await;
    settle(&ground, held[0], Ending::HandedBack { not_before: None }).await.unwrap();
    settle(&ground, held[1], failure(Retry::Later)).await.unwrap();
    ground.advance(LEASE).await;
    assert_eq!(ground.store.reclaim(10).await.unwrap().tasks, 1);
    ground.advance(Duration::from_secs(10)).await;
    let mut first: Vec<TaskId> =
        worker.claim(&ground, 3).await.iter().map(|claim| claim.lease.task).collect();
    let mut begun: Vec<TaskId> = held.iter().map(|lease| lease.task).collect();
    first.sort();
    begun.sort();
    assert_eq!(first, begun, "not behind a long line");
}

async fn tasks_that_are_delayed_wait_by_the_clock_of_the_store(ground: Ground) {
    let hour = Duration::from_secs(3_600);
    let later = model::NewTask { delay: hour, priority: Priority::Urgent, ..exercise() };
    let ids = ground.enqueue([later, exercise()]).await;
    let worker = Worker::new(1);
    let now = worker.claim(&ground, 10).await;
    assert_eq!(now.iter().map(|claim| claim.lease.task).collect::<Vec<_>>(), [ids[1]]);
    ground.advance(hour - Duration::from_secs(5)).await;
    assert_eq!(worker.claim(&ground, 10).await, []);
    ground.advance(Duration::from_secs(6)).await;
    assert_eq!(worker.claim(&ground, 10).await[0].lease.task, ids[0]);
}

async fn a_key_makes_two_requests_one_task(ground: Ground) {
    let keyed = || model::NewTask { idempotency_key: Some("request-1".to_owned()), ..exercise() };
    let first = ground.store.enqueue(ground.tenant, vec![keyed()]).await.unwrap()[0];
    let second = ground.store.enqueue(ground.tenant, vec![keyed()]).await.unwrap()[0];
    assert_eq!((first.is_new, second.is_new, second.id), (true, false, first.id));
    let other = ground.another_tenant("other").await;
    assert!(ground.store.enqueue(other, vec![keyed()]).await.unwrap()[0].is_new, "keys are the tenant's own");
    assert_eq!(Worker::new(1).claim(&ground, 10).await.len(), 2);
    ground.advance(Duration::from_secs(25 * 3_600)).await;
    assert!(ground.store.enqueue(ground.tenant, vec![keyed()]).await.unwrap()[0].is_new, "a day later");
}

async fn what_waits_is_cancelled_at_once_and_what_runs_is_told(ground: Ground) {
    let worker = Worker::new(1);
    let running = ground.enqueue([exercise()]).await[0];
    let lease = worker.claim(&ground, 1).await[0].lease;
    let waiting = ground.enqueue([exercise(), exercise()]).await;
    let cancel = |filter| ground.store.cancel_tasks(ground.tenant, filter, u64::MAX, "test".to_owned());
    assert_eq!(cancel(TaskFilter::one(waiting[0])).await.unwrap(), 1);
    assert_eq!(ground.state(waiting[0]).await, "cancelled");
    assert_eq!(cancel(TaskFilter::default()).await.unwrap(), 2, "the one that runs and the one that waits");
    assert_eq!(ground.state(waiting[1]).await, "cancelled");
    assert_eq!(ground.state(running).await, "running");
    assert_eq!(worker.claim(&ground, 10).await, []);
    assert_eq!(ground.store.heartbeat(vec![lease], LEASE).await.unwrap(), [Beat::StopWork]);
    assert_eq!(
        settle(&ground, lease, Ending::HandedBack { not_before: None }).await.unwrap().state,
        "cancelled"
    );
    assert_eq!(cancel(TaskFilter::default()).await.unwrap(), 0, "nothing is left");
}

async fn as_many_are_cancelled_as_was_said_and_none_twice(ground: Ground) {
    let worker = Worker::new(1);
    let running = ground.enqueue((0..3).map(|_| exercise())).await;
    assert_eq!(worker.claim(&ground, 3).await.len(), 3);
    ground.enqueue((0..2).map(|_| exercise())).await;
    let cancel =
        async || ground.store.cancel_tasks(ground.tenant, TaskFilter::default(), 2, "test").await.unwrap();
    assert_eq!([cancel().await, cancel().await, cancel().await, cancel().await], [2, 2, 1, 0]);
    for task in running {
        assert_eq!(ground.state(task).await, "running", "until its worker has heard of it");
    }
    let filter = AuditFilter { action: Some("task.cancel".to_owned()), ..AuditFilter::default() };
    assert_eq!(ground.store.audit(ground.tenant, filter, 10).await.unwrap().len(), 3);
}

async fn the_dead_are_listed_redriven_and_purged(ground: Ground) {
    let worker = Worker::new(1);
    ground.enqueue((0..6).map(|_| exercise())).await;
    let claimed = worker.claim(&ground, 6).await;
    for (number, claim) in claimed.iter().enumerate() {
        let message = if number % 2 == 0 { "100% full".to_owned() } else { "out of memory".to_owned() };
        let failure = model::task::TaskFailure { message, retry: Retry::Never };
        settle(&ground, claim.lease, Ending::Failed(failure)).await.unwrap();
    }
    let dead = TaskFilter { state: Some("dead"), ..TaskFilter::default() };
    let listed = ground.store.tasks(ground.tenant, dead.clone(), None, 4).await.unwrap();
    let rest = ground.store.tasks(ground.tenant, dead.clone(), Some(listed[3].id), 4).await.unwrap();
    assert_eq!((listed.len(), rest.len()), (4, 2));
    assert!(listed.iter().chain(&rest).map(|task| task.id).is_sorted());

    let redrive = |filter, most| ground.store.redrive_tasks(ground.tenant, filter, most, "test".to_owned());
    assert_eq!(redrive(TaskFilter::one(listed[0].id), 10).await.unwrap().tasks, 1);
    let record = ground.task(listed[0].id).await;
    assert_eq!((record.task.attempts, record.task.redriven, record.task.life.word()), (0, 1, "queued"));
    let full = TaskFilter { failure: Some("0% f".to_owned()), ..TaskFilter::default() };
    let before = ground
        .store
        .tasks(ground.tenant, TaskFilter { state: Some("dead"), ..full.clone() }, None, 9)
        .await
        .unwrap()
        .len() as u64;
    assert_eq!(redrive(full, 10).await.unwrap().tasks, before, "by what they died of");
    assert_eq!(redrive(TaskFilter::default(), 1).await.unwrap().tasks, 1, "one at a time");
    let left = ground.store.tasks(ground.tenant, dead, None, 100).await.unwrap();
    assert_eq!(left.len() as u64, 6 - 2 - before);

    ground.advance(Duration::from_secs(60)).await;
    let by = || "somebody".to_owned();
    let purge =
        |before| ground.store.purge_tasks(ground.tenant, TaskFilter::default(), before, u64::MAX, by());
    assert_eq!(purge(left[0].created_at).await.unwrap(), 0, "too young");
    let now = left[0].created_at + jiff::SignedDuration::from_secs(50);
    assert_eq!(purge(now).await.unwrap(), left.len() as u64);
    assert_eq!(worker.claim(&ground, 10).await.len(), 6 - left.len(), "what waits is never purged");
    let told = stored::audited(&ground, "task.").await;
    let one = listed[0].id;
    // The audit names those that were redriven.
    let named = |entry: usize| told[entry][3].split(", ").filter(|word| word.len() == 36).count() as u64;
    assert_eq!((named(0), named(1), named(2)), (1, before, 1), "{told:?}");
    let rest =
        |entry: usize| told[entry][3].splitn(1 + named(entry) as usize, ", ").last().unwrap().to_owned();
    let expected = [
        ["test", "task.redrive", "1 tasks", &format!("{one}, state dead")],
        ["test", "task.redrive", &format!("{before} tasks"), &told[1][3]],
        ["test", "task.redrive", "1 tasks", &told[2][3]],
        ["somebody", "task.purge", &format!("{} tasks", left.len()), &format!("ended before {now}")],
    ];
    assert_eq!(told, expected);
    assert_eq!((&rest(1)[..], &rest(2)[..]), ("state dead, failure `0% f`", "state dead"));
}

async fn a_stop_holds_claims_and_survives_a_restart(ground: Ground) {
    let other = ground.another_tenant("other").await;
    ground.enqueue([exercise()]).await;
    ground.store.enqueue(other, vec![exercise()]).await.unwrap();
    let worker = Worker::new(1);
    let by = || "somebody".to_owned();
    let why = || "wrong customer".to_owned();
    for (reach, claimed) in [
        (Reach::Everything, 0),
        (Reach::Stage { stage: Stage::Exercise }, 0),
        (Reach::Stage { stage: Stage::Crawl }, 2),
        (Reach::Tenant { tenant: other }, 1),
    ] {
        let stop = ground.store.order_stop(Authority::Installation, reach, why(), by()).await.unwrap();
        let again = store::Store::open(&ground.location).await.unwrap();
        assert_eq!(again.stops().await.unwrap(), std::slice::from_ref(&stop), "{reach}");
        let got = worker.claim(&ground, 10).await;
        assert_eq!(got.len(), claimed, "{reach}");
        for claim in got {
            settle(&ground, claim.lease, Ending::HandedBack { not_before: None }).await.unwrap();
        }
        let lifted =
            ground.store.lift_stops(Authority::Installation, Some(reach), why(), by(), None).await.unwrap();
        assert_eq!(lifted, [stop]);
        assert_eq!(ground.store.stops().await.unwrap(), []);
    }
    assert_eq!(worker.claim(&ground, 10).await.len(), 2);
}

async fn tenants_take_turns_whatever_one_of_them_floods(ground: Ground) {
    ground.enqueue((0..2_000).map(|_| exercise_of(Priority::Urgent))).await;
    ground.advance(Duration::from_secs(600)).await;
    let small = ground.another_tenant("small").await;
    let ten = || (0..10).map(|_| exercise_of(Priority::Low)).collect();
    let worker = Worker::new(1);
    // Short tasks: nothing is ever at work when the next is claimed.
    for _ in 0..20 {
        let claimed = worker.claim(&ground, 1).await;
        settle(&ground, claimed[0].lease, Ending::Completed).await.unwrap();
    }
    ground.store.enqueue(small, ten()).await.unwrap();
    let mut served = 0;
    for round in 1_usize.. {
        let claimed = worker.claim(&ground, 1).await;
        served += claimed.iter().filter(|claim| claim.lease.tenant == small).count();
        settle(&ground, claimed[0].lease, Ending::Completed).await.unwrap();
        if served == 10 {
            assert!(round <= 15, "the small tenant's ten tasks took {round} turns");
            break;
        }
        assert!(round < 100, "the small tenant got {served} turns of {round}");
    }
    // Long ones: who has more at work waits.
    let flood = worker.claim(&ground, 50).await;
    assert_eq!(flood.len(), 50);
    ground.store.enqueue(small, ten()).await.unwrap();
    let next = worker.claim(&ground, 10).await;
    assert!(next.iter().all(|claim| claim.lease.tenant == small), "free places go to who has none");
}

async fn what_is_urgent_goes_first_and_what_is_not_goes_in_time(ground: Ground) {
    let low = ground.enqueue([exercise_of(Priority::Low)]).await[0];
    ground.advance(Duration::from_secs(60)).await;
    ground.enqueue((0..20).map(|_| exercise_of(Priority::High))).await;
    let worker = Worker::new(1);
    for _ in 0..5 {
        let claim = worker.claim(&ground, 1).await.remove(0);
        assert_eq!(claim.priority, Priority::High);
    }
    // What is urgent keeps coming, and low has waited for more than the two steps between them.
    ground.advance(Duration::from_secs(11 * 60)).await;
    ground
        .store
        .cancel_tasks(
            ground.tenant,
            TaskFilter { state: Some("queued"), stage: Some(Stage::Crawl), ..TaskFilter::default() },
            u64::MAX,
            "test".to_owned(),
        )
        .await
        .unwrap();
    let mut order = Vec::new();
    for _ in 0..16 {
        let claim = worker.claim(&ground, 1).await.remove(0);
        order.push(claim.lease.task);
        ground.enqueue([exercise_of(Priority::High)]).await;
    }
    assert!(order.contains(&low), "low priority moves");
}

async fn a_tenant_has_no_more_at_work_than_it_may(ground: Ground) {
    let small = store::NewTenant { most_in_flight: 3, ..store::NewTenant::named("small") };
    let small = ground.store.create_tenant(small, "test".to_owned()).await.unwrap().id;
    ground.store.enqueue(small, (0..10).map(|_| exercise()).collect()).await.unwrap();
    let (one, other) = (Worker::new(1), Worker::new(2));
    let first = one.claim(&ground, 2).await;
    assert_eq!(first.len(), 2);
    assert_eq!(other.claim(&ground, 10).await.len(), 1, "over all workers");
    assert_eq!(one.claim(&ground, 10).await.len(), 0);
    settle(&ground, first[0].lease, Ending::Completed).await.unwrap();
    assert_eq!(one.claim(&ground, 10).await.len(), 1);
}

async fn many_claimers_together_leave_a_tenant_within_its_bound(ground: Ground) {
    let ground = std::sync::Arc::new(ground);
    for round in 0..20 {
        let name = format!("narrow {round}");
        let narrow = store::NewTenant { most_in_flight: 3, ..store::NewTenant::named(&name) };
        let narrow = ground.store.create_tenant(narrow, "test".to_owned()).await.unwrap().id;
        ground.store.enqueue(narrow, (0..40).map(|_| exercise()).collect()).await.unwrap();
        let claimers: Vec<_> = (1..=6)
            .map(|number| {
                let ground = std::sync::Arc::clone(&ground);
                tokio::spawn(async move { Worker::new(number).claim(&ground, 8).await })
            })
            .collect();
        let mut claimed = 0;
        for claimer in claimers {
            let of_narrow = claimer.await.unwrap().into_iter().filter(|claim| claim.lease.tenant == narrow);
            claimed += of_narrow.count();
        }
        assert_eq!(claimed, 3, "in round {round}");
    }
}

async fn many_claimers_get_each_task_once(ground: Ground) {
    let ids = ground.enqueue((0..200).map(|_| exercise())).await;
    let ground = std::sync::Arc::new(ground);
    let claimers: Vec<_> = (1..=8)
        .map(|number| {
            let ground = std::sync::Arc::clone(&ground);
            tokio::spawn(async move {
                let worker = Worker::new(number);
                let mut got = Vec::new();
                let mut empty = 0;
                // An empty answer may mean that others hold what is left for a moment.
                while empty < 3 {
                    let claimed = worker.claim(&ground, 7).await;
                    empty = if claimed.is_empty() { empty + 1 } else { 0 };
                    let settled = claimed
                        .iter()
                        .map(|claim| Settlement::silent(claim.lease, Ending::Completed))
                        .collect();
                    for answer in ground.store.settle(settled).await.unwrap() {
                        assert!(!answer.unwrap().again);
                    }
                    got.extend(claimed.into_iter().map(|claim| claim.lease.task));
                }
                got
            })
        })
        .collect();
    let mut got = Vec::new();
    for claimer in claimers {
        got.extend(claimer.await.unwrap());
    }
    got.sort();
    assert_eq!(got, ids, "each once, and none twice");
}

async fn one_leads_and_another_takes_over(ground: Ground) {
    let lease = Duration::from_secs(10);
    let [one, other] = [1, 2].map(model::WorkerId::from_random);
    let lead = |worker| ground.store.lead("orchestrator", worker, lease);
    let first = lead(one).await.unwrap().unwrap();
    assert_eq!(lead(other).await.unwrap(), None);
    ground.advance(Duration::from_secs(6)).await;
    assert_eq!(lead(one).await.unwrap().unwrap().number, first.number, "it keeps the office");
    ground.advance(Duration::from_secs(6)).await;
    assert_eq!(lead(other).await.unwrap(), None);
    ground.advance(Duration::from_secs(6)).await;
    let second = lead(other).await.unwrap().unwrap();
    assert!(second.number > first.number);
    assert_eq!(lead(one).await.unwrap(), None, "whoever slept finds somebody else there");
    ground.store.resign("orchestrator", other).await.unwrap();
    assert!(lead(one).await.unwrap().unwrap().number > second.number, "at once");
}

async fn a_batch_is_answered_one_by_one(ground: Ground) {
    let ids = ground.enqueue([exercise(), exercise(), exercise()]).await;
    let worker = Worker::new(1);
    let claimed = worker.claim(&ground, 3).await;
    let lost = claimed.iter().find(|claim| claim.lease.task == ids[1]).unwrap().lease;
    let stale = store::Lease { number: model::LeaseNumber::from_stored(7), ..lost };
    let settlements: Vec<Settlement> = claimed
        .iter()
        .map(|claim| {
            let lease = if claim.lease.task == ids[1] { stale } else { claim.lease };
            Settlement::silent(lease, Ending::Completed)
        })
        .collect();
    let answers = ground.store.settle(settlements.clone()).await.unwrap();
    for (settlement, answer) in settlements.iter().zip(&answers) {
        assert_eq!(answer.is_err(), settlement.lease.task == ids[1], "{answer:?}");
    }
    let states = [ground.state(ids[0]).await, ground.state(ids[1]).await, ground.state(ids[2]).await];
    assert_eq!(states, ["completed", "running", "completed"]);
    let beats = ground.store.heartbeat(vec![stale, lost], LEASE).await.unwrap();
    assert_eq!(beats, [Beat::Lost, Beat::Extended]);
}

async fn what_ended_long_ago_is_forgotten_and_the_dead_are_not(ground: Ground) {
    let keyed = model::NewTask { idempotency_key: Some("key".to_owned()), ..exercise() };
    let ids = ground.enqueue([exercise(), exercise(), exercise(), keyed]).await;
    let worker = Worker::new(1);
    for claim in worker.claim(&ground, 2).await {
        let ending = if claim.lease.task == ids[0] { Ending::Completed } else { failure(Retry::Never) };
        settle(&ground, claim.lease, ending).await.unwrap();
    }
    ground
        .store
        .cancel_tasks(ground.tenant, TaskFilter::one(ids[2]), u64::MAX, "test".to_owned())
        .await
        .unwrap();
    let retention = store::Retention::default();
    assert_eq!(ground.store.forget(retention).await.unwrap(), 0, "too young");
    ground.advance(retention.tasks + Duration::from_secs(60)).await;
    let states = async || {
        let left = ground.store.tasks(ground.tenant, TaskFilter::default(), None, 10).await.unwrap();
        left.iter().map(|task| task.task.life.word()).collect::<Vec<_>>()
    };
    assert_eq!(states().await, ["completed", "dead", "cancelled", "queued"]);
    assert_eq!(ground.store.forget(retention).await.unwrap(), 3, "two tasks and a key");
    assert_eq!(states().await, ["dead", "queued"]);
    assert_eq!(ground.store.forget(retention).await.unwrap(), 0);

    // More than are purged in one transaction.
    const MANY: usize = 5_001;
    ground.enqueue((0..MANY).map(|_| exercise())).await;
    ground
        .store
        .cancel_tasks(ground.tenant, TaskFilter::default(), u64::MAX, "test".to_owned())
        .await
        .unwrap();
    let now = ground.store.clock().await.unwrap() + jiff::SignedDuration::from_secs(1);
    let purged = ground
        .store
        .purge_tasks(ground.tenant, TaskFilter::default(), now, u64::MAX, "purger")
        .await
        .unwrap();
    assert_eq!(purged, MANY as u64 + 2, "with the dead one, and the one that was queued");
    assert_eq!(states().await, [""; 0]);
    let filter = AuditFilter { by: Some("purger".to_owned()), ..AuditFilter::default() };
    assert_eq!(ground.store.audit(ground.tenant, filter, 10).await.unwrap().len(), 2, "each part is told");
}
