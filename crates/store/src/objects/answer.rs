//! The body of an answer, in bounded time: a head that came in time says nothing about when its body ends.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use object_store::client::{HttpError, HttpErrorKind, HttpResponse, HttpResponseBody};
use tokio::time::{Sleep, sleep, timeout};

use super::PIECE;

/// How long somebody waits for what an error has to say for itself.
const EXPLANATION: Duration = Duration::from_secs(5);
/// As much of it as is read.
const EXPLAINED: usize = 4 << 10;

/// `object_store` reads bodies to their end, and has no time limit for it.
pub(super) async fn held_to_time(answer: HttpResponse) -> HttpResponse {
    let (head, body) = answer.into_parts();
    let mut body = InTime { body, waiting: None };
    if head.status.is_success() {
        return HttpResponse::from_parts(head, HttpResponseBody::new(body));
    }
    let mut said = Vec::new();
    let reading = async {
        while said.len() < EXPLAINED
            && let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
        {
            if let Ok(data) = frame.into_data() {
                let room = EXPLAINED - said.len();
                said.extend_from_slice(&data[..data.len().min(room)]);
            }
        }
    };
    // The status says what matters, whatever became of the words.
    let _ = timeout(EXPLANATION, reading).await;
    let said = String::from_utf8_lossy(&said).into_owned();
    HttpResponse::from_parts(head, said.into())
}

/// A body that ends when nothing of it comes for too long. Whoever does not ask for more waits for nothing.
struct InTime {
    body: HttpResponseBody,
    waiting: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug, thiserror::Error)]
#[error("nothing more of the answer came for {PIECE:?}")]
struct Silent;

impl Body for InTime {
    type Data = <HttpResponseBody as Body>::Data;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.waiting = None;
            return Poll::Ready(frame);
        }
        ready!(self.waiting.get_or_insert_with(|| Box::pin(sleep(PIECE))).as_mut().poll(cx));
        Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Timeout, Silent))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
