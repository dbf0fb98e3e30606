//! A client, and servers that answer as the test says.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod comments;
mod protection;
mod refusals;
mod repeating;

use std::{net::SocketAddr, str::FromStr};

use client::{Client, Server, Trusted};
use model::ApiKey;
use testkit::http::{HttpServer, Seen, ok, response};

pub(crate) fn key() -> ApiKey {
    ApiKey::from_random([1; 4], [2; 24])
}

pub(crate) fn client_of(address: SocketAddr) -> Client {
    Client::new(&server(&format!("http://{address}"))).unwrap()
}

pub(crate) fn server(address: &str) -> Server {
    let address = FromStr::from_str(address).unwrap();
    Server { address, key: key(), trusted: Trusted::OfThisMachine, in_the_clear: false }
}

/// Answers in their order, the last again and again.
pub(crate) async fn answering(answers: Vec<Vec<u8>>) -> (HttpServer, Client) {
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let server = HttpServer::start(move |_: &Seen| {
        let turn = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        answers[turn.min(answers.len() - 1)].clone()
    })
    .await;
    let client = client_of(server.address());
    (server, client)
}

pub(crate) fn problem(status: &str, headers: &[&str], code: &str) -> Vec<u8> {
    let number: u16 = status.split(' ').next().unwrap().parse().unwrap();
    let body = format!(
        r#"{{"type":"urn:rampart:problem:{code}","title":"a title","status":{number},"detail":"there is no scan `7`",
            "code":"{code}","request_id":"0af7","hint":"look elsewhere"}}"#
    );
    response(status, &[&["Content-Type: application/problem+json"], headers].concat(), body)
}

pub(crate) fn tenant() -> Vec<u8> {
    ok(
        r#"{"id":"01a1fd8e-79c0-70ed-8374-bfa2b54ad121","name":"acme","weight":1,"most_in_flight":5,"created_at":"2026-01-01T00:00:00Z"}"#,
    )
}

#[tokio::test]
async fn what_is_asked_stands_in_the_request_and_the_key_nowhere_else() {
    let (server, client) =
        answering(vec![tenant(), ok(r#"{"scopes":[]}"#), response("204 No Content", &[], "")]).await;
    assert_eq!(client.tenant().await.unwrap().name, "acme");
    assert!(client.scopes(5, None).await.unwrap().items.is_empty());
    client.delete_scope("a/b ü?").await.unwrap();
    let seen = server.seen();
    let heads: Vec<String> = seen.iter().map(|seen| seen.text().to_ascii_lowercase()).collect();
    assert!(heads[0].starts_with("get /api/v1/tenant http/1.1\r\n"), "{}", heads[0]);
    assert!(heads[2].starts_with("delete /api/v1/scopes/a%2fb%20%c3%bc%3f http/1.1\r\n"), "{}", heads[2]);
    for head in &heads {
        assert!(head.contains(&format!("authorization: bearer {}\r\n", key().expose())), "{head}");
        assert!(head.contains("x-request-id: ") && head.contains("user-agent: rampart/"), "{head}");
    }
    let key = key();
    let secret = &key.expose()[17..];
    assert!(!format!("{client:?}").contains(secret), "{client:?}");
}
