//! Where the tasks that listen at a broker leave what they heard for the one who waits.

use std::{convert::Infallible, sync::Arc};

use async_trait::async_trait;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::timeout,
};

use super::{Bell, BrokerError, LISTENING_WITHIN, Listener, backoff::Backoff};

#[derive(Debug, Default)]
struct State {
    waits: bool,
    rung: Option<Bell>,
    stopped: bool,
    /// How many tasks have reached the broker at least once.
    ready: usize,
    trouble: Option<String>,
}

/// One for each listener.
#[derive(Debug, Default)]
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

    /// The broker is heard, for the first time or again.
    pub(super) fn ready(&self, is_first: bool) {
        self.0.send_modify(|state| {
            state.ready += usize::from(is_first);
            state.trouble = None;
        });
    }

    fn failed(&self, error: &BrokerError) {
        self.0.send_modify(|state| state.trouble = Some(error.to_string()));
    }

    async fn rung(&self) -> Bell {
        let mut changes = self.0.subscribe();
        let _waiting = Waiting::new(self);
        loop {
            let mut heard = None;
            self.0.send_if_modified(|state| {
                heard =
                    std::mem::take(&mut state.stopped).then_some(Bell::Stop).or_else(|| state.rung.take());
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
    pub(super) async fn start(ears: Vec<Box<dyn Ear>>) -> Box<dyn Listener> {
        let (desk, count) = (Arc::new(Desk::default()), ears.len());
        let mut tasks = JoinSet::new();
        for ear in ears {
            let _: AbortHandle = tasks.spawn(listen_for_ever(ear, Arc::clone(&desk)));
        }
        let mut changes = desk.0.subscribe();
        // A broker that is away is no reason not to start.
        let _ = timeout(LISTENING_WITHIN, changes.wait_for(|state| state.ready >= count)).await;
        drop(changes);
        Box::new(RemoteListener { desk, _tasks: tasks })
    }
}

async fn listen_for_ever(mut ear: Box<dyn Ear>, desk: Arc<Desk>) {
    let (mut backoff, mut is_first) = (Backoff::new(), true);
    loop {
        let mut ready = || {
            desk.ready(std::mem::take(&mut is_first));
            backoff.reset();
        };
        let Err(error) = ear.listen(&desk, &mut ready).await;
        desk.failed(&error);
        backoff.pause().await;
    }
}

#[async_trait]
impl Listener for RemoteListener {
    async fn rung(&mut self) -> Bell {
        self.desk.rung().await
    }

    fn trouble(&self) -> Option<String> {
        self.desk.0.borrow().trouble.clone()
    }
}
