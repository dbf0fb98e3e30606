//! Analyses of packages: asked for, worked on, answered from what is known.

use std::time::Duration;

use model::{
    Happening, Priority, Stage, WorkerId,
    package::{AnalysisStatus, PackageAnalysis},
    task::Retry,
};
use store::{
    AskedAnalysis, AuditFilter, Ending, Introduction, NewAnalysis, PackageResult, Retention, StoreError,
    TaskFilter,
};

use crate::ground::{Ground, Worker, failure, settle};

crate::contract! {
    nobody_waits_for_a_worker_that_is_not_there
    who_asks_at_once_for_the_same_shares_it
    an_analysis_is_made_once_and_answered_for_a_day
    what_failed_is_asked_for_anew
    a_package_ends_with_an_analysis_or_not_at_all
    a_result_goes_with_its_task
}

const LEFT_PAD: &str = "pkg:npm/left-pad@1.3.0";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn comes(ground: &Ground) -> Worker {
    let worker = Worker::new(1);
    let stages = vec![Stage::Package];
    let who = Introduction { worker: worker.id(), stages, version: "1.2.3", concurrency: 1, machine: None };
    ground.store.worker_is_there(who).await.unwrap();
    worker
}

async fn ask(ground: &Ground, purl: &str) -> Result<AskedAnalysis, StoreError> {
    let (purl, priority) = (purl.parse().unwrap(), Priority::High);
    let new = NewAnalysis { purl, priority, deadline: Duration::from_secs(60) };
    ground.store.analyze_package(ground.tenant, new, "test", None).await
}

async fn asked(ground: &Ground, purl: &str) -> (PackageAnalysis, bool) {
    let asked = ask(ground, purl).await.unwrap();
    (PackageAnalysis::of(&asked.task.record).unwrap(), asked.is_planned)
}

fn says(what: &str) -> PackageResult {
    PackageResult::from_iter([("says".to_owned(), what.into())])
}

async fn ends(ground: &Ground, worker: &Worker, ending: Ending) {
    let claimed = worker.claim_of(ground, &[Stage::Package], 1).await;
    settle(ground, claimed[0].lease, ending).await.unwrap();
}

async fn who_asks_at_once_for_the_same_shares_it(ground: Ground) {
    comes(&ground).await;
    let (a, b, c, d) = tokio::join!(
        asked(&ground, LEFT_PAD),
        asked(&ground, LEFT_PAD),
        asked(&ground, LEFT_PAD),
        asked(&ground, "pkg:npm/right-pad@1.0.0")
    );
    let planned = [&a, &b, &c].iter().filter(|(_, is_planned)| *is_planned).count();
    assert_eq!((planned, d.1), (1, true));
    assert_eq!(ground.store.tasks(ground.tenant, TaskFilter::default(), None, 10).await.unwrap().len(), 2);
}

async fn nobody_waits_for_a_worker_that_is_not_there(ground: Ground) {
    let refused = ask(&ground, LEFT_PAD).await;
    assert!(matches!(refused, Err(StoreError::NoWorker(Stage::Package))), "{refused:?}");
    let other = WorkerId::from_random(7);
    let who = Introduction {
        worker: other,
        stages: vec![Stage::Check],
        version: "1.2.3",
        concurrency: 1,
        machine: None,
    };
    ground.store.worker_is_there(who).await.unwrap();
    assert!(
        matches!(ask(&ground, LEFT_PAD).await, Err(StoreError::NoWorker(_))),
        "this one does something else"
    );
    assert!(ground.store.tasks(ground.tenant, TaskFilter::default(), None, 10).await.unwrap().is_empty());
    let worker = comes(&ground).await;
    assert!(asked(&ground, LEFT_PAD).await.1);
    let begin = ground.store.latest_happening(ground.tenant).await.unwrap();
    ends(&ground, &worker, Ending::Package(says("fine"))).await;
    ground.store.worker_left(worker.id()).await.unwrap();
    let (analysis, is_planned) = asked(&ground, LEFT_PAD).await;
    // Whoever follows need not ask again and again.
    let told = ground.store.happenings(ground.tenant, begin, 10).await.unwrap();
    let told: Vec<Happening> = told.into_iter().map(|(_, happening)| happening.unwrap()).collect();
    let purl = LEFT_PAD.parse().unwrap();
    assert_eq!(told, [Happening::PackageAnalyzed { task: analysis.task_id, purl }]);
    assert_eq!(
        (analysis.status, is_planned),
        (AnalysisStatus::Completed, false),
        "what is known is answered"
    );
    assert!(matches!(ask(&ground, "pkg:npm/right-pad@1.0.0").await, Err(StoreError::NoWorker(_))));
}

async fn an_analysis_is_made_once_and_answered_for_a_day(ground: Ground) {
    let worker = comes(&ground).await;
    let (first, is_planned) = asked(&ground, LEFT_PAD).await;
    assert_eq!((first.status, is_planned, first.purl.as_str()), (AnalysisStatus::Queued, true, LEFT_PAD));
    // Written in another way it is the same package.
    let (same, is_planned) = asked(&ground, "pkg:NPM/left-pad@1.3.0").await;
    assert_eq!((same.task_id, is_planned), (first.task_id, false));
    assert!(asked(&ground, "pkg:npm/left-pad@1.2.0").await.0.task_id != first.task_id);
    let of_test = AuditFilter { action: Some("package".to_owned()), ..AuditFilter::default() };
    assert_eq!(ground.store.audit(ground.tenant, of_test, 10).await.unwrap().len(), 2);
    let (tenant, task) = (ground.tenant, first.task_id);
    assert_eq!(ground.store.package_result(tenant, task).await.unwrap(), (first.clone(), None));
    let claimed = worker.claim_of(&ground, &[Stage::Package], 1).await;
    assert_eq!(claimed[0].lease.task, task);
    assert_eq!(asked(&ground, LEFT_PAD).await.0.status, AnalysisStatus::Running);
    settle(&ground, claimed[0].lease, Ending::Package(says("fine"))).await.unwrap();
    let (known, is_planned) = asked(&ground, LEFT_PAD).await;
    assert_eq!((known.task_id, known.status, is_planned), (task, AnalysisStatus::Completed, false));
    let (_, body) = ground.store.package_result(tenant, task).await.unwrap();
    assert_eq!(body.as_deref(), Some("{\"says\":\"fine\"}"));
    // Another tenant has results of its own.
    let other = ground.another_tenant("other").await;
    let new = NewAnalysis { purl: LEFT_PAD.parse().unwrap(), priority: Priority::Low, deadline: DAY };
    let theirs = ground.store.analyze_package(other, new, "test", None).await.unwrap();
    assert!(theirs.is_planned);

    ground.advance(DAY - Duration::from_secs(60)).await;
    assert_eq!(asked(&ground, LEFT_PAD).await.0.task_id, task);
    ground.advance(Duration::from_secs(120)).await;
    comes(&ground).await;
    let (anew, is_planned) = asked(&ground, LEFT_PAD).await;
    assert!(anew.task_id != task && is_planned, "there may be new advisories");
}

async fn what_failed_is_asked_for_anew(ground: Ground) {
    let worker = comes(&ground).await;
    let first = asked(&ground, LEFT_PAD).await.0.task_id;
    let begin = ground.store.latest_happening(ground.tenant).await.unwrap();
    ends(&ground, &worker, failure(Retry::Never)).await;
    let told = ground.store.happenings(ground.tenant, begin, 10).await.unwrap();
    let told: Vec<Happening> = told.into_iter().map(|(_, happening)| happening.unwrap()).collect();
    let purl = LEFT_PAD.parse().unwrap();
    assert_eq!(told, [Happening::TasksDead { count: 1 }, Happening::PackageFailed { task: first, purl }]);
    let (failed, body) = ground.store.package_result(ground.tenant, first).await.unwrap();
    assert_eq!(
        (failed.status, failed.failure.as_deref()),
        (AnalysisStatus::Failed, Some("the disk is on fire"))
    );
    assert_eq!(body, None);
    let second = asked(&ground, LEFT_PAD).await.0.task_id;
    assert_ne!(second, first);
    ground.store.cancel_tasks(ground.tenant, TaskFilter::one(second), u64::MAX, "test").await.unwrap();
    let (cancelled, _) = ground.store.package_result(ground.tenant, second).await.unwrap();
    assert_eq!(
        (cancelled.status, cancelled.failure.as_deref()),
        (AnalysisStatus::Failed, Some("it was cancelled"))
    );
    assert!(asked(&ground, LEFT_PAD).await.1);
}

async fn a_package_ends_with_an_analysis_or_not_at_all(ground: Ground) {
    let worker = comes(&ground).await;
    let large = says(&"x".repeat(9 << 20));
    for (number, ending) in [Ending::Completed, Ending::Package(large)].into_iter().enumerate() {
        let task = asked(&ground, &format!("pkg:npm/left-pad@{number}")).await.0.task_id;
        ends(&ground, &worker, ending).await;
        let (analysis, body) = ground.store.package_result(ground.tenant, task).await.unwrap();
        assert_eq!((analysis.status, body), (AnalysisStatus::Failed, None));
    }
    // Nor does anything else end with one.
    let exercise = ground.enqueue([crate::ground::exercise()]).await[0];
    let lease = worker.claim(&ground, 1).await[0].lease;
    settle(&ground, lease, Ending::Package(says("fine"))).await.unwrap();
    assert_eq!(ground.state(exercise).await, "dead");
    let none = ground.store.package_result(ground.tenant, exercise).await;
    assert!(matches!(none, Err(StoreError::Missing { .. })), "{none:?}");
}

async fn a_result_goes_with_its_task(ground: Ground) {
    let worker = comes(&ground).await;
    let task = asked(&ground, LEFT_PAD).await.0.task_id;
    ends(&ground, &worker, Ending::Package(says("fine"))).await;
    ground.advance(8 * DAY).await;
    while ground.store.forget(Retention::default()).await.unwrap() > 0 {}
    let gone = ground.store.package_result(ground.tenant, task).await;
    assert!(matches!(gone, Err(StoreError::Missing { .. })), "{gone:?}");
}
