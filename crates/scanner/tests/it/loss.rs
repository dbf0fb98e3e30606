//! Scans over a lossy line between two network namespaces. Nothing leaves them: the line has no other end.
//!
//! Needs what [`super::namespace`] needs, and either the kernel's netem or nftables.

use std::{
    net::{IpAddr, TcpListener},
    time::Duration,
};

use model::{Limits, NamePattern, PortSet, Profile, Scope, asset::PortStates};
use scanner::{
    ports::{PortScan, scan},
    socket::Dialer,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::namespace::{Namespace, ip, run};

// Benchmarking addresses (RFC 2544): no route leads to them.
const SCANNER: &str = "198.18.83.1";
const SERVER: &str = "198.18.83.2";

/// Two namespaces and the line between them.
struct Line {
    scanner: Namespace,
    server: Namespace,
}

/// Loses packets that travel to a namespace: by netem at the other end, or, where the kernel has no netem, by a rule that
/// drops them on arrival.
fn lose(percent: u32, to: &str, (from, device): (&str, &str)) {
    let shape = format!("netns exec {from} tc qdisc add dev {device} root netem loss {percent}%");
    let Err(without_netem) = ip(&shape) else { return };
    let which = match percent {
        0 => return,
        100.. => String::new(),
        _ => format!("numgen random mod 100 < {percent}"),
    };
    let rules = format!(
        "add table ip line; add chain ip line arrive {{ type filter hook input priority 0; }}; \
         add rule ip line arrive {which} drop"
    );
    run("ip", &["netns", "exec", to, "nft", &rules])
        .unwrap_or_else(|error| panic!("{without_netem}; {error}"));
}

impl Line {
    /// A line that loses `outwards` percent of what the scanner sends and `back` percent of the answers.
    fn new(purpose: &str, outwards: u32, back: u32) -> Option<Line> {
        let scanner = Namespace::new(&format!("{purpose}-a"))?;
        let server = Namespace::new(&format!("{purpose}-b"))?;
        let (near, far) = (&scanner.name, &server.name);
        ip(&format!("-n {near} link add near type veth peer name far netns {far}")).unwrap();
        for (namespace, device, address) in [(near, "near", SCANNER), (far, "far", SERVER)] {
            ip(&format!("-n {namespace} address add {address}/24 dev {device}")).unwrap();
            ip(&format!("-n {namespace} link set {device} up")).unwrap();
        }
        lose(outwards, far, (near, "near"));
        lose(back, near, (far, "far"));
        Some(Line { scanner, server })
    }

    fn listen(&self, ports: Vec<u16>) -> Vec<TcpListener> {
        let address: IpAddr = SERVER.parse().unwrap();
        self.server
            .run(move || ports.into_iter().map(|port| TcpListener::bind((address, port)).unwrap()).collect())
    }

    fn scan(&self, limits: Limits, ports: PortSet) -> PortStates {
        self.scanner.run(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let scope = Scope {
                    names: vec![NamePattern::Any],
                    networks: vec!["198.18.83.0/24".parse().unwrap()],
                    ..Scope::loopback()
                };
                let dialer = Dialer::new(scope, limits, CancellationToken::new());
                let scanning = PortScan { address: SERVER.parse().unwrap(), name: None, ports };
                let (open, mut arriving) = mpsc::channel(16);
                let deadline = tokio::time::Instant::now() + dialer.limits().host_deadline;
                let drain = async { while arriving.recv().await.is_some() {} };
                tokio::join!(scan(&dialer, &scanning, deadline, open), drain).0
            })
        })
    }
}

#[test]
fn every_open_port_is_found_over_a_line_that_loses_a_twentieth_each_way() {
    let Some(line) = Line::new("loss", 5, 5) else { return };
    let expected: Vec<u16> = (0..20).map(|number| 10_050 + number * 97).collect();
    let listening = line.listen(expected.clone());
    let ports: PortSet = "10001-12000".parse().unwrap();
    let states = line.scan(Profile::Deep.limits(), ports);
    assert_eq!(states.open, expected);
    assert_eq!(states.open.len() + (states.closed + states.filtered) as usize, 2_000, "{states:?}");
    assert!(states.filtered <= 2, "retries find the closed ones too: {states:?}");
    drop(listening);
}

#[test]
fn a_host_that_answers_nothing_ends_as_filtered() {
    let Some(line) = Line::new("silent", 0, 100) else { return };
    let limits =
        Limits { attempts: 2, connect_timeout: Duration::from_millis(300), ..Profile::Standard.limits() };
    let states = line.scan(limits, "1-300".parse().unwrap());
    let planned = 300 - model::scope::FRAGILE_PORTS.iter().filter(|port| **port <= 300).count();
    assert_eq!(states, PortStates { filtered: u32::try_from(planned).unwrap(), ..PortStates::default() });
}

#[test]
fn a_host_that_prohibits_is_filtered_at_once() {
    let Some(line) = Line::new("reject", 0, 0) else { return };
    let rules = "add table ip line; add chain ip line arrive { type filter hook input priority 0; }; \
                 add rule ip line arrive tcp dport 20 accept; add rule ip line arrive tcp dport 1-30 reject with icmp type admin-prohibited";
    run("ip", &["netns", "exec", &line.server.name, "nft", rules]).unwrap();
    let listening = line.listen(vec![20, 40]);
    let states = line.scan(Profile::Standard.limits(), "1-50".parse().unwrap());
    assert_eq!(states, PortStates { open: vec![20, 40], closed: 19, filtered: 29, undetermined: 0 });
    drop(listening);
}
