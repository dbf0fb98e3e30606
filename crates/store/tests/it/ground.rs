//! Where a case runs: a store of its own, in one database or the other.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use model::{
    NewTask, Priority, Stage, TaskId, TenantId, Work, WorkerId,
    fairness::Turns,
    task::{Retry, TaskFailure},
};
use store::{
    ClaimRequest, Claimed, Ending, Lease, Location, NewTenant, ReplicaLocation, Settled, Settlement, Store,
    TaskRecord,
};

use crate::later;

pub(crate) const LEASE: Duration = Duration::from_secs(30);

pub(crate) struct Ground {
    pub(crate) store: Store,
    pub(crate) location: Location,
    /// Whoever may change a server's schema.
    pub(crate) owner: String,
    pub(crate) tenant: TenantId,
    pub(crate) _directory: Option<tempfile::TempDir>,
}

impl Ground {
    pub(crate) async fn sqlite() -> Ground {
        let directory = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(directory.path().join("rampart.db"));
        Ground::new(location, String::new(), Some(directory)).await
    }

    /// After a release that is later than this one has been there.
    pub(crate) async fn later_sqlite() -> Ground {
        let Ground { store, location, owner, _directory, .. } = Ground::sqlite().await;
        drop(store);
        let Location::Sqlite(file) = &location else { panic!() };
        later::take_in_sqlite(file, later::NOTHING_NEW);
        Ground::again(location, owner, _directory).await
    }

    /// After a release that is later than this one has been there.
    pub(crate) async fn later_postgres() -> Ground {
        let Ground { store, location, owner, .. } = Ground::postgres().await;
        drop(store);
        later::take_in_postgres(&owner, later::NOTHING_NEW).await;
        Ground::again(location, owner, None).await
    }

    pub(crate) async fn postgres() -> Ground {
        Ground::server(|| testkit::postgres::Server::shared().address()).await
    }

    /// Through a pool in transaction mode that has fewer connections than its clients.
    pub(crate) async fn pgbouncer() -> Ground {
        static SHARED: OnceLock<testkit::pgbouncer::Server> = OnceLock::new();
        Ground::server(|| {
            let start = || testkit::pgbouncer::Server::start(testkit::postgres::Server::shared(), 2);
            SHARED.get_or_init(start).address()
        })
        .await
    }

    /// In a database of its own on the shared server, reached through an address.
    pub(crate) async fn server(address: impl FnOnce() -> SocketAddr + Send + 'static) -> Ground {
        Ground::on(testkit::postgres::Server::shared, address, 4).await
    }

    /// In a database of its own on a server, reached through an address by so many connections.
    pub(crate) async fn on<S: std::ops::Deref<Target = testkit::postgres::Server>>(
        server: impl FnOnce() -> S + Send + 'static,
        address: impl FnOnce() -> SocketAddr + Send + 'static,
        connections: usize,
    ) -> Ground {
        let (database, url) = tokio::task::spawn_blocking(move || {
            let database = server().create_database_with_user();
            let url = database.url_at(address());
            (database, url)
        })
        .await
        .unwrap();
        let owner = database.owner_url;
        store::migrate(&owner, &[database.user]).await.unwrap();
        Ground::new(Location::Postgres { url, connections, replica: None }, owner, None).await
    }

    async fn new(location: Location, owner: String, directory: Option<tempfile::TempDir>) -> Ground {
        let store = Store::open(&location).await.unwrap();
        let tenant = store.create_tenant(NewTenant::named("acme"), "test".to_owned()).await.unwrap().id;
        Ground { store, location, owner, tenant, _directory: directory }
    }

    /// The same database, opened again.
    async fn again(location: Location, owner: String, directory: Option<tempfile::TempDir>) -> Ground {
        let store = Store::open(&location).await.unwrap();
        let tenant = store.tenant_named("acme").await.unwrap().id;
        Ground { store, location, owner, tenant, _directory: directory }
    }

    /// The same, with a replica at this address for what may be stale.
    pub(crate) async fn beside(self, replica: SocketAddr, most_behind: Duration) -> Ground {
        let Location::Postgres { url, connections, .. } = &self.location else {
            panic!("a file has no replica")
        };
        let (user, place) = url.split_once('@').unwrap();
        let (_, database) = place.split_once('/').unwrap();
        let replica = ReplicaLocation { url: format!("{user}@{replica}/{database}"), most_behind };
        let location =
            Location::Postgres { url: url.clone(), connections: *connections, replica: Some(replica) };
        let store = Store::open(&location).await.unwrap();
        Ground { store, location, ..self }
    }

    /// The same, as another tenant.
    pub(crate) fn of(&self, tenant: TenantId) -> Ground {
        let Ground { store, location, owner, .. } = self;
        Ground {
            store: store.clone(),
            location: location.clone(),
            owner: owner.clone(),
            tenant,
            _directory: None,
        }
    }

    pub(crate) async fn advance(&self, by: Duration) {
        self.store.advance_clock(&self.owner, by).await.unwrap();
    }

    pub(crate) async fn another_tenant(&self, name: &str) -> TenantId {
        self.store.create_tenant(NewTenant::named(name), "test".to_owned()).await.unwrap().id
    }

    pub(crate) async fn enqueue(&self, tasks: impl IntoIterator<Item = NewTask>) -> Vec<TaskId> {
        let tasks = tasks.into_iter().collect();
        let enqueued = self.store.enqueue(self.tenant, tasks).await.unwrap();
        enqueued.iter().map(|task| task.id).collect()
    }

    pub(crate) async fn task(&self, id: TaskId) -> TaskRecord {
        self.store.task(self.tenant, id).await.unwrap()
    }

    pub(crate) async fn state(&self, id: TaskId) -> &'static str {
        self.task(id).await.task.life.word()
    }
}

pub(crate) struct Worker {
    id: WorkerId,
    turns: Arc<Mutex<Turns>>,
}

impl Worker {
    pub(crate) fn new(number: u128) -> Worker {
        Worker { id: WorkerId::from_random(number), turns: Arc::default() }
    }

    pub(crate) async fn claim(&self, ground: &Ground, most: usize) -> Vec<Claimed> {
        self.claim_of(ground, &[Stage::Exercise], most).await
    }

    pub(crate) async fn claim_of(&self, ground: &Ground, stages: &[Stage], most: usize) -> Vec<Claimed> {
        ground.store.claim(self.wants(stages, most)).await.unwrap()
    }

    pub(crate) fn wants(&self, stages: &[Stage], most: usize) -> ClaimRequest {
        ClaimRequest {
            worker: self.id,
            stages: stages.to_vec(),
            most,
            lease: LEASE,
            turns: Arc::clone(&self.turns),
        }
    }

    pub(crate) fn id(&self) -> WorkerId {
        self.id
    }
}

pub(crate) fn exercise() -> NewTask {
    NewTask::new(Work::Exercise { hold: Duration::ZERO })
}

pub(crate) fn exercise_of(priority: Priority) -> NewTask {
    NewTask { priority, ..exercise() }
}

pub(crate) fn failure(retry: Retry) -> Ending {
    Ending::Failed(TaskFailure { message: "the disk is on fire".to_owned(), retry })
}

pub(crate) async fn settle(
    ground: &Ground,
    lease: Lease,
    ending: Ending,
) -> Result<Settled, model::task::Refused> {
    ground.store.settle(vec![Settlement::silent(lease, ending)]).await.unwrap().remove(0)
}

/// Makes of each case a test in either database, through PgBouncer, and in databases that a later release has been to.
#[macro_export]
macro_rules! contract {
    ($($case:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case($crate::ground::Ground::sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case($crate::ground::Ground::postgres().await).await;
            })*
        }
        mod pgbouncer {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case($crate::ground::Ground::pgbouncer().await).await;
            })*
        }
        mod later_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case($crate::ground::Ground::later_sqlite().await).await;
            })*
        }
        mod later_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case($crate::ground::Ground::later_postgres().await).await;
            })*
        }
    };
}
