//! What every request goes through: an id, a place, a time, a line in the log, and headers that keep browsers careful.

use std::{
    fmt,
    net::IpAddr,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    Gateway,
    caller::{self, Refusal},
    problem::{Kind, Problem},
    strangers,
};

/// What a body may hold.
pub(crate) const MOST_BODY: usize = 1 << 20;
/// How long an answer may take.
const LONGEST: Duration = Duration::from_secs(30);
/// How long it may take to tell the audit that somebody was refused.
const TELL: Duration = Duration::from_secs(5);
/// The longest id that is taken from others.
const LONGEST_ID: usize = 64;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// By which a request is found in logs, here and with whoever asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl RequestId {
    /// The one that it comes with, if that is one; otherwise its own.
    fn of(headers: &HeaderMap) -> RequestId {
        let plain = |id: &&str| {
            (1..=LONGEST_ID).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        match headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(plain) {
            Some(id) => RequestId(id.to_owned()),
            None => RequestId(Uuid::now_v7().to_string()),
        }
    }
}

/// Nobody on the way can read what is asked and answered here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encrypted;

/// Around everything else.
pub(crate) async fn attend(State(gateway): State<Gateway>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let route = request.extensions().get::<MatchedPath>().map_or("", |path| path.as_str()).to_owned();
    let span = tracing::info_span!("request", id = %id.0, method = %request.method(), route);
    let (begun, origin) = (Instant::now(), caller::origin(request.extensions()));
    let encrypted = request.extensions().get::<Encrypted>().copied();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    request.extensions_mut().insert(id.clone());
    let answered = async {
        if let Some(Err(wait)) = origin.map(|origin| gateway.limits.take_of_address(origin))
            && !probes(&route)
        {
            gateway.metrics.limited();
            return Problem::too_many("this address", wait).into_response();
        }
        // Asked for before anything is looked up: what cannot be answered costs nothing.
        let Ok(_place) = gateway.room.try_acquire() else {
            return Problem::new(Kind::Overloaded, "too many requests are being answered").into_response();
        };
        match tokio::time::timeout(LONGEST, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new(Kind::Timeout, format!("it took longer than {LONGEST:?}")).into_response(),
        }
    };
    let mut response = answered.instrument(span.clone()).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let asked = format!("{method} {}", uri.path());
        let telling = tell_of_refusal(&gateway, &problem, origin, asked).instrument(span.clone());
        if tokio::time::timeout(TELL, telling).await.is_err() {
            tracing::error!("the audit was not told in time that somebody was refused");
        }
        let mut told = problem.answer(id.0.clone());
        // Which other methods there are stands there.
        if let Some(allow) = response.headers_mut().remove(header::ALLOW) {
            told.headers_mut().insert(header::ALLOW, allow);
        }
        response = told;
    }
    harden(response.headers_mut(), encrypted);
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let (status, took) = (response.status(), begun.elapsed());
    gateway.metrics.answered(&method, &route, status, took);
    span.in_scope(|| tracing::info!(status = status.as_u16(), ?took, "answered"));
    response
}

/// A supervisor must get its answer, whoever asks beside it.
fn probes(route: &str) -> bool {
    ["/health", "/ready", "/startup"].contains(&route)
}

/// Who is refused is told in the audit: of the tenant if they are known, otherwise in that of the installation, counted by address so
/// that nobody fills a disk by asking.
async fn tell_of_refusal(gateway: &Gateway, problem: &Problem, origin: Option<IpAddr>, asked: String) {
    let told = match (&problem.refused, problem.kind, origin) {
        (Some(refused), ..) => {
            let Refusal { tenant, by } = (**refused).clone();
            gateway.store.audit_refusal(tenant, by, asked, problem.detail.clone()).await
        }
        (None, Kind::Unauthenticated, Some(origin)) => match gateway.strangers.note(origin, Instant::now()) {
            Some(times) => strangers::tell(&gateway.store, origin, times).await,
            None => Ok(()),
        },
        _ => Ok(()),
    };
    if let Err(error) = told {
        tracing::error!(%error, "the audit does not tell that somebody was refused");
    }
}

/// Nothing here is a page yet: nothing may be loaded, framed or kept.
fn harden(headers: &mut HeaderMap, encrypted: Option<Encrypted>) {
    if encrypted.is_some() {
        let always = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, always);
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_when_it_is_one() {
        let of = |text: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(text).unwrap());
            RequestId::of(&headers).0
        };
        assert_eq!(of(b"0af7651916cd43dd8448eb211c80319c"), "0af7651916cd43dd8448eb211c80319c");
        let long = [b'a'; LONGEST_ID + 1];
        for strange in [&b""[..], b"two words", b"\xff", b"a\"b", &long] {
            assert_eq!(of(strange).len(), 36, "{strange:?}");
        }
        assert_eq!(RequestId::of(&HeaderMap::new()).0.len(), 36);
    }
}
