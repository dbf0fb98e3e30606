//! One request at a time to the API, as a program that does without any library of ours sends it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::platform::PATIENCE;

/// Asks on a connection of its own, with further headers, each with its end; the body of a good answer.
pub(crate) fn asked(
    entry: SocketAddr,
    key: &str,
    line: &str,
    headers: &str,
    body: &str,
) -> Result<String, String> {
    let trouble = |what: &str, error: std::io::Error| format!("{line}: {what}: {error}");
    let mut stream = TcpStream::connect(entry).map_err(|error| trouble("connecting", error))?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: rampart\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).map_err(|error| trouble("asking", error))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| trouble("reading", error))?;
    let is_good = answer.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
    match answer.split_once("\r\n\r\n") {
        Some((_, body)) if is_good => Ok(body.to_owned()),
        _ => Err(format!("{line}: {answer:.300}")),
    }
}

/// Begins a scan of nothing in that scope, which is begun once under this name however often it is asked for; its id.
pub(crate) fn begin_scan(entry: SocketAddr, key: &str, scope: &str, once: &str) -> Result<String, String> {
    let headers = format!("Content-Type: application/json\r\nIdempotency-Key: \"{once}\"\r\n");
    let body = format!(r#"{{"targets": ["127.0.0.1:9"], "request": {{"scope": "{scope}"}}}}"#);
    let answer = asked(entry, key, "POST /api/v1/scans", &headers, &body)?;
    let scan: Option<serde_json::Value> = serde_json::from_str(&answer).ok();
    let id = scan.as_ref().and_then(|scan| scan["id"].as_str());
    id.map(str::to_owned).ok_or_else(|| format!("no scan: {answer}"))
}
