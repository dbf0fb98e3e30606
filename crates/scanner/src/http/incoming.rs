//! A response as it comes in: heads, then a body by whatever rule delimits it, every part of it capped.

use std::io;

use model::{Allowance, Charge, allowance::Exceeded};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{
    chunked::Chunked,
    encoding,
    head::{self, Head},
    room::{Room, SMALL_BODY, Seat},
};

/// Interim (1xx) responses beyond this are no courtesy but a flood.
const MOST_INTERIM: u32 = 16;
/// Wire bytes allowed beyond the body cap for the framing of chunks.
const FRAMING_ALLOWANCE: usize = 64 << 10;
const READ_AT_ONCE: usize = 16 << 10;

/// How much of a response is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caps {
    /// All heads together.
    pub(super) head: usize,
    /// Body bytes before content codings are undone.
    pub(super) raw: usize,
    /// Body bytes afterwards.
    pub(super) body: usize,
}

/// Why there is no response.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The connection ended before the first byte of an answer.
    NothingCame(io::Error),
    /// It broke later.
    Broken(io::Error),
    /// What came is no HTTP response; why.
    NotHttp(String),
    /// The unit holds as much as it may.
    NoMemory(Exceeded),
}

/// How the end of a body is told (RFC 9112, 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Empty,
    Length(u64),
    Chunked,
    UntilClose,
}

/// A response being read. It outlives an interrupted [`Incoming::read`], so that what came is not lost.
#[derive(Debug)]
pub(super) struct Incoming {
    caps: Caps,
    buffer: Vec<u8>,
    any_byte: bool,
    head: Option<Head>,
    body: Vec<u8>,
    /// The body was read to its end.
    whole: bool,
    room: Option<Room>,
    /// Its place among the large bodies, once it is one.
    seat: Option<Seat>,
    /// What it takes of the unit's allowance.
    held: Charge,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) head: Head,
    /// Content codings undone.
    pub(super) body: Vec<u8>,
    pub(super) truncated: bool,
    /// What all of it takes of the unit's allowance.
    pub(super) held: Charge,
}

impl Incoming {
    pub(super) fn new(caps: Caps) -> Incoming {
        Incoming {
            caps,
            buffer: Vec::new(),
            any_byte: false,
            head: None,
            body: Vec::new(),
            whole: false,
            room: None,
            seat: None,
            held: Charge::default(),
        }
    }

    /// What is kept of it counts.
    pub(super) fn charged(self, allowance: &Allowance) -> Incoming {
        Incoming { held: allowance.charge(), ..self }
    }

    /// A large body has to wait for room.
    pub(super) fn within(self, room: Room) -> Incoming {
        Incoming { room: Some(room), ..self }
    }

    /// Reads one response to a request of that method. True when the connection can carry another request.
    pub(super) async fn read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        method: &str,
    ) -> Result<bool, ReadError> {
        let head = self.read_head(stream).await?;
        let framing = framing(&head, method);
        let keeps = keeps_open(&head, method);
        let codings = !head.list("content-encoding").is_empty();
        self.head = Some(head);
        let cap = if codings { self.caps.raw } else { self.caps.raw.min(self.caps.body) };
        let complete = match framing {
            Framing::Empty => true,
            Framing::Length(length) => self.read_length(stream, length, cap).await?,
            Framing::Chunked => self.read_chunked(stream, cap).await?,
            Framing::UntilClose => self.read_until_close(stream, cap).await?,
        };
        self.whole = complete;
        // Whatever follows the response was not asked for. The end of the connection is the end of some bodies.
        Ok(complete && framing != Framing::UntilClose && keeps && self.buffer.is_empty())
    }

    /// The response, if its head came. Both forms of a coded body are there for a moment, which nothing is charged for: only as many
    /// bodies are decoded at once as there are threads.
    pub(super) fn finish(self) -> Result<Option<Received>, ReadError> {
        let Some(head) = self.head else { return Ok(None) };
        let codings = head.list("content-encoding");
        let encoding::Decoded { mut body, cut } = encoding::decode(&codings, self.body, self.caps.body);
        body.shrink_to_fit();
        let mut held = self.held;
        held.cover((2 * head.bytes.len() + body.capacity()) as u64).map_err(ReadError::NoMemory)?;
        Ok(Some(Received { head, body, truncated: !self.whole || cut, held }))
    }

    async fn read_head(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<Head, ReadError> {
        let mut interim = 0;
        let mut spent = 0;
        let mut looked_at = 0;
        loop {
            if looked_at == 0 {
                // Servers that got the length of the response before wrong leave line breaks behind (RFC 9112, 2.2).
                let breaks = self.buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                spent += breaks;
                self.buffer.drain(..breaks);
            }
            if !head::may_be_http(&self.buffer) {
                return Err(ReadError::NotHttp(format!("it begins with {}", head::excerpt(&self.buffer))));
            }
            if let Some(end) = head::end(&self.buffer, looked_at) {
                spent += end;
                if spent > self.caps.head {
                    return Err(self.head_too_long());
                }
                let head = head::parse(&self.buffer[..end]).map_err(ReadError::NotHttp)?;
                self.buffer.drain(..end);
                looked_at = 0;
                if !(100..200).contains(&head.status) || head.status == 101 {
                    return Ok(head);
                }
                interim += 1;
                if interim > MOST_INTERIM {
                    return Err(ReadError::NotHttp(format!(
                        "more than {MOST_INTERIM} interim responses and no final one"
                    )));
                }
                continue;
            }
            if spent + self.buffer.len() > self.caps.head {
                return Err(self.head_too_long());
            }
            looked_at = self.buffer.len();
            if self.fill(stream).await? == 0 {
                let ended = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Err(match () {
                    () if !self.any_byte => ReadError::NothingCame(ended),
                    () if self.buffer.is_empty() => {
                        ReadError::NotHttp("it closed without a final response".to_owned())
                    }
                    () => ReadError::NotHttp(format!(
                        "it closed in the middle of the head: {}",
                        head::excerpt(&self.buffer)
                    )),
                });
            }
        }
    }

    fn head_too_long(&self) -> ReadError {
        ReadError::NotHttp(format!("its head is longer than {} bytes", self.caps.head))
    }

    /// True when all of it came.
    async fn read_length(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        length: u64,
        cap: usize,
    ) -> Result<bool, ReadError> {
        let wanted = usize::try_from(length).unwrap_or(usize::MAX).min(cap);
        loop {
            let take = (wanted - self.body.len()).min(self.buffer.len());
            self.body.extend_from_slice(&self.buffer[..take]);
            self.buffer.drain(..take);
            if self.body.len() == wanted {
                return Ok(length <= cap as u64);
            }
            if self.fill(stream).await? == 0 {
                return Ok(false);
            }
        }
    }

    async fn read_chunked(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        cap: usize,
    ) -> Result<bool, ReadError> {
        let mut coding = Chunked::new();
        let mut wire = 0;
        loop {
            match coding.decode(&self.buffer, &mut self.body) {
                Ok(used) => {
                    self.buffer.drain(..used);
                    wire += used;
                }
                Err(why) if self.body.is_empty() => {
                    return Err(ReadError::NotHttp(format!("its chunked body is broken: {why}")));
                }
                Err(_) => return Ok(false),
            }
            if self.body.len() > cap
                || (wire > cap.saturating_add(FRAMING_ALLOWANCE) && !coding.is_complete())
            {
                self.body.truncate(cap);
                return Ok(false);
            }
            if coding.is_complete() {
                return Ok(true);
            }
            if self.fill(stream).await? == 0 {
                return Ok(false);
            }
        }
    }

    async fn read_until_close(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        cap: usize,
    ) -> Result<bool, ReadError> {
        loop {
            self.body.append(&mut self.buffer);
            if self.body.len() > cap {
                self.body.truncate(cap);
                return Ok(false);
            }
            if self.fill(stream).await? == 0 {
                return Ok(true);
            }
        }
    }

    async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<usize, ReadError> {
        if self.body.len() > SMALL_BODY
            && self.seat.is_none()
            && let Some(room) = &self.room
        {
            self.seat = Some(room.take().await);
        }
        self.buffer.reserve(READ_AT_ONCE);
        match stream.read_buf(&mut self.buffer).await {
            Ok(count) => {
                self.any_byte |= count > 0;
                let kept = self.buffer.capacity() + self.body.capacity();
                self.held.cover(kept as u64).map_err(ReadError::NoMemory)?;
                Ok(count)
            }
            // TLS peers that close without saying so (RFC 8446, 6.1); there are many, and the body's framing tells what is missing.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.any_byte => Ok(0),
            Err(error) if self.any_byte => Err(ReadError::Broken(error)),
            Err(error) => Err(ReadError::NothingCame(error)),
        }
    }
}

fn framing(head: &Head, method: &str) -> Framing {
    let no_body = method == "HEAD"
        || head.status < 200
        || matches!(head.status, 204 | 304)
        || (method == "CONNECT" && head.status < 300);
    if no_body {
        return Framing::Empty;
    }
    let codings = head.list("transfer-encoding");
    match codings.last().map(String::as_str) {
        Some("chunked") => return Framing::Chunked,
        Some("identity") | None => {}
        Some(_) => return Framing::UntilClose,
    }
    let mut lengths = head.list("content-length");
    lengths.dedup();
    match lengths.as_slice() {
        [one] if one.bytes().all(|byte| byte.is_ascii_digit()) => {
            one.parse().map_or(Framing::UntilClose, Framing::Length)
        }
        _ => Framing::UntilClose,
    }
}

fn keeps_open(head: &Head, method: &str) -> bool {
    let connection = head.list("connection");
    let says = |word: &str| connection.iter().any(|option| option == word);
    let ambiguous =
        head.values("transfer-encoding").next().is_some() && head.values("content-length").next().is_some();
    let switched = head.status == 101 || method == "CONNECT";
    !ambiguous && !switched && !says("close") && (head.is_1_1 || says("keep-alive"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAPS: Caps = Caps { head: 1_000, raw: 2_000, body: 100 };

    async fn read(bytes: &[u8], method: &str) -> Result<(Received, bool), ReadError> {
        let mut incoming = Incoming::new(CAPS);
        let mut stream = bytes;
        let reusable = incoming.read(&mut stream, method).await?;
        Ok((incoming.finish()?.unwrap(), reusable))
    }

    #[tokio::test]
    async fn every_framing_is_followed() {
        for (sent, method, body, reusable) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "GET", "abc", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD", "", true),
            ("HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n", "GET", "", true),
            ("HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", "", true),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                "GET",
                "abc",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                "GET",
                "abc",
                false,
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", "GET", "abc", false),
            ("HTTP/1.1 200 OK\r\n\r\nabc", "GET", "abc", false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", "GET", "abc", false),
            ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 3\r\n\r\nabc", "GET", "abc", true),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", "GET", "abc", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc", "GET", "abc", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "GET", "abc", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc", "GET", "abc", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n", "GET", "abc", false),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
                "GET",
                "x",
                true,
            ),
            ("\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "GET", "x", true),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\nframes", "GET", "", false),
        ] {
            let (received, may_reuse) =
                read(sent.as_bytes(), method).await.unwrap_or_else(|error| panic!("{sent}: {error:?}"));
            let text = String::from_utf8(received.body).unwrap();
            assert_eq!((text.as_str(), may_reuse, received.truncated), (body, reusable, false), "{sent}");
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_kept_and_not_called_whole() {
        for sent in [
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ] {
            let (received, may_reuse) = read(sent.as_bytes(), "GET").await.unwrap();
            assert_eq!(
                (received.body.as_slice(), may_reuse, received.truncated),
                (&b"abc"[..], false, true),
                "{sent}"
            );
        }
    }

    #[tokio::test]
    async fn every_framing_is_cut_at_the_cap() {
        let long = "x".repeat(150);
        for sent in [
            format!("HTTP/1.1 200 OK\r\nContent-Length: 150\r\n\r\n{long}"),
            format!("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n{long}"),
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n96\r\n{long}\r\n0\r\n\r\n"),
            format!("HTTP/1.1 200 OK\r\n\r\n{long}"),
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: unknown\r\n\r\n{long}"),
        ] {
            let (received, _) = read(sent.as_bytes(), "GET").await.unwrap();
            assert_eq!((received.body.len(), received.truncated), (100, true), "{sent}");
        }
        let exact = format!("HTTP/1.1 200 OK\r\n\r\n{}", &long[..100]);
        let (received, _) = read(exact.as_bytes(), "GET").await.unwrap();
        assert_eq!((received.body.len(), received.truncated), (100, false));
    }

    #[tokio::test]
    async fn what_is_no_http_is_told_from_silence() {
        for sent in [
            "SSH-2.0-OpenSSH_9\r\n".to_owned(),
            "<html>HTTP/0.9</html>".to_owned(),
            "HTTP/1.1 200 OK\r\nServer: x".to_owned(),
            "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
            "HTTP/1.1 100 Continue\r\n\r\n".repeat(40),
            format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(1_000)),
            format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(5_000)),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n<html>".to_owned(),
        ] {
            assert!(matches!(read(sent.as_bytes(), "GET").await, Err(ReadError::NotHttp(_))), "{sent}");
        }
        assert!(matches!(read(b"", "GET").await, Err(ReadError::NothingCame(_))));
    }

    proptest! {
        #[test]
        fn hostile_bytes_do_no_harm(rest in proptest::collection::vec(any::<u8>(), 0..400), head in "(HTTP/1\\.[01] [0-9]{3} \r\n)?(Transfer-Encoding: chunked\r\n|Content-Length: [0-9]{1,20}\r\n|Content-Encoding: gzip\r\n){0,3}\r\n") {
            let bytes = [head.as_bytes(), &rest].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            if let Ok((received, _)) = runtime.block_on(read(&bytes, "GET")) {
                prop_assert!(received.body.len() <= 100 && received.head.bytes.len() <= 1_000);
            }
        }
    }
}
