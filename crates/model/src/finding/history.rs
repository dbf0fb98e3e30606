//! The life of a finding over many scans: what was seen and missed when, what a person decided, and what follows from both.
//!
//! A history is merged from pieces in whatever order they come, and however often: first and last times and the last decision are
//! all it keeps, so a scan that is imported twice, or late, changes nothing that it should not.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Account, Outcome};

/// What one look of one check at the finding's place says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// It is there.
    Seen,
    /// The check looked and it was not there.
    Missed,
    /// The check did not look, or could not: that says nothing.
    Blind,
}

impl Look {
    /// From how the check ended at the finding's place, and whether the finding was among what it found.
    pub fn of(outcome: Outcome, found: bool) -> Look {
        match outcome {
            _ if found => Look::Seen,
            Outcome::Matched | Outcome::NotMatched => Look::Missed,
            Outcome::Failed(_) | Outcome::Skipped(_) => Look::Blind,
        }
    }

    /// From the account of a check at a place, for a finding that was not among what it found there. Only one that looked at everything
    /// it was to look at says that something is gone.
    pub fn of_missing(account: &Account) -> Look {
        match account.planned {
            0 => Look::Blind,
            _ if account.failed_total() + account.skipped_total() > 0 => Look::Blind,
            _ if account.matched > 0 => Look::of(Outcome::Matched, false),
            _ => Look::of(Outcome::NotMatched, false),
        }
    }
}

/// What a person made of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It is true, and somebody takes care of it.
    Triaged,
    /// It is true, and stays until then.
    Accepted {
        /// From then on it is open again.
        until: Timestamp,
    },
    /// It is not true.
    FalsePositive,
    /// An earlier verdict is taken back.
    Withdrawn,
}

/// A verdict and when it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// When.
    pub at: Timestamp,
    /// What.
    pub verdict: Verdict,
}

/// What is kept of all looks and decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// When it was seen for the first time.
    pub first_seen: Timestamp,
    /// And for the last.
    pub last_seen: Timestamp,
    /// When a check that could have seen it last did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_missed: Option<Timestamp>,
    /// What a person made of it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}

/// Where a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(tag = "life", rename_all = "snake_case")]
#[schema(as = FindingLife)]
pub enum Life {
    /// It is there, and nobody has said anything.
    Open,
    /// It is there, and somebody takes care of it.
    Triaged,
    /// It is there, and may stay for a while.
    Accepted {
        /// For so long.
        until: Timestamp,
    },
    /// It seems to be there, and somebody knows better.
    FalsePositive,
    /// A check that could have seen it looked and did not.
    Fixed {
        /// When.
        since: Timestamp,
    },
    /// It was fixed once and is there again.
    Reopened {
        /// Not there the last time.
        after: Timestamp,
    },
}

impl Life {
    /// Every word for where a finding stands; first what somebody should act on.
    pub const WORDS: [&'static str; 6] =
        ["open", "reopened", "triaged", "accepted", "false-positive", "fixed"];

    /// Where it stands, in one word.
    pub fn word(&self) -> &'static str {
        match self {
            Life::Open => "open",
            Life::Reopened { .. } => "reopened",
            Life::Triaged => "triaged",
            Life::Accepted { .. } => "accepted",
            Life::FalsePositive => "false-positive",
            Life::Fixed { .. } => "fixed",
        }
    }

    /// Did somebody say that it is no problem, for now at least?
    pub fn is_dismissed(&self) -> bool {
        matches!(self, Life::Accepted { .. } | Life::FalsePositive)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Triaged => f.write_str("triaged"),
            Verdict::Accepted { until } => write!(f, "accepted until {until}"),
            Verdict::FalsePositive => f.write_str("false-positive"),
            Verdict::Withdrawn => f.write_str("withdrawn"),
        }
    }
}

impl History {
    /// Of a finding that was seen now for the first time.
    pub fn new(seen: Timestamp) -> History {
        History { first_seen: seen, last_seen: seen, last_missed: None, decision: None }
    }

    /// With another look at its place.
    #[must_use]
    pub fn looked(self, at: Timestamp, look: Look) -> History {
        match look {
            Look::Seen => self.merged(&History::new(at)),
            Look::Missed => History { last_missed: self.last_missed.max(Some(at)), ..self },
            Look::Blind => self,
        }
    }

    /// With what somebody says of it.
    #[must_use]
    pub fn decided(self, decision: Decision) -> History {
        History { decision: self.decision.max(Some(decision)), ..self }
    }

    /// What two pieces know together.
    #[must_use]
    pub fn merged(self, other: &History) -> History {
        History {
            first_seen: self.first_seen.min(other.first_seen),
            last_seen: self.last_seen.max(other.last_seen),
            last_missed: self.last_missed.max(other.last_missed),
            decision: self.decision.max(other.decision),
        }
    }

    /// Of a finding that can be seen from several places, each with looks of its own: it is missed only when it is missed
    /// everywhere. None without any place.
    pub fn over(places: &[History], decision: Option<Decision>) -> Option<History> {
        let there = |place: &&History| place.last_missed.is_none_or(|missed| missed <= place.last_seen);
        let first_seen = places.iter().map(|place| place.first_seen).min()?;
        let last_seen = places.iter().map(|place| place.last_seen).max()?;
        let last_missed = match places.iter().any(|place| there(&place)) {
            // It came back somewhere, if it was missed there once; where it is still missed says nothing about the whole.
            true => places.iter().filter(there).filter_map(|place| place.last_missed).max(),
            false => places.iter().filter_map(|place| place.last_missed).max(),
        };
        Some(History { first_seen, last_seen, last_missed, decision })
    }

    /// Where it stands.
    pub fn life(&self, now: Timestamp) -> Life {
        if let Some(missed) = self.last_missed.filter(|missed| *missed > self.last_seen) {
            return Life::Fixed { since: missed };
        }
        let came_back = self.last_missed.filter(|missed| *missed > self.first_seen);
        match self.decision.map(|decision| (decision.verdict, decision.at)) {
            // What is not true does not become true by being seen again; what was accepted was accepted until then.
            Some((Verdict::FalsePositive, _)) => Life::FalsePositive,
            Some((Verdict::Accepted { until }, _)) if now < until => Life::Accepted { until },
            Some((Verdict::Triaged, at)) if came_back.is_none_or(|missed| missed < at) => Life::Triaged,
            _ => came_back.map_or(Life::Open, |after| Life::Reopened { after }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{FailReason, SkipReason};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn says(verdict: Verdict, second: i64) -> Decision {
        Decision { at: at(second), verdict }
    }

    #[test]
    fn only_a_check_that_looked_can_miss_something() {
        for (outcome, found, look) in [
            (Outcome::Matched, true, Look::Seen),
            (Outcome::Matched, false, Look::Missed),
            (Outcome::NotMatched, false, Look::Missed),
            (Outcome::Failed(FailReason::TimedOut), false, Look::Blind),
            (Outcome::Skipped(SkipReason::HostUnresponsive), false, Look::Blind),
        ] {
            assert_eq!(Look::of(outcome, found), look, "{outcome:?}");
        }
    }

    #[test]
    fn only_a_check_that_looked_at_everything_can_miss_something() {
        let failed = Outcome::Failed(FailReason::TimedOut);
        let skipped = Outcome::Skipped(SkipReason::Precondition);
        for (planned, ends, look) in [
            (0, &[][..], Look::Blind),
            (1, &[Outcome::NotMatched], Look::Missed),
            (1, &[Outcome::Matched], Look::Missed),
            (1, &[failed], Look::Blind),
            (1, &[skipped], Look::Blind),
            (3, &[Outcome::NotMatched, Outcome::Matched, Outcome::NotMatched], Look::Missed),
            (3, &[Outcome::NotMatched, Outcome::NotMatched, failed], Look::Blind),
            (3, &[Outcome::Matched, skipped, Outcome::NotMatched], Look::Blind),
        ] {
            let mut account = Account { planned, ..Account::default() };
            ends.iter().for_each(|outcome| account.end(*outcome));
            assert_eq!(Look::of_missing(&account), look, "{account:?}");
        }
        // What it found and could not give back is not gone either.
        let mut account = Account { planned: 1, matched: 1, ..Account::default() };
        account.retract(1, FailReason::TooMuch);
        assert_eq!(Look::of_missing(&account), Look::Blind);
    }

    #[test]
    fn a_finding_is_opened_fixed_and_reopened() {
        let history = History::new(at(10));
        assert_eq!(history.life(at(11)), Life::Open);
        assert_eq!(history.looked(at(20), Look::Blind).life(at(21)), Life::Open, "not looked is not fixed");
        let fixed = history.looked(at(20), Look::Missed);
        assert_eq!(fixed.life(at(21)), Life::Fixed { since: at(20) });
        let again = fixed.looked(at(30), Look::Seen);
        assert_eq!(again.life(at(31)), Life::Reopened { after: at(20) });
        assert_eq!(again.looked(at(40), Look::Missed).life(at(41)), Life::Fixed { since: at(40) });
        // A look from before it was there for the first time.
        assert_eq!(history.looked(at(5), Look::Missed).life(at(11)), Life::Open);
    }

    #[test]
    fn what_people_say_holds_as_long_as_it_means_this() {
        let history = History::new(at(10));
        let triaged = history.decided(says(Verdict::Triaged, 12));
        assert_eq!(triaged.life(at(13)), Life::Triaged);
        let back = triaged.looked(at(20), Look::Missed).looked(at(30), Look::Seen);
        assert_eq!(
            back.life(at(31)),
            Life::Reopened { after: at(20) },
            "it was taken care of, and came back"
        );
        assert_eq!(back.decided(says(Verdict::Triaged, 32)).life(at(33)), Life::Triaged);

        let until = at(100);
        let accepted = history.decided(says(Verdict::Accepted { until }, 12));
        assert_eq!(accepted.life(at(99)), Life::Accepted { until });
        assert_eq!(accepted.life(at(100)), Life::Open);
        assert_eq!(accepted.looked(at(20), Look::Missed).life(at(21)), Life::Fixed { since: at(20) });

        let denied = history.decided(says(Verdict::FalsePositive, 12));
        assert_eq!(denied.looked(at(20), Look::Seen).life(at(21)), Life::FalsePositive);
        assert_eq!(denied.decided(says(Verdict::Withdrawn, 22)).life(at(23)), Life::Open);
        assert_eq!(
            denied.decided(says(Verdict::Withdrawn, 11)).life(at(23)),
            Life::FalsePositive,
            "said before"
        );
    }

    #[test]
    fn only_what_somebody_calls_no_problem_is_dismissed() {
        let until = at(100);
        let lives = [
            Life::Open,
            Life::Reopened { after: at(1) },
            Life::Triaged,
            Life::Accepted { until },
            Life::FalsePositive,
            Life::Fixed { since: at(1) },
        ];
        assert_eq!(lives.map(|life| life.word()), Life::WORDS);
        let dismissed = lives.iter().filter(|life| life.is_dismissed()).map(Life::word);
        assert_eq!(dismissed.collect::<Vec<_>>(), ["accepted", "false-positive"]);
    }

    #[test]
    fn a_finding_is_fixed_when_it_is_missed_at_every_place() {
        let place =
            |seen, missed: Option<i64>| History { last_missed: missed.map(at), ..History::new(at(seen)) };
        for (places, life) in [
            (vec![place(10, None), place(12, None)], Life::Open),
            (vec![place(10, Some(20)), place(12, None)], Life::Open),
            (vec![place(10, Some(20)), place(12, Some(22))], Life::Fixed { since: at(22) }),
            (
                vec![place(30, Some(20)).merged(&place(10, None)), place(12, Some(40))],
                Life::Reopened { after: at(20) },
            ),
        ] {
            assert_eq!(History::over(&places, None).unwrap().life(at(50)), life, "{places:?}");
        }
        assert_eq!(History::over(&[], None), None);
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Look(i64, Look),
        Decide(Decision),
    }

    fn step() -> impl Strategy<Value = Step> {
        let look = prop_oneof![Just(Look::Seen), Just(Look::Missed), Just(Look::Blind)];
        let verdict = prop_oneof![
            Just(Verdict::Triaged),
            Just(Verdict::FalsePositive),
            Just(Verdict::Withdrawn),
            (0_i64..60).prop_map(|until| Verdict::Accepted { until: at(until) }),
        ];
        prop_oneof![
            (0_i64..60, look).prop_map(|(second, look)| Step::Look(second, look)),
            (0_i64..60, verdict).prop_map(|(second, verdict)| Step::Decide(says(verdict, second))),
        ]
    }

    fn after<'s>(steps: impl IntoIterator<Item = &'s Step>) -> History {
        steps.into_iter().fold(History::new(at(30)), |history, step| match *step {
            Step::Look(second, look) => history.looked(at(second), look),
            Step::Decide(decision) => history.decided(decision),
        })
    }

    proptest! {
        #[test]
        fn order_and_repetition_change_nothing(
            steps in proptest::collection::vec(step(), 0..12),
            order in any::<u64>(),
            split in 0_usize..12,
        ) {
            let whole = after(&steps);
            let mut shuffled = steps.clone();
            let count = shuffled.len().max(1);
            for index in 0..shuffled.len() {
                shuffled.swap(index, (order as usize).wrapping_mul(index + 7) % count);
            }
            prop_assert_eq!(after(&shuffled), whole);
            prop_assert_eq!(after(steps.iter().chain(&shuffled)), whole, "imported twice");
            let (one, other) = steps.split_at(split.min(steps.len()));
            prop_assert_eq!(after(one).merged(&after(other)), whole, "in two pieces");
        }
    }
}
