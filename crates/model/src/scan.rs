//! A scan as a request, and what becomes of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{CheckId, Limits, Money, PortSet, Priority, Profile, Stage};

/// What somebody wants to know, besides the targets: those may be many, and are kept beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanRequest {
    /// The name of the tenant's scope that allows it.
    pub scope: String,
    /// How far to go.
    #[serde(default = "standard")]
    pub profile: Profile,
    /// Which stages.
    #[serde(default = "every_stage")]
    pub stages: BTreeSet<Stage>,
    /// Ports to look at; the profile's without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<PortSet>,
    /// Only these checks; all of them without any.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub only: BTreeSet<CheckId>,
    /// How urgent it is.
    #[serde(default)]
    pub priority: Priority,
    /// What was looked at in the last so many seconds, with the same checks, and looks the same now, is not looked at again.
    #[serde(default, with = "jiff::fmt::serde::unsigned_duration::required")]
    #[schema(value_type = String, pattern = "^P", example = "PT24H")]
    pub unchanged_for: Duration,
    /// What it may take.
    #[serde(default)]
    pub budget: Budget,
}

fn standard() -> Profile {
    Profile::Standard
}

fn every_stage() -> BTreeSet<Stage> {
    Stage::SCANNING.into()
}

impl ScanRequest {
    /// Everything as usual, in that scope.
    pub fn within(scope: &str) -> ScanRequest {
        ScanRequest {
            scope: scope.to_owned(),
            profile: standard(),
            stages: every_stage(),
            ports: None,
            only: BTreeSet::new(),
            priority: Priority::Normal,
            unchanged_for: Duration::ZERO,
            budget: Budget::default(),
        }
    }

    /// How long the scan may take.
    pub fn deadline(&self, limits: &Limits) -> Duration {
        self.budget.time.unwrap_or(limits.scan_deadline).min(limits.scan_deadline)
    }
}

/// What a scan may take. What is over it is left out, and said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Requests, probes and queries, in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// From the first task on.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "jiff::fmt::serde::unsigned_duration::optional"
    )]
    #[schema(value_type = Option<String>, pattern = "^P", example = "PT2H")]
    pub time: Option<Duration>,
    /// Things found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assets: Option<u64>,
    /// Units of work: whatever targets say of one another, a scan has an end.
    #[serde(default = "most_units")]
    pub units: u64,
    /// Money: the time that workers hold its tasks, at the price of that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Money>,
}

fn most_units() -> u64 {
    1_000_000
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { packets: None, time: None, assets: None, units: most_units(), cost: None }
    }
}

/// What a scan has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Requests, probes and queries.
    pub packets: u64,
    /// Things found.
    pub assets: u64,
    /// Units of work that were planned.
    pub units: u64,
    /// How long workers held its tasks, each from the claim to the end of a try, whatever came of it.
    pub worked: Duration,
    /// What that costs; none without a price.
    pub cost: Option<Money>,
}

/// As few packets as this are granted whole: what is left is not divided for ever.
const CRUMB: u64 = 16;
/// Of the packets that are left, at most one part of so many is granted at once: others may want some too.
const PARTS: u64 = 4;

impl Budget {
    /// How many packets somebody may send who wants to send so many, when `granted` were granted until now. All grants together are
    /// never more than the budget; what is not limited is always granted.
    pub fn grant(&self, wanted: u64, granted: u64) -> u64 {
        let left = self.packets.map_or(u64::MAX, |most| most.saturating_sub(granted));
        wanted.min((left / PARTS).max(CRUMB)).min(left)
    }

    /// What is used up, if anything is: nothing more is planned.
    pub fn exhausted(&self, used: &Used) -> Option<Exhausted> {
        self.spent(used).or((used.units >= self.units).then_some(Exhausted::Units))
    }

    /// What is used up by what was done, if anything is: not even what is planned may be done.
    pub fn spent(&self, used: &Used) -> Option<Exhausted> {
        let over = |most: Option<u64>, used: u64| most.is_some_and(|most| used >= most);
        // Without a price nobody can say that anything is left.
        let is_paid_out = |most: Money| used.cost.is_none_or(|cost| cost >= most);
        if over(self.packets, used.packets) {
            Some(Exhausted::Packets)
        } else if over(self.assets, used.assets) {
            Some(Exhausted::Assets)
        } else if self.cost.is_some_and(is_paid_out) {
            Some(Exhausted::Cost)
        } else {
            None
        }
    }
}

/// Which part of a budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Exhausted {
    /// Requests, probes and queries.
    Packets,
    /// Things found.
    Assets,
    /// Units of work.
    Units,
    /// Money.
    Cost,
}

impl Exhausted {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Exhausted::Packets => "packets",
            Exhausted::Assets => "assets",
            Exhausted::Units => "units",
            Exhausted::Cost => "money",
        }
    }
}

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum ScanEnd {
    /// Every unit had its turn.
    Complete,
    /// So many units failed for good, or were cancelled; the others had their turn.
    Failures {
        /// The tasks of those that failed are dead, and can be redriven.
        // Beside the units of the scan's record it needs a name of its own.
        #[serde(rename = "failed_units", alias = "units")]
        units: u64,
    },
    /// Somebody did not want it any more.
    Cancelled,
    /// Its time was up.
    Deadline,
    /// What it may take was used up.
    Budget {
        /// Of what.
        exhausted: Exhausted,
    },
}

impl ScanEnd {
    /// Is what was planned given up as well? Otherwise nothing more is planned, and what was is done.
    pub fn gives_up(self) -> bool {
        match self {
            ScanEnd::Cancelled | ScanEnd::Deadline => true,
            // It counts what was planned: that may be done.
            ScanEnd::Budget { exhausted } => exhausted != Exhausted::Units,
            ScanEnd::Complete | ScanEnd::Failures { .. } => false,
        }
    }

    /// Did every unit get its turn, and come to its end?
    pub fn is_complete(self) -> bool {
        self == ScanEnd::Complete
    }
}

/// Where a scan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ScanLife {
    /// There is work left.
    Running,
    /// There is none.
    Ended {
        /// When.
        at: Timestamp,
        /// How.
        #[serde(flatten)]
        end: ScanEnd,
    },
}

impl ScanLife {
    /// In a word.
    pub fn word(&self) -> &'static str {
        match self {
            ScanLife::Running => "running",
            ScanLife::Ended { end: ScanEnd::Complete, .. } => "complete",
            ScanLife::Ended { end: ScanEnd::Failures { .. }, .. } => "failures",
            ScanLife::Ended { end: ScanEnd::Cancelled, .. } => "cancelled",
            ScanLife::Ended { end: ScanEnd::Deadline, .. } => "deadline",
            ScanLife::Ended { end: ScanEnd::Budget { .. }, .. } => "budget",
        }
    }
}

/// What a scan saw that the one before it did not, and the other way round.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// By kind of thing: `finding`, `domain`, `host`, `service`, `page`.
    pub kinds: BTreeMap<String, Changes>,
}

/// Of one kind of thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Changes {
    /// There now and not before.
    pub appeared: Vec<String>,
    /// There before, and not now, although it was looked for.
    pub disappeared: Vec<String>,
    /// There both times, and different.
    pub changed: Vec<String>,
    /// There both times.
    pub same: u64,
    /// So many more appeared, disappeared or changed than are named here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Difference {
    /// Nothing appeared, disappeared or changed.
    pub fn is_empty(&self) -> bool {
        self.kinds.values().all(|changes| {
            changes.appeared.is_empty() && changes.disappeared.is_empty() && changes.changed.is_empty()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_packet_of_a_budget_is_granted_in_the_end_and_none_twice(most in 0_u64..10_000_000, wanted in 1_u64..100_000) {
            let budget = Budget { packets: Some(most), ..Budget::default() };
            let (mut granted, mut turns) = (0, 0);
            while granted < most {
                let some = budget.grant(wanted, granted);
                prop_assert!((1..=wanted).contains(&some));
                granted += some;
                turns += 1;
            }
            prop_assert_eq!(granted, most);
            prop_assert!(turns <= most / wanted + most / CRUMB + 1);
            prop_assert_eq!(budget.grant(wanted, granted), 0);
            prop_assert_eq!(Budget::default().grant(wanted, granted), wanted);
        }
    }

    #[test]
    fn a_budget_says_what_is_used_up() {
        let money = |text: &str| Some(text.parse::<Money>().unwrap());
        let none = Budget::default();
        let (packets, assets) =
            (Budget { packets: Some(10), ..none.clone() }, Budget { assets: Some(10), ..none.clone() });
        let (units, cost) =
            (Budget { units: 10, ..none.clone() }, Budget { cost: money("2.50"), ..none.clone() });
        let used =
            |packets, assets, units, cost| Used { packets, assets, units, cost, worked: Duration::ZERO };
        for (budget, used, exhausted, spent) in [
            (&none, used(1_000, 1_000, 1_000, money("1000")), None, None),
            (&packets, used(9, 99, 99, None), None, None),
            (&packets, used(10, 0, 0, None), Some(Exhausted::Packets), Some(Exhausted::Packets)),
            (&assets, used(99, 9, 99, None), None, None),
            (&assets, used(0, 10, 0, None), Some(Exhausted::Assets), Some(Exhausted::Assets)),
            (&units, used(99, 99, 9, None), None, None),
            // What was planned may be done.
            (&units, used(0, 0, 10, None), Some(Exhausted::Units), None),
            (&cost, used(99, 99, 99, money("2.499999")), None, None),
            (&cost, used(0, 0, 0, money("2.50")), Some(Exhausted::Cost), Some(Exhausted::Cost)),
            (&cost, used(0, 0, 0, None), Some(Exhausted::Cost), Some(Exhausted::Cost)),
        ] {
            assert_eq!(
                (budget.exhausted(&used), budget.spent(&used)),
                (exhausted, spent),
                "{budget:?} {used:?}"
            );
        }
    }

    #[test]
    fn what_was_planned_is_done_when_only_that_was_too_much() {
        let budget = |exhausted| ScanEnd::Budget { exhausted };
        for end in [
            ScanEnd::Cancelled,
            ScanEnd::Deadline,
            budget(Exhausted::Packets),
            budget(Exhausted::Assets),
            budget(Exhausted::Cost),
        ] {
            assert!(end.gives_up(), "{end:?}");
        }
        for end in [ScanEnd::Complete, ScanEnd::Failures { units: 1 }, budget(Exhausted::Units)] {
            assert!(!end.gives_up(), "{end:?}");
        }
    }
}
