//! Requests that somebody on the way may read in another way than the gateway: nothing that hides in one of them is answered.

use std::time::Duration;

use futures_util::future::join_all;
use hyper::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::ground::Ground;

/// What hides: anybody is answered that, and what it hides in is answered in another way.
const HIDDEN: &str = "GET /health HTTP/1.1\r\nHost: here\r\n\r\n";
/// Much longer than a connection is kept for somebody who asks for nothing more.
const PATIENCE: Duration = Duration::from_secs(60);
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// Asks for what is not there, with these further lines of the head, and with that after it.
fn request(lines: &str, after: &str) -> String {
    format!("POST /nowhere HTTP/1.1\r\nHost: here\r\n{lines}\r\n{after}")
}

fn length(text: &str) -> String {
    format!("Content-Length: {text}\r\n")
}

/// All that is answered until the gateway closes the connection.
async fn answered(ground: &Ground, what: &str, said: &str) -> String {
    let mut stream = TcpStream::connect(ground.address).await.unwrap();
    stream.write_all(said.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // However it is done, the connection ends.
    let ended = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "{what}: the connection is not closed");
    String::from_utf8(answer).unwrap()
}

fn answers(said: &str) -> usize {
    said.matches("HTTP/1.1 ").count()
}

fn is_of_what_hides(said: &str) -> bool {
    said.contains("\"alive\"")
}

/// Whoever goes by one of two lengths reads another end of the body than who goes by the other.
fn refused() -> Vec<(&'static str, String)> {
    let size = HIDDEN.len();
    let behind = format!("0\r\n\r\n{HIDDEN}");
    vec![
        ("two lengths", request(&(length("0") + &length(&size.to_string())), HIDDEN)),
        ("two lengths the other way round", request(&(length(&size.to_string()) + &length("0")), HIDDEN)),
        ("two lengths in one line", request(&length(&format!("{size},{size}")), HIDDEN)),
        ("a length with a sign", request(&length(&format!("+{size}")), HIDDEN)),
        ("a length in hexadecimal digits", request(&length(&format!("{size:#x}")), HIDDEN)),
        ("a length that is none", request(&length(""), HIDDEN)),
        ("an encoding that is almost chunks", request("Transfer-Encoding: xchunked\r\n", &behind)),
        ("chunks in another encoding", request("Transfer-Encoding: chunked, identity\r\n", &behind)),
        ("chunks of an older version", request(CHUNKED, &behind).replacen("HTTP/1.1", "HTTP/1.0", 1)),
        (
            "a line that goes on in the next",
            request(&("Transfer-Encoding:\r\n chunked\r\n".to_owned() + &length("0")), &behind),
        ),
        ("a line that is only that", request(" Transfer-Encoding: chunked\r\n", &behind)),
        ("a space before the colon", request(&format!("Content-Length : {size}\r\n"), HIDDEN)),
        ("a line that half ends in its middle", request(&("X: a\r".to_owned() + &length("0")), HIDDEN)),
    ]
}

/// What may be answered, or not, but is one request at most.
fn one_at_most() -> Vec<(&'static str, String)> {
    let size = HIDDEN.len();
    let begin = format!("{size:x}\r\n");
    let (chunk, behind) = (format!("{begin}{HIDDEN}\r\n0\r\n\r\n"), format!("0\r\n\r\n{HIDDEN}"));
    let (of_begin, of_behind) = (length(&begin.len().to_string()), length(&behind.len().to_string()));
    vec![
        ("a length and chunks that end before", request(&(of_behind.clone() + CHUNKED), &behind)),
        ("chunks that end before, and a length", request(&(CHUNKED.to_owned() + &of_behind), &behind)),
        ("a length and chunks that end after", request(&(of_begin.clone() + CHUNKED), &chunk)),
        ("chunks that end after, and a length", request(&(CHUNKED.to_owned() + &of_begin), &chunk)),
        ("chunks twice", request(&CHUNKED.repeat(2), &chunk)),
        ("a chunk of a hexadecimal length that says so", request(CHUNKED, &format!("0x{chunk}"))),
        ("a chunk of a length with a sign", request(CHUNKED, &format!("+{chunk}"))),
        ("a chunk of two lengths", request(CHUNKED, &format!("{size:x} {size:x}\r\n{HIDDEN}\r\n0\r\n\r\n"))),
        (
            "a chunk with something between its length and the end of the line",
            request(CHUNKED, &format!("{size:x};a\n{HIDDEN}\r\n0\r\n\r\n")),
        ),
        (
            "a chunk whose length has half an end of a line",
            request(CHUNKED, &format!("{size:x}\n{HIDDEN}\r\n0\r\n\r\n")),
        ),
        (
            "a first line with half an end",
            request(&length(&size.to_string()), HIDDEN).replacen("HTTP/1.1\r\n", "HTTP/1.1\n", 1),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hides_in_a_request_that_can_be_read_in_two_ways_is_not_answered() {
    let ground = Ground::start().await;
    let (refused, one_at_most) = (refused(), one_at_most());
    let mut asked: Vec<&(&str, String)> = refused.iter().chain(&one_at_most).collect();
    // Side by side nothing hides, and both are answered: whoever hid would be seen.
    let plain = ("one beside the other", request(&length("0"), HIDDEN));
    asked.push(&plain);
    let all = asked.iter().map(|(what, said)| answered(&ground, what, said));
    let mut said = join_all(all).await;
    let both = said.pop().unwrap();
    assert!(answers(&both) == 2 && is_of_what_hides(&both), "{both}");
    for ((what, _), said) in asked.iter().zip(&said) {
        assert!(answers(said) <= 1 && !is_of_what_hides(said), "{what}: {said}");
    }
    for ((what, _), said) in refused.iter().zip(&said) {
        assert!(said.starts_with("HTTP/1.1 400 "), "{what}: {said}");
    }
    assert_eq!(ground.ask(Method::GET, "/health", None, None).await.status, 200);
}
