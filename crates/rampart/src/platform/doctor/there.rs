//! A server, as somebody elsewhere finds it who has a key.

use std::time::Duration;

use client::{Client, ClientError};
use jiff::Timestamp;
use report::terminal;

use super::{Asked, Finding, Lifting, clock, held, idle, left_dead, scoped};
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
    let tenant = client.tenant().await.map(|tenant| tenant.name).map_err(Into::into);
    let name = tenant.as_deref().unwrap_or("of the key").to_owned();
    findings.extend(seen("tenant", tenant, |name| vec![Finding::ok("tenant", name)]));
    // It tells whole seconds.
    let say = |apart: Duration| format!("{} s apart from the server's", apart.as_secs());
    findings.extend(seen("clock", place.clock().await, |theirs| vec![clock(theirs, say)]));
    let stops = async { anyhow::Ok((place.stops().await?, place.tenants().await?)) };
    findings.extend(seen("emergency stop", stops.await, |(stops, tenants)| {
        held(&stops, &Lifting { tenants: &tenants, server: place.server(), asked: Asked::Own })
    }));
    findings.extend(seen("scope", place.stale_scopes().await, |scopes| vec![scoped(&name, &scopes)]));
    findings.extend(seen("dead tasks", place.stale_task_counts().await, |counts| {
        let dead = counts.into_iter().filter(|((_, state), count)| state == "dead" && *count > 0);
        vec![left_dead(&name, &dead.map(|((stage, _), count)| (stage, count)).collect())]
    }));
    findings.extend(seen("schedule", place.schedules().await, |schedules| idle(&schedules)));
    findings
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
