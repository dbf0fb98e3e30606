//! Scans over a lossy line between two network namespaces. Nothing leaves them: the line has no other end.
//!
//! Needs root, iproute2, and either the kernel's netem or nftables. Where namespaces are not permitted, set RAMPART_TEST_WITHOUT_NETNS to leave these tests out.

use std::{
    fs::File,
    net::{IpAddr, TcpListener},
    process::Command,
    thread,
    time::Duration,
};

use model::{Limits, NamePattern, PortSet, Profile, Scope, asset::PortStates};
use nix::sched::{CloneFlags, setns};
use scanner::{
    ports::{PortScan, scan},
    socket::Dialer,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

// Benchmarking addresses (RFC 2544): no route leads to them.
const SCANNER: &str = "198.18.83.1";
const SERVER: &str = "198.18.83.2";

/// Two namespaces and the line between them; gone when dropped.
struct Line {
    scanner: String,
    server: String,
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let done = Command::new(program).args(arguments).output();
    let done = done.map_err(|error| format!("`{program}` cannot be run: {error}; install iproute2 and nftables"))?;
    if done.status.success() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        Err(format!("`{program} {}` failed: {said}", arguments.join(" ")))
    }
}

fn ip(arguments: &str) -> Result<(), String> {
    run("ip", &arguments.split_whitespace().collect::<Vec<_>>())
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
    run("ip", &["netns", "exec", to, "nft", &rules]).unwrap_or_else(|error| panic!("{without_netem}; {error}"));
}

impl Line {
    /// A line that loses `outwards` percent of what the scanner sends and `back` percent of the answers.
    fn new(test: &str, outwards: u32, back: u32) -> Option<Line> {
        if std::env::var_os("RAMPART_TEST_WITHOUT_NETNS").is_some() {
            return None;
        }
        let id = std::process::id();
        let line = Line { scanner: format!("rampart-{test}-{id}-a"), server: format!("rampart-{test}-{id}-b") };
        let advice = "run the tests as root on a machine that permits network namespaces, or set RAMPART_TEST_WITHOUT_NETNS=1";
        ip(&format!("netns add {}", line.scanner)).unwrap_or_else(|error| panic!("{error}; {advice}"));
        let Line { scanner, server } = &line;
        ip(&format!("netns add {server}")).unwrap();
        ip(&format!("-n {scanner} link add near type veth peer name far netns {server}")).unwrap();
        for (namespace, device, address) in [(scanner, "near", SCANNER), (server, "far", SERVER)] {
            ip(&format!("-n {namespace} address add {address}/24 dev {device}")).unwrap();
            ip(&format!("-n {namespace} link set {device} up")).unwrap();
        }
        let (near, far) = ((scanner.as_str(), "near"), (server.as_str(), "far"));
        lose(outwards, &line.server, near);
        lose(back, &line.scanner, far);
        Some(line)
    }

    /// Runs on a thread of its own inside the namespace; sockets made there stay there.
    fn within<T: Send + 'static>(namespace: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
        let file = File::open(format!("/run/netns/{namespace}")).unwrap();
        let inside = thread::spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        inside.join().unwrap()
    }

    fn listen(&self, ports: Vec<u16>) -> Vec<TcpListener> {
        let address: IpAddr = SERVER.parse().unwrap();
        Line::within(&self.server, move || ports.into_iter().map(|port| TcpListener::bind((address, port)).unwrap()).collect())
    }

    fn scan(&self, limits: Limits, ports: PortSet) -> PortStates {
        Line::within(&self.scanner, move || {
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
                let drain = async { while arriving.recv().await.is_some() {} };
                tokio::join!(scan(&dialer, &scanning, open), drain).0
            })
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        for namespace in [&self.scanner, &self.server] {
            // What is left behind has a name that says whose it was.
            let _ = ip(&format!("netns delete {namespace}"));
        }
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
    let limits = Limits { attempts: 2, connect_timeout: Duration::from_millis(300), ..Profile::Standard.limits() };
    let states = line.scan(limits, "1-300".parse().unwrap());
    let planned = 300 - model::scope::FRAGILE_PORTS.iter().filter(|port| **port <= 300).count();
    assert_eq!(states, PortStates { filtered: u32::try_from(planned).unwrap(), ..PortStates::default() });
}
