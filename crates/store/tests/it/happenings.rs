//! What happens, for whoever follows it: everything once, in the order in which it became certain, and only one's own.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use model::{
    Authority, Happening, NewTask, Place, Reach, Severity, Work, finding::Decision, finding::Verdict,
};
use store::{HAPPENINGS_KEPT, Retention, TaskFilter};

use crate::{
    findings::{finding, scan},
    ground::Ground,
};

crate::contract! {
    what_happens_is_told_in_order_from_a_place_on
    nobody_is_told_what_happens_to_others
    however_many_write_at_once_nothing_is_left_out
    what_happened_long_ago_is_forgotten
    more_than_anybody_reads_is_told_in_a_sum
}

async fn told(ground: &Ground, after: Place) -> Vec<(Place, Happening)> {
    let told = ground.store.happenings(ground.tenant, after, 10_000).await.unwrap();
    told.into_iter().map(|(place, happening)| (place, happening.unwrap())).collect()
}

async fn words(ground: &Ground, after: Place) -> Vec<&'static str> {
    told(ground, after).await.iter().map(|(_, happening)| happening.word()).collect()
}

async fn what_happens_is_told_in_order_from_a_place_on(ground: Ground) {
    let begin = ground.store.latest_happening(ground.tenant).await.unwrap();
    let exposed = finding("git-config", Severity::High);
    let seen = scan(&ground, vec![exposed.clone()], &[]).await;
    assert_eq!(words(&ground, begin).await, ["scan_begun", "finding_new", "scan_ended"]);
    let all = told(&ground, begin).await;
    assert_eq!(all[0].1, Happening::ScanBegun { scan: seen });
    let Happening::FindingNew { finding: fingerprint, scan: by, severity, .. } = &all[1].1 else { panic!() };
    assert_eq!((*fingerprint, *by, *severity), (exposed.fingerprint, seen, Severity::High));
    // From each place on, what comes after it.
    for (number, (place, _)) in all.iter().enumerate() {
        assert_eq!(told(&ground, *place).await, all[number + 1..]);
    }
    let page = ground.store.happenings(ground.tenant, begin, 2).await.unwrap();
    assert_eq!(page.len(), 2);

    let middle = ground.store.latest_happening(ground.tenant).await.unwrap();
    assert_eq!(words(&ground, middle).await, Vec::<&str>::new());
    scan(&ground, vec![exposed.clone()], &[]).await;
    let decision = Decision { at: ground.store.clock().await.unwrap(), verdict: Verdict::Triaged };
    let which = [exposed.fingerprint].into();
    ground.store.decide(ground.tenant, which, decision, "J. Doe", "it is true".to_owned()).await.unwrap();
    let tasks = ground.enqueue([NewTask::new(Work::Report), NewTask::new(Work::Report)]).await;
    let filter = TaskFilter { ids: tasks, ..TaskFilter::default() };
    ground.store.cancel_tasks(ground.tenant, filter, u64::MAX, "J. Doe").await.unwrap();
    let reach = Reach::Tenant { tenant: ground.tenant };
    let why = || "too loud".to_owned();
    ground.store.order_stop(Authority::Tenant, reach, why(), "J. Doe").await.unwrap();
    ground.store.order_stop(Authority::Tenant, reach, why(), "J. Doe").await.unwrap();
    ground.store.lift_stops(Authority::Tenant, Some(reach), why(), "J. Doe", None).await.unwrap();
    // What was known is not new, and what holds already is not ordered again.
    let wanted =
        ["scan_begun", "scan_ended", "finding_decided", "tasks_cancelled", "stop_ordered", "stop_lifted"];
    assert_eq!(words(&ground, middle).await, wanted);
    let all = told(&ground, middle).await;
    assert_eq!(all[3].1, Happening::TasksCancelled { count: 2 });
    let Happening::FindingDecided { by, verdict, .. } = &all[2].1 else { panic!() };
    assert_eq!((&by[..], *verdict), ("J. Doe", Verdict::Triaged));
}

async fn nobody_is_told_what_happens_to_others(ground: Ground) {
    let other = ground.of(ground.another_tenant("other").await);
    let begin = ground.store.latest_happening(ground.tenant).await.unwrap();
    scan(&ground, vec![finding("git-config", Severity::High)], &[]).await;
    assert_eq!(words(&other, begin).await, Vec::<&str>::new());
    let why = || "too loud".to_owned();
    let stop =
        async |reach| ground.store.order_stop(Authority::Installation, reach, why(), "test").await.unwrap();
    let everywhere = stop(Reach::Everything).await;
    stop(Reach::Tenant { tenant: ground.tenant }).await;
    let all = told(&other, begin).await;
    assert_eq!(all.len(), 1, "what concerns all is told to all: {all:?}");
    assert_eq!(all[0].1, Happening::StopOrdered { stop: everywhere });
    assert_eq!(words(&ground, begin).await.len(), 5);
}

async fn however_many_write_at_once_nothing_is_left_out(ground: Ground) {
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    let mut place = ground.store.latest_happening(ground.tenant).await.unwrap();
    let done = AtomicBool::new(false);
    let writing = async {
        let write = async |writer: usize| {
            for number in 0..EACH {
                let tasks = (0..=number % 3).map(|_| NewTask::new(Work::Report));
                let ids = ground.store.enqueue(ground.tenant, tasks.collect()).await.unwrap();
                let filter =
                    TaskFilter { ids: ids.iter().map(|task| task.id).collect(), ..TaskFilter::default() };
                let by = format!("writer {writer}");
                ground.store.cancel_tasks(ground.tenant, filter, u64::MAX, by).await.unwrap();
            }
        };
        join_all((0..WRITERS).map(write)).await;
        done.store(true, Ordering::Relaxed);
    };
    let reading = async {
        let (mut read, mut seen) = (Vec::new(), BTreeSet::new());
        loop {
            let last = done.load(Ordering::Relaxed);
            let page = ground.store.happenings(ground.tenant, place, 7).await.unwrap();
            let is_empty = page.is_empty();
            for (at, happening) in page {
                assert!(at > place, "{at} after {place}");
                assert!(seen.insert(at.position));
                place = at;
                read.extend(happening);
            }
            if last && is_empty {
                return read;
            }
        }
    };
    let ((), read) = tokio::join!(writing, reading);
    let count = |happening: &Happening| match happening {
        Happening::TasksCancelled { count } => *count,
        other => panic!("{other:?}"),
    };
    assert_eq!(read.len(), WRITERS * EACH);
    let wanted: u64 = (0..EACH as u64).map(|number| number % 3 + 1).sum::<u64>() * WRITERS as u64;
    assert_eq!(read.iter().map(count).sum::<u64>(), wanted);
}

async fn what_happened_long_ago_is_forgotten(ground: Ground) {
    let begin = ground.store.latest_happening(ground.tenant).await.unwrap();
    let reach = Reach::Tenant { tenant: ground.tenant };
    let order = async || {
        let why = || "too loud".to_owned();
        ground.store.order_stop(Authority::Tenant, reach, why(), "test").await.unwrap();
        ground.store.lift_stops(Authority::Tenant, Some(reach), why(), "test", None).await.unwrap();
    };
    order().await;
    ground.advance(HAPPENINGS_KEPT - Duration::from_secs(60)).await;
    ground.store.forget(Retention::default()).await.unwrap();
    assert_eq!(words(&ground, begin).await.len(), 2, "for an hour it is told");
    order().await;
    ground.advance(HAPPENINGS_KEPT / 2).await;
    ground.store.forget(Retention::default()).await.unwrap();
    assert_eq!(words(&ground, begin).await.len(), 2, "what is younger stays");
    let latest = ground.store.latest_happening(ground.tenant).await.unwrap();
    ground.advance(HAPPENINGS_KEPT * 2).await;
    ground.store.forget(Retention::default()).await.unwrap();
    assert_eq!(words(&ground, begin).await, Vec::<&str>::new());
    // No place is given twice, also when there is nothing left.
    order().await;
    assert_eq!(words(&ground, latest).await.len(), 2);
}

async fn more_than_anybody_reads_is_told_in_a_sum(ground: Ground) {
    let begin = ground.store.latest_happening(ground.tenant).await.unwrap();
    let many = (0..101).map(|number| finding(&format!("check-{number}"), Severity::Low)).collect();
    let seen = scan(&ground, many, &[]).await;
    let all = told(&ground, begin).await;
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!(all[1].1, Happening::FindingsMany { scan: seen, count: 101 });
}
