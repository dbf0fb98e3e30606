//! Counts of short times that all processes of an installation add to.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use model::{SecretUrl, limits::SharedCount};
use redis::{aio::MultiplexedConnection, pipe};

use super::{Address, Keys, Redis};
use crate::doorbell::{BrokerError, DoorbellError, Settings, remote::answered};

/// How long whoever asks waits: the answer is worth less than that they wait.
const WITHIN: Duration = Duration::from_millis(250);
/// For how long nobody tries it again after it did not answer.
const REST: Duration = Duration::from_secs(1);

/// What `PTTL` says of what never ends.
const ENDLESS: i64 = -1;

/// Where a server is that keeps counts.
#[derive(Debug)]
pub struct Counts {
    address: Mutex<Arc<Address>>,
    keys: Keys,
    line: Mutex<Line>,
}

#[derive(Debug)]
enum Line {
    Open(MultiplexedConnection),
    /// It may be tried again from then on.
    Closed(Instant),
}

impl Counts {
    pub(in crate::doorbell) fn new(address: &str, settings: &Settings) -> Result<Counts, String> {
        let Redis { address, keys } = Redis::new(address, settings)?;
        Ok(Counts { address: Mutex::new(address), keys, line: Mutex::new(Line::Closed(Instant::now())) })
    }

    /// Counts at that address from now on, and what is counted here is forgotten.
    ///
    /// # Errors
    /// When the address, or the certificates of the settings, cannot be used.
    pub fn turn_to(&self, address: &str, settings: &Settings) -> Result<(), DoorbellError> {
        let other = Redis::new(address, settings)
            .map_err(|reason| DoorbellError::Address { address: SecretUrl::new(address), reason })?;
        *self.address() = other.address;
        *self.line() = Line::Closed(Instant::now());
        Ok(())
    }

    /// Adds to each, and tells what it is by then, and for how long it still goes on.
    ///
    /// # Errors
    /// When the server does not answer soon: it may have been added or not.
    pub async fn add(&self, counts: &[SharedCount]) -> Result<Vec<(u64, Duration)>, BrokerError> {
        let added = answered(WITHIN, self.ask(counts)).await;
        if added.is_err() {
            *self.line() = Line::Closed(Instant::now() + REST);
        }
        added
    }

    async fn ask(&self, counts: &[SharedCount]) -> Result<Vec<(u64, Duration)>, BrokerError> {
        let mut line = self.connected().await?;
        let mut commands = pipe();
        for SharedCount { name, add, window } in counts {
            let key = self.keys.count(name);
            let window = u64::try_from(window.as_millis())?;
            // Who adds first says when it is over.
            commands.cmd("SET").arg(&key).arg(0).arg("PX").arg(window).arg("NX").ignore();
            commands.cmd("INCRBY").arg(&key).arg(*add);
            commands.cmd("PTTL").arg(&key);
        }
        let answers: Vec<i64> = commands.query_async(&mut line).await?;
        self.end_endless(&mut line, counts, &answers).await?;
        let read = |pair: &[i64]| {
            let count = u64::try_from(pair[0]).unwrap_or_default();
            (count, Duration::from_millis(u64::try_from(pair[1]).unwrap_or_default()))
        };
        match answers.len() == 2 * counts.len() {
            true => Ok(answers.chunks_exact(2).map(read).collect()),
            false => Err("the server did not answer what it was asked".into()),
        }
    }

    /// What was over between the first command and the second was made anew by the second, without an end: it gets one.
    async fn end_endless(
        &self,
        line: &mut MultiplexedConnection,
        counts: &[SharedCount],
        answers: &[i64],
    ) -> Result<(), BrokerError> {
        let mut commands = pipe();
        let left = answers.chunks_exact(2).map(|pair| pair[1]);
        for (SharedCount { name, window, .. }, _) in
            counts.iter().zip(left).filter(|(_, left)| *left == ENDLESS)
        {
            let window = u64::try_from(window.as_millis())?;
            commands.cmd("PEXPIRE").arg(self.keys.count(name)).arg(window).ignore();
        }
        if !commands.is_empty() {
            commands.query_async::<()>(line).await?;
        }
        Ok(())
    }

    async fn connected(&self) -> Result<MultiplexedConnection, BrokerError> {
        match &*self.line() {
            Line::Open(line) => return Ok(line.clone()),
            Line::Closed(until) if Instant::now() < *until => return Err("it did not answer just now".into()),
            Line::Closed(_) => {}
        }
        let address = Arc::clone(&self.address());
        let line = address.connect().await?;
        // Whoever turned elsewhere meanwhile is not brought back.
        let by_now = self.address();
        if Arc::ptr_eq(&by_now, &address) {
            *self.line() = Line::Open(line.clone());
        }
        Ok(line)
    }

    fn address(&self) -> std::sync::MutexGuard<'_, Arc<Address>> {
        self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self) -> std::sync::MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
