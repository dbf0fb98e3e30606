//! The emergency stop, at each reach.

use model::{Authority, NewTask, Reach, Stage, TaskId, TenantId};
use worker::doorbell::Bell;

use super::{
    everywhere,
    ground::{FOR_EVER, Ground, Running, exercise, pool_of},
};

everywhere! {
    Shared: a_stop_cuts_what_it_reaches_holds_over_a_restart_and_is_lifted_by_a_person;
}

const STAGES: [Stage; 2] = [Stage::Exercise, Stage::Report];

fn start(ground: &Ground) -> Running {
    ground.start(pool_of(&STAGES, 8))
}

async fn a_stop_cuts_what_it_reaches_holds_over_a_restart_and_is_lifted_by_a_person(ground: Ground) {
    let other = ground.another_tenant("other").await;
    let scan = ground.submit(ground.tenant, Stage::Check, "http://127.0.0.1:8081/").await;
    let of_scan = NewTask { scan: Some(scan), ..exercise(FOR_EVER) };
    let mine = ground.enqueue([exercise(FOR_EVER), of_scan]).await;
    let theirs = ground.enqueue_of(other, [exercise(FOR_EVER)]).await[0];
    let work = [(ground.tenant, mine[0]), (ground.tenant, mine[1]), (other, theirs)];
    let mut pool = start(&ground);
    all_in(&ground, &work, "running").await;
    for (reach, covered) in [
        (Reach::Scan { tenant: ground.tenant, scan }, [false, true, false]),
        (Reach::Tenant { tenant: ground.tenant }, [true, true, false]),
        (Reach::Stage { stage: Stage::Exercise }, [true, true, true]),
        (Reach::Stage { stage: Stage::Report }, [false, false, false]),
        (Reach::Everything, [true, true, true]),
    ] {
        println!("a stop of {reach}");
        // Whoever still believes in the stop before hands back what it has just claimed: until it looks again.
        looked(&ground, Some((ground.tenant, Stage::Exercise))).await;
        all_in(&ground, &work, "running").await;
        let before = leases(&ground, &work).await;
        let (why, who) = (|| "wrong customer".to_owned(), || "somebody".to_owned());
        let stop = ground.store.order_stop(Authority::Installation, reach, why(), who()).await.unwrap();
        ground.ring(Bell::Stop).await;
        let split = |is: bool| -> Vec<(TenantId, TaskId)> {
            work.iter().zip(covered).filter(|(_, covered)| *covered == is).map(|(task, _)| *task).collect()
        };
        let (stopped, left) = (split(true), split(false));
        all_in(&ground, &stopped, "queued").await;
        for (tenant, id) in &stopped {
            let record = ground.store.task(*tenant, *id).await.unwrap();
            assert_eq!(record.task.attempts, 0, "{reach}: handed back");
        }
        // Whoever may still claim does, and takes nothing that is stopped.
        let free = match reach {
            Reach::Everything => None,
            Reach::Stage { stage: Stage::Exercise } => Some((ground.tenant, Stage::Report)),
            Reach::Tenant { .. } => Some((other, Stage::Exercise)),
            Reach::Scan { .. } | Reach::Stage { .. } => Some((ground.tenant, Stage::Exercise)),
        };
        looked(&ground, free).await;
        assert_eq!(leases(&ground, &left).await, pick(&before, &covered, false), "{reach}: goes on");
        // Another process holds to it too.
        pool.end().await;
        pool = start(&ground);
        all_in(&ground, &left, "running").await;
        looked(&ground, free).await;
        assert_eq!(leases(&ground, &stopped).await, pick(&before, &covered, true), "{reach}: nobody gets it");
        assert_eq!(ground.store.stops().await.unwrap(), std::slice::from_ref(&stop));

        assert_eq!(
            ground.store.lift_stops(Authority::Installation, Some(reach), why(), who(), None).await.unwrap(),
            [stop]
        );
        ground.ring(Bell::Stop).await;
        all_in(&ground, &work, "running").await;
    }
    pool.end().await;
}

async fn all_in(ground: &Ground, work: &[(TenantId, TaskId)], state: &str) {
    for (tenant, id) in work {
        ground.until_of(*tenant, *id, |task| task.task.life.word() == state).await;
    }
}

async fn leases(ground: &Ground, work: &[(TenantId, TaskId)]) -> Vec<u64> {
    let mut numbers = Vec::new();
    for (tenant, id) in work {
        numbers.push(ground.store.task(*tenant, *id).await.unwrap().task.lease.number());
    }
    numbers
}

fn pick(numbers: &[u64], covered: &[bool], is: bool) -> Vec<u64> {
    numbers.iter().zip(covered).filter(|(_, covered)| **covered == is).map(|(number, _)| *number).collect()
}

/// Waits until somebody has claimed what is not stopped, if anything is not.
async fn looked(ground: &Ground, free: Option<(TenantId, Stage)>) {
    if let Some((tenant, stage)) = free {
        let task = NewTask::new(super::ground::ends_at_once(stage));
        let id = ground.enqueue_of(tenant, [task]).await[0];
        ground.until_of(tenant, id, |task| task.task.life.has_ended()).await;
    }
}
