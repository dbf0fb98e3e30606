//! Pours requests on a server of this machine at a rate that its answers do not change (an open loop): what becomes of those who are
//! answered when more is asked for than can be answered? `bench/run gateway` puts that beside what the gateway carries.
//!
//! `pour ADDRESS RATE SECONDS CONNECTIONS FILE`: sends the requests of the file, as they stand there, over and over: HTTP/1.1, without
//! bodies, each with an empty line at its end. One that is due goes out on a connection that awaits nothing; where there is none it is
//! not sent, and counted. How long an answer took begins at the moment at which its request was due, so that nothing of what this program
//! or the machine is late with is left out. What came of it all is printed as JSON.

use std::{
    collections::{BTreeMap, VecDeque},
    error::Error,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use memchr::memmem;
use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags},
};
use serde_json::{Value, json};

const MOST_RATE: u32 = 200_000;
const MOST_SECONDS: u64 = 60;
const MOST_CONNECTIONS: usize = 4_000;
/// How long the last answers are waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is due is sent so often, all of it at once, in milliseconds.
const TICK: u8 = 1;
/// So many connections are opened at once, and the next so many milliseconds later: what a listener has no room for is reset.
const OPENED_AT_ONCE: usize = 100;
const OPENED_EVERY: u8 = 10;
/// Larger than any answer that is expected.
const BUFFER: usize = 64 << 10;
const USAGE: &str = "usage: pour ADDRESS RATE SECONDS CONNECTIONS FILE";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, rate, seconds, connections, file] = &arguments[..] else { return Err(USAGE.into()) };
    let address: SocketAddr = address.parse()?;
    if !address.ip().is_loopback() {
        return Err(format!("{address} is not on this machine: only loopback addresses are poured on").into());
    }
    let plan = Plan { rate: rate.parse()?, seconds: seconds.parse()?, connections: connections.parse()? };
    plan.require_bounded()?;
    let text = std::fs::read_to_string(file)?;
    let requests: Vec<&[u8]> = text.split_inclusive("\r\n\r\n").map(str::as_bytes).collect();
    if requests.is_empty() || !text.ends_with("\r\n\r\n") {
        return Err(format!("{file} has no requests, or an end that is not an empty line").into());
    }
    let told = Pouring::new(address, &plan)?.pour(&plan, &requests)?;
    Ok(writeln!(std::io::stdout(), "{told}")?)
}

struct Plan {
    /// Requests a second.
    rate: u32,
    seconds: u64,
    connections: usize,
}

impl Plan {
    fn require_bounded(&self) -> Result<(), String> {
        let is_bounded = (1..=MOST_RATE).contains(&self.rate)
            && (1..=MOST_SECONDS).contains(&self.seconds)
            && (1..=MOST_CONNECTIONS).contains(&self.connections);
        let bounds = || {
            format!(
                "at most {MOST_RATE} requests a second for {MOST_SECONDS} seconds on {MOST_CONNECTIONS} connections"
            )
        };
        is_bounded.then_some(()).ok_or_else(bounds)
    }
}

/// A connection, and what is awaited on it.
struct Connection {
    stream: TcpStream,
    /// When the request that is out was due.
    due: Option<Instant>,
    /// The beginning of an answer.
    begun: Vec<u8>,
}

/// All answers with one status.
#[derive(Default)]
struct Answers {
    /// Of each, from the moment at which its request was due.
    microseconds: Vec<u32>,
    /// So many said when to come again.
    retry_after: usize,
}

struct Pouring {
    epoll: Epoll,
    connections: Vec<Connection>,
    /// Those on which nothing is awaited; who waits longest is next, so that nobody is sent away for asking nothing.
    free: VecDeque<usize>,
    answers: BTreeMap<u16, Answers>,
    /// How late each request went out.
    late: Vec<u32>,
    /// Requests for which there was no connection.
    unsent: usize,
    /// Connections that ended while something was awaited, or said what cannot be read.
    broken: usize,
    /// Connections that ended while nothing was.
    closed: usize,
    awaited: usize,
    buffer: Vec<u8>,
}

impl Pouring {
    #[allow(
        clippy::disallowed_methods,
        reason = "it is a generator of load, and goes to loopback addresses only"
    )]
    fn new(address: SocketAddr, plan: &Plan) -> Result<Pouring, Box<dyn Error>> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut connections = Vec::with_capacity(plan.connections);
        for number in 0..plan.connections {
            if number % OPENED_AT_ONCE == 0 {
                // Nothing was asked: nothing comes, and the time goes by.
                epoll.wait(&mut [EpollEvent::empty()], OPENED_EVERY)?;
            }
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
            connections.push(Connection { stream, due: None, begun: Vec::new() });
        }
        Ok(Pouring {
            epoll,
            free: (0..connections.len()).collect(),
            connections,
            answers: BTreeMap::new(),
            late: Vec::new(),
            unsent: 0,
            broken: 0,
            closed: 0,
            awaited: 0,
            buffer: vec![0; BUFFER],
        })
    }

    fn pour(mut self, plan: &Plan, requests: &[&[u8]]) -> Result<Value, Box<dyn Error>> {
        let begun = Instant::now();
        let between = Duration::from_secs(1) / plan.rate;
        let all = u64::from(plan.rate) * plan.seconds;
        let end = begun + Duration::from_secs(plan.seconds) + PATIENCE;
        let mut events = [EpollEvent::empty(); 256];
        let mut number = 0;
        while number < all || (self.awaited > 0 && Instant::now() < end) {
            let count = match self.epoll.wait(&mut events, TICK) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(error) => return Err(error.into()),
            };
            for event in &events[..count] {
                self.read(event.data() as usize);
            }
            let now = Instant::now();
            while number < all {
                let due = begun + Duration::from_nanos((between.as_nanos() as u64).saturating_mul(number));
                if due > now {
                    break;
                }
                self.send(requests[(number % requests.len() as u64) as usize], due, now);
                number += 1;
            }
        }
        Ok(self.told(plan, all))
    }

    fn send(&mut self, request: &[u8], due: Instant, now: Instant) {
        let Some(number) = self.free.pop_front() else {
            self.unsent += 1;
            return;
        };
        let connection = &mut self.connections[number];
        // It is small and nothing else is under way: what does not take it whole takes nothing more.
        match connection.stream.write(request) {
            Ok(count) if count == request.len() => {
                connection.due = Some(due);
                self.awaited += 1;
                self.late.push(micros(now - due));
            }
            Ok(_) | Err(_) => self.give_up(number),
        }
    }

    fn read(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        let count = match connection.stream.read(&mut self.buffer) {
            Ok(0) => return self.give_up(number),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            Err(_) => return self.give_up(number),
        };
        let Some(due) = connection.due else { return self.give_up(number) };
        let bytes = match connection.begun.is_empty() {
            true => &self.buffer[..count],
            false => {
                connection.begun.extend_from_slice(&self.buffer[..count]);
                &connection.begun[..]
            }
        };
        match Answer::read(bytes) {
            Ok(Some(Answer { status, retry_after })) => {
                let answers = self.answers.entry(status).or_default();
                answers.microseconds.push(micros(due.elapsed()));
                answers.retry_after += usize::from(retry_after);
                connection.begun.clear();
                connection.due = None;
                self.awaited -= 1;
                self.free.push_back(number);
            }
            Ok(None) if connection.begun.is_empty() => {
                connection.begun.extend_from_slice(&self.buffer[..count]);
            }
            Ok(None) => {}
            Err(Unreadable) => self.give_up(number),
        }
    }

    /// No other is opened in its place: who is sent away has one less.
    fn give_up(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        match connection.due.take() {
            Some(_) => {
                self.awaited -= 1;
                self.broken += 1;
            }
            None => self.closed += 1,
        }
        self.free.retain(|free| *free != number);
        // It is not looked at again; the descriptor is known, or there was none to take away.
        let _ = self.epoll.delete(&connection.stream);
        let _ = connection.stream.shutdown(std::net::Shutdown::Both);
    }

    fn told(self, plan: &Plan, all: u64) -> Value {
        let answers = self.answers.into_iter().map(|(status, answers)| {
            let count = answers.microseconds.len();
            let [median, slow] = quantiles(answers.microseconds);
            let told =
                json!({ "count": count, "p50_ms": median, "p99_ms": slow, "retry_after": answers.retry_after });
            (status.to_string(), told)
        });
        let answers: serde_json::Map<String, Value> = answers.collect();
        let [_, late] = quantiles(self.late);
        json!({
            "rate": plan.rate,
            "seconds": plan.seconds,
            "connections": plan.connections,
            "due": all,
            "unsent": self.unsent,
            "broken": self.broken,
            "closed": self.closed,
            "unanswered": self.awaited,
            "late_p99_ms": late,
            "answers": answers,
        })
    }
}

/// What is looked at of an answer.
struct Answer {
    status: u16,
    retry_after: bool,
}

/// It is no answer of HTTP/1.1, or none that says how long it is.
struct Unreadable;

impl Answer {
    /// The answer, once all of it is there.
    fn read(bytes: &[u8]) -> Result<Option<Answer>, Unreadable> {
        let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
        let head = &bytes[..end + 2];
        // As hyper writes them.
        let length = memmem::find(head, b"\r\ncontent-length: ").ok_or(Unreadable)?;
        let length = number(&head[length + 18..]).ok_or(Unreadable)?;
        if bytes.len() < end + 4 + length {
            return Ok(None);
        }
        let status = head.strip_prefix(b"HTTP/1.1 ").and_then(number).ok_or(Unreadable)?;
        let retry_after = memmem::find(head, b"\r\nretry-after: ").is_some();
        Ok(Some(Answer { status: u16::try_from(status).map_err(|_| Unreadable)?, retry_after }))
    }
}

/// The one with which a text begins.
fn number(text: &[u8]) -> Option<usize> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// The median and the 99th percentile, in milliseconds; nothing of nothing.
fn quantiles(mut all: Vec<u32>) -> [Option<f64>; 2] {
    all.sort_unstable();
    let at = |share: usize| {
        let last = all.len().checked_sub(1)?;
        Some(f64::from(all[last * share / 100]) / 1_000.0)
    };
    [at(50), at(99)]
}
