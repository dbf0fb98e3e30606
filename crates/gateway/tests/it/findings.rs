//! Findings, from the list to a decision, and what a scan saw.

use std::collections::{BTreeMap, BTreeSet};

use hyper::Method;
use model::{Role, Severity};
use serde_json::{Value, json};
use store::{NewKey, ObjectKey};

use crate::ground::{Ground, SECRET_OF_THE_TARGET, named};

#[tokio::test(flavor = "multi_thread")]
async fn findings_are_listed_shown_and_decided_about() {
    let ground = Ground::start().await;
    let (scan, first) = ground.found(Severity::High, "a.acme.test").await;
    let (_, second) = ground.found(Severity::Low, "b.acme.test").await;
    let analyst = ground.key(Role::Analyst).await;
    let listed = async |query: &str| {
        let page = ground.get(&format!("/api/v1/findings{query}"), &analyst).await;
        assert_eq!(page.status, 200, "{page:?}");
        let known = page.body["findings"].as_array().unwrap().iter();
        known.map(|known| known["fingerprint"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (first, second) = (first.to_string(), second.to_string());
    assert_eq!(listed("").await, [&first[..], &second]);
    for (query, wanted) in [
        ("?severity=medium", vec![&first]),
        ("?severity=low&order=worst_first", vec![&first, &second]),
        ("?check=git-config&limit=1", vec![&first]),
        ("?check=another", vec![]),
        ("?state=open,reopened", vec![&first, &second]),
        ("?state=false_positive,fixed", vec![]),
    ] {
        assert_eq!(listed(query).await.iter().collect::<Vec<_>>(), wanted, "{query}");
    }
    assert_eq!(listed(&format!("?scan={scan}")).await, [&first[..]]);
    ground.get("/api/v1/findings?scan=0000000000000000", &analyst).await.problem(404, "not-found");
    for wrong in ["state=new", "state=", "severity=bad", "order=random", "limit=501", "after=x", "colour=red"]
    {
        ground.get(&format!("/api/v1/findings?{wrong}"), &analyst).await.problem(400, "malformed");
    }

    let decide = async |body| ground.post("/api/v1/findings/decide", &analyst, body).await;
    let both = json!([first, second]);
    let accepted = json!({ "findings": both, "verdict": "accepted", "until": "2999-01-01T00:00:00Z", "reason": "a test" });
    let decided = decide(accepted).await;
    assert_eq!(decided.body["findings"].as_array().unwrap().len(), 2, "{decided:?}");
    assert_eq!(decided.body["decided_later"], json!([]));
    let shown = ground.get(&format!("/api/v1/findings/{first}"), &analyst).await;
    assert_eq!((&shown.body["life"], &shown.body["decided_because"]), (&"accepted".into(), &"a test".into()));
    assert_eq!(shown.body["decided_by"], format!("test (key {})", analyst.prefix()));
    assert_eq!(listed("?state=accepted").await.len(), 2);

    let nobody = "00112233445566778899aabbccddeeff";
    let missing = json!({ "findings": [first, nobody], "verdict": "triaged", "reason": "true" });
    assert!(decide(missing).await.problem(404, "not-found").contains(nobody));
    assert_eq!(listed("?state=accepted").await.len(), 2, "all or none");
    for (change, says) in [
        (json!({ "findings": [] }), "1 to 1000"),
        (json!({ "verdict": "accepted" }), "until"),
        (json!({ "verdict": "accepted", "until": "2001-01-01T00:00:00Z" }), "passed"),
        (json!({ "until": "2999-01-01T00:00:00Z" }), "only for"),
        (json!({ "reason": "  " }), "reason"),
        (json!({ "verdict": "fixed" }), "fixed"),
    ] {
        let mut body = json!({ "findings": [first], "verdict": "triaged", "reason": "true" });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = decide(body).await;
        assert!(answer.problem(422, "invalid").contains(says), "{says}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_for_who_may_read_it() {
    let ground = Ground::start().await;
    let (_, finding) = ground.finding().await;
    for role in Role::BUILT_IN {
        let key = ground.key(role.clone()).await;
        let shown = ground.get(&format!("/api/v1/findings/{finding}"), &key).await;
        let has_evidence = shown.body.to_string().contains(SECRET_OF_THE_TARGET);
        assert_eq!(has_evidence, !matches!(role, Role::Viewer | Role::Scanner), "{role}");
        let listed = ground.get("/api/v1/findings", &key).await.body.to_string();
        assert!(listed.contains(&finding.to_string()) && !listed.contains(SECRET_OF_THE_TARGET), "{role}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_listed_and_downloaded_by_who_may_read_it() {
    let ground = Ground::start().await;
    let (scan, finding) = ground.finding().await;
    let auditor = ground.key(Role::Auditor).await;
    let listed = ground.get(&format!("/api/v1/findings/{finding}/evidence"), &auditor).await;
    let [one] = &listed.body["evidence"].as_array().unwrap()[..] else { panic!("{listed:?}") };
    assert_eq!((&one["scan"], &one["kind"]), (&scan.to_string().into(), &"exchange".into()), "{listed:?}");
    let sizes = (one["request_bytes"].as_u64().unwrap(), one["response_bytes"].as_u64().unwrap());
    assert_eq!(sizes, ("GET /.git/config".len() as u64, SECRET_OF_THE_TARGET.len() as u64));
    assert!(!listed.body.to_string().contains(SECRET_OF_THE_TARGET));
    let path = format!("/api/v1/evidence/{}", one["id"].as_str().unwrap());
    let was = ground.get(&path, &auditor).await;
    assert_eq!(was.body, json!({ "request": "GET /.git/config", "response": SECRET_OF_THE_TARGET }));
    assert!(was.header("content-disposition").starts_with("attachment; filename="), "{was:?}");
    assert_eq!(
        (was.header("x-content-type-options"), was.header("content-type")),
        ("nosniff", "application/json")
    );
    for role in [Role::Viewer, Role::Scanner] {
        let key = ground.key(role.clone()).await;
        for path in [&path, &format!("/api/v1/findings/{finding}/evidence")] {
            ground.get(path, &key).await.problem(403, "forbidden");
        }
    }
    // A later look has taken other evidence, and what was listed before is not something else now.
    ground.finding().await;
    ground.get(&path, &auditor).await.problem(404, "not-found");
    let listed = ground.get(&format!("/api/v1/findings/{finding}/evidence"), &auditor).await;
    assert_eq!(listed.body["evidence"].as_array().unwrap().len(), 1);
    ground.get("/api/v1/evidence/anything", &auditor).await.problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_findings_hold_each_once_while_findings_are_added() {
    let ground = Ground::start().await;
    let viewer = ground.key(Role::Viewer).await;
    let mut wanted = BTreeSet::new();
    for number in 0..5 {
        wanted.insert(ground.found(Severity::High, &format!("{number}.acme.test")).await.1.to_string());
    }
    for order in ["worst_first", "fingerprint"] {
        let (mut seen, mut path) = (Vec::new(), format!("/api/v1/findings?limit=2&order={order}"));
        loop {
            let page = ground.get(&path, &viewer).await;
            let known = page.body["findings"].as_array().unwrap().iter();
            seen.extend(known.map(|known| known["fingerprint"].as_str().unwrap().to_owned()));
            let Some(next) = page.body["next"].as_str() else { break };
            path = format!("/api/v1/findings?limit=2&order={order}&after={next}");
            ground.found(Severity::High, &format!("{}.{order}.test", seen.len()).replace('_', "-")).await;
        }
        let once: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(once.len(), seen.len(), "{order}: {seen:?}");
        assert!(once.is_superset(&wanted), "{order}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_goes_on_where_the_one_before_ended_whatever_became_of_that_finding() {
    let ground = Ground::start().await;
    let viewer = ground.key(Role::Viewer).await;
    let mut names = BTreeMap::new();
    for number in 0..5 {
        let name = format!("{number}.acme.test");
        let (_, fingerprint) = ground.found(Severity::High, &name).await;
        names.insert(fingerprint.to_string(), name);
    }
    for states in ["", "&state=open"] {
        let path = format!("/api/v1/findings?limit=2{states}");
        let page = ground.get(&path, &viewer).await;
        let listed = |page: &Value| -> Vec<String> {
            let known = page["findings"].as_array().unwrap().iter();
            known.map(|known| names[known["fingerprint"].as_str().unwrap()].clone()).collect()
        };
        let seen = listed(&page.body);
        // Somebody looks again, and it is worse, or better.
        for severity in [Severity::Critical, Severity::Info] {
            ground.found(severity, &seen[1]).await;
            let next = format!("{path}&after={}", page.body["next"].as_str().unwrap());
            let rest = listed(&ground.get(&next, &viewer).await.body);
            assert!(rest.len() == 2 && rest.iter().all(|name| !seen.contains(name)), "{seen:?} {rest:?}");
        }
        ground.found(Severity::High, &seen[1]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_scan_saw_is_listed_and_its_report_downloaded() {
    let ground = Ground::start().await;
    let (scan, _) = ground.finding().await;
    let operator = ground.key(Role::Operator).await;
    let assets = ground.get(&format!("/api/v1/scans/{scan}/assets?limit=1"), &operator).await;
    assert_eq!(assets.body["assets"][0]["name"], "www.acme.test", "{assets:?}");
    let next = assets.body["next"].as_str().unwrap();
    let rest = ground.get(&format!("/api/v1/scans/{scan}/assets?after={next}"), &operator).await;
    assert_eq!(rest.body, json!({ "assets": [] }));
    ground
        .get(&format!("/api/v1/scans/{scan}/assets?after={}", &next[1..]), &operator)
        .await
        .problem(400, "malformed");

    let path = format!("/api/v1/scans/{scan}/reports/json");
    let early = ground.get(&path, &operator).await;
    assert!(early.problem(409, "conflict").contains("yet"), "{early:?}");
    ground.store.cancel_scan(ground.tenant, scan, "test".to_owned()).await.unwrap();
    ground.get(&path, &operator).await.problem(409, "conflict");
    let key = ObjectKey::report(ground.tenant, scan, "report.json");
    ground.reports.put(&key, b"{\"report\":true}".to_vec()).await.unwrap();
    let report = ground.get(&path, &operator).await;
    assert_eq!((report.status.as_u16(), &report.body), (200, &json!({ "report": true })));
    assert_eq!(report.header("content-type"), "application/json");
    assert_eq!(report.header("content-disposition"), format!("attachment; filename=\"{scan}-report.json\""));
    assert_eq!(report.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
    ground.get(&format!("/api/v1/scans/{scan}/reports/exe"), &operator).await.problem(404, "not-found");

    let other = ground.another_tenant().await;
    let intruder = ground.key_of(other, NewKey { role: Role::Owner, ..named("intruder") }).await;
    ground.ask(Method::GET, &path, Some(intruder.expose()), None).await.problem(404, "not-found");
}
