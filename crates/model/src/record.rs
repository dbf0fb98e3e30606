//! Scans, findings, tasks, schedules, keys, people and tenants as they are kept, and as their owners see them: what the store reads, the API
//! answers and its client reads again.

use std::{collections::BTreeSet, time::Duration};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Access, Asset, AssetId, CheckId, Confidence, Finding, KeyPrefix, Money, Permission, Priority, Role,
    RoleName, ScanId, ScanLife, ScanRequest, Schedule, ScheduleId, Severity, Stage, Target, Task, TaskId,
    TenantId, Traffic, UserId, UserName, Work, WorkerPrice,
    finding::{Classification, History, Life},
    schedule::Progress,
    task::RetryPolicy,
};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantRecord {
    /// Which.
    pub id: TenantId,
    /// For people.
    pub name: String,
    /// Its share against the others'.
    pub weight: u32,
    /// Not more tasks than these at work at once.
    pub most_in_flight: u64,
    /// Since when.
    pub created_at: Timestamp,
}

/// What a tenant may take from now on; what is not given stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantChange {
    /// Its share against the others'.
    #[schema(minimum = 1, maximum = 1000)]
    pub weight: Option<u32>,
    /// Not more tasks than these at work at once.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub most_in_flight: Option<u64>,
}

/// What a tenant says for itself. What whoever runs the installation allows is the most of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantSettings {
    /// For so many days after their end scans are kept, if the installation keeps them for so long; as long as that does without.
    #[schema(minimum = 1, maximum = 3650)]
    pub keep_scans_days: Option<u32>,
}

impl TenantSettings {
    /// The longest time that can be asked for, in days.
    pub const MOST_DAYS: u32 = 3_650;

    /// How long scans are kept, where the installation keeps them for that long; for good without.
    pub fn keep_scans(&self, installation: Option<Duration>) -> Option<Duration> {
        let own = self.keep_scans_days.map(|days| Duration::from_secs(u64::from(days) * 24 * 60 * 60));
        match (own, installation) {
            (Some(own), Some(most)) => Some(own.min(most)),
            (own, installation) => own.or(installation),
        }
    }
}

/// A key to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// For people: what it is for.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// What whoever has it may do.
    pub role: Role,
    /// From where it may be used; from anywhere without any.
    #[schema(value_type = Vec<String>, max_items = 64, example = json!(["10.0.0.0/8"]))]
    #[serde(default)]
    pub networks: Vec<IpNet>,
    /// Until when; until it is revoked without.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyRecord {
    /// By which it is found and named; the key begins with it.
    pub prefix: KeyPrefix,
    /// Whose.
    pub tenant: TenantId,
    /// For people: what it is for.
    pub name: String,
    /// What whoever has it may do.
    pub role: Role,
    /// From where it may be used; from anywhere without any.
    #[schema(value_type = Vec<String>)]
    pub networks: Vec<IpNet>,
    /// Since when.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// Until when; until it is revoked without.
    pub expires_at: Option<Timestamp>,
    /// When it was used last, to the minute.
    pub last_used: Option<Timestamp>,
    /// Which key took its place: it ends soon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<KeyPrefix>,
}

impl KeyRecord {
    /// When the key that takes its place at this time ends: it is good for as long as this one was.
    pub fn end_of_next(&self, now: Timestamp) -> Option<Timestamp> {
        let length = self.expires_at.map(|at| at.duration_since(self.created_at))?;
        Some(now.saturating_add(length).unwrap_or(Timestamp::MAX))
    }
}

/// A scan, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScanRecord {
    /// Which.
    pub id: ScanId,
    /// What was asked for.
    pub request: ScanRequest,
    /// Where it stands.
    #[serde(flatten)]
    pub life: ScanLife,
    /// Who asked.
    pub submitted_by: String,
    /// When.
    pub submitted_at: Timestamp,
    /// In which request, if in one: the log and the audit tell more by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Until when it may go on.
    pub deadline: Timestamp,
    /// The scan before it with the same purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<ScanId>,
    /// How many targets it has.
    pub targets: u64,
    /// And how many of them were begun.
    pub begun: u64,
    /// Tasks that wait or run.
    pub open_tasks: u64,
    /// Tasks that failed for good.
    pub dead_tasks: u64,
    /// Units that were planned.
    pub units: u64,
    /// Things that were found.
    pub assets: u64,
    /// Findings.
    pub findings: u64,
    /// What was sent.
    pub traffic: Traffic,
    /// How long workers held its tasks, in tries that have ended.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::required")]
    #[schema(value_type = String, pattern = "^P", example = "PT2H")]
    pub worked: Duration,
    /// What the time of workers cost when it was submitted, if somebody had said.
    #[serde(rename = "price_per_worker_hour", default, skip_serializing_if = "Option::is_none")]
    pub price: Option<WorkerPrice>,
    /// What that comes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Money>,
}

/// What a scan was asked to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScanTarget {
    /// Its place among the others, from 0 on.
    pub position: u64,
    /// What was asked for.
    pub target: Target,
    /// Whether it has been begun.
    pub begun: bool,
}

/// What a unit of a scan could not find out, and what it left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnitGaps {
    /// The task that it was.
    pub task: TaskId,
    /// Its stage.
    pub stage: Stage,
    /// Its name.
    pub unit: String,
    /// What could not be found out, and why.
    pub undetermined: Vec<String>,
    /// What was left out on purpose, and why.
    pub left_out: Vec<String>,
}

/// A check, as people read about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckRecord {
    /// By which scans and findings name it.
    pub id: CheckId,
    /// One line.
    pub name: String,
    /// How bad a match is.
    pub severity: Severity,
    /// How sure a match is.
    pub confidence: Confidence,
    /// For selection.
    pub tags: Vec<String>,
    /// What it finds.
    pub description: String,
    /// What that leads to.
    pub impact: String,
    /// How to mend it.
    pub remediation: String,
    /// Where to read on.
    pub references: Vec<String>,
    /// Catalogue numbers.
    pub classification: Classification,
    /// Who wrote it.
    pub authors: Vec<String>,
}

/// A finding with its history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KnownFinding {
    /// What and where; its evidence only when one finding was asked for.
    #[serde(flatten)]
    pub finding: Finding,
    /// When it was seen and missed, and what somebody made of it.
    pub history: History,
    /// Where it stands now.
    #[serde(flatten)]
    pub life: Life,
    /// Who said what the decision in its history says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// And why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_because: Option<String>,
}

/// A schedule to be kept.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSchedule {
    /// For people; one of the tenant's own.
    pub name: String,
    /// When.
    pub rule: Schedule,
    /// What is asked for each time.
    pub request: ScanRequest,
    /// Of what.
    pub targets: Vec<Target>,
}

/// What of a schedule is to be another way; what is not given stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleChange {
    /// When. What was missed until then is not caught up on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Schedule>,
    /// What is asked for each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<ScanRequest>,
    /// Of what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<Target>>,
    /// Whether it begins scans. What was missed until then is not caught up on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// A schedule as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleRecord {
    /// Which.
    pub id: ScheduleId,
    /// For people.
    pub name: String,
    /// When.
    pub rule: Schedule,
    /// What is asked for each time.
    pub request: ScanRequest,
    /// Of what.
    pub targets: Vec<Target>,
    /// Does it begin scans at the moment?
    pub enabled: bool,
    /// How far it has come.
    pub progress: Progress,
    /// When it is looked at next, at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_again: Option<Timestamp>,
    /// The scan that it began last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scan: Option<ScanId>,
    /// Why its last run began no scan, if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedRun>,
}

impl ScheduleRecord {
    /// What somebody may have changed; the rest goes on by itself.
    pub fn settings(&self) -> (&Schedule, &ScanRequest, &[Target], bool) {
        (&self.rule, &self.request, &self.targets, self.enabled)
    }
}

/// A run of a schedule that could not begin its scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedRun {
    /// When it was to begin one.
    pub at: Timestamp,
    /// What an operator would have been told.
    pub reason: String,
}

/// Something that exists, as the tenant's scans have seen it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KnownAsset {
    /// Which.
    pub id: AssetId,
    /// As it looked last.
    pub asset: Asset,
    /// When it was seen for the first time.
    pub first_seen: Timestamp,
    /// When it was seen last.
    pub last_seen: Timestamp,
}

/// A task as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskRecord {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub id: TaskId,
    /// Of which scan, if of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<ScanId>,
    /// What to do.
    #[schema(value_type = serde_json::Value)]
    pub work: Work,
    /// How urgent.
    pub priority: Priority,
    /// Where it stands.
    #[serde(flatten)]
    pub task: Task,
    /// How often, and when again.
    pub policy: RetryPolicy,
    /// How long one try may take.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::required")]
    #[schema(value_type = String, pattern = "^P", example = "PT2H")]
    pub deadline: Duration,
    /// When it was, or is, due.
    pub due: Timestamp,
    /// When somebody asked for it.
    pub created_at: Timestamp,
    /// When the last try began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The request of which it comes, if of any: the log tells more by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl TaskRecord {
    /// How long the worker that holds it has done so; nothing when the clock went backwards.
    pub fn held_for(&self, now: Timestamp) -> Duration {
        let held = self.started_at.map(|begun| now.duration_since(begun));
        held.and_then(|held| Duration::try_from(held).ok()).unwrap_or_default()
    }
}

/// A role, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoleRecord {
    /// What it is called.
    pub name: Role,
    /// What whoever has it may do.
    #[schema(value_type = Vec<Permission>)]
    pub permissions: BTreeSet<Permission>,
    /// Words for more that it lets them do, which a later release knows and this one does not.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unknown: BTreeSet<String>,
    /// Since when there is it; those that are built in were always there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
}

impl From<RoleRecord> for Access {
    fn from(RoleRecord { name: role, permissions, unknown, .. }: RoleRecord) -> Access {
        Access { role, permissions, unknown }
    }
}

/// A role to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// What it is called.
    pub name: RoleName,
    /// What whoever has it may do.
    #[schema(value_type = Vec<Permission>, min_items = 1)]
    pub permissions: BTreeSet<Permission>,
}

/// Somebody who is to be able to log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// By what they log in.
    #[schema(value_type = String, min_length = 1, max_length = 254, pattern = r"^[!-~]+$", example = "j.doe@acme.test")]
    pub name: UserName,
    /// What they may do.
    pub role: Role,
}

/// What is known of somebody who may log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserRecord {
    /// Which.
    pub id: UserId,
    /// By what they log in.
    #[schema(value_type = String)]
    pub name: UserName,
    /// Whose people they are.
    pub tenant: TenantId,
    /// What they may do.
    pub role: Role,
    /// Until when they may take up an invitation; they cannot log in before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invited_until: Option<Timestamp>,
    /// Since when they may not log in any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
    /// Since when they are known.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When they logged in last.
    pub last_login: Option<Timestamp>,
    /// The provider of identities that vouches for them and says what they may do; without any they have a password here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Do they show a second factor beside their password?
    pub second_factor: bool,
}

impl UserRecord {
    /// What somebody may have changed; the rest goes on by itself.
    pub fn settings(&self) -> (&Role, Option<Timestamp>) {
        (&self.role, self.disabled_at)
    }
}

#[cfg(test)]
mod tests;
