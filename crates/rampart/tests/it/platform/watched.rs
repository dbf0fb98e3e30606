//! Every role tells whoever watches it whether it lives, whether it can work, and its numbers; and a gateway tells autoscalers how many
//! workers are wanted.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::proxy::TcpProxy;

use super::PATIENCE;
use crate::{
    installation::Installation,
    run::{assert_exit, rampart, send, text},
};

pub(crate) const SCOPE: &str = "authorised_by = \"test\"\nnetworks = [\"127.0.0.0/8\"]\n";

/// A role that runs until this is dropped.
pub(crate) struct Watched {
    pub(crate) child: Child,
    /// Where whoever watches it asks.
    address: String,
    /// What it said until then,
    said: String,
    /// and since.
    later: Arc<Mutex<String>>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watched {
    pub(crate) fn start(command: Command) -> Watched {
        Watched::wait(spawn(command))
    }

    /// What it said until it tells where it is watched, as soon as it does.
    fn wait(mut child: Child) -> Watched {
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("/metrics\n") {
            assert!(lines.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        }
        let later: Arc<Mutex<String>> = Arc::default();
        let hears = Arc::clone(&later);
        std::thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                hears.lock().unwrap().push_str(&std::mem::take(&mut line));
            }
        });
        let at = said.split("metrics are at http://").nth(1).unwrap();
        Watched { address: at.split('/').next().unwrap().to_owned(), child, said, later }
    }

    /// Where a gateway answers whoever uses it.
    pub(crate) fn listens(&self) -> SocketAddr {
        let at = self.said.split("the gateway listens on http://").nth(1);
        at.and_then(|rest| rest.split(['/', '\n']).next()?.parse().ok())
            .unwrap_or_else(|| panic!("{}", self.said))
    }

    /// Status and body of an answer.
    fn ask(&self, path: &str) -> (u16, String) {
        self.ask_at("metrics", path)
    }

    /// The same, at the port that manifests call by this name.
    pub(crate) fn ask_at(&self, port: &str, path: &str) -> (u16, String) {
        let address = match port {
            "metrics" => self.address.parse().unwrap(),
            "http" => self.listens(),
            other => panic!("no role has a port {other}"),
        };
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: watched\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
        (status.unwrap(), body.to_owned())
    }

    /// Asks until that is the answer, or something within it.
    #[track_caller]
    pub(crate) fn comes_to(&self, path: &str, status: u16, part: &str) -> String {
        self.asks_until(path, |answered, body| answered == status && body.contains(part))
    }

    /// Asks at that port until the answer has this status.
    #[track_caller]
    pub(crate) fn comes_to_at(&self, port: &str, path: &str, status: u16) {
        let until = Instant::now() + PATIENCE;
        while self.ask_at(port, path).0 != status {
            assert!(Instant::now() < until, "{port} {path}: {:?}", self.ask_at(port, path));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until it has said that so often since it was up.
    #[track_caller]
    pub(crate) fn says(&self, part: &str, times: usize) {
        let until = Instant::now() + PATIENCE;
        while self.later.lock().unwrap().matches(part).count() < times {
            assert!(Instant::now() < until, "{part}: {}", self.later.lock().unwrap());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asks until a good answer is as it should be.
    #[track_caller]
    pub(crate) fn until(&self, path: &str, is_so: impl Fn(&str) -> bool) -> String {
        self.asks_until(path, |answered, body| answered == 200 && is_so(body))
    }

    #[track_caller]
    fn asks_until(&self, path: &str, is_so: impl Fn(u16, &str) -> bool) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let (answered, body) = self.ask(path);
            if is_so(answered, &body) {
                return body;
            }
            assert!(Instant::now() < until, "{path}: {answered} {body}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn spawn(mut command: Command) -> Child {
    command.stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn each_role_says_whether_it_lives_can_work_and_is_ending() {
    let installation = Installation::start(SCOPE);
    let start = |words: &[&str]| {
        let words = [words, &["--metrics", "127.0.0.1:0", "--log", "warn"]].concat();
        Watched::start(installation.command(&words))
    };
    let mut worker = start(&["worker", "--stage", "exercise", "--concurrency", "7"]);
    let orchestrator = start(&["orchestrator"]);
    let gateway = start(&["gateway", "--listen", "127.0.0.1:0"]);
    for role in [&worker, &orchestrator, &gateway] {
        role.comes_to("/ready", 200, r#""status":"ready""#);
        assert_eq!(role.ask("/health"), (200, r#"{"status":"alive"}"#.to_owned()));
        let (_, numbers) = role.ask("/metrics");
        assert!(numbers.contains("rampart_build_info{version="), "{numbers}");
        assert!(numbers.contains("rampart_database_connections{state=\"Idle\"}"), "{numbers}");
    }
    orchestrator.comes_to("/metrics", 200, "rampart_orchestrator_leads 1\n");

    // Tasks that end, and such as go on for long.
    let exercise = |count: &str, hold: &str| {
        let made = installation.command(&["task", "exercise", "--count", count, "--hold", hold]).output();
        assert_exit(&made.unwrap(), 0);
    };
    exercise("3", "1ms");
    let ended = "rampart_worker_tries_total{stage=\"exercise\",end=\"Completed\"} 3\n";
    let numbers = worker.comes_to("/metrics", 200, ended);
    for line in [
        "rampart_worker_places 7\n",
        "rampart_worker_hears_doorbell 1\n",
        "rampart_worker_try_duration_seconds_count{stage=\"exercise\"} 3\n",
        "rampart_worker_tasks_at_work{stage=\"exercise\"} 0\n",
    ] {
        assert!(numbers.contains(line), "{line}{numbers}");
    }
    exercise("60", "10m");
    worker.comes_to("/metrics", 200, "rampart_worker_tasks_at_work{stage=\"exercise\"} 7\n");

    // What an autoscaler is told.
    let wanted = |path: &str, workers: u64, tasks: u64| {
        let until = Instant::now() + PATIENCE;
        loop {
            let (status, body) = gateway.ask(path);
            let answer: Value = serde_json::from_str(&body).unwrap();
            if (&answer["desired_workers"], &answer["tasks"]) == (&workers.into(), &tasks.into()) {
                return;
            }
            assert!(Instant::now() < until, "{path}: {status} {body}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    wanted("/workers/exercise", 12, 60);
    wanted("/workers/report,exercise,deliver", 12, 60);
    wanted("/workers/ports", 0, 0);
    gateway.comes_to("/metrics", 200, "rampart_desired_workers{stage=\"exercise\"} 12\n");
    for nothing in ["/workers/", "/workers/nothing", "/workers/package", "/workers/exercise,"] {
        assert_eq!(gateway.ask(nothing).0, 404, "{nothing}");
    }
    let stop = ["stop", "--stage", "exercise", "--reason", "an exercise"];
    assert_exit(&installation.command(&stop).output().unwrap(), 0);
    wanted("/workers/exercise", 0, 0);
    let resume = ["resume", "--stage", "exercise", "--reason", "over", "--by", "J. Doe"];
    assert_exit(&installation.command(&resume).output().unwrap(), 0);
    wanted("/workers/exercise", 12, 60);

    // Without the database nobody can work, and everybody lives.
    installation.proxy.stall(true);
    worker.comes_to("/ready", 503, "stop");
    gateway.comes_to("/workers/exercise", 503, "does not tell");
    orchestrator.comes_to("/ready", 503, "looking after");
    for role in [&worker, &orchestrator, &gateway] {
        assert_eq!(role.ask("/health").0, 200);
    }
    installation.proxy.stall(false);
    for role in [&worker, &orchestrator, &gateway] {
        role.comes_to("/ready", 200, "ready");
    }

    // Whoever ends says so, as long as it takes.
    worker.comes_to("/metrics", 200, "rampart_worker_tasks_at_work{stage=\"exercise\"} 7\n");
    send(Signal::SIGTERM, &worker.child);
    worker.comes_to("/ready", 503, "it is ending");
    assert_eq!(worker.ask("/health").0, 200);
    assert!(worker.child.wait().unwrap().success());
}

#[test]
fn roles_wait_for_a_database_that_is_prepared_later() {
    let installation = Installation::start(SCOPE);
    let database = installation.postgres.create_database();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let proxy = runtime.block_on(TcpProxy::start(installation.postgres.address()));
    runtime.block_on(proxy.refuse(true));
    let directory = tempfile::tempdir().unwrap();
    let command = |words: &[&str], name: &str, password: &str| {
        let mut command = rampart(directory.path());
        let url = format!("postgres://{name}:{password}@{}/{database}", proxy.address());
        command.args(words).env("RAMPART_DATABASE", url).env("RAMPART_DATABASE_WAIT", "10m");
        command.env("RAMPART_METRICS", "127.0.0.1:0").args(["--log", "warn"]);
        command
    };
    let roles = ["orchestrator", "worker"].map(|role| spawn(command(&[role], "app", "of-the-tests")));
    let gateway = ["gateway", "--listen", "127.0.0.1:0"];
    let gateway = spawn(command(&gateway, "app", "of-the-tests"));
    let (owner, password) = installation.postgres.superuser();
    let mut migrate = spawn(command(&["migrate", "--grant-to", "app"], owner, password));
    // Nobody can reach it yet, and nobody gives up.
    let mut impatient = rampart(directory.path());
    let url = format!("postgres://app:of-the-tests@{}/{database}", proxy.address());
    let impatient = impatient.args(["orchestrator", "--database", &url]).output().unwrap();
    assert_exit(&impatient, 2);
    assert!(migrate.try_wait().unwrap().is_none(), "it waits");
    runtime.block_on(proxy.refuse(false));
    let migrate = migrate.wait_with_output().unwrap();
    assert_exit(&migrate, 0);
    // Once, unless the machine was so slow that it came after the server.
    let told = text(&migrate.stderr);
    assert!(told.matches("waiting for the database").count() <= 1, "{told}");
    for role in roles.into_iter().chain([gateway]) {
        let role = Watched::wait(role);
        assert!(role.said.contains("waiting for the database"), "{}", role.said);
        role.comes_to("/ready", 200, "ready");
    }
}
