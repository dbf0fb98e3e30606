//! Who is at work on the platform, as far as it has been heard.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use crate::Stage;

/// How often a worker says that it is there.
pub const HEARD_EVERY: Duration = Duration::from_secs(5);
/// Who was not heard of for so long is not counted: two words may be lost.
pub const SILENT_AFTER: Duration = Duration::from_secs(15);

/// What was heard of one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// For which stages it works.
    pub stages: Vec<Stage>,
    /// When it was heard of last, by the store's clock.
    pub last_heard: Timestamp,
}

/// Who is at work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attendance {
    /// How many workers.
    pub workers: usize,
    /// The stages that at least one of them works for.
    pub stages: BTreeSet<Stage>,
    /// Does an orchestrator lead?
    pub is_led: bool,
}

/// Who is missing for some work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// There is no worker at all.
    Everybody,
    /// There are workers, and none for these stages.
    Stages(BTreeSet<Stage>),
}

impl Attendance {
    /// What follows from what was heard until now. `led_until` is how long the last orchestrator that led has the office.
    pub fn of(presences: &[Presence], led_until: Option<Timestamp>, now: Timestamp) -> Attendance {
        let since = now.saturating_sub(SILENT_AFTER).unwrap_or(Timestamp::MIN);
        let there = presences.iter().filter(|presence| presence.last_heard > since);
        Attendance {
            workers: there.clone().count(),
            stages: there.flat_map(|presence| presence.stages.iter().copied()).collect(),
            is_led: led_until.is_some_and(|until| until > now),
        }
    }

    /// Who is missing for work of these stages, if anybody is.
    pub fn missing(&self, wanted: &BTreeSet<Stage>) -> Option<Missing> {
        let unserved: BTreeSet<Stage> = wanted.difference(&self.stages).copied().collect();
        match (self.workers, unserved.is_empty()) {
            (_, true) => None,
            (0, false) => Some(Missing::Everybody),
            (_, false) => Some(Missing::Stages(unserved)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn presence(stages: &[Stage], heard: i64) -> Presence {
        Presence { stages: stages.to_vec(), last_heard: at(heard) }
    }

    #[test]
    fn who_is_silent_for_long_is_not_there() {
        let presences = [presence(&[Stage::Ports], 90), presence(&[Stage::Check, Stage::Report], 80)];
        let wanted = BTreeSet::from([Stage::Ports, Stage::Check]);
        for (now, workers, missing) in [
            (90, 2, None),
            (94, 2, None),
            (95, 1, Some(Missing::Stages([Stage::Check].into()))),
            (104, 1, Some(Missing::Stages([Stage::Check].into()))),
            (105, 0, Some(Missing::Everybody)),
        ] {
            let attendance = Attendance::of(&presences, None, at(now));
            assert_eq!((attendance.workers, attendance.missing(&wanted)), (workers, missing), "{now}");
        }
        assert_eq!(Attendance::default().missing(&BTreeSet::new()), None, "nothing needs nobody");
    }

    #[test]
    fn an_office_that_ran_out_leads_nobody() {
        for (until, is_led) in
            [(None, false), (Some(at(9)), false), (Some(at(10)), false), (Some(at(11)), true)]
        {
            assert_eq!(Attendance::of(&[], until, at(10)).is_led, is_led, "{until:?}");
        }
    }
}
