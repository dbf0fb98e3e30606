//! `rampart stop` and `rampart resume`.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use model::{Authority, Reach, Stop, TenantId};
use report::terminal::sanitise;
use scanner::check::shell_quoted;
use serde::Serialize;
use serde_json::json;
use store::{StoreError, TenantRecord};

use super::{Desk, on_behalf_of, operate, operator, print_json, short_time};
use crate::{
    cli::{ReachArguments, ResumeArguments, StopArguments, say},
    configuration::Configuration,
};

/// How long a stop is tried again and again while the database is away.
const INSIST: Duration = Duration::from_secs(60 * 60);

/// A stop as programs are told of it.
#[derive(Serialize)]
struct Held<'a> {
    #[serde(flatten)]
    stop: &'a Stop,
    /// The command that does.
    lifted_by: String,
}

async fn reach(desk: &Desk, arguments: &ReachArguments) -> anyhow::Result<Option<Reach>> {
    Ok(match (&arguments.of_tenant, arguments.scan, arguments.stage) {
        (Some(name), _, _) => Some(Reach::Tenant { tenant: desk.tenant_named(name, "--of-tenant").await? }),
        (_, Some(scan), _) => Some(Reach::Scan { tenant: desk.tenant().await?, scan }),
        (_, _, Some(stage)) => Some(Reach::Stage { stage }),
        (None, None, None) => None,
    })
}

/// What is needed to say of a stop whom it stops and how it is lifted.
pub(super) struct Lifting<'a>(pub(super) &'a [TenantRecord]);

impl Lifting<'_> {
    fn name(&self, tenant: TenantId) -> Option<&str> {
        self.0.iter().find(|known| known.id == tenant).map(|known| known.name.as_str())
    }

    /// Whom it stops, by name.
    pub(super) fn describe(&self, reach: &Reach) -> String {
        match reach {
            Reach::Tenant { tenant } => self.name(*tenant).map(|name| format!("tenant {name}")),
            Reach::Scan { tenant, scan } => {
                self.name(*tenant).map(|name| format!("scan {scan} of tenant {name}"))
            }
            Reach::Everything | Reach::Stage { .. } => None,
        }
        .unwrap_or_else(|| reach.to_string())
    }

    /// The command that lifts exactly that stop.
    pub(super) fn command(&self, reach: &Reach) -> String {
        let quoted = |tenant| shell_quoted(self.name(tenant).unwrap_or("NAME"));
        let narrow = match reach {
            Reach::Everything => String::new(),
            Reach::Tenant { tenant } => format!(" --of-tenant {}", quoted(*tenant)),
            Reach::Scan { tenant, scan } => format!(" --scan {scan} --tenant {}", quoted(*tenant)),
            Reach::Stage { stage } => format!(" --stage {stage}"),
        };
        format!("rampart resume{narrow} --reason TEXT --by PERSON")
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
    require_scan(&desk, &reach).await?;
    // Asked before: whatever fails after the stop would order another one.
    let tenants = desk.store.tenants().await?;
    let lifting = Lifting(&tenants);
    let stop =
        desk.store.order_stop(Authority::Installation, reach, arguments.reason.clone(), operator()).await?;
    desk.tell_workers().await;
    let command = lifting.command(&stop.reach);
    if arguments.json {
        print_json(&Held { stop: &stop, lifted_by: command })?;
    } else {
        say(&format!("stopped: {}; `{command}` lifts it\n", lifting.describe(&stop.reach)));
    }
    Ok(ExitCode::SUCCESS)
}

/// A stop of a scan that is not there would stop nothing, and who ordered it would believe that it did.
async fn require_scan(desk: &Desk, reach: &Reach) -> anyhow::Result<()> {
    let Reach::Scan { tenant, scan } = reach else { return Ok(()) };
    let name = &desk.configuration.tenant;
    desk.store.scan(*tenant, *scan).await.map(drop).with_context(|| {
        format!(
            "nothing is stopped: tenant {name} was asked for scan {scan}; `rampart scan list --tenant {}` shows its scans, --tenant \
             names another",
            shell_quoted(name)
        )
    })
}

pub(super) fn resume(configuration: &Configuration, arguments: &ResumeArguments) -> anyhow::Result<ExitCode> {
    operate(configuration, async |desk| {
        let reach = reach(&desk, &arguments.reach).await?.unwrap_or(Reach::Everything);
        let by = on_behalf_of(Some(&arguments.by));
        let lifted =
            desk.store.lift_stops(Authority::Installation, Some(reach), arguments.reason.clone(), by).await?;
        // Whoever waits looks again at once.
        desk.tell_workers().await;
        let tenants = desk.store.tenants().await?;
        let lifting = Lifting(&tenants);
        let held = desk.store.stops().await?;
        if arguments.json && !lifted.is_empty() {
            let held: Vec<Held<'_>> =
                held.iter().map(|stop| Held { stop, lifted_by: lifting.command(&stop.reach) }).collect();
            print_json(&json!({ "lifted": lifted, "still_hold": held }))?;
            return Ok(ExitCode::SUCCESS);
        }
        let left: String = held
            .iter()
            .map(|stop| {
                let (reach, by, reason) = (lifting.describe(&stop.reach), &stop.by, sanitise(&stop.reason));
                let since = short_time(stop.at);
                format!("{reach}, since {since} UTC by {by}: {reason}\n  {}\n", lifting.command(&stop.reach))
            })
            .collect();
        if lifted.is_empty() {
            let reach = lifting.describe(&reach);
            match left.trim_end() {
                "" => bail!("nothing is lifted: no stop holds, neither of {reach} nor any other"),
                left => bail!("nothing is lifted: no stop is of {reach}. These hold:\n{left}"),
            }
        }
        for stop in lifted {
            let (reach, by) = (lifting.describe(&stop.reach), stop.by);
            say(&format!("lifted: {reach}, ordered by {by}: {}\n", stop.reason));
        }
        if !left.is_empty() {
            say(&format!("these stops still hold:\n{left}"));
        }
        Ok(ExitCode::SUCCESS)
    })
}
