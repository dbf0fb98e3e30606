//! Every process is replaced while people ask and tasks are worked on: one after the other as an update does it, with the step that a
//! later release takes in the database before; back again; and without a word, as when a node is lost. Nobody gets an error, and nothing
//! is lost or done twice.
//!
//! With the binary of the release before in `RAMPART_PREVIOUS`, that one is replaced by this one, and comes back: both work beside one
//! another on one database all the while (`deploy/delivery/side-by-side`). Without it the next release's step is a made-up one.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::{haproxy, postgres::later_step};

use crate::{
    installation::Installation,
    platform::{PATIENCE, watched::Watched},
    run::{THIS, assert_exit, send, text},
};

const SCOPE: &str = "authorised_by = \"test\"\nnetworks = [\"127.0.0.0/8\"]\n";
const GATEWAYS: usize = 3;
/// Who asks at once, and how often each of them does: 200 requests a second together, where the machine is fast enough.
const ASKERS: usize = 10;
const EVERY: Duration = Duration::from_millis(50);
/// As many as keep the workers busy while everything is replaced, and each longer than a worker has that is to end.
const TASKS: usize = 500;
/// One of so many requests begins a scan.
const SCANS: usize = 100;

/// What the askers saw.
#[derive(Default)]
struct Seen {
    answers: AtomicUsize,
    scans: Mutex<Vec<String>>,
    errors: Mutex<Vec<String>>,
    over: AtomicBool,
}

/// Nobody asks any more, whichever way this ends.
struct Asking<'a>(&'a Seen);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// One request on a connection of its own; the body of a good answer.
fn asked(entry: SocketAddr, key: &str, line: &str, headers: &str, body: &str) -> Result<String, String> {
    let trouble = |what: &str, error: std::io::Error| format!("{line}: {what}: {error}");
    let mut stream = TcpStream::connect(entry).map_err(|error| trouble("connecting", error))?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: rampart\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).map_err(|error| trouble("asking", error))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| trouble("reading", error))?;
    match answer.split(' ').nth(1) {
        Some(status) if status.starts_with('2') => Ok(answer.split_once("\r\n\r\n").unwrap().1.to_owned()),
        _ => Err(format!("{line}: {answer:.300}")),
    }
}

/// Asks until it is over: reads, and now and then begins a scan, under a key by which it is begun once.
fn ask(entry: SocketAddr, key: &str, asker: usize, seen: &Seen) {
    let mut due = Instant::now();
    for number in 0.. {
        if seen.over.load(Ordering::Relaxed) {
            return;
        }
        let answer = match number % SCANS == asker * SCANS / ASKERS {
            true => {
                let once =
                    format!("Content-Type: application/json\r\nIdempotency-Key: \"{asker}-{number}\"\r\n");
                let body = r#"{"targets": ["127.0.0.1:9"], "request": {"scope": "test"}}"#;
                asked(entry, key, "POST /api/v1/scans", &once, body).map(|body| {
                    let answer: Value =
                        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
                    seen.scans
                        .lock()
                        .unwrap()
                        .push(answer["id"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned());
                })
            }
            false if number % 2 == 0 => asked(entry, key, "GET /api/v1/me", "", "").map(drop),
            false => asked(entry, key, "GET /api/v1/scans?limit=5", "", "").map(drop),
        };
        match answer {
            Ok(()) => drop(seen.answers.fetch_add(1, Ordering::Relaxed)),
            Err(error) => seen.errors.lock().unwrap().push(error),
        }
        // As often as it was to be, however long an answer took.
        due += EVERY;
        if let Some(rest) = due.checked_duration_since(Instant::now()) {
            thread::sleep(rest);
        }
    }
}

/// One process, and how it is started anew.
struct Process<'a> {
    running: Option<Watched>,
    start: Box<dyn Fn(&Path) -> Watched + 'a>,
}

impl<'a> Process<'a> {
    fn new(program: &Path, start: impl Fn(&Path) -> Watched + 'a) -> Process<'a> {
        let mut process = Process { running: None, start: Box::new(start) };
        process.begin(program);
        process
    }

    fn begin(&mut self, program: &Path) {
        let running = (self.start)(program);
        running.comes_to("/ready", 200, "ready");
        self.running = Some(running);
    }

    /// As an update does it: it ends by itself, and one of that release takes its place.
    fn replace(&mut self, program: &Path) {
        let mut running = self.running.take().unwrap();
        send(Signal::SIGTERM, &running.child);
        assert!(running.child.wait().unwrap().success());
        self.begin(program);
    }

    /// As the end of its node does it.
    fn lose(&mut self, program: &Path) {
        let mut running = self.running.take().unwrap();
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        self.begin(program);
    }
}

#[test]
fn processes_are_replaced_and_lost_and_nobody_sees_it() {
    let this = Path::new(THIS);
    let other = std::env::var_os("RAMPART_PREVIOUS").map(PathBuf::from);
    let before = other.as_deref().unwrap_or(this);
    let installation = Installation::of(before, SCOPE);
    let entry = haproxy::Server::start(GATEWAYS);
    let words = ["key", "create", "asker", "--role", "administrator"];
    let made = installation.command_of(before, &words).output().unwrap();
    assert_exit(&made, 0);
    let key = text(&made.stdout).trim().to_owned();
    let installation = &installation;
    let start = |program: &Path, words: &[String]| {
        let mut command = installation.command_of(program, &[]);
        command.args(words).args(["--metrics", "127.0.0.1:0", "--log", "warn"]);
        Watched::start(command)
    };
    let gateways = entry.servers().into_iter().map(|address| {
        let rates = [
            "--address-rate=100000",
            "--key-rate=100000",
            "--tenant-rate=100000",
            "--trusted-proxies=127.0.0.1/32",
        ];
        let words = ["gateway", "--linger=2s", "--drain=10s"].into_iter().chain(rates).map(str::to_owned);
        let words: Vec<String> = words.chain([format!("--listen={address}")]).collect();
        Process::new(before, move |program| start(program, &words))
    });
    let mut processes: Vec<Process<'_>> = gateways.collect();
    for role in [
        "orchestrator",
        "orchestrator",
        "worker --stage exercise --concurrency 8 --drain 1s",
        "worker --stage exercise --concurrency 8 --drain 1s",
        "worker --stage discover,ports,crawl,check,report --drain 1s",
        "worker --stage discover,ports,crawl,check,report --drain 1s",
    ] {
        let words: Vec<String> = role.split(' ').map(str::to_owned).collect();
        processes.push(Process::new(before, move |program| start(program, &words)));
    }

    let seen = Seen::default();
    thread::scope(|scope| {
        let _asking = Asking(&seen);
        for asker in 0..ASKERS {
            let (seen, key, entry) = (&seen, &key, entry.address());
            scope.spawn(move || ask(entry, key, asker, seen));
        }
        let count = TASKS.to_string();
        let exercise = ["task", "exercise", "--count", &count, "--hold", "2s"];
        assert_exit(&installation.command_of(before, &exercise).output().unwrap(), 0);
        // What a later release needs comes first, under the processes of this one.
        match &other {
            Some(_) => installation.migrate(this),
            None => drop(installation.postgres.sql(&installation.database, &later_step(1))),
        }
        for process in &mut processes {
            process.replace(this);
        }
        // Back, and each is lost once, to become one of the other release again: both are there at once, in every mixture.
        for process in &mut processes {
            process.replace(before);
        }
        for process in &mut processes {
            process.lose(this);
        }
    });
    let errors = seen.errors.into_inner().unwrap();
    let answers = seen.answers.load(Ordering::Relaxed);
    assert!(
        errors.is_empty(),
        "{} errors beside {answers} answers: {:?}",
        errors.len(),
        &errors[..errors.len().min(5)]
    );
    assert!(answers > 1_000, "{answers}");
    println!("{answers} answers, no error, {} scans", seen.scans.lock().unwrap().len());

    // Each task was done once, and each scan that somebody was told of came to its end.
    let sql = |sql: &str| installation.postgres.sql(&installation.database, sql).trim().to_owned();
    let until = Instant::now() + PATIENCE;
    let counted = || {
        sql(
            "SELECT state || ' ' || count(*) FROM rampart.tasks WHERE stage = 'exercise' GROUP BY state ORDER BY state",
        )
    };
    while counted() != format!("completed {TASKS}") {
        assert!(Instant::now() < until, "{}", counted());
        thread::sleep(Duration::from_millis(100));
    }
    let told = seen.scans.into_inner().unwrap();
    assert!(!told.is_empty());
    let listed = || {
        let output = installation.command(&["scan", "list", "--limit", "1000", "--json"]).output().unwrap();
        assert_exit(&output, 0);
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    loop {
        let listed = listed();
        let scans = listed.as_array().unwrap_or_else(|| panic!("{listed}"));
        let ids: BTreeSet<&str> = scans.iter().filter_map(|scan| scan["id"].as_str()).collect();
        assert_eq!(ids, told.iter().map(String::as_str).collect(), "each was begun once, and no other");
        if scans.iter().all(|scan| scan["state"] != "running") {
            break;
        }
        assert!(Instant::now() < until, "{} scans were told of: {listed:#}", told.len());
        thread::sleep(Duration::from_millis(100));
    }
}
