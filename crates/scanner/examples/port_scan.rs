//! Scans the ports of one loopback address and prints the open ones: `port_scan 127.0.0.1 all`. For measurements.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

use std::{error::Error, net::IpAddr, time::Instant};

use model::{Limits, PortSet, Profile, Scope};
use scanner::{
    ports::{PortScan, scan},
    socket::{Dialer, raise_descriptor_limit},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(ports)) = (arguments.next(), arguments.next()) else {
        return Err("usage: port_scan ADDRESS PORTS, as in `port_scan 127.0.0.1 all`".into());
    };
    let (address, ports): (IpAddr, PortSet) = (address.parse()?, ports.parse()?);
    raise_descriptor_limit();
    // As fast as it goes: a scan of this machine by this machine needs no politeness.
    let limits = Limits { probes_per_second: u32::MAX, ..Profile::Standard.limits() };
    let dialer = Dialer::new(Scope::loopback(), limits, CancellationToken::new());
    let (open, mut arriving) = mpsc::channel(64);
    let started = Instant::now();
    let deadline = tokio::time::Instant::now() + dialer.limits().host_deadline;
    let scanning = PortScan { address, name: None, ports };
    let print = async {
        while let Some(port) = arriving.recv().await {
            println!("{port}");
        }
    };
    let (states, ()) = tokio::join!(scan(&dialer, &scanning, deadline, open), print);
    eprintln!(
        "{} open, {} closed, {} filtered, {} undetermined in {:?}",
        states.open.len(),
        states.closed,
        states.filtered,
        states.undetermined,
        started.elapsed()
    );
    Ok(())
}
