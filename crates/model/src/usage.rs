//! What a tenant has used: only what is known for certain.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Money, Severity, Stage, Traffic, WorkerPrice};

/// What a tenant has used within a time. What is said of scans is said of those that were submitted then and are still kept, as far as
/// they have come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// From then on.
    pub since: Timestamp,
    /// Until then, without it.
    pub until: Timestamp,
    /// How many scans.
    pub scans: u64,
    /// How many units of theirs have ended, by stage.
    pub units: BTreeMap<Stage, u64>,
    /// What was sent for them.
    pub traffic: Traffic,
    /// How long workers held their tasks, in tries that have ended.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::required")]
    #[schema(value_type = String, pattern = "^P", example = "PT2H")]
    pub worked: Duration,
    /// What that comes to for those scans that have a price; nothing when none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Money>,
    /// Scans without a price: what they cost is not known, and not in the cost.
    pub unpriced_scans: u64,
    /// Findings that were seen for the first time then, by severity, whichever scan saw them.
    pub new_findings: BTreeMap<Severity, u64>,
}

/// How far back it goes when nobody says since when.
const USUALLY: SignedDuration = SignedDuration::from_hours(30 * 24);

impl Usage {
    /// Since when, where nobody says that.
    pub fn usually_since(until: Timestamp) -> Timestamp {
        until.saturating_sub(USUALLY).unwrap_or(Timestamp::MIN)
    }

    /// Of a time in which nothing was done.
    pub fn nothing(since: Timestamp, until: Timestamp) -> Usage {
        Usage {
            since,
            until,
            scans: 0,
            units: BTreeMap::new(),
            traffic: Traffic::default(),
            worked: Duration::ZERO,
            cost: None,
            unpriced_scans: 0,
            new_findings: BTreeMap::new(),
        }
    }

    /// And one scan more.
    pub fn add_scan(&mut self, traffic: Traffic, worked: Duration, price: Option<WorkerPrice>) {
        self.scans += 1;
        self.traffic += traffic;
        self.worked += worked;
        match price {
            None => self.unpriced_scans += 1,
            Some(price) => {
                let sum = self.cost.unwrap_or(Money::ZERO).millionths();
                let more = price.cost(worked).millionths();
                self.cost = Some(Money::from_millionths(sum.saturating_add(more)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_price_is_not_said_to_cost_nothing() {
        let mut usage = Usage::nothing(Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let hour = Duration::from_secs(3_600);
        usage.add_scan(Traffic { requests: 2, ..Traffic::default() }, hour, None);
        assert_eq!((usage.cost, usage.unpriced_scans, usage.worked), (None, 1, hour));
        for _ in 0..2 {
            usage.add_scan(
                Traffic { requests: 3, ..Traffic::default() },
                hour,
                Some("0.25".parse().unwrap()),
            );
        }
        assert_eq!((usage.cost, usage.unpriced_scans), (Some("0.50".parse().unwrap()), 1));
        assert_eq!((usage.scans, usage.traffic.requests, usage.worked), (3, 8, 3 * hour));
    }
}
