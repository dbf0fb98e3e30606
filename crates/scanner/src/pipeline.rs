//! A scan as a whole: takes targets, works unit after unit, feeds what was learnt back, and accounts for everything.

mod work;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use model::{
    Event, FailReason, Frontier, Gathering, Learned, Outcome, PortSet, ResultLimits, ScanId, SkipReason,
    Stage, Target, Unit, UnitResult,
    frontier::{Piece, pieces},
};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use self::work::{Cut, Performed, Until};
use crate::{
    check::{CheckSet, Checker, Reproduce},
    crawl::CrawlOptions,
    discover::DiscoverOptions,
    dns::Resolver,
    http::{HttpClient, Identity},
    socket::Dialer,
};

/// Everything a scan works with.
pub struct Scan {
    /// Opens every socket.
    pub dialer: Dialer,
    /// Answers about names.
    pub resolver: Resolver,
    /// Speaks HTTP.
    pub client: HttpClient,
    /// Runs the templates.
    pub checker: Arc<Checker>,
    /// What was asked for.
    pub options: Arc<ScanOptions>,
}

/// What was asked for.
pub struct ScanOptions {
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
}

impl Scan {
    /// Puts the parts together; nothing is sent yet.
    pub fn new(dialer: Dialer, identity: Identity, checking: Checking, options: Arc<ScanOptions>) -> Scan {
        let resolver = Resolver::new(dialer.clone(), checking.resolvers);
        let client = HttpClient::new(dialer.clone(), identity);
        Scan {
            checker: Arc::new(Checker {
                dialer: dialer.clone(),
                resolver: resolver.clone(),
                client: client.clone(),
                checks: checking.checks,
                scan: checking.scan,
                variables: checking.variables,
                reproduce: checking.reproduce,
            }),
            resolver,
            client,
            dialer,
            options,
        }
    }

    /// For one unit: what it holds of its targets' answers counts by itself.
    fn for_unit(&self) -> Scan {
        let dialer = self.dialer.for_unit();
        Scan {
            checker: Arc::new(self.checker.within(&dialer)),
            resolver: self.resolver.clone(),
            client: self.client.within(dialer.allowance().clone()),
            dialer,
            options: Arc::clone(&self.options),
        }
    }
}

/// What checks and names are looked up with.
#[derive(Clone)]
pub struct Checking {
    /// Who is asked about names.
    pub resolvers: Vec<SocketAddr>,
    /// The templates.
    pub checks: Arc<CheckSet>,
    /// Which scan this is.
    pub scan: ScanId,
    /// Values for templates.
    pub variables: BTreeMap<String, String>,
    /// How findings say where they come from.
    pub reproduce: Reproduce,
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
    /// The scope's time window closed.
    WindowClosed,
    /// Every unit had its turn, but on so many the time of a host ran out in the middle.
    HostDeadline(u64),
}

impl End {
    /// What such an end leaves of a unit that had no turn.
    fn leaves(self) -> (SkipReason, &'static str) {
        match self {
            End::Deadline => (SkipReason::Deadline, "the scan's deadline passed before its turn"),
            End::WindowClosed => (SkipReason::Cancelled, "the scope's time window closed before its turn"),
            End::Stopped | End::Complete | End::HostDeadline(_) => {
                (SkipReason::Cancelled, "the scan was stopped before its turn")
            }
        }
    }
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
    let scope = scan.dialer.scope().clone();
    let mut targets = targets.flat_map(|target| pieces(target, &scope, None));
    let mut running: JoinSet<Performed> = JoinSet::new();
    let mut at_work: HashMap<tokio::task::Id, Unit> = HashMap::new();
    let mut hosts = Hosts::new(limits.units_per_host() as usize);
    let units_at_once = limits.units_at_once() as usize;
    let mut done = done;
    let mut cut_by_host_deadline = 0;
    let watched = scan.dialer.clone();
    let _watch = AbortOnDrop(tokio::spawn(async move { stop_when_window_closes(&watched).await }));
    loop {
        while running.len() < units_at_once && ending(&scan, deadline).is_none() {
            let unit = match hosts.unpark().or_else(|| frontier.next_unit()) {
                Some(unit) => unit,
                None => {
                    let Some(piece) = targets.next() else { break };
                    // A network may be long, and little of it in scope.
                    tokio::task::consume_budget().await;
                    status
                        .targets
                        .fetch_add(u64::from(!matches!(piece, Piece::Nothing(_))), Ordering::Relaxed);
                    match piece {
                        Piece::Nothing(_) => {}
                        Piece::Whole(target) => frontier.add_target(&target),
                        Piece::OfNetwork(address) => frontier.add_address_of_network(address),
                    }
                    continue;
                }
            };
            if let Some(learned) = done.remove(&unit.to_string()) {
                frontier.learn(&unit, &learned);
                continue;
            }
            let Some((unit, host_deadline)) = hosts.admit(unit, limits.host_deadline) else { continue };
            let (scan, events) = (Arc::clone(&scan), events.clone());
            let until = Until { host: host_deadline.min(deadline), scan: deadline };
            let job = unit.clone();
            let task =
                running.spawn(async move { work::perform(&scan.for_unit(), &job, until, &events).await });
            at_work.insert(task.id(), unit);
        }
        status.running.store(running.len() as u64, Ordering::Relaxed);
        status.waiting.store((frontier.waiting() + hosts.parked()) as u64, Ordering::Relaxed);
        let ending = ending(&scan, deadline);
        let (id, learned) = match running.join_next_with_id().await {
            None => {
                let end = ending.unwrap_or(match cut_by_host_deadline {
                    0 => End::Complete,
                    units => End::HostDeadline(units),
                });
                for unit in hosts.drain().chain(std::iter::from_fn(|| frontier.next_unit())) {
                    // What an earlier run did is accounted for.
                    if done.remove(&unit.to_string()).is_none() {
                        let (reason, said) = end.leaves();
                        work::not_done(&scan, &unit, Outcome::Skipped(reason), said.to_owned(), &events)
                            .await;
                    }
                }
                return end;
            }
            Some(Ok((id, learned))) => (id, Ok(learned)),
            Some(Err(error)) => (error.id(), Err(error)),
        };
        let unit = at_work.remove(&id).expect("every task was entered when it was spawned");
        status.done.fetch_add(1, Ordering::Relaxed);
        hosts.release(&unit);
        match learned {
            Ok(Performed { learned, cut }) => {
                cut_by_host_deadline += u64::from(cut == Some(Cut::HostDeadline));
                if matches!(unit, Unit::Ports { .. }) && learned.open.is_empty() {
                    hosts.forget(&unit);
                }
                frontier.learn(&unit, &learned);
            }
            Err(error) => {
                // A panic in one unit must not take the scan down, and must not go unseen.
                let reason = format!("a defect in Rampart ended it: {error}; please report it");
                work::not_done(&scan, &unit, Outcome::Failed(FailReason::Defect), reason, &events).await;
            }
        }
    }
}

/// Does one unit by itself, for whoever plans further ones elsewhere. None when it was stopped in the middle: what there was until
/// then counts for nothing. The scan is for this unit only: what it holds counts together. A unit that runs out of time is a result,
/// and says what it could not find out. What was sent is not in it: the dialer counts for all units together.
pub async fn perform(scan: &Scan, unit: &Unit, deadline: Instant) -> Option<UnitResult> {
    let (events, mut received) = mpsc::channel(256);
    let work = async {
        let events = events;
        let until = Until { host: deadline, scan: deadline };
        work::perform(scan, unit, until, &events).await;
    };
    let mut gathering = Gathering::within(ResultLimits::from(scan.dialer.limits()));
    let collect = async {
        while let Some(event) = received.recv().await {
            match event {
                Event::Asset { asset } => gathering.asset(asset),
                Event::Finding { finding } => gathering.finding(*finding),
                Event::Undetermined { reason, .. } => gathering.undetermined(reason),
                Event::LeftOut { why, .. } => gathering.left_out(why),
                Event::Done { ledger, learned, .. } => {
                    gathering.ledger(ledger);
                    gathering.learned(learned);
                }
                Event::Partial { ledger, .. } => gathering.ledger(ledger),
                Event::Resumed | Event::RunEnded { .. } => {}
            }
        }
    };
    // Boxed: it holds everything that the unit does.
    let mut worked = Box::pin(async { tokio::join!(work, collect) });
    tokio::select! {
        ((), ()) = &mut worked => {}
        // What waits for an answer sees it too, and comes to its end.
        () = stop_when_window_closes(&scan.dialer) => drop(worked.as_mut().await),
    }
    drop(worked);
    let mut result = gathering.result();
    if scan.dialer.stop().is_cancelled() {
        return None;
    }
    if Instant::now() >= deadline {
        result.undetermined.push("its time was up before it was done".to_owned());
    }
    Some(result)
}

/// Why nothing further is begun, if nothing is.
fn ending(scan: &Scan, deadline: Instant) -> Option<End> {
    if !scan.dialer.is_open_now() {
        Some(End::WindowClosed)
    } else if scan.dialer.stop().is_cancelled() {
        Some(End::Stopped)
    } else if Instant::now() >= deadline {
        Some(End::Deadline)
    } else {
        None
    }
}

/// Ends what is under way when the scope's time is over, also where nothing new is sent that would be refused. The clock is
/// looked at every second: it may be set, and machines sleep.
async fn stop_when_window_closes(dialer: &Dialer) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    while dialer.is_open_now() {
        tick.tick().await;
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Keeps the units that work on one address at once to a number, and knows when each host's time is up.
struct Hosts {
    per_address: usize,
    busy: HashMap<IpAddr, Busy>,
    /// Kept also while nothing works on the host: its time runs from the first unit to the last.
    deadlines: HashMap<IpAddr, Instant>,
    /// Units whose turn has come.
    free: Vec<Unit>,
    parked: usize,
}

struct Busy {
    running: usize,
    parked: Vec<Unit>,
}

impl Hosts {
    fn new(per_address: usize) -> Hosts {
        Hosts { per_address, busy: HashMap::new(), deadlines: HashMap::new(), free: Vec::new(), parked: 0 }
    }

    fn parked(&self) -> usize {
        self.parked + self.free.len()
    }

    fn unpark(&mut self) -> Option<Unit> {
        self.free.pop()
    }

    /// Gives the unit back with its deadline, or keeps it until another on the same address has ended.
    fn admit(&mut self, unit: Unit, host_deadline: Duration) -> Option<(Unit, Instant)> {
        let fresh = Instant::now() + host_deadline;
        let Some(address) = unit.address() else { return Some((unit, fresh)) };
        let busy = self.busy.entry(address).or_insert_with(|| Busy { running: 0, parked: Vec::new() });
        if busy.running < self.per_address {
            busy.running += 1;
            Some((unit, *self.deadlines.entry(address).or_insert(fresh)))
        } else {
            busy.parked.push(unit);
            self.parked += 1;
            None
        }
    }

    /// Nothing is open there, so nothing more will be asked of it: a scan of a million silent addresses remembers none.
    fn forget(&mut self, unit: &Unit) {
        if let Some(address) = unit.address().filter(|address| !self.busy.contains_key(address)) {
            self.deadlines.remove(&address);
        }
    }

    /// Every unit that still waits.
    fn drain(&mut self) -> impl Iterator<Item = Unit> + use<> {
        self.parked = 0;
        let parked: Vec<Unit> = self.busy.values_mut().flat_map(|busy| busy.parked.drain(..)).collect();
        std::mem::take(&mut self.free).into_iter().chain(parked)
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

#[cfg(test)]
mod tests;
