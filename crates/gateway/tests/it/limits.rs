//! How much anybody gets, and what whoever watches sees of it.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use axum::body::{Body, to_bytes};
use futures_util::StreamExt;
use gateway::Rates;
use hyper::{Method, Request, client::conn::http1::handshake};
use hyper_util::rt::TokioIo;
use model::{ApiKey, Authority, NewTask, Reach, Role, Token, Work};
use serde_json::json;
use store::{Expected, NewKey, TaskFilter};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::ground::{Answer, Ground};

fn rates(address: u32, key: u32, tenant: u32) -> Rates {
    let rate = |count| NonZeroU32::new(count).unwrap();
    Rates { address: rate(address), key: rate(key), tenant: rate(tenant), ..Rates::default() }
}

/// Asks again until it is too fast: one request a second is more than any machine is slow for.
async fn too_fast(ground: &Ground, key: &ApiKey) -> Answer {
    for _ in 0..100 {
        let answer = ground.get("/api/v1/me", key).await;
        if answer.status != 200 {
            return answer;
        }
    }
    panic!("nothing was too fast");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_too_fast_is_told_when_to_come_again() {
    for (rates, whose) in [
        (rates(1, 9_999, 9_999), "this address"),
        (rates(9_999, 1, 9_999), "this key"),
        (rates(9_999, 9_999, 1), "tenant"),
    ] {
        let ground = Ground::with(rates, None).await;
        let (key, second) = (ground.key(Role::Viewer).await, ground.key(Role::Viewer).await);
        let refused = too_fast(&ground, &key).await;
        assert!(refused.problem(429, "too-many").contains(whose), "{refused:?}");
        assert_eq!(refused.header("retry-after"), "1");
        let other = ground.get("/api/v1/me", &second).await;
        assert_eq!(other.status == 200, whose == "this key", "{whose}: {other:?}");
        for probe in ["/health", "/ready", "/startup"] {
            assert_eq!(ground.ask(Method::GET, probe, None, None).await.status, 200, "{probe}");
        }
        let text = metrics(&ground).await;
        assert!(!text.contains("rampart_http_requests_limited_total 0"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_gets_so_many_answers_at_once_and_no_more() {
    let rates = Rates { at_once: NonZeroU32::new(2).unwrap(), ..rates(9_999, 9_999, 9_999) };
    let ground = Ground::with(rates, None).await;
    let key = ground.key(Role::Viewer).await;
    let mut held = slow_bodies(&ground, 2).await;
    let refused = ground.get("/api/v1/me", &key).await;
    assert!(refused.problem(503, "overloaded").contains("of this address"), "{refused:?}");
    assert_eq!(ground.ask(Method::GET, "/health", None, None).await.status, 200);
    let mut answered = held.remove(0);
    answered.write_all(b"\"a\" : 1}").await.unwrap();
    let mut begins = [0; 10];
    answered.read_exact(&mut begins).await.unwrap();
    assert_eq!(&begins, b"HTTP/1.1 4");
    assert_eq!(ground.get("/api/v1/me", &key).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_passwords_and_invitations_are_looked_at_as_was_said() {
    let count = |count| NonZeroU32::new(count).unwrap();
    let rates = Rates { login: count(2), sign_up: count(3), ..rates(9_999, 9_999, 9_999) };
    let ground = Ground::with(rates, None).await;
    for (path, body, looked_at) in [
        ("/api/v1/session", json!({ "tenant": "own", "name": "nobody", "password": "a guess" }), 2),
        (
            "/api/v1/invitations/accept",
            json!({ "invitation": "a guess", "password": "correct horse battery" }),
            3,
        ),
    ] {
        let mut statuses = Vec::new();
        for _ in 0..=looked_at {
            statuses.push(ground.ask(Method::POST, path, None, Some(body.clone())).await.status.as_u16());
        }
        assert_eq!(statuses.pop(), Some(429), "{path}: {statuses:?}");
        assert!(statuses.iter().all(|status| *status == 401), "{path}: {statuses:?}");
    }
    // Those that were looked at, and those that were not.
    ground.closed.cancel();
    let Ground { store, answering, .. } = ground;
    answering.await.unwrap();
    let told = store.audit_of_nobody(Default::default(), 10).await.unwrap();
    let tries = told.iter().map(|entry| entry.detail.split(' ').next().unwrap().parse::<u32>().unwrap());
    assert_eq!(tries.sum::<u32>(), 7, "{told:?}");
}

pub(crate) async fn metrics(ground: &Ground) -> String {
    let stream = TcpStream::connect(ground.metrics).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/metrics").header("host", "metrics").body(Body::empty()).unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    assert_eq!(head.status, 200);
    assert_eq!(head.headers["x-content-type-options"], "nosniff");
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(head.headers["content-type"], kind);
    String::from_utf8(to_bytes(Body::new(body), 1 << 20).await.unwrap().to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_is_counted_by_route_and_never_by_what_it_is_about() {
    let ground = Ground::start().await;
    let key = ground.key(Role::Viewer).await;
    let (scan, _) = (ground.scan().await, ground.task().await);
    let (somebody, token) = (ground.user().await, Token::from_random(rand::random()));
    let (kept, any) = ("kept", Expected::Anything);
    ground.store.set_password(ground.tenant, somebody.id, any, kept.to_owned(), "test").await.unwrap();
    ground.store.begin_session(&somebody, kept, None, &token, None, "test").await.unwrap();
    let unwanted = TaskFilter::one(ground.task().await);
    ground.store.cancel_tasks(ground.tenant, unwanted, u64::MAX, "test").await.unwrap();
    for _ in 0..3 {
        assert_eq!(ground.get(&format!("/api/v1/scans/{scan}"), &key).await.status, 200);
    }
    ground.get("/api/v1/scans/0000000000000000", &key).await.problem(404, "not-found");
    ground.get("/no/such/route", &key).await.problem(404, "not-found");
    ground.ask(Method::GET, "/api/v1/me", None, None).await.problem(401, "unauthenticated");
    ground.ask("BREW".parse().unwrap(), "/api/v1/me", None, None).await.problem(405, "method-not-allowed");
    ground
        .store
        .order_stop(Authority::Installation, Reach::Everything, "an exercise".to_owned(), "test")
        .await
        .unwrap();
    let text = metrics(&ground).await;
    for line in [
        "rampart_http_requests_total{method=\"GET\",route=\"/api/v1/scans/{scan}\",status=\"200\"} 3",
        "rampart_http_requests_total{method=\"GET\",route=\"/api/v1/scans/{scan}\",status=\"404\"} 1",
        "rampart_http_requests_total{method=\"GET\",route=\"\",status=\"404\"} 1",
        "rampart_http_requests_total{method=\"other\",route=\"/api/v1/me\",status=\"405\"} 1",
        "rampart_http_request_duration_seconds_count{method=\"GET\",route=\"/api/v1/scans/{scan}\"} 4",
        "rampart_authentications_total{result=\"Known\"} 4",
        "rampart_authentications_total{result=\"Unknown\"} 1",
        "rampart_tasks{stage=\"exercise\",state=\"queued\"} 1",
        "rampart_tasks{stage=\"exercise\",state=\"cancelled\"} 1",
        "rampart_emergency_stops 1",
        "rampart_sessions 1\n",
        "rampart_build_info{version=\"",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(!text.contains(&scan.to_string()) && !text.contains("/no/such/route"), "{text}");
    let waits =
        text.lines().find_map(|line| line.strip_prefix("rampart_tasks_waiting_seconds{stage=\"exercise\"} "));
    assert!(waits.unwrap().parse::<f64>().unwrap() > 0.0, "{text}");
    let audited = text.lines().find_map(|line| line.strip_prefix("rampart_audit_entries ")).unwrap();
    assert!(audited.parse::<u64>().unwrap() > 3, "{audited}");
    assert!(
        text.contains(&format!("rampart_audit_unsigned_entries {audited}\n")),
        "nothing is signed: {text}"
    );
    ground.ask(Method::GET, "/metrics", None, None).await.problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_ask_at_once_each_gets_their_own() {
    let ground = Ground::start().await;
    let operator = ground.key(Role::Operator).await;
    let other = ground.another_tenant().await;
    let intruder = ground.key_of(other, crate::ground::named("intruder")).await;
    let new = || NewTask::new(Work::Exercise { hold: Duration::ZERO });
    let tasks = ground.store.enqueue(ground.tenant, (0..600).map(|_| new()).collect()).await.unwrap();
    // More than one reading holds, some asked for twice, some that are not there, some by who has none of them.
    let asked = tasks.iter().enumerate().flat_map(|(number, task)| {
        let path = format!("/api/v1/tasks/{}", task.id);
        let nowhere = format!("/api/v1/tasks/00000000-0000-7000-8000-{number:012x}");
        let mut asked = vec![(path.clone(), &operator, Some(task.id))];
        match number % 3 {
            0 => asked.push((path, &operator, Some(task.id))),
            1 => asked.push((path, &intruder, None)),
            _ => asked.push((nowhere, &operator, None)),
        }
        asked
    });
    let asking = futures_util::stream::iter(asked.enumerate()).map(async |(number, (path, key, wanted))| {
        let answer = ground.get_from(&format!("192.0.2.{}", number % 4), &path, key).await;
        match wanted {
            Some(id) => assert_eq!(answer.body["id"], id.to_string(), "{answer:?}"),
            None => drop(answer.problem(404, "not-found").to_owned()),
        }
    });
    assert_eq!(asking.buffer_unordered(700).count().await, 1_200);
}

/// Requests whose bodies never come to an end.
async fn slow_bodies(ground: &Ground, count: usize) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(ground.address).await.unwrap();
        let head = "POST /api/v1/tasks/cancel HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\
                    content-type: application/json\r\n";
        let key = format!("authorization: Bearer {}\r\n\r\n{{", ground.key(Role::Operator).await.expose());
        stream.write_all(format!("{head}{key}").as_bytes()).await.unwrap();
        // It asks for the body: the request has its place.
        let mut told = [0; 25];
        stream.read_exact(&mut told).await.unwrap();
        assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
        held.push(stream);
    }
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_brings_bodies_slowly_takes_no_place_from_others() {
    let ground = Ground::start().await;
    let key = ground.key(Role::Viewer).await;
    let held = slow_bodies(&ground, 256).await;
    let refused = ground.get("/api/v1/me", &key).await;
    assert!(refused.problem(503, "overloaded").contains("this address"), "{refused:?}");
    for probe in ["/health", "/ready", "/startup"] {
        assert_eq!(ground.ask(Method::GET, probe, None, None).await.status, 200, "{probe}");
    }
    let other = ground.get_from("192.0.2.1", "/api/v1/me", &key).await;
    assert_eq!((other.status.as_u16(), other.header("strict-transport-security")), (200, "max-age=31536000"));
    drop(held);
    // Whoever goes away gives their place back, and it is written down that their body had no end.
    let gone =
        "rampart_http_requests_total{method=\"POST\",route=\"/api/v1/tasks/cancel\",status=\"400\"} 256";
    let until = Instant::now() + Duration::from_secs(20);
    while !metrics(&ground).await.contains(gone) {
        assert!(Instant::now() < until, "{}", metrics(&ground).await);
    }
    assert_eq!(ground.get("/api/v1/me", &key).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_some_networks_is_good_for_those_that_a_proxy_names() {
    let ground = Ground::start().await;
    let networks = vec!["192.0.2.0/24".parse().unwrap()];
    let key = ground.key_of(ground.tenant, NewKey { networks, ..crate::ground::named("office") }).await;
    assert_eq!(ground.get_from("192.0.2.7", "/api/v1/me", &key).await.status, 200);
    for from in ["198.51.100.1", "192.0.2.7, 198.51.100.1"] {
        ground.get_from(from, "/api/v1/me", &key).await.problem(401, "unauthenticated");
    }
    ground.get("/api/v1/me", &key).await.problem(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_or_changed_is_not_believed_any_more() {
    let ground = Ground::start().await;
    let (owner, operator) = (ground.key(Role::Owner).await, ground.key(Role::Operator).await);
    let task = ground.task().await;
    let path = format!("/api/v1/tasks/{task}");
    assert_eq!(ground.get(&path, &operator).await.body["life"]["state"], "queued");
    let chosen = serde_json::json!({ "tasks": [task] });
    assert_eq!(ground.post("/api/v1/tasks/cancel", &operator, chosen).await.status, 202);
    assert_eq!(ground.get(&path, &operator).await.body["life"]["state"], "cancelled");
    let other = ground.another_tenant().await;
    let intruder = ground.key_of(other, crate::ground::named("intruder")).await;
    ground.get(&path, &intruder).await.problem(404, "not-found");
    let key = format!("/api/v1/keys/{}", operator.prefix());
    assert_eq!(ground.ask(Method::DELETE, &key, Some(owner.expose()), None).await.status, 204);
    ground.get(&path, &operator).await.problem(401, "unauthenticated");
}
