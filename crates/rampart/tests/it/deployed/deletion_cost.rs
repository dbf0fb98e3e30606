//! The orchestrator that leads tells a cluster how many tasks each worker's pod has at work. The cluster is made up; what it is told is not.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
    time::Instant,
};

use serde_json::Value;
use testkit::{
    http::{HttpServer, Seen, ok, response},
    tls::{Wanted, acceptor, certify},
};

use crate::{
    installation::Installation,
    platform::{PATIENCE, watched::Watched},
    run::assert_exit,
};

const SCOPE: &str = "authorised_by = \"test\"\nnetworks = [\"127.0.0.0/8\"]\n";

#[test]
fn the_cluster_is_told_who_is_busy_and_hears_no_more_than_that() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let installation = Installation::start(SCOPE);
    let certified = certify(&Wanted::default());
    let account = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(account.path().join(name), text).unwrap();
    put("ca.crt", certified.authority_pem());
    put("namespace", "rampart");
    put("token", "first\n");
    let told: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
    let asked: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let (hears, log) = (Arc::clone(&told), Arc::clone(&asked));
    let cluster = runtime.block_on(HttpServer::start_tls(acceptor(certified), move |seen| {
        log.lock().unwrap().push(seen.clone());
        let text = seen.text();
        if !text.contains("authorization: Bearer second\r\n") {
            return response("403 Forbidden", &[], r#"{"message": "pods is forbidden"}"#);
        }
        let pod = seen.target().rsplit('/').next().unwrap().to_owned();
        let body: Value = serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        let cost = &body["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"];
        hears.lock().unwrap().insert(pod, cost.as_str().unwrap().to_owned());
        ok("{}")
    }));
    let start = |words: &[&str]| {
        let words = [words, &["--metrics", "127.0.0.1:0"]].concat();
        Watched::start(installation.command(&words))
    };
    let worker = start(&["worker", "--stage", "exercise", "--concurrency", "8", "--log", "warn"]);
    let server = format!("--tell-kubernetes=https://localhost:{}", cluster.address().port());
    let directory = account.path().to_str().unwrap();
    let _orchestrator = start(&["orchestrator", &server, "--service-account", directory]);
    let exercise = ["task", "exercise", "--count", "5", "--hold", "10m"];
    assert_exit(&installation.command(&exercise).output().unwrap(), 0);
    worker.comes_to("/metrics", 200, "rampart_worker_tasks_at_work{stage=\"exercise\"} 5\n");
    let until = Instant::now() + PATIENCE;
    let comes = |what: &str, is_so: &dyn Fn() -> bool| {
        while !is_so() {
            assert!(Instant::now() < until, "{what}: {:?}", told.lock().unwrap());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    // Who is refused goes on trying, with the token that there is by then.
    comes("refused", &|| !asked.lock().unwrap().is_empty());
    put("token", "second");
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
    comes("busy", &|| told.lock().unwrap().get(&machine).map(String::as_str) == Some("5"));
    assert_exit(&installation.command(&["task", "cancel", "--all"]).output().unwrap(), 0);
    comes("idle", &|| told.lock().unwrap().get(&machine).map(String::as_str) == Some("0"));
    // Its annotation of each pod, and nothing else.
    for seen in asked.lock().unwrap().iter() {
        let text = seen.text();
        assert!(
            text.starts_with(&format!("PATCH /api/v1/namespaces/rampart/pods/{machine} HTTP/1.1\r\n")),
            "{text}"
        );
        assert!(text.contains("content-type: application/merge-patch+json\r\n"), "{text}");
    }
}
