//! Servers that want to hold or flood a scan: it ends, accounts for everything, says what it could not see, and stays small.

mod allowance;
mod servers;

use std::{
    collections::BTreeMap,
    io::Read,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use self::servers::{HostileServer, Malice};
use crate::run::{assert_balances, rampart, report};

const MOST_MEMORY: u64 = 150 << 20;
/// Far beyond every deadline that the scans are given: only a scan that hangs gets here.
const HANGS: Duration = Duration::from_secs(180);

struct Endured {
    report: Value,
    exit: i32,
    said: String,
}

/// Scans one hostile server with small deadlines.
#[track_caller]
fn endure(malice: Malice, target: impl Fn(&HostileServer) -> String, options: &[&str]) -> Endured {
    endure_within(["400ms", "6s"], malice, target, options)
}

#[track_caller]
fn endure_within(
    [request, host]: [&str; 2],
    malice: Malice,
    target: impl Fn(&HostileServer) -> String,
    options: &[&str],
) -> Endured {
    let server = HostileServer::start(malice);
    let directory = tempfile::tempdir().unwrap();
    let mut child = rampart(directory.path())
        .args(["scan", &target(&server), "--timeout", request, "--host-deadline", host])
        .args(options)
        .args(["--output", "out", "--format", "json", "--quiet"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (exit, memory) = watch(&mut child);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(memory > 0, "the scan was over before its memory could be read");
    assert!(memory < MOST_MEMORY, "{} MiB of memory", memory >> 20);
    let report = report(&directory.path().join("out/report.json"));
    if report["summary"]["ledger"].as_object().is_some_and(|ledger| !ledger.is_empty()) {
        assert_balances(&report);
    }
    Endured { report, exit, said }
}

/// Waits for the end; exit code and the most memory that was resident at one time.
#[track_caller]
fn watch(child: &mut Child) -> (i32, u64) {
    let begun = Instant::now();
    let mut most = 0;
    loop {
        most = most.max(high_water_mark(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code().expect("the scan was not killed"), most);
        }
        if begun.elapsed() > HANGS {
            child.kill().unwrap();
            panic!("the scan did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// VmHWM of proc(5).
fn high_water_mark(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

fn url(server: &HostileServer) -> String {
    format!("http://{}/", server.address)
}

fn endpoint(server: &HostileServer) -> String {
    server.address.to_string()
}

/// How pairs ended, over all checks: `matched`, `not_matched`, `failed timed_out` ….
fn ends(report: &Value) -> BTreeMap<String, u64> {
    let mut ends = BTreeMap::new();
    for account in report["summary"]["ledger"].as_object().unwrap().values() {
        for key in ["matched", "not_matched"] {
            *ends.entry(key.to_owned()).or_default() += account[key].as_u64().unwrap();
        }
        for key in ["failed", "skipped"] {
            for (reason, count) in account[key].as_object().into_iter().flatten() {
                *ends.entry(format!("{key} {reason}")).or_default() += count.as_u64().unwrap();
            }
        }
    }
    ends.retain(|_, count| *count > 0);
    ends
}

/// Where no answer could be had nothing is "not matched": all checks failed, for one of these reasons, or were not tried.
#[track_caller]
fn assert_blind(endured: &Endured, reasons: &[&str]) {
    let ends = ends(&endured.report);
    let not_tried = ["skipped host_unresponsive", "skipped deadline", "failed deadline"];
    let unexpected: Vec<_> = ends
        .keys()
        .filter(|end| !reasons.contains(&end.as_str()) && !not_tried.contains(&end.as_str()))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?} in {ends:?}\n{}", endured.said);
    assert!(reasons.iter().any(|reason| ends.contains_key(*reason)), "{ends:?}");
    assert_eq!(endured.exit, 3, "{}", endured.said);
    assert_ne!(endured.report["summary"]["undetermined_count"], 0);
    assert!(endured.report["findings"].as_array().unwrap().is_empty());
}

#[test]
fn silence() {
    let endured = endure(servers::silent, url, &["--stages", "crawl,check"]);
    assert_blind(&endured, &["failed timed_out"]);
}

#[test]
fn a_head_that_trickles() {
    let endured = endure(servers::slow_head, url, &["--stages", "crawl,check"]);
    assert_blind(&endured, &["failed timed_out"]);
}

#[test]
fn a_body_that_trickles() {
    let endured = endure(servers::slow_body, url, &["--stages", "crawl,check"]);
    assert_blind(&endured, &["failed timed_out"]);
}

#[test]
fn one_lost_answer_blinds_no_check() {
    let endured = endure(servers::deaf_at_first, url, &["--stages", "check"]);
    let ends = ends(&endured.report);
    assert_eq!(
        ends.keys().filter(|end| end.starts_with("failed") || end.starts_with("skipped")).count(),
        0,
        "{ends:?}\n{}",
        endured.said
    );
}

#[test]
fn resets() {
    let endured = endure(servers::reset, url, &["--stages", "crawl,check"]);
    assert_blind(&endured, &["failed reset"]);
}

#[test]
fn connections_closed_without_an_answer() {
    let endured = endure(servers::close, url, &["--stages", "crawl,check"]);
    assert_blind(&endured, &["failed reset", "failed protocol"]);
}

#[test]
fn a_head_without_an_end() {
    let endured = endure(servers::endless_head, url, &["--stages", "crawl,check"]);
    assert_blind(&endured, &["failed protocol"]);
}

/// What can be seen of such a server is judged; what there was no time for is said.
#[track_caller]
fn assert_seen(endured: &Endured) {
    let ends = ends(&endured.report);
    let looked = ends.get("matched").unwrap_or(&0) + ends.get("not_matched").unwrap_or(&0);
    assert!(looked > 0, "{ends:?}\n{}", endured.said);
    let whole = ends.keys().all(|end| end == "matched" || end == "not_matched");
    let undetermined = endured.report["summary"]["undetermined_count"].as_u64().unwrap() > 0;
    match endured.exit {
        0 => assert!(whole && !undetermined, "{ends:?}\n{}", endured.said),
        1 => {}
        3 => assert!(undetermined, "{ends:?}\n{}", endured.said),
        other => panic!("exit code {other}: {}", endured.said),
    }
}

/// Time to reach the cap on a body's size, also when the machine is busy, with few requests, all under way at once.
const PATIENT: [&str; 2] = ["30s", "60s"];
const FEW: &[&str] =
    &["--stages", "crawl,check", "--only", "directory-listing,git-config,environment-file,sql-dump,phpinfo"];

/// What stands behind the part that is read nobody knows: these checks look at the body, and say so. Where the beginning has what
/// must not be there, that is enough to know.
#[track_caller]
fn assert_cut(endured: &Endured) {
    let ends = ends(&endured.report);
    let decided = ends.get("not_matched").copied().unwrap_or(0);
    assert_eq!(ends.values().sum::<u64>() - decided, ends["failed incomplete"], "{ends:?}\n{}", endured.said);
    assert!(decided <= 3, "three of them say what must not be there: {ends:?}\n{}", endured.said);
    assert_eq!(endured.exit, 3, "{}", endured.said);
}

#[test]
fn a_flood_for_every_check_is_endured_too() {
    for malice in [servers::endless_body as Malice, servers::endless_chunks, servers::gzip_bomb] {
        let endured = endure(malice, url, &["--stages", "crawl,check"]);
        let ends = ends(&endured.report);
        let known = [
            "matched",
            "not_matched",
            "failed incomplete",
            "failed timed_out",
            "failed deadline",
            "skipped deadline",
            "skipped host_unresponsive",
        ];
        assert!(ends.keys().all(|end| known.contains(&end.as_str())), "{ends:?}");
        let whole = ends.keys().all(|end| end == "matched" || end == "not_matched");
        assert!(whole || endured.exit != 0, "{ends:?}\n{}", endured.said);
    }
}

#[test]
fn a_body_without_an_end() {
    assert_cut(&endure_within(PATIENT, servers::endless_body, url, FEW));
}

#[test]
fn chunks_without_an_end() {
    assert_cut(&endure_within(PATIENT, servers::endless_chunks, url, FEW));
}

#[test]
fn redirects_without_an_end() {
    assert_seen(&endure(servers::endless_redirects, url, &["--stages", "crawl,check"]));
}

#[test]
fn links_without_an_end() {
    assert_seen(&endure(servers::endless_links, url, &["--stages", "crawl,check", "--pages", "200"]));
}

#[test]
fn a_gigabyte_of_zeros_in_gzip() {
    assert_cut(&endure_within(PATIENT, servers::gzip_bomb, url, FEW));
}

#[test]
fn services_that_cannot_be_made_out() {
    for malice in [servers::silent as Malice, servers::endless_greeting, servers::reset, servers::slow_head] {
        let endured = endure(malice, endpoint, &["--stages", "ports,crawl,check"]);
        let services: Vec<&Value> = endured.report["assets"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|asset| asset["kind"] == "service")
            .collect();
        assert!(services.len() <= 1, "{services:?}");
        assert!(matches!(endured.exit, 0 | 3), "exit code {}: {}", endured.exit, endured.said);
    }
}
