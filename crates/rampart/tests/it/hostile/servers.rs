//! Servers that want to hold, flood or mislead whoever talks to them.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt::Linger};

/// What a server does with a connection. The error is the client's going away.
pub(super) type Malice = fn(&mut TcpStream) -> std::io::Result<()>;

/// A server on an address of its own; each connection has a thread.
pub(super) struct HostileServer {
    pub(super) address: SocketAddr,
    stop: Arc<AtomicBool>,
}

static NEXT_HOST: AtomicU8 = AtomicU8::new(1);

impl HostileServer {
    pub(super) fn start(malice: Malice) -> HostileServer {
        let host = Ipv4Addr::new(127, 93, 0, NEXT_HOST.fetch_add(1, Ordering::SeqCst));
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { break };
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                // Ends with the client, who closes sooner or later, at the latest with its process.
                std::thread::spawn(move || malice(&mut stream));
            }
        });
        HostileServer { address, stop }
    }
}

impl Drop for HostileServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread up.
        let _ = TcpStream::connect(self.address);
    }
}

/// Reads one request's head; what was asked for.
fn request(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Waits until the client goes.
fn hold(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 4_096];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

/// One byte at a time, slowly enough that no two arrive together.
fn trickle(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes.iter().cycle() {
        stream.write_all(&[*byte])?;
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn endlessly(stream: &mut TcpStream, piece: &[u8]) -> std::io::Result<()> {
    loop {
        stream.write_all(piece)?;
    }
}

/// Takes the connection and never says a word.
pub(super) fn silent(stream: &mut TcpStream) -> std::io::Result<()> {
    hold(stream)
}

/// Begins a status line and goes on for ever, byte by byte.
pub(super) fn slow_head(stream: &mut TcpStream) -> std::io::Result<()> {
    request(stream)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nX-Padding: ")?;
    trickle(stream, b"a")
}

/// Promises a megabyte and sends it byte by byte.
pub(super) fn slow_body(stream: &mut TcpStream) -> std::io::Result<()> {
    request(stream)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000000\r\n\r\n")?;
    trickle(stream, b"<")
}

/// Answers the first byte of a request with a reset.
pub(super) fn reset(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 1])?;
    let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(stream, Linger, &at_once)?;
    Ok(())
}

/// Resets the first request for every third path that is asked for, and answers the second.
pub(super) fn deaf_at_first(stream: &mut TcpStream) -> std::io::Result<()> {
    static ASKED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let head = request(stream)?;
    let line = head.lines().next().unwrap_or_default().to_owned();
    let lost = {
        let mut asked = ASKED.lock().unwrap();
        line.starts_with("GET ") && asked.insert(line) && asked.len().is_multiple_of(3)
    };
    if lost {
        let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        return Ok(setsockopt(stream, Linger, &at_once)?);
    }
    stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// Takes the request and closes without an answer.
pub(super) fn close(stream: &mut TcpStream) -> std::io::Result<()> {
    request(stream).map(drop)
}

/// Has nothing, and says so.
pub(super) fn missing(stream: &mut TcpStream) -> std::io::Result<()> {
    loop {
        request(stream)?;
        stream.write_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nnot found",
        )?;
    }
}

/// Forms of [`long_forms`].
pub(super) const LONG_FORMS: usize = 90;

/// Every page has the same many forms, with fields of long names.
pub(super) fn long_forms(stream: &mut TcpStream) -> std::io::Result<()> {
    let form = |number: usize| {
        format!("<form action=/send/{number}><input name=field-{number}-{}></form>", "a".repeat(500))
    };
    let page: String = (0..LONG_FORMS).map(form).collect();
    loop {
        let head = request(stream)?;
        let (status, page) = match head.starts_with("GET / ") {
            true => ("200 OK", page.as_str()),
            false => ("404 Not Found", ""),
        };
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
            page.len()
        )?;
    }
}

/// A header that has no end.
pub(super) fn endless_head(stream: &mut TcpStream) -> std::io::Result<()> {
    request(stream)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
    endlessly(stream, b"X-More: and more and more and more and more\r\n")
}

/// A body that has no end.
pub(super) fn endless_body(stream: &mut TcpStream) -> std::io::Result<()> {
    request(stream)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<!doctype html><html>")?;
    endlessly(stream, &[b'.'; 16_384])
}

/// Chunks that have no end, each of one byte.
pub(super) fn endless_chunks(stream: &mut TcpStream) -> std::io::Result<()> {
    request(stream)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    endlessly(stream, b"1;pad=pad\r\nx\r\n")
}

/// Every page leads to another one.
pub(super) fn endless_redirects(stream: &mut TcpStream) -> std::io::Result<()> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        request(stream)?;
        let next = NEXT.fetch_add(1, Ordering::SeqCst);
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: /{next}/\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes())?;
    }
}

/// Every page links to a hundred that nobody has seen yet.
pub(super) fn endless_links(stream: &mut TcpStream) -> std::io::Result<()> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        request(stream)?;
        let first = NEXT.fetch_add(100, Ordering::SeqCst);
        let links: String =
            (first..first + 100).map(|page| format!("<a href=\"/x{page}/y{page}\">z</a>")).collect();
        let page = format!("<!doctype html><html>{links}</html>");
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
            page.len()
        )?;
    }
}

/// A gigabyte of zeros in a megabyte of gzip.
pub(super) fn gzip_bomb(stream: &mut TcpStream) -> std::io::Result<()> {
    loop {
        request(stream)?;
        let bomb = bomb();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            bomb.len()
        )?;
        stream.write_all(bomb)?;
    }
}

fn bomb() -> &'static [u8] {
    static BOMB: OnceLock<Vec<u8>> = OnceLock::new();
    BOMB.get_or_init(|| {
        let packed = Command::new("sh")
            .args(["-c", "head -c 1073741824 /dev/zero | gzip -1"])
            .stdin(Stdio::null())
            .output()
            .expect("gzip belongs to every Debian system");
        assert!(packed.status.success() && packed.stdout.len() > 500_000);
        packed.stdout
    })
}

/// Greets and greets, in no protocol.
pub(super) fn endless_greeting(stream: &mut TcpStream) -> std::io::Result<()> {
    endlessly(stream, &[0xfe; 4_096])
}
