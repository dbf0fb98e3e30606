//! `rampart doctor`: what is wrong, and what to do about it.

mod judging;
mod there;

use std::process::ExitCode;

use anyhow::{Context, bail};
use model::{Stage, attendance::Missing, scaling::Backlog};
use serde::Serialize;
use store::{Store, StoreError};
use worker::doorbell::Bell;

use self::judging::{clock, held, idle, left_dead, scoped};
use super::{
    operate,
    place::Place,
    print_json, print_table,
    stops::{Asked, Lifting},
};
use crate::configuration::{Configuration, DatabaseUrl, Whereabouts};

/// Descriptors that a busy worker wants.
const DESCRIPTORS: u64 = 4_096;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Broken,
}

#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn ok(what: &'static str, says: impl Into<String>) -> Finding {
        Finding { what, verdict: Verdict::Ok, says: says.into(), remedy: None }
    }

    fn warning(what: &'static str, says: impl Into<String>, remedy: &str) -> Finding {
        Finding { what, verdict: Verdict::Warning, says: says.into(), remedy: Some(remedy.to_owned()) }
    }

    fn broken(what: &'static str, says: impl Into<String>, remedy: &str) -> Finding {
        Finding { what, verdict: Verdict::Broken, says: says.into(), remedy: Some(remedy.to_owned()) }
    }
}

/// Without a configuration nothing but that can be told.
pub(super) fn doctor(
    (configuration, why_not): (Option<Configuration>, Option<anyhow::Error>),
    json: bool,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let mut findings: Vec<Finding> = Vec::new();
    if let Some(why) = why_not {
        let remedy = match configuration {
            Some(_) => "mend it, or name another file with --config; what follows is without it",
            None => "mend it; without it the rest cannot be examined",
        };
        findings.push(Finding::broken("configuration", format!("{why:#}"), remedy));
    } else if let Some(configuration) = &configuration {
        let says = format!("tenant {}, log {}", configuration.tenant, configuration.log);
        findings.push(Finding::ok("configuration", says));
    }
    if let Some(configuration) = &configuration {
        findings.extend(runtime.block_on(examine(configuration)));
    }
    tell(&findings, json)
}

/// The same of a server, by whoever has a key of it.
pub(super) fn doctor_there(whereabouts: &Whereabouts, json: bool) -> anyhow::Result<ExitCode> {
    operate(whereabouts, async |place| match &place {
        Place::There(client) => tell(&there::examine(&place, client).await, json),
        Place::Here(_) => bail!("no server is named"),
    })
}

fn tell(findings: &[Finding], json: bool) -> anyhow::Result<ExitCode> {
    if json {
        print_json(&findings)?;
    } else {
        let rows: Vec<Vec<String>> = findings
            .iter()
            .map(|finding| {
                let verdict = match finding.verdict {
                    Verdict::Ok => "ok",
                    Verdict::Warning => "warning",
                    Verdict::Broken => "broken",
                };
                let remedy =
                    finding.remedy.as_ref().map(|remedy| format!(" -> {remedy}")).unwrap_or_default();
                vec![finding.what.to_owned(), verdict.to_owned(), format!("{}{remedy}", finding.says)]
            })
            .collect();
        print_table(&["WHAT", "VERDICT", ""], &rows)?;
    }
    let broken = findings.iter().any(|finding| finding.verdict == Verdict::Broken);
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn examine(configuration: &Configuration) -> Vec<Finding> {
    let mut findings = vec![data_directory(configuration), descriptors()];
    match configuration.open().await {
        Ok(store) => {
            findings.push(Finding::ok("database", configuration.database.to_string()));
            findings.extend(ask(&store, configuration).await);
            findings.extend(replica(&store, configuration).await);
        }
        Err(error) => findings.push(Finding::broken(
            "database",
            format!("{error:#}"),
            match configuration.database {
                DatabaseUrl::Sqlite(_) => "`rampart up` makes the file; check --data and its permissions",
                DatabaseUrl::Postgres(_) => "check --database, that the server runs, and `rampart migrate`",
            },
        )),
    }
    findings.extend(objects(configuration).await);
    findings.push(doorbell(configuration).await);
    findings
}

/// Without any, the data directory and the database do their work.
async fn objects(configuration: &Configuration) -> Option<Finding> {
    let says = configuration.objects.as_ref()?.to_string();
    let remedy =
        "evidence and reports cannot be kept: check --objects, the credentials and that the bucket exists";
    let checked = async { configuration.objects()?.check().await.map_err(anyhow::Error::from) };
    Some(match checked.await {
        Ok(()) => Finding::ok("object storage", format!("{says}: written, read and deleted")),
        Err(error) => Finding::broken("object storage", format!("{error:#}"), remedy),
    })
}

fn data_directory(configuration: &Configuration) -> Finding {
    let data = &configuration.data;
    let says = data.display().to_string();
    match tempfile::tempfile_in(data) {
        Ok(_) => Finding::ok("data directory", says),
        Err(_) if is_needless(configuration) => Finding::ok("data directory", "nothing is kept in one"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Finding::warning(
            "data directory",
            format!("`{says}` does not exist"),
            match &configuration.database {
                DatabaseUrl::Sqlite(_) => "`rampart up` makes it; --data names another",
                DatabaseUrl::Postgres(_) => {
                    "a worker makes it when it writes a report; --data names another, --objects a place that all share"
                }
            },
        ),
        Err(error) => Finding::broken(
            "data directory",
            format!("`{says}` cannot be written to: {error}"),
            "give this user the right to write there, or free some space",
        ),
    }
}

/// The database is elsewhere, and so are the reports.
fn is_needless(configuration: &Configuration) -> bool {
    matches!(configuration.database, DatabaseUrl::Postgres(_)) && configuration.objects.is_some()
}

fn descriptors() -> Finding {
    let allowed = scanner::socket::raise_descriptor_limit();
    let says = format!("{allowed} file descriptors");
    if allowed < DESCRIPTORS {
        Finding::warning("limits", says, "workers open fewer connections than they could: raise `ulimit -n`")
    } else {
        Finding::ok("limits", says)
    }
}

async fn ask(store: &Store, configuration: &Configuration) -> Vec<Finding> {
    let mut findings = Vec::new();
    match store.clock().await {
        Ok(theirs) => {
            findings
                .push(clock(theirs, |apart| format!("{} ms apart from the database's", apart.as_millis())));
        }
        Err(error) => findings.push(Finding::broken("clock", error.to_string(), "check the database")),
    }
    let stops = async { Ok::<_, StoreError>((store.stops().await?, store.tenants().await?)) }.await;
    match stops {
        Ok((stops, tenants)) => {
            let lifting = Lifting { tenants: &tenants, server: None, asked: Asked::Own };
            findings.extend(held(&stops, &lifting));
        }
        Err(error) => {
            findings.push(Finding::broken("emergency stop", error.to_string(), "check the database"))
        }
    }
    match store.tenant_named(&configuration.tenant).await {
        Ok(tenant) => match store.scopes(tenant.id).await {
            Ok(scopes) => findings.push(scoped(&tenant.name, &scopes)),
            Err(error) => findings.push(Finding::broken("scope", error.to_string(), "check the database")),
        },
        Err(error) => findings.push(Finding::broken("tenant", error.to_string(), "`rampart tenant create`")),
    }
    findings.extend(dead_tasks(store, configuration).await);
    findings.extend(schedules(store, configuration).await);
    findings.extend(attendance(store, configuration).await);
    match store.backlog().await {
        Ok(backlog) => findings.extend(Stage::ALL.iter().filter_map(|stage| queue(&backlog, *stage))),
        Err(error) => findings.push(Finding::broken("queue", error.to_string(), "check the database")),
    }
    findings
}

fn queue(backlog: &Backlog, stage: Stage) -> Option<Finding> {
    let (depth, wanted) = (backlog.depth(&[stage]), backlog.wanted_workers(&[stage]));
    let says = format!("{depth} tasks in stage {stage}, {wanted} workers wanted");
    (depth > 0).then(|| Finding::ok("queue", says))
}

/// They wait for a person. Whose tenant is missing has none, and is told that elsewhere.
async fn dead_tasks(store: &Store, configuration: &Configuration) -> Option<Finding> {
    let counts = async {
        let tenant = store.tenant_named(&configuration.tenant).await?.id;
        store.dead_tasks(tenant).await
    };
    Some(match counts.await {
        Err(StoreError::Missing { .. }) => return None,
        Err(error) => Finding::broken("dead tasks", error.to_string(), "check the database"),
        Ok(dead) => left_dead(&configuration.tenant, &dead),
    })
}

/// Nobody is there to be told when a run begins nothing. Whose tenant is missing has none, and is told that elsewhere.
async fn schedules(store: &Store, configuration: &Configuration) -> Vec<Finding> {
    let schedules = async {
        let tenant = store.tenant_named(&configuration.tenant).await?.id;
        store.schedules(tenant).await
    };
    match schedules.await {
        Err(StoreError::Missing { .. }) => Vec::new(),
        Err(error) => vec![Finding::broken("schedule", error.to_string(), "check the database")],
        Ok(schedules) => idle(&schedules),
    }
}

/// Is there somebody for every stage of a scan?
async fn attendance(store: &Store, configuration: &Configuration) -> Vec<Finding> {
    let attendance = match store.attendance().await {
        Ok(attendance) => attendance,
        Err(error) => return vec![Finding::broken("workers", error.to_string(), "check the database")],
    };
    let is_wanted = |stage: &Stage| match stage {
        Stage::Exercise => false,
        Stage::Deliver => configuration.webhooks.are_sent(),
        _ => true,
    };
    let wanted = Stage::SERVED.into_iter().filter(is_wanted).collect();
    let start = match configuration.database {
        DatabaseUrl::Sqlite(_) => "`rampart up` starts everybody",
        DatabaseUrl::Postgres(_) => "`rampart worker` starts one, `--stage` says for what",
    };
    let mut findings = vec![match attendance.missing(&wanted) {
        None => Finding::ok("workers", format!("{} at work, for every stage", attendance.workers)),
        Some(Missing::Everybody) => Finding::warning("workers", "nobody is at work", start),
        Some(Missing::Stages(stages)) => {
            let words: Vec<&str> = stages.iter().map(|stage| stage.as_str()).collect();
            let says = format!("{} at work, none of them for {}", attendance.workers, words.join(" and "));
            Finding::warning("workers", says, start)
        }
    }];
    findings.push(match attendance.is_led {
        true => Finding::ok("orchestrator", "one leads"),
        false => Finding::warning(
            "orchestrator",
            "none leads: schedules, deadlines and what lost workers had wait",
            "`rampart up` or `rampart orchestrator` starts one",
        ),
    });
    findings
}

/// How the replica stands, where there is to be one.
async fn replica(store: &Store, configuration: &Configuration) -> Option<Finding> {
    let url = configuration.replica.as_ref()?;
    Some(match store.replica_state().await {
        Ok(Some(state)) => {
            let age = match state.age {
                Some(age) => format!("the last it knows of is {:.1} s old", age.as_secs_f64()),
                None => "it has heard of nothing since it was started".to_owned(),
            };
            let says = format!("{url}: {age}, {} bytes behind", state.bytes_behind);
            match (state.age.is_some_and(|age| age <= state.most_behind), state.bytes_behind) {
                (true, _) => Finding::ok("replica", says),
                (false, 0) => {
                    Finding::ok("replica", format!("{says}; the database answers until somebody writes"))
                }
                (false, _) => Finding::warning(
                    "replica",
                    format!("{says}; the database answers instead"),
                    "see why it does not follow; --replica-lag says how old is too old",
                ),
            }
        }
        Ok(None) => return None,
        Err(error) if error.is_passing() => Finding::warning(
            "replica",
            format!("{url}: {error}; the database answers instead"),
            "check --replica and that the server runs",
        ),
        Err(error) => Finding::broken("replica", error.to_string(), "check --replica"),
    })
}

async fn doorbell(configuration: &Configuration) -> Finding {
    let says = configuration.doorbell.to_string();
    let remedy = "work goes on by polling, a second later; check --doorbell and that the server runs";
    match configuration.doorbell() {
        Err(error) => Finding::broken("doorbell", format!("{error:#}"), "check --doorbell"),
        Ok(doorbell) => match doorbell.ring(Bell::Stop, 1).await {
            Ok(()) => Finding::ok("doorbell", says),
            Err(error) => Finding::warning("doorbell", error.to_string(), remedy),
        },
    }
}
