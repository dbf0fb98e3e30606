//! Tasks on PostgreSQL with Redis or RabbitMQ, while everything is killed that can be: each ends exactly once, none is lost.

use std::{
    net::SocketAddr,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use testkit::{postgres, proxy::TcpProxy, rabbitmq, redis};

use crate::run::{assert_exit, rampart};

/// How long the test waits before it gives up, besides what it waits for each task.
const PATIENCE: Duration = Duration::from_secs(600);
const PATIENCE_FOR_EACH: Duration = Duration::from_millis(100);
/// Tries of a task: more than anybody has the bad luck to need. How many blows one survives is not what is tried here.
const TRIES: u32 = 1_000;
/// Between two blows.
const BLOWS: std::ops::Range<u64> = 150..700;
/// Short, so that what the dead held comes back soon.
const LEASE: &str = "3s";

/// What is completed is written down a second time, by the database itself.
pub(crate) const NOTE_ENDS: &str = "CREATE TABLE public.ends (task_id uuid NOT NULL, lease bigint NOT NULL); \
     CREATE FUNCTION public.note_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN \
     INSERT INTO public.ends VALUES (NEW.task_id, NEW.lease_number); RETURN NEW; END $$; \
     CREATE TRIGGER note_end AFTER UPDATE ON rampart.tasks FOR EACH ROW \
     WHEN (NEW.state = 'completed') EXECUTE FUNCTION public.note_end()";

enum Broker {
    Redis(redis::Server),
    RabbitMq(rabbitmq::Server),
}

impl Broker {
    fn url(&self, address: SocketAddr) -> String {
        match self {
            Broker::Redis(_) => format!("redis://{address}"),
            Broker::RabbitMq(server) => server.url_at(address),
        }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Broker::Redis(server) => server.address(),
            Broker::RabbitMq(server) => server.address(),
        }
    }

    /// Forgets every ring.
    fn empty(&self) -> &'static str {
        match self {
            Broker::Redis(server) => {
                server.flush();
                "flushed Redis"
            }
            Broker::RabbitMq(server) => {
                server.purge();
                "purged the queues of RabbitMQ"
            }
        }
    }

    fn kill_and_start_again(&self) {
        match self {
            Broker::Redis(server) => {
                server.kill();
                server.start_again();
            }
            Broker::RabbitMq(server) => {
                server.kill();
                server.start_again();
            }
        }
    }
}

/// An installation, and everything to hit it with.
struct Ground {
    directory: tempfile::TempDir,
    postgres: postgres::Server,
    database: String,
    broker: Broker,
    to_postgres: TcpProxy,
    to_broker: TcpProxy,
    runtime: tokio::runtime::Runtime,
    roles: Vec<(Vec<String>, Child)>,
}

impl Ground {
    fn new(broker: Broker) -> Ground {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let postgres = postgres::Server::start_with(postgres::Options {
            // What is committed must survive the death of the server, and here that of no machine.
            fsync: false,
            ..postgres::Options::default()
        });
        let database = postgres.create_database();
        postgres.sql(&database, "CREATE ROLE app LOGIN PASSWORD 'of-the-tests'");
        let to_postgres = runtime.block_on(TcpProxy::start(postgres.address()));
        let to_broker = runtime.block_on(TcpProxy::start(broker.address()));
        let ground = Ground {
            directory: tempfile::tempdir().unwrap(),
            postgres,
            database,
            broker,
            to_postgres,
            to_broker,
            runtime,
            roles: Vec::new(),
        };
        let (owner, password) = ground.postgres.superuser();
        let owner = ground.postgres.url(owner, password, &ground.database);
        let migrated = rampart(ground.directory.path())
            .args(["migrate", "--grant-to", "app", "--database", &owner])
            .output()
            .unwrap();
        assert_exit(&migrated, 0);
        ground.postgres.sql(&ground.database, NOTE_ENDS);
        ground
    }

    fn command(&self, words: &[&str]) -> std::process::Command {
        let at = self.to_postgres.address();
        let mut command = rampart(self.directory.path());
        command
            .args(words)
            .env("RAMPART_DATABASE", format!("postgres://app:of-the-tests@{at}/{}", self.database))
            .env("RAMPART_DOORBELL", self.broker.url(self.to_broker.address()))
            .env("RAMPART_DATABASE_CONNECTIONS", "4");
        command
    }

    fn start(&mut self, words: &[&str]) {
        let child = self.command(words).stderr(Stdio::null()).spawn().unwrap();
        self.roles.push((words.iter().map(|word| (*word).to_owned()).collect(), child));
    }

    /// Kills a process at once, and starts another in its place.
    fn replace(&mut self, index: usize) {
        let (words, mut child) = self.roles.swap_remove(index);
        child.kill().unwrap();
        child.wait().unwrap();
        self.start(&words.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Starts again what could not bear it: a supervisor would.
    fn revive(&mut self) {
        for index in (0..self.roles.len()).rev() {
            if self.roles[index].1.try_wait().unwrap().is_some() {
                self.replace(index);
            }
        }
    }

    fn blow(&mut self, dice: &mut StdRng) -> &'static str {
        match dice.random_range(0..12) {
            0..=4 => {
                let index = dice.random_range(0..self.roles.len());
                self.replace(index);
                "killed a role"
            }
            5..=6 => {
                self.runtime.block_on(self.to_postgres.cut());
                "cut every connection to the database"
            }
            7 => {
                self.runtime.block_on(self.to_broker.cut());
                "cut every connection to the broker"
            }
            8 => {
                self.to_postgres.stall(true);
                std::thread::sleep(Duration::from_millis(dice.random_range(100..1_500)));
                self.to_postgres.stall(false);
                "stalled the database"
            }
            9 => {
                self.postgres.stop_at_once();
                self.postgres.start_again();
                "killed the database"
            }
            10 => {
                self.broker.kill_and_start_again();
                "killed the broker"
            }
            _ => self.broker.empty(),
        }
    }

    fn count(&self, sql: &str) -> u64 {
        self.postgres.sql(&self.database, sql).trim().parse().unwrap()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for (_, child) in &mut self.roles {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `RAMPART_TORTURE_TASKS` and `RAMPART_TORTURE_HOLD` (milliseconds a task) make it longer, `RAMPART_TORTURE_SEED` strikes in the same
/// order again.
fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

/// What it tells, `bench/run torture` writes down.
fn tell(what: &serde_json::Value) {
    println!("torture: {what}");
}

fn torture(broker: Broker) {
    let tasks = setting("RAMPART_TORTURE_TASKS", 3_000);
    let hold = Duration::from_millis(setting("RAMPART_TORTURE_HOLD", 200));
    let seed = setting("RAMPART_TORTURE_SEED", rand::rng().next_u64());
    tell(&json!({ "seed": seed }));
    let patience = PATIENCE + (PATIENCE_FOR_EACH + hold / 10).mul_f64(tasks as f64);
    let mut dice = StdRng::seed_from_u64(seed);
    let mut ground = Ground::new(broker);
    assert_exit(&ground.command(&["tenant", "create", "default"]).output().unwrap(), 0);
    let (count, hold) = (tasks.to_string(), format!("{}ms", hold.as_millis()));
    let enqueued =
        ground.command(&["task", "exercise", "--count", &count, "--hold", &hold]).output().unwrap();
    assert_exit(&enqueued, 0);
    let tries = format!("UPDATE rampart.tasks SET most_attempts = {TRIES}");
    ground.postgres.sql(&ground.database, &tries);
    let worker = ["worker", "--stage", "exercise", "--concurrency", "16", "--lease", LEASE];
    for _ in 0..3 {
        ground.start(&worker);
    }
    for _ in 0..2 {
        ground.start(&["orchestrator"]);
    }

    let begun = Instant::now();
    let mut blows = std::collections::BTreeMap::<&str, u64>::new();
    let mut done = 0;
    while done < tasks {
        assert!(begun.elapsed() < patience, "{done} of {tasks} tasks ended, seed {seed}, after {blows:?}");
        // The last of them are left in peace: what is tried is that everything comes to its end.
        if done < tasks * 9 / 10 {
            *blows.entry(ground.blow(&mut dice)).or_default() += 1;
        }
        std::thread::sleep(Duration::from_millis(dice.random_range(BLOWS)));
        ground.revive();
        let counts = "SELECT count(*) FROM rampart.tasks WHERE state IN ('completed', 'dead', 'cancelled')";
        done = ground.count(counts);
    }
    let of =
        |state: &str| ground.count(&format!("SELECT count(*) FROM rampart.tasks WHERE state = '{state}'"));
    let (completed, dead) = (of("completed"), of("dead"));
    let ends = ground.count("SELECT count(*) FROM public.ends");
    let once = ground.count("SELECT count(DISTINCT task_id) FROM public.ends");
    tell(&json!({
        "tasks": tasks,
        "seconds": begun.elapsed().as_secs_f64(),
        "completed": completed,
        "dead": dead,
        "ends": ends,
        "again": ground.count("SELECT count(*) FROM rampart.tasks WHERE lease_number > 1"),
        "blows": blows,
    }));
    let explain = format!("seed {seed}, after {blows:?}");
    assert_eq!((completed, dead), (tasks, 0), "lost: {explain}");
    assert_eq!((ends, once), (completed, completed), "committed twice: {explain}");
}

#[test]
fn every_task_ends_once_on_postgresql_with_redis_whatever_is_killed() {
    torture(Broker::Redis(redis::Server::start()));
}

#[test]
fn every_task_ends_once_on_postgresql_with_rabbitmq_whatever_is_killed() {
    torture(Broker::RabbitMq(rabbitmq::Server::start()));
}
