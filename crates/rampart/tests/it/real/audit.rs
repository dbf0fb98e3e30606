//! A scan with the built binary, compared with what was written down.

use std::{ffi::OsStr, path::Path};

use serde_json::Value;

use super::ground::Ground;
use crate::run::{assert_balances, assert_exit, findings, rampart, report, text};

/// What a scan came to, with the addresses written as in the expectations.
pub(super) struct Audit {
    /// `check location`, sorted.
    pub(super) findings: Vec<String>,
    /// `host:port protocol product version`, `-` where the service does not tell, sorted.
    pub(super) services: Vec<String>,
    /// Every name that was found, sorted.
    pub(super) names: Vec<String>,
    /// The whole report.
    pub(super) report: Value,
}

/// Runs `rampart scan` and holds it to what is true of every scan of healthy servers: it ends with findings, everything is
/// accounted for and nothing is left undetermined.
#[track_caller]
pub(super) fn scan(ground: &Ground, arguments: &[&dyn AsRef<OsStr>]) -> Audit {
    judge(ground, 1, false, arguments)
}

/// The same, of the ports and services of this ground's first hosts.
#[track_caller]
pub(super) fn scan_hosts(ground: &Ground, hosts: u8, ports: &str) -> Audit {
    let addresses: Vec<String> = (1..=hosts).map(|number| ground.address(number).to_string()).collect();
    let mut arguments: Vec<&dyn AsRef<OsStr>> = vec![&"--ports", &ports, &"--stages", &"ports,check"];
    arguments.extend(addresses.iter().map(|address| address as &dyn AsRef<OsStr>));
    scan(ground, &arguments)
}

/// The same of a scan that ends without a finding.
#[track_caller]
pub(super) fn clean_scan(ground: &Ground, arguments: &[&dyn AsRef<OsStr>]) -> Audit {
    judge(ground, 0, false, arguments)
}

/// The same where something can rightly not be found out.
#[track_caller]
pub(super) fn undetermined_scan(ground: &Ground, arguments: &[&dyn AsRef<OsStr>]) -> Audit {
    let audit = judge(ground, 1, true, arguments);
    assert_ne!(audit.report["summary"]["undetermined_count"], 0);
    audit
}

#[track_caller]
fn judge(ground: &Ground, code: i32, undetermined: bool, arguments: &[&dyn AsRef<OsStr>]) -> Audit {
    let directory = tempfile::tempdir().unwrap();
    let output = rampart(directory.path())
        .arg("scan")
        .args(arguments.iter().map(|argument| argument.as_ref()))
        // Findings of every severity count.
        .args(["--fail-on", "info", "--output", "out", "--format", "json"])
        .output()
        .unwrap();
    assert_exit(&output, code);
    let neutral = ground.neutral(&std::fs::read_to_string(directory.path().join("out/report.json")).unwrap());
    let path = directory.path().join("neutral.json");
    std::fs::write(&path, neutral).unwrap();
    let report = report(&path);
    if report["assets"].as_array().is_some_and(|assets| !assets.iter().all(|asset| asset["kind"] == "host")) {
        assert_balances(&report);
    }
    if !undetermined {
        assert_eq!(report["summary"]["undetermined_count"], 0, "{}", text(&output.stderr));
    }
    assert_eq!(report["summary"]["complete"], true);
    for finding in report["findings"].as_array().unwrap() {
        let evidence = finding["evidence"].as_array().unwrap();
        assert!(!evidence.is_empty(), "a finding without evidence: {finding}");
        assert!(finding["reproduce"].as_str().unwrap().starts_with("rampart scan "), "{finding}");
    }
    let assets = report["assets"].as_array().unwrap();
    let of_kind = |kind: &'static str| assets.iter().filter(move |asset| asset["kind"] == kind);
    let mut services: Vec<String> = of_kind("service").map(service).collect();
    services.sort();
    let mut names: Vec<String> =
        of_kind("domain").map(|asset| asset["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    Audit { findings: findings(&report), services, names, report }
}

fn service(asset: &Value) -> String {
    let told = |key: &str| asset[key].as_str().unwrap_or("-").to_owned();
    let endpoint = &asset["endpoint"];
    let host = endpoint["name"].as_str().or(endpoint["address"].as_str()).unwrap();
    let tls = if asset["tls"].is_object() { "+tls" } else { "" };
    format!("{host}:{} {}{tls} {} {}", endpoint["port"], told("protocol"), told("product"), told("version"))
}

impl Audit {
    /// Exactly what `expected/<case>.txt` says: what is missing and what is too much are both told.
    #[track_caller]
    pub(super) fn assert_findings(&self, case: &str) {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/real/expected").join(format!("{case}.txt"));
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut expected: Vec<&str> =
            text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        expected.sort_unstable();
        let found: Vec<&str> = self.findings.iter().map(String::as_str).collect();
        let missed: Vec<&&str> = expected.iter().filter(|line| !found.contains(line)).collect();
        let too_much: Vec<&&str> = found.iter().filter(|line| !expected.contains(line)).collect();
        assert!(
            missed.is_empty() && too_much.is_empty(),
            "{case}:\nnot found: {missed:#?}\nnot expected: {too_much:#?}"
        );
        assert_eq!(found, expected, "{case}: one is reported twice");
    }

    #[track_caller]
    pub(super) fn assert_services(&self, expected: &[&str]) {
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(self.services, expected);
    }

    /// The values that a finding of a check shows.
    #[track_caller]
    pub(super) fn extracted(&self, check: &str, key: &str) -> Vec<String> {
        let all = self.report["findings"].as_array().unwrap();
        let finding = all
            .iter()
            .find(|finding| finding["check"] == check)
            .unwrap_or_else(|| panic!("no finding of {check}"));
        let values = finding["extracted"][key].as_array().cloned().unwrap_or_default();
        values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
    }
}

/// The version of an installed Debian package without its revision, such as `7.0.15` for `5:7.0.15-1~deb12u10`.
#[track_caller]
pub(super) fn package_version(package: &str) -> String {
    let output =
        std::process::Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]).output().unwrap();
    let version = text(&output.stdout);
    let version = version.split_once(':').map_or(version.as_str(), |(_, version)| version);
    let version = version.split(['-', '+', '~']).next().unwrap_or_default().to_owned();
    assert!(
        !version.is_empty(),
        "{package} is not installed: apt-get install --no-install-recommends {package}"
    );
    version
}
