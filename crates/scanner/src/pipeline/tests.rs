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
