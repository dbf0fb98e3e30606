//! Rate caps.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

/// How far ahead of an even spacing turns may be given: timers are no finer than a millisecond.
const SLACK: Duration = Duration::from_millis(10);

/// How many processes have the same caps between them.
#[derive(Debug, Clone)]
pub(super) struct Sharers(Arc<AtomicU32>);

impl Default for Sharers {
    /// One alone.
    fn default() -> Sharers {
        Sharers(Arc::new(AtomicU32::new(1)))
    }
}

impl Sharers {
    fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Zero counts as one.
    pub(super) fn set(&self, count: u32) {
        self.0.store(count.max(1), Ordering::Relaxed);
    }
}

/// A hard cap: in no window of one second are more than `per_second` turns given. The generic cell rate algorithm (ITU-T
/// I.371) with a small burst, at 95 % of the cap so that late wake-ups do not add up to more than it. Waiters are served in
/// order.
#[derive(Debug)]
pub struct RateLimit {
    /// Between two turns, for somebody who has the cap alone.
    alone: Duration,
    sharers: Sharers,
    /// When the next turn is due; held by the waiter whose turn comes next.
    next: Mutex<Option<Instant>>,
}

impl RateLimit {
    /// Zero counts as one.
    pub fn per_second(cap: u32) -> RateLimit {
        RateLimit {
            alone: Duration::from_secs_f64(1.0 / 0.95 / f64::from(cap.max(1))),
            sharers: Sharers::default(),
            next: Mutex::new(None),
        }
    }

    /// Of this cap, gives the part that is left to one of so many.
    pub(super) fn among(self, sharers: &Sharers) -> RateLimit {
        RateLimit { sharers: sharers.clone(), ..self }
    }

    fn interval(&self) -> Duration {
        self.alone * self.sharers.count()
    }

    /// Waits for one turn.
    pub async fn turn(&self) {
        self.turns(1).await;
    }

    /// Waits for `count` turns in one piece. Keep `count` small against the cap: the piece is given at once.
    pub async fn turns(&self, count: u32) {
        let mut next = self.next.lock().await;
        let now = Instant::now();
        let due = next.map_or(now, |due| due.max(now));
        // Written first: a waiter that is dropped while it sleeps has used its turn, never the other way round.
        *next = Some(due + self.interval() * count);
        let start = due.checked_sub(SLACK).unwrap_or(due);
        if start > now {
            sleep_until(start).await;
            // Who woke up late moves everybody behind: the time that was slept through is not made up for.
            *next = Some(due.max(Instant::now()) + self.interval() * count);
        }
    }

    /// Waits for one turn here and one of `other`, and counts it here when both are given: a turn that was had here long
    /// before `other` gave its own would come at the same time as later ones.
    pub async fn turn_with(&self, other: &RateLimit) {
        let mut next = self.next.lock().await;
        let now = Instant::now();
        let due = next.map_or(now, |due| due.max(now));
        let start = due.checked_sub(SLACK).unwrap_or(due);
        if start > now {
            sleep_until(start).await;
        }
        other.turn().await;
        *next = Some(due.max(Instant::now()) + self.interval());
    }

    /// Would a turn be given at once?
    pub fn is_due(&self) -> bool {
        self.next.try_lock().is_ok_and(|next| next.is_none_or(|due| due <= Instant::now()))
    }

    /// Gives as many turns as are due by now, at most `most` and at least one, without waiting; else when the next is due.
    pub fn turns_now(&self, most: u32) -> Result<u32, Instant> {
        let now = Instant::now();
        // Somebody waits for a turn that comes before any of these.
        let Ok(mut next) = self.next.try_lock() else { return Err(now + Duration::from_millis(1)) };
        let due = next.map_or(now, |due| due.max(now));
        let start = due.checked_sub(SLACK).unwrap_or(due);
        if start > now {
            return Err(start);
        }
        let saved = (now - start).as_nanos() / self.interval().as_nanos().max(1);
        let count = u32::try_from(saved + 1).unwrap_or(u32::MAX).min(most);
        *next = Some(due + self.interval() * count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_window_of_a_second_holds_more_than_the_cap() {
        for cap in [1, 7, 200, 5_000] {
            let limit = RateLimit::per_second(cap);
            let mut turns = Vec::new();
            for _ in 0..cap * 3 {
                limit.turn().await;
                turns.push(Instant::now());
            }
            for (index, start) in turns.iter().enumerate() {
                let within =
                    turns[index..].iter().take_while(|turn| **turn - *start < Duration::from_secs(1)).count();
                assert!(within <= cap as usize, "{within} turns in a second, cap {cap}");
            }
            let took = (turns[turns.len() - 1] - turns[0]).as_secs_f64();
            assert!(took < 3.3, "the cap of {cap} is not used: 3 seconds' worth took {took} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_share_a_cap_keep_it_together_and_use_it() {
        let (cap, processes) = (90, 3);
        let limits = (0..processes).map(|_| {
            let sharers = Sharers::default();
            sharers.set(processes);
            RateLimit::per_second(cap).among(&sharers)
        });
        let begin = Instant::now();
        let working = limits.map(|limit| async move {
            let mut turns = 0;
            while begin.elapsed() < Duration::from_millis(999) {
                limit.turn().await;
                turns += 1;
            }
            turns
        });
        let turns: u32 = futures_util::future::join_all(working).await.into_iter().sum();
        assert!((80..=cap + processes).contains(&turns), "{turns} turns in a second, cap {cap}");
    }

    #[tokio::test(start_paused = true)]
    async fn turns_given_at_once_keep_the_cap_too() {
        for cap in [1, 7, 2_000, 500_000] {
            let limit = RateLimit::per_second(cap);
            let (begin, mut given) = (Instant::now(), 0);
            while begin.elapsed() < Duration::from_millis(999) {
                match limit.turns_now(64) {
                    Ok(count) => given += count,
                    Err(due) => tokio::time::sleep_until(due).await,
                }
            }
            assert!(given <= cap, "{given} turns in a second, cap {cap}");
            assert!(given + 1 >= cap * 9 / 10, "{given} turns in a second leave the cap of {cap} unused");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_waits_for_another_limit_is_not_saved_up() {
        let (host, other, all) =
            (RateLimit::per_second(10), RateLimit::per_second(1_000), RateLimit::per_second(20));
        let busy = async {
            let turns = (0..100).map(|_| other.turn_with(&all));
            futures_util::future::join_all(turns).await;
        };
        let watched = async {
            let turns = (0..40).map(|_| async {
                host.turn_with(&all).await;
                Instant::now()
            });
            futures_util::future::join_all(turns).await
        };
        let (turns, ()) = tokio::join!(watched, busy);
        for (index, start) in turns.iter().enumerate() {
            let within =
                turns[index..].iter().take_while(|turn| **turn - *start < Duration::from_secs(1)).count();
            assert!(within <= 10, "{within} turns in a second, cap 10");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_was_slept_through_is_not_made_up_for() {
        let limit = RateLimit::per_second(20);
        limit.turn().await;
        let late = limit.turn();
        tokio::pin!(late);
        assert!(late.as_mut().now_or_never().is_none(), "two turns at once");
        tokio::time::advance(Duration::from_millis(400)).await;
        late.await;
        let woken = Instant::now();
        limit.turn().await;
        assert!(woken.elapsed() >= Duration::from_millis(40), "only {:?} after a late turn", woken.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_limit_saves_nothing_up() {
        let limit = RateLimit::per_second(100);
        limit.turn().await;
        tokio::time::advance(Duration::from_secs(60)).await;
        let start = Instant::now();
        for _ in 0..50 {
            limit.turn().await;
        }
        assert!(start.elapsed() >= Duration::from_millis(450));
    }
}
