//! Connections: as many as there is room for, and an end in order.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::Router;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Gateway, Rules, Tls, Watched,
    conversation::{Conversation, Kept, converse},
    limits::{Machine, Parts},
    metrics, origin, refusals,
};

/// Connections at once: more wait to be accepted.
const CONNECTIONS: usize = 4_096;
/// And of one address, unless it is a proxy.
const OF_ONE: usize = 1_024;
/// Whatever the others have.
const AT_LEAST: usize = 4;
/// How long the audit has to be told the last.
const TELL: Duration = Duration::from_secs(5);

/// Answers until it is stopped, encrypted if there is a certificate; then takes nothing new, and what is being answered has this long to
/// end.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    gateway: Gateway,
    stop: CancellationToken,
    drain: Duration,
) {
    let answered = CancellationToken::new();
    let (tidy, told, followed) = (gateway.clone(), answered.clone(), tls.clone());
    let telling = tokio::spawn(async move {
        tokio::select! {
            () = refusals::tell_of_all(&tidy.store, &tidy.refusals, &told) => {}
            never = forget_the_quiet(&tidy) => match never {},
            never = follow(followed) => match never {},
            never = share(&tidy) => match never {},
        }
    });
    let rules = Arc::clone(&gateway.rules);
    let (closing, stopped, telling_after) = (gateway.closing.clone(), stop.clone(), gateway.telling.clone());
    let router = gateway.clone().router();
    tokio::spawn(async move {
        stopped.cancelled().await;
        closing.cancel();
    });
    accept(listener, Answering { tls, router, gateway: Some(gateway), rules }, stop, drain).await;
    telling_after.close();
    if tokio::time::timeout(TELL, telling_after.wait()).await.is_err() {
        tracing::error!("the audit was not told in time of the last who were refused");
    }
    answered.cancel();
    if tokio::time::timeout(TELL, telling).await.is_err() {
        tracing::error!("the audit was not told in time of everybody who was refused");
    }
}

/// Answers those who watch, until it is stopped.
pub async fn serve_metrics(listener: TcpListener, gateway: Gateway, stop: CancellationToken) {
    let rules = Arc::clone(&gateway.rules);
    let answering = Answering { tls: None, router: metrics::routes(gateway), gateway: None, rules };
    accept(listener, answering, stop, Duration::ZERO).await;
}

/// The same for a process that answers nobody else.
pub async fn serve_watched(listener: TcpListener, watched: Watched, stop: CancellationToken) {
    let rules = Arc::new(ArcSwap::from_pointee(Rules::default()));
    let answering = Answering { tls: None, router: watched.routes(), gateway: None, rules };
    accept(listener, answering, stop, Duration::ZERO).await;
}

async fn forget_the_quiet(gateway: &Gateway) -> Infallible {
    let mut every = tokio::time::interval(refusals::EVERY);
    loop {
        every.tick().await;
        gateway.limits.load().forget_the_quiet();
    }
}

async fn share(gateway: &Gateway) -> Infallible {
    let shares = Arc::clone(&gateway.limits.load().shares);
    shares.go_on().await
}

async fn follow(tls: Option<Arc<Tls>>) -> Infallible {
    match tls {
        Some(tls) => tls.follow().await,
        None => std::future::pending().await,
    }
}

/// What is answered on one address, and how.
struct Answering {
    tls: Option<Arc<Tls>>,
    router: Router,
    /// Who says whether there is room for what is asked; nobody where there always is.
    gateway: Option<Gateway>,
    rules: Arc<ArcSwap<Rules>>,
}

/// How many connections one address may have when so many places are left: no few of them take all, as each leaves half of what is left.
fn of_one(left: usize) -> usize {
    (left / 2).clamp(AT_LEAST, OF_ONE)
}

async fn accept(listener: TcpListener, answering: Answering, stop: CancellationToken, drain: Duration) {
    let (room, parts) = (Arc::new(Semaphore::new(CONNECTIONS)), Parts::new(OF_ONE));
    let (ending, conversations) = (CancellationToken::new(), TaskTracker::new());
    loop {
        let accepted = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        let (stream, from): (_, SocketAddr) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Such as too many open files: that passes, and asking at once again would only keep a core busy.
                tracing::warn!(%error, "a connection cannot be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let part = match origin::is_of(from.ip(), &answering.rules.load().proxies) {
            true => None,
            false => match parts.take_within(Machine::at(from.ip()), of_one(room.available_permits())) {
                Some(part) => Some(part),
                // It has enough of them to ask on.
                None => continue,
            },
        };
        let tls = answering.tls.as_ref().map(|tls| tls.acceptor());
        let (router, gateway) = (answering.router.clone(), answering.gateway.clone());
        let kept = Kept::new((place, part, conversations.token()));
        let conversation = Conversation { stream, from, tls, router, gateway, ending: ending.clone(), kept };
        tokio::spawn(converse(conversation));
    }
    drop(listener);
    ending.cancel();
    conversations.close();
    if tokio::time::timeout(drain, conversations.wait()).await.is_err() {
        tracing::warn!(?drain, "requests were still being answered when there was no more time");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_few_addresses_take_every_place() {
        let (parts, mut held, mut left) = (Parts::new(OF_ONE), Vec::new(), CONNECTIONS);
        for address in 0..12_u32 {
            let before = left;
            while let Some(part) = parts.take_within(address, of_one(left)) {
                held.push(part);
                left -= 1;
            }
            assert!(before - left >= AT_LEAST, "address {address} has {} of {before}", before - left);
            assert!(address > 0 || before - left == OF_ONE, "one alone has what is said");
        }
        assert!(left > AT_LEAST, "{left}");
        let nobody = Parts::new(0);
        assert!(nobody.take(1).is_none() && nobody.take(1).is_none());
    }
}
