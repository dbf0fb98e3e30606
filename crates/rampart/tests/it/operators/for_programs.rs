//! What programs are told that change tenants and order stops.

use crate::{
    platform::{Up, json, run},
    run::{assert_exit, text},
};

#[test]
fn a_tenant_is_changed_and_shown() {
    let directory = tempfile::tempdir().unwrap();
    let ask = |words: &[&str]| run(directory.path(), words);
    Up::start(directory.path(), &[]).end();
    assert_exit(&ask(&["tenant", "create", "acme", "--weight", "3"]), 0);
    let set = ask(&["tenant", "set", "acme", "--most-in-flight", "5", "--json"]);
    assert_eq!((&json(&set)["weight"], &json(&set)["most_in_flight"]), (&3.into(), &5.into()));
    let set = ask(&["tenant", "set", "acme", "--weight", "4"]);
    let says = "tenant acme: weight 4, at most 5 tasks at work at once";
    assert!(text(&set.stderr).contains(says), "{}", text(&set.stderr));
    assert_exit(&ask(&["task", "exercise", "--count", "2", "--tenant", "acme"]), 0);
    let shown = json(&ask(&["tenant", "show", "acme", "--json"]));
    assert_eq!((&shown["weight"], &shown["tasks"]["queued"]), (&4.into(), &2.into()), "{shown}");
    assert_eq!(shown["scopes"], serde_json::json!(["loopback"]));
    let shown = text(&ask(&["tenant", "show", "acme"]).stdout);
    assert!(shown.contains("weight          4\n") && shown.contains("tasks           2 queued\n"), "{shown}");
    let audit = json(&ask(&["audit", "list", "--tenant", "acme", "--action", "tenant.set", "--json"]));
    assert_eq!(audit[0]["detail"], "weight 4, before 3; most in flight 5, before 5");
    for (words, says) in [
        (&["tenant", "set", "acme"][..], "--weight"),
        (&["tenant", "set", "acme", "--weight", "0"], "1 to 1000"),
        (&["tenant", "set", "nobody", "--weight", "1"], "there is no tenant `nobody`"),
        (&["tenant", "show", "nobody"], "there is no tenant `nobody`"),
    ] {
        let refused = ask(words);
        assert_exit(&refused, 2);
        assert!(text(&refused.stderr).contains(says), "{words:?}: {}", text(&refused.stderr));
    }
}

#[test]
fn a_scan_that_is_asked_for_again_under_its_key_is_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let ask = |words: &[&str]| run(directory.path(), words);
    let up = Up::start(directory.path(), &[]);
    let submit = ["scan", "submit", "127.0.0.1:9", "--stages", "ports", "--idempotency-key", "deploy 7"];
    let first = ask(&submit);
    assert_exit(&first, 0);
    let again = ask(&[&submit[..], &["--wait", "--json"]].concat());
    let id = text(&first.stdout);
    assert_eq!(json(&again)["id"], id.trim());
    assert!(text(&again.stderr).contains("was asked for under this key before"), "{}", text(&again.stderr));
    let other = ask(&[&submit[..], &["--priority", "high"]].concat());
    assert_exit(&other, 2);
    let says = "the idempotency key `deploy 7` was used for another request: ask for the same again";
    assert!(text(&other.stderr).contains(says), "{}", text(&other.stderr));
    assert_eq!(json(&ask(&["scan", "list", "--json"])).as_array().unwrap().len(), 1);
    up.end();
}

#[test]
fn programs_are_told_of_stops_and_how_they_are_lifted() {
    let directory = tempfile::tempdir().unwrap();
    let ask = |words: &[&str]| run(directory.path(), words);
    Up::start(directory.path(), &[]).end();
    let stopped = json(&ask(&["stop", "--reason", "wrong", "--stage", "ports", "--json"]));
    assert_eq!((&stopped["reason"], &stopped["stage"]), (&"wrong".into(), &"ports".into()), "{stopped}");
    assert_eq!(stopped["lifted_by"], "rampart resume --stage ports --reason TEXT --by PERSON");
    assert_exit(&ask(&["stop", "--reason", "all of it"]), 0);
    let resume = ["resume", "--reason", "right", "--by", "J. Doe", "--json"];
    let resumed = json(&ask(&resume));
    assert_eq!(resumed["lifted"][0]["reason"], "all of it", "{resumed}");
    assert_eq!(resumed["lifted"].as_array().unwrap().len(), 1);
    assert_eq!(resumed["still_hold"], serde_json::json!([stopped]));
    let again = ask(&resume);
    assert_exit(&again, 2);
    assert_eq!(text(&again.stdout), "");
    let resumed = json(&ask(&[&resume[..], &["--stage", "ports"]].concat()));
    assert_eq!(resumed["still_hold"], serde_json::json!([]));
}
