//! `rampart key`.

use std::process::ExitCode;

use client::MadeKey;
use jiff::SignedDuration;
use model::{ApiKey, KeyPrefix};
use serde::Serialize;
use store::{KeyRecord, NewKey};

use super::{operate, place::Place, print_json, print_table, put, short_time};
use crate::{
    cli::{KeyCommand, KeyCreateArguments, say},
    configuration::Whereabouts,
};

/// A key that nobody knows yet.
pub(super) fn random() -> ApiKey {
    ApiKey::from_random(rand::random(), rand::random())
}

pub(super) fn key(whereabouts: &Whereabouts, command: &KeyCommand) -> anyhow::Result<ExitCode> {
    operate(whereabouts, async |place| {
        match command {
            KeyCommand::Create(asked) => create(&place, asked).await?,
            KeyCommand::List { json } => {
                let keys = place.keys().await?;
                if *json { print_json(&keys)? } else { list(&keys)? }
            }
            KeyCommand::Rotate { prefix, overlap, json } => {
                show(&place.rotate_key(meant(prefix)?, *overlap).await?, *json)?;
            }
            KeyCommand::Revoke { prefix } => {
                let prefix = meant(prefix)?;
                place.revoke_key(&prefix).await?;
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

async fn create(place: &Place, asked: &KeyCreateArguments) -> anyhow::Result<()> {
    let expires_at = match asked.good_for {
        Some(length) => Some(place.clock().await?.saturating_add(SignedDuration::try_from(length)?)?),
        None => None,
    };
    let new = NewKey {
        name: asked.name.clone(),
        role: asked.role.clone(),
        networks: asked.networks.clone(),
        expires_at,
    };
    show(&place.create_key(new).await?, asked.json)
}

/// A key with what its record does not hold.
#[derive(Serialize)]
struct Shown<'k> {
    key: &'k str,
    #[serde(flatten)]
    record: &'k KeyRecord,
}

/// The only time that it is seen: alone on standard output, so that it can go where it is kept.
fn show(made: &MadeKey, json: bool) -> anyhow::Result<()> {
    let MadeKey { key, record } = made;
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
