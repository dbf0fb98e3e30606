//! Messages to webhooks. They leave by the sockets that scans leave by: each asks, when it is opened, whether it may go there, by the
//! address that the name leads to then. Redirects are not followed. A tenant is told the status of an answer, or what kind of trouble there
//! was, so that nobody sees by webhooks what is there inside; whoever runs the worker finds the rest in its log.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use model::{
    DomainName, Endpoint, Profile, TenantId,
    task::{Retry, TaskFailure},
    webhook::{Delivery, Receivers, WebhookKeys, WebhookRecord},
};
use rustls::{ClientConfig, pki_types::ServerName};
use scanner::socket::{DialError, Dialer};
use store::{Ending, Lease, Store, StoreError, Told};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use url::{Host, Url};

/// What one try may take, from the name to the answer.
const TRY: Duration = Duration::from_secs(15);
/// Whoever asks for more time than that gets this.
const LONGEST_WAIT: Duration = Duration::from_secs(6 * 60 * 60);

/// Messages of so many tenants are kept apart, before all begin anew.
const MOST_TENANTS: usize = 10_000;

/// Sends messages to whom this process may send some.
pub struct Sender {
    state: Mutex<State>,
    product: String,
}

/// To whom messages are sent, and how.
#[derive(Clone)]
pub struct Sending {
    /// What is sent is signed with each of these.
    pub keys: WebhookKeys,
    /// Who may be told.
    pub receivers: Receivers,
    /// Whose word on receivers is trusted.
    pub tls: Arc<ClientConfig>,
}

struct State {
    sending: Arc<Sending>,
    /// Each tenant has its own places for connections, so that who holds them all holds up nobody else.
    dialers: HashMap<TenantId, Dialer>,
}

/// Why a message did not arrive, as the tenant is told it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Undelivered {
    #[error("its name leads nowhere")]
    Unknown,
    #[error("{0}")]
    NotAllowed(String),
    #[error("no connection could be made")]
    Unreachable,
    #[error("no encrypted connection could be made: is its certificate good for this name, and not over?")]
    Unencrypted,
    #[error("what came back was no answer")]
    NoAnswer,
    #[error("there was no answer within {TRY:?}")]
    Silent,
    #[error("the receiver answered {0}")]
    Refused(StatusCode, Option<Duration>),
    #[error("the receiver answered {0} and leads elsewhere, where nothing is sent: give the URL that it is")]
    Redirected(StatusCode),
}

/// How a try ended otherwise.
enum Trouble {
    /// The work was stopped: nothing was wrong with the receiver.
    Stopped,
    /// And what whoever runs the worker may know of it.
    Failed(Undelivered, String),
}

impl From<Undelivered> for Trouble {
    fn from(why: Undelivered) -> Trouble {
        Trouble::Failed(why, String::new())
    }
}

impl Undelivered {
    fn because(self, of: impl ToString) -> Trouble {
        Trouble::Failed(self, of.to_string())
    }
}

impl Sender {
    /// Tells receivers that it is this product.
    pub fn new(sending: Sending, product: String) -> Sender {
        let state = State { sending: Arc::new(sending), dialers: HashMap::new() };
        Sender { state: Mutex::new(state), product }
    }

    /// From now on messages are sent like this; what is on its way is not held up.
    pub fn follow(&self, sending: Sending) {
        let mut state = self.state();
        if state.sending.receivers != sending.receivers {
            state.dialers.clear();
        }
        state.sending = Arc::new(sending);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A state that is half changed is none that this leaves behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self, tenant: TenantId, stop: &CancellationToken) -> (Arc<Sending>, Dialer) {
        let mut state = self.state();
        let State { sending, dialers } = &mut *state;
        if dialers.len() >= MOST_TENANTS && !dialers.contains_key(&tenant) {
            dialers.clear();
        }
        let new =
            || Dialer::new(sending.receivers.scope(), Profile::Standard.limits(), CancellationToken::new());
        let dialer = dialers.entry(tenant).or_insert_with(new).with_stop(stop.clone());
        (Arc::clone(sending), dialer)
    }

    /// Does one task, unless it is stopped in the middle. Its id is what the receiver knows the message by, the same each time that it is
    /// tried.
    pub(crate) async fn deliver(
        &self,
        store: &Store,
        lease: &Lease,
        delivery: &Delivery,
        stop: &CancellationToken,
    ) -> Option<Ending> {
        let webhook = match store.webhook(lease.tenant, delivery.webhook).await {
            Ok(webhook) => webhook,
            // Nobody wants it any more.
            Err(StoreError::Missing { .. }) => return Some(Ending::Completed),
            Err(error) => return Some(failed(error.to_string(), Retry::Later)),
        };
        if !webhook.enabled {
            return Some(Ending::Completed);
        }
        let Some(body) = delivery.body() else {
            return Some(failed("the message says nothing".to_owned(), Retry::Never));
        };
        let id = format!("msg_{}", lease.task.as_uuid().simple());
        let (told, ending) = match self.send(lease.tenant, &webhook, body, &id, stop).await {
            Ok(()) => (Told::Arrived, Ending::Completed),
            Err(Trouble::Stopped) => return None,
            Err(Trouble::Failed(why, details)) => {
                tracing::info!(tenant = %lease.tenant, webhook = %webhook.id, task = %lease.task, details, "a message did not arrive: {why}");
                let said = why.to_string();
                match why {
                    Undelivered::Refused(StatusCode::GONE, _) => {
                        (Told::Gone(said.clone()), failed(said, Retry::Never))
                    }
                    // What is not allowed may be by the time that it is tried again: workers are told one after the other.
                    Undelivered::Refused(_, Some(wait)) => {
                        (Told::Failed(said.clone()), failed(said, Retry::NotBefore(wait.min(LONGEST_WAIT))))
                    }
                    _ => (Told::Failed(said.clone()), failed(said, Retry::Later)),
                }
            }
        };
        if let Err(error) = store.webhook_was_told(lease.tenant, webhook.id, told).await {
            tracing::warn!(%error, webhook = %webhook.id, "how a webhook stands is not written down this time");
        }
        Some(ending)
    }

    async fn send(
        &self,
        tenant: TenantId,
        webhook: &WebhookRecord,
        body: Vec<u8>,
        id: &str,
        stop: &CancellationToken,
    ) -> Result<(), Trouble> {
        let (sending, dialer) = self.now(tenant, stop);
        sending.receivers.permit(&webhook.url).map_err(|why| Undelivered::NotAllowed(why.to_string()))?;
        let until = Instant::now() + TRY;
        let request = self.request(&sending.keys, tenant, webhook, body, id)?;
        let answered = timeout_at(until, exchange(&sending, &dialer, &webhook.url, request, until)).await;
        let answer = answered.map_err(|_| Undelivered::Silent)??;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        if status.is_redirection() && answer.headers().contains_key(LOCATION) {
            return Err(Undelivered::Redirected(status).into());
        }
        let wait = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Err(Undelivered::Refused(status, wait.map(Duration::from_secs)).into())
    }

    fn request(
        &self,
        keys: &WebhookKeys,
        tenant: TenantId,
        webhook: &WebhookRecord,
        body: Vec<u8>,
        id: &str,
    ) -> Result<Request<Full<Bytes>>, Undelivered> {
        let now = Timestamp::now();
        let secrets = webhook.secrets(now).flat_map(|number| keys.secrets(tenant, webhook.id, number));
        let signatures = secrets.map(|secret| secret.sign(id, now, &body)).collect::<Vec<_>>().join(" ");
        let url = &webhook.url;
        let host = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Request::post(path)
            .header(HOST, host)
            .header(USER_AGENT, &self.product)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now.as_second())
            .header("webhook-signature", signatures)
            .body(Full::from(body))
            .map_err(|error| Undelivered::NotAllowed(format!("nothing can be sent to this URL: {error}")))
    }
}

async fn exchange(
    sending: &Sending,
    dialer: &Dialer,
    url: &Url,
    request: Request<Full<Bytes>>,
    until: Instant,
) -> Result<Response<Incoming>, Trouble> {
    let port = url.port_or_known_default().unwrap_or(443);
    let (name, addresses) = addresses(url, port).await?;
    let permitted = |address: &IpAddr| sending.receivers.permit_address(*address, name.as_ref(), port);
    let permitted: Vec<IpAddr> = addresses.iter().copied().filter(permitted).collect();
    let mut trouble = match permitted.is_empty() {
        true => {
            let why = "its name leads to no address that messages may go to: who runs the installation says to which, by --webhook-receivers";
            Undelivered::NotAllowed(why.to_owned()).because(format!("{addresses:?}"))
        }
        false => Undelivered::Unreachable.into(),
    };
    for address in permitted {
        let endpoint = Endpoint { name: name.clone(), address, port };
        match dialer.connect(&endpoint, until).await {
            Ok(connection) => {
                dialer.request_turn(address).await.map_err(|error| undialled(&error))?;
                if url.scheme() != "https" {
                    return ask(connection, request).await;
                }
                let server = match &name {
                    Some(name) => ServerName::try_from(name.to_string()),
                    None => Ok(ServerName::from(address)),
                };
                let server = server.map_err(|error| Undelivered::Unencrypted.because(error))?;
                let encrypted =
                    TlsConnector::from(Arc::clone(&sending.tls)).connect(server, connection).await;
                return ask(encrypted.map_err(|error| Undelivered::Unencrypted.because(error))?, request)
                    .await;
            }
            Err(error) => {
                trouble = undialled(&error);
                if matches!(trouble, Trouble::Stopped) {
                    break;
                }
            }
        }
    }
    Err(trouble)
}

/// The name, if it is one, and where it leads now: as every program of this machine is told it. A name server is no receiver.
async fn addresses(url: &Url, port: u16) -> Result<(Option<DomainName>, Vec<IpAddr>), Trouble> {
    match url.host() {
        Some(Host::Ipv4(address)) => Ok((None, vec![address.into()])),
        Some(Host::Ipv6(address)) => Ok((None, vec![address.into()])),
        Some(Host::Domain(name)) => {
            let found = tokio::net::lookup_host((name, port)).await;
            let found = found.map_err(|error| Undelivered::Unknown.because(error))?;
            let name: DomainName = name.parse().map_err(|error| Undelivered::Unknown.because(error))?;
            Ok((Some(name), found.map(|address| address.ip()).collect()))
        }
        None => Err(Undelivered::Unknown.into()),
    }
}

fn undialled(error: &DialError) -> Trouble {
    match error {
        DialError::Stopped => Trouble::Stopped,
        error => Undelivered::Unreachable.because(error),
    }
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Trouble> {
    let no_answer = |error: hyper::Error| Undelivered::NoAnswer.because(error);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(no_answer)?;
    // It ends with the answer, of which nothing more is read, or with the time for it.
    let connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let answer = sender.send_request(request).await.map_err(no_answer);
    drop(connection);
    answer
}

fn failed(message: String, retry: Retry) -> Ending {
    Ending::Failed(TaskFailure { message, retry })
}

#[cfg(test)]
mod tests {
    use model::{
        Happening, LeaseNumber, NewTask, ScanId, Work,
        webhook::{NewWebhook, Receivers},
    };
    use store::{Location, NewTenant};

    use super::*;

    #[tokio::test]
    async fn who_is_stopped_in_the_middle_blames_no_receiver() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::Sqlite(directory.path().join("rampart.db"))).await.unwrap();
        let tenant = store.create_tenant(NewTenant::named("acme"), "test").await.unwrap().id;
        let url = "http://127.0.0.1:9/".parse().unwrap();
        let new = NewWebhook { name: "chat".to_owned(), url, events: Default::default() };
        let webhook = store.create_webhook_once(tenant, new, "test", None).await.unwrap().record.id;
        let happening = Happening::ScanBegun { scan: ScanId::from_random(1) };
        let delivery = Delivery::new(webhook, Timestamp::now(), happening);
        let work = Work::Deliver(Box::new(delivery.clone()));
        let task = store.enqueue(tenant, vec![NewTask::new(work)]).await.unwrap()[0].id;
        let lease = Lease { tenant, task, number: LeaseNumber::from_stored(1), scan: None };
        let keys = WebhookKeys::new(&"k".repeat(32)).unwrap();
        let receivers: Receivers = "127.0.0.1:9".parse().unwrap();
        let tls = Arc::new(client::Trusted::OfThisMachine.configuration().unwrap());
        let sender = Sender::new(Sending { keys, receivers, tls }, "rampart/test".to_owned());
        let stop = CancellationToken::new();
        stop.cancel();
        assert_eq!(sender.deliver(&store, &lease, &delivery, &stop).await, None);
        assert_eq!(store.webhook(tenant, webhook).await.unwrap().failing_since, None);
        // Nobody listens there: without that it is the receiver's fault.
        let ended = sender.deliver(&store, &lease, &delivery, &CancellationToken::new()).await;
        assert_eq!(ended, Some(failed("no connection could be made".to_owned(), Retry::Later)));
        assert!(store.webhook(tenant, webhook).await.unwrap().failing_since.is_some());
    }
}
