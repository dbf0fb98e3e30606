//! A doorbell that becomes another one while it is rung and heard: its password was changed.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::{sync::watch, task::JoinHandle};

use super::{Bell, Doorbell, DoorbellError, Listener};

/// One value serves a whole process, whatever doorbell that has.
#[derive(Debug)]
pub struct Changing(watch::Sender<Arc<dyn Doorbell>>);

impl Changing {
    /// At first it is this one.
    pub fn new(doorbell: Arc<dyn Doorbell>) -> Changing {
        Changing(watch::Sender::new(doorbell))
    }

    /// From now on it is this one. A ring that was begun is rung to its end on the one before.
    pub fn change(&self, doorbell: Arc<dyn Doorbell>) {
        self.0.send_replace(doorbell);
    }
}

#[async_trait]
impl Doorbell for Changing {
    async fn ring(&self, bell: Bell, count: usize) -> Result<(), DoorbellError> {
        let doorbell = Arc::clone(&self.0.borrow());
        doorbell.ring(bell, count).await
    }

    async fn listen(&self, bells: &[Bell]) -> Box<dyn Listener> {
        let mut current = self.0.subscribe();
        let doorbell = Arc::clone(&current.borrow_and_update());
        let listener = doorbell.listen(bells).await;
        Box::new(Following { current, bells: bells.to_vec(), listener, next: None })
    }
}

/// Hears the one that is there, and the one before until then.
#[derive(Debug)]
struct Following {
    current: watch::Receiver<Arc<dyn Doorbell>>,
    bells: Vec<Bell>,
    listener: Box<dyn Listener>,
    /// On its way, whether somebody waits or not.
    next: Option<JoinHandle<Box<dyn Listener>>>,
}

impl Following {
    /// Begins to listen to the one that is there by now.
    fn follow(&mut self) {
        let (doorbell, bells) = (Arc::clone(&self.current.borrow_and_update()), self.bells.clone());
        self.next = Some(tokio::spawn(async move { doorbell.listen(&bells).await }));
    }
}

#[async_trait]
impl Listener for Following {
    async fn rung(&mut self) -> Bell {
        loop {
            let Some(next) = &mut self.next else {
                tokio::select! {
                    biased;
                    bell = self.listener.rung() => return bell,
                    Ok(()) = self.current.changed() => self.follow(),
                }
                continue;
            };
            let listens = tokio::select! {
                biased;
                bell = self.listener.rung() => return bell,
                listens = next => listens,
            };
            self.next = None;
            if let Ok(listener) = listens {
                self.listener = listener;
                // What was rung for in between may have been heard by nobody here: who looks for no reason has lost nothing.
                return self.bells.first().copied().unwrap_or(Bell::Stop);
            }
        }
    }

    fn trouble(&self) -> Option<String> {
        self.listener.trouble()
    }
}
