//! What one task may hold and give back, on a platform that works on others at the same time.

use serde_json::Value;

use super::{
    ends,
    servers::{self, HostileServer},
    url,
};
use crate::{
    platform::{Up, json, reports_of, run},
    run::{assert_balances, report},
};

const MOST_HELD: u64 = 1 << 20;

/// Submits a scan of a server, and waits for its record and its report.
#[track_caller]
fn scan(directory: &std::path::Path, server: &HostileServer, stages: &str) -> (i32, Value, Value) {
    let submit =
        ["scan", "submit", &url(server), "--stages", stages, "--profile", "quick", "--wait", "--json"];
    let output = run(directory, &submit);
    let record = json(&output);
    assert_eq!((&record["end"], &record["dead_tasks"]), (&"complete".into(), &0.into()), "{record}");
    let written = report(&reports_of(directory, record["id"].as_str().unwrap()).join("report.json"));
    if stages.contains("check") {
        assert_balances(&written);
    }
    (output.status.code().unwrap(), record, written)
}

fn undetermined(report: &Value) -> Vec<&str> {
    report["summary"]["undetermined"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn a_site_that_sends_without_end_takes_its_own_allowance_and_nobody_elses() {
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &["--task-memory", "1MiB"]);
    let (flood, small) =
        (HostileServer::start(servers::endless_body), HostileServer::start(servers::missing));
    std::thread::scope(|both| {
        let of_flood = both.spawn(|| scan(directory.path(), &flood, "crawl,check"));
        let of_small = both.spawn(|| scan(directory.path(), &small, "crawl,check"));
        let (exit, record, flooded) = of_flood.join().unwrap();
        assert_eq!(exit, 3, "nothing could be found out: {record}");
        let ended = ends(&flooded);
        assert!(ended["failed memory"] > 100, "{ended:?}");
        // But for checks that want no more than the beginning of an answer.
        assert!(ended.get("not_matched").unwrap_or(&0) * 50 < ended["failed memory"], "{ended:?}");
        let said = undetermined(&flooded);
        assert!(said.iter().any(|why| why.contains(&format!("may hold {MOST_HELD} bytes"))), "{said:?}");
        let held = record["traffic"]["most_held_bytes"].as_u64().unwrap();
        assert!((MOST_HELD / 4..=MOST_HELD).contains(&held), "{held}");

        let (_, record, quiet) = of_small.join().unwrap();
        let ended = ends(&quiet);
        assert!(!ended.contains_key("failed memory") && ended["not_matched"] > 100, "{ended:?}");
        assert!(record["traffic"]["most_held_bytes"].as_u64().unwrap() < MOST_HELD / 4, "{record}");
    });
    up.end();
}

#[test]
fn what_a_task_may_not_give_back_is_counted_and_said() {
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &["--task-output", "64KiB"]);
    let server = HostileServer::start(servers::long_forms);
    let (exit, record, written) = scan(directory.path(), &server, "crawl");
    assert_eq!(exit, 3, "{record}");
    let said = undetermined(&written);
    let [more] = said.as_slice() else { panic!("{said:?}") };
    let (_, missing) = more.split_once("65536 bytes in all), and is left out: ").unwrap();
    let missing: u64 = missing.strip_suffix(" assets").unwrap().parse().unwrap();
    // The forms, and the page on which they are.
    assert_eq!(record["assets"].as_u64().unwrap() + missing, servers::LONG_FORMS as u64 + 1, "{record}");
    assert!(missing > 0 && missing < servers::LONG_FORMS as u64, "{more}");
    up.end();
}
