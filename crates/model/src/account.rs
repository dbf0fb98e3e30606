//! The account: every (unit, check) pair ends once, and the sums agree with the plan.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::CheckId;

/// How one check on one unit (a name, a service, a web site) ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// At least one finding.
    Matched,
    /// Looked, and it is not there.
    NotMatched,
    /// Could not find out.
    Failed(FailReason),
    /// Did not look.
    Skipped(SkipReason),
}

/// Why a check could not find out. Each makes the scan undetermined (exit code 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailReason {
    /// The connection was refused.
    Refused,
    /// No answer in time.
    TimedOut,
    /// The connection broke.
    Reset,
    /// TLS could not be established.
    Tls,
    /// The answer is not the protocol.
    Protocol,
    /// The name does not resolve.
    Unresolved,
    /// The host's or the scan's deadline passed in the middle.
    Deadline,
    /// No file descriptor, memory or local port left.
    Resources,
    /// An expression of the template failed on this response.
    Evaluation,
    /// The address cannot be reached.
    Unreachable,
    /// Only the beginning of the answer is known, and what that says hangs on the rest.
    Incomplete,
    /// The unit held as much of its targets' answers as it may.
    Memory,
    /// It found more than the unit may give back: a finding of it is left out.
    TooMuch,
    /// A defect in Rampart ended it.
    Defect,
}

/// Why a check did not look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The scope does not allow what the check wants to reach.
    OutOfScope,
    /// The host stopped answering before the check's turn.
    HostUnresponsive,
    /// The host's or the scan's deadline passed before the check's turn.
    Deadline,
    /// Somebody stopped the scan.
    Cancelled,
    /// A precondition of the template did not hold.
    Precondition,
    /// There was more to look at than a limit of the scan allows.
    Limit,
}

macro_rules! words {
    ($type:ident { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $type {
            /// A few words for people.
            pub fn as_str(self) -> &'static str {
                match self { $($type::$variant => $word),+ }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words!(FailReason {
    Refused => "connection refused",
    TimedOut => "timed out",
    Reset => "connection broken",
    Tls => "TLS failed",
    Protocol => "not the protocol",
    Unresolved => "name does not resolve",
    Deadline => "deadline passed",
    Resources => "out of local resources",
    Evaluation => "expression failed",
    Unreachable => "unreachable",
    Incomplete => "answer not whole",
    Memory => "memory allowance used up",
    TooMuch => "more found than may be given back",
    Defect => "defect in Rampart",
});
words!(SkipReason {
    OutOfScope => "out of scope",
    HostUnresponsive => "host stopped answering",
    Deadline => "deadline passed",
    Cancelled => "stopped",
    Precondition => "precondition not met",
    Limit => "beyond a limit",
});

/// The account of one check over all units.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Pairs that were to be looked at.
    pub planned: u64,
    /// Ended with findings.
    pub matched: u64,
    /// Ended without.
    pub not_matched: u64,
    /// Could not find out, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<FailReason, u64>,
    /// Did not look, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<SkipReason, u64>,
}

impl Account {
    /// Counts one end.
    pub fn end(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Matched => self.matched += 1,
            Outcome::NotMatched => self.not_matched += 1,
            Outcome::Failed(reason) => *self.failed.entry(reason).or_default() += 1,
            Outcome::Skipped(reason) => *self.skipped.entry(reason).or_default() += 1,
        }
    }

    /// All pairs that have ended.
    pub fn ended(&self) -> u64 {
        self.matched + self.not_matched + self.failed_total() + self.skipped_total()
    }

    /// All that failed.
    pub fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }

    /// All that were skipped.
    pub fn skipped_total(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// So many of the pairs that ended with findings, or all of them, could not find everything out after all.
    pub fn retract(&mut self, pairs: u64, reason: FailReason) {
        let pairs = pairs.min(self.matched);
        if pairs > 0 {
            self.matched -= pairs;
            *self.failed.entry(reason).or_default() += pairs;
        }
    }

    /// Adds another account.
    pub fn add(&mut self, other: &Account) {
        self.planned += other.planned;
        self.matched += other.matched;
        self.not_matched += other.not_matched;
        for (reason, count) in &other.failed {
            *self.failed.entry(*reason).or_default() += count;
        }
        for (reason, count) in &other.skipped {
            *self.skipped.entry(*reason).or_default() += count;
        }
    }
}

/// The accounts of all checks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ledger {
    /// By check.
    pub checks: BTreeMap<CheckId, Account>,
}

impl Ledger {
    /// Takes another one in.
    pub fn add(&mut self, more: &Ledger) {
        for (check, account) in &more.checks {
            self.checks.entry(check.clone()).or_default().add(account);
        }
    }

    /// Notes that a pair will be looked at.
    pub fn plan(&mut self, check: &CheckId, pairs: u64) {
        self.account(check).planned += pairs;
    }

    /// Notes how a pair ended.
    pub fn end(&mut self, check: &CheckId, outcome: Outcome) {
        self.account(check).end(outcome);
    }

    fn account(&mut self, check: &CheckId) -> &mut Account {
        if !self.checks.contains_key(check) {
            self.checks.insert(check.clone(), Account::default());
        }
        self.checks.get_mut(check).expect("inserted just above")
    }

    /// The sum over all checks.
    pub fn total(&self) -> Account {
        let mut total = Account::default();
        self.checks.values().for_each(|account| total.add(account));
        total
    }

    /// What it leaves undetermined, in words.
    pub fn gap(&self) -> Option<String> {
        let failed: u64 = self.checks.values().map(Account::failed_total).sum();
        (failed > 0).then(|| format!("{failed} checks failed"))
    }

    /// Has every planned pair ended, and nothing else?
    pub fn balances(&self) -> bool {
        self.checks.values().all(|account| account.planned == account.ended())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            Just(Outcome::Matched),
            Just(Outcome::NotMatched),
            Just(Outcome::Failed(FailReason::TimedOut)),
            Just(Outcome::Failed(FailReason::Reset)),
            Just(Outcome::Skipped(SkipReason::Deadline)),
        ]
    }

    proptest! {
        #[test]
        fn a_ledger_balances_exactly_when_each_pair_ended_once(ends in proptest::collection::vec((0..4u8, outcome()), 1..80)) {
            let mut ledger = Ledger::default();
            let id = |number: u8| CheckId::new(&format!("check-{number}"));
            for (number, _) in &ends {
                ledger.plan(&id(*number), 1);
            }
            for (number, outcome) in &ends {
                prop_assert!(!ledger.balances());
                ledger.end(&id(*number), *outcome);
            }
            prop_assert!(ledger.balances());
            prop_assert_eq!(ledger.total().ended(), ends.len() as u64);
            ledger.end(&id(0), Outcome::Matched);
            prop_assert!(!ledger.balances());
        }
    }
}
