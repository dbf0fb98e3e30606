//! Any bytes as an HTTP response, and as a compressed body.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::FutureExt;
use tokio::io::{AsyncRead, ReadBuf};

use super::{
    chunked::Chunked,
    encoding,
    incoming::{Caps, Incoming},
};

/// Bytes that arrive in pieces, then the end.
struct Pieces<'a> {
    left: &'a [u8],
    size: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let length = self.size.min(self.left.len()).min(buffer.remaining());
        let (piece, left) = self.left.split_at(length);
        buffer.put_slice(piece);
        self.left = left;
        Poll::Ready(Ok(()))
    }
}

/// Head, headers and body of a response; none when it is none.
type Read = Option<(Vec<u8>, Vec<(String, Vec<u8>)>, Vec<u8>)>;

fn read(bytes: &[u8], size: usize, method: &str, caps: Caps) -> Read {
    let mut incoming = Incoming::new(caps);
    let mut stream = Pieces { left: bytes, size };
    incoming.read(&mut stream, method).now_or_never().expect("all pieces are there").ok()?;
    let received = incoming.finish().ok()??;
    assert!(received.body.len() <= caps.body && received.head.bytes.len() <= caps.head);
    assert!((100..=999).contains(&received.head.status));
    for (name, value) in &received.head.headers {
        assert!(!name.is_empty() && !name.contains(['\r', '\n', ':']), "{name:?}");
        // Folded lines are the one place for line breaks (RFC 9112, 5.2).
        assert!(!value.contains(&0));
    }
    Some((received.head.bytes, received.head.headers, received.body))
}

/// A response: bounded, and the same in however many pieces it comes. The first two bytes say how it is asked for.
pub fn response(data: &[u8]) {
    let [choice, size, bytes @ ..] = data else { return };
    let method = ["GET", "HEAD", "CONNECT", "POST"][usize::from(choice & 3)];
    let body = if choice & 4 == 0 { 64 } else { 32 << 10 };
    let caps = Caps { head: 2 << 10, raw: 16 << 10, body };
    let whole = read(bytes, usize::MAX, method, caps);
    let pieces = read(bytes, usize::from(*size).max(1), method, caps);
    assert_eq!(whole, pieces, "in pieces of {size}");
}

/// A chunked body, and a compressed one, in as many layers as the first byte says.
pub fn coding(data: &[u8]) {
    let [choice, size, bytes @ ..] = data else { return };
    let (mut whole, mut body) = (Chunked::new(), Vec::new());
    let used = whole.decode(bytes, &mut body);
    let (mut pieces, mut same, mut used_of_pieces) = (Chunked::new(), Vec::new(), Ok(0));
    for piece in bytes.chunks(usize::from(*size).max(1)) {
        match (pieces.decode(piece, &mut same), &mut used_of_pieces) {
            (Ok(more), Ok(used)) => *used += more,
            (failed, so_far) => {
                *so_far = failed;
                break;
            }
        }
        if pieces.is_complete() {
            break;
        }
    }
    assert_eq!((used, &body, whole.is_complete()), (used_of_pieces, &same, pieces.is_complete()));
    assert!(body.len() <= bytes.len());

    const CAP: usize = 64 << 10;
    const CODINGS: [&str; 7] = ["gzip", "deflate", "br", "x-gzip", "identity", "compress", "zstd"];
    let layers = [choice & 7, choice >> 3 & 7, choice >> 6];
    let codings: Vec<String> = layers
        .iter()
        .filter_map(|layer| CODINGS.get(usize::from(*layer)).map(|name| (*name).to_owned()))
        .collect();
    let decoded = encoding::decode(&codings, bytes.to_vec(), CAP);
    assert!(decoded.body.len() <= CAP);
}
