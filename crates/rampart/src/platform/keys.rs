//! `rampart key`.

use std::process::ExitCode;

use anyhow::Context;
use jiff::SignedDuration;
use model::{ApiKey, KeyPrefix};
use serde::Serialize;
use store::{KeyRecord, NewKey};

use super::{Desk, operate, operator, print_json, print_table, put, short_time};
use crate::{
    cli::{KeyCommand, KeyCreateArguments, say},
    configuration::Configuration,
};

/// A key that nobody knows yet.
pub(super) fn random() -> ApiKey {
    ApiKey::from_random(rand::random(), rand::random())
}

pub(super) fn key(configuration: &Configuration, command: &KeyCommand) -> anyhow::Result<ExitCode> {
    operate(configuration, async |desk| {
        let tenant = desk.tenant().await?;
        match command {
            KeyCommand::Create(asked) => create(&desk, asked).await?,
            KeyCommand::List { json } => {
                let keys = desk.store.keys(tenant).await?;
                if *json { print_json(&keys)? } else { list(&keys)? }
            }
            KeyCommand::Rotate { prefix, overlap, json } => {
                let (key, prefix) = (random(), meant(prefix)?);
                let made = desk.store.rotate_key(tenant, prefix, key.clone(), *overlap, operator());
                show(&key, &made.await.context("`rampart key list` shows the keys")?, *json)?;
            }
            KeyCommand::Revoke { prefix } => {
                let prefix = meant(prefix)?;
                let revoked = desk.store.revoke_key(tenant, prefix.clone(), operator()).await;
                revoked.context("`rampart key list` shows the keys")?;
                say(&format!("{prefix} is revoked\n"));
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// By its prefix, or by the whole of it. Not read with the other arguments: what is wrong with those is repeated, and this may be most
/// of a secret.
fn meant(text: &str) -> anyhow::Result<KeyPrefix> {
    match text.parse::<ApiKey>() {
        Ok(key) => Ok(key.prefix()),
        Err(_) => Ok(text.parse::<KeyPrefix>()?),
    }
}

async fn create(desk: &Desk, asked: &KeyCreateArguments) -> anyhow::Result<()> {
    let tenant = desk.tenant().await?;
    let expires_at = match asked.good_for {
        Some(length) => Some(desk.store.clock().await?.saturating_add(SignedDuration::try_from(length)?)?),
        None => None,
    };
    let new =
        NewKey { name: asked.name.clone(), role: asked.role, networks: asked.networks.clone(), expires_at };
    let key = random();
    let made = desk.store.create_key(tenant, key.clone(), new, operator()).await?;
    show(&key, &made, asked.json)
}

/// A key with what its record does not hold.
#[derive(Serialize)]
struct Shown<'k> {
    key: &'k str,
    #[serde(flatten)]
    record: &'k KeyRecord,
}

/// The only time that it is seen: alone on standard output, so that it can go where it is kept.
fn show(key: &ApiKey, record: &KeyRecord, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&Shown { key: key.expose(), record });
    }
    put(&format!("{}\n", key.expose()))?;
    let until = record.expires_at.map(|at| format!(" until {}", short_time(at))).unwrap_or_default();
    say(&format!("{}: {}{until}; the key is shown once: keep it\n", record.name, record.role));
    Ok(())
}

fn list(keys: &[KeyRecord]) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = keys
        .iter()
        .map(|key| {
            let networks: Vec<String> = key.networks.iter().map(ToString::to_string).collect();
            vec![
                key.prefix.to_string(),
                key.name.clone(),
                key.role.to_string(),
                key.expires_at.map_or("revoked".to_owned(), short_time),
                key.last_used.map_or("never".to_owned(), short_time),
                if networks.is_empty() { "anywhere".to_owned() } else { networks.join(" ") },
            ]
        })
        .collect();
    print_table(&["PREFIX", "NAME", "ROLE", "UNTIL", "LAST USED", "FROM"], &rows)
}
