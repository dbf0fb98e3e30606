//! What may be some seconds old is read from a replica, and from the primary whenever that would be wrong.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use model::TaskId;
use store::{Location, ReplicaLocation, ReplicaState, StaleReads, Store, StoreError, TaskFilter};
use testkit::{postgres::Server, proxy::TcpProxy};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::spawn_blocking,
    time::timeout,
};

use crate::{
    ground::{Ground, exercise},
    isolation::rows::connect,
};

/// So long that nothing here gets so old.
pub(crate) const EVER: Duration = Duration::from_secs(24 * 60 * 60);
/// So short that everything is older.
const AT_ONCE: Duration = Duration::from_millis(1);

/// What has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(180);

/// A server and what follows it.
pub(crate) struct Pair {
    primary: Arc<Server>,
    replica: Arc<Server>,
}

impl Pair {
    pub(crate) async fn start() -> Pair {
        let start = || {
            let primary = Server::start();
            let replica = primary.start_replica();
            Pair { primary: primary.into(), replica: replica.into() }
        };
        spawn_blocking(start).await.unwrap()
    }

    /// A database of its own. What is older than that is not read from the replica.
    pub(crate) async fn ground(&self, most_behind: Duration) -> Ground {
        let primary = Arc::clone(&self.primary);
        let address = primary.address();
        let ground = Ground::on(move || primary, move || address, 4).await;
        self.follow().await;
        ground.beside(self.replica.address(), most_behind).await
    }

    /// Until the replica has everything.
    pub(crate) async fn follow(&self) {
        self.with(Server::wait_for_replica).await;
    }

    /// Something that takes a while, with the two.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Server, &Server) -> T + Send + 'static,
    ) -> T {
        let (primary, replica) = (Arc::clone(&self.primary), Arc::clone(&self.replica));
        spawn_blocking(move || job(&primary, &replica)).await.unwrap()
    }
}

async fn all(reads: &StaleReads, ground: &Ground) -> Vec<TaskId> {
    let found = reads.tasks(ground.tenant, TaskFilter::default(), None, 100).await.unwrap();
    found.iter().map(|task| task.id).collect()
}

async fn looks(store: &Store) -> StaleReads {
    store.stale_reads().await.unwrap()
}

async fn lists(ground: &Ground) -> Vec<TaskId> {
    all(&looks(&ground.store).await, ground).await
}

/// How the replica stands. Who is slow has it asked again.
async fn state(store: &Store) -> ReplicaState {
    let asking = async {
        loop {
            match store.replica_state().await {
                Ok(state) => break state.unwrap(),
                Err(error) => assert!(error.is_passing(), "{error:?}"),
            }
        }
    };
    timeout(PATIENCE, asking).await.expect("the replica answers")
}

/// A look to which the replica answered this, while the primary knows more: a machine that is busy may leave the replica no time to
/// answer, and then the primary does, with what it knows.
async fn look_that_sees(ground: &Ground, there: &[TaskId], at_the_primary: &[TaskId]) -> StaleReads {
    let looking = async {
        loop {
            let look = looks(&ground.store).await;
            let seen = all(&look, ground).await;
            if seen == there {
                break look;
            }
            assert_eq!(seen, at_the_primary);
        }
    };
    timeout(PATIENCE, looking).await.expect("the replica is read")
}

async fn lists_itself(ground: &Ground) -> Vec<TaskId> {
    let found = ground.store.tasks(ground.tenant, TaskFilter::default(), None, 100).await.unwrap();
    found.iter().map(|task| task.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_stale_is_read_there_and_nothing_else() {
    let pair = Pair::start().await;
    let ground = pair.ground(EVER).await;
    let old = ground.enqueue([exercise()]).await;
    pair.follow().await;
    pair.with(|_, replica| replica.pause_replay()).await;
    let new = ground.enqueue([exercise()]).await;
    let both = [old.clone(), new.clone()].concat();

    // A list is the replica's.
    let look = look_that_sees(&ground, &old, &both).await;
    assert_eq!(lists_itself(&ground).await, both, "whoever decides something reads the primary");
    let stands = state(&ground.store).await;
    assert!(stands.bytes_behind > 0, "{stands:?}");
    assert_eq!(
        look.task(ground.tenant, new[0]).await.unwrap().id,
        new[0],
        "what is missing there is asked for"
    );
    assert_eq!(all(&look, &ground).await, both, "and after that nothing is older");
    // Another look knows nothing of that.
    look_that_sees(&ground, &old, &both).await;
    let nowhere = TaskId::new(uuid::Uuid::from_u128(7));
    let missing = looks(&ground.store).await.task(ground.tenant, nowhere).await;
    assert!(matches!(missing, Err(StoreError::Missing { kind: "task", .. })), "{missing:?}");

    // Of the same replica, by somebody who wants nothing that old.
    let Location::Postgres { url, connections, replica: Some(replica) } = ground.location.clone() else {
        panic!()
    };
    let replica = Some(ReplicaLocation { most_behind: AT_ONCE, ..replica });
    let strict = Store::open(&Location::Postgres { url, connections, replica }).await.unwrap();
    assert_eq!(all(&looks(&strict).await, &ground).await, both, "it is too far behind");
    let stands = state(&strict).await;
    assert!(stands.age.is_some_and(|age| age > AT_ONCE), "{stands:?}");

    pair.with(|_, replica| replica.resume_replay()).await;
    pair.follow().await;
    assert_eq!(lists(&ground).await, both);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_away_is_missed_by_nobody_and_read_again_when_it_is_back() {
    let pair = Pair::start().await;
    let ground = pair.ground(EVER).await;
    let tasks = ground.enqueue([exercise()]).await;
    pair.follow().await;
    assert_eq!(lists(&ground).await, tasks);
    pair.with(|_, replica| replica.stop_at_once()).await;
    assert_eq!(lists(&ground).await, tasks);
    let told = ground.store.replica_state().await.unwrap_err();
    assert!(told.is_passing(), "{told:?}");
    // Opened when it is away already.
    let another = Store::open(&ground.location).await.unwrap();
    assert_eq!(all(&looks(&another).await, &ground).await, tasks);

    pair.with(|primary, replica| {
        replica.start_again();
        // It has replayed nothing yet, and cannot tell how old it is before it has.
        primary.sql("postgres", "CREATE TABLE anything ()");
        primary.wait_for_replica(replica);
        primary.stop_at_once();
    })
    .await;
    for store in [&ground.store, &another] {
        // Who else could answer is gone. It is tried again after a few seconds.
        let found = timeout(PATIENCE, async {
            loop {
                match looks(store).await.tasks(ground.tenant, TaskFilter::default(), None, 100).await {
                    Ok(found) => break found,
                    Err(error) => assert!(error.is_passing(), "{error:?}"),
                }
            }
        });
        let found = found.await.expect("it is read again");
        assert_eq!(found.iter().map(|task| task.id).collect::<Vec<_>>(), tasks);
    }
}

/// Takes connections, and says nothing.
async fn silence() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, taken) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let counted = Arc::clone(&taken);
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            kept.push(stream);
        }
    });
    (address, taken)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_says_nothing_is_not_waited_for_each_time() {
    const READS: usize = 100;
    let (address, tried) = silence().await;
    let ground = Ground::postgres().await.beside(address, EVER).await;
    let tasks = ground.enqueue([exercise()]).await;
    let begun = Instant::now();
    for _ in 0..READS {
        assert_eq!(lists(&ground).await, tasks);
    }
    // Once, and again each time that it was left alone for five seconds.
    let most = 1 + begun.elapsed().as_secs() as usize / 5;
    let tried = tried.load(Ordering::SeqCst);
    assert!((1..=most.min(READS / 2)).contains(&tried), "{tried} times in {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_replica_of_the_database_is_refused() {
    let pair = Pair::start().await;
    let ground = pair.ground(EVER).await;
    let other = pair.ground(EVER).await;
    let open = async |replica: String| {
        let Location::Postgres { url, connections, .. } = ground.location.clone() else { panic!() };
        let replica = Some(ReplicaLocation { url: replica, most_behind: EVER });
        let store = Store::open(&Location::Postgres { url, connections, replica }).await.unwrap();
        // Whoever reads nothing stale is not kept from anything.
        store.stops().await.unwrap();
        store.stale_reads().await.unwrap_err()
    };
    let url_of = |ground: &Ground| match &ground.location {
        Location::Postgres { url, replica: Some(replica), .. } => (url.clone(), replica.url.clone()),
        _ => panic!(),
    };
    let (primary, replica) = url_of(&ground);
    let refused = open(primary).await;
    assert!(matches!(&refused, StoreError::Schema(why) if why.contains("takes writes")), "{refused:?}");
    let (user, place) = replica.split_once('@').unwrap();
    let (_, others) = url_of(&other);
    let refused = open(format!("{user}@{}", others.split_once('@').unwrap().1)).await;
    assert!(matches!(&refused, StoreError::Schema(why) if why.contains("follows another")), "{refused:?}");
    let (superuser, password) = pair.replica.superuser();
    let refused = open(format!("postgres://{superuser}:{password}@{place}")).await;
    assert!(matches!(&refused, StoreError::Schema(why) if why.contains("superuser")), "{refused:?}");

    // A failover: what was a replica when it was opened is none any more.
    let tasks = ground.enqueue([exercise()]).await;
    pair.follow().await;
    assert_eq!(lists(&ground).await, tasks);
    pair.with(|_, replica| replica.promote()).await;
    let more = [tasks, ground.enqueue([exercise()]).await].concat();
    assert_eq!(lists(&ground).await, more, "the primary's");
    let told = ground.store.replica_state().await.unwrap_err();
    assert!(matches!(&told, StoreError::Schema(why) if why.contains("takes writes")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_broken_off_there_is_answered_by_the_primary() {
    let pair = Pair::start().await;
    let ground = pair.ground(EVER).await;
    let tasks = ground.enqueue([exercise()]).await;
    pair.follow().await;
    let mut owner = connect(&ground.owner).await;
    // A lock on the primary holds on the replica, too, as soon as it hears of it.
    let lock = owner.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE rampart.tasks IN ACCESS EXCLUSIVE MODE").await.unwrap();
    ground.another_tenant("other").await;
    pair.follow().await;
    let store = ground.store.clone();
    let tenant = ground.tenant;
    let reading =
        tokio::spawn(
            async move { looks(&store).await.tasks(tenant, TaskFilter::default(), None, 100).await },
        );
    let cancelled = pair.with(|_, replica| {
        const WAITING: &str =
            "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND backend_type = 'client backend'";
        replica.wait_for_answer(&format!("SELECT count(*) {WAITING}"), "1");
        replica.sql("postgres", &format!("SELECT count(pg_cancel_backend(pid)) {WAITING}"))
    });
    assert_eq!(cancelled.await.trim(), "1");
    lock.rollback().await.unwrap();
    let found = reading.await.unwrap().unwrap();
    assert_eq!(found.iter().map(|task| task.id).collect::<Vec<_>>(), tasks);
}

/// Leads to the first of them that takes connections.
#[expect(
    clippy::disallowed_methods,
    reason = "it stands between the store and servers of the test, on loopback"
)]
async fn balanced(servers: [SocketAddr; 2]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                for server in servers {
                    if let Ok(mut server) = TcpStream::connect(server).await {
                        // However it ends, both ends hear of it.
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn one_look_never_goes_back_in_time_from_one_replica_to_another() {
    let pair = Pair::start().await;
    let slower = Arc::new(pair.with(|primary, _| primary.start_replica()).await);
    let ground = pair.ground(EVER).await;
    let address = balanced([pair.replica.address(), slower.address()]).await;
    let ground = ground.beside(address, EVER).await;
    let old = ground.enqueue([exercise()]).await;
    let pausing = Arc::clone(&slower);
    pair.with(move |primary, _| {
        primary.wait_for_replica(&pausing);
        pausing.pause_replay();
    })
    .await;
    let both = [old.clone(), ground.enqueue([exercise()]).await].concat();
    pair.follow().await;
    pair.with(|_, replica| replica.pause_replay()).await;
    let three = [both.clone(), ground.enqueue([exercise()]).await].concat();
    let look = look_that_sees(&ground, &both, &three).await;
    pair.with(|_, replica| replica.stop_at_once()).await;
    // First it is noticed that nobody is there any more, and after a while the other one is found.
    look_that_sees(&ground, &old, &three).await;
    assert_eq!(all(&look, &ground).await, three, "it saw more before");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_slow_question_keeps_nobody_else_from_the_replica() {
    let pair = Pair::start().await;
    let ground = pair.ground(EVER).await;
    let tasks = ground.enqueue([exercise()]).await;
    pair.follow().await;
    let mut owner = connect(&ground.owner).await;
    const LOCK: &str = "LOCK TABLE rampart.scopes IN ACCESS EXCLUSIVE MODE";
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                           AND backend_type = 'client backend'";
    let lock = owner.transaction().await.unwrap();
    lock.batch_execute(LOCK).await.unwrap();
    ground.another_tenant("other").await;
    pair.follow().await;
    // There it is held from now on.
    pair.with(|_, replica| replica.pause_replay()).await;
    lock.rollback().await.unwrap();
    let both = [tasks.clone(), ground.enqueue([exercise()]).await].concat();
    let others_are_answered = async {
        loop {
            look_that_sees(&ground, &tasks, &both).await;
            let lock = owner.transaction().await.unwrap();
            lock.batch_execute(LOCK).await.unwrap();
            let (store, tenant) = (ground.store.clone(), ground.tenant);
            let slow = tokio::spawn(async move { looks(&store).await.scopes(tenant).await });
            // When it has waited there for long enough it waits for the same at the primary.
            pair.with(|primary, _| primary.wait_for_answer(WAITING, "1")).await;
            let seen = lists(&ground).await;
            lock.rollback().await.unwrap();
            slow.await.unwrap().unwrap();
            if seen == tasks {
                break;
            }
            // So busy that this one came too late, too.
            assert_eq!(seen, both);
        }
    };
    timeout(PATIENCE, others_are_answered).await.expect("others are answered by the replica all the while");
}

#[tokio::test]
async fn a_primary_that_says_nothing_any_more_is_not_waited_for_for_ever() {
    let ground = Ground::postgres().await;
    let Location::Postgres { url, connections, .. } = &ground.location else { panic!() };
    let (user, place) = url.split_once('@').unwrap();
    let (server, database) = place.split_once('/').unwrap();
    let line = TcpProxy::start(server.parse().unwrap()).await;
    let url = format!("{user}@{}/{database}", line.address());
    let (replica, _) = silence().await;
    let replica = ReplicaLocation { url: format!("{user}@{replica}/{database}"), most_behind: EVER };
    let location = Location::Postgres { url, connections: *connections, replica: Some(replica) };
    let store = Store::open(&location).await.unwrap();
    store.stops().await.unwrap();
    line.stall(true);
    // From here on the clock moves only when everybody waits.
    tokio::time::pause();
    let looking = timeout(Duration::from_secs(60 * 60), store.stale_reads()).await.expect("it ends");
    assert!(matches!(looking, Err(StoreError::Unavailable(_))), "{looking:?}");
}
