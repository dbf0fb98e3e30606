//! Where a promise is to be kept: a store and a doorbell of its own, and pools and orchestrators that work there.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use model::{
    NewTask, Priority, ScanId, ScanRequest, Scope, Stage, Target, TaskId, TenantId, Work, WorkerId,
    task::Life,
};
use store::{Location, NewScan, NewTenant, Retention, Store, TaskFilter, TaskRecord, Terms};
use tempfile::TempDir;
use testkit::postgres;
use tokio::{
    sync::watch,
    task::{JoinHandle, spawn_blocking},
};
use tokio_util::sync::CancellationToken;
use worker::{
    Checks, Pool, PoolOptions, Stages,
    deliver::Sender,
    doorbell::{Bell, Doorbell},
    orchestrator::{self, Keeping},
    pool::LEASE,
};

use crate::{
    broker::{self, Kind},
    patience::{eventually, within},
};

/// So long that it ends by itself in no test.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(3_600);
/// So long that no heartbeat falls into a test, and what is to be seen without one can be seen.
pub(crate) const SILENT: Duration = Duration::from_secs(30 * 60);
/// So short that heartbeats come soon. Without an orchestrator nobody's lease ends, however slow the machine.
pub(crate) const LIVELY: Duration = Duration::from_millis(1_500);

/// Whose brokers a promise is tried with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Brokers {
    /// Those that all tests share.
    Shared,
    /// Some of its own, that it may do something to.
    Own,
}

/// Tries a promise on all grounds at once: most of the time is spent waiting for polls and heartbeats.
pub(crate) async fn everywhere<R: Future<Output = ()>>(brokers: Brokers, promise: fn(Ground) -> R) {
    let mut trials = Vec::new();
    for database in ["sqlite", "postgres"] {
        for kind in [Kind::InProcess, Kind::Redis, Kind::RabbitMq] {
            let trial = async move { promise(Ground::new(database, kind, brokers).await).await };
            trials.push(async move {
                let kept = AssertUnwindSafe(trial).catch_unwind().await;
                kept.map_err(|panic| (format!("{database} with {kind:?}"), panic))
            });
        }
    }
    let broken: Vec<_> = join_all(trials).await.into_iter().filter_map(Result::err).collect();
    let on: Vec<&str> = broken.iter().map(|(on, _)| on.as_str()).collect();
    println!("{} of 6 grounds kept the promise", 6 - on.len());
    if !on.is_empty() {
        println!("it is broken on {}", on.join(", "));
    }
    // What it said stands above, and this ends the test.
    if let Some((_, panic)) = broken.into_iter().next() {
        resume_unwind(panic);
    }
}

pub(crate) struct Ground {
    pub(crate) store: Store,
    pub(crate) owner: String,
    pub(crate) tenant: TenantId,
    pub(crate) broker: broker::Ground,
    pub(crate) kind: Kind,
    bell: Arc<dyn Doorbell>,
    directory: TempDir,
}

impl Ground {
    pub(crate) async fn new(database: &str, kind: Kind, brokers: Brokers) -> Ground {
        let directory = tempfile::tempdir().unwrap();
        let (location, owner) = match database {
            "sqlite" => (Location::Sqlite(directory.path().join("rampart.db")), String::new()),
            _ => {
                let made = spawn_blocking(|| {
                    let server = postgres::Server::shared();
                    (server.create_database_with_user(), server.address())
                });
                let (made, address) = made.await.unwrap();
                let url = made.url_at(address);
                store::migrate(&made.owner_url, &[made.user]).await.unwrap();
                (Location::Postgres { url, connections: 4, replica: None }, made.owner_url)
            }
        };
        let broker = spawn_blocking(move || match brokers {
            Brokers::Shared => broker::Ground::shared(kind),
            Brokers::Own => broker::Ground::private(kind),
        });
        let broker = broker.await.unwrap();
        let store = Store::open(&location).await.unwrap();
        let tenant = store.create_tenant(NewTenant::named("acme"), "test".to_owned()).await.unwrap().id;
        store.put_scope(tenant, "loopback", Scope::loopback(), "test".to_owned()).await.unwrap();
        let bell = broker.doorbell();
        Ground { store, owner, tenant, broker, kind, bell, directory }
    }

    pub(crate) async fn another_tenant(&self, name: &str) -> TenantId {
        let tenant = self.store.create_tenant(NewTenant::named(name), "test".to_owned()).await.unwrap().id;
        self.store.put_scope(tenant, "loopback", Scope::loopback(), "test".to_owned()).await.unwrap();
        tenant
    }

    /// The store's clock goes ahead.
    pub(crate) async fn advance(&self, by: Duration) {
        self.store.advance_clock(&self.owner, by).await.unwrap();
    }

    /// Where reports are written.
    pub(crate) fn reports(&self) -> std::path::PathBuf {
        self.directory.path().join("reports")
    }

    /// Asks for tasks and rings for them, as the product does.
    pub(crate) async fn enqueue(&self, tasks: impl IntoIterator<Item = NewTask>) -> Vec<TaskId> {
        self.enqueue_of(self.tenant, tasks).await
    }

    pub(crate) async fn enqueue_of(
        &self,
        tenant: TenantId,
        tasks: impl IntoIterator<Item = NewTask>,
    ) -> Vec<TaskId> {
        let tasks: Vec<NewTask> = tasks.into_iter().collect();
        let stages: Vec<Stage> = tasks.iter().map(|task| task.work.stage()).collect();
        let enqueued = self.store.enqueue(tenant, tasks).await.unwrap();
        for stage in stages {
            self.ring(Bell::Stage(stage)).await;
        }
        enqueued.iter().map(|task| task.id).collect()
    }

    /// Nobody relies on it: a broker that is away is none of the caller's business.
    pub(crate) async fn ring(&self, bell: Bell) {
        if let Err(error) = self.bell.ring(bell, 1).await {
            println!("{error}");
        }
    }

    /// A scan of its own stages, whose tasks wait for whoever serves them.
    pub(crate) async fn submit(&self, tenant: TenantId, stage: Stage, target: &str) -> ScanId {
        let request = ScanRequest { stages: [stage].into(), ..ScanRequest::within("loopback") };
        let targets: Vec<Target> = vec![target.parse().unwrap()];
        let new = NewScan { request, targets, by: "test".into(), checks: "1".to_owned(), price: None };
        self.store.submit_scan(tenant, new).await.unwrap().0
    }

    pub(crate) async fn task(&self, id: TaskId) -> TaskRecord {
        self.store.task(self.tenant, id).await.unwrap()
    }

    pub(crate) async fn tasks(&self, filter: TaskFilter) -> Vec<TaskRecord> {
        self.store.tasks(self.tenant, filter, None, 10_000).await.unwrap()
    }

    /// Waits until a task is what it should become.
    pub(crate) async fn until(&self, id: TaskId, is: impl Fn(&TaskRecord) -> bool) -> TaskRecord {
        self.until_of(self.tenant, id, is).await
    }

    pub(crate) async fn until_of(
        &self,
        tenant: TenantId,
        id: TaskId,
        is: impl Fn(&TaskRecord) -> bool,
    ) -> TaskRecord {
        let last = std::sync::Mutex::new(String::new());
        let what = std::fmt::from_fn(|f| write!(f, "{}", last.lock().unwrap()));
        eventually(what, async || {
            let record = self.store.task(tenant, id).await.unwrap();
            *last.lock().unwrap() = format!("{record:?}");
            is(&record).then_some(record)
        })
        .await
    }

    pub(crate) async fn until_state(&self, id: TaskId, state: &str) -> TaskRecord {
        self.until(id, |task| task.task.life.word() == state).await
    }

    pub(crate) async fn until_all(&self, ids: &[TaskId], state: &str) -> Vec<TaskRecord> {
        let mut records = Vec::new();
        for id in ids {
            records.push(self.until_state(*id, state).await);
        }
        records
    }

    /// Whoever claims has looked at everything that was due when this was called, once this returns: what comes last is done.
    pub(crate) async fn until_looked(&self, stage: Stage) {
        let last = NewTask { priority: Priority::Low, ..NewTask::new(ends_at_once(stage)) };
        let id = self.enqueue([last]).await[0];
        self.until(id, |task| task.task.life.has_ended()).await;
    }

    fn doing(&self, store: &Store) -> Arc<Stages> {
        self.doing_with(store, None)
    }

    fn doing_with(&self, store: &Store, sender: Option<Arc<Sender>>) -> Arc<Stages> {
        let check = checks::template::parse(super::site::CHECK, "answers.yaml").unwrap();
        let checks = Checks::new(vec![Arc::new(check)], "rampart/test".to_owned(), false);
        let reports = store::Objects::directory(self.directory.path()).unwrap();
        Arc::new(Stages::new(store.clone(), checks, reports).sending(sender))
    }

    /// Starts a pool.
    pub(crate) fn start(&self, options: PoolOptions) -> Running {
        let (store, stop) = (self.store.clone(), CancellationToken::new());
        let stages = self.doing(&store);
        let pool = Pool::new(store, self.broker.doorbell(), stages, options);
        Running { task: tokio::spawn(pool.run(stop.clone())), stop }
    }

    /// Starts a pool that sends messages to webhooks, and does nothing else.
    pub(crate) fn start_sending(&self, sender: Arc<Sender>) -> Running {
        let (store, stop) = (self.store.clone(), CancellationToken::new());
        let stages = self.doing_with(&store, Some(sender));
        let pool = Pool::new(store, self.broker.doorbell(), stages, pool_of(&[Stage::Deliver], 4));
        Running { task: tokio::spawn(pool.run(stop.clone())), stop }
    }

    /// Starts a pool on a thread, a runtime and connections of its own, as in another process.
    pub(crate) fn start_apart(&self, options: PoolOptions) -> Apart {
        let (orders, taken) = tokio::sync::mpsc::unbounded_channel::<Box<dyn FnOnce() + Send>>();
        let stop = CancellationToken::new();
        let (store, doorbell) = (self.store.clone(), self.broker.doorbell());
        let (doing, stopped) = (self.doing(&store), stop.clone());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let mut taken = taken;
                tokio::spawn(async move {
                    while let Some(order) = taken.recv().await {
                        order();
                    }
                });
                let store = store.apart().await.unwrap();
                Pool::new(store, doorbell, doing, options).run(stopped).await.unwrap();
            });
        });
        Apart { stop, orders, thread: Some(thread) }
    }

    /// Starts an orchestrator.
    pub(crate) fn orchestrate(&self) -> Running {
        let stop = CancellationToken::new();
        let (store, doorbell) = (self.store.clone(), self.broker.doorbell());
        let terms = Terms { checks: "1".to_owned(), price: None };
        let keeping = Keeping { retention: Retention::default(), reports: None, notary: None };
        let keeping = watch::Sender::new(keeping).subscribe();
        let running = orchestrator::run(Arc::default(), store, doorbell, terms, keeping, stop.clone());
        let task = tokio::spawn(async move {
            running.await;
            Ok(())
        });
        Running { task, stop }
    }
}

/// A pool or an orchestrator at work. It dies with the test.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// Asks it to end, and does not wait.
    pub(crate) fn ask_to_end(&self) {
        self.stop.cancel();
    }

    /// Ends it in order.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        within("it ends", self.task).await.unwrap().unwrap();
    }

    /// Ends it on the spot: nothing is handed back, nobody is told.
    pub(crate) async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// A pool as in another process.
pub(crate) struct Apart {
    stop: CancellationToken,
    orders: tokio::sync::mpsc::UnboundedSender<Box<dyn FnOnce() + Send>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Apart {
    /// Holds up its runtime until what is returned is dropped: nothing on it goes on.
    pub(crate) async fn block(&self) -> mpsc::Sender<()> {
        let (release, released) = mpsc::channel();
        let (blocked, is_blocked) = tokio::sync::oneshot::channel();
        let order = Box::new(move || {
            blocked.send(()).unwrap();
            // Ends with an error when the other end is dropped, which is what it waits for.
            released.recv().unwrap_err();
        });
        assert!(self.orders.send(order).is_ok());
        within("the runtime is held up", is_blocked).await.unwrap();
        release
    }

    /// Ends it in order.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        let thread = self.thread.take().unwrap();
        within("it ends", spawn_blocking(move || thread.join())).await.unwrap().unwrap();
    }
}

/// A pool for these stages, that gives up at once what it cannot finish.
pub(crate) fn pool_of(stages: &[Stage], concurrency: usize) -> PoolOptions {
    PoolOptions { stages: stages.to_vec(), concurrency, drain: Duration::ZERO, lease: LEASE }
}

/// A pool for exercises.
pub(crate) fn pool(concurrency: usize) -> PoolOptions {
    pool_of(&[Stage::Exercise], concurrency)
}

pub(crate) fn exercise(hold: Duration) -> NewTask {
    NewTask::new(Work::Exercise { hold })
}

/// Work of a stage that needs nothing: an exercise, or what fails for good as it belongs to no scan.
pub(crate) fn ends_at_once(stage: Stage) -> Work {
    match stage {
        Stage::Exercise => Work::Exercise { hold: Duration::ZERO },
        _ => Work::Report,
    }
}

/// Who works on the task.
#[track_caller]
pub(crate) fn worker_of(record: &TaskRecord) -> WorkerId {
    match record.task.life {
        Life::Running { worker, .. } => worker,
        _ => panic!("nobody works on it: {record:?}"),
    }
}

/// In the order in which they were begun.
pub(crate) fn by_begin(mut records: Vec<TaskRecord>) -> Vec<TaskRecord> {
    records.sort_by_key(|record| record.started_at.unwrap());
    records
}
