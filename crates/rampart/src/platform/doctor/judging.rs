//! What is well and what is not, wherever it was found.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use model::{Scope, Stage, Stop, record::ScheduleRecord};

use super::Finding;
use crate::platform::{schedules::began_nothing, stops::Lifting};

/// How far the clocks of this machine and of the other one may be apart.
const CLOCKS: Duration = Duration::from_secs(5);

pub(super) fn clock(theirs: Timestamp, say: impl FnOnce(Duration) -> String) -> Finding {
    let apart = Timestamp::now().duration_since(theirs).unsigned_abs();
    match apart > CLOCKS {
        true => Finding::warning("clock", say(apart), "synchronise this machine's clock and the server's"),
        false => Finding::ok("clock", say(apart)),
    }
}

pub(super) fn held(stops: &[Stop], lifting: &Lifting<'_>) -> Vec<Finding> {
    if stops.is_empty() {
        return vec![Finding::ok("emergency stop", "none holds")];
    }
    let found = stops.iter().map(|stop| {
        let says = format!("{} since {}: {}", lifting.describe(&stop.reach), stop.at, stop.reason);
        Finding::warning("emergency stop", says, &format!("`{}` lifts it", lifting.command(stop)))
    });
    found.collect()
}

pub(super) fn scoped(tenant: &str, scopes: &[(String, Scope)]) -> Finding {
    if scopes.is_empty() {
        let says = format!("tenant {tenant} has none, so it can scan nothing");
        return Finding::warning("scope", says, "`rampart scope template`, then `rampart scope put`");
    }
    let names: Vec<&str> = scopes.iter().map(|(name, _)| name.as_str()).collect();
    Finding::ok("scope", names.join(", "))
}

pub(super) fn left_dead(tenant: &str, dead: &BTreeMap<Stage, u64>) -> Finding {
    if dead.is_empty() {
        return Finding::ok("dead tasks", "none");
    }
    let total: u64 = dead.values().sum();
    let words: Vec<String> = dead.iter().map(|(stage, count)| format!("{count} in stage {stage}")).collect();
    Finding::warning(
        "dead tasks",
        format!("{total} of tenant {tenant}: {}", words.join(", ")),
        "`rampart task list --state dead` shows them, `rampart task show` says why, `rampart task redrive` tries them again",
    )
}

/// Schedules of which a run began nothing.
pub(super) fn idle(schedules: &[ScheduleRecord]) -> Vec<Finding> {
    let enabled = schedules.iter().filter(|schedule| schedule.enabled);
    let refused = enabled.filter_map(|schedule| Some((&schedule.name, schedule.refused.as_ref()?)));
    let found = refused.map(|(name, refused)| {
        let says = format!("{name}: {}", began_nothing(refused));
        Finding::warning("schedule", says, "mend that, or say otherwise by `rampart schedule change`")
    });
    found.collect()
}
