use std::time::Duration;

use model::Endpoint;

use super::*;

fn identify(address: &str, port: u16) -> Unit {
    Unit::Identify(Endpoint { name: None, address: address.parse().unwrap(), port })
}

#[tokio::test(start_paused = true)]
async fn a_hosts_time_runs_from_its_first_unit_to_its_last() {
    const LIMIT: Duration = Duration::from_secs(60);
    let mut hosts = Hosts::new(1);
    let ports = Unit::Ports { address: "127.0.0.9".parse().unwrap(), name: None, expected: true };
    let (_, first) = hosts.admit(ports.clone(), LIMIT).unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    hosts.release(&ports);
    // Idle for a moment: its services are known only once its ports are.
    let (_, second) = hosts.admit(identify("127.0.0.9", 80), LIMIT).unwrap();
    assert_eq!(second, first);
    hosts.release(&identify("127.0.0.9", 80));
    hosts.forget(&ports);
    let (_, afresh) = hosts.admit(ports, LIMIT).unwrap();
    assert_eq!(afresh, first + Duration::from_secs(10));
}

#[test]
fn units_that_wait_for_a_host_are_not_lost() {
    const LIMIT: Duration = Duration::from_secs(60);
    let mut hosts = Hosts::new(1);
    for port in 1..=4 {
        hosts.admit(identify("127.0.0.9", port), LIMIT);
    }
    hosts.release(&identify("127.0.0.9", 1));
    assert_eq!(hosts.parked(), 3);
    let mut waiting: Vec<String> = hosts.drain().map(|unit| unit.to_string()).collect();
    waiting.sort();
    assert_eq!(waiting, ["service 127.0.0.9:2", "service 127.0.0.9:3", "service 127.0.0.9:4"]);
    assert_eq!(hosts.parked(), 0);
}

fn of_network(piece: Piece) -> String {
    match piece {
        Piece::OfNetwork(address) => address.to_string(),
        Piece::Nothing => panic!("nothing of it is forbidden"),
        Piece::Whole(target) => panic!("{target} came as a whole"),
    }
}

#[test]
fn a_network_becomes_its_addresses_in_scope_and_the_rest_is_not_walked_through() {
    let scope = Scope {
        networks: vec![
            "10.1.2.0/30".parse().unwrap(),
            "10.1.2.0/31".parse().unwrap(),
            "2001:db8::8/127".parse().unwrap(),
        ],
        excluded_networks: vec!["10.1.2.2/32".parse().unwrap()],
        ..Scope::loopback()
    };
    let addresses =
        |network: &str| -> Vec<String> { single(network.parse().unwrap(), &scope).map(of_network).collect() };
    assert_eq!(addresses("10.0.0.0/8"), ["10.1.2.1"]);
    assert_eq!(addresses("::/0"), ["2001:db8::8", "2001:db8::9"]);
    assert_eq!(addresses("10.1.2.0/31"), ["10.1.2.0", "10.1.2.1"]);
    assert_eq!(addresses("10.1.2.0/24"), ["10.1.2.1"]);
    assert_eq!(addresses("192.0.2.0/24"), Vec::<String>::new());
    // Exclusions are stepped over, not walked through.
    let halved = Scope {
        networks: vec!["2001:db8::/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()],
        excluded_networks: ["2001:db8::/33", "10.0.0.0/9", "10.128.0.2/31", "10.128.0.5/32"]
            .map(|network| network.parse().unwrap())
            .to_vec(),
        ..Scope::loopback()
    };
    let first = |network: &str, count| -> Vec<String> {
        single(network.parse().unwrap(), &halved).take(count).map(of_network).collect()
    };
    assert_eq!(first("2001:db8::/32", 2), ["2001:db8:8000::", "2001:db8:8000::1"]);
    assert_eq!(first("10.0.0.0/8", 4), ["10.128.0.0", "10.128.0.1", "10.128.0.4", "10.128.0.6"]);
    assert_eq!(
        single("10.0.0.0/8".parse().unwrap(), &halved).last().map(of_network).unwrap(),
        "10.255.255.254"
    );
    // A whole /8 is not collected before its first address is taken.
    let all = Scope { networks: vec!["::/0".parse().unwrap()], ..Scope::loopback() };
    assert_eq!(single("2001:db8::/32".parse().unwrap(), &all).nth(1).map(of_network).unwrap(), "2001:db8::1");
}
