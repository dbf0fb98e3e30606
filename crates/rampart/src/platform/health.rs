//! What a supervisor asks a role: is it alive, and can it work?

use std::time::Duration;

use store::Store;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};

/// A whole conversation.
const WITHIN: Duration = Duration::from_secs(5);
/// Questions at once.
const AT_ONCE: usize = 64;

/// Answers `GET /health` (the process lives) and `GET /ready` (the store answers, and whether a stop holds) until it is dropped.
pub(super) async fn serve(listener: TcpListener, store: Store) {
    let room = std::sync::Arc::new(Semaphore::new(AT_ONCE));
    loop {
        // It is never closed.
        let Ok(place) = std::sync::Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let store = store.clone();
                tokio::spawn(async move {
                    // Whoever hangs up has no question any more.
                    let _ = timeout(WITHIN, answer(stream, &store)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a question for health cannot be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, store: &Store) -> std::io::Result<()> {
    let mut head = [0; 1_024];
    let mut length = 0;
    while length < head.len() && !head[..length].windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut head[length..]).await? {
            0 => return Ok(()),
            read => length += read,
        }
    }
    let line = String::from_utf8_lossy(&head[..length]);
    let (status, body) = match line.split_whitespace().take(2).collect::<Vec<_>>()[..] {
        ["GET", "/health"] => ("200 OK", serde_json::json!({ "status": "alive" })),
        ["GET", "/ready"] => match store.stops().await {
            Ok(stops) => ("200 OK", serde_json::json!({ "status": "ready", "stops": stops.len() })),
            Err(error) => {
                tracing::warn!(%error, "not ready");
                ("503 Service Unavailable", serde_json::json!({ "status": "the store does not answer" }))
            }
        },
        ["GET", _] => ("404 Not Found", serde_json::json!({ "status": "ask for /health or /ready" })),
        _ => ("400 Bad Request", serde_json::json!({ "status": "not understood" })),
    };
    let body = format!("{body}\n");
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
