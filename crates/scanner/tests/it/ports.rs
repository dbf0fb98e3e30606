//! Port scans of loopback addresses that nobody else uses.

use std::{collections::BTreeSet, fs, io, net::IpAddr, time::Duration};

use model::{Limits, PortSet, Profile, Scope, asset::PortStates};
use scanner::{
    ports::{PortScan, scan},
    socket::Dialer,
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

use crate::namespace::Namespace;

fn unhurried() -> Limits {
    Limits { probes_per_second: 1_000_000, ..Profile::Standard.limits() }
}

fn dialer(limits: Limits) -> Dialer {
    Dialer::new(Scope::loopback(), limits, CancellationToken::new())
}

/// Scans, and checks that what was streamed is what the states say.
async fn scanned(dialer: &Dialer, address: &str, ports: PortSet) -> PortStates {
    let (open, mut arriving) = mpsc::channel(4);
    let scanning = PortScan { address: address.parse().unwrap(), name: None, ports };
    let deadline = tokio::time::Instant::now() + dialer.limits().host_deadline;
    let planned = scanning.plan(dialer.scope()).len();
    let collect = async {
        let mut seen = Vec::new();
        while let Some(port) = arriving.recv().await {
            seen.push(port);
        }
        seen
    };
    let (states, mut streamed) = tokio::join!(scan(dialer, &scanning, deadline, open), collect);
    streamed.sort_unstable();
    assert_eq!(streamed, states.open, "each open port is sent once");
    let sum = states.open.len() + (states.closed + states.filtered + states.undetermined) as usize;
    assert_eq!(sum, planned, "the states add up to the plan: {states:?}");
    states
}

/// Listeners at the wished ports, skipping those that are taken. Many listen on all addresses, so nothing else is at hand.
async fn listeners(address: &str, ports: impl IntoIterator<Item = u16>) -> Vec<TcpListener> {
    let address: IpAddr = address.parse().unwrap();
    let mut listening = Vec::new();
    for port in ports {
        match TcpListener::bind((address, port)).await {
            Ok(listener) => listening.push(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => panic!("{address}:{port}: {error}"),
        }
    }
    listening
}

fn numbers(listening: &[TcpListener]) -> Vec<u16> {
    let mut numbers: Vec<u16> =
        listening.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    numbers.sort_unstable();
    numbers
}

/// Ports on which any process listens at every address, from the kernel's own table.
fn wildcard_listeners() -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some((address, port)) = words.get(1).and_then(|local| local.split_once(':')) else {
                continue;
            };
            let listens = words.get(3) == Some(&"0A");
            if listens && address.bytes().all(|digit| digit == b'0') {
                ports.insert(u16::from_str_radix(port, 16).unwrap());
            }
        }
    }
    ports
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_scan_finds_exactly_the_listeners() {
    let address = "127.83.1.1";
    let before = wildcard_listeners();
    let wished =
        [1, 80, 1_023, 8_080, 32_767, 32_768, 40_000, 40_001, 45_678, 50_505, 60_999, 61_000, 65_535];
    let listening = listeners(address, wished).await;
    assert!(listening.len() > 8);
    let states = scanned(&dialer(unhurried()), address, PortSet::all()).await;
    let elsewhere: BTreeSet<u16> = before.union(&wildcard_listeners()).copied().collect();
    let found: Vec<u16> = states.open.iter().copied().filter(|port| !elsewhere.contains(port)).collect();
    let expected: Vec<u16> =
        numbers(&listening).into_iter().filter(|port| !elsewhere.contains(port)).collect();
    assert_eq!(found, expected);
    assert_eq!((states.filtered, states.undetermined), (0, 0));
}

/// 127.0.0.1 is also the source address there, so that a probe can meet itself or another one.
#[test]
fn the_scan_never_finds_its_own_sockets() {
    let Some(namespace) = Namespace::new("own") else { return };
    namespace.run(|| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let dialer = dialer(unhurried());
            let listening = listeners("127.0.0.1", [0; 20]).await;
            for _ in 0..5 {
                let states = scanned(&dialer, "127.0.0.1", PortSet::all()).await;
                assert_eq!(states.open, numbers(&listening));
                assert_eq!((states.filtered, states.undetermined), (0, 0));
            }
        });
    });
}

#[tokio::test]
async fn ten_addresses_with_the_same_listeners_give_the_same_result() {
    // The order of the ports depends on the address; the result must not.
    let ports: PortSet = "20000-22000".parse().unwrap();
    for last in 1..=10 {
        let address = format!("127.83.2.{last}");
        let listening = listeners(&address, [20_001, 21_000, 21_999]).await;
        let states = scanned(&dialer(unhurried()), &address, ports.clone()).await;
        assert_eq!(states.open, numbers(&listening));
        // 20000 and 20547 are fragile.
        assert_eq!(states.closed as usize, 2_001 - 2 - listening.len());
    }
}

#[tokio::test]
async fn fragile_and_excluded_ports_are_not_planned() {
    let mut scope = Scope::loopback();
    scope.excluded_ports = "9000".parse().unwrap();
    let address = "127.83.3.1";
    let listening = listeners(address, [9_000, 9_100, 9_200]).await;
    let dialer = Dialer::new(scope, unhurried(), CancellationToken::new());
    let states = scanned(&dialer, address, "9000,9100,9200,9201".parse().unwrap()).await;
    assert_eq!(states, PortStates { open: vec![9_200], closed: 1, filtered: 0, undetermined: 0 });
    assert_eq!(dialer.counters().probes.load(std::sync::atomic::Ordering::Relaxed), 2);
    drop(listening);
}

#[tokio::test]
async fn what_a_stop_leaves_is_undetermined() {
    let stopped = dialer(unhurried());
    stopped.stop().cancel();
    let states = scanned(&stopped, "127.83.4.1", "1-100".parse().unwrap()).await;
    assert_eq!(states, PortStates { undetermined: 100, ..PortStates::default() });
}

#[tokio::test]
async fn what_the_deadline_leaves_is_undetermined() {
    let late = dialer(Limits { host_deadline: Duration::ZERO, ..unhurried() });
    let states = scanned(&late, "127.83.4.2", "1-100".parse().unwrap()).await;
    assert_eq!(states, PortStates { undetermined: 100, ..PortStates::default() });
}

#[tokio::test]
async fn an_address_outside_the_scope_is_never_asked() {
    let dialer = dialer(unhurried());
    let states = scanned(&dialer, "192.0.2.1", "1-100".parse().unwrap()).await;
    assert_eq!(states, PortStates { undetermined: 100, ..PortStates::default() });
}

#[tokio::test]
async fn the_rate_of_probes_is_kept() {
    let dialer = dialer(Limits { probes_per_second: 1_000, ..unhurried() });
    let started = tokio::time::Instant::now();
    scanned(&dialer, "127.83.5.1", "10001-10500".parse().unwrap()).await;
    assert!(
        started.elapsed() >= Duration::from_millis(450),
        "500 probes at 1,000 a second took {:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_cap_of_one_connection_still_finds_everything() {
    let address = "127.83.6.1";
    let listening = listeners(address, [11_000, 11_500]).await;
    let states =
        scanned(&dialer(Limits { connections: 1, ..unhurried() }), address, "11000-11999".parse().unwrap())
            .await;
    assert_eq!(states.open, numbers(&listening));
    assert_eq!(states.closed, 998);
}
