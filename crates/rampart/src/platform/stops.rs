//! `rampart stop` and `rampart resume`.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use model::Reach;
use store::StoreError;
use worker::doorbell::Bell;

use super::{Desk, operate, operator};
use crate::{
    cli::{ReachArguments, ResumeArguments, StopArguments, say},
    configuration::Configuration,
};

/// How long a stop is tried again and again while the database is away.
const INSIST: Duration = Duration::from_secs(60 * 60);

async fn reach(desk: &Desk, arguments: &ReachArguments) -> anyhow::Result<Option<Reach>> {
    Ok(match (&arguments.of_tenant, arguments.scan, arguments.stage) {
        (Some(name), _, _) => Some(Reach::Tenant { tenant: desk.tenant_named(name).await? }),
        (_, Some(scan), _) => Some(Reach::Scan { tenant: desk.tenant().await?, scan }),
        (_, _, Some(stage)) => Some(Reach::Stage { stage }),
        (None, None, None) => None,
    })
}

/// The command that lifts exactly that stop.
pub(super) fn how_to_lift(reach: &Reach) -> String {
    match reach {
        Reach::Everything => "`rampart resume`".to_owned(),
        Reach::Tenant { .. } => "`rampart resume --of-tenant NAME`".to_owned(),
        Reach::Scan { scan, .. } => format!("`rampart resume --scan {scan}`"),
        Reach::Stage { stage } => format!("`rampart resume --stage {stage}`"),
    }
}

pub(super) fn stop(configuration: &Configuration, arguments: &StopArguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let until = tokio::time::Instant::now() + INSIST;
        let mut told = false;
        loop {
            let attempt = order(configuration, arguments).await;
            let passing = attempt
                .as_ref()
                .err()
                .and_then(|error| error.chain().find_map(|cause| cause.downcast_ref::<StoreError>()))
                .is_some_and(StoreError::is_passing);
            if !passing || tokio::time::Instant::now() >= until {
                return attempt;
            }
            if let (false, Err(error)) = (told, &attempt) {
                told = true;
                say(&format!(
                    "{error:#}\nas long as workers cannot reach the database either they send nothing; the stop is written down as \
                     soon as it answers (Ctrl-C gives that up)\n"
                ));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    })
}

async fn order(configuration: &Configuration, arguments: &StopArguments) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(configuration.clone()).await?;
    let reach = reach(&desk, &arguments.reach).await?.unwrap_or(Reach::Everything);
    let stop = desk.store.order_stop(reach, arguments.reason.clone(), operator()).await?;
    if let Err(error) = desk.doorbell.ring(Bell::Stop, 1).await {
        say(&format!("nobody could be told at once, workers see it within two seconds: {error}\n"));
    }
    say(&format!("stopped: {}; {} lifts it\n", stop.reach, how_to_lift(&stop.reach)));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn resume(configuration: &Configuration, arguments: &ResumeArguments) -> anyhow::Result<ExitCode> {
    operate(configuration, async |desk| {
        let reach = reach(&desk, &arguments.reach).await?.unwrap_or(Reach::Everything);
        let by = format!("{} ({})", arguments.by, operator());
        let lifted = desk.store.lift_stops(Some(reach), arguments.reason.clone(), by).await?;
        // Whoever waits looks again at once.
        let rung = desk.doorbell.ring(Bell::Stop, 1).await;
        if let Err(error) = rung {
            say(&format!("nobody could be told at once: {error}\n"));
        }
        if lifted.is_empty() {
            let others = desk.store.stops().await?;
            let others: Vec<String> = others.iter().map(|stop| how_to_lift(&stop.reach)).collect();
            let hint = if others.is_empty() { "none holds at all".to_owned() } else { others.join(", ") };
            anyhow::bail!("no stop reaches {reach}: {hint}");
        }
        for stop in lifted {
            let (reach, by) = (stop.reach, stop.by);
            say(&format!("lifted: {reach}, ordered by {by}: {}\n", stop.reason));
        }
        for stop in desk.store.stops().await? {
            say(&format!("still stopped: {}: {}\n", stop.reach, stop.reason));
        }
        Ok(ExitCode::SUCCESS)
    })
}
