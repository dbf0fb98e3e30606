//! How long it takes from a ring until the one who waits is awake, for each kind of doorbell, with servers from Debian's packages.
//!
//! `cargo run -p worker --example doorbell_latency`
#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::time::{Duration, Instant};

use model::Stage;
use testkit::{rabbitmq, redis, tls};
use worker::doorbell::{Bell, DoorbellError, Settings, connect};

const RINGS: usize = 1_000;
const BELL: Bell = Bell::Stage(Stage::Check);

async fn measure(name: &str, address: &str, settings: &Settings) -> Result<(), DoorbellError> {
    let doorbell = connect(address, settings)?;
    let mut listener = doorbell.listen(&[BELL]).await;
    doorbell.ring(BELL, 1).await?;
    listener.rung().await;
    let (mut taken, mut woken) = (Vec::new(), Vec::new());
    for _ in 0..RINGS {
        let begun = Instant::now();
        let ringing = async {
            let rung = doorbell.ring(BELL, 1).await;
            (rung, begun.elapsed())
        };
        let waiting = async {
            listener.rung().await;
            begun.elapsed()
        };
        // Who waits is polled first, and so waits before it is rung.
        let (awake, (rung, done)) = tokio::join!(waiting, ringing);
        rung?;
        woken.push(awake);
        taken.push(done);
    }
    let percentile = |times: &mut Vec<Duration>, percent: usize| {
        times.sort_unstable();
        times[times.len() * percent / 100]
    };
    println!(
        "{name:<10} awake p50 {:>9.1?} p99 {:>9.1?}   ring taken p50 {:>9.1?} p99 {:>9.1?}",
        percentile(&mut woken, 50),
        percentile(&mut woken, 99),
        percentile(&mut taken, 50),
        percentile(&mut taken, 99),
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), DoorbellError> {
    let certified = tls::certify(&tls::Wanted::default());
    let settings =
        Settings { authorities: Some(certified.authority_pem().to_owned()), ..Settings::default() };
    measure("in process", "none", &settings).await?;
    let server = redis::Server::start();
    measure("redis", &server.url(), &settings).await?;
    let options = redis::Options { tls: Some(&certified), ..redis::Options::default() };
    measure("redis, tls", &redis::Server::start_with(&options).url(), &settings).await?;
    measure("sentinel", &redis::Sentinel::start().url(), &settings).await?;
    measure("rabbitmq", &rabbitmq::Server::start().url(), &settings).await
}
