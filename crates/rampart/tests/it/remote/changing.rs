//! What somebody changes at the server is changed in the database.

use std::time::{Duration, Instant};

use serde_json::{Value, json as document};

use super::{Both, Careless, first};
use crate::{
    platform::{PATIENCE, json, wait_for, wait_for_state},
    run::{assert_exit, text},
};

#[test]
fn scans_and_schedules_are_begun_and_ended_there() {
    let both = Both::start(&[]);
    let submit = ["scan", "submit", "127.0.0.1:9", "--stages", "ports", "--idempotency-key", "deploy-7"];
    let (begun, again) = (both.there(&submit), both.there(&submit));
    assert_exit(&begun, 0);
    assert_eq!(text(&begun.stdout), text(&again.stdout), "the same one");
    assert_eq!(json(&both.here(&["scan", "list", "--json"])).as_array().unwrap().len(), 1);
    let id = text(&begun.stdout).trim().to_owned();
    wait_for_state(both.path(), &id, "ended");
    let late = both.said(&["scan", "cancel", &id]);
    assert_eq!(late, "it had ended already: complete\n");
    assert_exit(&both.here(&["stop", "--reason", "hold it"]), 0);
    let submitted = both.there(&["scan", "submit", "127.0.0.1:9", "--json"]);
    assert!(text(&submitted.stderr).contains("an emergency stop holds"), "{}", text(&submitted.stderr));
    assert!(text(&submitted.stderr).contains("`rampart resume --reason TEXT --by PERSON` lifts it"));
    let held = json(&submitted)["scan"].as_str().unwrap().to_owned();
    let shown = text(&both.there(&["scan", "show", &held]).stdout);
    assert!(
        shown.contains("0 of 1 begun: 127.0.0.1:9") || shown.contains("1 of 1 begun: 127.0.0.1:9"),
        "{shown}"
    );
    assert!(shown.contains("undetermined  nothing so far"), "{shown}");
    let cancelled = json(&both.there(&["scan", "cancel", &held, "--json"]));
    assert_eq!((&cancelled["cancelled"], &cancelled["state"]), (&true.into(), &"cancelled".into()));
    assert_eq!(json(&both.here(&["scan", "show", &held, "--json"]))["end"], "cancelled");

    let create =
        ["schedule", "create", "nightly", "127.0.0.1:9", "--cron", "0 3 * * *", "--starts", "2100-01-01"];
    let made = both.said(&create);
    assert!(made.contains("first run 2100-01-01 03:00:00 UTC"), "{made}");
    let schedules = || json(&both.here(&["schedule", "list", "--json"]));
    assert_eq!(schedules()[0]["name"], "nightly");
    assert_eq!(both.said(&["schedule", "disable", "nightly"]), "disabled: nightly\n");
    assert_eq!(schedules()[0]["enabled"], false);
    assert!(both.said(&["schedule", "enable", "nightly"]).starts_with("enabled: nightly, next run 2100"));
    assert_eq!(schedules()[0]["enabled"], true);
    fn change<'w>(words: &[&'w str]) -> Vec<&'w str> {
        [&["schedule", "change", "nightly"], words].concat()
    }
    let words = ["127.0.0.2:9", "--every", "6h", "--overlap", "queue", "--profile", "quick", "--ports", "9"];
    let changed = both.said(&change(&words));
    let rule = "changed: nightly, every 6h, overlap queue, from 2100-01-01 00:00:00, next run 2100-01-01 00:00:00 UTC\n";
    assert_eq!(changed, rule);
    let stands = &schedules()[0];
    assert_eq!(
        (&stands["targets"], &stands["request"]["profile"]),
        (&document!(["127.0.0.2:9"]), &"quick".into())
    );
    assert_eq!((&stands["request"]["ports"], &stands["request"]["scope"]), (&"9".into(), &"loopback".into()));
    let zone =
        change(&["--cron", "@daily", "--zone", "Europe/Berlin", "--starts", "none", "--blackout", "Sa-Su"]);
    let changed = both.said(&zone);
    assert!(
        changed.starts_with(
            "changed: nightly, cron @daily Europe/Berlin, blackouts 1, postpone, overlap queue, next"
        ),
        "{changed}"
    );
    assert_eq!(schedules()[0]["rule"]["starts"], Value::Null);
    both.said(&change(&["--ports", "none"]));
    assert_eq!(schedules()[0]["request"]["ports"], Value::Null);
    assert!(both.said(&change(&["--blackout", "none"])).contains("Berlin, overlap queue, next run "));
    for (words, says) in [
        (&["--overlap", "queue"][..], "nothing of nightly would be otherwise"),
        (&["--cron", "0 3 * *"], "the schedule cannot be kept"),
        (&["--every", "6h", "--cron", "@daily"], "cannot be used with"),
        (&["--scope", "nowhere"], "`nowhere`"),
        (&["--only", "nowhere"], "nowhere"),
        (&["--ports", "many"], "many"),
    ] {
        for place in [Both::here, Both::there] {
            let refused = place(&both, &change(words));
            assert_exit(&refused, 2);
            assert!(text(&refused.stderr).contains(says), "{says}: {}", text(&refused.stderr));
        }
    }
    assert_eq!(both.said(&["schedule", "delete", "nightly"]), "deleted: nightly\n");
    assert_eq!(schedules(), document!([]));
    both.up.end();
}

#[test]
fn scopes_keys_and_findings_are_changed_there() {
    let site = Careless::start();
    let both = Both::start(&[]);
    let scope = "authorised_by = 'J. Doe'\nnetworks = ['127.0.0.0/8']\nports = '1-65535,9100'\n[exclude]\nports = '25'\n";
    let file = both.path().join("scope.toml");
    std::fs::write(&file, scope).unwrap();
    let file = file.to_str().unwrap();
    // Written down alike, whoever reads the file.
    let put = both.said(&["scope", "put", "office 7/8", file]);
    assert_eq!(put, "scope office 7/8: scans name it with --scope office 7/8\n");
    assert_exit(&both.here(&["scope", "put", "twin", file]), 0);
    let scopes = json(&both.here(&["scope", "list", "--json"]));
    let named = |name: &str| {
        scopes.as_array().unwrap().iter().find(|scope| scope["name"] == name).unwrap()["scope"].clone()
    };
    assert_eq!(named("office 7/8"), named("twin"));
    let every = ["schedule", "create", "often", "127.0.0.1:9", "--every", "6h", "--scope", "office 7/8"];
    assert_exit(&both.there(&every), 0);
    let deleted = both.said(&["scope", "delete", "office 7/8"]);
    assert!(deleted.contains("these schedules name it and begin nothing without it: often"), "{deleted}");

    let made = both.there(&["key", "create", "pipeline", "--role", "scanner", "--for", "90d"]);
    assert_exit(&made, 0);
    let key = text(&made.stdout).trim().to_owned();
    assert!(text(&made.stderr).starts_with("pipeline: scanner until 2"), "{}", text(&made.stderr));
    assert_exit(&both.there_as(&key, &["scan", "list"]), 0);
    let prefix = &key[8..16];
    let rotated = json(&both.there(&["key", "rotate", prefix, "--overlap", "1500ms", "--json"]));
    assert_eq!((&rotated["name"], &rotated["role"]), (&"pipeline".into(), &"scanner".into()), "{rotated}");
    let next = rotated["key"].as_str().unwrap().to_owned();
    assert_exit(&both.there_as(&next, &["scan", "list"]), 0);
    assert_eq!(both.said(&["key", "revoke", &next]), format!("{} is revoked\n", &next[8..16]));
    assert_exit(&both.there_as(&next, &["scan", "list"]), 2);

    assert_exit(&both.there(&site.submit(&["--wait"])), 1);
    let finding = first(&both.there(&["finding", "list", "--json"]), "fingerprint");
    let decide = ["finding", "decide", &finding, "--reason", "replaced in spring"];
    let decided = both.said(&[&decide[..], &["--verdict", "accepted", "--for", "90d"]].concat());
    assert!(decided.starts_with(&format!("{finding}: accepted until 2")), "{decided}");
    let shown = json(&both.here(&["finding", "show", &finding, "--json"]));
    assert_eq!(
        (&shown["life"], &shown["decided_because"]),
        (&"accepted".into(), &"replaced in spring".into())
    );
    assert!(shown["decided_by"].as_str().unwrap().starts_with("first (key "), "{shown}");
    let decided = json(&both.there(&[&decide[..], &["--verdict", "false-positive", "--json"]].concat()));
    assert_eq!(decided[0]["life"], "false_positive");
    both.up.end();
}

#[test]
fn tasks_are_cancelled_brought_back_and_forgotten_there() {
    let both = Both::start(&["--concurrency", "1"]);
    assert_exit(&both.here(&["task", "exercise", "--count", "4", "--hold", "1h"]), 0);
    wait_for(both.path(), "running", 1);
    let listed = json(&both.there(&["task", "list", "--state", "queued", "--json"]));
    let id = listed[0]["id"].as_str().unwrap();
    let one = json(&both.there(&["task", "cancel", id, "--json"]));
    assert_eq!(one, document!({ "cancelled": 1, "asked_to_stop": 0 }));
    let others = json(&both.there(&["task", "cancel", "--stage", "exercise", "--json"]));
    // Its worker may have heard of it before it is asked who is still at work.
    let count = |word: &str| others[word].as_u64().unwrap();
    assert_eq!(count("cancelled") + count("asked_to_stop"), 3, "{others}");
    assert!(count("asked_to_stop") <= 1, "{others}");
    wait_for(both.path(), "cancelled", 4);

    // A report of no scan dies at once.
    let database = both.path().join("rampart-data/rampart.db");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = store::Store::open(&store::Location::Sqlite(database)).await.unwrap();
        let tenant = store.tenant_named("default").await.unwrap().id;
        let dead = (0..3).map(|_| model::NewTask::new(model::Work::Report)).collect();
        store.enqueue(tenant, dead).await.unwrap();
    });
    let until_dead = |redriven: u64| {
        let deadline = Instant::now() + PATIENCE;
        let list = ["task", "list", "--stage", "report", "--state", "dead", "--json"];
        let times = || -> Vec<u64> {
            let listed: Value = json(&both.there(&list));
            listed.as_array().unwrap().iter().map(|task| task["redriven"].as_u64().unwrap()).collect()
        };
        while times() != [redriven; 3] {
            assert!(Instant::now() < deadline, "they do not die");
        }
    };
    until_dead(0);
    let redrive = ["task", "redrive", "--stage", "report", "--json"];
    assert_eq!(json(&both.there(&redrive)), document!({ "redriven": 3, "left": 0 }));
    until_dead(1);
    let begun = Instant::now();
    let slowly = both.said(&["task", "redrive", "--all", "--rate", "2"]);
    assert_eq!(slowly, "redriven: 3\n");
    assert!(begun.elapsed() >= Duration::from_secs(1), "two and one");
    until_dead(2);
    let purged = both.said(&["task", "purge", "--stage", "report", "--older-than", "1ms"]);
    assert_eq!(purged, "purged: 3\n");
    assert_eq!(
        json(&both.there(&["task", "purge", "--older-than", "1ms", "--json"])),
        document!({ "purged": 4 })
    );
    assert_eq!(json(&both.here(&["task", "list", "--json"])), document!([]));
    both.up.end();
}
