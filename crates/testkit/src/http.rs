//! An HTTP/1.1 server that answers with the bytes the test gives it.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{tcp::TcpServer, tls::TlsAcceptor};

/// A server with keep-alive.
#[derive(Debug)]
pub struct HttpServer {
    server: TcpServer,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Number of the connection it came on, from 0.
    pub connection: usize,
    /// Head and body.
    pub bytes: Vec<u8>,
}

impl Seen {
    /// The bytes as text, for assertions.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The request target.
    pub fn target(&self) -> String {
        self.text().split(' ').nth(1).unwrap_or_default().to_owned()
    }
}

impl HttpServer {
    /// Answers every request with what `answer` makes of it, byte for byte.
    pub async fn start(answer: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> HttpServer {
        HttpServer::start_inside(None, answer).await
    }

    /// The same inside TLS.
    pub async fn start_tls(
        acceptor: TlsAcceptor,
        answer: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static,
    ) -> HttpServer {
        HttpServer::start_inside(Some(acceptor), answer).await
    }

    async fn start_inside(
        acceptor: Option<TlsAcceptor>,
        answer: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static,
    ) -> HttpServer {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        let server = TcpServer::start(move |mut stream, connection| {
            let (log, answer, acceptor) = (Arc::clone(&log), Arc::clone(&answer), acceptor.clone());
            async move {
                match acceptor {
                    Some(acceptor) => {
                        let mut stream = acceptor.accept(stream).await?;
                        serve(&mut stream, connection, &log, &*answer).await
                    }
                    None => serve(&mut stream, connection, &log, &*answer).await,
                }
            }
        })
        .await;
        HttpServer { server, seen }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    connection: usize,
    log: &Mutex<Vec<Seen>>,
    answer: &(dyn Fn(&Seen) -> Vec<u8> + Send + Sync),
) -> io::Result<()> {
    while let Some(bytes) = read_request(stream).await? {
        let seen = Seen { connection, bytes };
        let response = answer(&seen);
        log.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        stream.write_all(&response).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// Reads one request with the body that its Content-Length announces; none when the peer closed before another one.
pub async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(_) if bytes.is_empty() => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    bytes.extend_from_slice(&body);
    Ok(Some(bytes))
}

/// A plain 200 with that body and its length.
pub fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    response("200 OK", &[], body)
}

/// A response with Content-Length.
pub fn response(status: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len()).into_bytes();
    for header in headers {
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}
