//! How a doorbell is named, and what is said when it cannot be reached.

use model::Stage;
use testkit::{rabbitmq, redis, tls};
use worker::doorbell::{Bell, Settings, connect};

use super::{heard, in_trouble, ring};

const CHECK: Bell = Bell::Stage(Stage::Check);

fn refused(address: &str) -> String {
    connect(address, &Settings::default()).unwrap_err().to_string()
}

#[test]
fn wrong_addresses_are_refused_without_their_secrets() {
    for (address, said) in [
        ("", "doorbell address `…`: use none, redis, rediss, redis+sentinel, rediss+sentinel, amqp or amqps"),
        ("kafka://me:secret@a", "doorbell address `kafka://a`: use none, redis, rediss"),
        ("redis://", "doorbell address `redis://…`: "),
        ("redis://me:secret@a:1/one", "doorbell address `redis://a:1/one`: "),
        ("redis://a?secret=1", "doorbell address `redis://a`: options are not known here"),
        ("rediss://a#insecure", "doorbell address `rediss://a`: options are not known here"),
        ("redis+sentinel://me:secret@a:1,b:2", "`redis+sentinel://a:1,b:2`: the name of the primary"),
        ("redis+sentinel://a:1/b/c", "the name of the primary stands after the hosts"),
        ("redis+sentinel://a:1/b?secret=c", "options are database, sentinel_name and sentinel_password"),
        ("redis+sentinel://a:1/b?database=c", "doorbell address `redis+sentinel://a:1/b`: "),
        ("amqp://me:secret@a:b", "doorbell address `amqp://…`: "),
        ("amqp://a?heartbeat=0", "doorbell address `amqp://a`: options are not known here"),
    ] {
        let error = refused(address);
        assert!(error.contains(said), "{address}: {error}");
        assert!(!error.contains("secret"), "{address}: {error}");
    }
    let settings = Settings { authorities: Some("-----BEGIN NONSENSE".to_owned()), ..Settings::default() };
    for address in ["rediss://a", "rediss+sentinel://a/b"] {
        connect(address, &settings).unwrap_err();
    }
    for address in [
        "none",
        "redis://a",
        "rediss+sentinel://m:s@a:1,b:2/c?database=3&sentinel_password=d",
        "amqps://a/%2f",
    ] {
        let doorbell = connect(address, &Settings::default()).unwrap();
        assert!(!format!("{doorbell:?}").contains("m:s"), "{doorbell:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_with_a_password() {
    let server = redis::Server::start_with(&redis::Options { password: Some("s%40e"), ..Default::default() });
    // The server's password is what stands in the address as `%25`.
    let right = server.url().replace("s%40e", "s%2540e");
    let doorbell = connect(&right, &Settings::default()).unwrap();
    let mut listener = doorbell.listen(&[CHECK]).await;
    ring(&doorbell, CHECK, 1).await;
    assert_eq!(heard(&mut listener).await, CHECK);
    let doorbell = connect(&right.replace("s%2540e", "another"), &Settings::default()).unwrap();
    let error = doorbell.ring(CHECK, 1).await.unwrap_err().to_string();
    let listener = doorbell.listen(&[CHECK, Bell::Stop]).await;
    let trouble = in_trouble(&*listener).await;
    for said in [error, trouble] {
        assert!(said.to_lowercase().contains("auth") && !said.contains("another"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_with_a_certificate_that_nobody_vouches_for() {
    let certified = tls::certify(&tls::Wanted::default());
    let server = redis::Server::start_with(&redis::Options { tls: Some(&certified), ..Default::default() });
    let another = tls::certify(&tls::Wanted::default()).authority_pem().to_owned();
    for authorities in [None, Some(another)] {
        let settings = Settings { authorities, ..Settings::default() };
        let error = connect(&server.url(), &settings).unwrap().ring(CHECK, 1).await.unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_inside_tls_and_with_a_wrong_password() {
    let certified = tls::certify(&tls::Wanted::default());
    let server = tokio::task::block_in_place(|| rabbitmq::Server::start_tls(&certified));
    let patient = Settings { ring_within: super::DEADLINE, ..Settings::default() };
    let trusting = Settings { authorities: Some(certified.authority_pem().to_owned()), ..patient.clone() };
    let doorbell = connect(&server.tls_url(), &trusting).unwrap();
    let mut listener = doorbell.listen(&[CHECK, Bell::Stop]).await;
    ring(&doorbell, CHECK, 1).await;
    assert_eq!(heard(&mut listener).await, CHECK);

    let error = connect(&server.tls_url(), &patient).unwrap().ring(CHECK, 1).await.unwrap_err().to_string();
    assert!(error.contains("certificate") || error.contains("UnknownIssuer"), "{error}");

    let wrong = connect(&server.url().replace("guest:guest", "guest:another"), &patient).unwrap();
    let error = wrong.ring(CHECK, 1).await.unwrap_err().to_string();
    let listener = wrong.listen(&[CHECK]).await;
    for said in [error, in_trouble(&*listener).await] {
        assert!(said.contains("ACCESS") && !said.contains("another"), "{said}");
    }
}
