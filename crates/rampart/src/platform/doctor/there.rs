//! A server, as somebody elsewhere finds it who has a key.

use std::time::Duration;

use client::{Client, ClientError};
use jiff::{SignedDuration, Timestamp};
use report::terminal;

use super::{Asked, CLOCKS, Finding, Lifting, began_nothing};
use crate::platform::place::Place;

/// Whoever needs the key should make another one by then.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What is found there, as far as the key may see it.
pub(super) async fn examine(place: &Place, client: &Client) -> Vec<Finding> {
    let me = match client.me().await {
        Ok(me) => me,
        Err(error) => {
            let remedy = match &error {
                ClientError::Unreachable { .. } => "check --server, --server-ca and the way there",
                _ => "check --server, and the key in RAMPART_KEY or --key-file",
            };
            return vec![Finding::broken("server", told(error.into()), remedy)];
        }
    };
    let mut findings = vec![Finding::ok("server", client.address().to_string())];
    let says = format!("{} ({}), {}", me.key.name, me.key.prefix, me.role);
    findings.push(match me.key.expires_at {
        Some(ends) if ends < Timestamp::now().saturating_add(SOON).unwrap_or(Timestamp::MAX) => {
            let says = format!("{says}; it ends {ends}");
            Finding::warning("key", says, "`rampart key rotate` makes another one that takes its place")
        }
        _ => Finding::ok("key", says),
    });
    findings.extend(seen("tenant", client.tenant().await.map_err(Into::into), |tenant| {
        vec![Finding::ok("tenant", tenant.name)]
    }));
    findings.extend(seen("clock", place.clock().await, |theirs| {
        let apart: SignedDuration = Timestamp::now().duration_since(theirs);
        let says = format!("{} s apart from the server's", apart.unsigned_abs().as_secs());
        // It tells whole seconds.
        vec![match apart.unsigned_abs() > CLOCKS {
            true => Finding::warning("clock", says, "synchronise this machine's clock and the server's"),
            false => Finding::ok("clock", says),
        }]
    }));
    let stops = async { anyhow::Ok((place.stops().await?, place.tenants().await?)) };
    findings.extend(seen("emergency stop", stops.await, |(stops, tenants)| {
        let lifting = Lifting { tenants: &tenants, server: place.server(), asked: Asked::Own };
        let found = stops.iter().map(|stop| {
            let says = format!("{} since {}: {}", lifting.describe(&stop.reach), stop.at, stop.reason);
            Finding::warning("emergency stop", says, &format!("`{}` lifts it", lifting.command(stop)))
        });
        or_one(found.collect(), || Finding::ok("emergency stop", "none holds"))
    }));
    findings.extend(seen("scope", place.stale_scopes().await, |scopes| {
        let names: Vec<String> = scopes.into_iter().map(|(name, _)| name).collect();
        vec![match names.is_empty() {
            true => {
                let remedy = "`rampart scope template`, then `rampart scope put`";
                Finding::warning("scope", "there is none, so nothing can be scanned", remedy)
            }
            false => Finding::ok("scope", names.join(", ")),
        }]
    }));
    findings.extend(seen("dead tasks", place.stale_task_counts().await, |counts| {
        let dead = counts.iter().filter(|((_, state), count)| state == "dead" && **count > 0);
        let words: Vec<String> =
            dead.map(|((stage, _), count)| format!("{count} in stage {stage}")).collect();
        vec![match words.is_empty() {
            true => Finding::ok("dead tasks", "none"),
            false => Finding::warning(
                "dead tasks",
                words.join(", "),
                "`rampart task list --state dead` shows them, `rampart task show` says why, `rampart task redrive` tries them again",
            ),
        }]
    }));
    findings.extend(seen("schedule", place.schedules().await, |schedules| {
        let enabled = schedules.iter().filter(|schedule| schedule.enabled);
        let refused = enabled.filter_map(|schedule| Some((&schedule.name, schedule.refused.as_ref()?)));
        let found = refused.map(|(name, refused)| {
            let says = format!("{name}: {}", began_nothing(refused));
            Finding::warning("schedule", says, "mend that, or make the schedule anew")
        });
        found.collect()
    }));
    findings
}

fn or_one(mut found: Vec<Finding>, otherwise: impl FnOnce() -> Finding) -> Vec<Finding> {
    if found.is_empty() {
        found.push(otherwise());
    }
    found
}

/// What came of a question. That a key may not see something is nothing that is wrong.
fn seen<T>(
    what: &'static str,
    answer: anyhow::Result<T>,
    finds: impl FnOnce(T) -> Vec<Finding>,
) -> Vec<Finding> {
    match answer {
        Ok(answer) => finds(answer),
        Err(error) if is_hidden(&error) => vec![Finding::ok(what, "not for this key to see")],
        Err(error) => vec![Finding::broken(what, told(error), "the server's log tells more")],
    }
}

fn is_hidden(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<ClientError>();
    matches!(refused, Some(ClientError::Refused(problem)) if problem.code == "forbidden")
}

/// A server may say anything.
fn told(error: anyhow::Error) -> String {
    terminal::sanitise(&format!("{error:#}")).into_owned()
}
