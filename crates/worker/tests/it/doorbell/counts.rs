//! What several processes count together.

use std::time::Duration;

use model::limits::SharedCount;
use redis::AsyncCommands;
use testkit::redis::Server;
use worker::doorbell::{Settings, counts};

use crate::patience::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_counted_ends() {
    let server = Server::start();
    let counts = counts(&server.url(), &Settings::default()).unwrap().unwrap();
    let window = Duration::from_secs(600);
    let add = async || {
        let count = SharedCount { name: "login:192.0.2.1".to_owned(), add: 1, window };
        // Whoever is not answered soon does not wait: they ask again.
        eventually("it is counted", async || {
            Some(Box::pin(counts.add(std::slice::from_ref(&count))).await.ok()?[0])
        })
        .await
    };
    assert!(add().await.0 > 0);
    let mut line =
        redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = line.keys("*").await.unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let ends = async |line: &mut redis::aio::MultiplexedConnection| {
        let left: i64 = line.pttl(&keys[0]).await.unwrap();
        left
    };
    assert!(ends(&mut line).await > 0);
    // As when it was over between two commands, the second of which made it anew.
    let _: i64 = line.persist(&keys[0]).await.unwrap();
    assert_eq!(ends(&mut line).await, -1);
    assert!(add().await.0 > 1);
    let left = ends(&mut line).await;
    assert!(left > 0 && left <= 600_000, "nobody waits for it for ever: {left}");
    let (count, left) = add().await;
    assert!(count > 2 && left > Duration::ZERO && left <= window, "{left:?}");
}
