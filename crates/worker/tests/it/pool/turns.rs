//! Whose task is next.

use std::time::Duration;

use model::{NewTask, Priority, Stage, fairness::AGEING};
use store::{NewTenant, TaskFilter};

use super::{
    everywhere,
    ground::{FOR_EVER, Ground, by_begin, exercise, pool, worker_of},
};

everywhere! {
    Shared: what_is_urgent_goes_first_and_what_waited_long_goes_before_it
        a_flood_of_one_tenant_holds_up_no_other
        who_was_away_goes_before_a_flood_however_few_the_places
        free_places_go_to_who_has_least_at_work
        a_tenant_has_no_more_at_work_than_it_may;
}

fn at_once(priority: Priority) -> NewTask {
    NewTask { priority, ..exercise(Duration::ZERO) }
}

async fn what_is_urgent_goes_first_and_what_waited_long_goes_before_it(ground: Ground) {
    let minute = Duration::from_secs(60);
    let oldest = ground.enqueue([at_once(Priority::Low)]).await[0];
    ground.advance(2 * minute).await;
    let old = ground.enqueue([at_once(Priority::Low)]).await[0];
    // Three steps of priority, and a minute more than they count for the oldest: for the other a minute less.
    ground.advance(3 * AGEING - minute).await;
    let news = [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent];
    let news = ground.enqueue(news.map(at_once)).await;
    let ids = [oldest, news[3], old, news[2], news[1], news[0]];
    let pool = ground.start(pool(1));
    let begun = by_begin(ground.until_all(&ids, "completed").await);
    assert_eq!(begun.iter().map(|task| task.id).collect::<Vec<_>>(), ids);
    pool.end().await;
}

async fn a_flood_of_one_tenant_holds_up_no_other(ground: Ground) {
    const FLOOD: usize = 200;
    ground
        .store
        .enqueue(ground.tenant, (0..FLOOD).map(|_| at_once(Priority::Urgent)).collect())
        .await
        .unwrap();
    ground.advance(Duration::from_secs(600)).await;
    let small = ground.another_tenant("small").await;
    let ids = ground.enqueue_of(small, (0..10).map(|_| at_once(Priority::Low))).await;
    let pool = ground.start(pool(1));
    let mut last = jiff::Timestamp::MIN;
    for id in ids {
        let done = ground.until_of(small, id, |task| task.task.life.word() == "completed").await;
        last = last.max(done.started_at.unwrap());
    }
    pool.end().await;
    let begun = ground.tasks(TaskFilter::default()).await;
    let before = begun.iter().filter(|task| task.started_at.is_some_and(|at| at < last)).count();
    assert!(before <= 20, "{before} of the flood were begun before the small tenant's ten");
}

/// Of what is begun from the first of one tenant's ten tasks to the last of them, at most five are another's: with one place, that is
/// 1.5 times as long as alone.
async fn who_was_away_goes_before_a_flood_however_few_the_places(ground: Ground) {
    let small = ground.another_tenant("small").await;
    for places in [1, 4] {
        let pool = ground.start(pool(places));
        // More than can be done meanwhile, however slow the machine.
        let flood = (0..2_000).map(|_| exercise(Duration::from_millis(20))).collect();
        let many = ground.store.enqueue(ground.tenant, flood).await.unwrap();
        ground.until(many[places].id, |task| task.started_at.is_some()).await;
        let few = ground.enqueue_of(small, (0..10).map(|_| at_once(Priority::Low))).await;
        let mut begun = Vec::new();
        for id in few {
            let done = ground.until_of(small, id, |task| task.task.life.word() == "completed").await;
            begun.push(done.started_at.unwrap());
        }
        pool.end().await;
        let between = *begun.iter().min().unwrap()..*begun.iter().max().unwrap();
        let ids = many.iter().map(|task| task.id).collect();
        let many = ground.tasks(TaskFilter { ids, ..TaskFilter::default() }).await;
        let others =
            many.iter().filter(|task| task.started_at.is_some_and(|at| between.contains(&at))).count();
        assert!(
            others <= 5,
            "{others} of the flood were begun among the small tenant's ten, {places} places"
        );
        assert!(many.iter().any(|task| task.started_at.is_none()), "the flood waits");
        ground
            .store
            .cancel_tasks(ground.tenant, TaskFilter::default(), u64::MAX, "test".to_owned())
            .await
            .unwrap();
    }
}

async fn free_places_go_to_who_has_least_at_work(ground: Ground) {
    let long = |count: usize| (0..count).map(|_| exercise(FOR_EVER)).collect::<Vec<_>>();
    let flood = ground.store.enqueue(ground.tenant, long(30)).await.unwrap();
    let first = ground.start(pool(10));
    let running = TaskFilter { state: Some("running"), ..TaskFilter::default() };
    let count = async |tenant| ground.store.tasks(tenant, running.clone(), None, 100).await.unwrap();
    crate::patience::eventually("ten at work", async || {
        (count(ground.tenant).await.len() == 10).then_some(())
    })
    .await;
    let small = ground.another_tenant("small").await;
    ground.enqueue_of(small, long(6)).await;
    let second = ground.start(pool(8));
    crate::patience::eventually("all at work", async || {
        (count(ground.tenant).await.len() + count(small).await.len() == 18).then_some(())
    })
    .await;
    let of_small = count(small).await;
    assert_eq!((count(ground.tenant).await.len(), of_small.len()), (12, 6), "of {}", flood.len());
    assert!(of_small.windows(2).all(|pair| worker_of(&pair[0]) == worker_of(&pair[1])));
    first.end().await;
    second.end().await;
}

async fn a_tenant_has_no_more_at_work_than_it_may(ground: Ground) {
    let narrow = NewTenant { most_in_flight: 3, ..NewTenant::named("narrow") };
    let narrow = ground.store.create_tenant(narrow, "test".to_owned()).await.unwrap().id;
    ground.enqueue_of(narrow, (0..10).map(|_| exercise(FOR_EVER))).await;
    let pools = [ground.start(pool(8)), ground.start(pool(8))];
    let running = TaskFilter { state: Some("running"), ..TaskFilter::default() };
    let count = async || ground.store.tasks(narrow, running.clone(), None, 100).await.unwrap().len();
    crate::patience::eventually("three at work", async || (count().await >= 3).then_some(())).await;
    // Somebody else's is taken though more of the narrow one's wait, and for longer.
    ground.until_looked(Stage::Exercise).await;
    assert_eq!(count().await, 3, "over all workers");
    for pool in pools {
        pool.end().await;
    }
}
