//! Redis: a bounded list for each bell, and a stream for stops.
//!
//! A list hands each ring to one of those who block on it. A stream is read by everybody, also by those who were away for a moment,
//! as each remembers what it has read; there is no consumer group, so those who never come back leave nothing behind.

mod address;
mod counts;

use std::{convert::Infallible, sync::Arc, time::Duration};

use async_trait::async_trait;
use redis::{Pipeline, aio::MultiplexedConnection, cmd};

use self::address::Address;
pub use self::counts::Counts;
use super::{
    Bell, BrokerError, KEPT, Settings,
    desk::{Desk, Ear},
    remote::{Broker, answered},
};

/// How long a blocking read asks the server to wait. A line that died without a word is noticed when that has passed without an
/// answer.
const BLOCK: Duration = Duration::from_secs(5);

/// For how long rings are kept after the last one. Whoever waits has looked at the store by then.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// How long everything else may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Redis {
    address: Arc<Address>,
    keys: Keys,
}

impl Redis {
    pub(super) fn new(address: &str, settings: &Settings) -> Result<Redis, String> {
        let keys = Keys { namespace: settings.namespace.clone() };
        Ok(Redis { address: Arc::new(Address::parse(address, settings.authorities.as_deref())?), keys })
    }
}

#[async_trait]
impl Broker for Redis {
    type Line = MultiplexedConnection;

    fn name(&self) -> &str {
        self.address.name()
    }

    async fn connect(&self) -> Result<MultiplexedConnection, BrokerError> {
        self.address.connect().await
    }

    fn is_well(&self, _line: &MultiplexedConnection) -> bool {
        // It answers at once with an error when it has been closed.
        true
    }

    async fn ring(&self, line: &MultiplexedConnection, bell: Bell, count: usize) -> Result<(), BrokerError> {
        Ok(self.keys.ring(bell, count).query_async(&mut line.clone()).await?)
    }

    fn ears(&self, bells: &[Bell]) -> Vec<Box<dyn Ear>> {
        let mut ears: Vec<Box<dyn Ear>> = Vec::new();
        let (address, keys) = (&self.address, &self.keys);
        let lists: Vec<Bell> = bells.iter().copied().filter(|bell| *bell != Bell::Stop).collect();
        if !lists.is_empty() {
            ears.push(Box::new(Lists { address: Arc::clone(address), keys: keys.clone(), bells: lists }));
        }
        if bells.contains(&Bell::Stop) {
            ears.push(Box::new(Stops { address: Arc::clone(address), keys: keys.clone(), read: None }));
        }
        ears
    }
}

#[derive(Debug, Clone)]
struct Keys {
    namespace: String,
}

impl Keys {
    fn count(&self, name: &str) -> String {
        format!("{}:count:{name}", self.namespace)
    }

    fn key(&self, bell: Bell) -> String {
        format!("{}:bell:{bell}", self.namespace)
    }

    /// Adds rings and lets go of the oldest, in one transaction.
    fn ring(&self, bell: Bell, count: usize) -> Pipeline {
        let (key, mut commands) = (self.key(bell), redis::pipe());
        commands.atomic();
        if bell == Bell::Stop {
            // Who reads it learns that there was one, not how many.
            commands.cmd("XADD").arg(&key).arg(&["MAXLEN", "1", "*", "bell", "stop"]).ignore();
        } else {
            let kept = isize::try_from(KEPT).expect("it is a small number");
            commands.cmd("LPUSH").arg(&key).arg(vec!["1"; count.min(KEPT)]).ignore();
            commands.cmd("LTRIM").arg(&key).arg(0).arg(kept - 1).ignore();
            commands.cmd("EXPIRE").arg(&key).arg(KEPT_FOR.as_secs()).ignore();
        }
        commands
    }
}

/// Takes rings from lists while somebody waits.
struct Lists {
    address: Arc<Address>,
    keys: Keys,
    bells: Vec<Bell>,
}

#[async_trait]
impl Ear for Lists {
    async fn listen(
        &mut self,
        desk: &Desk,
        ready: &mut (dyn FnMut() + Send),
    ) -> Result<Infallible, BrokerError> {
        let mut connection = self.address.connect().await?;
        // A server may take connections and refuse to be written to, as one that has lost its replicas. This changes nothing where
        // there is no ring, and keeps those that are there for as long as new ones are.
        let mut keep = cmd("EXPIRE");
        if let Some(bell) = self.bells.first() {
            keep.arg(self.keys.key(*bell)).arg(KEPT_FOR.as_secs());
            answered::<i64, _>(ANSWER_WITHIN, keep.query_async(&mut connection)).await?;
        }
        ready();
        loop {
            desk.wanted().await;
            // The server looks at the keys in this order; each bell gets its turn to be the first.
            self.bells.rotate_left(1);
            let mut pop = cmd("BLPOP");
            for bell in &self.bells {
                pop.arg(self.keys.key(*bell));
            }
            pop.arg(BLOCK.as_secs());
            let popped: Option<(String, String)> =
                answered(BLOCK + ANSWER_WITHIN, pop.query_async(&mut connection)).await?;
            let Some((key, _)) = popped else { continue };
            let Some(bell) = self.bells.iter().copied().find(|bell| self.keys.key(*bell) == key) else {
                continue;
            };
            if !desk.offer(bell) {
                // The wait was given up meanwhile: somebody else may be waiting.
                let back = self.keys.ring(bell, 1);
                answered::<(), _>(ANSWER_WITHIN, back.query_async(&mut connection)).await?;
            }
        }
    }
}

/// Reads the stream of stops.
struct Stops {
    address: Arc<Address>,
    keys: Keys,
    /// The last entry that was read; none before the first connection.
    read: Option<String>,
}

/// Identifier and fields.
type Entry = (String, Vec<String>);

#[async_trait]
impl Ear for Stops {
    async fn listen(
        &mut self,
        desk: &Desk,
        ready: &mut (dyn FnMut() + Send),
    ) -> Result<Infallible, BrokerError> {
        let mut connection = self.address.connect().await?;
        let key = self.keys.key(Bell::Stop);
        let mut read = match self.read.clone() {
            Some(read) => {
                // That it may be asked at all.
                answered::<u64, _>(ANSWER_WITHIN, cmd("XLEN").arg(&key).query_async(&mut connection)).await?;
                read
            }
            None => {
                let mut newest = cmd("XREVRANGE");
                newest.arg(&key).arg(&["+", "-", "COUNT", "1"]);
                let newest: Vec<Entry> = answered(ANSWER_WITHIN, newest.query_async(&mut connection)).await?;
                newest.into_iter().next().map_or_else(|| "0-0".to_owned(), |(identifier, _)| identifier)
            }
        };
        ready();
        loop {
            self.read = Some(read.clone());
            let mut next = cmd("XREAD");
            let block = u64::try_from(BLOCK.as_millis()).expect("it is a short time");
            next.arg("BLOCK").arg(block).arg("STREAMS").arg(&key).arg(&read);
            let streams: Option<Vec<(String, Vec<Entry>)>> =
                answered(BLOCK + ANSWER_WITHIN, next.query_async(&mut connection)).await?;
            let entries = streams.into_iter().flatten().flat_map(|(_, entries)| entries);
            if let Some((identifier, _)) = entries.last() {
                read = identifier;
                desk.stop();
            }
        }
    }
}
