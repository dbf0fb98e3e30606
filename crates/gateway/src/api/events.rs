//! What happens, as it happens: as server-sent events, and by a WebSocket.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{
        Extension, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code},
    },
    http::{HeaderMap, HeaderValue, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use model::Place;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc,
    time::{Instant, interval_at, timeout},
};
use utoipa::{IntoParams, ToSchema};

use super::body::InQuery;
use crate::{
    Gateway,
    caller::Caller,
    conversation::Kept,
    live::{self, LiveEvent, Told},
    problem::{Anywhere, HasQuery, Kind, Problem},
};

/// How often somebody to whom nothing happens is told that nothing does.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// After so many that were not answered they are gone.
const MOST_UNANSWERED: u32 = 3;
/// How long whoever comes back is asked to wait.
const COME_BACK: Duration = Duration::from_secs(2);
/// How long a message may be on its way to somebody who reads slowly.
const SEND: Duration = Duration::from_secs(30);
/// The largest message that is taken: nothing that is said is of interest.
const MOST_SAID: usize = 4 << 10;

/// From where on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct From {
    /// The id of the last event that was seen. `Last-Event-ID` goes before it.
    #[serde(default)]
    after: Option<String>,
}

impl From {
    fn place(&self, headers: &HeaderMap) -> Result<Option<Place>, Problem> {
        let last = headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default());
        // A browser that has seen none may say so with nothing.
        let id = last.or(self.after.as_deref()).filter(|id| !id.is_empty());
        id.map(str::parse)
            .transpose()
            .map_err(|error: model::happening::PlaceError| Problem::new(Kind::Malformed, error.to_string()))
    }
}

/// A message by the WebSocket.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LiveMessage<'t> {
    /// Goes into `after` of whoever comes back; not every event has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(flatten)]
    event: &'t LiveEvent,
}

/// Follows what happens, as server-sent events: scans, findings, tasks, workers, emergency stops. Each has its kind as `event` and in its
/// `data`, and an `id` from which on whoever comes back goes on. Whoever comes back after an hour, or reads so slowly, is told `missed`.
#[utoipa::path(
    get,
    path = "/events",
    tag = "events",
    operation_id = "follow_events",
    params(
        From,
        ("Last-Event-ID" = Option<String>, Header, description = "the id of the last event that was seen"),
    ),
    responses(
        (status = OK, body = LiveEvent, content_type = "text/event-stream", description = "events, until somebody ends it"),
        Anywhere,
        HasQuery,
    ),
)]
pub(super) async fn follow(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(from): InQuery<From>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let events = live::follow(&gateway, &caller, caller.follows()?, from.place(&headers)?).await?;
    let events = stream::unfold(events, async |mut events| {
        let told = events.recv().await?;
        Some((Ok::<_, Infallible>(written(&told)), events))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies would wait for more of it.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn written(Told { place, event }: &Told) -> Event {
    let sent = Event::default().event(event.word()).retry(COME_BACK);
    let sent = match place {
        Some(place) => sent.id(place.to_string()),
        None => sent,
    };
    sent.json_data(event).unwrap_or_else(|error| {
        tracing::error!(%error, "an event cannot be written");
        Event::default().event("missed").data("{\"event\":\"missed\"}")
    })
}

/// Follows the same by a WebSocket: each message is an event with its `id`. What is said to it is not listened to.
#[utoipa::path(
    get,
    path = "/events/socket",
    tag = "events",
    operation_id = "follow_events_by_socket",
    params(From),
    responses(
        (status = SWITCHING_PROTOCOLS, description = "messages, until somebody ends it"),
        Anywhere,
        HasQuery,
    ),
)]
pub(super) async fn follow_by_socket(
    State(gateway): State<Gateway>,
    caller: Caller,
    InQuery(from): InQuery<From>,
    headers: HeaderMap,
    kept: Option<Extension<Kept>>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let tenant = caller.follows()?;
    let upgrade = upgrade.map_err(|error| Problem::new(Kind::Malformed, error.body_text()))?;
    let events = live::follow(&gateway, &caller, tenant, from.place(&headers)?).await?;
    let upgrade = upgrade.max_message_size(MOST_SAID).max_frame_size(MOST_SAID);
    Ok(upgrade.on_upgrade(async move |socket| {
        converse(socket, events).await;
        drop(kept);
    }))
}

/// Sends what is told, and listens only to whether they are still there.
async fn converse(mut socket: WebSocket, mut events: mpsc::Receiver<Told>) {
    let mut signs = interval_at(Instant::now() + SIGN_OF_LIFE, SIGN_OF_LIFE);
    let mut unanswered = 0;
    loop {
        let message = tokio::select! {
            told = events.recv() => match told {
                Some(Told { place, event }) => {
                    let message = LiveMessage { id: place.map(|place| place.to_string()), event: &event };
                    match serde_json::to_string(&message) {
                        Ok(text) => Message::text(text),
                        Err(error) => {
                            tracing::error!(%error, "an event cannot be written");
                            continue;
                        }
                    }
                }
                None => break,
            },
            said = socket.recv() => match said {
                Some(Ok(_)) => {
                    unanswered = 0;
                    continue;
                }
                Some(Err(_)) | None => return,
            },
            _ = signs.tick() => {
                if unanswered >= MOST_UNANSWERED {
                    return;
                }
                unanswered += 1;
                Message::Ping(Default::default())
            }
        };
        match timeout(SEND, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
    let farewell = CloseFrame { code: close_code::AWAY, reason: "come back with the last id".into() };
    // They may be gone already.
    let _ = timeout(SEND, socket.send(Message::Close(Some(farewell)))).await;
}
