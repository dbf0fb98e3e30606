//! A pod says how many pods Deployments are to have. The cluster is made up; what it is told is not.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use testkit::{
    http::{HttpServer, ok, response},
    tls::{Wanted, acceptor, certify},
};

use super::deploy;
use crate::run::{assert_exit, text as said};

#[test]
fn a_pod_scales_what_is_named_and_goes_on_where_it_is_refused() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let certified = certify(&Wanted::default());
    let account = tempfile::tempdir().unwrap();
    for (name, text) in [("ca.crt", certified.authority_pem()), ("namespace", "rampart"), ("token", "ours\n")]
    {
        fs::write(account.path().join(name), text).unwrap();
    }
    let told: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let hears = Arc::clone(&told);
    let cluster = runtime.block_on(HttpServer::start_tls(acceptor(certified), move |seen| {
        let text = seen.text();
        assert!(text.contains("authorization: Bearer ours\r\n"), "{text}");
        assert!(text.contains("content-type: application/merge-patch+json\r\n"), "{text}");
        let line = text.lines().next().unwrap().to_owned();
        let body = text.split("\r\n\r\n").nth(1).unwrap().to_owned();
        hears.lock().unwrap().push((line, body));
        match seen.target() {
            target if target.contains("/absent/") => response("404 Not Found", &[], "{}"),
            target if target.contains("/forbidden/") => {
                response("403 Forbidden", &[], r#"{"message": "deployments/scale is forbidden"}"#)
            }
            _ => ok("{}"),
        }
    }));
    let kubernetes = format!("--kubernetes=https://localhost:{}", cluster.address().port());
    let directory = account.path().to_str().unwrap();
    let scale =
        |wanted: &[&str]| deploy(&[&["scale", &kubernetes, "--service-account", directory], wanted].concat());

    let output = scale(&["absent=1", "gateway=2", "worker-check=0"]);
    assert_exit(&output, 0);
    assert_eq!(said(&output.stderr), "absent is not there\ngateway: 2\nworker-check: 0\n");
    let wanted = [("absent", 1), ("gateway", 2), ("worker-check", 0)].map(|(name, count)| {
        (
            format!("PATCH /apis/apps/v1/namespaces/rampart/deployments/{name}/scale HTTP/1.1"),
            format!(r#"{{"spec":{{"replicas":{count}}}}}"#),
        )
    });
    assert_eq!(*told.lock().unwrap(), wanted);

    let output = scale(&["forbidden=1", "gateway=1"]);
    assert_exit(&output, 2);
    let errors = said(&output.stderr);
    assert!(errors.contains("forbidden: the cluster refuses (403 Forbidden): deployments/scale"), "{errors}");
    assert!(errors.contains("gateway: 1\n"), "{errors}");

    for wrong in ["gateway", "gateway=", "gateway=-1", "=1", "../pods=1"] {
        assert_exit(&scale(&[wrong]), 2);
    }
    assert_exit(&scale(&[]), 2);
}
