//! What can be looked for.

use model::{Role, Severity};

use crate::ground::Ground;

#[tokio::test(flavor = "multi_thread")]
async fn checks_are_listed_by_what_they_are_and_shown() {
    let ground = Ground::start().await;
    let key = ground.key(Role::Scanner).await;
    let ids = async |query: &str| {
        let page = ground.get(&format!("/api/v1/checks{query}"), &key).await;
        assert_eq!(page.status, 200, "{page:?}");
        let checks = page.body["checks"].as_array().unwrap().iter();
        let ids: Vec<String> = checks.map(|check| check["id"].as_str().unwrap().to_owned()).collect();
        (ids.join(" "), page.body["next"].as_str().unwrap_or_default().to_owned())
    };
    for (query, wanted, next) in [
        ("", "admin-panel default-login git-config", ""),
        ("?limit=2", "admin-panel default-login", "default-login"),
        ("?limit=2&after=default-login", "git-config", ""),
        ("?severity=medium", "default-login git-config", ""),
        ("?tag=exposure", "admin-panel git-config", ""),
        ("?tag=expo", "", ""),
        ("?search=GIT", "git-config", ""),
        ("?search=password", "default-login", ""),
        ("?search=p&tag=exposure&severity=info", "admin-panel", ""),
    ] {
        assert_eq!(ids(query).await, (wanted.to_owned(), next.to_owned()), "{query}");
    }
    for wrong in ["severity=bad", "limit=0", "colour=red"] {
        ground.get(&format!("/api/v1/checks?{wrong}"), &key).await.problem(400, "malformed");
    }
    let shown = ground.get("/api/v1/checks/git-config", &key).await;
    assert_eq!(
        (&shown.body["name"], &shown.body["severity"]),
        (&"A configuration of Git".into(), &serde_json::to_value(Severity::Medium).unwrap())
    );
    let missing = ground.get("/api/v1/checks/nowhere", &key).await;
    assert_eq!(missing.problem(404, "not-found"), "there is no check `nowhere`");
}
