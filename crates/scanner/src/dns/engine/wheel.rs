//! Deadlines of many queries, cheap to set and never taken back: what was answered in the meantime is recognised by its ticket.

use std::time::{Duration, Instant};

use super::flights::Ticket;

const TICK: Duration = Duration::from_millis(4);
/// Together they reach as far as the longest wait for an answer.
const SLOTS: usize = 1_100;

/// A hashed timing wheel of one turn.
pub(super) struct Wheel {
    start: Instant,
    slots: Vec<Vec<Ticket>>,
    /// The first tick that has not fired.
    next: u64,
    entries: usize,
}

impl Wheel {
    pub(super) fn new(start: Instant) -> Wheel {
        Wheel { start, slots: vec![Vec::new(); SLOTS], next: 0, entries: 0 }
    }

    fn slot(tick: u64) -> usize {
        usize::try_from(tick % SLOTS as u64).expect("less than the number of slots")
    }

    /// The ticket comes out of [`Wheel::fire`] at `due` or up to a tick later; what is due beyond the wheel, at its end.
    pub(super) fn set(&mut self, ticket: Ticket, due: Instant) {
        let ticks = due.saturating_duration_since(self.start).as_nanos().div_ceil(TICK.as_nanos());
        let tick = u64::try_from(ticks).unwrap_or(u64::MAX).clamp(self.next, self.next + SLOTS as u64 - 1);
        self.slots[Wheel::slot(tick)].push(ticket);
        self.entries += 1;
    }

    /// Moves what is due to `fired`.
    pub(super) fn fire(&mut self, now: Instant, fired: &mut Vec<Ticket>) {
        let elapsed = now.saturating_duration_since(self.start).as_nanos() / TICK.as_nanos();
        let last = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let mut left = SLOTS;
        while self.next <= last && left > 0 && self.entries > 0 {
            let slot = &mut self.slots[Wheel::slot(self.next)];
            self.entries -= slot.len();
            fired.append(slot);
            self.next += 1;
            left -= 1;
        }
        // After a turn without entries, or a long sleep, every slot has been emptied.
        self.next = self.next.max(last + 1);
    }

    /// When something may be due next.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.entries == 0 {
            return None;
        }
        let ahead = (0..SLOTS as u64).find(|ahead| !self.slots[Wheel::slot(self.next + ahead)].is_empty())?;
        let ticks = u32::try_from(self.next + ahead).unwrap_or(u32::MAX);
        Some(self.start + TICK * ticks)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_ticket_comes_once_not_early_and_not_late(
            steps in proptest::collection::vec((0..5_000u64, 0..4_000u64), 1..60)
        ) {
            let start = Instant::now();
            let mut wheel = Wheel::new(start);
            let (mut now, mut waiting, mut fired) = (start, Vec::new(), Vec::new());
            for (index, (pause, wait)) in steps.into_iter().enumerate() {
                now += Duration::from_millis(pause);
                wheel.fire(now, &mut fired);
                let ticket = Ticket { slot: 0, generation: u32::try_from(index).unwrap() };
                let due = now + Duration::from_millis(wait);
                wheel.set(ticket, due);
                waiting.push((ticket, due));
                for ticket in fired.drain(..) {
                    let position = waiting.iter().position(|(other, _)| *other == ticket);
                    prop_assert!(position.is_some(), "{ticket:?} came twice");
                    let (_, due) = waiting.remove(position.unwrap());
                    prop_assert!(due <= now, "early by {:?}", due - now);
                }
                let late = waiting.iter().find(|(_, due)| *due + 2 * TICK <= now);
                prop_assert!(late.is_none(), "late: {late:?}");
                prop_assert_eq!(wheel.due().is_some(), !waiting.is_empty());
            }
        }
    }
}
