//! What every request goes through: an id, a place, a time, a line in the log, and headers that keep browsers careful.

use std::{
    fmt,
    net::IpAddr,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::sync::SemaphorePermit;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::{
    Gateway,
    caller::Refusal,
    limits::{Machine, Part},
    origin::{Encrypted, Origin},
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

/// Around everything else.
pub(crate) async fn attend(State(gateway): State<Gateway>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let route = request.extensions().get::<MatchedPath>().map_or("", |path| path.as_str()).to_owned();
    let span = tracing::info_span!("request", request_id = %id.0, method = %request.method(), route);
    let origin = Origin::of(request.extensions(), request.headers(), &gateway.rules.load().proxies);
    let address = origin.map(|origin| origin.address);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut account =
        Account { gateway: &gateway, method, route, span: span.clone(), begun: Instant::now(), status: None };
    request.extensions_mut().insert(id.clone());
    if let Some(origin) = origin {
        request.extensions_mut().insert(origin);
    }
    let answered = async {
        match admitted(&gateway, &account.route, address) {
            Ok(_places) => in_time(next.run(request)).await,
            Err(problem) => problem.into_response(),
        }
    };
    let mut response = answered.instrument(span.clone()).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let asked = format!("{} {}", account.method, uri.path());
        let (told, refused) = (gateway.clone(), problem.clone());
        let telling = async move {
            let telling = tell_of_refusal(&told, &refused, address, asked);
            if tokio::time::timeout(TELL, telling).await.is_err() {
                tracing::error!("the audit was not told in time that somebody was refused");
            }
        };
        // Whoever is not known must not see by the time it takes whether there was anybody to tell.
        match problem.kind {
            Kind::Unauthenticated => drop(gateway.telling.spawn(telling.instrument(span))),
            _ => telling.instrument(span).await,
        }
        let mut told = problem.answer(id.0.clone());
        // Which other methods there are stands there.
        if let Some(allow) = response.headers_mut().remove(header::ALLOW) {
            told.headers_mut().insert(header::ALLOW, allow);
        }
        response = told;
    }
    harden(response.headers_mut(), origin.and_then(|origin| origin.encrypted));
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    account.status = Some(response.status());
    response
}

/// What is said of a request when it is over, also when whoever asked went away before they had an answer.
struct Account<'g> {
    gateway: &'g Gateway,
    method: Method,
    route: String,
    span: Span,
    begun: Instant,
    status: Option<StatusCode>,
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        self.gateway.metrics.answered(&self.method, &self.route, self.status, took);
        if let Some(status) = self.status {
            traces::answered(&self.span, status.as_u16());
        }
        self.span.in_scope(|| match self.status {
            Some(status) => tracing::info!(status = status.as_u16(), ?took, "answered"),
            None => tracing::info!(?took, "whoever asked went away before they had an answer"),
        });
    }
}

/// What a request holds while it is answered.
type Places<'g> = (Option<Part<Machine>>, SemaphorePermit<'g>);

/// Asked for before anything is looked up: what cannot be answered costs nothing. A supervisor gets its answer in any case, whoever
/// asks beside it.
fn admitted<'g>(
    gateway: &'g Gateway,
    route: &str,
    address: Option<IpAddr>,
) -> Result<Option<Places<'g>>, Problem> {
    if ["/health", "/ready", "/startup"].contains(&route) {
        return Ok(None);
    }
    let overloaded = |detail: &str| Problem::new(Kind::Overloaded, detail);
    let part = match address {
        Some(address) => {
            gateway.limits.load().take_of_address(address).map_err(|wait| {
                gateway.metrics.limited();
                Problem::too_many("this address", wait)
            })?;
            let part = gateway.limits.load().at_once.take(Machine::at(address));
            Some(part.ok_or_else(|| overloaded("too many requests of this address are being answered"))?)
        }
        None => None,
    };
    let place = gateway.room.try_acquire();
    let place = place.map_err(|_| overloaded("too many requests are being answered"))?;
    Ok(Some((part, place)))
}

async fn in_time(answer: impl Future<Output = Response>) -> Response {
    match tokio::time::timeout(LONGEST, answer).await {
        Ok(response) => response,
        Err(_) => Problem::new(Kind::Timeout, format!("it took longer than {LONGEST:?}")).into_response(),
    }
}

/// Who is refused is told in the audit: of the tenant if they are known, otherwise in that of the installation, counted by address so
/// that nobody fills a disk by asking.
async fn tell_of_refusal(gateway: &Gateway, problem: &Problem, origin: Option<IpAddr>, asked: String) {
    let told = match (problem.refused.clone(), problem.kind, origin) {
        // Whoever says to be somebody and is not believed is counted like a stranger; whom they claim to be learns of it as often.
        (refused, Kind::Unauthenticated, Some(origin)) => {
            match gateway.strangers.note(origin, Instant::now()) {
                Some(times) => match refused.map(|refused| *refused) {
                    Some(Refusal { tenant, by }) => {
                        gateway.store.audit_refusal(tenant, by, asked, problem.detail.clone()).await
                    }
                    None => strangers::tell(&gateway.store, origin, times).await,
                },
                None => Ok(()),
            }
        }
        (Some(refused), ..) => {
            let Refusal { tenant, by } = *refused;
            gateway.store.audit_refusal(tenant, by, asked, problem.detail.clone()).await
        }
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
