//! A small web server for the estate: pages from a table, GET and HEAD only.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// Larger request heads are not answered.
const LARGEST_HEAD: usize = 16 << 10;
const IDLE: Duration = Duration::from_secs(30);

/// One page.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) body: &'static [u8],
}

/// A web site: what every answer carries, and its pages by path with query.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) pages: HashMap<&'static str, Page>,
    /// Repeats the Origin header as allowed, with credentials: a mistake people make.
    pub(super) reflects_origin: bool,
}

pub(super) async fn serve(
    stream: TcpStream,
    site: Arc<Site>,
    acceptor: Option<TlsAcceptor>,
) -> io::Result<()> {
    match acceptor {
        None => answer_requests(stream, &site).await,
        Some(acceptor) => {
            let stream = timeout(IDLE, acceptor.accept(stream)).await??;
            answer_requests(stream, &site).await
        }
    }
}

async fn answer_requests(mut stream: impl AsyncRead + AsyncWrite + Unpin, site: &Site) -> io::Result<()> {
    let mut received = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if received.len() > LARGEST_HEAD || timeout(IDLE, stream.read_buf(&mut received)).await?? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&received[..end]).into_owned();
        received.drain(..end);
        let response = respond(&head, site);
        stream.write_all(&response).await?;
        // Bodies are not read; a connection on which one follows cannot go on.
        if head.to_ascii_lowercase().contains("content-length:") {
            return Ok(());
        }
    }
}

fn respond(head: &str, site: &Site) -> Vec<u8> {
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let missing = Page {
        status: 404,
        headers: vec![("Content-Type", "text/html")],
        body: b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>\n",
    };
    let not_allowed = Page { status: 405, headers: vec![("Allow", "GET, HEAD")], body: b"" };
    let page = match method {
        "GET" | "HEAD" => site.pages.get(target).unwrap_or(&missing),
        _ => &not_allowed,
    };
    let reason = match page.status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Status",
    };
    let mut text = format!("HTTP/1.1 {} {reason}\r\nContent-Length: {}\r\n", page.status, page.body.len());
    for (name, value) in site.headers.iter().chain(&page.headers) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let origin = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("origin"));
    if let (true, Some((_, origin))) = (site.reflects_origin, origin) {
        text.push_str(&format!(
            "Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Allow-Credentials: true\r\n"
        ));
    }
    text.push_str("\r\n");
    let mut response = text.into_bytes();
    if method != "HEAD" {
        response.extend_from_slice(page.body);
    }
    response
}
