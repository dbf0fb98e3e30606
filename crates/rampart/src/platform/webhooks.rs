//! `rampart webhook`.

use std::process::ExitCode;

use client::MadeWebhook;
use model::webhook::{NewWebhook, WebhookChange, WebhookRecord};
use report::terminal::sanitise;
use serde::Serialize;

use super::{operate, place::Place, print_json, print_table, put, short_time};
use crate::{
    cli::{WebhookChangeArguments, WebhookCommand, say},
    configuration::Whereabouts,
};

pub(super) fn webhook(whereabouts: &Whereabouts, command: &WebhookCommand) -> anyhow::Result<ExitCode> {
    operate(whereabouts, async |place| {
        match command {
            WebhookCommand::Create(asked) => {
                let events = asked.events.iter().copied().collect();
                let new = NewWebhook { name: asked.name.clone(), url: asked.url.clone(), events };
                show(&place.create_webhook(new).await?, asked.json)?;
            }
            WebhookCommand::List { json } => {
                let webhooks = place.webhooks().await?;
                if *json { print_json(&webhooks)? } else { list(&webhooks)? }
            }
            WebhookCommand::Change(asked) => change(&place, asked).await?,
            WebhookCommand::Rotate { name, overlap, json } => {
                let webhook = place.webhook_named(name).await?;
                show(&place.rotate_webhook(&webhook, *overlap).await?, *json)?;
            }
            WebhookCommand::Delete { name } => {
                place.delete_webhook(place.webhook_named(name).await?.id).await?;
                say(&format!("{name} is forgotten: nothing is sent there any more\n"));
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn change(place: &Place, asked: &WebhookChangeArguments) -> anyhow::Result<()> {
    let WebhookChangeArguments { name, url, events, everything, enable, disable } = asked;
    let events = match (events, everything) {
        (Some(events), _) => Some(events.iter().copied().collect()),
        (None, true) => Some(Default::default()),
        (None, false) => None,
    };
    let enabled = (*enable || *disable).then_some(*enable);
    let change = WebhookChange { url: url.clone(), events, enabled };
    let changed = place.change_webhook(place.webhook_named(name).await?.id, change).await?;
    say(&format!("{name}: {}, {}\n", changed.url, standing(&changed)));
    Ok(())
}

/// A webhook with what its record does not hold.
#[derive(Serialize)]
struct Shown<'w> {
    secret: &'w str,
    #[serde(flatten)]
    webhook: &'w WebhookRecord,
}

/// The only time that it is seen: alone on standard output, so that it can go where it is kept.
fn show(made: &MadeWebhook, json: bool) -> anyhow::Result<()> {
    let MadeWebhook { secret, webhook } = made;
    if json {
        return print_json(&Shown { secret, webhook });
    }
    put(&format!("{secret}\n"))?;
    say(&format!(
        "{} leads to {}; the secret is shown once: the receiver keeps it\n",
        webhook.name, webhook.url
    ));
    Ok(())
}

fn standing(webhook: &WebhookRecord) -> String {
    match (webhook.enabled, webhook.failing_since, webhook.delivered_at) {
        (false, ..) => "disabled".to_owned(),
        (true, Some(since), _) => {
            let why = webhook.failure.as_deref().map(sanitise).unwrap_or_default();
            format!("fails since {}: {why}", short_time(since))
        }
        (true, None, Some(at)) => format!("arrived {}", short_time(at)),
        (true, None, None) => "nothing was sent yet".to_owned(),
    }
}

fn list(webhooks: &[WebhookRecord]) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = webhooks
        .iter()
        .map(|webhook| {
            let events: Vec<&str> = webhook.events.iter().map(|event| event.as_str()).collect();
            let events = if events.is_empty() { "everything".to_owned() } else { events.join(" ") };
            vec![webhook.name.clone(), webhook.url.to_string(), events, standing(webhook)]
        })
        .collect();
    print_table(&["NAME", "URL", "EVENTS", "STANDING"], &rows)
}
