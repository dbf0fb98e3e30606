//! A scan as a whole: takes targets, works unit after unit, feeds what was learnt back, and accounts for everything.

mod frontier;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use model::{Event, Host, Learned, PortSet, ScanId, Stage, Target, Unit};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

pub use self::frontier::Frontier;
use crate::{
    check::{CheckSet, Reproduce},
    crawl::CrawlOptions,
    discover::DiscoverOptions,
    dns::Resolver,
    http::HttpClient,
    socket::Dialer,
};

/// Units on one address at once: its connections are shared between them, so that none waits for another's.
const UNITS_PER_ADDRESS: usize = 4;
/// Units at once, in all.
const UNITS: usize = 256;

/// Everything a scan works with.
pub struct Scan {
    /// Opens every socket.
    pub dialer: Dialer,
    /// Answers about names.
    pub resolver: Resolver,
    /// Speaks HTTP.
    pub client: HttpClient,
    /// The templates.
    pub checks: CheckSet,
    /// What was asked for.
    pub options: ScanOptions,
}

/// What was asked for.
pub struct ScanOptions {
    /// Which scan.
    pub scan: ScanId,
    /// Which stages.
    pub stages: BTreeSet<Stage>,
    /// Ports looked at on every host.
    pub ports: PortSet,
    /// Ask open ports what listens there.
    pub identify: bool,
    /// How names are looked for.
    pub discover: DiscoverOptions,
    /// How sites are crawled.
    pub crawl: CrawlOptions,
    /// Values for templates, from the command line.
    pub variables: BTreeMap<String, String>,
    /// How findings say where they come from.
    pub reproduce: Reproduce,
}

impl Scan {
    fn units_per_address(&self) -> usize {
        UNITS_PER_ADDRESS.min(self.dialer.limits().connections_per_host.max(1) as usize)
    }

    /// Connections that one unit may use: the host's cap shared between the units that work on it at once.
    pub(crate) fn connections_per_unit(&self) -> usize {
        (self.dialer.limits().connections_per_host.max(1) as usize / self.units_per_address()).max(1)
    }

    fn units_at_once(&self) -> usize {
        (self.dialer.limits().connections as usize / self.connections_per_unit()).clamp(1, UNITS)
    }
}

/// Counters that somebody may watch while the scan runs.
#[derive(Debug, Default)]
pub struct Status {
    /// Targets taken from the list.
    pub targets: AtomicU64,
    /// Units done.
    pub done: AtomicU64,
    /// Units at work.
    pub running: AtomicU64,
    /// Units that wait.
    pub waiting: AtomicU64,
}

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every unit had its turn.
    Complete,
    /// Somebody stopped it.
    Stopped,
    /// The scan's deadline passed.
    Deadline,
}

/// Works until everything is done, somebody stops it or the deadline passes. `done` holds what an earlier run of the same
/// scan finished, by the units' keys; those are not done again. Events come in the order in which things happen; a unit's
/// [`Event::Done`] comes after all its others.
pub async fn run(
    scan: Arc<Scan>,
    targets: impl Iterator<Item = Target> + Send,
    done: HashMap<String, Learned>,
    events: mpsc::Sender<Event>,
    status: Arc<Status>,
) -> End {
    let limits = scan.dialer.limits().clone();
    let deadline = Instant::now() + limits.scan_deadline;
    let mut frontier =
        Frontier::new(scan.options.stages.clone(), scan.dialer.scope().clone(), limits.discovered_names)
            .identifying(scan.options.identify);
    let mut targets = targets.flat_map(single);
    let mut running: JoinSet<Learned> = JoinSet::new();
    let mut at_work: HashMap<tokio::task::Id, Unit> = HashMap::new();
    let mut hosts = Hosts::new(scan.units_per_address());
    let units_at_once = scan.units_at_once();
    let mut done = done;
    loop {
        while running.len() < units_at_once && !scan.dialer.stop().is_cancelled() {
            let unit = match hosts.unpark().or_else(|| frontier.next_unit()) {
                Some(unit) => unit,
                None => {
                    let Some(target) = targets.next() else { break };
                    status.targets.fetch_add(1, Ordering::Relaxed);
                    frontier.add_target(&target);
                    continue;
                }
            };
            if let Some(learned) = done.remove(&unit.to_string()) {
                frontier.learn(&unit, &learned);
                continue;
            }
            let Some((unit, host_deadline)) = hosts.admit(unit, limits.host_deadline) else { continue };
            let (scan, events) = (Arc::clone(&scan), events.clone());
            let until = host_deadline.min(deadline);
            let job = unit.clone();
            let task = running.spawn(async move { work::perform(&scan, &job, until, &events).await });
            at_work.insert(task.id(), unit);
        }
        status.running.store(running.len() as u64, Ordering::Relaxed);
        status.waiting.store((frontier.waiting() + hosts.parked()) as u64, Ordering::Relaxed);
        let stopped = scan.dialer.stop().is_cancelled();
        let (id, learned) = match running.join_next_with_id().await {
            None if stopped => return End::Stopped,
            None if Instant::now() >= deadline => return End::Deadline,
            None => return End::Complete,
            Some(Ok((id, learned))) => (id, Ok(learned)),
            Some(Err(error)) => (error.id(), Err(error)),
        };
        let unit = at_work.remove(&id).expect("every task was entered when it was spawned");
        status.done.fetch_add(1, Ordering::Relaxed);
        hosts.release(&unit);
        match learned {
            Ok(learned) => frontier.learn(&unit, &learned),
            Err(error) => {
                // A panic in one unit must not take the scan down, and must not go unseen.
                let reason = format!("a defect in Rampart ended it: {error}; please report it");
                let event = Event::Undetermined { stage: unit.stage(), unit: unit.to_string(), reason };
                // The receiver is gone only when the whole scan is being dropped.
                let _ = events.send(event).await;
            }
        }
    }
}

/// A network becomes its addresses, lazily; anything else stays one target.
fn single(target: Target) -> Box<dyn Iterator<Item = Target> + Send> {
    match target {
        Target::Network(network) => {
            Box::new(network.hosts().map(|address| Target::Host(Host::Address(address))))
        }
        one => Box::new(std::iter::once(one)),
    }
}

/// Keeps the units that work on one address at once to a number, and knows when each host's time is up.
struct Hosts {
    per_address: usize,
    busy: HashMap<IpAddr, Busy>,
    /// Units whose turn has come.
    free: Vec<Unit>,
    parked: usize,
}

struct Busy {
    running: usize,
    parked: Vec<Unit>,
    deadline: Instant,
}

impl Hosts {
    fn new(per_address: usize) -> Hosts {
        Hosts { per_address, busy: HashMap::new(), free: Vec::new(), parked: 0 }
    }

    fn parked(&self) -> usize {
        self.parked + self.free.len()
    }

    fn unpark(&mut self) -> Option<Unit> {
        self.free.pop()
    }

    /// Gives the unit back with its deadline, or keeps it until another on the same address has ended.
    fn admit(&mut self, unit: Unit, host_deadline: std::time::Duration) -> Option<(Unit, Instant)> {
        let fresh = Instant::now() + host_deadline;
        let Some(address) = unit.address() else { return Some((unit, fresh)) };
        let busy = self.busy.entry(address).or_insert_with(|| Busy { running: 0, parked: Vec::new(), deadline: fresh });
        if busy.running < self.per_address {
            busy.running += 1;
            Some((unit, busy.deadline))
        } else {
            busy.parked.push(unit);
            self.parked += 1;
            None
        }
    }

    fn release(&mut self, unit: &Unit) {
        let Some(address) = unit.address() else { return };
        let Some(busy) = self.busy.get_mut(&address) else { return };
        busy.running -= 1;
        if let Some(next) = busy.parked.pop() {
            self.parked -= 1;
            self.free.push(next);
        }
        if busy.running == 0 && busy.parked.is_empty() {
            self.busy.remove(&address);
        }
    }
}
