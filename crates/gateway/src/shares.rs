//! What all gateways of a platform together give to somebody: each counts by itself, tells the others through a place that they all
//! reach, and gives nothing more to who has had all. While that place is away each of them goes by what it has counted itself.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    num::NonZeroU32,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use model::{TenantId, limits::SharedCount};

use crate::{caller::Counted, limits::Machine};

/// How often the others are told.
const EVERY: Duration = Duration::from_millis(100);
/// For so long what is given is counted together.
const WINDOW: Duration = Duration::from_secs(1);
/// Who has had less than this part of what they may have is nobody's business yet: many ask seldom.
const PART: u64 = 16;

/// Adds to counts, and tells what each is by then and for how long it still goes on; or why not.
pub type Counting =
    Box<dyn Fn(Vec<SharedCount>) -> BoxFuture<'static, Result<Vec<(u64, Duration)>, String>> + Send + Sync>;

/// To whom something is given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    Address(Machine),
    Caller(Counted),
    Tenant(TenantId),
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whose::Address(machine) => write!(f, "address:{machine}"),
            Whose::Caller(Counted::Key(prefix)) => write!(f, "key:{prefix}"),
            Whose::Caller(Counted::Person(user)) => write!(f, "person:{user}"),
            Whose::Tenant(tenant) => write!(f, "tenant:{tenant}"),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Share {
    /// Since the others were told.
    taken: u64,
    most: u64,
    /// They have had all until then.
    spent_until: Option<Instant>,
}

/// What this gateway gives, and what it knows of the others.
pub(crate) struct Shares {
    counting: Option<Counting>,
    all: Mutex<HashMap<Whose, Share>>,
    alone: AtomicBool,
}

impl Shares {
    /// With nobody else without a place to count at.
    pub(crate) fn new(counting: Option<Counting>) -> Shares {
        Shares { counting, all: Mutex::default(), alone: AtomicBool::new(false) }
    }

    /// One more, unless all of them together have given as much as they may within a second.
    pub(crate) fn take(&self, whose: impl FnOnce() -> Whose, most: NonZeroU32) -> Result<(), Duration> {
        if self.counting.is_none() {
            return Ok(());
        }
        let nothing = Share { taken: 0, most: most.get().into(), spent_until: None };
        let mut all = self.all();
        let share = all.entry(whose()).or_insert(nothing);
        if let Some(left) = share.spent_until.and_then(|until| until.checked_duration_since(Instant::now())) {
            return Err(left.max(Duration::from_millis(1)));
        }
        share.taken += 1;
        Ok(())
    }

    /// One more of what is counted before it is done, since there is little of it.
    pub(crate) async fn take_scarce(
        &self,
        what: &str,
        machine: Machine,
        most: NonZeroU32,
        window: Duration,
    ) -> Result<(), Duration> {
        let Some(counting) = &self.counting else { return Ok(()) };
        let name = format!("{what}:{machine}");
        match counting(vec![SharedCount { name, add: 1, window }]).await {
            Ok(told) => {
                self.heard(Ok(()));
                let over = told.first().filter(|(count, _)| *count > u64::from(most.get()));
                over.map_or(Ok(()), |(_, left)| Err((*left).max(Duration::from_millis(1))))
            }
            Err(why) => {
                self.heard(Err(&why));
                Ok(())
            }
        }
    }

    /// Tells the others now and then, and hears of them.
    pub(crate) async fn go_on(&self) -> Infallible {
        let Some(counting) = &self.counting else { return std::future::pending().await };
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut begun = Instant::now();
        loop {
            every.tick().await;
            let (whose, counts): (Vec<Whose>, Vec<SharedCount>) = self.to_tell().into_iter().unzip();
            if !counts.is_empty() {
                match counting(counts).await {
                    Ok(told) => {
                        self.heard(Ok(()));
                        self.learn(whose, told);
                    }
                    Err(why) => self.heard(Err(&why)),
                }
            }
            if begun.elapsed() >= WINDOW {
                begun = Instant::now();
                self.all().retain(|_, share| share.spent_until.is_some_and(|until| until > begun));
            }
        }
    }

    fn to_tell(&self) -> Vec<(Whose, SharedCount)> {
        let mut told = Vec::new();
        for (whose, share) in self.all().iter_mut() {
            if share.taken > 0 && share.taken * PART >= share.most {
                let add = std::mem::take(&mut share.taken);
                told.push((whose.clone(), SharedCount { name: whose.to_string(), add, window: WINDOW }));
            }
        }
        told
    }

    fn learn(&self, whose: Vec<Whose>, told: Vec<(u64, Duration)>) {
        let mut all = self.all();
        for (whose, (count, left)) in whose.iter().zip(told) {
            if let Some(share) = all.get_mut(whose) {
                share.spent_until = (count >= share.most).then(|| Instant::now() + left.min(WINDOW));
            }
        }
    }

    /// Once when it begins, and once when it is over.
    fn heard(&self, told: Result<(), &str>) {
        let was_alone = self.alone.swap(told.is_err(), Ordering::Relaxed);
        match told {
            Err(why) if !was_alone => {
                tracing::warn!(
                    why,
                    "what others give is not known: this gateway counts its limits for itself"
                );
            }
            Ok(()) if was_alone => tracing::info!("the limits are counted together with the others again"),
            _ => {}
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Whose, Share>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of what there is little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scarce {
    /// Before a password is looked at.
    Login,
    /// Before a provider of identities is asked who it was.
    Return,
    /// Before an invitation is looked at.
    SignUp,
}

impl Scarce {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scarce::Login => "login",
            Scarce::Return => "return",
            Scarce::SignUp => "sign-up",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: Duration = Duration::from_millis(700);

    fn shares() -> Shares {
        Shares::new(Some(Box::new(|_| Box::pin(std::future::pending()))))
    }

    fn take(shares: &Shares, whose: u32, times: usize) -> Vec<Result<(), Duration>> {
        let most = NonZeroU32::new(32).unwrap();
        (0..times)
            .map(|_| shares.take(|| Whose::Address(Machine::at(whose.to_be_bytes().into())), most))
            .collect()
    }

    /// One of them tells, and hears what all have given.
    fn tell(shares: &Shares, all: &mut HashMap<String, u64>) -> usize {
        let (whose, counts): (Vec<Whose>, Vec<SharedCount>) = shares.to_tell().into_iter().unzip();
        let told = counts.into_iter().map(|SharedCount { name, add, .. }| {
            let count = all.entry(name).or_default();
            *count += add;
            (*count, LEFT)
        });
        shares.learn(whose, told.collect());
        all.len()
    }

    #[test]
    fn who_had_all_from_all_together_gets_nothing_more() {
        let ([a, b], mut all) = ([shares(), shares()], HashMap::new());
        for gateway in [&a, &b] {
            assert!(take(gateway, 1, 20).iter().all(Result::is_ok));
        }
        tell(&a, &mut all);
        assert_eq!(take(&a, 1, 1), [Ok(())], "nobody else has told anything");
        tell(&b, &mut all);
        let waits = take(&b, 1, 1)[0].unwrap_err();
        assert!(waits <= LEFT && waits > Duration::ZERO, "{waits:?}");
        assert_eq!(take(&a, 1, 1), [Ok(())], "it has not heard yet");
        tell(&a, &mut all);
        assert!(take(&a, 1, 1)[0].is_err());
        // Others are others, and who asks seldom is nobody's business.
        assert_eq!((take(&b, 2, 1), tell(&b, &mut all)), (vec![Ok(())], 1));
        assert!(take(&b, 2, 1)[0].is_ok());
        assert_eq!(tell(&b, &mut all), 2);
    }

    #[test]
    fn a_gateway_without_others_gives_what_it_has() {
        let alone = Shares::new(None);
        assert!(take(&alone, 1, 1_000).iter().all(Result::is_ok));
        assert_eq!(alone.all().len(), 0, "nothing is kept of who asked");
    }
}
