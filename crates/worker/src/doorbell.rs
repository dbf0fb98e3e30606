//! Waking those who wait for work.
//!
//! A doorbell carries no truth: what there is to do is in the store. A ring may be lost, doubled or late, so whoever waits also
//! looks at the store from time to time, and whoever was woken may find nothing to do.

mod backoff;
mod changing;
mod desk;
mod in_process;
mod rabbitmq;
mod redis;
mod remote;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use model::{SecretUrl, Stage};

pub use self::{changing::Changing, redis::Counts};
use self::{
    in_process::InProcess,
    rabbitmq::RabbitMq,
    redis::Redis,
    remote::{Broker, Remote},
};

/// How many rings are kept for a bell that nobody waits for at the moment; more are forgotten, the oldest first.
pub const KEPT: usize = 1024;

/// How long [`Doorbell::listen`] waits for a broker that may be away.
const LISTENING_WITHIN: Duration = Duration::from_secs(1);

/// What is rung for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bell {
    /// There are tasks of a stage.
    Stage(Stage),
    /// The emergency stop was pulled or released, or something was cancelled.
    Stop,
}

impl Bell {
    /// The word that stands for it in names of keys, queues and exchanges.
    pub fn as_str(self) -> &'static str {
        match self {
            Bell::Stage(stage) => stage.as_str(),
            Bell::Stop => "stop",
        }
    }
}

impl fmt::Display for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Rings, and lets others hear. One value serves a whole process.
#[async_trait]
pub trait Doorbell: fmt::Debug + Send + Sync {
    /// Wakes up to `count` of those who wait for a stage, each of them once, and keeps up to [`KEPT`] rings for those who come later;
    /// wakes everybody who listens for a stop, whatever the count.
    ///
    /// # Errors
    /// When the broker did not take the ring within [`Settings::ring_within`]. It may have been heard nevertheless.
    async fn ring(&self, bell: Bell, count: usize) -> Result<(), DoorbellError>;

    /// Begins to listen, for the rest of the process: what is lost is connected again, for ever. Returns when the broker has been
    /// reached, or after a second without it, as work goes on without a broker too.
    async fn listen(&self, bells: &[Bell]) -> Box<dyn Listener>;
}

/// Hears some bells.
#[async_trait]
pub trait Listener: fmt::Debug + Send {
    /// Waits until rung; for ever while the broker is away, so callers look at the store after a while.
    ///
    /// Cancel-safe. A stop that is rung while nobody waits is kept for the next call, several as one. A ring for a stage is
    /// not taken from the others unless somebody waits here; what arrives just as the wait is given up is kept.
    async fn rung(&mut self) -> Bell;

    /// Why the broker cannot be heard at the moment; none when it can.
    fn trouble(&self) -> Option<String>;
}

/// What else is needed to reach a broker.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Stands before the names of keys, queues and exchanges, so that several installations can share a broker.
    pub namespace: String,
    /// Certificates, in PEM, of the authorities that TLS servers are trusted by. Redis then trusts these only, RabbitMQ these and the
    /// system's; none for the system's alone.
    pub authorities: Option<String>,
    /// How long a ring may take before it is given up.
    pub ring_within: Duration,
}

impl Default for Settings {
    /// `rampart`, the system's authorities, one second.
    fn default() -> Self {
        Settings { namespace: "rampart".to_owned(), authorities: None, ring_within: Duration::from_secs(1) }
    }
}

/// The doorbell could not be rung or made.
#[derive(Debug, thiserror::Error)]
pub enum DoorbellError {
    /// The address is not one of a doorbell. It is told without name and password.
    #[error("doorbell address `{address}`: {reason}")]
    Address {
        /// What somebody gave as one.
        address: SecretUrl,
        /// What is wrong with it.
        reason: String,
    },
    /// The broker refused, or could not be reached.
    #[error("ringing for {bell} at {broker}: {source}")]
    Failed {
        /// What was to be rung for.
        bell: Bell,
        /// The broker's address without name and password.
        broker: String,
        /// What the client library said.
        source: BrokerError,
    },
    /// The broker did not answer in time.
    #[error("ringing for {bell} at {broker}: no answer within {within:?}")]
    Late {
        /// What was to be rung for.
        bell: Bell,
        /// The broker's address without name and password.
        broker: String,
        /// [`Settings::ring_within`].
        within: Duration,
    },
}

/// What a client library said.
pub type BrokerError = Box<dyn std::error::Error + Send + Sync>;

/// The doorbell at an address. Nothing is connected before the first ring or listener.
///
/// | address | doorbell |
/// | --- | --- |
/// | `none` | within this process |
/// | `redis://[name:password@]host[:port][/database]` | Redis; `rediss` inside TLS |
/// | `redis+sentinel://[name:password@]host:port[,host:port…]/primary[?database=N&sentinel_name=…&sentinel_password=…]` | Redis, found by Sentinel; `rediss+sentinel` inside TLS |
/// | `amqp://[name:password@]host[:port][/virtual host]` | RabbitMQ; `amqps` inside TLS |
///
/// # Errors
/// When the address, or the certificates of the settings, cannot be used.
pub fn connect(address: &str, settings: &Settings) -> Result<Arc<dyn Doorbell>, DoorbellError> {
    let scheme = address.split_once("://").map_or(address, |(scheme, _)| scheme);
    let failed = |reason: String| DoorbellError::Address { address: SecretUrl::new(address), reason };
    match scheme {
        "none" => Ok(Arc::new(InProcess::default())),
        "redis" | "rediss" | "redis+sentinel" | "rediss+sentinel" => {
            Ok(remote(Redis::new(address, settings).map_err(failed)?, settings))
        }
        "amqp" | "amqps" => Ok(remote(RabbitMq::new(address, settings).map_err(failed)?, settings)),
        _ => {
            Err(failed("use none, redis, rediss, redis+sentinel, rediss+sentinel, amqp or amqps".to_owned()))
        }
    }
}

/// Where processes count together, if there is such a place at that address.
///
/// # Errors
/// When the address, or the certificates of the settings, cannot be used.
pub fn counts(address: &str, settings: &Settings) -> Result<Option<Counts>, DoorbellError> {
    if !address.starts_with("redis") {
        return Ok(None);
    }
    let failed = |reason: String| DoorbellError::Address { address: SecretUrl::new(address), reason };
    Counts::new(address, settings).map(Some).map_err(failed)
}

fn remote(broker: impl Broker, settings: &Settings) -> Arc<dyn Doorbell> {
    Arc::new(Remote::new(broker, settings.ring_within))
}

/// Rings without waiting for it: who was not told looks a little later.
pub fn ring_aside(doorbell: &Arc<dyn Doorbell>, bells: Vec<(Bell, usize)>) {
    if bells.is_empty() {
        return;
    }
    let doorbell = Arc::clone(doorbell);
    tokio::spawn(async move {
        for (bell, count) in bells {
            if let Err(error) = doorbell.ring(bell, count).await {
                tracing::debug!(%error, ?bell, "nobody was told");
            }
        }
    });
}
