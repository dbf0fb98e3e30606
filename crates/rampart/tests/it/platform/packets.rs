//! Scans that may send only so much.

use serde_json::Value;
use testkit::http::{HttpServer, ok};
use tokio::task::block_in_place;

use super::{Up, json, run};
use crate::run::assert_exit;

fn ended_for_packets(record: &Value) -> bool {
    record["end"] == "budget" && record["exhausted"] == "packets" && record["open_tasks"] == 0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_sends_no_more_than_it_may_and_says_that_it_ended_for_that() {
    const MOST: u64 = 90;
    let directory = tempfile::tempdir().unwrap();
    let mut sites = Vec::new();
    for _ in 0..8 {
        sites.push(HttpServer::start(|_| ok("<p>hello")).await);
    }
    let up = block_in_place(|| Up::start(directory.path(), &[]));
    let urls: Vec<String> = sites.iter().map(|site| format!("http://{}/", site.address())).collect();
    let most = MOST.to_string();
    let mut submit = vec!["scan", "submit", "--stages", "check", "--wait", "--json", "--most-packets", &most];
    submit.extend(urls.iter().map(String::as_str));
    let output = block_in_place(|| run(directory.path(), &submit));
    assert_exit(&output, 3);
    let record = json(&output);
    assert!(ended_for_packets(&record), "{record}");
    let arrived: u64 = sites.iter().map(|site| site.seen().len() as u64).sum();
    let told = record["traffic"]["requests"].as_u64().unwrap();
    assert!(arrived <= MOST && told <= MOST && arrived > MOST / 2, "{arrived} of {told} arrived: {record}");

    // Far more probes than that are begun at once where there is no budget.
    let submit =
        ["scan", "submit", "127.0.0.1", "--stages", "ports", "--ports", "1-20000", "--wait", "--json"];
    let output =
        block_in_place(|| run(directory.path(), &[&submit[..], &["--most-packets", "500"]].concat()));
    assert_exit(&output, 3);
    let record = json(&output);
    assert!(ended_for_packets(&record), "{record}");
    let probes = record["traffic"]["probes"].as_u64().unwrap();
    assert!((250..=500).contains(&probes), "{record}");

    // What is enough is no limit.
    let submit =
        ["scan", "submit", "127.0.0.1:1", "--stages", "ports", "--wait", "--json", "--most-packets", "1000"];
    let record = json(&block_in_place(|| run(directory.path(), &submit)));
    assert_eq!(record["end"], "complete", "{record}");
    block_in_place(|| up.end());
}
