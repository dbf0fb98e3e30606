//! A thousand who ask slowly and read slowly: others are answered meanwhile, and nothing of them stays.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use testkit::postgres::Server;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::{JoinSet, block_in_place},
    time::{sleep, timeout},
};

use super::{PATIENCE, Up, assert_exit, run};

const CLIENTS: usize = 1_000;
/// Addresses that they come from.
const ADDRESSES: usize = 8;
/// Between two bytes of somebody slow.
const BYTE_EVERY: Duration = Duration::from_millis(200);
/// Requests that others make meanwhile, and how long one may take: much longer than it does.
const OTHERS: usize = 100;
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// How much more memory all the slow may cost.
const MOST_MEMORY_KIB: usize = 64 << 10;
/// Nobody is sent away for being too many.
const RATES: [&str; 8] =
    ["--address-rate", "100000", "--key-rate", "100000", "--tenant-rate", "100000", "--log", "warn"];
/// Of those that go to PostgreSQL, at most.
const CONNECTIONS: usize = 10;

/// How somebody is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slow {
    /// The head of the request comes a byte at a time.
    Head,
    /// Its body does.
    Body,
    /// Many answers are asked for, and read a byte at a time.
    Reading,
    /// Nothing is said at all.
    Silent,
}

impl Slow {
    fn of(number: usize) -> Slow {
        [Slow::Head, Slow::Body, Slow::Reading, Slow::Silent][number % 4]
    }
}

/// From an address of its own, as another machine would be.
async fn connect(number: usize, to: SocketAddr) -> TcpStream {
    let from = Ipv4Addr::new(127, 0, 77, u8::try_from(1 + number % ADDRESSES).unwrap());
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Until the server has had enough of it.
async fn be_slow(how: Slow, mut stream: TcpStream, key: &str, begun: &AtomicUsize) {
    let head = format!("Host: x\r\nAuthorization: Bearer {key}\r\n");
    let slowly = match how {
        Slow::Head => format!("GET /api/v1/me HTTP/1.1\r\n{head}{}", "X-More: yes\r\n".repeat(100)),
        Slow::Body => {
            let begin = format!(
                "POST /api/v1/keys HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
            );
            stream.write_all(begin.as_bytes()).await.unwrap();
            " ".repeat(1_000)
        }
        Slow::Reading => {
            let many = format!("GET /api/v1/openapi.json HTTP/1.1\r\n{head}\r\n").repeat(4);
            stream.write_all(many.as_bytes()).await.unwrap();
            String::new()
        }
        Slow::Silent => String::new(),
    };
    begun.fetch_add(1, Ordering::Relaxed);
    let (mut reading, mut writing) = stream.split();
    let say = async {
        for byte in slowly.bytes() {
            if writing.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(BYTE_EVERY).await;
        }
        std::future::pending::<()>().await;
    };
    let hear = async {
        let mut byte = [0; 1];
        while reading.read(&mut byte).await.is_ok_and(|read| read > 0) {
            sleep(BYTE_EVERY).await;
        }
    };
    tokio::select! {
        () = say => {}
        () = hear => {}
    }
}

/// Status of an answer that is asked for as anybody does.
async fn ask(to: SocketAddr, key: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

fn descriptors(up: &Up) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", up.child.id())).unwrap().count()
}

fn memory_kib(up: &Up) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", up.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_are_slow_take_nothing_from_others() {
    let directory = tempfile::tempdir().unwrap();
    take_nothing(Up::start(directory.path(), &RATES), 0, || {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_are_slow_hold_no_transaction_of_postgresql() {
    let directory = tempfile::tempdir().unwrap();
    let (server, database, up) = block_in_place(|| {
        let server = Server::start();
        let database = server.create_database_with_user();
        let prepare = ["migrate", "--grant-to", &database.user, "--database", &database.owner_url];
        assert_exit(&run(directory.path(), &prepare), 0);
        let (url, connections) = (database.url_at(server.address()), CONNECTIONS.to_string());
        let there = ["--database", &url, "--database-connections", &connections];
        let up = Up::start(directory.path(), &[&RATES[..], &there].concat());
        (server, database, up)
    });
    let at_rest = || {
        let connected = server.wait_for_rest(&database.name);
        assert!(connected <= CONNECTIONS, "{connected} are connected");
    };
    take_nothing(up, CONNECTIONS, at_rest).await;
}

/// It may open so many connections to its database meanwhile. There it is looked at what goes on while those are there who are waited for,
/// and when all have gone.
async fn take_nothing(up: Up, connections: usize, at_rest: impl Fn()) {
    // Two such tests at once need more than most systems give without being asked.
    scanner::socket::raise_descriptor_limit();
    let (key, to) = (up.key(), up.address.parse().unwrap());
    for _ in 0..OTHERS {
        assert_eq!(ask(to, &key, "/api/v1/scans").await, "200");
    }
    assert_eq!(ask(to, &key, "/api/v1/openapi.json").await, "200");
    let (open, memory) = (descriptors(&up), memory_kib(&up));

    let begun = Arc::new(AtomicUsize::new(0));
    let (mut slow, mut impatient) = (JoinSet::new(), JoinSet::new());
    for number in 0..CLIENTS {
        let (how, stream, key, begun) =
            (Slow::of(number), connect(number, to).await, key.clone(), Arc::clone(&begun));
        // Who does not come to the end of a head is not waited for.
        let set = if matches!(how, Slow::Head | Slow::Silent) { &mut impatient } else { &mut slow };
        set.spawn(async move { be_slow(how, stream, &key, &begun).await });
    }
    let all = async {
        while begun.load(Ordering::Relaxed) < CLIENTS || descriptors(&up) < open + CLIENTS / 2 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, all).await.expect("all of them are there");
    let mut longest = Duration::ZERO;
    for number in 0..OTHERS {
        let path = ["/api/v1/scans", "/api/v1/me", "/health", "/ready"][number % 4];
        let begun = Instant::now();
        assert_eq!(ask(to, &key, path).await, "200");
        longest = longest.max(begun.elapsed());
    }
    assert!(longest < ANSWERED_WITHIN, "{longest:?}");
    timeout(PATIENCE, impatient.join_all()).await.expect("who says nothing is sent away");
    let more = memory_kib(&up).saturating_sub(memory);
    println!("the slowest of {OTHERS} answers took {longest:?}; {CLIENTS} slow clients cost {more} KiB");
    assert!(more < MOST_MEMORY_KIB, "{more} KiB");
    block_in_place(&at_rest);
    slow.shutdown().await;
    let closed = async {
        while descriptors(&up) > open + 2 + connections {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, closed).await.unwrap_or_else(|_| panic!("{} of {open}", descriptors(&up)));
    assert_eq!(ask(to, &key, "/api/v1/scans").await, "200");
    block_in_place(at_rest);
    up.end();
}
