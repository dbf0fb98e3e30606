//! One connection, for all that is asked on it: every part of a conversation has its time.

use std::{
    any::Any,
    error::Error,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{
    Request,
    body::{Bytes, Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{Gateway, origin::Encrypted, request::refused_at_once};

/// How long the head of a request may take: who sends a byte a second is not waited for.
const HEAD: Duration = Duration::from_secs(10);
/// How large the head of a request may be.
const MOST_HEAD: usize = 32 << 10;
/// Requests at once on one connection.
const STREAMS: u32 = 128;
/// How often somebody who says nothing is asked whether they are there, and how long they have to say so.
const ASKED_EVERY: Duration = Duration::from_secs(20);
/// So much of an answer is asked for at once. The next piece is when there is room for it, so whoever reads a few of them within the time
/// for that is seen to read.
const PIECE: usize = 16 << 10;
/// Within that much time something is asked, or some of an answer goes out: longer than an answer may take to be found.
const PROGRESS: Duration = Duration::from_secs(60);

/// Somebody who connected.
pub(crate) struct Conversation {
    pub(crate) stream: TcpStream,
    pub(crate) from: SocketAddr,
    /// With what it is encrypted, if it is.
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) router: Router,
    /// Who says whether there is room for what is asked; nobody where there always is.
    pub(crate) gateway: Option<Gateway>,
    /// What is being answered is answered, and nothing after it.
    pub(crate) ending: CancellationToken,
    pub(crate) kept: Kept,
}

/// What a connection takes of what there is, for as long as anything of it goes on: also when it becomes a socket of another kind.
#[derive(Clone)]
pub(crate) struct Kept {
    _until_dropped: Arc<dyn Any + Send + Sync>,
}

impl Kept {
    pub(crate) fn new(what: impl Any + Send + Sync) -> Kept {
        Kept { _until_dropped: Arc::new(what) }
    }
}

/// How often something was asked, or some of an answer given.
type Progress = Arc<AtomicU64>;

/// Answers until nobody asks any more.
pub(crate) async fn converse(conversation: Conversation) {
    let Conversation { stream, from, tls, router, gateway, ending, kept } = conversation;
    let progress = Progress::default();
    let answering = async {
        match tls {
            None => {
                let asked = Asked { from, router, gateway, encrypted: None, kept };
                hold(stream, asked, &progress, &ending).await
            }
            Some(acceptor) => {
                let stream = acceptor.accept(stream).await?;
                let asked = Asked { from, router, gateway, encrypted: Some(Encrypted), kept };
                hold(stream, asked, &progress, &ending).await
            }
        }
    };
    tokio::select! {
        ended = answering => if let Err(error) = ended {
            tracing::debug!(%error, %from, "a conversation broke off");
        },
        () = unheard(&progress) => tracing::debug!(%from, "somebody connected and asked for nothing"),
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
async fn unheard(progress: &AtomicU64) {
    tokio::time::sleep(HEAD).await;
    if progress.load(Ordering::Relaxed) > 0 {
        std::future::pending::<()>().await;
    }
}

/// Ends when for a while nothing was asked for and nothing of an answer could be sent: who keeps a connection of HTTP/2 and asks for
/// nothing, or asks and reads nothing of the answer, answers the questions of the protocol all the same.
async fn quiet(progress: &AtomicU64) {
    let mut seen = progress.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep(PROGRESS).await;
        let now = progress.load(Ordering::Relaxed);
        if now == seen {
            return;
        }
        seen = now;
    }
}

/// What is known of every request of a connection, and who answers it.
struct Asked {
    from: SocketAddr,
    router: Router,
    gateway: Option<Gateway>,
    encrypted: Option<Encrypted>,
    kept: Kept,
}

/// An answer in pieces, each of which is counted when it is asked for: it goes out as whoever reads has read what was before.
struct Pieces {
    body: Body,
    rest: Bytes,
    sent: Progress,
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (after, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(after.lower() + rest);
        if let Some(upper) = after.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// Answers what is asked, to the end of the connection; then, or when nobody asks or reads any more, ends it in order.
async fn hold(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    asked_here: Asked,
    progress: &Progress,
    ending: &CancellationToken,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let Asked { from, router, gateway, encrypted, kept } = asked_here;
    let (builder, asked) = (builder(), Arc::clone(progress));
    let service = service_fn(move |request: Request<Incoming>| {
        asked.fetch_add(1, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(from));
        request.extensions_mut().insert(kept.clone());
        if let Some(encrypted) = encrypted {
            request.extensions_mut().insert(encrypted);
        }
        let refused = gateway.as_ref().and_then(|gateway| refused_at_once(gateway, &request));
        let (answering, sent) = (refused.ok_or_else(|| router.clone().oneshot(request)), Arc::clone(&asked));
        async move {
            let response = match answering {
                Ok(refused) => refused,
                Err(answering) => answering.await?,
            };
            let counted = response.map(|body| Pieces { body, rest: Bytes::new(), sent });
            Ok::<_, std::convert::Infallible>(counted)
        }
    });
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = ending.cancelled() => connection.as_mut().graceful_shutdown(),
        () = quiet(progress) => {
            connection.as_mut().graceful_shutdown();
            // What does not go on for so long does not come to its end either.
            return match tokio::time::timeout(HEAD, connection.as_mut()).await {
                Ok(ended) => ended,
                Err(_) => Err("nothing was asked for and nothing was read".into()),
            };
        }
    }
    connection.await
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test]
    async fn a_long_answer_goes_out_in_pieces_that_are_counted() {
        let long: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
        let sent = Progress::default();
        let mut pieces =
            Pieces { body: Body::from(long.clone()), rest: Bytes::new(), sent: Arc::clone(&sent) };
        let mut whole = Vec::new();
        while let Some(frame) = pieces.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            assert!(!data.is_empty() && data.len() <= PIECE, "{}", data.len());
            whole.extend_from_slice(&data);
            let left = (long.len() - whole.len()) as u64;
            assert_eq!(hyper::body::Body::size_hint(&pieces).exact(), Some(left));
        }
        assert_eq!((whole == long, sent.load(Ordering::Relaxed)), (true, 7));
        assert!(hyper::body::Body::is_end_stream(&pieces));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_or_reads_now_and_then_is_not_sent_away() {
        let (progress, begun) = (AtomicU64::new(1), Instant::now());
        let moving = async {
            for _ in 0..10 {
                sleep(PROGRESS - Duration::from_secs(1)).await;
                progress.fetch_add(1, Ordering::Relaxed);
            }
            begun.elapsed()
        };
        let (ended, moved) = tokio::join!(
            async {
                quiet(&progress).await;
                begun.elapsed()
            },
            moving
        );
        assert!(ended >= moved + PROGRESS / 2 && ended <= moved + 2 * PROGRESS, "{moved:?} {ended:?}");
    }
}
