//! Whoever goes away, by their connection: anywhere in a request, and anywhere before the answer.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use model::{ApiKey, Role};
use serde_json::json;
use store::AuditFilter;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::PATIENCE;
use crate::{ground::Ground, postgres::Postgres};

/// Who goes away.
const GUESTS: usize = 240;

fn name(number: usize) -> String {
    format!("guest-{number}")
}

/// Asks for a key, and resets the connection.
async fn go_away(ground: &Ground, owner: &ApiKey, number: usize) {
    let body = json!({ "name": name(number), "role": "viewer" }).to_string();
    let request = format!(
        "POST /api/v1/keys HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nIdempotency-Key: {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        ground.address,
        owner.expose(),
        name(number),
        body.len()
    );
    let mut stream = TcpStream::connect(ground.address).await.unwrap();
    stream.set_zero_linger().unwrap();
    match number % 4 {
        // Somewhere in the request.
        0 => {
            let part = request.len() * number / GUESTS;
            stream.write_all(&request.as_bytes()[..part]).await.unwrap();
        }
        // At once after it, or when others have had their turn.
        1 | 2 => {
            stream.write_all(request.as_bytes()).await.unwrap();
            for _ in 0..number {
                tokio::task::yield_now().await;
            }
        }
        // With the beginning of the answer.
        _ => {
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut beginning = [0; 8];
            timeout(PATIENCE, stream.read_exact(&mut beginning)).await.unwrap().unwrap();
        }
    }
}

async fn made(ground: &Ground, owner: &ApiKey) -> usize {
    assert_eq!(ground.get("/api/v1/keys", owner).await.status, 200);
    let keys = ground.store.keys(ground.tenant).await.unwrap();
    keys.iter().filter(|key| key.name.starts_with("guest-")).count()
}

async fn nothing_stays(ground: &Ground, at_rest: impl AsyncFn()) {
    let owner = ground.key(Role::Owner).await;
    let before = told(ground).await;
    futures_util::stream::iter(0..GUESTS)
        .for_each_concurrent(48, |number| go_away(ground, &owner, number))
        .await;
    let begun = Instant::now();
    assert_eq!(ground.get("/api/v1/scans", &owner).await.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    // What was begun comes to its end by itself.
    at_rest().await;
    let until = Instant::now() + PATIENCE;
    while made(ground, &owner).await + before != told(ground).await {
        assert!(Instant::now() < until, "what is made and what is told are not the same");
    }
    assert!(made(ground, &owner).await >= GUESTS / 4, "they had the beginning of an answer");
    for number in 0..GUESTS {
        let body = json!({ "name": name(number), "role": "viewer" });
        let answer = ground.post_once("/api/v1/keys", &owner, &name(number), &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    assert_eq!((made(ground, &owner).await, told(ground).await), (GUESTS, before + GUESTS));
    at_rest().await;
}

async fn told(ground: &Ground) -> usize {
    let filter = AuditFilter { action: Some("key.create".to_owned()), ..AuditFilter::default() };
    ground.store.audit(ground.tenant, filter, 10_000).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_away_takes_nothing_with_them_from_a_server() {
    let database = Postgres::new().await;
    let ground = Ground::above(database.store(3).await).await;
    nothing_stays(&ground, async || database.require_rest(3).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_away_takes_nothing_with_them_from_a_file() {
    nothing_stays(&Ground::start().await, async || {}).await;
}
