//! A simulated day from the command line.

use serde_json::Value;
use testkit::tools::root;

use crate::run::{assert_exit, rampart, text};

const SMALL: &[&str] =
    &["simulate", "--requests", "600", "--hours", "2", "--tenants", "5", "--workers", "80"];
const DISTURBED: &[&str] = &["--flood", "400@45m", "--lose-nodes", "1@1h"];

/// What is printed and what is drawn.
fn simulated(disturbances: &[&str], more: &[&str]) -> (String, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = rampart(directory.path());
    let output =
        command.args(SMALL).args(disturbances).args(["--svg", "day.svg"]).args(more).output().unwrap();
    assert_exit(&output, 0);
    assert_eq!(text(&output.stderr), "");
    (text(&output.stdout), std::fs::read_to_string(directory.path().join("day.svg")).unwrap())
}

#[test]
fn the_same_seed_has_the_same_result_to_the_byte_and_another_seed_another() {
    let first = simulated(DISTURBED, &["--json", "--seed", "7"]);
    assert_eq!(simulated(DISTURBED, &["--json", "--seed", "7"]), first);
    let other = simulated(DISTURBED, &["--json", "--seed", "8"]);
    assert!(other.0 != first.0 && other.1 != first.1);
}

#[test]
fn the_options_make_the_day() {
    let (json, svg) = simulated(
        DISTURBED,
        &[
            "--json",
            "--peak",
            "500",
            "--service-median",
            "1m",
            "--service-p95",
            "5m",
            "--price-per-worker-hour",
            "0.2",
        ],
    );
    let day: Value = serde_json::from_str(&json).unwrap();
    for (pointer, wanted) in [
        ("/scenario/requests", 600.into()),
        ("/scenario/day_seconds", 7_200.0.into()),
        ("/scenario/tenants", 5.into()),
        ("/scenario/peak_an_hour", 500.into()),
        ("/scenario/workers/most", 80.into()),
        ("/scenario/service/median_seconds", 60.0.into()),
        ("/scenario/service/p95_seconds", 300.0.into()),
        ("/scenario/flood/count", 400.into()),
        ("/scenario/flood/at_seconds", 2_700.0.into()),
        ("/scenario/loss/count", 1.into()),
        ("/scenario/seed", 1.into()),
        ("/tasks/completed", 1_000.into()),
        ("/tasks/lost", 0.into()),
        ("/tasks/doubled", 0.into()),
        ("/waiting/others/requests", 600.into()),
        ("/waiting/flood/requests", 400.into()),
    ] {
        assert_eq!(day.pointer(pointer), Some::<&Value>(&wanted), "{pointer}");
    }
    let (hours, cost) = (day["workers"]["hours"].as_f64().unwrap(), day["workers"]["cost"].as_f64().unwrap());
    assert!((cost - 0.2 * hours).abs() < 0.01, "{hours} hours cost {cost}");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("flood of 400"));
}

/// They are drawn by chance, and the same chance draws them again.
#[test]
fn the_pictures_of_the_guide_are_what_is_drawn() {
    for (pace, picture) in [("fast", "scaling.svg"), ("slow", "scaling-slow.svg")] {
        let directory = tempfile::tempdir().unwrap();
        let mut command = rampart(directory.path());
        let output = command.args(["simulate", "--pace", pace, "--svg", picture]).output().unwrap();
        assert_exit(&output, 0);
        let drawn = std::fs::read_to_string(directory.path().join(picture)).unwrap();
        let shown = std::fs::read_to_string(root().join("docs/images").join(picture)).unwrap();
        let again = format!("rampart simulate --pace {pace} --svg docs/images/{picture}");
        assert!(drawn == shown, "{picture} is an older one, draw it again: {again}");
    }
}

#[test]
fn the_table_is_for_people() {
    let (table, _) = simulated(DISTURBED, &[]);
    for wanted in [
        "Waiting, from the request until a worker begins",
        "completed     1,000 of 1,000",
        "0 lost, 0 doubled",
    ] {
        assert!(table.contains(wanted), "no `{wanted}` in {table}");
    }
    let (table, svg) = simulated(&["--flood", "none", "--lose-nodes", "none"], &[]);
    assert!(!table.contains("flood") && !svg.contains("flood"), "{table}");
    assert!(table.contains("completed     600 of 600"), "{table}");
}
