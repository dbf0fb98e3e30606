//! `rampart schedule`.

use std::{collections::BTreeSet, fmt::Write, process::ExitCode};

use anyhow::{Context, bail};
use jiff::Timestamp;
use model::{
    CheckId, ScanRequest, Schedule,
    schedule::{CatchUp, DuringBlackout, Overlap, Rhythm, Zone},
};
use report::terminal;
use serde_json::{Value, json};
use store::{NewSchedule, RefusedRun, ScheduleChange, ScheduleRecord};

use super::{length, operate, place::Place, print_json, print_table, short_time, targets};
use crate::{
    cli::{RuleArguments, ScheduleChangeArguments, ScheduleCommand, ScheduleCreateArguments, say},
    configuration::Whereabouts,
};

/// What takes something away that was said before.
const NONE: &str = "none";

pub(super) fn schedule(whereabouts: &Whereabouts, command: &ScheduleCommand) -> anyhow::Result<ExitCode> {
    operate(whereabouts, async |place| {
        match command {
            ScheduleCommand::Create(arguments) => create(&place, arguments).await?,
            ScheduleCommand::Change(arguments) => change(&place, arguments).await?,
            ScheduleCommand::List { json } => {
                let schedules = place.stale_schedules().await?;
                if *json { print_json(&schedules)? } else { list(&schedules)? }
            }
            ScheduleCommand::Show { which, json } => {
                let schedule = named(&place, &which.schedule).await?;
                if *json { print_json(&schedule)? } else { show(&schedule)? }
            }
            ScheduleCommand::Enable(which) => switch(&place, &which.schedule, true).await?,
            ScheduleCommand::Disable(which) => switch(&place, &which.schedule, false).await?,
            ScheduleCommand::Delete(which) => {
                let schedule = named(&place, &which.schedule).await?;
                place.delete_schedule(schedule.id).await?;
                say(&format!("deleted: {}\n", schedule.name));
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The one schedule that has that name, or that id.
async fn named(place: &Place, text: &str) -> anyhow::Result<ScheduleRecord> {
    let schedules = place.schedules().await?;
    let mut meant: Vec<ScheduleRecord> = schedules
        .into_iter()
        .filter(|schedule| schedule.name == text || schedule.id.to_string() == text)
        .collect();
    match (meant.pop(), meant.pop()) {
        (Some(schedule), None) => Ok(schedule),
        (None, _) => {
            bail!("{} has no schedule `{text}`: `rampart schedule list` shows names and ids", place.whose())
        }
        (Some(one), Some(other)) => bail!(
            "`{text}` means two schedules, by name and by id: say {} for `{}`, or {} for `{}`",
            one.id,
            one.name,
            other.id,
            other.name
        ),
    }
}

async fn switch(place: &Place, text: &str, enabled: bool) -> anyhow::Result<()> {
    let schedule = named(place, text).await?;
    let change = ScheduleChange { enabled: Some(enabled), ..ScheduleChange::default() };
    let schedule = place.change_schedule(schedule.id, change, None).await?;
    if enabled {
        say(&format!("enabled: {}, next run {}\n", schedule.name, next_run(&schedule.rule)));
    } else {
        say(&format!("disabled: {}\n", schedule.name));
    }
    Ok(())
}

/// The rule that it was, with what somebody says of it.
fn written(mut rule: Value, said: &RuleArguments, zone: Zone) -> anyhow::Result<Schedule> {
    let RuleArguments {
        cron,
        every,
        zone: said_zone,
        jitter,
        blackout,
        during_blackout,
        overlap,
        starts,
        ends,
        catch_up,
    } = said;
    if cron.is_some() || every.is_some() {
        rule["cron"] = json!(cron);
        rule["every"] = json!(every);
    }
    if let Some(zone) = said_zone {
        rule["zone"] = json!(zone);
    }
    let zone = said_zone.as_ref().unwrap_or(&zone);
    // The forms that people write have one reader: that of the schedule itself.
    let words = [
        ("jitter", jitter),
        ("during_blackout", during_blackout),
        ("overlap", overlap),
        ("catch_up", catch_up),
    ];
    for (key, value) in words {
        if let Some(value) = value {
            rule[key] = json!(value);
        }
    }
    match &blackout[..] {
        [] => {}
        [none] if none == NONE => rule["blackouts"] = json!([]),
        blackouts => rule["blackouts"] = json!(blackouts),
    }
    for (key, value) in [("starts", starts), ("ends", ends)] {
        match value.as_deref() {
            None => {}
            Some(NONE) => rule[key] = Value::Null,
            Some(value) => rule[key] = json!(zone.moment(value).with_context(|| format!("--{key}"))?),
        }
    }
    serde_json::from_value(rule).context("the schedule cannot be kept")
}

async fn change(place: &Place, arguments: &ScheduleChangeArguments) -> anyhow::Result<()> {
    let ScheduleChangeArguments { which, targets: said, rule, .. } = arguments;
    let seen = place.seen_schedule(named(place, &which.schedule).await?.id).await?;
    let before = seen.document.clone();
    let rule = written(serde_json::to_value(&before.rule)?, rule, before.rule.zone.clone())?;
    let ScheduleChangeArguments { scope, stages, profile, ports, only, priority, .. } = arguments;
    let was = before.request.clone();
    let request = ScanRequest {
        scope: scope.clone().unwrap_or(was.scope),
        stages: stages.as_ref().map_or(was.stages, |stages| stages.iter().copied().collect()),
        profile: profile.unwrap_or(was.profile),
        ports: match ports.as_deref() {
            None => was.ports,
            Some(NONE) => None,
            Some(ports) => Some(ports.parse().context("--ports")?),
        },
        only: match only.as_deref() {
            None => was.only,
            Some([none]) if none == NONE => BTreeSet::new(),
            Some(only) => only.iter().map(|id| CheckId::new(id)).collect(),
        },
        priority: priority.unwrap_or(was.priority),
        ..was
    };
    let targets = if said.is_empty() { before.targets.clone() } else { targets(said)? };
    let change = ScheduleChange {
        rule: (rule != before.rule).then_some(rule),
        request: (request != before.request).then_some(request),
        targets: (targets != before.targets).then_some(targets),
        enabled: None,
    };
    if change == ScheduleChange::default() {
        bail!(
            "nothing of {} would be otherwise: `rampart schedule change --help` says what can be",
            before.name
        );
    }
    let schedule = place.change_schedule(before.id, change, Some(seen)).await?;
    if arguments.json {
        return print_json(&schedule);
    }
    let next = if schedule.enabled {
        format!("next run {}", next_run(&schedule.rule))
    } else {
        "disabled".to_owned()
    };
    say(&format!("changed: {}, {}, {next}\n", schedule.name, summary(&schedule.rule)));
    Ok(())
}

async fn create(place: &Place, arguments: &ScheduleCreateArguments) -> anyhow::Result<()> {
    let rule = written(json!({}), &arguments.rule, Zone::default())?;
    let new = NewSchedule {
        name: arguments.name.clone(),
        rule,
        request: arguments.request.request(),
        targets: targets(&arguments.targets)?,
    };
    // Standard input may have none, and then every scan of it would be refused.
    if new.targets.is_empty() {
        bail!("the schedule was not made: there is no target: name at least one");
    }
    let schedule = place.create_schedule(new).await?;
    if arguments.json {
        return print_json(&schedule);
    }
    say(&format!("schedule {} ({}): first run {}\n", schedule.name, schedule.id, next_run(&schedule.rule)));
    Ok(())
}

fn next_run(rule: &Schedule) -> String {
    match rule.next_after(Timestamp::now()) {
        Some(next) => format!("{} UTC", short_time(next)),
        None => "never: it has ended, or blackouts leave no time for it".to_owned(),
    }
}

fn list(schedules: &[ScheduleRecord]) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = schedules
        .iter()
        .map(|schedule| {
            let next = schedule.rule.next_after(Timestamp::now());
            let next = match schedule.enabled {
                true => next.map(short_time).unwrap_or_else(|| "never".to_owned()),
                false => "disabled".to_owned(),
            };
            vec![
                schedule.name.clone(),
                schedule.id.to_string(),
                summary(&schedule.rule),
                next,
                schedule.last_scan.map_or_else(|| "-".to_owned(), |scan| scan.to_string()),
                words(&schedule.targets),
            ]
        })
        .collect();
    print_table(&["NAME", "SCHEDULE", "RULE", "NEXT", "LAST SCAN", "TARGETS"], &rows)?;
    for schedule in schedules {
        if let Some(refused) = &schedule.refused {
            say(&format!("{}: {}\n", schedule.name, began_nothing(refused)));
        }
    }
    Ok(())
}

/// What somebody would have been told, had there been anybody.
pub(super) fn began_nothing(refused: &RefusedRun) -> String {
    let reason = terminal::sanitise(&refused.reason);
    format!("the run of {} UTC began no scan: {reason}", short_time(refused.at))
}

fn words<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn rhythm(rule: &Schedule) -> String {
    match &rule.rhythm {
        Rhythm::Cron(cron) => format!("cron {cron} {}", rule.zone),
        Rhythm::Every(interval) => format!("every {interval}"),
    }
}

/// In one line: the rhythm, and what is not as it is by itself.
fn summary(rule: &Schedule) -> String {
    let mut line = rhythm(rule);
    // Writing to a text cannot fail.
    let mut also = |text: String| {
        let _ = write!(line, ", {text}");
    };
    if !rule.jitter.is_zero() {
        also(format!("jitter {}", length(rule.jitter)));
    }
    match (rule.blackouts.len(), rule.during_blackout) {
        (0, _) => {}
        (count, DuringBlackout::Postpone) => also(format!("blackouts {count}, postpone")),
        (count, DuringBlackout::Skip) => also(format!("blackouts {count}, skip")),
    }
    if rule.catch_up != CatchUp::default() {
        also(format!("catch up {}", rule.catch_up));
    }
    if rule.overlap == Overlap::Queue {
        also("overlap queue".to_owned());
    }
    if let Some(starts) = rule.starts {
        also(format!("from {}", short_time(starts)));
    }
    if let Some(ends) = rule.ends {
        also(format!("until {}", short_time(ends)));
    }
    line
}

fn show(schedule: &ScheduleRecord) -> anyhow::Result<()> {
    let ScheduleRecord { rule, request, .. } = schedule;
    let time = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), short_time);
    let blackouts = match rule.blackouts.as_slice() {
        [] => "none".to_owned(),
        some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    };
    let stages: Vec<String> = request.stages.iter().map(ToString::to_string).collect();
    let mut rows = vec![
        ("schedule", schedule.id.to_string()),
        ("name", schedule.name.clone()),
        ("state", if schedule.enabled { "enabled" } else { "disabled" }.to_owned()),
        ("next run", if schedule.enabled { next_run(rule) } else { "-".to_owned() }),
        ("last scan", schedule.last_scan.map_or_else(|| "-".to_owned(), |scan| scan.to_string())),
        ("last run", schedule.refused.as_ref().map_or_else(|| "-".to_owned(), began_nothing)),
        ("rhythm", rhythm(rule)),
        ("zone", rule.zone.to_string()),
        ("jitter", length(rule.jitter)),
        ("blackouts", blackouts),
        (
            "during blackout",
            match rule.during_blackout {
                DuringBlackout::Postpone => "postpone",
                DuringBlackout::Skip => "skip",
            }
            .to_owned(),
        ),
        ("catch up", rule.catch_up.to_string()),
        (
            "overlap",
            match rule.overlap {
                Overlap::Skip => "skip",
                Overlap::Queue => "queue",
            }
            .to_owned(),
        ),
        ("starts", time(rule.starts)),
        ("ends", time(rule.ends)),
        ("targets", words(&schedule.targets)),
        ("scope", request.scope.clone()),
        ("stages", stages.join(", ")),
        ("profile", request.profile.to_string()),
        ("priority", request.priority.to_string()),
    ];
    if let Some(ports) = &request.ports {
        rows.push(("ports", ports.to_string()));
    }
    if !request.only.is_empty() {
        rows.push(("only", request.only.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")));
    }
    if !request.unchanged_for.is_zero() {
        rows.push(("unchanged for", length(request.unchanged_for)));
    }
    let budget = &request.budget;
    let most = |number: Option<u64>| number.map(|number| number.to_string());
    for (name, value) in [
        ("most packets", most(budget.packets)),
        ("most assets", most(budget.assets)),
        ("most units", Some(budget.units.to_string())),
        ("most cost", budget.cost.map(|most| most.to_string())),
        ("deadline", budget.time.map(length)),
    ] {
        rows.extend(value.map(|value| (name, value)));
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    print_table(&["", ""], &rows)
}
