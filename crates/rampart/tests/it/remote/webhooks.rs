//! Webhooks are made here and there, and told what happens by the workers of the installation.

use std::fs;

use testkit::http::{HttpServer, ok};

use super::Both;
use crate::{
    platform::json,
    run::{assert_exit, text},
};

#[test]
fn what_happens_is_told_to_who_was_named() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let receiver = runtime.block_on(HttpServer::start(|_| ok("")));
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("webhook.key");
    fs::write(&key, "0123456789abcdef0123456789abcdef").unwrap();
    let given = ["--webhook-receivers", "127.0.0.0/8:*", "--webhook-key", key.to_str().unwrap()];
    let both = Both::start(&given);
    let url = format!("http://{}/hook", receiver.address());
    let made = both.there(&["webhook", "create", "chat", &url, "--events", "scan_begun,scan_ended"]);
    assert_exit(&made, 0);
    let secret = text(&made.stdout).trim().to_owned();
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    let inside = both.there(&["webhook", "create", "inside", "https://10.0.0.1/"]);
    assert_exit(&inside, 2);
    assert!(text(&inside.stderr).contains("--webhook-receivers"), "{}", text(&inside.stderr));
    let wrong = both.there(&["webhook", "create", "chat2", &url, "--events", "scan_sung"]);
    assert_exit(&wrong, 2);
    assert!(text(&wrong.stderr).contains("scan_begun, scan_stopping"), "{}", text(&wrong.stderr));

    // Nobody listens there, so it remains unknown what does.
    assert_exit(&both.there(&["scan", "submit", "127.0.0.1:9", "--stages", "ports", "--wait"]), 3);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while receiver.seen().len() < 2 {
        assert!(std::time::Instant::now() < until, "{:?}", receiver.seen());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let told: Vec<String> = receiver.seen().iter().map(testkit::http::Seen::text).collect();
    for kind in ["scan_begun", "scan_ended"] {
        assert!(told.iter().any(|text| text.contains(&format!("{{\"type\":\"{kind}\""))), "{told:?}");
    }
    let list = ["webhook", "list", "--json"];
    let (here, there) = (json(&both.here(&list)), json(&both.there(&list)));
    assert_eq!(here, there);
    assert_eq!((&there[0]["name"], &there[0]["failure"]), (&"chat".into(), &serde_json::Value::Null));
    assert!(there[0]["delivered_at"].is_string(), "{there}");

    let said = both.said(&["webhook", "change", "chat", "--disable", "--everything"]);
    assert_eq!(said, format!("chat: {url}, disabled\n"));
    let rotated = both.there(&["webhook", "rotate", "chat", "--overlap", "1h"]);
    assert_exit(&rotated, 0);
    assert_ne!(text(&rotated.stdout).trim(), secret);
    let said = both.said(&["webhook", "delete", "chat"]);
    assert_eq!(said, "chat is forgotten: nothing is sent there any more\n");
    let gone = both.there(&["webhook", "delete", "chat"]);
    assert_exit(&gone, 2);
    assert!(text(&gone.stderr).contains("`rampart webhook list` shows them"), "{}", text(&gone.stderr));
    both.up.end();
}

#[test]
fn without_receivers_nothing_is_sent_and_half_of_what_it_takes_is_refused() {
    let both = Both::start(&[]);
    for place in [Both::here, Both::there] {
        let refused = place(&both, &["webhook", "create", "chat", "https://hooks.example.com/"]);
        assert_exit(&refused, 2);
        let said = text(&refused.stderr);
        assert!(said.contains("this installation sends nothing to webhooks"), "{said}");
    }
    both.up.end();
    let directory = tempfile::tempdir().unwrap();
    for (given, says) in [
        (&["--webhook-receivers", "hooks.example.com"][..], "openssl rand -hex 32"),
        (&["--webhook-key", "nowhere"], "there are none"),
        (&["--webhook-receivers", "a b", "--webhook-key", "nowhere"], "`a b`"),
    ] {
        let mut command = crate::run::rampart(directory.path());
        let refused = command.arg("doctor").args(given).output().unwrap();
        let said = text(&refused.stdout) + &text(&refused.stderr);
        assert!(!refused.status.success() && said.contains(says), "{given:?}: {said}");
    }
}
