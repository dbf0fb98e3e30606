//! The life of a finding, as an operator sees it and changes it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::Value;
use testkit::http::{HttpServer, Seen, response};

use crate::{
    platform::{Up, json, run},
    run::{assert_exit, text},
};

const CONFIGURATION: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\u{1b}[2Jcleared\n";

fn site(careless: &AtomicBool, seen: &Seen) -> Vec<u8> {
    match seen.target().as_str() {
        "/.git/config" if careless.load(Ordering::SeqCst) => {
            response("200 OK", &["Content-Type: text/plain"], CONFIGURATION)
        }
        _ => response("404 Not Found", &["Content-Type: text/plain"], "nothing here"),
    }
}

#[test]
fn what_is_decided_about_a_finding_holds_from_scan_to_scan() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let careless = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&careless);
    let server = runtime.block_on(HttpServer::start(move |seen| site(&asked, seen)));
    let target = format!("http://{}/", server.address());
    let directory = tempfile::tempdir().unwrap();
    let ask = |words: &[&str]| run(directory.path(), words);
    let up = Up::start(directory.path(), &[]);
    let scan = || ask(&["scan", "submit", &target, "--stages", "check", "--only", "git-config", "--wait"]);
    let list = |filter: &[&str]| match json(&ask(&[&["finding", "list", "--json"], filter].concat())) {
        Value::Array(found) => found,
        other => panic!("{other}"),
    };

    let first = scan();
    assert_exit(&first, 1);
    let found = list(&["--state", "open"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["check"], &found[0]["life"]), (&"git-config".into(), &"open".into()));
    let fingerprint = found[0]["fingerprint"].as_str().unwrap();
    let shown = text(&ask(&["finding", "show", fingerprint]).stdout);
    for says in
        ["state        open", "GET /.git/config", "    repositoryformatversion", "    \\x1b[2Jcleared"]
    {
        assert!(shown.replace('\t', "    ").contains(says), "{says}: {shown}");
    }
    assert!(!shown.contains('\u{1b}'), "nothing that a target sends acts: {shown}");

    // What is said in a wrong way decides nothing.
    for (words, says) in [
        (&["--verdict", "accepted", "--reason", "r"][..], "--for"),
        (&["--verdict", "triaged", "--for", "1h", "--reason", "r"], "--for says how long"),
        (&["--verdict", "triaged"], "--reason"),
        (&["--verdict", "nonsense", "--reason", "r"], "false-positive"),
    ] {
        let refused = ask(&[&["finding", "decide", fingerprint], words].concat());
        assert_exit(&refused, 2);
        assert!(text(&refused.stderr).contains(says), "{words:?}: {}", text(&refused.stderr));
    }
    let nobody = "00112233445566778899aabbccddeeff";
    let verdict = ["--verdict", "false-positive", "--reason", "a honeypot"];
    let refused = ask(&[&["finding", "decide", fingerprint, nobody][..], &verdict].concat());
    assert_exit(&refused, 2);
    assert!(text(&refused.stderr).contains(nobody), "{}", text(&refused.stderr));
    assert_eq!(list(&["--state", "open"]).len(), 1, "one of them is not there: nothing is decided");

    let accept =
        ["--verdict", "accepted", "--for", "90d", "--reason", "replaced in spring", "--by", "J. Doe"];
    let accepted = ask(&[&["finding", "decide", fingerprint][..], &accept].concat());
    assert_exit(&accepted, 0);
    assert!(text(&accepted.stderr).contains(": accepted until 2"), "{}", text(&accepted.stderr));
    let second = scan();
    assert_exit(&second, 0);
    assert!(text(&second.stdout).contains("git-config  (accepted until 2"), "{}", text(&second.stdout));
    let shown = text(&ask(&["finding", "show", fingerprint]).stdout);
    assert!(shown.contains("because      replaced in spring"), "{shown}");
    assert!(shown.contains("by J. Doe (") && shown.contains("decided      accepted until 2"), "{shown}");
    assert_eq!((list(&["--state", "accepted"]).len(), list(&["--state", "open,fixed"]).len()), (1, 0));
    let low = list(&["--severity", "critical"]);
    assert_eq!((low.len(), list(&["--severity", "high", "--check", "git-config"]).len()), (0, 1));

    let taken_back =
        ask(&["finding", "decide", fingerprint, "--verdict", "withdrawn", "--reason", "no", "--json"]);
    assert_exit(&taken_back, 0);
    assert_eq!(json(&taken_back)[0]["life"], "open");
    assert_exit(&scan(), 1);
    assert_exit(&ask(&[&["finding", "decide", fingerprint][..], &verdict].concat()), 0);
    assert_exit(&scan(), 0);

    let audit = json(&ask(&["audit", "list", "--action", "finding", "--json"]));
    let told: Vec<&str> =
        audit.as_array().unwrap().iter().map(|entry| entry["detail"].as_str().unwrap()).collect();
    assert_eq!(told[..2], ["false-positive: a honeypot", "withdrawn: no"], "{audit}");
    assert!(audit[2]["by"].as_str().unwrap().starts_with("J. Doe ("), "{audit}");
    assert_eq!((told.len(), &audit[2]["subject"]), (3, &fingerprint.into()));

    careless.store(false, Ordering::SeqCst);
    assert_exit(&scan(), 0);
    let fixed = list(&["--state", "fixed"]);
    assert_eq!((fixed.len(), &fixed[0]["fingerprint"]), (1, &fingerprint.into()));
    let table = text(&ask(&["finding", "list", "--limit", "1"]).stdout);
    assert!(table.contains("high      fixed  "), "{table}");
    let unknown = ask(&["finding", "list", "--scan", "0123456789abcdef"]);
    assert_exit(&unknown, 2);
    up.end();
}
