//! What every request goes through, whatever it asks for.

use std::time::{Duration, Instant};

use axum::body::Body;
use hyper::{Method, Request};
use model::{ApiKey, Role};
use store::NewKey;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::ground::{Ground, named};

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_an_id_and_keeps_browsers_careful() {
    let ground = Ground::start().await;
    let key = ground.key(Role::Viewer).await;
    for path in ["/health", "/ready", "/startup", "/api/v1/me", "/api/v1/openapi.json", "/nowhere"] {
        let answer = ground.get(path, &key).await;
        assert_eq!(answer.header("x-request-id").len(), 36, "{path}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
    }
    let asked =
        Request::get("/nowhere").header("x-request-id", "from-the-proxy").body(Body::empty()).unwrap();
    let answer = ground.send(asked).await;
    assert_eq!(answer.header("x-request-id"), "from-the-proxy");
    assert_eq!(answer.problem(404, "not-found"), "there is no such route");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_key_that_is_known_here_and_now_is_nobody() {
    let ground = Ground::start().await;
    let key = ground.key(Role::Owner).await;
    assert_eq!(ground.get("/api/v1/me", &key).await.status, 200);
    let cut = &key.expose()[..key.expose().len() - 1];
    let other = ApiKey::from_random([1; 4], [1; 24]);
    for (given, says) in [(cut, "not the whole of one"), (other.expose(), "the key is not known")] {
        let answer = ground.ask(Method::GET, "/api/v1/me", Some(given), None).await;
        assert!(answer.problem(401, "unauthenticated").contains(says), "{answer:?}");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"rampart\"");
        assert!(!answer.body.to_string().contains(&given[20..40]), "{answer:?}");
    }
    let nobody = ground.ask(Method::GET, "/api/v1/me", None, None).await;
    assert!(nobody.problem(401, "unauthenticated").contains("no Authorization"), "{nobody:?}");
    for value in ["Basic dXNlcjpwYXNz", "Bearer", "rampart"] {
        let asked = Request::get("/api/v1/me").header("authorization", value).body(Body::empty()).unwrap();
        ground.send(asked).await.problem(401, "unauthenticated");
    }
    let twice = Request::get("/api/v1/me")
        .header("authorization", format!("Bearer {}", key.expose()))
        .header("authorization", format!("Bearer {}", key.expose()))
        .body(Body::empty())
        .unwrap();
    ground.send(twice).await.problem(401, "unauthenticated");

    // From elsewhere, too late, taken back: nobody learns which.
    let elsewhere = ground
        .key_of(ground.tenant, NewKey { networks: vec!["10.0.0.0/8".parse().unwrap()], ..named("far") });
    let told = ground.get("/api/v1/me", &elsewhere.await).await;
    let near = ground
        .key_of(ground.tenant, NewKey { networks: vec!["127.0.0.0/8".parse().unwrap()], ..named("near") });
    assert_eq!(ground.get("/api/v1/me", &near.await).await.status, 200);
    let expires_at = Some(ground.store.clock().await.unwrap() + Duration::from_secs(60));
    let passing = ground.key_of(ground.tenant, NewKey { expires_at, ..named("passing") }).await;
    assert_eq!(ground.get("/api/v1/me", &passing).await.status, 200);
    ground.store.advance_clock("", Duration::from_secs(60)).await.unwrap();
    // What another process does is believed a second later.
    let unknown = async |key: &ApiKey| {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = ground.get("/api/v1/me", key).await;
            if answer.status != 200 || Instant::now() > deadline {
                return answer;
            }
        }
    };
    let late = unknown(&passing).await;
    ground.store.revoke_key(ground.tenant, key.prefix(), "test".to_owned()).await.unwrap();
    let revoked = unknown(&key).await;
    let details = [told, late, revoked].map(|answer| answer.problem(401, "unauthenticated").to_owned());
    assert!(details.iter().all(|detail| *detail == details[0]), "{details:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_told_as_a_problem() {
    let ground = Ground::start().await;
    let key = ground.key(Role::Owner).await;
    let post = |kind: &str, body: String| {
        Request::post("/api/v1/keys")
            .header("authorization", format!("Bearer {}", key.expose()))
            .header("content-type", kind)
            .body(Body::from(body))
            .unwrap()
    };
    let json = "application/json";
    for (kind, body, status, code) in [
        (json, "{".to_owned(), 400, "malformed"),
        (json, "{}".to_owned(), 422, "invalid"),
        (json, r#"{"name": "a", "role": "root"}"#.to_owned(), 422, "invalid"),
        (json, r#"{"name": "a", "role": "viewer", "rolle": "owner"}"#.to_owned(), 422, "invalid"),
        (json, r#"{"name": "", "role": "viewer"}"#.to_owned(), 422, "invalid"),
        (json, r#"{"name": "a", "role": "viewer", "networks": ["10.0.0.0/99"]}"#.to_owned(), 422, "invalid"),
        (
            json,
            r#"{"name": "a", "role": "viewer", "expires_at": "2001-01-01T00:00:00Z"}"#.to_owned(),
            422,
            "invalid",
        ),
        ("text/plain", r#"{"name": "a", "role": "viewer"}"#.to_owned(), 415, "unsupported-media-type"),
        (json, format!(r#"{{"name": "{}", "role": "viewer"}}"#, "a".repeat(2 << 20)), 413, "too-large"),
    ] {
        let answer = ground.send(post(kind, body.clone())).await;
        let detail = answer.problem(status, code);
        assert!(!detail.is_empty() && !detail.ends_with('.'), "{detail}");
    }
    let wrong = ground.ask(Method::PATCH, "/api/v1/keys", Some(key.expose()), None).await;
    wrong.problem(405, "method-not-allowed");
    assert!(wrong.header("allow").contains("POST"), "{wrong:?}");
    assert_eq!(ground.store.keys(ground.tenant).await.unwrap().len(), 1, "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_that_it_ends_before_it_does_and_answers_what_was_begun() {
    let ground = Ground::start().await;
    let ready = ground.ask(Method::GET, "/ready", None, None).await;
    assert_eq!((ready.status.as_u16(), &ready.body["status"]), (200, &"ready".into()));
    ground.ending.cancel();
    ground.ask(Method::GET, "/ready", None, None).await.problem(503, "unavailable");
    for goes_on in ["/health", "/startup"] {
        assert_eq!(ground.ask(Method::GET, goes_on, None, None).await.status, 200, "{goes_on}");
    }

    // A request that is being answered when nothing new is taken any more: it waits for the rest of it.
    let (key, body) = (ground.key(Role::Owner).await, r#"{"name": "late", "role": "viewer"}"#);
    let mut begun = TcpStream::connect(ground.address).await.unwrap();
    let head = format!(
        "POST /api/v1/keys HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        key.expose(),
        body.len()
    );
    begun.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("100 Continue\r\n\r\n") {
        answer.push(char::from(begun.read_u8().await.unwrap()));
    }
    ground.closed.cancel();
    begun.write_all(body.as_bytes()).await.unwrap();
    begun.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("HTTP/1.1 201 Created\r\n"), "{answer}");
    ground.answering.await.unwrap();
    assert!(TcpStream::connect(ground.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_for_ever_to_ask_is_not_waited_for() {
    let ground = Ground::start().await;
    // Nothing, the beginning of HTTP/2, the beginning of a head, and a second request that never comes.
    let beginnings =
        ["", "PRI * HT", "GET /health HTTP/1.1\r\nHost: he", "GET /health HTTP/1.1\r\nHost: here\r\n\r\n"];
    let address = ground.address;
    let left = beginnings.map(|beginning| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // However it is done, the connection ends.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    });
    let answers = tokio::time::timeout(Duration::from_secs(60), futures_util::future::join_all(left)).await;
    let answers = answers.expect("each connection is closed");
    assert!(answers[3].starts_with("HTTP/1.1 200 OK"), "{answers:?}");
    assert!(answers[..3].iter().all(|answer| !answer.contains("200 OK")), "{answers:?}");
    assert_eq!(ground.ask(Method::GET, "/health", None, None).await.status, 200);
}
