//! What is to start now.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CatchUp, Overlap, Schedule, just_before};

/// Missed runs that are looked at one by one; of more only the last are found.
const MOST_COUNTED: u64 = 1_000;

/// How far a schedule has come: what is kept of it between two looks, in the same transaction as what was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Planned times up to this one have been decided about.
    pub last_planned: Timestamp,
    /// The planned time of a run that waits for the one before to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<Timestamp>,
}

impl Progress {
    /// Of a schedule that was made, resumed or changed at that time: nothing before it was missed.
    pub fn since(now: Timestamp) -> Progress {
        Progress { last_planned: now, queued: None }
    }
}

/// What to do about a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Planned times of the runs to start now, the earliest first: at most one, but for [`CatchUp::All`].
    pub start: Vec<Timestamp>,
    /// Runs that will not take place: overlapping, too late, or because another is started for them. Of more than 1,000 at least
    /// so many.
    pub skipped: u64,
    /// What to record.
    pub progress: Progress,
    /// When to look again at the latest, besides when a run ends or the schedule is changed. None: nothing will come.
    pub look_again: Option<Timestamp>,
}

/// Runs whose time has come.
#[derive(Debug, Default)]
struct Backlog {
    /// The last ones, as many as were asked for; the earliest first.
    last: Vec<Timestamp>,
    /// Of all of them.
    count: u64,
}

impl Schedule {
    /// Which runs to start now. `running`: a run of this schedule has not ended. `seed`: see [`Schedule::start_of`].
    ///
    /// Whoever records [`Due::progress`] before it looks again starts no run twice, whatever clocks do. During a blackout nothing is
    /// decided: what is late then waits for its end.
    pub fn due(&self, progress: &Progress, now: Timestamp, running: bool, seed: u64) -> Due {
        let wanted = match self.catch_up {
            CatchUp::All { at_most } => at_most.clamp(1, CatchUp::MOST) as usize,
            CatchUp::Skip { .. } | CatchUp::Once => 1,
        };
        let backlog = self.backlog(progress.last_planned, now, seed, wanted);
        if (!backlog.last.is_empty() || progress.queued.is_some())
            && !self.has_ended(now)
            && let Some(end) = self.blackout_end(now)
        {
            let look_again = (end < Timestamp::MAX).then_some(end);
            return Due { start: Vec::new(), skipped: 0, progress: *progress, look_again };
        }
        let last_planned = backlog.last.last().copied().unwrap_or(progress.last_planned);
        let before = backlog.count + u64::from(progress.queued.is_some());
        let (start, queued) = if self.has_ended(now) {
            (Vec::new(), None)
        } else {
            self.choose(backlog, progress.queued, now, running, seed, wanted)
        };
        let skipped = before - start.len() as u64 - u64::from(queued.is_some());
        let look_again = self.next_after(last_planned).map(|next| self.start_of(next, seed));
        Due { start, skipped, progress: Progress { last_planned, queued }, look_again }
    }

    /// What starts, and what waits.
    fn choose(
        &self,
        backlog: Backlog,
        queued: Option<Timestamp>,
        now: Timestamp,
        running: bool,
        seed: u64,
        wanted: usize,
    ) -> (Vec<Timestamp>, Option<Timestamp>) {
        let mut late = backlog.last;
        if let CatchUp::Skip { grace } = self.catch_up {
            late.retain(|planned| {
                now <= self.start_of(*planned, seed).saturating_add(grace).unwrap_or(Timestamp::MAX)
            });
        }
        match self.overlap {
            Overlap::Skip if running => (Vec::new(), None),
            Overlap::Queue if running => (Vec::new(), late.pop().or(queued)),
            _ => {
                late.splice(0..0, queued);
                (late.split_off(late.len().saturating_sub(wanted)), None)
            }
        }
    }

    /// Starts are in the order of their planned times: of those that lie before now only the last may not have come.
    fn backlog(&self, after: Timestamp, now: Timestamp, seed: u64, wanted: usize) -> Backlog {
        let mut backlog = Backlog::default();
        let mut next = self.planned_by(after, now);
        while let Some(planned) = next {
            if backlog.count == MOST_COUNTED {
                backlog.last.extend(self.last_ready(planned, now, seed, wanted));
                backlog.last.drain(..backlog.last.len().saturating_sub(wanted));
                break;
            }
            next = self.planned_by(planned, now);
            if next.is_none() && self.start_of(planned, seed) > now {
                break;
            }
            if backlog.last.len() == wanted {
                backlog.last.remove(0);
            }
            backlog.last.push(planned);
            backlog.count += 1;
        }
        backlog
    }

    fn planned_by(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        self.next_after(after).filter(|planned| *planned <= until)
    }

    /// The last planned times from the first one on whose starts have come.
    pub(super) fn last_ready(
        &self,
        first: Timestamp,
        now: Timestamp,
        seed: u64,
        wanted: usize,
    ) -> Vec<Timestamp> {
        let mut last = Vec::new();
        let mut until = now;
        while last.len() < wanted {
            let found = self.last_planned(first, until);
            if self.start_of(found, seed) <= now {
                last.push(found);
            }
            match just_before(found).filter(|before| *before >= first) {
                Some(before) => until = before,
                None => break,
            }
        }
        last.reverse();
        last
    }

    /// The last planned time until then, of which this is one: halves the time rather than going through years of minutes.
    fn last_planned(&self, first: Timestamp, until: Timestamp) -> Timestamp {
        let (mut found, mut beyond) = (first, until);
        while let Some(middle) = middle(found, beyond) {
            match self.planned_by(middle, until) {
                Some(planned) => found = planned,
                None => beyond = middle,
            }
        }
        found
    }
}

/// Not before the one and before the other; none if they are the same.
fn middle(from: Timestamp, until: Timestamp) -> Option<Timestamp> {
    let distance = until.as_nanosecond() - from.as_nanosecond();
    if distance < 1 { None } else { Timestamp::from_nanosecond(from.as_nanosecond() + distance / 2).ok() }
}
