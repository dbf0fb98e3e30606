//! What happens, told to whoever follows it: read once for all who follow the same tenant, and for each from where they were.
//!
//! Whoever comes reads by themselves what happened since the place they name, and then hears what is read for all. Nobody waits for
//! somebody who reads slowly: they read by themselves again, and are told that they missed some when that is not kept any more.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use model::{Access, Happening, Permission, Place, ScanId, Stage, TenantId, attendance::Attendance};
use serde::Serialize;
use store::{HAPPENINGS_KEPT, ScanFilter, ScanRecord, Store, StoreError};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        mpsc,
    },
    time::{Instant, MissedTickBehavior, interval},
};
use utoipa::ToSchema;

use crate::{
    Gateway,
    caller::{Caller, FOLLOWS},
    problem::{Kind, Problem},
    recent::Recent,
};

/// How often it is looked for what happened.
const EVERY: Duration = Duration::from_millis(250);
/// How often it is looked how far scans are, and who works.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Scans that are told how far they are, the latest first.
const SCANS: usize = 100;
/// Things that are read at once.
const PAGE: usize = 500;
/// Things that are kept for somebody who reads more slowly than they happen.
const KEPT: usize = 1_024;
/// And that are on the way to them.
const ON_THE_WAY: usize = 16;
/// How often it is looked whether who follows may still do so.
const STILL_EVERY: Duration = Duration::from_secs(5);

/// Something that is sent to whoever follows.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum LiveEvent {
    /// Something happened.
    Happening(Happening),
    /// How things stand, and not what happened.
    Standing(Standing),
}

/// How things stand with whoever follows, or with what goes on. These have no id: who comes back is told anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Standing {
    /// From here on everything is told. It has an id.
    Begin,
    /// Not everything could be told: look at things anew.
    Missed,
    /// How far a scan is, when that changed.
    ScanProgress(ScanProgress),
    /// Who is at work, when that changed.
    Workers {
        /// The stages that at least one of them works for.
        stages: Vec<Stage>,
        /// Does an orchestrator lead?
        led: bool,
    },
    /// Whoever follows may not do so any more.
    End,
}

/// How far a scan is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ScanProgress {
    /// Which.
    scan: ScanId,
    /// How many targets it has.
    targets: u64,
    /// How many of them were begun.
    begun: u64,
    /// Tasks that wait or run.
    open_tasks: u64,
    /// Tasks that failed for good.
    dead_tasks: u64,
    /// Units that were planned.
    units: u64,
    /// Things that were found.
    assets: u64,
    /// Findings.
    findings: u64,
}

impl ScanProgress {
    fn of(scan: &ScanRecord) -> ScanProgress {
        ScanProgress {
            scan: scan.id,
            targets: scan.targets,
            begun: scan.begun,
            open_tasks: scan.open_tasks,
            dead_tasks: scan.dead_tasks,
            units: scan.units,
            assets: scan.assets,
            findings: scan.findings,
        }
    }
}

impl LiveEvent {
    /// The word for its kind.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            LiveEvent::Happening(happening) => happening.word(),
            LiveEvent::Standing(standing) => match standing {
                Standing::Begin => "begin",
                Standing::Missed => "missed",
                Standing::ScanProgress(_) => "scan_progress",
                Standing::Workers { .. } => "workers",
                Standing::End => "end",
            },
        }
    }

    fn permission(&self) -> Option<Permission> {
        match self {
            LiveEvent::Happening(happening) => Some(happening.permission()),
            LiveEvent::Standing(Standing::ScanProgress(_)) => Some(Permission::ScansRead),
            LiveEvent::Standing(Standing::Workers { .. }) => Some(Permission::TasksRead),
            LiveEvent::Standing(Standing::Begin | Standing::Missed | Standing::End) => None,
        }
    }
}

/// An event, and the place after it where it has one.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) place: Option<Place>,
    pub(crate) event: Arc<LiveEvent>,
}

impl Told {
    fn standing(standing: Standing) -> Told {
        Told { place: None, event: Arc::new(LiveEvent::Standing(standing)) }
    }
}

/// For each tenant that somebody follows, one who reads.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    of_tenants: Mutex<HashMap<TenantId, Feed>>,
    /// The same for all tenants.
    attendance: Recent<(), Attendance>,
}

/// What is read for all who follow a tenant.
#[derive(Debug, Clone)]
struct Feed {
    sender: broadcast::Sender<Told>,
    stood: Arc<Mutex<Stood>>,
}

/// What was told of how things stand.
#[derive(Debug, Default)]
struct Stood {
    scans: BTreeMap<ScanId, ScanProgress>,
    workers: Option<Standing>,
}

impl Feed {
    fn new() -> Feed {
        Feed { sender: broadcast::channel(KEPT).0, stood: Arc::default() }
    }

    /// How things stand, for somebody who was not told.
    fn standing(&self) -> Vec<Told> {
        let stood = self.stood.lock().unwrap_or_else(PoisonError::into_inner);
        let scans = stood.scans.values().cloned().map(Standing::ScanProgress);
        stood.workers.clone().into_iter().chain(scans).map(Told::standing).collect()
    }

    /// That nobody follows any more is seen in the next round.
    fn send(&self, told: Told) {
        let _ = self.sender.send(told);
    }
}

impl Feeds {
    /// Everything that is read from now on. Whoever is the first has it read from after that place on.
    fn join(
        self: &Arc<Feeds>,
        store: &Store,
        tenant: TenantId,
        latest: Place,
    ) -> (Feed, broadcast::Receiver<Told>) {
        let mut feeds = self.lock();
        if let Some(feed) = feeds.get(&tenant) {
            return (feed.clone(), feed.sender.subscribe());
        }
        let feed = Feed::new();
        let receiver = feed.sender.subscribe();
        feeds.insert(tenant, feed.clone());
        tokio::spawn(read(Arc::clone(self), store.clone(), tenant, latest, feed.clone()));
        (feed, receiver)
    }

    /// Nobody follows: whoever comes next begins anew.
    fn leave(&self, tenant: TenantId, feed: &Feed) -> bool {
        let mut feeds = self.lock();
        let nobody = feed.sender.receiver_count() == 0;
        if nobody {
            feeds.remove(&tenant);
        }
        nobody
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Feed>> {
        self.of_tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads for all who follow a tenant, as long as there are any. What cannot be read now is read later: nothing is left out.
async fn read(feeds: Arc<Feeds>, store: Store, tenant: TenantId, mut place: Place, feed: Feed) {
    let (mut look_at, mut silent) = (Instant::now(), false);
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        if feeds.leave(tenant, &feed) {
            return;
        }
        let mut looked = happened(&store, tenant, &mut place, &feed).await;
        if looked.is_ok() && Instant::now() >= look_at {
            look_at = Instant::now() + PROGRESS_EVERY;
            looked = stands(&feeds, &store, tenant, &feed).await;
        }
        match (looked, silent) {
            (Ok(()), _) => silent = false,
            (Err(error), false) => {
                tracing::error!(%error, "nobody can be told what happens: it is told as soon as the store answers");
                silent = true;
            }
            (Err(_), true) => {}
        }
    }
}

async fn happened(store: &Store, tenant: TenantId, place: &mut Place, feed: &Feed) -> Result<(), StoreError> {
    loop {
        let page = store.happenings(tenant, *place, PAGE).await?;
        let is_last = page.len() < PAGE;
        for (at, happening) in page {
            *place = at;
            let Some(happening) = happening else { continue };
            feed.send(Told { place: Some(at), event: Arc::new(LiveEvent::Happening(happening)) });
        }
        if is_last {
            return Ok(());
        }
    }
}

async fn stands(feeds: &Feeds, store: &Store, tenant: TenantId, feed: &Feed) -> Result<(), StoreError> {
    let running = ScanFilter { running: true, ..ScanFilter::default() };
    let scans = store.scans(tenant, running, SCANS).await?;
    let scans: BTreeMap<ScanId, ScanProgress> =
        scans.iter().map(|scan| (scan.id, ScanProgress::of(scan))).collect();
    let look = async || store.attendance().await;
    let attendance = feeds.attendance.get(&(), std::time::Instant::now(), look).await?;
    let stages = attendance.stages.iter().copied().collect();
    let workers = Some(Standing::Workers { stages, led: attendance.is_led });
    let mut stood = feed.stood.lock().unwrap_or_else(PoisonError::into_inner);
    let changed = scans.iter().filter(|(scan, progress)| stood.scans.get(scan) != Some(progress));
    let changed: Vec<Standing> =
        changed.map(|(_, progress)| Standing::ScanProgress(progress.clone())).collect();
    let others = workers.clone().filter(|_| stood.workers != workers);
    // First what stands, then that it does: whoever comes in between is told twice rather than never.
    *stood = Stood { scans, workers };
    for standing in changed.into_iter().chain(others) {
        feed.send(Told::standing(standing));
    }
    Ok(())
}

/// Follows what happens to a tenant, from a place on or from now on, as far as that role may know it.
pub(crate) async fn follow(
    gateway: &Gateway,
    caller: &Caller,
    tenant: TenantId,
    after: Option<Place>,
) -> Result<mpsc::Receiver<Told>, Problem> {
    let part = gateway.followers.take(tenant);
    let part =
        part.ok_or_else(|| Problem::new(Kind::Overloaded, "too many of this tenant follow what happens"))?;
    let latest = gateway.store.latest_happening(tenant).await?;
    let (feed, receiver) = gateway.feeds.join(&gateway.store, tenant, latest);
    let (sender, events) = mpsc::channel(ON_THE_WAY);
    let mut follower = Follower {
        gateway: gateway.clone(),
        caller: caller.clone(),
        tenant,
        sender,
        access: caller.access().clone(),
        still: Instant::now() + STILL_EVERY,
        place: after.unwrap_or(latest),
    };
    tokio::spawn(async move {
        let closing = follower.gateway.closing.clone();
        let gone = follower.sender.clone();
        tokio::select! {
            ended = follower.tell(latest, &feed, receiver) => if let Err(error) = ended {
                tracing::error!(%error, "somebody who follows what happens was left");
            },
            () = closing.cancelled() => {}
            () = gone.closed() => {}
        }
        drop(part);
    });
    Ok(events)
}

/// Somebody who follows.
struct Follower {
    gateway: Gateway,
    caller: Caller,
    tenant: TenantId,
    sender: mpsc::Sender<Told>,
    /// What they may do, as it was looked at last.
    access: Access,
    /// When it is looked at again.
    still: Instant,
    /// Up to where they were told.
    place: Place,
}

impl Follower {
    /// Until they may not follow any more.
    async fn tell(
        &mut self,
        latest: Place,
        feed: &Feed,
        mut receiver: broadcast::Receiver<Told>,
    ) -> Result<(), StoreError> {
        if self.place.position > latest.position {
            // The place is of another tenant, or of a time before the database was made anew.
            self.place = latest;
            self.send(Told::standing(Standing::Missed)).await?;
        }
        self.require_kept().await?;
        let begin = Told { place: Some(self.place), ..Told::standing(Standing::Begin) };
        self.send(begin).await?;
        // Whoever could not keep up with what is read for all goes on by themselves from where they are.
        while self.catch_up().await? {
            for standing in feed.standing() {
                self.send(standing).await?;
            }
            if !self.keep_up(&mut receiver).await? {
                break;
            }
        }
        Ok(())
    }

    /// What has happened since. Whether they may still follow.
    async fn catch_up(&mut self) -> Result<bool, StoreError> {
        loop {
            self.require_kept().await?;
            let page = self.gateway.store.happenings(self.tenant, self.place, PAGE).await?;
            let is_last = page.len() < PAGE;
            for (at, happening) in page {
                if let Some(happening) = happening {
                    let event = Arc::new(LiveEvent::Happening(happening));
                    if !self.send(Told { place: Some(at), event }).await? {
                        return Ok(false);
                    }
                }
                self.place = at;
            }
            if is_last {
                return Ok(true);
            }
        }
    }

    /// What is read for all, until it is more than they take. Whether they may still follow.
    async fn keep_up(&mut self, receiver: &mut broadcast::Receiver<Told>) -> Result<bool, StoreError> {
        loop {
            let told = tokio::select! {
                told = receiver.recv() => Some(told),
                () = tokio::time::sleep_until(self.still) => None,
            };
            let told = match told {
                Some(Ok(told)) => told,
                Some(Err(RecvError::Lagged(_))) => return Ok(true),
                // The one who reads ends after the last who follows.
                Some(Err(RecvError::Closed)) => return Ok(false),
                None if self.may_still().await? => continue,
                None => return Ok(false),
            };
            // Otherwise they have read it themselves.
            if told.place.is_none_or(|at| at.position > self.place.position) {
                self.place = told.place.unwrap_or(self.place);
                if !self.send(told).await? {
                    return Ok(false);
                }
            }
        }
    }

    /// What happened so long ago is not kept: they are told when something did, and go on from now.
    async fn require_kept(&mut self) -> Result<(), StoreError> {
        let oldest = Timestamp::now().saturating_sub(HAPPENINGS_KEPT).unwrap_or(Timestamp::MIN);
        if self.place.at >= oldest {
            return Ok(());
        }
        let latest = self.gateway.store.latest_happening(self.tenant).await?;
        let missed = latest.position != self.place.position;
        self.place = latest;
        if missed {
            self.send(Told::standing(Standing::Missed)).await?;
        }
        Ok(())
    }

    /// Looks now and then whether they may still follow. They are told when they may not.
    async fn may_still(&mut self) -> Result<bool, StoreError> {
        if Instant::now() < self.still {
            return Ok(true);
        }
        self.still = Instant::now() + STILL_EVERY;
        let access = self.caller.still_is(&self.gateway).await?;
        let Some(access) = access.filter(|access| access.may(FOLLOWS)) else {
            let _ = self.sender.send(Told::standing(Standing::End)).await;
            return Ok(false);
        };
        self.access = access;
        Ok(true)
    }

    /// Waits until there is room, as long as they may follow. That they are gone is noticed elsewhere.
    async fn send(&mut self, told: Told) -> Result<bool, StoreError> {
        let may = self.may_still().await?;
        if may && told.event.permission().is_none_or(|permission| self.access.may(permission)) {
            let _ = self.sender.send(told).await;
        }
        Ok(may)
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, extract::Request};
    use futures_util::StreamExt;
    use model::{ApiKey, Authority, Reach};
    use store::{Location, NewKey, NewTenant};
    use tower::ServiceExt;

    use super::*;

    async fn gateway(directory: &std::path::Path) -> (Gateway, TenantId, ApiKey) {
        let store = Store::open(&Location::Sqlite(directory.join("rampart.db"))).await.unwrap();
        let tenant = store.create_tenant(NewTenant::named("own"), "test").await.unwrap().id;
        let key = ApiKey::from_random(rand::random(), rand::random());
        let new = NewKey {
            name: "test".to_owned(),
            role: model::Role::Viewer,
            networks: Vec::new(),
            expires_at: None,
        };
        store.create_key(tenant, key.clone(), new, "test").await.unwrap();
        (crate::tests::gateway(store, directory), tenant, key)
    }

    async fn follow(gateway: &Gateway, key: &ApiKey) -> axum::body::BodyDataStream {
        let request =
            Request::get("/api/v1/events").header("authorization", format!("Bearer {}", key.expose()));
        let router = gateway.clone().router();
        let answer = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.into_body().into_data_stream()
    }

    /// Reads until a word was there so often.
    async fn until(body: &mut axum::body::BodyDataStream, word: &str, times: usize) -> String {
        let mut text = String::new();
        while text.matches(&format!("event: {word}\n")).count() < times {
            let more = tokio::time::timeout(Duration::from_secs(60), body.next()).await;
            text.push_str(std::str::from_utf8(&more.expect("nothing comes").unwrap().unwrap()).unwrap());
        }
        text
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_reads_slowly_holds_up_nobody_and_is_told_all() {
        let directory = tempfile::tempdir().unwrap();
        let (gateway, tenant, key) = gateway(directory.path()).await;
        let (mut slow, mut quick) = (follow(&gateway, &key).await, follow(&gateway, &key).await);
        until(&mut slow, "begin", 1).await;
        let rounds = (KEPT + 4 * ON_THE_WAY) / 2;
        let reach = Reach::Tenant { tenant };
        let writing = async {
            for _ in 0..rounds {
                let why = || "a test".to_owned();
                gateway.store.order_stop(Authority::Tenant, reach, why(), "test").await.unwrap();
                gateway.store.lift_stops(Authority::Tenant, None, why(), "test", None).await.unwrap();
            }
        };
        let (told, ()) = tokio::join!(until(&mut quick, "stop_lifted", rounds), writing);
        assert_eq!(told.matches("event: stop_ordered\n").count(), rounds);
        assert!(!told.contains("event: missed"), "who reads misses nothing");
        // Who did not read meanwhile is told all of it later, too.
        let told = until(&mut slow, "stop_lifted", rounds).await;
        assert_eq!(told.matches("event: stop_ordered\n").count(), rounds);
        assert!(!told.contains("event: missed"));
        let places: Vec<u64> = told
            .lines()
            .filter_map(|line| line.strip_prefix("id: ")?.split_once('-'))
            .map(|(position, _)| position.parse().unwrap())
            .collect();
        assert!(places.is_sorted_by(|one, other| one < other), "in order, and nothing twice");
        drop((slow, quick));
        let gone = async {
            while !gateway.feeds.lock().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone).await.expect("nobody reads for nobody");
        assert!(gateway.followers.take(tenant).is_some());
    }
}
