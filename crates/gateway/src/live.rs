//! What happens, told to whoever follows it: read once for all who follow the same tenant, and for each from where they were.
//!
//! Whoever comes reads by themselves what happened since the place they name, and hears by then what is read for all. Nobody waits
//! for somebody who reads slowly: they are told that they missed some.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use model::{Happening, Permission, Place, Role, ScanId, Stage, TenantId, attendance::Attendance};
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
    caller::Caller,
    problem::{Kind, Problem},
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
    Missed {
        /// How much of it, where that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        count: Option<u64>,
    },
    /// How far a scan is, when that changed.
    ScanProgress(ScanProgress),
    /// Who is at work, when that changed.
    Workers {
        /// How many.
        count: usize,
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
                Standing::Missed { .. } => "missed",
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
            LiveEvent::Standing(Standing::Begin | Standing::Missed { .. } | Standing::End) => None,
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
pub(crate) struct Feeds(Mutex<HashMap<TenantId, broadcast::Sender<Told>>>);

impl Feeds {
    /// Everything that is read from now on. Whoever is the first has it read from after that place on.
    fn join(self: &Arc<Feeds>, store: &Store, tenant: TenantId, latest: Place) -> broadcast::Receiver<Told> {
        let mut feeds = self.lock();
        if let Some(feed) = feeds.get(&tenant) {
            return feed.subscribe();
        }
        let (feed, receiver) = broadcast::channel(KEPT);
        feeds.insert(tenant, feed.clone());
        tokio::spawn(read(Arc::clone(self), store.clone(), tenant, latest, feed));
        receiver
    }

    /// Nobody follows: whoever comes next begins anew.
    fn leave(&self, tenant: TenantId, feed: &broadcast::Sender<Told>) -> bool {
        let mut feeds = self.lock();
        let nobody = feed.receiver_count() == 0;
        if nobody {
            feeds.remove(&tenant);
        }
        nobody
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, broadcast::Sender<Told>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was told of how things stand.
#[derive(Debug, Default)]
struct Stood {
    scans: BTreeMap<ScanId, ScanProgress>,
    workers: Option<Standing>,
}

/// Reads for all who follow a tenant, as long as there are any. What cannot be read now is read later: nothing is left out.
async fn read(
    feeds: Arc<Feeds>,
    store: Store,
    tenant: TenantId,
    mut place: Place,
    feed: broadcast::Sender<Told>,
) {
    let (mut stood, mut look_at, mut silent) = (Stood::default(), Instant::now(), false);
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
            looked = stands(&store, tenant, &mut stood, &feed).await;
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

async fn happened(
    store: &Store,
    tenant: TenantId,
    place: &mut Place,
    feed: &broadcast::Sender<Told>,
) -> Result<(), StoreError> {
    loop {
        let page = store.happenings(tenant, *place, PAGE).await?;
        let is_last = page.len() < PAGE;
        for (at, happening) in page {
            *place = at;
            let Some(happening) = happening else { continue };
            // That nobody follows any more is seen in the next round.
            let _ = feed.send(Told { place: Some(at), event: Arc::new(LiveEvent::Happening(happening)) });
        }
        if is_last {
            return Ok(());
        }
    }
}

async fn stands(
    store: &Store,
    tenant: TenantId,
    stood: &mut Stood,
    feed: &broadcast::Sender<Told>,
) -> Result<(), StoreError> {
    let running = ScanFilter { running: true, before: None };
    let scans = store.scans(tenant, running, SCANS).await?;
    let now: BTreeMap<ScanId, ScanProgress> =
        scans.iter().map(|scan| (scan.id, ScanProgress::of(scan))).collect();
    for (scan, progress) in &now {
        if stood.scans.get(scan) != Some(progress) {
            let _ = feed.send(Told::standing(Standing::ScanProgress(progress.clone())));
        }
    }
    stood.scans = now;
    let Attendance { workers, stages, is_led } = store.attendance().await?;
    let workers = Standing::Workers { count: workers, stages: stages.into_iter().collect(), led: is_led };
    if stood.workers.as_ref() != Some(&workers) {
        let _ = feed.send(Told::standing(workers.clone()));
        stood.workers = Some(workers);
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
    if gateway.around.ending.is_cancelled() {
        return Err(Problem::new(Kind::Unavailable, "it is ending, and takes nothing new"));
    }
    let part = gateway.followers.take(tenant);
    let part =
        part.ok_or_else(|| Problem::new(Kind::Overloaded, "too many of this tenant follow what happens"))?;
    let latest = gateway.store.latest_happening(tenant).await?;
    let feed = gateway.feeds.join(&gateway.store, tenant, latest);
    let (sender, receiver) = mpsc::channel(ON_THE_WAY);
    let follower = Follower { gateway: gateway.clone(), caller: caller.clone(), tenant, sender };
    tokio::spawn(async move {
        let ending = follower.gateway.around.ending.clone();
        let gone = follower.sender.clone();
        tokio::select! {
            ended = follower.tell(after, latest, feed) => if let Err(error) = ended {
                tracing::error!(%error, "somebody who follows what happens was left");
            },
            () = ending.cancelled() => {}
            () = gone.closed() => {}
        }
        drop(part);
    });
    Ok(receiver)
}

/// Somebody who follows.
struct Follower {
    gateway: Gateway,
    caller: Caller,
    tenant: TenantId,
    sender: mpsc::Sender<Told>,
}

impl Follower {
    async fn tell(
        &self,
        after: Option<Place>,
        latest: Place,
        mut feed: broadcast::Receiver<Told>,
    ) -> Result<(), StoreError> {
        let begin = after.unwrap_or(latest);
        let oldest = Timestamp::now().saturating_sub(HAPPENINGS_KEPT).unwrap_or(Timestamp::MIN);
        let mut place = begin;
        if begin.at < oldest {
            place = latest;
            self.send(Told::standing(Standing::Missed { count: None }), self.caller.role()).await;
        }
        let begin = Told { place: Some(place), ..Told::standing(Standing::Begin) };
        self.send(begin, self.caller.role()).await;
        loop {
            let page = self.gateway.store.happenings(self.tenant, place, PAGE).await?;
            let is_last = page.len() < PAGE;
            for (at, happening) in page {
                place = at;
                let Some(happening) = happening else { continue };
                let told = Told { place: Some(at), event: Arc::new(LiveEvent::Happening(happening)) };
                self.send(told, self.caller.role()).await;
            }
            if is_last {
                break;
            }
        }
        let (mut role, mut still) = (self.caller.role(), Instant::now() + STILL_EVERY);
        loop {
            let told = tokio::select! {
                told = feed.recv() => Some(told),
                () = tokio::time::sleep_until(still) => None,
            };
            if Instant::now() >= still {
                still = Instant::now() + STILL_EVERY;
                match self.caller.still_is(&self.gateway).await? {
                    Some(is) => role = is,
                    None => {
                        self.send(Told::standing(Standing::End), role).await;
                        return Ok(());
                    }
                }
            }
            match told {
                Some(Ok(told)) if told.place.is_none_or(|at| at > place) => {
                    place = told.place.unwrap_or(place);
                    self.send(told, role).await;
                }
                // What they have read themselves.
                Some(Ok(_)) | None => {}
                Some(Err(RecvError::Lagged(count))) => {
                    self.send(Told::standing(Standing::Missed { count: Some(count) }), role).await;
                }
                // The one who reads ends after the last who follows.
                Some(Err(RecvError::Closed)) => return Ok(()),
            }
        }
    }

    /// Waits until there is room. Whoever is gone is noticed elsewhere.
    async fn send(&self, told: Told, role: Role) {
        if told.event.permission().is_none_or(|permission| role.may(permission)) {
            let _ = self.sender.send(told).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use axum::{body::Body, extract::Request};
    use futures_util::StreamExt;
    use model::{ApiKey, Authority, Reach};
    use store::{Location, NewKey, NewTenant, Objects, Terms};
    use tokio_util::sync::CancellationToken;
    use tower::ServiceExt;

    use super::*;
    use crate::{Rates, Surroundings};

    async fn gateway(directory: &std::path::Path) -> (Gateway, TenantId, ApiKey) {
        let store = Store::open(&Location::Sqlite(directory.join("rampart.db"))).await.unwrap();
        let tenant = store.create_tenant(NewTenant::named("own"), "test").await.unwrap().id;
        let key = ApiKey::from_random(rand::random(), rand::random());
        let new =
            NewKey { name: "test".to_owned(), role: Role::Viewer, networks: Vec::new(), expires_at: None };
        store.create_key(tenant, key.clone(), new, "test").await.unwrap();
        let rate = NonZeroU32::new(1_000).unwrap();
        let around = Surroundings {
            terms: Terms { checks: "1".to_owned(), price: None },
            checks: Default::default(),
            resolvers: Vec::new(),
            reports: Objects::directory(directory).unwrap(),
            rates: Rates { address: rate, key: rate, tenant: rate },
            proxies: Vec::new(),
            tell: Box::new(|_| {}),
            ending: CancellationToken::new(),
        };
        (Gateway::new(store, around), tenant, key)
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
    async fn who_reads_too_slowly_is_told_so_and_holds_up_nobody() {
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
                gateway.store.lift_stops(Authority::Tenant, None, why(), "test").await.unwrap();
            }
        };
        let (told, ()) = tokio::join!(until(&mut quick, "stop_lifted", rounds), writing);
        assert_eq!(told.matches("event: stop_ordered\n").count(), rounds);
        assert!(!told.contains("event: missed"), "who reads misses nothing");
        let told = until(&mut slow, "missed", 1).await;
        let mut missed =
            told.lines().filter_map(|line| line.strip_prefix("data: {\"event\":\"missed\",\"count\":"));
        let missed: usize = missed.next_back().unwrap().trim_end_matches('}').parse().unwrap();
        assert!(missed > 0 && missed <= 2 * rounds, "{missed}");
        // From there on they are told again.
        gateway
            .store
            .order_stop(Authority::Installation, Reach::Everything, "last".to_owned(), "test")
            .await
            .unwrap();
        while !until(&mut slow, "stop_ordered", 1).await.contains("everything") {}
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
