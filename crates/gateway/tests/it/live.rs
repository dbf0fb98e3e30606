//! Whoever follows what happens: as server-sent events and by a WebSocket, as they come and from where they were.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use axum::body::{Body, BodyDataStream};
use futures_util::{SinkExt, StreamExt};
use hyper::{Method, Request, client::conn::http1::handshake};
use hyper_util::rt::TokioIo;
use model::{ApiKey, Authority, Reach, Role, Severity};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use crate::ground::{Ground, named};

/// How long an event may take: much longer than any does.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came: its kind, its id where it has one, and what it says.
pub(crate) type Event = (String, Option<String>, Value);

/// Somebody who follows by server-sent events.
pub(crate) struct Follower {
    body: BodyDataStream,
    text: String,
    events: VecDeque<Event>,
}

impl Follower {
    pub(crate) async fn new(ground: &Ground, key: &ApiKey, last: Option<&str>) -> Follower {
        let stream = TcpStream::connect(ground.address).await.unwrap();
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::get("/api/v1/events")
            .header("host", ground.address.to_string())
            .header("authorization", format!("Bearer {}", key.expose()));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = sender.send_request(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        assert_eq!(response.headers()["cache-control"], "no-store");
        let body = Body::new(response.into_body()).into_data_stream();
        let mut follower = Follower { body, text: String::new(), events: VecDeque::new() };
        let (word, id, _) = follower.next().await.unwrap();
        if word == "missed" {
            follower.events.push_front((word, id, Value::Null));
            return follower;
        }
        assert_eq!(word, "begin");
        assert!(id.is_some());
        follower
    }

    /// It was told that it begins, and not that anything was missed.
    fn require_begun(&self) {
        assert!(self.events.iter().all(|(word, ..)| word != "missed"), "{:?}", self.events);
    }

    /// The next event, whatever it is; nothing at the end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            // Signs of life are no events.
            let wait = until.saturating_duration_since(Instant::now());
            let more = timeout(wait, self.body.next()).await.expect("nothing comes any more")?;
            self.text.push_str(std::str::from_utf8(&more.unwrap()).unwrap());
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                self.events.extend(event(block));
                self.text = rest.to_owned();
            }
        }
    }

    /// The next that happened, and not how things stand.
    pub(crate) async fn happened(&mut self) -> Event {
        let until = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < until, "nothing happens any more");
            let event = self.next().await.expect("it ended");
            if !["scan_progress", "workers"].contains(&&event.0[..]) {
                return event;
            }
        }
    }

    async fn words(&mut self, count: usize) -> Vec<String> {
        let mut words = Vec::new();
        for _ in 0..count {
            words.push(self.happened().await.0);
        }
        words
    }
}

/// One block of lines; a sign of life is none.
fn event(block: &str) -> Option<Event> {
    let field = |name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim_start().to_owned())
    };
    let (word, data) = (field("event:")?, field("data:").unwrap());
    let data: Value = serde_json::from_str(&data).unwrap();
    assert_eq!(data["event"], word, "{data}");
    Some((word, field("id:"), data))
}

async fn stop(ground: &Ground, reach: Reach) {
    let why = || "a test".to_owned();
    ground.store.order_stop(Authority::Installation, reach, why(), "test").await.unwrap();
    ground.store.lift_stops(Authority::Installation, Some(reach), why(), "test", None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_as_it_happens_and_to_whoever_comes_back() {
    let ground = Ground::start().await;
    let (viewer, other) = (ground.key(Role::Viewer).await, ground.another_tenant().await);
    let intruder = ground.key_of(other, named("intruder")).await;
    let mut follower = Follower::new(&ground, &viewer, None).await;
    let mut foreign = Follower::new(&ground, &intruder, None).await;
    let (scan, finding) = ground.found(Severity::High, "www.acme.test").await;
    let (_, first, begun) = follower.happened().await;
    assert_eq!(begun, json!({ "event": "scan_begun", "scan": scan }));
    let (_, second, new) = follower.happened().await;
    assert_eq!(
        (&new["event"], &new["finding"]),
        (&"finding_new".into(), &finding.to_string().into()),
        "{new}"
    );
    assert_eq!((&new["severity"], &new["location"]), (&"high".into(), &"www.acme.test".into()));
    assert_eq!(follower.words(1).await, ["scan_ended"]);
    stop(&ground, Reach::Tenant { tenant: ground.tenant }).await;
    assert_eq!(follower.words(2).await, ["stop_ordered", "stop_lifted"]);
    stop(&ground, Reach::Everything).await;
    assert_eq!(follower.words(2).await, ["stop_ordered", "stop_lifted"]);
    // The other tenant hears of what concerns all, and of nothing else.
    let (_, _, ordered) = foreign.happened().await;
    assert_eq!(
        (&ordered["event"], &ordered["stop"]["reach"]),
        (&"stop_ordered".into(), &"everything".into())
    );

    // From each place on, just what came after it; also by somebody who comes while nobody follows any more.
    drop(follower);
    let rest = ["scan_ended", "stop_ordered", "stop_lifted", "stop_ordered", "stop_lifted"];
    let mut again = Follower::new(&ground, &viewer, second.as_deref()).await;
    assert_eq!(again.words(5).await, rest);
    let mut earlier = Follower::new(&ground, &viewer, first.as_deref()).await;
    assert_eq!(earlier.happened().await.2, new);
    assert_eq!(earlier.words(5).await, rest);
    ground.scan().await;
    assert_eq!(again.words(1).await, ["scan_begun"]);
    assert_eq!(earlier.words(1).await, ["scan_begun"]);

    let now = jiff::Timestamp::now().as_microsecond();
    for place in ["1-1000000".to_owned(), format!("1000-{now}")] {
        let lost = Follower::new(&ground, &viewer, Some(&place)).await.next().await.unwrap();
        assert_eq!(lost.0, "missed", "{place}: it cannot be told what happened since");
    }
    // Where nothing happened since nothing is missed, however long ago it was.
    let last = ground.store.latest_happening(ground.tenant).await.unwrap().position;
    Follower::new(&ground, &viewer, Some(&format!("{last}-1000000"))).await.require_begun();
    let path = "/api/v1/events?after=yesterday";
    ground.get(path, &viewer).await.problem(400, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_scans_are_is_told_when_it_changes() {
    let ground = Ground::start().await;
    let viewer = ground.key(Role::Viewer).await;
    let mut follower = Follower::new(&ground, &viewer, None).await;
    let scan = ground.scan().await;
    let (mut seen, mut workers) = (false, false);
    while !(seen && workers) {
        let (word, id, told) = follower.next().await.unwrap();
        match &word[..] {
            "scan_progress" if told["scan"] == scan.to_string() && told["open_tasks"] == 1 => {
                seen = id.is_none()
            }
            "workers" => workers = told == json!({ "event": "workers", "stages": [], "led": false }),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_come_any_more_is_not_told_any_more() {
    let ground = Ground::start().await;
    let (owner, viewer) = (ground.key(Role::Owner).await, ground.key(Role::Viewer).await);
    let mut follower = Follower::new(&ground, &viewer, None).await;
    let path = format!("/api/v1/keys/{}", viewer.prefix());
    assert_eq!(ground.ask(Method::DELETE, &path, Some(owner.expose()), None).await.status, 204);
    assert_eq!(follower.happened().await.0, "end");
    assert!(follower.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_does_not_hold_up_the_end() {
    let ground = Ground::start().await;
    let viewer = ground.key(Role::Viewer).await;
    let mut follower = Follower::new(&ground, &viewer, None).await;
    let (mut socket, _) = socket(&ground, &viewer, "").await;
    // Who is told that it will end goes on, and whoever comes still follows.
    ground.ending.cancel();
    ground.scan().await;
    assert_eq!(follower.words(1).await, ["scan_begun"]);
    Follower::new(&ground, &viewer, None).await;
    ground.closed.cancel();
    let begun = Instant::now();
    while follower.next().await.is_some() {}
    loop {
        match timeout(PATIENCE, socket.next()).await.unwrap() {
            Some(Ok(Message::Close(Some(farewell)))) => {
                assert_eq!(u16::from(farewell.code), 1001);
                break;
            }
            Some(Ok(_)) => {}
            end => panic!("{end:?}"),
        }
    }
    drop(socket);
    ground.answering.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "nothing was waited for");
}

async fn socket(
    ground: &Ground,
    key: &ApiKey,
    query: &str,
) -> (WebSocketStream<TcpStream>, hyper::StatusCode) {
    let stream = TcpStream::connect(ground.address).await.unwrap();
    let request = Request::get(format!("ws://{}/api/v1/events/socket{query}", ground.address))
        .header("host", ground.address.to_string())
        .header("authorization", format!("Bearer {}", key.expose()))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==")
        .body(())
        .unwrap();
    let (socket, response) = client_async(request, stream).await.unwrap();
    (socket, response.status())
}

async fn message(socket: &mut WebSocketStream<TcpStream>) -> Value {
    loop {
        if let Message::Text(text) = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap() {
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["event"] != "scan_progress" && message["event"] != "workers" {
                return message;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_tells_the_same() {
    let ground = Ground::start().await;
    let viewer = ground.key(Role::Viewer).await;
    let (mut first, status) = socket(&ground, &viewer, "").await;
    assert_eq!(status, 101);
    assert_eq!(message(&mut first).await["event"], "begin");
    // What is said to it changes nothing.
    first.send(Message::text("{\"event\":\"stop_ordered\"}")).await.unwrap();
    let scan = ground.scan().await;
    let begun = message(&mut first).await;
    let id = begun["id"].as_str().unwrap().to_owned();
    assert_eq!(begun, json!({ "event": "scan_begun", "scan": scan, "id": id }));
    stop(&ground, Reach::Tenant { tenant: ground.tenant }).await;
    assert_eq!(message(&mut first).await["event"], "stop_ordered");
    let (mut second, _) = socket(&ground, &viewer, &format!("?after={id}")).await;
    assert_eq!(message(&mut second).await["event"], "begin");
    assert_eq!(message(&mut second).await["event"], "stop_ordered");
    // Without an upgrade it is no socket.
    ground.get("/api/v1/events/socket", &viewer).await.problem(400, "malformed");
}
