//! The emergency stop: nothing is sent two seconds later, whatever else is broken. What is cancelled sends nothing after one.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    installation::Installation,
    run::{assert_exit, text},
};

/// As many sites are scanned at once.
const SITES: u8 = 100;
/// What the stop must hold within.
const WITHIN: Duration = Duration::from_secs(2);
/// And a cancellation.
const CANCELLED_WITHIN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(180);

/// Web sites on loopback that write down when something was sent to them.
struct Sites {
    port: u16,
    received: Arc<Mutex<Vec<Instant>>>,
    /// Sites that were sent something.
    reached: Arc<AtomicUsize>,
}

impl Sites {
    fn start() -> Sites {
        let (received, reached) = (Arc::<Mutex<Vec<Instant>>>::default(), Arc::<AtomicUsize>::default());
        let first = TcpListener::bind("127.88.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let others = (2..=SITES)
            .map(|last| TcpListener::bind(("127.88.0.".to_owned() + &last.to_string(), port)).unwrap());
        for listener in std::iter::once(first).chain(others) {
            let (received, reached) = (Arc::clone(&received), Arc::clone(&reached));
            std::thread::spawn(move || {
                let mut counted = false;
                for stream in listener.incoming() {
                    let Ok(mut stream) = stream else { continue };
                    received.lock().unwrap().push(Instant::now());
                    if !std::mem::replace(&mut counted, true) {
                        reached.fetch_add(1, Ordering::Relaxed);
                    }
                    let received = Arc::clone(&received);
                    std::thread::spawn(move || {
                        let mut request = [0; 8_192];
                        while let Ok(1..) = stream.read(&mut request) {
                            received.lock().unwrap().push(Instant::now());
                            let answer =
                                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/html\r\n\r\nok";
                            if stream.write_all(answer).is_err() {
                                break;
                            }
                        }
                    });
                }
            });
        }
        Sites { port, received, reached }
    }

    fn targets(&self) -> Vec<String> {
        (1..=SITES).map(|last| format!("http://127.88.0.{last}:{}/", self.port)).collect()
    }

    /// Waits until so many sites more than before are at work on.
    fn wait_until_reached(&self, sites: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.reached.load(Ordering::Relaxed) < sites {
            assert!(
                Instant::now() < deadline,
                "only {} sites were reached",
                self.reached.load(Ordering::Relaxed)
            );
            std::thread::yield_now();
        }
    }

    fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    /// Waits until something is sent again.
    fn wait_for_more_than(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.count() <= count {
            assert!(Instant::now() < deadline, "nothing is sent any more");
            std::thread::yield_now();
        }
    }

    /// Watches for some seconds: how long after `stopped` the last was sent, and how many came after the time that is allowed.
    #[track_caller]
    fn assert_silence_after(&self, stopped: Instant, what: &str) {
        self.assert_silence_within(WITHIN, stopped, what);
    }

    #[track_caller]
    fn assert_silence_within(&self, within: Duration, stopped: Instant, what: &str) {
        std::thread::sleep((stopped + within * 3).saturating_duration_since(Instant::now()));
        let received = self.received.lock().unwrap();
        let late = received.iter().filter(|at| **at > stopped + within).count();
        let last = received.iter().max().unwrap().saturating_duration_since(stopped);
        println!("{what}: the last of {} was sent {last:?} after the stop", received.len());
        assert_eq!(late, 0, "{what}: the last was sent {last:?} after the stop");
    }
}

#[test]
fn nothing_is_sent_two_seconds_after_a_stop_with_the_broker_down_and_the_database_down_too() {
    let installation = Installation::start(
        "authorised_by = 'the test'\nnetworks = ['127.88.0.0/24']\nports = '1-65535'\n\
         [limits]\nrequests_per_second_per_host = 4\n",
    );
    let Installation { postgres, broker, proxy, database, .. } = &installation;
    let command = |words: &[&str]| installation.command(words);

    let sites = Sites::start();
    let worker = ["worker", "--stage", "check", "--concurrency", "25", "--lease", "3s"];
    let _roles = installation.roles(&[&worker, &worker, &worker, &worker, &["orchestrator"]]);
    let targets = sites.targets();
    let mut submit = vec!["scan", "submit", "--scope", "test", "--stages", "check"];
    submit.extend(targets.iter().map(String::as_str));
    let submitted = command(&submit).output().unwrap();
    assert_exit(&submitted, 0);
    sites.wait_until_reached(usize::from(SITES));

    let cancelled = command(&["scan", "cancel", text(&submitted.stdout).trim()]).output().unwrap();
    assert_exit(&cancelled, 0);
    sites.assert_silence_within(CANCELLED_WITHIN, Instant::now(), "cancelled");

    let before = sites.count();
    assert_exit(&command(&submit).output().unwrap(), 0);
    sites.wait_for_more_than(before + usize::from(SITES));
    let resume = ["resume", "--reason", "the test goes on", "--by", "the test"];
    let stop = |why: &str| assert_exit(&command(&["stop", "--reason", why]).output().unwrap(), 0);

    let stopped = Instant::now();
    stop("everything works");
    sites.assert_silence_after(stopped, "with everything in order");

    let before = sites.count();
    assert_exit(&command(&resume).output().unwrap(), 0);
    sites.wait_for_more_than(before + usize::from(SITES));
    broker.kill();
    let stopped = Instant::now();
    stop("the broker is down");
    sites.assert_silence_after(stopped, "with the broker down");

    let before = sites.count();
    assert_exit(&command(&resume).output().unwrap(), 0);
    sites.wait_for_more_than(before + usize::from(SITES));
    // Nobody can write a stop down, and nobody can say that there is none: that is one.
    proxy.stall(true);
    sites.assert_silence_after(Instant::now(), "with the database silent");

    let before = sites.count();
    proxy.stall(false);
    sites.wait_for_more_than(before + usize::from(SITES));
    postgres.stop_at_once();
    let down = Instant::now();
    let mut insisting =
        command(&["stop", "--reason", "the database is down"]).stderr(Stdio::null()).spawn().unwrap();
    sites.assert_silence_after(down, "with the database dead");
    let before = sites.count();
    postgres.start_again();
    assert!(insisting.wait().unwrap().success(), "the stop is written down as soon as it can be");
    let stops = postgres.sql(database, "SELECT reason FROM rampart.stops WHERE lifted_at IS NULL");
    assert_eq!(stops.trim(), "the database is down");
    sites.assert_silence_after(Instant::now(), "once the stop is written down");
    assert_eq!(
        sites.count(),
        before,
        "between the return of the database and the stop nothing was sent either"
    );
    let lifted = postgres.sql(
        database,
        "SELECT count(*) FROM rampart.audit WHERE action = 'stop.lift' AND actor LIKE 'the test%'",
    );
    assert_eq!(lifted.trim(), "2", "who lifted it is written down");
}
