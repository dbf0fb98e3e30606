//! Within one process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures_util::future::select_all;
use tokio::sync::{Semaphore, watch};

use super::{Bell, Doorbell, DoorbellError, KEPT, Listener};

/// A permit is a ring: a semaphore hands them out one by one, in the order in which was asked.
#[derive(Debug, Default)]
pub(super) struct InProcess {
    rings: Mutex<BTreeMap<Bell, Arc<Semaphore>>>,
    stops: watch::Sender<()>,
}

impl InProcess {
    fn permits(&self, bell: Bell) -> Arc<Semaphore> {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(rings.entry(bell).or_insert_with(|| Arc::new(Semaphore::new(0))))
    }
}

#[async_trait]
impl Doorbell for InProcess {
    async fn ring(&self, bell: Bell, count: usize) -> Result<(), DoorbellError> {
        if bell == Bell::Stop {
            self.stops.send_replace(());
        } else {
            let permits = self.permits(bell);
            // Two who ring at once may go over by one count; it stays bounded.
            permits.add_permits(count.min(KEPT.saturating_sub(permits.available_permits())));
        }
        Ok(())
    }

    async fn listen(&self, bells: &[Bell]) -> Box<dyn Listener> {
        let rings = bells.iter().filter(|bell| **bell != Bell::Stop).map(|bell| (*bell, self.permits(*bell)));
        let stops = bells.contains(&Bell::Stop).then(|| self.stops.subscribe());
        Box::new(InProcessListener { rings: rings.collect(), stops })
    }
}

#[derive(Debug)]
struct InProcessListener {
    rings: Vec<(Bell, Arc<Semaphore>)>,
    stops: Option<watch::Receiver<()>>,
}

#[async_trait]
impl Listener for InProcessListener {
    async fn rung(&mut self) -> Bell {
        let stopped = async {
            if let Some(stops) = &mut self.stops
                && stops.changed().await.is_ok()
            {
                return Bell::Stop;
            }
            // Nobody rings for it, or nobody can any more.
            std::future::pending().await
        };
        let rung = async {
            if self.rings.is_empty() {
                return std::future::pending().await;
            }
            // Those that are not the first give back what they were handed.
            let each = self.rings.iter().map(|(bell, permits)| {
                Box::pin(async {
                    let permit = permits.acquire().await.expect("nobody closes it");
                    (*bell, permit)
                })
            });
            let ((bell, permit), _, _) = select_all(each).await;
            permit.forget();
            bell
        };
        tokio::select! {
            biased;
            bell = stopped => bell,
            bell = rung => bell,
        }
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}
