//! `rampart stop` and `rampart resume`.

use std::{process::ExitCode, time::Duration};

use anyhow::bail;
use client::Address;
use model::{Authority, Reach, Stop, TenantId};
use report::terminal::sanitise;
use scanner::check::shell_quoted;
use serde::Serialize;
use serde_json::json;
use store::TenantRecord;

use super::{
    operate,
    place::{Place, is_passing},
    print_json, short_time,
};
use crate::{
    cli::{ResumeArguments, StopArguments, say},
    configuration::Whereabouts,
};

/// How long a stop is tried again and again while the database, or the server, is away.
const INSIST: Duration = Duration::from_secs(60 * 60);

/// A stop as programs are told of it.
#[derive(Serialize)]
struct Held<'a> {
    #[serde(flatten)]
    stop: &'a Stop,
    /// The command that does.
    lifted_by: String,
}

/// Whose stops a server is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Those that concern the tenant of the key.
    Own,
    /// All, by who runs the platform; and of which tenant they are, if that is known.
    All(Option<TenantId>),
}

/// What is needed to say of a stop whom it stops and how it is lifted.
pub(super) struct Lifting<'a> {
    pub(super) tenants: &'a [TenantRecord],
    /// The one that was asked, if one was.
    pub(super) server: Option<&'a Address>,
    /// Whose stops were asked for there.
    pub(super) asked: Asked,
}

impl Lifting<'_> {
    fn name(&self, tenant: TenantId) -> Option<&str> {
        self.tenants.iter().find(|known| known.id == tenant).map(|known| known.name.as_str())
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

    /// The command that lifts exactly that stop. What the key does not reach is lifted where the database is.
    pub(super) fn command(&self, stop: &Stop) -> String {
        let quoted = |tenant| shell_quoted(self.name(tenant).unwrap_or("NAME"));
        if let Some(server) = self.server {
            let is_own = |tenant| match self.asked {
                Asked::Own => true,
                Asked::All(own) => own == Some(tenant),
            };
            let narrow = match (stop.authority, stop.reach) {
                (Authority::Tenant, Reach::Tenant { tenant }) if is_own(tenant) => Some(String::new()),
                (Authority::Tenant, Reach::Scan { tenant, scan }) if is_own(tenant) => {
                    Some(format!(" --scan {scan}"))
                }
                (Authority::Installation, reach) if self.asked != Asked::Own => match reach {
                    Reach::Everything => Some(" --everything".to_owned()),
                    Reach::Stage { stage } => Some(format!(" --stage {stage}")),
                    Reach::Tenant { tenant } if !is_own(tenant) => {
                        Some(format!(" --of-tenant {}", quoted(tenant)))
                    }
                    Reach::Tenant { .. } | Reach::Scan { .. } => None,
                },
                _ => None,
            };
            if let Some(narrow) = narrow {
                return format!("rampart resume --server {server}{narrow} --reason TEXT");
            }
        }
        let narrow = match stop.reach {
            Reach::Everything => String::new(),
            Reach::Stage { stage } => format!(" --stage {stage}"),
            Reach::Tenant { tenant } => format!(" --of-tenant {}", quoted(tenant)),
            Reach::Scan { tenant, scan } => format!(" --scan {scan} --tenant {}", quoted(tenant)),
        };
        format!("rampart resume{narrow} --reason TEXT --by PERSON")
    }
}

pub(super) fn stop(whereabouts: &Whereabouts, arguments: &StopArguments) -> anyhow::Result<ExitCode> {
    super::operators_runtime()?.block_on(async {
        let until = tokio::time::Instant::now() + INSIST;
        let mut told = false;
        loop {
            let attempt = order(whereabouts, arguments).await;
            let passing = attempt.as_ref().is_err_and(is_passing);
            if !passing || tokio::time::Instant::now() >= until {
                return attempt;
            }
            if let (false, Err(error)) = (told, &attempt) {
                told = true;
                let meanwhile = match whereabouts {
                    Whereabouts::Here(_) => {
                        "as long as workers cannot reach the database either they send nothing; the stop is written down as soon as it \
                         answers"
                    }
                    Whereabouts::There(_) => {
                        "nothing is stopped yet: the stop is ordered as soon as the server answers; `rampart stop` where the database is \
                         needs no server"
                    }
                };
                say(&format!("{error:#}\n{meanwhile} (Ctrl-C gives that up)\n"));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    })
}

async fn order(whereabouts: &Whereabouts, arguments: &StopArguments) -> anyhow::Result<ExitCode> {
    let place = Place::open(whereabouts).await?;
    let meant = place.meant(&arguments.reach).await?;
    place.require_scan(&meant.reach).await?;
    let stop = place.order_stop(&meant, &arguments.reason).await?;
    let asked = if meant.is_beyond() { Asked::All(None) } else { Asked::Own };
    let lifting = Lifting { tenants: &meant.tenants, server: place.server(), asked };
    let command = lifting.command(&stop);
    if arguments.json {
        print_json(&Held { stop: &stop, lifted_by: command })?;
    } else {
        say(&format!("stopped: {}; `{command}` lifts it\n", lifting.describe(&stop.reach)));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn resume(whereabouts: &Whereabouts, arguments: &ResumeArguments) -> anyhow::Result<ExitCode> {
    operate(whereabouts, async |place| {
        let meant = place.meant(&arguments.reach).await?;
        let reach = meant.reach;
        let (asked, all) = match meant.is_beyond() {
            true => (Asked::All(Some(place.tenant().await?)), place.all_tenants().await?),
            false => (Asked::Own, Vec::new()),
        };
        let tenants = if asked == Asked::Own { &meant.tenants } else { &all };
        let lifting = Lifting { tenants, server: place.server(), asked };
        let lifted = place.lift_stops(&meant, &arguments.reason, arguments.by.as_deref()).await?;
        let held = if asked == Asked::Own { place.stops().await? } else { place.all_stops().await? };
        if arguments.json && !lifted.is_empty() {
            let held: Vec<Held<'_>> =
                held.iter().map(|stop| Held { stop, lifted_by: lifting.command(stop) }).collect();
            print_json(&json!({ "lifted": lifted, "still_hold": held }))?;
            return Ok(ExitCode::SUCCESS);
        }
        let left: String = held
            .iter()
            .map(|stop| {
                let (reach, by, reason) = (lifting.describe(&stop.reach), &stop.by, sanitise(&stop.reason));
                let since = short_time(stop.at);
                format!("{reach}, since {since} UTC by {by}: {reason}\n  {}\n", lifting.command(stop))
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
