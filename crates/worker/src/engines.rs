//! What the tasks of one scan share in this process: scope, limits, caps on what is sent.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use jiff::Timestamp;
use model::{
    Limits, PortSet, Profile, ScanId, ScanRequest, Scope, Stage, TenantId, Traffic, Unit, UnitResult,
    limits::TaskCeilings,
    task::{Retry, TaskFailure},
};
use scanner::{
    check::{CheckSet, Reproduce},
    crawl::CrawlOptions,
    discover::{DiscoverOptions, WordList},
    http::Identity,
    pipeline::{self, Checking, Scan, ScanOptions},
    ports,
    socket::Dialer,
};
use store::{Ending, Store, StoreError};
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{packets::Quotas, pulse};

/// How long a process that joins others in a scan sends nothing: by then each of them has seen that there is one more, or has
/// stopped for not having seen anything, which it notices when the last look that it waited for is over.
const ARRIVAL: Duration = Duration::from_secs(2);
const _: () = assert!(ARRIVAL.as_millis() > pulse::BLIND_FOR.as_millis() + pulse::LOOK_WITHIN.as_millis());

/// The templates that this process has.
#[derive(Debug, Clone)]
pub struct Checks {
    /// All of them.
    pub all: Vec<Arc<checks::Template>>,
    /// The same, sorted by what they are about.
    pub set: Arc<CheckSet>,
    /// `rampart 0.1.0`, for the `User-Agent`.
    pub product: String,
    /// The demo estate is what is scanned: findings say how to start it.
    pub demo: bool,
}

impl Checks {
    /// Of these templates.
    pub fn new(all: Vec<Arc<checks::Template>>, product: String, demo: bool) -> Checks {
        let set = Arc::new(CheckSet::new(all.iter().cloned()));
        Checks { all, set, product, demo }
    }
}

/// Every scan that has tasks at work here.
pub(crate) struct Engines {
    store: Store,
    checks: Checks,
    /// What a task may use here, whatever its scan says.
    pub(crate) ceilings: TaskCeilings,
    scans: Mutex<HashMap<(TenantId, ScanId), Weak<Engine>>>,
    unsaid: Unsaid,
    pub(crate) quotas: Quotas,
}

/// One scan in this process. All its tasks send through one dialer, so that caps hold for all of them together.
pub(crate) struct Engine {
    scan: ScanId,
    limits: Limits,
    dialer: Dialer,
    identity: Identity,
    checking: Checking,
    options: Arc<ScanOptions>,
    hosts: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
    /// That this process is known to work on the scan: held by each task at work.
    membership: AsyncMutex<Weak<Membership>>,
    /// What was sent and is in some result already.
    told: Mutex<Traffic>,
    tenant: TenantId,
    unsaid: Unsaid,
}

/// What engines that are gone sent and nobody has told: all of their tasks were cut.
type Unsaid = Arc<Mutex<HashMap<(TenantId, ScanId), Traffic>>>;

/// Somebody in this process works on the scan, and all others who do have made room.
struct Membership;

impl Engines {
    pub(crate) fn new(store: Store, checks: Checks) -> Engines {
        Engines {
            store,
            checks,
            ceilings: TaskCeilings::default(),
            scans: Mutex::default(),
            unsaid: Arc::default(),
            quotas: Quotas::default(),
        }
    }

    pub(crate) async fn of(&self, tenant: TenantId, scan: ScanId) -> Result<Arc<Engine>, StoreError> {
        let known = || {
            let mut scans = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
            scans.retain(|_, engine| engine.strong_count() > 0);
            scans.get(&(tenant, scan)).and_then(Weak::upgrade)
        };
        if let Some(engine) = known() {
            return Ok(engine);
        }
        let (request, scope, limits, _) = self.store.scan_settings(tenant, scan).await?;
        let limits = self.ceilings.lower(&limits);
        let checks = match request.only.is_empty() {
            true => Arc::clone(&self.checks.set),
            false => {
                let wanted = self.checks.all.iter().filter(|check| request.only.contains(&check.id));
                Arc::new(CheckSet::new(wanted.cloned()))
            }
        };
        let checking = Checking {
            resolvers: scope.resolvers.clone(),
            checks,
            scan,
            variables: BTreeMap::new(),
            reproduce: Reproduce { demo: self.checks.demo, options: Vec::new() },
        };
        let dialer = Dialer::new(scope.clone(), limits.clone(), CancellationToken::new());
        let dialer = match request.budget.packets {
            Some(_) => dialer.within(self.quotas.begin(tenant, scan, &limits)),
            None => dialer,
        };
        let engine = Arc::new(Engine {
            scan,
            identity: Identity { user_agent: format!("{} (security scan {scan})", self.checks.product) },
            checking,
            options: Arc::new(options(&request, &scope)),
            dialer,
            limits,
            hosts: Mutex::default(),
            membership: AsyncMutex::default(),
            told: Mutex::default(),
            tenant,
            unsaid: Arc::clone(&self.unsaid),
        });
        let mut scans = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have been faster.
        let place = scans.entry((tenant, scan)).or_default();
        Ok(place.upgrade().unwrap_or_else(|| {
            *place = Arc::downgrade(&engine);
            engine
        }))
    }
}

impl Engines {
    /// So many processes work on these scans now.
    pub(crate) fn share_rates(&self, at_work: &BTreeMap<(TenantId, ScanId), u32>) {
        let scans = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        for (scan, processes) in at_work {
            if let Some(engine) = scans.get(scan).and_then(Weak::upgrade) {
                engine.dialer.share_rates_among(*processes);
            }
        }
    }

    /// Before anything is sent for a scan: alone, this process has the whole of its rates; with others it takes its part when they
    /// have made room for it. Of two that arrive at once the later one sees the other, since both are in the store before they look.
    pub(crate) async fn arrive(
        &self,
        tenant: TenantId,
        engine: &Engine,
    ) -> Result<Arc<impl Sized>, StoreError> {
        let mut known = engine.membership.lock().await;
        if let Some(membership) = known.upgrade() {
            return Ok(membership);
        }
        let processes = self.store.at_work(tenant, engine.scan).await?;
        engine.dialer.share_rates_among(processes);
        if processes > 1 {
            sleep(ARRIVAL).await;
        }
        let membership = Arc::new(Membership);
        *known = Arc::downgrade(&membership);
        Ok(membership)
    }
}

impl Engines {
    /// What was sent for a scan since somebody last asked.
    pub(crate) fn take_traffic(&self, tenant: TenantId, scan: ScanId) -> Traffic {
        let engine = {
            let scans = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
            scans.get(&(tenant, scan)).and_then(Weak::upgrade)
        };
        match engine {
            Some(engine) => engine.take_traffic(),
            None => take(&self.unsaid, (tenant, scan)),
        }
    }
}

fn take(unsaid: &Unsaid, scan: (TenantId, ScanId)) -> Traffic {
    unsaid.lock().unwrap_or_else(PoisonError::into_inner).remove(&scan).unwrap_or_default()
}

impl Drop for Engine {
    fn drop(&mut self) {
        let left = self.take_traffic();
        if left != Traffic::default() {
            let mut unsaid = self.unsaid.lock().unwrap_or_else(PoisonError::into_inner);
            unsaid.insert((self.tenant, self.scan), left);
        }
    }
}

impl Engine {
    /// Does one unit; none when it was stopped in the middle.
    pub(crate) async fn perform(
        &self,
        unit: &Unit,
        time: Duration,
        stop: &CancellationToken,
    ) -> Option<UnitResult> {
        let _turn = match unit.address() {
            Some(address) => Some(self.turn_on(address).await),
            None => None,
        };
        let scan = self.assemble(stop.clone());
        let deadline = Instant::now() + time.min(self.limits.host_deadline);
        pipeline::perform(&scan, unit, deadline).await
    }

    /// The engine of one task: what it sends counts with the others', and it can be stopped by itself.
    fn assemble(&self, stop: CancellationToken) -> Scan {
        let dialer = self.dialer.with_stop(stop);
        Scan::new(dialer, self.identity.clone(), self.checking.clone(), Arc::clone(&self.options))
    }

    /// As many units at once on an address as it can take.
    async fn turn_on(&self, address: IpAddr) -> Option<OwnedSemaphorePermit> {
        let turns = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            let turns = || Arc::new(Semaphore::new(self.limits.units_per_host() as usize));
            Arc::clone(hosts.entry(address).or_insert_with(turns))
        };
        // It is never closed.
        turns.acquire_owned().await.ok()
    }

    /// How a task ends that comes when the scope's time window is closed: it waits until that opens, if it ever does.
    pub(crate) fn closed(&self, now: Timestamp) -> Option<Ending> {
        let window = &self.dialer.scope().window;
        let why = window.permits(now).err()?;
        Some(match window.next_open(now) {
            Some(opens) => Ending::HandedBack { not_before: Some(opens) },
            None => Ending::Failed(TaskFailure {
                message: format!("the scope's time window is closed: {why}"),
                retry: Retry::Never,
            }),
        })
    }

    /// What was sent since somebody last asked.
    fn take_traffic(&self) -> Traffic {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.dialer.counters().traffic();
        let since = now - *told;
        *told = now;
        let mut all = take(&self.unsaid, (self.tenant, self.scan));
        all += since;
        all
    }
}

/// What a scan asks for, as far as its scope allows it.
fn options(request: &ScanRequest, scope: &Scope) -> ScanOptions {
    let profile = request.profile;
    let ports = request.ports.clone().unwrap_or_else(|| ports::of_profile(profile));
    let outside = PortSet::all().without(&scope.ports).union(&scope.excluded_ports);
    ScanOptions {
        stages: request.stages.clone(),
        ports: ports.without(&outside),
        identify: true,
        discover: DiscoverOptions {
            words: WordList::of_profile(profile),
            brute_force: true,
            recurse: profile == Profile::Deep,
        },
        crawl: CrawlOptions::of(profile),
    }
}

/// Stages whose tasks send something.
pub(crate) fn sends(stage: Stage) -> bool {
    Stage::SCANNING.contains(&stage)
}
