//! Packages are analysed by tasks: asked for, followed, downloaded.

use gateway::News;
use model::{
    Role, Stage,
    task::{Retry, TaskFailure},
};
use serde_json::json;
use store::{Ending, PackageResult};

use crate::ground::Ground;

fn says(what: &str) -> Ending {
    Ending::Package(PackageResult::from_iter([("says".to_owned(), what.into())]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_is_asked_for_followed_and_downloaded() {
    let ground = Ground::start().await;
    let key = ground.key(Role::Scanner).await;
    let left_pad = json!({ "purl": "pkg:NPM/left-pad@1.3.0", "priority": "urgent", "timeout_minutes": 5 });
    let refused = ground.post("/api/v1/tasks", &key, left_pad.clone()).await;
    assert!(refused.problem(503, "no-worker").contains("stage package"), "{refused:?}");
    assert!(
        refused.body["hint"].as_str().is_some_and(|hint| hint.contains("starts a worker")),
        "{refused:?}"
    );
    assert_eq!(refused.header("retry-after"), "60");
    assert_eq!(ground.get("/api/v1/tasks", &key).await.body["tasks"], json!([]), "nothing waits for nobody");

    let worker = ground.package_worker().await;
    let asked = ground.post("/api/v1/tasks", &key, left_pad.clone()).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    assert_eq!(
        (&asked.body["purl"], &asked.body["status"]),
        (&"pkg:npm/left-pad@1.3.0".into(), &"queued".into())
    );
    assert_eq!(*ground.told.lock().unwrap(), [News::Planned([(Stage::Package, 1)].into())]);
    let place = asked.header("location").to_owned();
    assert_eq!(place, format!("/api/v1/tasks/{}", asked.body["task_id"].as_str().unwrap()));
    let task = ground.get(&place, &key).await;
    assert_eq!(
        (&task.body["analysis"], &task.body["life"]["state"]),
        (&asked.body, &"queued".into()),
        "{task:?}"
    );
    assert_eq!(
        (&task.body["priority"], &task.body["deadline"]),
        (&"urgent".into(), &"PT5M".into()),
        "{task:?}"
    );
    let early = ground.get(&format!("{place}/result"), &key).await;
    assert!(early.problem(409, "conflict").contains("no result yet"), "{early:?}");
    let again = ground.post("/api/v1/tasks", &key, left_pad.clone()).await;
    assert_eq!((again.status.as_u16(), &again.body), (202, &asked.body));

    ground.analyse(worker, says("<script>")).await;
    ground.store.worker_left(worker).await.unwrap();
    let known = ground.post("/api/v1/tasks", &key, left_pad).await;
    assert_eq!((known.status.as_u16(), &known.body["status"]), (200, &"completed".into()), "{known:?}");
    assert_eq!(known.header("location"), place);
    let result = ground.get(&format!("{place}/result"), &ground.key(Role::Viewer).await).await;
    assert_eq!((result.status.as_u16(), &result.body), (200, &json!({ "says": "<script>" })));
    assert!(result.header("content-disposition").starts_with("attachment; filename="), "{result:?}");
    assert_eq!(result.header("content-length"), r#"{"says":"<script>"}"#.len().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_says_why_and_what_is_none_is_not_there() {
    let ground = Ground::start().await;
    let key = ground.key(Role::Operator).await;
    let worker = ground.package_worker().await;
    let asked = ground.post("/api/v1/tasks", &key, json!({ "purl": "pkg:npm/left-pad" })).await;
    let message = "the registry does not know it".to_owned();
    ground.analyse(worker, Ending::Failed(TaskFailure { message, retry: Retry::Never })).await;
    let result = ground.get(&format!("{}/result", asked.header("location")), &key).await;
    assert!(result.problem(409, "conflict").contains("failed: the registry does not know it"), "{result:?}");
    let exercise = format!("/api/v1/tasks/{}", ground.task().await);
    assert_eq!(ground.get(&exercise, &key).await.body["analysis"], json!(null));
    ground.get(&format!("{exercise}/result"), &key).await.problem(404, "not-found");
    for (body, says) in [
        (json!({ "purl": "left-pad" }), "not a package URL"),
        (json!({ "purl": "pkg:npm/left-pad", "timeout_minutes": 0 }), "from 1 to 240"),
        (json!({ "purl": "pkg:npm/left-pad", "timeout_minutes": 241 }), "from 1 to 240"),
        (json!({ "purl": "pkg:npm/left-pad", "priority": "now" }), "now"),
        (json!({}), "purl"),
    ] {
        let refused = ground.post("/api/v1/tasks", &key, body).await;
        assert!(refused.problem(422, "invalid").contains(says), "{refused:?}");
    }
}
