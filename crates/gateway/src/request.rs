//! What every request goes through: an id, a place, a time, a line in the log, and headers that keep browsers careful.

use std::{
    fmt,
    net::IpAddr,
    time::{Duration, Instant},
};

use axum::{
    body::HttpBody,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use model::ApiKey;
use tokio::sync::SemaphorePermit;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::{
    Gateway,
    caller::Refusal,
    limits::{Machine, Part},
    origin::{Encrypted, Origin},
    problem::{Kind, Problem},
    refusals::{self, Who},
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

/// Of a part of a path so much is kept: more than any id or name of a route has.
const LONGEST_PART: usize = 128;
/// And so many parts.
const MOST_PARTS: usize = 12;

/// Asked by a supervisor, who gets an answer in any case, whoever asks beside it.
const SUPERVISED: [&str; 3] = ["/health", "/ready", "/startup"];

/// What there is no room for is told so before anything else is found out about it: when much more is asked for than can be answered, this
/// is most of what is done, and what it takes is taken from those who are answered.
pub(crate) fn refused_at_once(gateway: &Gateway, request: &Request) -> Option<Response> {
    if gateway.room.available_permits() > 0 || SUPERVISED.contains(&request.uri().path()) {
        return None;
    }
    let (begun, id) = (Instant::now(), RequestId::of(request.headers()));
    let origin = Origin::of(request.extensions(), request.headers(), &gateway.rules.load().proxies);
    let mut response = no_room().answer(id.0.clone());
    // Otherwise the router says how long an answer is.
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    sign(&mut response, &id, origin);
    let (status, took) = (response.status(), begun.elapsed());
    // Which route it is of is not known yet.
    gateway.metrics.answered(request.method(), "", Some(status), took);
    tracing::info!(request_id = %id.0, method = %request.method(), status = status.as_u16(), ?took, "answered");
    Some(response)
}

fn no_room() -> Problem {
    Problem::new(Kind::Overloaded, "too many requests are being answered")
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
        let asked = asked_for(&account.method, uri.path());
        let (told, refused) = (gateway.clone(), problem.clone());
        let telling = async move {
            let telling = tell_of_refusal(&told, &refused, address, asked);
            if tokio::time::timeout(TELL, telling).await.is_err() {
                tracing::error!("the audit was not told in time that somebody was refused");
            }
        };
        // Whoever is not known must not see by the time it takes whether there was anybody to tell.
        match problem.kind {
            Kind::Forbidden => telling.instrument(span).await,
            _ => drop(gateway.telling.spawn(telling.instrument(span))),
        }
        let mut told = problem.answer(id.0.clone());
        // Which other methods there are stands there.
        if let Some(allow) = response.headers_mut().remove(header::ALLOW) {
            told.headers_mut().insert(header::ALLOW, allow);
        }
        response = told;
    }
    sign(&mut response, &id, origin);
    account.status = Some(response.status());
    response
}

/// What every answer has.
fn sign(response: &mut Response, id: &RequestId, origin: Option<Origin>) {
    harden(response.headers_mut(), origin.and_then(|origin| origin.encrypted));
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
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

/// Asked for before anything is looked up.
fn admitted<'g>(
    gateway: &'g Gateway,
    route: &str,
    address: Option<IpAddr>,
) -> Result<Option<Places<'g>>, Problem> {
    if SUPERVISED.contains(&route) {
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
    let place = gateway.room.try_acquire().map_err(|_| no_room())?;
    Ok(Some((part, place)))
}

async fn in_time(answer: impl Future<Output = Response>) -> Response {
    match tokio::time::timeout(LONGEST, answer).await {
        Ok(response) => response,
        Err(_) => Problem::new(Kind::Timeout, format!("it took longer than {LONGEST:?}")).into_response(),
    }
}

/// Who is refused is told in the audit: of the tenant if they are known, or say to be, otherwise in that of the installation.
async fn tell_of_refusal(gateway: &Gateway, problem: &Problem, origin: Option<IpAddr>, asked: String) {
    let now = Instant::now();
    let told = match (problem.refused.clone(), problem.is_strangers, origin) {
        (Some(refused), ..) => {
            let Refusal { tenant, by } = *refused;
            match gateway.refusals.note(Who::Known(tenant, by.name.clone()), now) {
                Some(times) => {
                    let more = if times > 1 {
                        format!("; {times} times since the last was told")
                    } else {
                        String::new()
                    };
                    gateway.store.audit_refusal(tenant, by, asked, format!("{}{more}", problem.detail)).await
                }
                None => Ok(()),
            }
        }
        (None, true, Some(origin)) => {
            let who = Who::Stranger(origin);
            match gateway.refusals.note(who.clone(), now) {
                Some(times) => refusals::tell(&gateway.store, &who, times).await,
                None => Ok(()),
            }
        }
        _ => Ok(()),
    };
    if let Err(error) = told {
        tracing::error!(%error, "the audit does not tell that somebody was refused");
    }
}

/// What was asked for, as the audit keeps it: as long as what can be meant, and no key, whoever puts one there.
fn asked_for(method: &Method, path: &str) -> String {
    let part = |part: &str| match part.parse::<ApiKey>() {
        Ok(key) => format!("{}…", key.prefix()),
        Err(_) if part.chars().count() > LONGEST_PART => {
            format!("{}…", part.chars().take(LONGEST_PART).collect::<String>())
        }
        Err(_) => part.to_owned(),
    };
    let mut parts: Vec<String> = path.split('/').take(MOST_PARTS).map(part).collect();
    if path.split('/').nth(MOST_PARTS).is_some() {
        parts.push("…".to_owned());
    }
    format!("{method} {}", parts.join("/"))
}

/// The same for what is answered beside the API.
pub(crate) async fn hardened(mut response: Response) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = problem.answer(RequestId::of(&HeaderMap::new()).0);
    }
    harden(response.headers_mut(), None);
    response
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
    use store::{Location, Store};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{serve, tests};

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_finds_no_room_is_told_so_and_a_supervisor_always_has_some() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::Sqlite(directory.path().join("rampart.db"))).await.unwrap();
        let gateway = tests::gateway(store, directory.path());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, asked) = (CancellationToken::new(), gateway.clone());
        let answering = tokio::spawn(serve(listener, None, gateway, stop.clone(), Duration::from_secs(10)));
        let ask = async |path: &str| {
            #[allow(clippy::disallowed_methods, reason = "it is the gateway that was started on loopback")]
            let mut stream = TcpStream::connect(address).await.unwrap();
            let asked = format!(
                "GET {path} HTTP/1.1\r\nhost: own\r\nx-request-id: seven\r\nconnection: close\r\n\r\n"
            );
            stream.write_all(asked.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let all = asked.room.available_permits() as u32;
        let taken = asked.room.acquire_many(all).await.unwrap();
        let refused = ask("/api/v1/me").await;
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
        for told in [
            "\r\nretry-after: 1\r\n",
            "\r\ncontent-length: ",
            "\r\nx-request-id: seven\r\n",
            "\r\ncontent-type: application/problem+json\r\n",
            "\r\nx-content-type-options: nosniff\r\n",
            "\"code\":\"overloaded\"",
            "\"request_id\":\"seven\"",
        ] {
            assert!(refused.contains(told), "{told} is not in {refused}");
        }
        for path in SUPERVISED {
            let answer = ask(path).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
        }
        drop(taken);
        let answer = ask("/api/v1/me").await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        stop.cancel();
        answering.await.unwrap();
    }

    #[test]
    fn the_audit_keeps_what_was_asked_for_and_no_key() {
        let asked = |path: &str| asked_for(&Method::GET, path);
        assert_eq!(
            asked("/api/v1/scans/57901ea051a45ff9/findings"),
            "GET /api/v1/scans/57901ea051a45ff9/findings"
        );
        let key = ApiKey::from_random([7; 4], [8; 24]);
        let pasted = asked(&format!("/api/v1/keys/{}", key.expose()));
        assert_eq!(pasted, format!("GET /api/v1/keys/{}…", key.prefix()));
        let long = asked(&format!("/api/v1/keys/{}{}", "ü".repeat(30_000), "/x".repeat(10_000)));
        assert!(long.len() < 400 && long.ends_with("/…"), "{long}");
    }

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
