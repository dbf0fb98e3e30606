//! `rampart schedule`.

use std::process::ExitCode;

use anyhow::Context;
use model::{Schedule, ScheduleId};
use serde_json::json;
use store::NewSchedule;

use super::{Desk, operate, operator, print_json, print_table, short_time, targets};
use crate::{
    cli::{ScheduleCommand, ScheduleCreateArguments, say},
    configuration::Configuration,
    library::Library,
};

pub(super) fn schedule(configuration: &Configuration, command: &ScheduleCommand) -> anyhow::Result<ExitCode> {
    operate(configuration, async |desk| {
        let tenant = desk.tenant().await?;
        match command {
            ScheduleCommand::Create(arguments) => create(&desk, arguments).await?,
            ScheduleCommand::List { json } => {
                let schedules = desk.store.schedules(tenant).await?;
                if *json {
                    print_json(&schedules)?;
                } else {
                    let rows: Vec<Vec<String>> = schedules
                        .iter()
                        .map(|schedule| {
                            let next = schedule.rule.next_after(jiff::Timestamp::now());
                            let next = match schedule.enabled {
                                true => next.map(short_time).unwrap_or_else(|| "never".to_owned()),
                                false => "disabled".to_owned(),
                            };
                            let last = schedule.last_scan.map(|scan| scan.to_string());
                            vec![
                                schedule.id.to_string(),
                                schedule.name.clone(),
                                next,
                                last.unwrap_or_else(|| "-".to_owned()),
                                schedule
                                    .targets
                                    .iter()
                                    .map(ToString::to_string)
                                    .collect::<Vec<_>>()
                                    .join(" "),
                            ]
                        })
                        .collect();
                    print_table(&["SCHEDULE", "NAME", "NEXT", "LAST SCAN", "TARGETS"], &rows)?;
                }
            }
            ScheduleCommand::Enable { id } => switch(&desk, *id, true).await?,
            ScheduleCommand::Disable { id } => switch(&desk, *id, false).await?,
            ScheduleCommand::Delete { id } => {
                desk.store.delete_schedule(tenant, *id, operator()).await?;
                say("deleted\n");
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn switch(desk: &Desk, id: ScheduleId, enabled: bool) -> anyhow::Result<()> {
    desk.store.enable_schedule(desk.tenant().await?, id, enabled, operator()).await?;
    say(if enabled { "enabled\n" } else { "disabled\n" });
    Ok(())
}

async fn create(desk: &Desk, arguments: &ScheduleCreateArguments) -> anyhow::Result<()> {
    // The forms that people write have one reader: that of the schedule itself.
    let mut written = json!({
        "zone": arguments.zone,
        "blackouts": arguments.blackout,
        "catch_up": arguments.catch_up,
    });
    for (key, value) in
        [("cron", &arguments.cron), ("every", &arguments.every), ("jitter", &arguments.jitter)]
    {
        if let Some(value) = value {
            written[key] = json!(value);
        }
    }
    let rule: Schedule = serde_json::from_value(written).context("the schedule cannot be kept")?;
    Library::built_in().require(&arguments.request.only)?;
    let new = NewSchedule {
        name: arguments.name.clone(),
        rule,
        request: arguments.request.request(),
        targets: targets(&arguments.targets)?,
    };
    let schedule = desk.store.create_schedule(desk.tenant().await?, new, operator()).await?;
    if arguments.json {
        return print_json(&schedule);
    }
    let first = schedule.rule.next_after(jiff::Timestamp::now());
    let first = first.map(short_time).unwrap_or_else(|| "never".to_owned());
    say(&format!("schedule {}: first run {first} UTC\n", schedule.id));
    Ok(())
}
