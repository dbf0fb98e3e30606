//! One pass over a list of ports of one address, with retries.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::LazyLock,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use model::{DomainName, asset::PortStates};
use tokio::{sync::mpsc, time::Instant};

use super::{PortScan, pace::Pace};
use crate::socket::{DialError, Dialer, PendingProbe, ProbeEnd, ProbeStart, Prober};

/// Probes begun between two looks at the runtime: about a millisecond's work on loopback.
const BATCH: usize = 128;
/// How long to wait when there is no room and no probe of our own whose end would make some.
const ROOM_PAUSE: Duration = Duration::from_millis(20);
/// What an answer within the connect call counts as.
const AT_ONCE: Duration = Duration::from_micros(100);
/// A second connection to a port of this machine is answered at once, unless the listener's queue is full.
const CONFIRMATION_TIMEOUT: Duration = Duration::from_millis(250);

/// The kernel's source ports. A port in here may look open only because a socket of the scan sits on it.
static EPHEMERAL_PORTS: LazyLock<RangeInclusive<u16>> = LazyLock::new(|| {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut bounds = range.split_whitespace().map_while(|word| word.parse().ok());
    // Where the kernel does not tell, any unprivileged port may be one.
    bounds.next().unwrap_or(1_024)..=bounds.next().unwrap_or(u16::MAX)
});

/// One lane of a scan.
pub(super) struct Sweep {
    dialer: Dialer,
    prober: Prober,
    address: IpAddr,
    name: Option<DomainName>,
    open: mpsc::Sender<u16>,
    pace: Pace,
    deadline: Instant,
    states: PortStates,
}

/// How a pending probe ended.
struct Ended {
    port: u16,
    took: Duration,
    end: Result<ProbeEnd, DialError>,
}

/// One round over a list of ports.
struct Round {
    /// Not yet asked in this round; taken from the end.
    waiting: Vec<u16>,
    /// Asked without an answer.
    silent: Vec<u16>,
    attempt: u32,
    /// The deadline passed or the scan was stopped.
    halted: bool,
}

impl Sweep {
    pub(super) fn new(
        dialer: Dialer,
        scan: &PortScan,
        open: mpsc::Sender<u16>,
        pace: Pace,
        deadline: Instant,
    ) -> Sweep {
        let PortScan { address, ref name, .. } = *scan;
        Sweep {
            prober: dialer.prober(),
            dialer,
            address,
            name: name.clone(),
            open,
            pace,
            deadline,
            states: PortStates::default(),
        }
    }

    /// Every port ends in one of the states.
    pub(super) async fn run(mut self, ports: Vec<u16>) -> PortStates {
        let mut remaining = ports;
        for attempt in 1.. {
            let answered = self.states.open.len() + self.states.closed as usize;
            if !self.pace.allows_round(attempt, remaining.len(), answered) {
                break;
            }
            if attempt > 1 {
                self.pace.next_round();
            }
            remaining.reverse();
            let mut round = Round { waiting: remaining, silent: Vec::new(), attempt, halted: false };
            self.round(&mut round).await;
            remaining = round.silent;
            if round.halted {
                self.states.undetermined += count(&round.waiting) + count(&remaining);
                return self.states;
            }
        }
        self.states.filtered += count(&remaining);
        self.states
    }

    async fn round(&mut self, round: &mut Round) {
        let dialer = self.dialer.clone();
        let batch = batch_size(dialer.limits().probes_per_second);
        let mut pending = FuturesUnordered::new();
        while !(round.waiting.is_empty() && pending.is_empty()) {
            if Instant::now() >= self.deadline || dialer.stop().is_cancelled() {
                round.halted = true;
            }
            if round.halted {
                self.states.undetermined += u32::try_from(pending.len()).expect("no more probes than ports");
                return;
            }
            let room = self.pace.window().saturating_sub(pending.len()).min(batch).min(round.waiting.len());
            if room == 0 {
                if let Some(ended) = pending.next().await {
                    self.ended(round, ended).await;
                }
                while let Some(Some(ended)) = pending.next().now_or_never() {
                    self.ended(round, ended).await;
                }
                continue;
            }
            // Answers are taken while the turn is waited for: their times set the pace.
            let mut turns = std::pin::pin!(dialer.probe_turns(u32::try_from(room).expect("a small batch")));
            let turned = loop {
                tokio::select! {
                    biased;
                    turned = &mut turns => break turned,
                    Some(ended) = pending.next(), if !pending.is_empty() => self.ended(round, ended).await,
                }
            };
            if turned.is_err() {
                round.halted = true;
                continue;
            }
            for _ in 0..room {
                let Some(port) = round.waiting.pop() else { break };
                match self.prober.start(SocketAddr::new(self.address, port), self.name.as_ref()) {
                    Ok(ProbeStart::Decided(end)) => {
                        self.ended(round, Ended { port, took: Duration::ZERO, end: Ok(end) }).await
                    }
                    Ok(ProbeStart::Pending(probe)) => {
                        let until = (Instant::now() + self.pace.timeout(round.attempt)).min(self.deadline);
                        pending.push(finish(&dialer, probe, port, until));
                    }
                    Ok(ProbeStart::NoRoom) => {
                        round.waiting.push(port);
                        self.pace.no_room();
                        if pending.is_empty() {
                            tokio::time::sleep(ROOM_PAUSE).await;
                        }
                        break;
                    }
                    Err(error) => {
                        self.ended(round, Ended { port, took: Duration::ZERO, end: Err(error) }).await
                    }
                }
            }
            tokio::task::yield_now().await;
        }
    }

    async fn ended(&mut self, round: &mut Round, Ended { port, took, end }: Ended) {
        match end {
            Ok(ProbeEnd::Closed) => {
                self.answered(took);
                self.states.closed += 1;
            }
            Ok(ProbeEnd::Open { own_machine }) => {
                self.answered(took);
                if own_machine && EPHEMERAL_PORTS.contains(&port) {
                    self.confirm(round, port).await;
                } else {
                    self.report(port).await;
                }
            }
            Ok(ProbeEnd::Filtered) => {
                self.answered(took);
                self.states.filtered += 1;
            }
            Err(DialError::TimedOut) => {
                self.pace.silent();
                round.silent.push(port);
            }
            Err(DialError::Stopped) => {
                self.states.undetermined += 1;
                round.halted = true;
            }
            // No route from here, outside the scope's window by now, or an error of this machine: the port was not asked.
            Err(_) => self.states.undetermined += 1,
        }
    }

    /// Two sockets of the scan can meet on a port of this machine (simultaneous open, RFC 9293, 3.5). A second connection
    /// comes from another source port and is refused unless somebody listens.
    async fn confirm(&mut self, round: &mut Round, port: u16) {
        let again = async {
            self.dialer.probe_turns(1).await?;
            match self.prober.start(SocketAddr::new(self.address, port), self.name.as_ref())? {
                ProbeStart::Decided(end) => Ok(Some(end)),
                ProbeStart::Pending(probe) => {
                    self.dialer.finish_probe(probe, Instant::now() + CONFIRMATION_TIMEOUT).await.map(Some)
                }
                ProbeStart::NoRoom => Ok(None),
            }
        };
        match again.await {
            // Silence: where nobody listens this machine refuses, so a listener's queue is full.
            Ok(Some(ProbeEnd::Open { .. })) | Err(DialError::TimedOut) => self.report(port).await,
            Ok(Some(ProbeEnd::Closed)) => self.states.closed += 1,
            Ok(Some(ProbeEnd::Filtered)) => self.states.filtered += 1,
            Ok(None) => round.waiting.push(port),
            Err(_) => self.states.undetermined += 1,
        }
    }

    /// An answer within the connect call tells that the way is short.
    fn answered(&mut self, took: Duration) {
        self.pace.answered(took.max(AT_ONCE));
    }

    async fn report(&mut self, port: u16) {
        self.states.open.push(port);
        // A receiver that is gone does not want to hear of ports as they come; the states still tell.
        let _ = self.open.send(port).await;
    }
}

async fn finish(dialer: &Dialer, probe: PendingProbe, port: u16, until: Instant) -> Ended {
    let started = Instant::now();
    let end = dialer.finish_probe(probe, until).await;
    Ended { port, took: started.elapsed().max(Duration::from_nanos(1)), end }
}

/// Turns are given in one piece, so a piece stays within a hundredth of the cap.
fn batch_size(probes_per_second: u32) -> usize {
    (probes_per_second as usize / 100).clamp(1, BATCH)
}

fn count(ports: &[u16]) -> u32 {
    u32::try_from(ports.len()).expect("no more ports than there are")
}
