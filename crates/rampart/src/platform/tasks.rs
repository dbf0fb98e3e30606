//! `rampart task`.

use std::{process::ExitCode, time::Duration};

use anyhow::bail;
use jiff::Timestamp;
use model::{NewTask, Stage, Work, scan::ScanEnd, task::Life};
use serde_json::json;
use store::{TaskCounts, TaskFilter, TaskRecord};
use tokio::time::MissedTickBehavior;

use super::{
    attendance::Watch,
    operate,
    place::{Place, Redriven},
    print_json, print_table, short_time,
};
use crate::{
    cli::{TaskCommand, TaskFilterArguments, say},
    configuration::Whereabouts,
};

/// More are not looked at one by one.
const MOST: usize = 1_000_000;
/// Tasks that one statement names.
const AT_ONCE: usize = 1_000;

const STATES: [&str; 5] = ["queued", "running", "completed", "cancelled", "dead"];

pub(super) fn task(whereabouts: &Whereabouts, command: &TaskCommand) -> anyhow::Result<ExitCode> {
    operate(whereabouts, async |place| {
        match command {
            TaskCommand::List { filter, state, limit, after, json } => {
                let state = STATES.into_iter().find(|word| Some(*word) == state.as_deref());
                let filter = TaskFilter { state, ..wanted(filter) };
                let found = place.stale_tasks(filter, *after, *limit).await?;
                if *json {
                    print_json(&found)?;
                } else {
                    list(&found, place.stale_task_counts().await?)?;
                }
            }
            TaskCommand::Show { id, json } => {
                let task = place.stale_task(*id).await?;
                if *json { print_json(&task)? } else { show(&task)? }
            }
            TaskCommand::Cancel { filter, all, json } => {
                let filter = some(filter, *all)?;
                cancel(&place, filter, *json).await?;
            }
            TaskCommand::Redrive { filter, all, rate, json } => {
                let redriven = redrive(&place, some(filter, *all)?, *rate).await?;
                tell_redriven(*json, &redriven)?;
            }
            TaskCommand::Purge { filter, older_than, json } => {
                tell(*json, "purged", place.purge_tasks(wanted(filter), *older_than).await?)?;
            }
            TaskCommand::Exercise { count, hold, priority, json } => {
                let desk = place.here("as an API takes no work that is none")?;
                let tenant = desk.tenant().await?;
                let mut left = *count;
                while left > 0 {
                    let some = left.min(1_000);
                    let task = || NewTask {
                        priority: *priority,
                        ..NewTask::new(Work::Exercise { hold: hold.unwrap_or_default() })
                    };
                    desk.store.enqueue(tenant, (0..some).map(|_| task()).collect()).await?;
                    left -= some;
                }
                desk.wake([(Stage::Exercise, *count)].into()).await;
                Watch::begin(&place, [Stage::Exercise].into()).await?;
                tell(*json, "enqueued", *count as u64)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn wanted(arguments: &TaskFilterArguments) -> TaskFilter {
    TaskFilter {
        ids: arguments.ids.clone(),
        scan: arguments.scan,
        stage: arguments.stage,
        state: None,
        failure: arguments.failure.clone(),
    }
}

/// What changes many tasks must say which.
fn some(arguments: &TaskFilterArguments, all: bool) -> anyhow::Result<TaskFilter> {
    let filter = wanted(arguments);
    if filter == TaskFilter::default() && !all {
        bail!("which tasks? name some, filter with --scan, --stage or --failure, or say --all");
    }
    Ok(filter)
}

fn tell(json: bool, word: &str, count: u64) -> anyhow::Result<()> {
    if json {
        return print_json(&json!({ word: count }));
    }
    say(&format!("{word}: {count}\n"));
    Ok(())
}

async fn cancel(place: &Place, filter: TaskFilter, json: bool) -> anyhow::Result<()> {
    let reached = place.cancel_tasks(filter.clone()).await?;
    // Those at work end when their workers hear of it. Which were at work is asked afterwards: some began in the meantime.
    let running = TaskFilter { state: Some("running"), ..filter };
    let still = place.tasks(running, None, MOST).await?;
    let asked = still.iter().filter(|task| is_asked_to_stop(&task.task.life)).count() as u64;
    let cancelled = reached.saturating_sub(asked);
    if asked > 0 {
        place.tell_workers().await;
    }
    if json {
        return print_json(&json!({ "cancelled": cancelled, "asked_to_stop": asked }));
    }
    say(&format!("cancelled: {cancelled}\n"));
    if asked > 0 {
        say(&format!("asked to stop: {asked}; each ends when its worker hears of it, within a second\n"));
    }
    Ok(())
}

fn is_asked_to_stop(life: &Life) -> bool {
    matches!(life, Life::Running { cancelling: true, .. })
}

/// As people read it: what is to end has not ended.
fn state(life: &Life) -> String {
    if is_asked_to_stop(life) { "running, asked to stop".to_owned() } else { life.word().to_owned() }
}

fn tell_redriven(json: bool, redriven: &Redriven) -> anyhow::Result<()> {
    if json {
        let left: u64 = redriven.left.values().map(|(tasks, _)| tasks).sum();
        return print_json(&json!({ "redriven": redriven.tasks, "left": left }));
    }
    say(&format!("redriven: {}\n", redriven.tasks));
    for (scan, (tasks, why)) in &redriven.left {
        let why = match why {
            Some(ScanEnd::Cancelled) => "was cancelled",
            Some(ScanEnd::Deadline) => "is past its deadline",
            Some(ScanEnd::Budget { .. }) => "has used its budget up",
            Some(ScanEnd::Complete | ScanEnd::Failures { .. }) => "has ended",
            None => "gives up what is planned",
        };
        say(&format!("left: {tasks}; scan {scan} {why}, submit it anew to look there again\n"));
    }
    Ok(())
}

async fn redrive(place: &Place, filter: TaskFilter, rate: Option<u32>) -> anyhow::Result<Redriven> {
    let Some(rate) = rate else { return place.redrive_tasks(filter).await };
    let mut second = tokio::time::interval(Duration::from_secs(1));
    // A second that took longer is not made up for.
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let dead = TaskFilter { state: Some("dead"), ..filter };
    let (mut total, mut after) = (Redriven::default(), None);
    loop {
        second.tick().await;
        for count in statements(rate as usize) {
            // Each once: what dies again is not brought back for ever, before others have had their turn.
            let some = place.tasks(dead.clone(), after, count).await?;
            let Some(last) = some.last() else { return Ok(total) };
            after = Some(last.id);
            let ids = some.iter().map(|task| task.id).collect();
            total.add(place.redrive_tasks(TaskFilter { ids, ..dead.clone() }).await?);
        }
    }
}

/// How many of so many tasks each statement names.
fn statements(tasks: usize) -> impl Iterator<Item = usize> {
    (0..tasks).step_by(AT_ONCE).map(move |named| AT_ONCE.min(tasks - named))
}

fn list(tasks: &[TaskRecord], counts: TaskCounts) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = tasks
        .iter()
        .map(|task| {
            let about = match &task.work {
                Work::Unit(unit) => unit.to_string(),
                Work::Package { purl } => purl.to_string(),
                Work::Deliver(delivery) => {
                    format!("{} to webhook {}", delivery.event.as_str(), delivery.webhook)
                }
                Work::Report => task.scan.map(|scan| format!("reports of scan {scan}")).unwrap_or_default(),
                Work::Exercise { hold } => format!("nothing for {hold:?}"),
            };
            vec![
                task.id.to_string(),
                state(&task.task.life),
                task.work.stage().to_string(),
                task.priority.to_string(),
                format!("{}/{}", task.task.attempts, task.policy.attempts),
                short_time(task.created_at),
                about,
            ]
        })
        .collect();
    print_table(&["TASK", "STATE", "STAGE", "PRIORITY", "TRIES", "CREATED", "WORK"], &rows)?;
    if !counts.is_empty() {
        say("all tasks of the tenant, also those that are not listed:\n");
    }
    for ((stage, state), count) in counts {
        say(&format!("{count} {state} in stage {stage}\n"));
    }
    Ok(())
}

fn show(task: &TaskRecord) -> anyhow::Result<()> {
    let time = |time: Option<Timestamp>| time.map(short_time).unwrap_or_else(|| "-".to_owned());
    let mut rows = vec![
        ("task", task.id.to_string()),
        ("tenant", task.tenant.to_string()),
        ("scan", task.scan.map(|scan| scan.to_string()).unwrap_or_else(|| "-".to_owned())),
        ("stage", task.work.stage().to_string()),
        ("work", serde_json::to_string(&task.work)?),
        ("state", state(&task.task.life)),
        ("priority", task.priority.to_string()),
        ("tries", format!("{} of {}", task.task.attempts, task.policy.attempts)),
        ("lease", task.task.lease.to_string()),
        ("redriven", task.task.redriven.to_string()),
        ("created", time(Some(task.created_at))),
        ("due", time(Some(task.due))),
        ("started", time(task.started_at)),
        ("ended", time(task.ended_at)),
    ];
    if let Life::Running { worker, until, .. } = &task.task.life {
        rows.push(("worker", worker.to_string()));
        rows.push(("lease until", short_time(*until)));
    }
    if let Some(failure) = &task.task.last_failure {
        rows.push(("last failure", failure.clone()));
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    print_table(&["", ""], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_however_many_a_statement_may_name() {
        for (rate, counts) in [
            (1, &[1][..]),
            (999, &[999]),
            (1_000, &[1_000]),
            (1_001, &[1_000, 1]),
            (2_500, &[1_000, 1_000, 500]),
        ] {
            assert_eq!(statements(rate).collect::<Vec<_>>(), counts, "{rate}");
        }
        assert_eq!(statements(1_000_000).sum::<usize>(), 1_000_000);
    }
}
