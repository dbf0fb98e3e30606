//! What the platform forgets when it is told to, and what an operator sees of that.

use std::{path::Path, time::Instant};

use serde_json::Value;

use crate::{
    platform::{PATIENCE, Up, json, reports_of, run},
    run::{assert_exit, text},
};

fn submit(directory: &Path) -> String {
    let submit = ["scan", "submit", "127.0.0.1:9", "--stages", "ports", "--wait", "--json"];
    json(&run(directory, &submit))["id"].as_str().unwrap().to_owned()
}

fn scans(directory: &Path) -> Vec<String> {
    let listed = json(&run(directory, &["scan", "list", "--json"]));
    let ids = listed.as_array().unwrap().iter().map(|scan| scan["id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[test]
fn old_scans_are_forgotten_with_their_reports_but_for_the_last() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let up = Up::start(directory, &[]);
    let (first, second) = (submit(directory), submit(directory));
    assert_exit(&run(directory, &["scan", "diff", &second]), 0);
    up.end();
    // Without being told to, the next start forgets nothing.
    let up = Up::start(directory, &[]);
    let third = submit(directory);
    up.end();
    assert_eq!(scans(directory), [third.as_str(), second.as_str(), first.as_str()]);
    let reports = [&first, &second, &third].map(|scan| reports_of(directory, scan));
    std::fs::write(directory.join("rampart.toml"), "keep_scans = '1ms'\n").unwrap();
    let up = Up::start(directory, &[]);
    let deadline = Instant::now() + PATIENCE;
    while scans(directory).len() > 1 || reports[0].exists() || reports[1].exists() {
        assert!(Instant::now() < deadline, "they are still there: {:?}", scans(directory));
    }
    assert_eq!(scans(directory), [third.as_str()]);
    assert!(reports[2].join("report.html").is_file());
    let shown = run(directory, &["scan", "show", &first]);
    assert_exit(&shown, 2);
    assert!(text(&shown.stderr).contains(&format!("there is no scan `{first}`")), "{}", text(&shown.stderr));
    let compared = run(directory, &["scan", "diff", &third]);
    assert_exit(&compared, 2);
    let says = format!("scan {second}, the one before scan {third}, is forgotten");
    assert!(text(&compared.stderr).contains(&says), "{}", text(&compared.stderr));
    let tasks = json(&run(directory, &["task", "list", "--json", "--scan", &second]));
    assert_eq!(tasks, Value::Array(Vec::new()));
    up.end();
    std::fs::write(directory.join("rampart.toml"), "keep_scans = 'soon'\n").unwrap();
    let refused = run(directory, &["scan", "list"]);
    assert_exit(&refused, 2);
    assert!(text(&refused.stderr).contains("keep_scans: `soon` is not a time"), "{}", text(&refused.stderr));
}
