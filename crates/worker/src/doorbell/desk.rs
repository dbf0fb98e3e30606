//! Where the tasks that listen at a broker leave what they heard for the one who waits.

use std::{convert::Infallible, sync::Arc};

use async_trait::async_trait;
use tokio::{sync::watch, task::JoinSet, time::timeout};

use super::{Bell, BrokerError, LISTENING_WITHIN, Listener, backoff::Backoff};

#[derive(Debug, Default)]
struct State {
    waits: bool,
    rung: Option<Bell>,
    stopped: bool,
    /// One for each task: why it does not hear the broker.
    troubles: Vec<Option<String>>,
}

/// One for each listener.
#[derive(Debug)]
pub(super) struct Desk(watch::Sender<State>);

impl Desk {
    /// Leaves a ring if somebody waits and has none yet. Otherwise it belongs to somebody else.
    pub(super) fn offer(&self, bell: Bell) -> bool {
        self.0.send_if_modified(|state| {
            let is_taken = state.waits && state.rung.is_none();
            if is_taken {
                state.rung = Some(bell);
            }
            is_taken
        })
    }

    /// Leaves a stop, whether or not somebody waits.
    pub(super) fn stop(&self) {
        self.0.send_modify(|state| state.stopped = true);
    }

    /// Until a ring would be taken.
    pub(super) async fn wanted(&self) {
        let wanted = |state: &State| state.waits && state.rung.is_none();
        self.0.subscribe().wait_for(wanted).await.expect("the sender is this desk's own");
    }

    fn set_trouble(&self, task: usize, trouble: Option<String>) {
        self.0.send_modify(|state| state.troubles[task] = trouble);
    }

    async fn rung(&self) -> Bell {
        let mut changes = self.0.subscribe();
        let _waiting = Waiting::new(self);
        loop {
            let mut heard = None;
            self.0.send_if_modified(|state| {
                heard =
                    std::mem::take(&mut state.stopped).then_some(Bell::Stop).or_else(|| state.rung.take());
                // In the same moment, so that no further ring is taken from the others.
                state.waits &= heard.is_none();
                heard.is_some()
            });
            match heard {
                Some(bell) => return bell,
                None => changes.changed().await.expect("the sender is this desk's own"),
            }
        }
    }
}

/// Somebody waits as long as this lives.
struct Waiting<'a>(&'a Desk);

impl Waiting<'_> {
    fn new(desk: &Desk) -> Waiting<'_> {
        desk.0.send_modify(|state| state.waits = true);
        Waiting(desk)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.waits = false);
    }
}

/// A task that listens at a broker until it fails; it must tell the desk when it is ready.
#[async_trait]
pub(super) trait Ear: Send + 'static {
    /// Connects, says so by `ready`, and listens until the connection fails; never returns without an error.
    async fn listen(
        &mut self,
        desk: &Desk,
        ready: &mut (dyn FnMut() + Send),
    ) -> Result<Infallible, BrokerError>;
}

/// The tasks of one listener, and their desk.
#[derive(Debug)]
pub(super) struct RemoteListener {
    desk: Arc<Desk>,
    /// They end with the listener.
    _tasks: JoinSet<()>,
}

impl RemoteListener {
    /// Starts the tasks and waits until all have reached the broker, or long enough.
    pub(super) async fn start(broker: &str, ears: Vec<Box<dyn Ear>>) -> Box<dyn Listener> {
        let troubles = vec![Some("not connected yet".to_owned()); ears.len()];
        let desk = Arc::new(Desk(watch::Sender::new(State { troubles, ..State::default() })));
        let mut tasks = JoinSet::new();
        for (task, ear) in ears.into_iter().enumerate() {
            tasks.spawn(listen_for_ever(broker.to_owned(), ear, task, Arc::clone(&desk)));
        }
        let mut changes = desk.0.subscribe();
        // A broker that is away is no reason not to start.
        let _ =
            timeout(LISTENING_WITHIN, changes.wait_for(|state| state.troubles.iter().all(Option::is_none)))
                .await;
        drop(changes);
        Box::new(RemoteListener { desk, _tasks: tasks })
    }
}

async fn listen_for_ever(broker: String, mut ear: Box<dyn Ear>, task: usize, desk: Arc<Desk>) {
    let mut backoff = Backoff::new();
    let mut told = None;
    loop {
        let mut ready = || {
            desk.set_trouble(task, None);
            backoff.reset();
            if told.take().is_some() {
                tracing::info!(broker, "the doorbell is heard again");
            }
        };
        let Err(error) = ear.listen(&desk, &mut ready).await;
        let error = error.to_string();
        if told.as_ref() != Some(&error) {
            tracing::warn!(
                broker,
                error,
                "the doorbell is not heard: the store is asked every so often instead"
            );
            told = Some(error.clone());
        }
        desk.set_trouble(task, Some(error));
        backoff.pause().await;
    }
}

#[async_trait]
impl Listener for RemoteListener {
    async fn rung(&mut self) -> Bell {
        self.desk.rung().await
    }

    fn trouble(&self) -> Option<String> {
        self.desk.0.borrow().troubles.iter().flatten().next().cloned()
    }
}
