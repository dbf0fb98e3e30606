//! HTTP/1.1 as checks need it: the exact bytes on the wire, one hop at a time, everything bounded in bytes and time.

mod chunked;
mod encoding;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod head;
mod incoming;
mod pool;
mod request;
mod room;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use checks::exchange::{Failure, HttpForm, HttpRequest, HttpResponse};
use model::{Allowance, Endpoint, FailReason, Host};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::Semaphore,
    time::Instant,
};

use self::{
    incoming::{Caps, Incoming, ReadError},
    pool::Pool,
    room::Room,
};
use crate::{
    socket::{DialError, Dialer},
    tls::{self, Channel, Speaks},
};

/// Who is asking. Told to every server, and the same for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `User-Agent`: product, version, contact and scan id.
    pub user_agent: String,
}

/// Performs HTTP requests. Cheap to clone; all clones share their idle connections and their queue for connections.
#[derive(Clone)]
pub struct HttpClient {
    shared: Arc<Shared>,
    allowance: Allowance,
}

struct Shared {
    dialer: Dialer,
    identity: Identity,
    pool: Pool,
    room: Arc<Semaphore>,
}

/// Conversations with one origin. Any number of requests may be under way at once; those beyond the connection caps wait their
/// turn. What is open is closed when the session is dropped.
pub struct HttpSession {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    tls: bool,
    id: u64,
    queue: Arc<Semaphore>,
    room: Room,
    allowance: Allowance,
}

impl HttpClient {
    /// A client of that dialer.
    pub fn new(dialer: Dialer, identity: Identity) -> HttpClient {
        let (pool, allowance) = (Pool::new(dialer.limits()), dialer.allowance().clone());
        let shared = Arc::new(Shared { dialer, identity, pool, room: room::of_all() });
        let spare: Weak<Shared> = Arc::downgrade(&shared);
        shared.dialer.when_short_of_places(move |address| match spare.upgrade() {
            Some(shared) => {
                shared.pool.close_one(address);
                true
            }
            None => false,
        });
        HttpClient { shared, allowance }
    }

    /// The same client for another unit: what it holds counts by itself.
    pub fn within(&self, allowance: Allowance) -> HttpClient {
        HttpClient { shared: Arc::clone(&self.shared), allowance }
    }

    /// Who is asking.
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// A session with the server at that endpoint.
    pub fn session(&self, endpoint: Endpoint, tls: bool) -> HttpSession {
        let pool = &self.shared.pool;
        let (id, queue) = (pool.new_session(), pool.queue(endpoint.address));
        let room = Room::of_session(&self.shared.room);
        let allowance = self.allowance.clone();
        HttpSession { shared: Arc::clone(&self.shared), endpoint, tls, id, queue, room, allowance }
    }
}

impl Drop for HttpSession {
    fn drop(&mut self) {
        self.shared.pool.close_session(self.id);
    }
}

impl HttpSession {
    /// Where the session's requests go.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What everything that is kept of its answers counts against.
    pub(crate) fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// https.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Sends one request and reads its response; redirects are not followed. The deadline (the smaller of the scan's limit and
    /// the request's own) runs from the moment the request has its turn: what it waits for before are other requests, each with
    /// a deadline, and the rate caps.
    pub async fn send(&self, request: &HttpRequest) -> Result<HttpResponse, Failure> {
        if request.origin.port != self.endpoint.port || request.origin.tls != self.tls {
            let origin = &request.origin;
            let why = format!(
                "a request for port {} (tls: {}) does not belong to {}",
                origin.port, origin.tls, self.endpoint
            );
            return Err(Failure::Failed(FailReason::Protocol, why));
        }
        let message = request::write(request, &self.shared.identity)?;
        tokio::select! {
            biased;
            () = self.shared.dialer.stop().cancelled() => Err(DialError::Stopped.failure()),
            response = self.perform(request, &message) => response,
        }
    }

    async fn perform(&self, request: &HttpRequest, message: &[u8]) -> Result<HttpResponse, Failure> {
        let Shared { dialer, pool, .. } = &*self.shared;
        let limit = dialer.limits().request_deadline;
        let limit = request.timeout.map_or(limit, |timeout| timeout.min(limit));
        let server_name = self.server_name(request);
        // A connection that lay idle may be gone by the time the request arrives. Only what may be sent twice takes one.
        let mut may_reuse = request::is_idempotent(&request.form);
        let mut spent = Duration::ZERO;
        let _turn = pool.turn(&self.queue).await;
        loop {
            let begun = Instant::now();
            let name = server_name.as_ref().map(ToString::to_string);
            let idle = if may_reuse { pool.take(self.id, name.as_deref()) } else { None };
            let reused = idle.is_some();
            let opened = match idle {
                Some(channel) => Ok(channel),
                None => self.open(server_name.as_ref(), begun + limit.saturating_sub(spent)).await,
            };
            spent += begun.elapsed();
            let opened = match opened {
                Err(unsent @ (Failure::OutOfScope(_) | Failure::Skipped(_))) => return Err(unsent),
                attempted => attempted,
            };
            // As late as can be, so that requests do not pile up behind the rate cap; and also when there is no connection, so
            // that failing attempts are rated too. The peer's clock stands still meanwhile.
            dialer.request_turn(self.endpoint.address).await.map_err(|error| error.failure())?;
            let mut channel = opened?;

            let sent_at = Instant::now();
            let deadline = sent_at + limit.saturating_sub(spent);
            let mut incoming =
                Incoming::new(self.caps(request)).within(self.room.clone()).charged(&self.allowance);
            let method = request::method(&request.form);
            let exchanged =
                tokio::time::timeout_at(deadline, exchange(&mut channel, message, &mut incoming, method))
                    .await;
            spent += sent_at.elapsed();
            let reusable = match exchanged {
                Ok(Ok(reusable)) => reusable,
                Ok(Err(ReadError::NothingCame(_))) if reused => {
                    may_reuse = false;
                    continue;
                }
                Ok(Err(error)) => return Err(failure(error)),
                // An unusual request may leave the server waiting for more: what it said until then is its answer.
                Err(_) if matches!(request.form, HttpForm::Verbatim(_)) => false,
                Err(_) => return Err(timed_out(limit)),
            };
            let Some(received) = incoming.finish().map_err(failure)? else { return Err(timed_out(limit)) };
            let remote = channel.remote();
            if reusable && !request::asks_to_close(&request.form) {
                pool.park(dialer, self.id, self.endpoint.address, name, channel);
            }
            return Ok(HttpResponse {
                status: received.head.status,
                reason: received.head.reason,
                head: received.head.bytes,
                headers: received.head.headers,
                body: received.body,
                truncated: received.truncated,
                duration: spent,
                remote,
                request: message.to_vec(),
                held: Arc::new(received.held),
            });
        }
    }

    async fn open(&self, server_name: Option<&Host>, deadline: Instant) -> Result<Channel, Failure> {
        let connection =
            self.shared.dialer.connect(&self.endpoint, deadline).await.map_err(|error| error.failure())?;
        match server_name {
            None => Ok(Channel::Plain(connection)),
            Some(name) => tls::connect(connection, name, Speaks::Http, deadline).await,
        }
    }

    /// What TLS asks for; none without TLS.
    fn server_name(&self, request: &HttpRequest) -> Option<Host> {
        let asked = request.sni.as_deref().unwrap_or(&request.origin.host);
        self.tls.then(|| asked.parse().unwrap_or_else(|_| self.endpoint.host()))
    }

    fn caps(&self, request: &HttpRequest) -> Caps {
        let limits = self.shared.dialer.limits();
        let body = request.max_body.map_or(limits.response_bytes, |wanted| wanted.min(limits.response_bytes));
        Caps { head: limits.header_bytes, raw: limits.response_bytes, body }
    }
}

/// Sends and reads at once: a server may answer, and stop reading, before it has the whole request. True when the connection
/// can carry another request.
async fn exchange(
    channel: &mut Channel,
    message: &[u8],
    incoming: &mut Incoming,
    method: &str,
) -> Result<bool, ReadError> {
    let (mut reader, writer) = tokio::io::split(channel);
    let mut reading = std::pin::pin!(incoming.read(&mut reader, method));
    let mut writing = std::pin::pin!(write(writer, message));
    tokio::select! {
        biased;
        read = &mut reading => return read.map(|_| false),
        // A server that refuses the rest of a request may have said why: what can be read decides.
        _written = &mut writing => {}
    }
    reading.await
}

async fn write(mut writer: impl AsyncWrite + Unpin, message: &[u8]) -> std::io::Result<()> {
    writer.write_all(message).await?;
    writer.flush().await
}

fn failure(error: ReadError) -> Failure {
    match error {
        ReadError::NotHttp(why) => {
            Failure::Failed(FailReason::Protocol, format!("the answer is not HTTP: {why}"))
        }
        ReadError::NoMemory(exceeded) => Failure::Failed(FailReason::Memory, exceeded.to_string()),
        ReadError::NothingCame(error) | ReadError::Broken(error) => tls::io_failure(error),
    }
}

fn timed_out(limit: Duration) -> Failure {
    Failure::Failed(FailReason::TimedOut, format!("no complete response within {} s", limit.as_secs_f64()))
}
