//! TCP connect scanning: which ports of an address accept a connection.
//!
//! On loopback almost every probe is answered by the time connect returns, so the ports are dealt to a few lanes that call connect
//! in a row. Over a network probes overlap within a window that follows the answers ([`pace`]), silent ports are asked again,
//! and what stays silent counts as filtered. Every planned port ends in exactly one state.

mod order;
mod pace;
mod sweep;
mod top;

use std::net::IpAddr;

use model::{DomainName, PortSet, Scope, asset::PortStates};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use self::{pace::Pace, sweep::Sweep};
pub use top::{of_profile, top_ports};

use crate::socket::Dialer;

/// Tasks that probe one loopback address side by side: there the work is the kernel's, within the calls. More lanes
/// than processors gain nothing.
const LOOPBACK_LANES: usize = 2;

/// Which ports of which address.
#[derive(Debug, Clone)]
pub struct PortScan {
    /// The address.
    pub address: IpAddr,
    /// The name that led there, when a name did; the scope may hang on it.
    pub name: Option<DomainName>,
    /// The ports wished for.
    pub ports: PortSet,
}

impl PortScan {
    /// The ports that will be asked: those wished for that the scope allows. Excluded and fragile ports are not planned.
    pub fn plan(&self, scope: &Scope) -> PortSet {
        self.ports.iter().filter(|port| scope.permits_port(*port).is_ok()).collect()
    }
}

/// Asks every planned port, and sends each open one into `open` as soon as it is known: receive while this runs, the channel's
/// bound holds the scan back. The states add up to [`PortScan::plan`]; what the deadline or a stop leaves unasked is
/// undetermined. The order of the ports is a permutation that depends on the address only, the usual ports first.
pub async fn scan(
    dialer: &Dialer,
    scan: &PortScan,
    deadline: Instant,
    open: mpsc::Sender<u16>,
) -> PortStates {
    let limits = dialer.limits();
    let ports = order::permuted(&scan.plan(dialer.scope()), order::seed(scan.address));
    let lanes = if scan.address.to_canonical().is_loopback() { LOOPBACK_LANES } else { 1 };
    let ceiling = (limits.connections as usize / lanes).max(1);
    let mut running = JoinSet::new();
    for lane in order::deal(ports, lanes) {
        let pace = Pace::new(ceiling, limits.attempts, limits.connect_timeout);
        let sweep = Sweep::new(dialer.clone(), scan, open.clone(), pace, deadline);
        running.spawn(sweep.run(lane));
    }
    let mut states = PortStates::default();
    while let Some(lane) = running.join_next().await {
        let lane = match lane {
            Ok(lane) => lane,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        states.open.extend(lane.open);
        states.closed += lane.closed;
        states.filtered += lane.filtered;
        states.undetermined += lane.undetermined;
    }
    states.open.sort_unstable();
    states
}
