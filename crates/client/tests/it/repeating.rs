//! What is asked again, how often, and what is not.

use client::ClientError;
use model::{KeyPrefix, ScanId, ScanRequest, Target, Topic, comment::NewComment};
use testkit::{http::read_request, tcp::TcpServer};
use tokio::io::AsyncWriteExt;

use crate::{answering, client_of, problem, tenant};

fn too_many(after: &str) -> Vec<u8> {
    problem("429 Too Many Requests", &[&format!("Retry-After: {after}")], "too-many")
}

fn away() -> Vec<u8> {
    problem("503 Service Unavailable", &["Retry-After: 0"], "unavailable")
}

fn targets() -> Vec<Target> {
    vec!["127.0.0.1".parse().unwrap()]
}

#[tokio::test]
async fn who_comes_too_fast_comes_again_when_the_server_says_a_few_times() {
    let (server, client) = answering(vec![too_many("0"), away(), too_many("0"), tenant()]).await;
    client.tenant().await.unwrap();
    let ids: Vec<String> = server.seen().iter().map(|seen| header(&seen.text(), "x-request-id")).collect();
    assert!(ids.len() == 4 && ids.iter().all(|id| *id == ids[0]), "one question, one id: {ids:?}");

    let (server, client) = answering(vec![too_many("0")]).await;
    let refused = client.tenant().await.unwrap_err();
    assert!(refused.is_passing() && matches!(refused, ClientError::Refused(_)), "{refused:?}");
    assert_eq!(server.seen().len(), 4);

    let (server, client) = answering(vec![too_many("3600")]).await;
    client.tenant().await.unwrap_err();
    assert_eq!(server.seen().len(), 1, "nobody waits for an hour");
}

#[tokio::test]
async fn what_may_have_happened_is_asked_again_only_when_it_happens_once() {
    let prefix: KeyPrefix = "0a1b2c3d".parse().unwrap();
    let (server, client) = answering(vec![away()]).await;
    client.rotate_key(&prefix, None).await.unwrap_err();
    client.revoke_key(&prefix).await.unwrap_err();
    assert_eq!(server.seen().len(), 2);
    // What was not looked at did not happen.
    let (server, client) = answering(vec![too_many("0")]).await;
    client.revoke_key(&prefix).await.unwrap_err();
    assert_eq!(server.seen().len(), 4);

    let (server, client) = answering(vec![away()]).await;
    let request = ScanRequest::within("loopback");
    client.submit_scan(&targets(), &request, None).await.unwrap_err();
    client.submit_scan(&targets(), &request, Some("deploy-7")).await.unwrap_err();
    let keys: Vec<String> =
        server.seen().iter().map(|seen| header(&seen.text(), "idempotency-key")).collect();
    assert!(keys[..4].iter().all(|key| key.len() == 36 && *key == keys[0]), "{keys:?}");
    assert_eq!(keys[4..], ["deploy-7"; 4].map(str::to_owned));
    client.order_stop(client::StopReach::Own, "a leak").await.unwrap_err();
    let orders: Vec<String> =
        server.seen()[8..].iter().map(|seen| header(&seen.text(), "idempotency-key")).collect();
    assert!(orders.len() == 4 && orders.iter().all(|key| key.len() == 36 && *key == orders[0]), "{orders:?}");
    let new = NewComment { text: "seen".parse().unwrap(), answers: None };
    client.add_comment(Topic::Scan(ScanId::from_random(7)), &new).await.unwrap_err();
    let said: Vec<String> =
        server.seen()[12..].iter().map(|seen| header(&seen.text(), "idempotency-key")).collect();
    assert!(said.len() == 4 && said.iter().all(|key| key.len() == 36 && *key == said[0]), "{said:?}");
    let unsendable = client.submit_scan(&targets(), &request, Some("déploy\n")).await.unwrap_err();
    assert!(matches!(unsendable, ClientError::Unsendable { .. }), "{unsendable:?}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_anew_for_what_happens_once() {
    let server = TcpServer::start(|mut stream, connection| async move {
        let request = read_request(&mut stream).await?;
        if connection > 0 && request.is_some() {
            stream.write_all(&tenant()).await?;
        }
        Ok(())
    })
    .await;
    let client = client_of(server.address());
    assert_eq!(client.tenant().await.unwrap().name, "acme");
    assert_eq!(server.connections(), 2);

    let server =
        TcpServer::start(|mut stream, _| async move { read_request(&mut stream).await.map(drop) }).await;
    let client = client_of(server.address());
    let broken = client.revoke_key(&"0a1b2c3d".parse().unwrap()).await.unwrap_err();
    assert!(matches!(broken, ClientError::Unreachable { passing: true, .. }), "{broken:?}");
    assert_eq!(server.connections(), 1);
}

fn header(head: &str, name: &str) -> String {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
    line.map_or_else(String::new, |line| line[name.len() + 2..].to_owned())
}
