//! Connections: as many as there is room for, each with a time for every part of a conversation, and an end in order.

use std::{
    convert::Infallible,
    error::Error,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulConnection, GracefulShutdown},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{Gateway, Tls, metrics, request::Encrypted, strangers};

/// Connections at once: more wait to be accepted.
const CONNECTIONS: usize = 4_096;
/// How long the head of a request may take: who sends a byte a second is not waited for.
const HEAD: Duration = Duration::from_secs(10);
/// How large the head of a request may be.
const MOST_HEAD: usize = 32 << 10;
/// Requests at once on one connection.
const STREAMS: u32 = 128;
/// How often somebody who says nothing is asked whether they are there, and how long they have to say so.
const ASKED_EVERY: Duration = Duration::from_secs(20);

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
            () = strangers::tell_of_all(&tidy.store, &tidy.strangers, &told) => {}
            never = forget_the_quiet(&tidy) => match never {},
            never = follow(followed) => match never {},
        }
    });
    let router = gateway.router();
    converse(listener, tls, router, stop, drain).await;
    answered.cancel();
    if tokio::time::timeout(TELL, telling).await.is_err() {
        tracing::error!("the audit was not told in time of everybody who was refused");
    }
}

/// Answers those who watch, until it is stopped.
pub async fn serve_metrics(listener: TcpListener, gateway: Gateway, stop: CancellationToken) {
    converse(listener, None, metrics::routes(gateway), stop, Duration::ZERO).await;
}

async fn forget_the_quiet(gateway: &Gateway) -> Infallible {
    let mut every = tokio::time::interval(strangers::EVERY);
    loop {
        every.tick().await;
        gateway.limits.forget_the_quiet();
    }
}

async fn follow(tls: Option<Arc<Tls>>) -> Infallible {
    match tls {
        Some(tls) => tls.follow().await,
        None => std::future::pending().await,
    }
}

async fn converse(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: Router,
    stop: CancellationToken,
    drain: Duration,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let builder = builder();
    loop {
        let accepted = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Such as too many open files: that passes, and asking at once again would only keep a core busy.
                tracing::warn!(%error, "a connection cannot be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let heard = Arc::new(AtomicBool::new(false));
        let watcher = graceful.watcher();
        let (builder, router, acceptor) =
            (builder.clone(), router.clone(), tls.as_ref().map(|tls| tls.acceptor()));
        tokio::spawn(async move {
            let conversation = async {
                match acceptor {
                    None => watcher.watch(hold(&builder, stream, from, router, &heard, None)).await,
                    Some(acceptor) => {
                        let stream = acceptor.accept(stream).await?;
                        watcher.watch(hold(&builder, stream, from, router, &heard, Some(Encrypted))).await
                    }
                }
            };
            tokio::select! {
                ended = conversation => if let Err(error) = ended {
                    tracing::debug!(%error, %from, "a conversation broke off");
                },
                () = unheard(&heard) => tracing::debug!(%from, "somebody connected and asked for nothing"),
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(?drain, "requests were still being answered when there was no more time");
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(MOST_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MOST_HEAD as u32)
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(ASKED_EVERY)
        .keep_alive_timeout(ASKED_EVERY);
    builder
}

/// Ends when nothing was asked for in the time that a head may take. The builder's own limit begins with what only HTTP/1 says: who is
/// silent, or begins as HTTP/2 does and goes no further, would stay for ever.
async fn unheard(heard: &AtomicBool) {
    tokio::time::sleep(HEAD).await;
    if heard.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

/// One connection, for all that is asked on it.
fn hold(
    builder: &Builder<TokioExecutor>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    from: SocketAddr,
    router: Router,
    heard: &Arc<AtomicBool>,
    encrypted: Option<Encrypted>,
) -> impl GracefulConnection<Error = Box<dyn Error + Send + Sync>> + Send + 'static {
    let heard = Arc::clone(heard);
    let service = service_fn(move |request: Request<Incoming>| {
        heard.store(true, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(from));
        if let Some(encrypted) = encrypted {
            request.extensions_mut().insert(encrypted);
        }
        let router = router.clone();
        async move { router.oneshot(request).await }
    });
    builder.serve_connection(TokioIo::new(stream), service).into_owned()
}
