//! Tasks that are for later, and tasks that were asked for twice.

use std::time::Duration;

use model::{NewTask, Priority, Scope, Stage, scope::TimeWindow};
use store::TaskFilter;

use super::{
    everywhere,
    ground::{Ground, exercise, pool, pool_of},
};

everywhere! {
    Shared: what_is_for_later_waits_by_the_clock_of_the_store
        what_was_asked_for_twice_is_done_once
        what_a_closed_window_holds_back_waits_until_it_opens;
}

async fn what_is_for_later_waits_by_the_clock_of_the_store(ground: Ground) {
    let hour = Duration::from_secs(3_600);
    let later = NewTask { delay: hour, priority: Priority::Urgent, ..exercise(Duration::ZERO) };
    let id = ground.enqueue([later]).await[0];
    let pool = ground.start(pool(4));
    ground.until_looked(Stage::Exercise).await;
    ground.advance(hour / 2).await;
    ground.until_looked(Stage::Exercise).await;
    let waiting = ground.task(id).await;
    assert_eq!((waiting.task.life.word(), waiting.task.attempts), ("queued", 0));
    ground.advance(hour / 2).await;
    let done = ground.until_state(id, "completed").await;
    assert!(done.started_at.unwrap() >= done.created_at + hour);
    pool.end().await;
}

async fn what_was_asked_for_twice_is_done_once(ground: Ground) {
    let keyed = || NewTask { idempotency_key: Some("request-7".to_owned()), ..exercise(Duration::ZERO) };
    let ask = async |tenant| ground.store.enqueue(tenant, vec![keyed()]).await.unwrap()[0];
    let (first, second) = (ask(ground.tenant).await, ask(ground.tenant).await);
    assert_eq!((first.is_new, second.is_new, second.id), (true, false, first.id));
    let other = ground.another_tenant("other").await;
    let theirs = ask(other).await;
    assert!(theirs.is_new, "a key is its tenant's own");
    let pool = ground.start(pool(4));
    ground.until_state(first.id, "completed").await;
    ground.until_of(other, theirs.id, |task| task.task.life.word() == "completed").await;
    let third = ask(ground.tenant).await;
    assert_eq!((third.is_new, third.id), (false, first.id), "also when it is done");
    ground.until_looked(Stage::Exercise).await;
    let record = ground.task(first.id).await;
    assert_eq!((record.task.attempts, record.task.lease.number()), (1, 1));
    // A day later it is another request.
    ground.advance(Duration::from_secs(24 * 3_600)).await;
    let fourth = ask(ground.tenant).await;
    assert!(fourth.is_new && fourth.id != first.id);
    ground.until_state(fourth.id, "completed").await;
    assert_eq!(ground.tasks(TaskFilter::default()).await.len(), 3, "two requests and who looked");
    pool.end().await;
}

async fn what_a_closed_window_holds_back_waits_until_it_opens(ground: Ground) {
    let opens = jiff::Timestamp::now() + Duration::from_secs(24 * 3_600);
    let window = TimeWindow { not_before: Some(opens), ..TimeWindow::ALWAYS };
    let scope = Scope { window, ..Scope::loopback() };
    ground.store.put_scope(ground.tenant, "loopback", scope, "test".to_owned()).await.unwrap();
    let pool = ground.start(pool_of(&[Stage::Check], 2));
    let scan = ground.submit(ground.tenant, Stage::Check, "http://127.0.0.1:9/").await;
    let unit = ground.tasks(TaskFilter::of_scan(scan)).await.remove(0).id;
    let back =
        ground.until(unit, |task| task.due > task.created_at && task.task.life.word() == "queued").await;
    assert_eq!(back.due.as_second(), opens.as_second());
    assert_eq!((back.task.attempts, back.task.lease.number()), (0, 1), "claimed once, and no try used up");
    let record = ground.store.scan(ground.tenant, scan).await.unwrap();
    assert_eq!((record.open_tasks, record.traffic.requests), (1, 0));
    pool.end().await;
}
