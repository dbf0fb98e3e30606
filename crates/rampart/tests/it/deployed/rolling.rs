//! Every process is replaced while people ask and tasks are worked on: one after the other as an update does it, with the step that a
//! later release takes in the database before; back again; and without a word, as when a node is lost. Nobody gets an error, through a
//! way in that asks again when processes are lost, and through one that does not when they are replaced; and nothing is lost or done
//! twice.
//!
//! With the binary of the release before in `RAMPART_PREVIOUS`, that one is replaced by this one, and comes back: both work beside one
//! another on one database all the while (`deploy/delivery/side-by-side`). Without it the next release's step is a made-up one.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
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
    asking::{asked, begin_scan},
    installation::Installation,
    platform::{PATIENCE, watched::Watched},
    run::{THIS, assert_exit, send, text},
    torture::NOTE_ENDS,
};

const SCOPE: &str = "authorised_by = \"test\"\nnetworks = [\"127.0.0.0/8\"]\n";
const GATEWAYS: usize = 3;
/// How many requests begin each second.
const RATE: usize = 200;
/// Who asks: so many requests wait for their answers at once, at most. While one takes no longer than two fifths of a second each asker
/// begins all of its requests in time, and who was held up catches up.
const ASKERS: usize = 80;
const EVERY: Duration = Duration::from_millis(1_000 * ASKERS as u64 / RATE as u64);
/// As many as keep the workers busy while everything is replaced, and then is lost; each takes longer than a worker has that is to end.
const REPLACED: usize = 500;
const LOST: usize = 200;
const TASKS: usize = REPLACED + LOST;
/// Each of two workers that are lost has so many of them at a time.
const PLACES: usize = 8;
/// One of so many requests begins a scan.
const SCANS: usize = 100;

/// What the askers did and saw.
#[derive(Default)]
struct Seen {
    begun: AtomicUsize,
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

/// Asks until it is over: reads, and now and then begins a scan, under a key by which it is begun once.
fn ask(round: &str, entry: SocketAddr, key: &str, asker: usize, seen: &Seen) {
    let mut due = Instant::now() + EVERY.mul_f64(asker as f64 / ASKERS as f64);
    for number in 0.. {
        // As often as it was to be, however long an answer took.
        if let Some(rest) = due.checked_duration_since(Instant::now()) {
            thread::sleep(rest);
        }
        due += EVERY;
        if seen.over.load(Ordering::Relaxed) {
            return;
        }
        seen.begun.fetch_add(1, Ordering::Relaxed);
        let answer = match (number * (ASKERS + 1) + asker) % SCANS {
            0 => begin_scan(entry, key, "test", &format!("{round}-{asker}-{number}"))
                .map(|id| seen.scans.lock().unwrap().push(id)),
            even if even % 2 == 0 => asked(entry, key, "GET /api/v1/me", "", "").map(drop),
            _ => asked(entry, key, "GET /api/v1/scans?limit=5", "", "").map(drop),
        };
        match answer {
            Ok(()) => drop(seen.answers.fetch_add(1, Ordering::Relaxed)),
            Err(error) => seen.errors.lock().unwrap().push(error),
        }
    }
}

/// Does something while people ask all the time, all of whom are answered. The scans that they were told of.
fn while_asked(round: &str, entry: SocketAddr, key: &str, work: impl FnOnce()) -> Vec<String> {
    let seen = Seen::default();
    let took = thread::scope(|scope| {
        let _asking = Asking(&seen);
        for asker in 0..ASKERS {
            let seen = &seen;
            scope.spawn(move || ask(round, entry, key, asker, seen));
        }
        let since = Instant::now();
        work();
        since.elapsed()
    });
    let (errors, scans) = (seen.errors.into_inner().unwrap(), seen.scans.into_inner().unwrap());
    let (begun, answers) = (seen.begun.into_inner(), seen.answers.into_inner());
    println!(
        "{round}: {begun} requests in {took:.1?}, {answers} good answers, {} scans begun, {} errors",
        scans.len(),
        errors.len()
    );
    assert!(errors.is_empty(), "{round}: {:?}", &errors[..errors.len().min(5)]);
    let due = RATE as f64 * took.as_secs_f64();
    assert!(begun as f64 >= 0.9 * due, "{round}: only {begun} requests of {due:.0} were begun in {took:.1?}");
    scans
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
    installation.postgres.sql(&installation.database, NOTE_ENDS);
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
        &format!("worker --stage exercise --concurrency {PLACES} --drain 1s"),
        &format!("worker --stage exercise --concurrency {PLACES} --drain 1s"),
        "worker --stage discover,ports,crawl,check,report --drain 1s",
        "worker --stage discover,ports,crawl,check,report --drain 1s",
    ] {
        let words: Vec<String> = role.split(' ').map(str::to_owned).collect();
        processes.push(Process::new(before, move |program| start(program, &words)));
    }

    let exercise = |tasks: usize| {
        let words = ["task", "exercise", "--count", &tasks.to_string(), "--hold", "2s"];
        assert_exit(&installation.command_of(before, &words).output().unwrap(), 0);
    };
    // What a later release needs comes first, under the processes of this one.
    let mut told = while_asked("replaced", entry.address(), &key, || {
        exercise(REPLACED);
        match &other {
            Some(_) => installation.migrate(this),
            None => drop(installation.postgres.sql(&installation.database, &later_step(1))),
        }
        for process in &mut processes {
            process.replace(this);
        }
        for process in &mut processes {
            process.replace(before);
        }
    });
    // Each is lost once, to become one of the other release again: both are there at once, in every mixture.
    told.extend(while_asked("lost", entry.address_that_asks_again(), &key, || {
        exercise(LOST);
        for process in &mut processes {
            process.lose(this);
        }
    }));

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
    // What is handed back costs no try: tried again was only what the two workers had that were lost.
    let [ends, once, again] = [
        "SELECT count(*) FROM public.ends JOIN rampart.tasks USING (task_id) WHERE stage = 'exercise'",
        "SELECT count(DISTINCT task_id) FROM public.ends JOIN rampart.tasks USING (task_id) WHERE stage = 'exercise'",
        "SELECT count(*) FROM rampart.tasks WHERE stage = 'exercise' AND attempts > 1",
    ]
    .map(|counted| sql(counted).parse::<usize>().unwrap());
    println!("{ends} ends of {once} tasks, {again} were tried again");
    assert_eq!((ends, once), (TASKS, TASKS), "done twice");
    assert!(again <= 2 * PLACES, "{again} were tried again");

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
