//! The caps, counted where the requests arrive.

mod arrivals;
mod name_server;
mod processes;
mod web;

use std::path::Path;

use self::{
    arrivals::busiest_second,
    name_server::CountingNameServer,
    web::{Count, CountingServers, WATCHED},
};
use crate::run::{assert_balances, rampart, report, text};

struct Caps {
    requests: Option<usize>,
    requests_per_host: Option<usize>,
    connections: Option<usize>,
    connections_per_host: Option<usize>,
}

/// Scans `hosts` web servers for a while under these options and holds what arrived to the caps.
#[track_caller]
fn hold(hosts: u8, options: &[&str], caps: &Caps) {
    let servers = CountingServers::start(hosts, 1);
    let urls: Vec<String> = servers.addresses.iter().map(|address| format!("http://{address}/")).collect();
    let directory = tempfile::tempdir().unwrap();
    let output = rampart(directory.path())
        .arg("scan")
        .args(&urls)
        .args(options)
        .args(["--output", "out", "--format", "json", "--contact", "security@acme.test"])
        .args(["--deadline", &format!("{}s", WATCHED.as_secs())])
        .output()
        .unwrap();
    let count = servers.count();
    assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{}", text(&output.stderr));
    let report = report(&directory.path().join("out/report.json"));
    assert_balances(&report);
    assert_user_agent(&count, report["summary"]["scan"].as_str().unwrap());
    assert!(count.requests.len() > 20, "only {} requests arrived", count.requests.len());

    let busiest = busiest_second(count.requests.iter().map(|request| request.arrived));
    let busiest_host = (0..usize::from(hosts))
        .map(|host| {
            busiest_second(
                count.requests.iter().filter(|request| request.host == host).map(|request| request.arrived),
            )
        })
        .max()
        .unwrap();
    let open_of_host = *count.open_of_host.iter().max().unwrap();
    let within = |what: &str, measured: usize, cap: Option<usize>| {
        if let Some(cap) = cap {
            assert!(measured <= cap, "{options:?}: {measured} {what}, the cap is {cap}");
        }
    };
    within("requests in a second", busiest, caps.requests);
    within("requests in a second at one address", busiest_host, caps.requests_per_host);
    within("open connections", count.open, caps.connections);
    within("open connections at one address", open_of_host, caps.connections_per_host);
}

/// One honest User-Agent: product, version, the scan, who to ask.
#[track_caller]
fn assert_user_agent(count: &Count, scan: &str) {
    let wanted = format!("rampart/{} (security scan {scan}; security@acme.test)", env!("CARGO_PKG_VERSION"));
    for request in &count.requests {
        let agents: Vec<&str> = request
            .head
            .lines()
            .filter_map(|line| {
                line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("user-agent"))
            })
            .map(|(_, value)| value)
            .collect();
        assert_eq!(agents, [wanted.as_str()], "{}", request.head);
    }
}

const NONE: Caps =
    Caps { requests: None, requests_per_host: None, connections: None, connections_per_host: None };

#[test]
fn requests_in_all_are_capped() {
    hold(3, &["--rate", "40"], &Caps { requests: Some(40), ..NONE });
}

#[test]
fn requests_to_one_address_are_capped_also_when_many_share_the_rate() {
    let options = ["--rate", "60", "--host-rate", "25"];
    hold(5, &options, &Caps { requests: Some(60), requests_per_host: Some(25), ..NONE });
}

#[test]
fn a_single_host_gets_no_more_than_its_share() {
    hold(
        1,
        &["--rate", "500", "--host-rate", "30"],
        &Caps { requests: Some(500), requests_per_host: Some(30), ..NONE },
    );
}

#[test]
fn open_connections_are_capped() {
    let options = ["--connections", "3", "--host-connections", "2", "--rate", "400"];
    let caps = Caps { requests: Some(400), connections: Some(3), connections_per_host: Some(2), ..NONE };
    hold(3, &options, &caps);
}

#[test]
fn a_single_connection_is_enough() {
    let options = ["--connections", "1", "--host-rate", "100"];
    let caps =
        Caps { requests_per_host: Some(100), connections: Some(1), connections_per_host: Some(1), ..NONE };
    hold(2, &options, &caps);
}

#[test]
fn without_options_the_profile_caps() {
    hold(2, &[], &Caps { requests_per_host: Some(200), connections_per_host: Some(16), ..NONE });
}

#[test]
fn no_option_raises_what_the_scope_file_caps() {
    let directory = tempfile::tempdir().unwrap();
    let scope = directory.path().join("scope.toml");
    let text = "authorised_by = \"the tests\"\nnetworks = [\"127.0.0.0/8\"]\n[limits]\nrequests_per_second = 50\n\
                requests_per_second_per_host = 20\nconnections = 4\nconnections_per_host = 2\n";
    std::fs::write(&scope, text).unwrap();
    let scope = scope.to_str().unwrap();
    let options = [
        "--scope",
        scope,
        "--rate",
        "1000",
        "--host-rate",
        "1000",
        "--connections",
        "500",
        "--host-connections",
        "500",
    ];
    let caps = Caps {
        requests: Some(50),
        requests_per_host: Some(20),
        connections: Some(4),
        connections_per_host: Some(2),
    };
    hold(4, &options, &caps);
}

/// Probes are counted as they connect.
#[test]
fn port_probes_are_capped() {
    let servers = CountingServers::start(1, 120);
    let ports: Vec<String> = servers.addresses.iter().map(|address| address.port().to_string()).collect();
    let directory = tempfile::tempdir().unwrap();
    let arguments = [
        "--ports",
        &ports.join(","),
        "--probe-rate",
        "40",
        "--stages",
        "ports",
        "--no-identify",
        "--output",
        "out",
    ];
    let target = servers.addresses[0].ip().to_string();
    let output = rampart(directory.path())
        .args(["scan", &target, "--format", "json"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let count = servers.count();
    let report = report(&directory.path().join("out/report.json"));
    let open = report["assets"][0]["ports"]["open"].as_array().unwrap();
    assert_eq!(open.len(), ports.len(), "every port was open");
    // On the machine's own ports each open one is asked twice: the first answer could have been the scan's own socket.
    assert!(
        (ports.len()..=2 * ports.len()).contains(&count.accepted.len()),
        "{} connections",
        count.accepted.len()
    );
    assert!(count.requests.is_empty(), "a probe says nothing");
    let busiest = busiest_second(count.accepted);
    assert!(busiest <= 40, "{busiest} probes in a second, the cap is 40");
}

fn queries(directory: &Path, options: &[&str]) -> usize {
    let server = CountingNameServer::start();
    let words: String = (0..150).map(|number| format!("word{number}\n")).collect();
    std::fs::write(directory.join("words.txt"), words).unwrap();
    let resolver = server.address.to_string();
    let output = rampart(directory)
        .args(["scan", "acme.test", "--stages", "discover", "--words", "words.txt", "--resolver", &resolver])
        .args(options)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let arrivals = server.count();
    assert!(arrivals.len() > 150, "only {} queries arrived", arrivals.len());
    busiest_second(arrivals)
}

#[test]
fn queries_are_capped_by_the_option_and_by_the_scope_file() {
    let directory = tempfile::tempdir().unwrap();
    let busiest = queries(directory.path(), &["--query-rate", "60"]);
    assert!(busiest <= 60, "{busiest} queries in a second, the cap is 60");
    let scope = "authorised_by = \"the tests\"\nnames = [\"acme.test\", \"*.acme.test\"]\nnetworks = [\"127.0.0.0/8\"]\n\
                 [limits]\nqueries_per_second = 80\n";
    std::fs::write(directory.path().join("scope.toml"), scope).unwrap();
    let busiest = queries(directory.path(), &["--query-rate", "5000", "--scope", "scope.toml"]);
    assert!(busiest <= 80, "{busiest} queries in a second, the scope file's cap is 80");
}
