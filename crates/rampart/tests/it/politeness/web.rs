//! Web servers that count.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::arrivals::{Arrival, receive, stamp};

/// One request as it arrived.
pub(super) struct Counted {
    pub(super) host: usize,
    pub(super) arrived: Arrival,
    pub(super) head: String,
}

#[derive(Default)]
pub(super) struct Count {
    pub(super) requests: Vec<Counted>,
    /// When each connection was accepted.
    pub(super) accepted: Vec<Arrival>,
    /// The most connections open at one time.
    pub(super) open: usize,
    /// The same for each host.
    pub(super) open_of_host: Vec<usize>,
}

/// Listens on several addresses, in one thread: what it sees has one order.
pub(super) struct CountingServers {
    pub(super) addresses: Vec<SocketAddr>,
    /// Requests so far.
    arrived: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Count>,
}

struct Client {
    host: usize,
    stream: TcpStream,
    unread: Vec<u8>,
}

impl CountingServers {
    /// One port on each of `hosts` addresses, or `ports` ports on one.
    pub(super) fn start(hosts: u8, ports: usize) -> CountingServers {
        let mut listeners = Vec::new();
        for host in 1..=hosts {
            for _ in 0..ports {
                let listener = TcpListener::bind((Ipv4Addr::new(127, 92, 0, host), 0)).unwrap();
                listener.set_nonblocking(true).unwrap();
                stamp(&listener);
                listeners.push((usize::from(host - 1), listener));
            }
        }
        let addresses = listeners.iter().map(|(_, listener)| listener.local_addr().unwrap()).collect();
        let (stop, arrived) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (stopped, told) = (Arc::clone(&stop), Arc::clone(&arrived));
        let thread = std::thread::spawn(move || serve(&listeners, usize::from(hosts), &stopped, &told));
        CountingServers { addresses, arrived, stop, thread }
    }

    /// Requests so far.
    pub(super) fn arrived(&self) -> usize {
        self.arrived.load(Ordering::SeqCst)
    }

    pub(super) fn count(self) -> Count {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

fn serve(
    listeners: &[(usize, TcpListener)],
    hosts: usize,
    stop: &AtomicBool,
    arrived: &AtomicUsize,
) -> Count {
    let mut count = Count { open_of_host: vec![0; hosts], ..Count::default() };
    let mut clients: Vec<Client> = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let sockets = listeners.iter().map(|(_, listener)| listener.as_fd());
        let sockets = sockets.chain(clients.iter().map(|client| client.stream.as_fd()));
        let mut waiting: Vec<PollFd<'_>> =
            sockets.map(|socket| PollFd::new(socket, PollFlags::POLLIN)).collect();
        poll(&mut waiting, PollTimeout::from(20_u8)).unwrap();
        clients.retain_mut(|client| client.hear(&mut count));
        arrived.store(count.requests.len(), Ordering::SeqCst);
        for (host, listener) in listeners {
            while let Ok((stream, _)) = listener.accept() {
                count
                    .accepted
                    .push(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap());
                stream.set_nonblocking(true).unwrap();
                clients.push(Client { host: *host, stream, unread: Vec::new() });
                // Who closed before this one connected has said so by now, and does not count.
                clients.retain_mut(|client| client.hear(&mut count));
                count.open = count.open.max(clients.len());
                for host in 0..hosts {
                    let open = clients.iter().filter(|client| client.host == host).count();
                    count.open_of_host[host] = count.open_of_host[host].max(open);
                }
            }
        }
    }
    count
}

impl Client {
    /// Reads and answers what is there; false when the client has gone.
    fn hear(&mut self, count: &mut Count) -> bool {
        let mut buffer = [0; 8_192];
        loop {
            match receive(&self.stream, &mut buffer) {
                Ok((0, _)) => return false,
                Ok((read, arrived)) => {
                    self.unread.extend_from_slice(&buffer[..read]);
                    while let Some(head) = self.next_request() {
                        let arrived = arrived.expect("the kernel stamps what arrives");
                        let answer = answer(&head);
                        count.requests.push(Counted { host: self.host, arrived, head });
                        if self.stream.write_all(&answer).is_err() {
                            return false;
                        }
                    }
                }
                Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
            }
        }
    }

    fn next_request(&mut self) -> Option<String> {
        let end = self.unread.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        let body = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let whole = end + body.unwrap_or(0);
        if self.unread.len() < whole {
            return None;
        }
        self.unread.drain(..whole);
        Some(head)
    }
}

/// A first page with links, so that there is something to crawl, and nothing else.
fn answer(head: &str) -> Vec<u8> {
    let (status, body) = if head.starts_with("GET / ") {
        let links: String =
            (0..200).map(|number| format!("<a href=\"/page-{number}\">{number}</a>")).collect();
        ("200 OK", format!("<!doctype html><html>{links}</html>"))
    } else if head.starts_with("GET /page-") {
        ("200 OK", "<!doctype html><html><p>A page.</html>".to_owned())
    } else {
        ("404 Not Found", "nothing here\n".to_owned())
    };
    let sent = if head.starts_with("HEAD ") { "" } else { body.as_str() };
    format!("HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{sent}", body.len())
        .into_bytes()
}

/// How long a scan under a cap is watched.
pub(super) const WATCHED: Duration = Duration::from_secs(4);
