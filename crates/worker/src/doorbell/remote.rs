//! What doorbells at a broker have in common: one connection that all who ring share, and a deadline for each ring.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::Mutex, time::timeout};

use super::{
    Bell, BrokerError, Doorbell, DoorbellError, Listener,
    desk::{Ear, RemoteListener},
};

/// How bells are rung and heard at one kind of broker.
#[async_trait]
pub(super) trait Broker: fmt::Debug + Send + Sync + 'static {
    /// A connection that many can ring on at once.
    type Line: Send + Sync;

    /// For messages, without name and password.
    fn name(&self) -> &str;

    async fn connect(&self) -> Result<Self::Line, BrokerError>;

    /// Whether the line is not known to be lost.
    fn is_well(&self, line: &Self::Line) -> bool;

    /// Returns when the broker has taken all of it.
    async fn ring(&self, line: &Self::Line, bell: Bell, count: usize) -> Result<(), BrokerError>;

    /// What listens to these bells, each on a connection of its own.
    fn ears(&self, bells: &[Bell]) -> Vec<Box<dyn Ear>>;
}

pub(super) struct Remote<B: Broker> {
    broker: B,
    line: Mutex<Option<Arc<Held<B::Line>>>>,
    ring_within: Duration,
}

impl<B: Broker> Remote<B> {
    pub(super) fn new(broker: B, ring_within: Duration) -> Remote<B> {
        Remote { broker, line: Mutex::default(), ring_within }
    }

    /// Rings on the shared line. When one that was there before fails, the broker may only have been started again, so a new line
    /// gets a chance; and as a line may be dead without anybody knowing, the old one gets half of the time.
    async fn ring_once_or_twice(&self, bell: Bell, count: usize) -> Result<(), BrokerError> {
        loop {
            let (held, is_new) = self.line().await?;
            let using = Using { held: &held, is_well: false };
            let ringing = self.broker.ring(&held.line, bell, count);
            let rung = if is_new { ringing.await } else { answered(self.ring_within / 2, ringing).await };
            match rung {
                Ok(()) => {
                    using.went_well();
                    return Ok(());
                }
                Err(error) if is_new => return Err(error),
                Err(_) => {}
            }
        }
    }

    async fn line(&self) -> Result<(Arc<Held<B::Line>>, bool), BrokerError> {
        let mut line = self.line.lock().await;
        if let Some(held) = &*line
            && !held.is_broken.load(Ordering::Relaxed)
            && self.broker.is_well(&held.line)
        {
            return Ok((Arc::clone(held), false));
        }
        let held = Arc::new(Held { line: self.broker.connect().await?, is_broken: AtomicBool::new(false) });
        *line = Some(Arc::clone(&held));
        Ok((held, true))
    }
}

impl<B: Broker> fmt::Debug for Remote<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Remote").field(&self.broker.name()).finish()
    }
}

struct Held<L> {
    line: L,
    is_broken: AtomicBool,
}

/// A line is not used again after a ring that failed on it, or was given up.
struct Using<'a, L> {
    held: &'a Held<L>,
    is_well: bool,
}

impl<L> Using<'_, L> {
    fn went_well(mut self) {
        self.is_well = true;
    }
}

impl<L> Drop for Using<'_, L> {
    fn drop(&mut self) {
        if !self.is_well {
            self.held.is_broken.store(true, Ordering::Relaxed);
        }
    }
}

#[async_trait]
impl<B: Broker> Doorbell for Remote<B> {
    async fn ring(&self, bell: Bell, count: usize) -> Result<(), DoorbellError> {
        if count == 0 && bell != Bell::Stop {
            return Ok(());
        }
        let broker = || self.broker.name().to_owned();
        match timeout(self.ring_within, self.ring_once_or_twice(bell, count)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(source)) => Err(DoorbellError::Failed { bell, broker: broker(), source }),
            Err(_) => Err(DoorbellError::Late { bell, broker: broker(), within: self.ring_within }),
        }
    }

    async fn listen(&self, bells: &[Bell]) -> Box<dyn Listener> {
        RemoteListener::start(self.broker.name(), self.broker.ears(bells)).await
    }
}

/// A connection or an answer that takes too long is as good as none.
pub(super) async fn answered<T, E: Into<BrokerError>>(
    within: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, BrokerError> {
    match timeout(within, answer).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(format!("no answer within {within:?}").into()),
    }
}
