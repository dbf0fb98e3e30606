//! Several gateways give together what one gives: they count at the broker, anew when that has forgotten, and each for itself while it is
//! away.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    ops::Range,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use super::PATIENCE;
use crate::{installation::Installation, run::text};

const SCOPE: &str = "authorised_by = \"test\"\nnetworks = [\"127.0.0.0/8\"]\n";
/// Requests a second with one key.
const RATE: u32 = 10;
/// Passwords a minute of one address.
const LOGINS: usize = 6;
/// For how long somebody asks as fast as they can.
const ASKING: Duration = Duration::from_secs(4);

struct Gateway {
    child: Child,
    address: String,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gateway {
    fn start(installation: &Installation) -> Gateway {
        let (rate, logins) = (RATE.to_string(), LOGINS.to_string());
        let words =
            ["gateway", "--listen", "127.0.0.1:0", "--trusted-proxies", "127.0.0.1/32", "--log", "warn"];
        let words = [&words[..], &["--key-rate", &rate, "--login-rate", &logins, "--address-rate", "100000"]];
        let mut child = installation.command(&words.concat()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listens on http://") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "it ended");
        }
        // What it says later is read to its end: nobody waits for room in the pipe.
        std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().trim();
        Gateway { address: address.to_owned(), child }
    }

    /// The status of the answer.
    fn ask(&self, asked: &str, headers: &str, body: &str) -> u16 {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (address, length) = (&self.address, body.len());
        write!(
            stream,
            "{asked} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
            .split_whitespace()
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("{answer}"))
    }

    fn log_in(&self, from: &str, number: usize) -> u16 {
        let headers = format!("X-Forwarded-For: {from}\r\nContent-Type: application/json\r\n");
        // Each time another name: whoever guesses at one waits for that.
        let body = format!(r#"{{"tenant":"default","name":"nobody-{number}","password":"a guess"}}"#);
        self.ask("POST /api/v1/session", &headers, &body)
    }
}

/// The line of a request that says who asks.
fn key_of(installation: &Installation) -> String {
    let created = installation.command(&["key", "create", "test", "--role", "owner"]).output().unwrap();
    format!("Authorization: Bearer {}\r\n", text(&created.stdout).trim())
}

/// What each of them would give without the others since then: what it has at once, and so much a second.
fn most_of_each_alone(begun: Instant) -> f64 {
    2.0 * f64::from(RATE) * (1.0 + begun.elapsed().as_secs_f64())
}

#[test]
fn two_gateways_give_together_what_one_gives() {
    let installation = Installation::start(SCOPE);
    let key = key_of(&installation);
    let gateways = [Gateway::start(&installation), Gateway::start(&installation)];
    let guesses = |from: &str| -> Vec<u16> {
        (0..2 * LOGINS + 2).map(|number| gateways[number % 2].log_in(from, number)).collect()
    };
    let looked_at = |statuses: &[u16]| statuses.iter().filter(|status| **status == 401).count();
    let together = guesses("192.0.2.1");
    assert_eq!(looked_at(&together), LOGINS, "{together:?}");
    assert!(together[LOGINS..].iter().all(|status| *status == 429), "{together:?}");

    let (begun, mut answered) = (Instant::now(), 0);
    while begun.elapsed() < ASKING {
        answered += gateways.iter().filter(|gateway| gateway.ask("GET /api/v1/me", &key, "") == 200).count();
    }
    let alone = most_of_each_alone(begun);
    assert!(
        (answered as f64) < 0.8 * alone,
        "{answered} of the {alone} that each for itself would have given"
    );

    // While there is nowhere to count each does it for itself, and nobody is shut out. Some are given anew while others are looked at.
    installation.broker.kill();
    let alone = guesses("192.0.2.2");
    assert!(alone[..2 * LOGINS].iter().all(|status| *status == 401), "{alone:?}");
}

#[test]
fn when_the_broker_has_forgotten_everything_counting_begins_anew_and_nobody_sees_an_error() {
    let installation = Installation::start(SCOPE);
    let key = key_of(&installation);
    let gateways = [Gateway::start(&installation), Gateway::start(&installation)];
    let (begun, mut statuses) = (Instant::now(), Vec::new());
    while begun.elapsed() < ASKING {
        // In the middle of what they count, again and again: it never comes to all that both may give.
        if statuses.len().is_multiple_of(16) {
            installation.broker.flush();
        }
        statuses.extend(gateways.iter().map(|gateway| gateway.ask("GET /api/v1/me", &key, "")));
    }
    let alone = most_of_each_alone(begun);
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    let given = statuses.iter().filter(|status| **status == 200).count();
    assert!(given > 0 && given as f64 <= alone, "{given} of the {alone} that each for itself gives at most");

    // Each time another name, as whoever guesses at one waits for that.
    let guesses = |numbers: Range<usize>| -> Vec<u16> {
        numbers.map(|number| gateways[number % 2].log_in("192.0.2.3", number)).collect()
    };
    let before = LOGINS - 2;
    assert_eq!(guesses(0..before), vec![401; before]);
    installation.broker.flush();
    let anew = guesses(before..before + LOGINS + 2);
    assert_eq!(anew[..LOGINS], [401; LOGINS], "what was counted before is forgotten: {anew:?}");
    assert_eq!(anew[LOGINS..], [429, 429], "and what is asked since then is counted together");
}
