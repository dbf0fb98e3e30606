//! Scans that may cost only so much.

use super::{Up, json, reports_of, run};
use crate::run::{assert_exit, report, text};

#[test]
fn a_scan_that_may_cost_so_much_needs_a_price_and_ends_when_it_has_cost_that() {
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path(), &["--concurrency", "1"]);
    for refused in [
        &["scan", "submit", "127.0.0.1", "--most-cost", "2.50"][..],
        &["schedule", "create", "s", "127.0.0.1", "--every", "6h", "--most-cost", "2.50"],
    ] {
        let output = run(directory.path(), refused);
        assert_exit(&output, 2);
        let says = text(&output.stderr);
        assert!(says.contains("--price-per-worker-hour or RAMPART_PRICE_PER_WORKER_HOUR"), "{says}");
    }
    for (amount, says) in [("2,50", "such as 2.50"), ("0", "more than 0"), ("0.0000001", "decimals")] {
        let output = run(directory.path(), &["scan", "submit", "127.0.0.1", "--most-cost", amount]);
        assert_exit(&output, 2);
        assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
    }

    std::fs::write(directory.path().join("rampart.toml"), "price_per_worker_hour = '1000000'\n").unwrap();
    // Of two units that one worker does one after the other: less than a tenth of a millisecond is paid for.
    let submit = ["scan", "submit", "127.0.0.1:1", "127.0.0.2:1", "--stages", "ports", "--wait", "--json"];
    let output = run(directory.path(), &[&submit[..], &["--most-cost", "0.02"]].concat());
    assert_exit(&output, 3);
    let record = json(&output);
    assert_eq!((&record["end"], &record["exhausted"]), (&"budget".into(), &"cost".into()), "{record}");
    assert_eq!(record["open_tasks"], 0, "{record}");
    let cost: f64 = record["cost"].as_str().unwrap().parse().unwrap();
    assert!(cost >= 0.02, "{record}");
    let scan = record["id"].as_str().unwrap();
    let shown = run(directory.path(), &["scan", "show", scan]);
    let shown = text(&shown.stdout);
    assert!(shown.contains(" of at most 0.02, at 1000000.00 an hour"), "{shown}");
    let written = report(&reports_of(directory.path(), scan).join("report.json"));
    assert_eq!(written["summary"]["incomplete_because"], "its budget of money was used up", "{written}");

    // What it costs is told without a budget, too, and counts no further than that.
    let output = run(directory.path(), &submit);
    let record = json(&output);
    assert_eq!(record["end"], "complete", "{record}");
    assert!(record["cost"].as_str().unwrap().parse::<f64>().unwrap() > 0.0, "{record}");
    up.end();
}
